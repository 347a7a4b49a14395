"""fastsig.interop.threadpoolctl: the pool is listed, limited, and left as it was."""

from __future__ import annotations

import importlib
import threading
from typing import Any

import numpy as np
import pytest
from processes import error_of, printed

import fastsig as fs
from fastsig.system import num_threads

threadpoolctl = pytest.importorskip("threadpoolctl")
pytestmark = pytest.mark.alone

X = np.ones(1 << 20)


@pytest.fixture(autouse=True)
def four_threads(need_c: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine of four."""
    importlib.import_module("fastsig.interop.threadpoolctl")
    monkeypatch.setattr(num_threads, "available_cpus", lambda: 4)


def listed() -> list[dict[str, Any]]:
    return [row for row in threadpoolctl.threadpool_info() if row["internal_api"] == "fastsig"]


def test_it_is_listed() -> None:
    assert listed() == [
        {
            "user_api": "fastsig",
            "internal_api": "fastsig",
            "num_threads": 4,
            "prefix": "libfastsig",
            "filepath": fs.get_library(),
            "version": fs.__version__,
        }
    ]


def test_it_is_not_listed_unasked(pytestconfig: pytest.Config) -> None:
    code = "import threadpoolctl, fastsig; print([r for r in threadpoolctl.threadpool_info() if 'fastsig' in r['prefix']])"
    assert printed(code, pytestconfig) == "[]"


@pytest.mark.parametrize("limits", [1, {"fastsig": 1}, {"libfastsig": 1}])
def test_it_is_limited_and_restored(limits: Any) -> None:
    with threadpoolctl.threadpool_limits(limits):
        assert fs.get_num_threads() == 1
        assert ", 1 thread: " in fs.explain(X)
        assert listed()[0]["num_threads"] == 1
    assert fs.get_num_threads() == 4
    assert ", 4 threads: " in fs.explain(X)


def test_limits_of_others_leave_it() -> None:
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        assert fs.get_num_threads() == 4


def test_what_was_set_is_restored() -> None:
    fs.set_num_threads(3)
    with threadpoolctl.threadpool_limits(2, user_api="fastsig"):
        assert fs.get_num_threads() == 2
    assert fs.get_num_threads() == 3


def test_the_default_is_restored_as_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    with threadpoolctl.threadpool_limits(1):
        pass
    monkeypatch.setattr(num_threads, "available_cpus", lambda: 7)
    assert fs.get_num_threads() == 7


def test_a_thread_that_limits_leaves_the_main_threads_number() -> None:
    seen: list[tuple[int, int]] = []

    def limit() -> None:
        with threadpoolctl.threadpool_limits(2, user_api="fastsig"):
            seen.append((fs.get_num_threads(), listed()[0]["num_threads"]))

    other = threading.Thread(target=limit)
    other.start()
    other.join()
    assert seen == [(1, 2)], "its own calls use one thread, as ever"
    assert fs.get_num_threads() == 4


def test_zero_is_refused_in_words() -> None:
    with pytest.raises(ValueError, match="threads=0 must be a positive whole number"):
        threadpoolctl.threadpool_limits(0, user_api="fastsig")


def test_without_threadpoolctl_the_error_names_the_extra(pytestconfig: pytest.Config) -> None:
    error = error_of("import sys; sys.modules['threadpoolctl'] = None; import fastsig.interop.threadpoolctl", pytestconfig)
    assert error == (
        "ImportError: fastsig.interop.threadpoolctl needs threadpoolctl 3.2 or newer: pip install 'fastsig-kernels[threadpoolctl]'"
    )
