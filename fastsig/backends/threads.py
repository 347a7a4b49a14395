"""One big array shared among threads, by the C library's pool (``cext/pool.c``), or where that was not built by Python's.

No OpenMP and no Numba threading layer: nothing here hangs after a fork or aborts when two Python threads call at once.
"""

from __future__ import annotations

import importlib
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

PIECE = 1 << 14
"""Pieces are multiples of this many elements, so that no two threads write to one page of a small-typed output."""

SHARED: dict[np.dtype[Any], str] = {np.dtype(name): name for name in ("float16", "float32", "float64")}
"""The dtypes whose arrays are shared, and their names, which NumPy takes long to make; dispatch adds bfloat16 when it comes."""

_pool: ThreadPoolExecutor | None = None
_lock = threading.Lock()
_inside = threading.local()


def _forget_pool() -> None:
    """A forked child has none of the parent's threads."""
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


def load_pool() -> None:
    """Import what Python's threads need: not later, in a call, because that import registers what is to happen at a fork, and a
    fork of another thread at that moment would do half of it. Not at once: it is a tenth of what ``import fastsig`` takes."""
    importlib.import_module("concurrent.futures.thread")


_IMPORTED_BY_CALLS = ("pathlib", "fractions", "concurrent.futures.thread", "numba")


def _finish_imports() -> None:
    """A fork in the middle of another thread's import would leave that module locked in the child: so wait for it before."""
    for name in _IMPORTED_BY_CALLS:
        if name in sys.modules:
            with suppress(ImportError):  # which is the other thread's to raise
                importlib.import_module(name)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_finish_imports, after_in_child=_forget_pool)


def _workers(count: int) -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor

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
    from concurrent.futures import wait

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


def shareable(x: Any, out: Any) -> bool:
    """Whether pieces of x and out can be computed apart: floats side by side in one layout, x itself or no memory in common."""
    if type(x) is not np.ndarray or x.dtype not in SHARED or inside_worker():
        return False
    flags = x.flags
    if not (flags.forc and flags.aligned):
        return False
    if out is None or out is x:
        return out is None or bool(flags.writeable)
    if type(out) is not np.ndarray or out.dtype != x.dtype or out.strides != x.strides or out.shape != x.shape:
        return False
    others = out.flags
    return bool(others.behaved) and bool((flags.owndata and others.owndata) or not np.may_share_memory(x, out))


Share = Callable[[np.ufunc, np.ndarray[Any, Any], np.ndarray[Any, Any], int], bool]


def unary(
    ufunc: np.ufunc, x: np.ndarray[Any, Any], out: np.ndarray[Any, Any] | None, threads: int, share: Share | None = None
) -> np.ndarray[Any, Any]:
    """ufunc(x, out) on so many threads, for a shareable x and out; by ``share`` where there is one that takes it."""
    result = np.empty_like(x) if out is None else out
    if share is None or not share(ufunc, x, result, threads):
        source, target = _in_memory_order(x), _in_memory_order(result)
        over_pieces(lambda piece: ufunc(source[piece], target[piece]), x.size, threads)
    return result
