"""Signals that end a process: what it has open is cleaned up first, and what must not be cut in two is not."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]


class _Ended(BaseException):
    """Unwinds the stack, as KeyboardInterrupt does."""


@contextmanager
def ending_in_order() -> Iterator[None]:
    """SIGTERM and SIGHUP unwind the block, so that what it has open is cleaned up, and then end the process as they do by themselves.

    A second one ends it at once. Where somebody ignores or handles them, and in any thread but the main one, all stays as it is.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    taken = [number for number in _ENDING if signal.getsignal(number) is signal.SIG_DFL]
    received: list[int] = []

    def unwind(number: int, _: FrameType | None) -> None:
        give_back()
        received.append(number)
        raise _Ended

    def give_back() -> None:
        for number in taken:
            if signal.getsignal(number) is unwind:
                signal.signal(number, signal.SIG_DFL)

    try:
        for number in taken:
            signal.signal(number, unwind)
        yield
    finally:
        give_back()
        if received:
            os.kill(os.getpid(), received[0])


@contextmanager
def held_back() -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP arrive after the block, which must be short.

    In the main thread only: in another no handler runs, and nothing keeps a signal without one from ending the process.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    before = {}
    try:
        for number in (*_ENDING, signal.SIGINT):
            handler = signal.getsignal(number)
            if handler not in (signal.SIG_IGN, None):  # None: set by other than Python, which could not be put back
                before[number] = handler
                signal.signal(number, lambda number, _: waiting.append(number))
        yield
    finally:
        for number, handler in before.items():  # Ctrl-C's last: it interrupts from then on
            signal.signal(number, handler)
        for number in waiting:
            signal.raise_signal(number)
