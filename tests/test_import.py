"""What ``import fastsig`` loads and needs, and what it does where a backend is not there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from processes import error_of, printed, run_python

import fastsig as fs

HEAVY = ("numba", "llvmlite", "torch", "cupy", "dask", "pandas", "scipy", "matplotlib", "ml_dtypes", "sklearn", "jax", "rich", "xarray")
LOADED = f"print(sorted({set(HEAVY)!r} & set(sys.modules)))"
CALLS = "import numpy as np; fs.sigmoid(np.ones(10)); fs.logit(0.5); fs.silu(np.ones(1 << 20)); fs.ufuncs.bce(0.5, 1.0)"


def test_import_loads_no_array_library(need_numba: None) -> None:
    assert printed("import fastsig; " + LOADED) == "[]"


def test_import_loads_what_is_used_by_all_alone() -> None:
    loaded = printed("import fastsig; print([name for name in sys.modules if name.startswith('fastsig.')])")
    assert "'fastsig.dispatch.availability'" in loaded
    assert not re.search(r"fastsig\.(losses|gates|elementwise|interop|measure)", loaded)
    beyond_numpy = printed("import numpy; before = set(sys.modules); import fastsig; print(set(sys.modules) - before)")
    assert not re.search(r"'(subprocess|hashlib|pathlib|uuid|dataclasses|locale|inspect)'", beyond_numpy)


@pytest.mark.parametrize("name", fs.__all__)
def test_each_name_can_be_the_first(name: str) -> None:
    """However it is asked for, and by many threads at once."""
    printed(f"from fastsig import {name}")
    ask = f"with ThreadPoolExecutor(8) as pool: found = list(pool.map(lambda _: getattr(fs, {name!r}), range(8)))"
    code = f"import fastsig as fs; from concurrent.futures import ThreadPoolExecutor\n{ask}\nprint(all(one is fs.{name} for one in found))"
    assert printed(code) == "True"


def test_a_name_that_is_none_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'fastsig' has no attribute 'sigmoyd'"):
        fs.sigmoyd  # noqa: B018


def test_calls_load_none_either(need_c: None, need_numba: None) -> None:
    """No call waits for a compiler unless it asked for that backend by name."""
    assert printed(f"import fastsig as fs; {CALLS}; fs.explain(np.ones(3)); {LOADED}") == "[]"


def test_numba_is_loaded_when_named(need_numba: None) -> None:
    """So the two tests above can fail. ``backends()`` loads it too: nothing else tells whether that can be done."""
    for asked in ("fs.sigmoid(1.0, backend='numba')", "fs.backends()"):
        assert "numba" in printed(f"import fastsig as fs; {asked}; {LOADED}")


WITHOUT = {"c": "sys.modules['fastsig._c'] = None", "numba": "sys.modules['numba'] = None"}


def test_without_any_backend_import_is_one_clear_error() -> None:
    code = f"import sys; {WITHOUT['c']}; {WITHOUT['numba']}; import fastsig"
    error = error_of(code)
    assert error.startswith("ImportError: fastsig needs its C library or Numba, and has neither: ")
    assert "numba is not installed (pip install numba)" in error
    assert "During handling" not in run_python(code).stderr


@pytest.mark.parametrize(("missing", "other"), [("c", "numba"), ("numba", "c")])
def test_without_one_the_other_serves(missing: str, other: str, pytestconfig: pytest.Config) -> None:
    if other in pytestconfig.getoption("--hide"):
        pytest.skip("--hide: the other one is not there")
    code = f"{WITHOUT[missing]}; import fastsig as fs; {CALLS}; print(fs.sigmoid(np.float32(-100)).hex(), fs.explain(np.ones(3)))"
    value, words = printed(code.replace(".hex()", ".tobytes().hex()")).split(" ", 1)
    assert value == "1b000000"  # 27 * 2^-149
    assert words.startswith(f"sigmoid: {other}")
    status = printed(f"{WITHOUT[missing]}; import fastsig as fs; print(fs.backends()[{missing!r}])")
    assert status != "available"
    error = error_of(f"{WITHOUT[missing]}; import fastsig as fs; fs.sigmoid(1.0, backend={missing!r})")
    assert error == f"RuntimeError: backend={missing!r} cannot serve: {status}"


def test_without_c_there_is_no_abi() -> None:
    for function in ("get_include", "get_library"):
        error = error_of(f"{WITHOUT['c']}; import fastsig as fs; fs.{function}()")
        assert error.startswith("RuntimeError: the C library was not built for this installation")


def test_the_abi_is_there(need_c: None) -> None:
    assert (Path(fs.get_include()) / "fastsig.h").is_file()
    assert Path(fs.get_library()).is_file()


@pytest.mark.slow
@pytest.mark.parametrize("place", ["/dev/null/x", "/proc/nowhere"])
def test_an_unusable_numba_cache_is_no_error(place: str, need_numba: None) -> None:
    code = "import fastsig as fs, numpy as np; print(fs.sigmoid(np.float32(-100), backend='numba').tobytes().hex())"
    assert printed(code, NUMBA_CACHE_DIR=place) == "1b000000"


def test_python_dash_m_loads_no_peer_for_info(need_numba: None) -> None:
    done = run_python("import runpy; sys.argv = ['fastsig', 'info']; runpy.run_module('fastsig', run_name='__main__')")
    assert done.returncode == 0, done.stderr
    assert fs.__version__ in done.stdout


ONCE = {"logit(0.25, ": 3, "bce_with_logits([0.25], [1], ": 1, "sigmoid_focal_loss([0.25], [1], gamma=1.5, ": 1}
"""Calls, and the files in the cache after each: a kernel for each type, of a loss for the one in use."""


@pytest.mark.slow
@pytest.mark.parametrize("call", ONCE)
def test_numba_kernels_are_compiled_once(call: str, tmp_path: Path, need_numba: None) -> None:
    """A second process finds in the cache what the first has compiled, and the cache does not grow."""
    code = f"import fastsig as fs; print(fs.{call}backend='numba'))"
    first = printed(code, NUMBA_CACHE_DIR=str(tmp_path))
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb?")}
    assert len(kept) == ONCE[call]
    assert printed(code, NUMBA_CACHE_DIR=str(tmp_path)) == first
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb?")} == kept


@pytest.mark.slow
def test_kernels_cached_by_several_processes_are_not_mixed_up(tmp_path: Path, need_numba: None) -> None:
    """Each compiled first in its own process, then all loaded into one; Numba alone would give some of them the same symbols."""
    names = ("sigmoid", "logit", "bce")
    call = "print([float(v) for v in availability.ufunc_of('numba', {name!r})(*[np.array([0.25, 0.75], d)] * {nin})])"
    head = "import numpy as np; from fastsig.dispatch import availability"
    alone, together = [], [head]
    for name in names:
        for dtype in ("e", "f", "d"):
            code = f"d = {dtype!r}; " + call.format(name=name, nin=2 if name == "bce" else 1)
            together.append(code)
            if dtype == "e":
                alone.append(printed(f"{head}\n{code}", NUMBA_CACHE_DIR=str(tmp_path)))
    got = printed("\n".join(together), NUMBA_CACHE_DIR=str(tmp_path)).splitlines()
    assert got[::3] == alone
    assert len(set(got)) == 9


@pytest.mark.slow
def test_loss_kernels_cached_by_several_processes_are_not_mixed_up(tmp_path: Path, need_numba: None) -> None:
    """As above: plain and weighted, with and without a gradient, of two types."""
    head = "import numpy as np, fastsig as fs; x, t = np.array([0.25, -3]), np.array([1, 0.5])"
    calls = [
        f"fs.{name}(x.astype({dtype!r}), t, reduction='none'{options}, backend='numba')"
        for name, options in (
            ("bce_with_logits", ""), ("bce_with_logits_value_and_grad", ""), ("bce_with_logits", ", weight=2.0"),
            ("sigmoid_focal_loss", ", gamma=2.5"),
        )
        for dtype in ("f4", "f8")
    ]  # fmt: skip
    alone = [printed(f"{head}\nprint(repr({call}))", NUMBA_CACHE_DIR=str(tmp_path)) for call in calls]
    together = "\n".join([head, *(f"print(repr({call}))" for call in calls)])
    assert printed(together, NUMBA_CACHE_DIR=str(tmp_path)) == "\n".join(alone)
    assert len(set(alone)) == len(calls)


def test_no_module_of_it_is_warned_as_it_is_imported(pytestconfig: pytest.Config) -> None:
    """Of a name that NumPy, cffi or Numba will drop: a test that imports fastsig later than the first one hears nothing of it."""
    found = printed(
        """
import importlib, pkgutil, warnings
warnings.resetwarnings()
warnings.filterwarnings("error", module="fastsig|_fastsig_numba")
import fastsig, _fastsig_numba
imported = 0
for module in pkgutil.walk_packages(fastsig.__path__, "fastsig.", onerror=lambda name: None):
    try:
        importlib.import_module(module.name)
        imported += 1
    except ImportError:
        pass
print(imported)
""",
        pytestconfig,
    )
    assert int(found) > 50
