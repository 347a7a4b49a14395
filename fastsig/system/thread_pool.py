"""One big array shared among Python's threads, for what the C library's pool (``cext/pool.c``) does not run.

No OpenMP and no Numba threading layer: nothing here hangs after a fork or aborts when two Python threads call at once. The threads live
as long as the call, so a fork finds no pool that it could break. A call ends when none of them is at work, also where a signal's
handler raises meanwhile; and what they read and write lives until then, whoever forgets it.
"""

from __future__ import annotations

import _thread
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

PIECE = 1 << 14
"""Pieces are multiples of this many elements, so that no two threads write to one page of a small-typed output."""

MOST = 1 << 20
"""The most elements of a piece, a few milliseconds: Ctrl-C is heard between two pieces."""

_inside = threading.local()


def inside_worker() -> bool:
    """Whether this thread is one of ours, which then computes alone."""
    return getattr(_inside, "worker", False)


class _Helper:
    """A thread that takes part in a job. Not a ``threading.Thread``: an interrupted ``join`` takes it for ended."""

    def __init__(self) -> None:
        self._ended = False
        self._at_work = _thread.allocate_lock()
        self._at_work.acquire()

    def end(self) -> None:
        self._ended = True
        self._at_work.release()

    def wait(self) -> None:
        """Can be called again after an exception in the middle of it."""
        while not self._ended:
            self._at_work.acquire()


class _Job:
    """The pieces of a call that nobody has begun, and who is at work on others."""

    def __init__(self, work: Callable[[slice], Any], pieces: list[slice]) -> None:
        self._work, self._pieces = work, deque(pieces)
        self._helpers: list[_Helper] = []
        self.error: BaseException | None = None

    def take_part(self) -> None:
        """Compute pieces until there are none; after an error nobody begins another one."""
        try:
            while (piece := self._next()) is not None:
                self._work(piece)
        except BaseException as error:  # noqa: BLE001  # raised again by the thread that called
            self._fail(error)

    def _next(self) -> slice | None:
        try:
            return self._pieces.popleft()
        except IndexError:
            return None

    def _fail(self, error: BaseException) -> None:
        self._pieces.clear()
        self.error = error

    def help(self) -> None:
        """What another thread does. It is seen before it takes a piece: who ends the job waits for it, or leaves it none."""
        _inside.worker = True
        helper = _Helper()
        self._helpers.append(helper)
        try:
            self.take_part()
        finally:
            helper.end()

    def end(self) -> None:
        """Nobody is at work when this returns, and nobody begins; what signal handlers raise meanwhile is raised then."""
        raised: BaseException | None = None
        while True:
            try:
                self._pieces.clear()
                for helper in self._helpers:
                    helper.wait()
                break
            except BaseException as error:  # noqa: BLE001  # raised again below
                raised = error
        if raised is not None:
            raise raised


def over_pieces(work: Callable[[slice], Any], size: int, threads: int) -> None:
    """work(piece) for slices that cover range(size), on so many threads; an error is raised when all have ended.

    A thread at work holds ``work``, which must hold whatever it knows by its address only.
    """
    share = min(-(-size // threads), MOST)
    share = -(-share // PIECE) * PIECE
    pieces = [slice(start, min(start + share, size)) for start in range(0, size, share)]
    job = _Job(work, pieces)
    try:
        for _ in pieces[1:threads]:
            try:
                _thread.start_new_thread(job.help, ())
            except RuntimeError:  # the system gives no more threads: those that there are take the pieces
                break
        job.take_part()
    finally:
        job.end()
    error, job.error = job.error, None
    if error is not None:
        try:
            raise error
        finally:
            del error  # which knows this frame, and so what is kept alive
