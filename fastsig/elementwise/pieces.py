"""A long call that NumPy's own loop would walk in one go, cut into pieces: Ctrl-C is heard between two."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

LONG = 1 << 24
"""The elements of a call that could take a second."""

PIECE = 1 << 20
"""The elements of a piece, which takes at most 100 ms: gaps that miss every cache, casts and subnormal results cost up to 100 ns each."""


PLAIN = (np.ndarray, np.memmap)
"""The types whose results NumPy gives as plain arrays."""


def is_long(x: Any, out: Any, options: dict[str, Any]) -> bool:
    operands = [operand for operand in (x, out, options.get("where")) if isinstance(operand, np.ndarray)]
    return max((operand.size for operand in operands), default=0) >= LONG


def computed(ufunc: np.ufunc, x: Any, out: Any, options: dict[str, Any]) -> np.ndarray[Any, Any] | None:
    """What NumPy makes of ufunc(x, out=out, **options), in the same memory layout; None where it is not to be cut or is refused."""
    if type(out) is tuple and len(out) == 1:
        (out,) = out
    mask, order = options.get("where", True), options.get("order", "K")
    casts = {key: value for key, value in options.items() if key in ("dtype", "casting")}
    masked = mask is not True
    operands = [x] + [out] * (out is not None) + [mask] * masked
    if any(type(operand) not in PLAIN for operand in operands) or (masked and (out is None or mask.dtype != bool)):
        return None
    if out is not None and any(_overlap(out, operand) for operand in operands if operand is not out):
        return None
    dtype = ufunc(np.empty(0, x.dtype), subok=options.get("subok", True), **casts).dtype
    if not (np.can_cast(x.dtype, dtype) and (out is None or np.can_cast(dtype, out.dtype))):
        return None  # for NumPy warns of a cast that overflows, and warns once
    x, target, mask = (None if operand is None else np.asarray(operand) for operand in (x, out, mask if masked else None))
    walk = _walk([x, target, mask] if masked else [x, target], dtype if target is None else target.dtype, order)
    if walk is None:
        return None
    with walk:
        source, target, *masks = walk.itviews
        result: np.ndarray[Any, Any] = walk.operands[1]
        for piece in _pieces(source.shape):
            where = {"where": masks[0][piece]} if masked else {}
            ufunc(source[piece], out=target[piece], **where, **casts)
    return result if out is None else out


def _overlap(out: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    """Whether writing a piece of out could change a later piece of the other."""
    same = (out.ctypes.data, out.strides, out.shape) == (other.ctypes.data, other.strides, other.shape)
    return not same and np.may_share_memory(out, other)


def _walk(operands: list[np.ndarray[Any, Any] | None], dtype: np.dtype[Any], order: Any) -> np.nditer | None:
    """NumPy's own arrangement of axes for these operands, with the output that it would allocate."""
    flags: list[Any] = [["readonly"], ["writeonly", "allocate", "no_broadcast"], ["readonly"]]
    dtypes = [None, dtype, None]
    count = len(operands)
    try:
        return np.nditer(operands, ["external_loop", "zerosize_ok"], flags[:count], dtypes[:count], order, "unsafe")
    except (TypeError, ValueError):
        return None


def _pieces(shape: tuple[int, ...]) -> Iterator[tuple[int | slice, ...]]:
    """Indexes of the pieces, whose last index is a slice of the axis that is cut."""
    inner = prod(shape[1:])
    if inner > PIECE:
        for first in range(shape[0]):
            for rest in _pieces(shape[1:]):
                yield (first, *rest)
        return
    step = max(PIECE // max(inner, 1), 1)
    for start in range(0, shape[0], step):
        yield (slice(start, start + step),)
