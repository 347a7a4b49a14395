"""Which arrays can be shared among threads, and one operation over such an array by the C library's pool or by Python's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastsig.arrays.dtypes import broadcasts
from fastsig.kernels.c.status import library as c
from fastsig.system import first_calls, thread_pool

Share = Callable[[np.ufunc, np.ndarray[Any, Any], np.ndarray[Any, Any], int], bool]

share: Share | None = None if c is None else c.share
"""The C library's threads, which serve the loops of both backends."""

SHARED: dict[np.dtype[Any], str] = {np.dtype(name): name for name in ("float16", "float32", "float64")}
"""The dtypes whose arrays are shared, and their names, which NumPy takes long to make; ``notice_bfloat16`` adds the fourth."""

_BYTES = {np.dtype(name): name for name in ("bool", "int8", "uint8")}
"""These become halves, and are shared where the output is new."""
SHARED |= _BYTES

_bfloat16_known = False


def notice_bfloat16(x: Any) -> None:
    """Give the C ufuncs their bfloat16 loops when the first such array comes: ml_dtypes, which makes the type, is loaded by then."""
    global _bfloat16_known
    if not _bfloat16_known and c is not None:
        dtype: Any = getattr(x, "dtype", None)
        if getattr(dtype, "kind", "") == "V" and dtype.name == "bfloat16":
            with first_calls.LOCK:
                if not _bfloat16_known:
                    c.register_bfloat16(dtype)
                    SHARED[dtype] = "bfloat16"
                    _bfloat16_known = True


def _in_memory_order(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A contiguous array's elements as a one-dimensional view."""
    return array.reshape(-1, order="A")


def shareable(x: Any, out: Any) -> bool:
    """Whether pieces of x and out can be computed apart: elements side by side in one layout, x itself or no memory in common."""
    if type(x) is not np.ndarray or x.dtype not in SHARED or thread_pool.inside_worker():
        return False
    flags = x.flags
    if not (flags.forc and flags.aligned):
        return False
    if out is None or x.dtype in _BYTES:
        return out is None
    if out is x:
        return bool(flags.writeable)
    if type(out) is not np.ndarray or out.dtype != x.dtype or out.strides != x.strides or out.shape != x.shape:
        return False
    others = out.flags
    return bool(others.behaved) and bool((flags.owndata and others.owndata) or not np.may_share_memory(x, out))


def mask_like(x: np.ndarray[Any, Any], mask: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
    """The mask in the shape and the layout of x; None where it is no mask, or would not be broadcast to just that shape."""
    if mask.dtype != bool or not broadcasts(mask.shape, x.shape):
        return None
    if mask.shape == x.shape and mask.strides == tuple(step // x.itemsize for step in x.strides):
        return mask
    alike = np.empty_like(x, bool)
    np.copyto(alike, mask)
    return alike


def unary(ufunc: np.ufunc, x: np.ndarray[Any, Any], out: np.ndarray[Any, Any] | None, threads: int) -> np.ndarray[Any, Any]:
    """ufunc(x, out) on so many threads, for a shareable x and out."""
    result = np.empty_like(x, np.float16 if x.dtype in _BYTES else None) if out is None else out
    if share is None or not share(ufunc, x, result, threads):
        source, target = _in_memory_order(x), _in_memory_order(result)
        thread_pool.over_pieces(lambda piece: ufunc(source[piece], target[piece]), x.size, threads)
    return result
