"""The C backend: ufuncs over the compiled library; ImportError where it was not built."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from fastsig.arrays.dtypes import Array
from fastsig.kernels.c.extension import FILE, LIBRARY_FILE
from fastsig.kernels.c.extension import ffi as _ffi
from fastsig.kernels.c.extension import lib as _lib
from fastsig.system.num_threads import affinity

if TYPE_CHECKING:
    from pathlib import Path


UFUNCS: dict[str, np.ufunc] = {}
if _lib.fastsig_install_ufuncs(_ffi.cast("void *", id(UFUNCS))):
    raise ImportError("fastsig: the C library could not make its ufuncs (NumPy printed why above)")

ROUNDED_UFUNCS: dict[str, np.ufunc] = {}
"""Of ``fastsig.correctly_rounded``."""
if _lib.fastsig_install_rounded(_ffi.cast("void *", id(ROUNDED_UFUNCS))):
    raise ImportError("fastsig: the C library could not make its correctly rounded ufuncs (NumPy printed why above)")


_FUNCTIONS: dict[str, Callable[..., Any]] = {}
if _lib.fastsig_install_functions(_ffi.cast("void *", id(_FUNCTIONS))):
    raise ImportError("fastsig: the C library could not make its functions (Python printed why above)")
quick_loss = _FUNCTIONS["quick"]
"""A loss of host arrays in one step (``cext/python/losses.c``), or NotImplemented."""
quick_sums = _FUNCTIONS["quick_sums"]
"""Sums of losses and weights, likewise."""
share = _FUNCTIONS["share"]
"""share(ufunc, x, out, threads): ufunc(x, out) on so many threads of the C library, for arrays of one gapless layout; False where it has
no such loop. A signal's handler that raises stops it within a fraction of a second, with what is in out unspecified."""
share_masked = _FUNCTIONS["share_masked"]
"""share_masked(ufunc, x, out, mask, threads) likewise, for three of one shape and layout; False where they are not, or share memory."""
compute_awkward = _FUNCTIONS["compute_awkward"]
"""compute_awkward(ufunc, x, out): the output, out itself or a new one for None, of arrays that NumPy's iterator brings to a loop at a
great price (``cext/python/layouts.c``), on one thread; None, and nothing is done, for others. Stopped as ``share``."""

fused = _FUNCTIONS["fused"]
"""fused(rows, threads): a gate over rows (``fastsig.kernels.rows``) on so many threads of the C library; stopped as ``share``."""
quick_fused = _FUNCTIONS["quick_fused"]
"""A gate of host arrays in one step (``cext/python/fused.c``), or NotImplemented."""
gpu_launch = _FUNCTIONS["gpu_launch"]
"""gpu_launch(kernel, device, stream, blocks, threads, arguments): the driver's launch of a kernel on an NVIDIA GPU; False, and nothing is
done, where another device is the current one. Whole numbers, and floats among the arguments, are 8 bytes each."""
gpu_clear = _FUNCTIONS["gpu_clear"]
"""gpu_clear(address, bytes, device, stream): zeros there, likewise."""


_lib.fastsig_set_affinity(affinity())


def register_bfloat16(dtype: np.dtype[np.generic]) -> None:
    """Teach the ufuncs ml_dtypes' bfloat16, whose type number exists only once that package is imported."""
    if _lib.fastsig_register_bfloat16(dtype.num) or _lib.fastsig_register_rounded_bfloat16(dtype.num):
        raise RuntimeError("fastsig: NumPy refused the bfloat16 loops (it printed why above)")


def make_fast_calls(functions: dict[str, Callable[..., Any]], straight: bool) -> dict[str, Callable[..., Any]]:
    """Functions by name like the given ones, that call the ufunc for plain small arguments and the given ones for all else.

    They are Python functions to whoever looks at them, but a call of one does not run Python: eleven parameters cost more than the
    ufunc (benchmarks/NOTES.md, "Calls"). Not ``straight``: all calls are left to the given functions.
    """
    fast: dict[str, Callable[..., Any]] = {name: _copy(function) for name, function in functions.items()}
    table = {name: (fast[name], function) for name, function in functions.items()}
    if _lib.fastsig_make_fast_calls(_ffi.cast("void *", id(table)), straight):
        raise ImportError("fastsig: the C library could not make its fast calls (Python printed why above)")
    return fast


def _copy(function: Any) -> FunctionType:
    copy = FunctionType(function.__code__, function.__globals__, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__, copy.__annotations__ = function.__kwdefaults__, function.__annotations__
    copy.__module__, copy.__doc__ = function.__module__, function.__doc__
    return copy


def set_fast_call_sizes(elements: dict[str, int]) -> None:
    """From so many elements of a dtype on the fast calls ask the general function."""
    _lib.fastsig_set_fast_call_sizes([elements[dtype] for dtype in ("float16", "bfloat16", "float32", "float64")])


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


def include_dir() -> Path:
    """Beside the extension, where the compiled part of the package was installed."""
    from pathlib import Path

    return Path(FILE).parent / "include"


def library_path() -> Path:
    from pathlib import Path

    return Path(LIBRARY_FILE)


def reduce_all(plan: Array, numbers: tuple[float, ...], threads: int) -> tuple[int, list[Array]]:
    """All elements of a loss's plan (``fastsig.kernels.plan``), on at most so many threads of the C library: what was bad about the
    input, and the exact sum. A signal's handler that raises stops it, as in ``share``."""
    violations, total = _FUNCTIONS["pass"](plan, np.array(numbers, np.float64), threads)
    return violations, [total]
