"""``--hide c`` or ``--hide numba`` runs the suite as on a machine without that backend; ``backend`` runs a test on each present one."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BACKENDS = ("c", "numba")
MODULES = {"c": "fastsig._c", "numba": "numba"}
sys.path.insert(0, str(Path(__file__).parent))  # tests import their helpers by name, from wherever pytest runs
sys.path.append(str(Path(__file__).parent.parent))  # and the checkout's tools; last, for the installed fastsig is tested


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--hide", action="append", default=[], choices=BACKENDS, help="pretend that this backend is not installed")


def pytest_configure(config: pytest.Config) -> None:
    os.environ["XDG_CONFIG_HOME"] = "/nonexistent"  # what this user has tuned is not what is tested
    for name in ("FASTSIG_NUM_THREADS", "OMP_NUM_THREADS"):  # read when fastsig is imported
        os.environ.pop(name, None)
    for name in config.getoption("--hide"):
        if MODULES[name] in sys.modules or "fastsig" in sys.modules:
            raise pytest.UsageError(f"--hide {name}: too late, something imported fastsig or {MODULES[name]} before the tests")
        sys.modules[MODULES[name]] = None  # type: ignore[assignment]


def pytest_report_header(config: pytest.Config) -> str:
    from fastsig.dispatch import availability

    return "fastsig: " + "; ".join(f"{name} {status}" for name, status in availability.backends().items())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "backend" in metafunc.fixturenames:
        hidden = metafunc.config.getoption("--hide")
        marks = {name: [pytest.mark.skip(reason=f"--hide {name}")] if name in hidden else [] for name in BACKENDS}
        metafunc.parametrize("backend", [pytest.param(name, marks=marks[name]) for name in BACKENDS])


@pytest.fixture
def need_c(pytestconfig: pytest.Config) -> None:
    if "c" in pytestconfig.getoption("--hide"):
        pytest.skip("--hide c: this is about the C library")


@pytest.fixture
def need_numba(pytestconfig: pytest.Config) -> None:
    if "numba" in pytestconfig.getoption("--hide"):
        pytest.skip("--hide numba: this is about the Numba backend")


@pytest.fixture
def default_isa(need_c: None) -> Iterator[None]:
    """The instruction set in use before the test is in use after it."""
    from fastsig.kernels.c import library as c

    before = c.isa()
    yield
    c.set_isa(before)


@pytest.fixture(autouse=True)
def default_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The number of threads is this machine's default before and after each test, and the environment names no backend."""
    import fastsig as fs

    monkeypatch.delenv("FASTSIG_BACKEND", raising=False)
    fs.set_num_threads(None)
    yield
    fs.set_num_threads(None)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The GPU of ``fake_gpu``."""
    import fake_gpu

    return fake_gpu.installed(monkeypatch)


@pytest.fixture(params=["without a name", "hidden", "hidden, no hard links"])
def temporary(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What a file is before it is whole, by what the file system has."""
    from file_systems import refuse

    kind: str = request.param
    if kind == "without a name" and not hasattr(os, "O_TMPFILE"):
        pytest.skip("this system has no files without a name")
    if kind != "without a name":
        monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    if kind == "hidden, no hard links":
        monkeypatch.setattr(os, "link", refuse)
    return kind
