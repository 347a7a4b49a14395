"""What ``import fastsig`` loads and needs, and what it does where a backend is not there."""

from __future__ import annotations

from pathlib import Path

import pytest
from processes import error_of, printed, run_python

import fastsig as fs

HEAVY = ("numba", "llvmlite", "torch", "cupy", "dask", "pandas", "scipy", "matplotlib", "ml_dtypes", "sklearn", "jax", "rich", "xarray")
LOADED = f"print(sorted({set(HEAVY)!r} & set(sys.modules)))"
CALLS = "import numpy as np; fs.sigmoid(np.ones(10)); fs.logit(0.5); fs.silu(np.ones(1 << 20)); fs.ufuncs.bce(0.5, 1.0); fs.backends()"


def test_import_loads_no_array_library(need_numba: None) -> None:
    assert printed("import fastsig; " + LOADED) == "[]"


def test_calls_load_none_either(need_c: None, need_numba: None) -> None:
    """No call waits for a compiler unless it asked for that backend by name."""
    assert printed(f"import fastsig as fs; {CALLS}; fs.explain(np.ones(3)); {LOADED}") == "[]"


def test_numba_is_loaded_when_named(need_numba: None) -> None:
    """So the two tests above can fail."""
    assert "numba" in printed("import fastsig as fs; fs.sigmoid(1.0, backend='numba'); " + LOADED)


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
