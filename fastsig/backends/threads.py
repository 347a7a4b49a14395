"""One big array shared among threads: contiguous pieces, each a call of the serial ufunc, which releases the GIL.

No OpenMP and no Numba threading layer: nothing here hangs after a fork or aborts when two Python threads call at once.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numpy as np

PIECE = 1 << 14
"""Pieces are multiples of this many elements, so that no two threads write to one page of a small-typed output."""

_pool: ThreadPoolExecutor | None = None
_lock = threading.Lock()
_inside = threading.local()


def _forget_pool() -> None:
    """A forked child has none of the parent's threads."""
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def available_cpus() -> int:
    """The CPUs that this process may use: affinity, and a container's quota where Python knows it."""
    count = getattr(os, "process_cpu_count", None)
    if count is not None:
        return int(count() or 1)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _workers(count: int) -> ThreadPoolExecutor:
    global _pool
    with _lock:
        if _pool is None or _pool._max_workers < count:
            _pool = ThreadPoolExecutor(count, thread_name_prefix="fastsig")
        return _pool


def inside_worker() -> bool:
    """Whether this thread is one of ours, which then computes alone."""
    return getattr(_inside, "worker", False)


def _run_as_worker(work: Callable[[slice], Any], piece: slice) -> None:
    _inside.worker = True
    work(piece)


def over_pieces(work: Callable[[slice], Any], size: int, threads: int) -> None:
    """work(piece) for slices that cover range(size), on so many threads; the first error is raised when all have ended."""
    share = -(-size // threads)
    share = -(-share // PIECE) * PIECE
    pieces = [slice(start, min(start + share, size)) for start in range(0, size, share)]
    if len(pieces) == 1:
        work(pieces[0])
        return
    others = [_workers(threads - 1).submit(_run_as_worker, work, piece) for piece in pieces[1:]]
    try:
        work(pieces[0])
    finally:
        wait(others)
    for other in others:
        other.result()


def _in_memory_order(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A contiguous array's elements as a one-dimensional view."""
    return array.reshape(-1, order="A")


def shareable(x: Any, out: Any, least_bytes: int) -> bool:
    """Whether pieces of x and out can be computed apart: floats side by side in one layout, x itself or no memory in common."""
    if type(x) is not np.ndarray or x.nbytes < least_bytes or x.dtype.kind != "f" or x.dtype.itemsize > 8 or inside_worker():
        return False
    if not (x.flags.c_contiguous or x.flags.f_contiguous) or not x.flags.aligned or not x.dtype.isnative:
        return False
    if out is None or out is x:
        return out is None or bool(x.flags.writeable)
    return (
        type(out) is np.ndarray
        and out.dtype == x.dtype
        and out.shape == x.shape
        and out.strides == x.strides
        and bool(out.flags.writeable and out.flags.aligned)
        and not np.may_share_memory(x, out)
    )


def unary(ufunc: np.ufunc, x: np.ndarray[Any, Any], out: np.ndarray[Any, Any] | None, threads: int) -> np.ndarray[Any, Any]:
    """ufunc(x, out) on so many threads, for a shareable x and out."""
    result = np.empty_like(x) if out is None else out
    source, target = _in_memory_order(x), _in_memory_order(result)
    over_pieces(lambda piece: ufunc(source[piece], target[piece]), x.size, threads)
    return result
