"""No call reads or writes a byte beyond its arrays: in a process of its own, for that would end it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from processes import run_python

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the pages are protected by Linux's own call")
IMPORT = f"sys.path.insert(0, {str(Path(__file__).parent)!r}); import guard_pages, numpy as np, fastsig as fs"


def test_the_guards_guard() -> None:
    done = run_python(
        f"{IMPORT}; x = list(guard_pages.arrays(guard_pages._between_guards(), 'f4', 5))[2]; x.ctypes.data_as("
        "__import__('ctypes').POINTER(__import__('ctypes').c_float))[5]"
    )
    assert done.returncode < 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "what, least", [("functions", 400_000), ("bfloat16", 140_000), ("masked", 9_000), ("layouts", 20_000), ("losses", 20_000)]
)
def test_every_length(what: str, least: int, backend: str, pytestconfig: pytest.Config) -> None:
    if what == "bfloat16" and backend == "numba":
        pytest.skip("bfloat16 arrays of ml_dtypes are served by the C library")
    done = run_python(f"{IMPORT}; print(guard_pages.{what}({backend!r}))", pytestconfig, timeout=600)
    assert done.returncode == 0, f"status {done.returncode}: {done.stderr}"
    assert int(done.stdout) >= least
