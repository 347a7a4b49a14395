"""What the dispatcher would do and why, and where the C ABI is."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import arrays, dispatch, gpu
from .backends import threads as sharing
from .backends.limits import in_worker, thread_limit
from .ops import BY_NAME, OPS

try:
    from .backends import c as _c
except ImportError:
    _c = None  # type: ignore[assignment]


def explain(*operands: Any, op: str = "sigmoid", backend: str | None = None, threads: int | None = None) -> str:
    """Which backend would serve this call, with how many threads, and why.

    Parameters
    ----------
    *operands : array_like
        What the operation would be called with.
    op : str
        The operation's name.
    backend, threads
        As in the call.

    Returns
    -------
    str
        One line, such as "sigmoid: c (v4), 1 thread: host array; the C library needs no compiling; one thread; thresholds built in".

    Raises
    ------
    ValueError
        The operation or the backend is unknown, or no array was given.
    """
    if op not in BY_NAME:
        raise ValueError(f"op={op!r} is unknown; known operations are {', '.join(row.name for row in OPS)}")
    if not operands:
        raise ValueError("explain() needs the array, or the arrays, of the call")
    chosen = dispatch.named(backend)
    device = arrays.common_device(**{f"operand {i}": x for i, x in enumerate(operands)})
    if device != "cpu" or chosen == "cuda":
        return gpu.explained(op, operands, device, chosen)
    first = np.asanyarray(operands[0])
    least = dispatch.least_shared(op, first.dtype.name, threads)
    alone, limit = _most_threads(op, operands[0], device, threads)
    how = dispatch.choose(device, first.size, first.dtype, {chosen} if chosen else dispatch.available(), limit, least)
    served, why = how.backend, f"it was named; {how.why.rpartition('; ')[2]}" if chosen else how.why
    if not chosen and served == "c" and _c is not None and dispatch.faster(op, first, _c.UFUNCS[op]) is not _c.UFUNCS[op]:
        served, why = "numba", f"host array; loaded here, and faster by what tune measured; {how.why.rpartition('; ')[2]}"
    if served == "c" and _c is not None:
        served = f"c ({_c.isa()})"
    return f"{op}: {served}, {how.threads} thread{'s' * (how.threads > 1)}: {why}{alone}; thresholds {dispatch.thresholds().source}"


def _most_threads(op: str, x: Any, device: str, threads: int | None) -> tuple[str, int]:
    """Why a large array would have one thread all the same, and the most threads."""
    limit = thread_limit(threads)
    if device != "cpu":
        return "", 1
    if BY_NAME[op].nin > 1:
        return " (operations of two inputs are not shared)", 1
    if not sharing.shareable(x, None):
        return " (only contiguous NumPy arrays of floats are shared)", 1
    return (f" ({in_worker()})" if threads is None and limit == 1 and in_worker() else ""), limit


def get_include() -> str:
    """The directory of ``fastsig.h``, the C ABI; RuntimeError where the C library was not built."""
    if _c is None:
        raise RuntimeError(dispatch.backends()["c"])
    return str(_c.include_dir())


def get_library() -> str:
    """The path of the shared library behind ``fastsig.h``; RuntimeError where it was not built."""
    if _c is None:
        raise RuntimeError(dispatch.backends()["c"])
    return str(_c.library_path())
