"""The C backend: ufuncs over the compiled library. The only importer of the cffi module; ImportError where it was not built."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

import fastsig

if TYPE_CHECKING:
    from pathlib import Path


def _compiled() -> ModuleType:
    """fastsig._c; also where the current directory is a checkout, which has none and hides the installed package that has it."""
    try:
        return importlib.import_module("fastsig._c")
    except ModuleNotFoundError:
        fastsig.__path__ = pkgutil.extend_path(fastsig.__path__, "fastsig")
        return importlib.import_module("fastsig._c")


_c = _compiled()
_ffi, _lib = _c.ffi, _c.lib

UFUNCS: dict[str, np.ufunc] = {}
if _lib.fastsig_install_ufuncs(_ffi.cast("void *", id(UFUNCS))):
    raise ImportError("fastsig: the C library could not make its ufuncs (NumPy printed why above)")


QUICK: dict[str, Any] = {}
if _lib.fastsig_install_quick(_ffi.cast("void *", id(QUICK))):
    raise ImportError("fastsig: the C library could not make its functions (Python printed why above)")


def register_bfloat16(dtype: np.dtype[np.generic]) -> None:
    """Teach the ufuncs ml_dtypes' bfloat16, whose type number exists only once that package is imported."""
    if _lib.fastsig_register_bfloat16(_ffi.cast("void *", id(UFUNCS)), dtype.num):
        raise RuntimeError("fastsig: NumPy refused the bfloat16 loops (it printed why above)")


def make_entries(functions: dict[str, tuple[ModuleType, Callable[..., Any], str]]) -> dict[str, Callable[..., Any]]:
    """Built-in functions by name, that call the ufunc for plain small arguments and the given general function for all else.

    A Python function with these eleven parameters costs more than the ufunc that it calls (benchmarks/NOTES.md, "Calls").
    """
    table: dict[str, Any] = dict(functions)
    if _lib.fastsig_make_entries(_ffi.cast("void *", id(UFUNCS)), _ffi.cast("void *", id(table))):
        raise ImportError("fastsig: the C library could not make its entries (Python printed why above)")
    return table


def set_entry_sizes(elements: dict[str, int]) -> None:
    """From so many elements of a dtype on the built-in entries ask the general function."""
    _lib.fastsig_set_entry_sizes([elements[dtype] for dtype in ("float16", "bfloat16", "float32", "float64")])


def share(ufunc: np.ufunc, x: np.ndarray[Any, Any], out: np.ndarray[Any, Any], threads: int) -> bool:
    """ufunc(x, out) on so many threads of the C library, for arrays of one type and gapless layout; False where it has no such loop."""
    address = _ffi.cast
    return bool(_lib.fastsig_share(address("void *", id(ufunc)), address("void *", id(x)), address("void *", id(out)), threads) == 0)


def isa() -> str:
    """The instruction set in use: "baseline", "v3" (AVX2) or "v4" (AVX-512)."""
    return str(_ffi.string(_lib.fastsig_isa()).decode())


def isas() -> list[str]:
    """The instruction sets that this machine and this build have."""
    return [name for name in ("baseline", "v3", "v4") if _lib.fastsig_isa_available(name.encode())]


def set_isa(name: str) -> None:
    """Force an instruction set, for tests: results never depend on it."""
    if _lib.fastsig_set_isa(name.encode()):
        raise ValueError(f"isa={name!r} is not available here; this machine and build have {', '.join(isas())}")


def stream_bytes() -> int:
    return int(_lib.fastsig_stream_bytes())


def set_stream_bytes(count: int) -> None:
    """Outputs of at least this many bytes are written past the caches; results never depend on it."""
    _lib.fastsig_set_stream_bytes(count)


def _package() -> Path:
    """Where the compiled part of the package was installed."""
    from pathlib import Path

    return Path(str(_c.__file__)).parent


def include_dir() -> Path:
    return _package() / "include"


def library_path() -> Path:
    return next(p for p in (_package() / "lib").iterdir() if p.name.startswith(("libfastsig", "fastsig")))


def reduce(plan: np.ndarray[Any, Any], numbers: tuple[float, ...], start: int, stop: int, total: np.ndarray[Any, Any]) -> int:
    """Elements start to stop of a loss's plan (``fastsig.plans``), block sums added to total; returns what was bad about the input."""
    words, sums = _ffi.from_buffer("int64_t[]", plan), _ffi.from_buffer("int64_t[]", total)
    return int(_lib.fastsig_reduce(words, _ffi.new("double[]", numbers), start, stop, sums))


def reduce_all(plan: np.ndarray[Any, Any], numbers: tuple[float, ...], threads: int, total: np.ndarray[Any, Any]) -> int:
    """All elements of the plan, on at most so many threads of the C library."""
    words, sums = _ffi.from_buffer("int64_t[]", plan), _ffi.from_buffer("int64_t[]", total)
    return int(_lib.fastsig_reduce_all(words, _ffi.new("double[]", numbers), threads, sums))
