"""What a call does once in a process: read settings, import, compile. A fork waits until no thread is in the middle of that.

A forked child has its parent's locks as they were and none of its threads: the lock of a module whose import another thread had begun,
or of a compiler that it was in, is never opened there. So whatever a call imports, reads or compiles, it does under ``LOCK``.
"""

from __future__ import annotations

import importlib
import os
import threading
from typing import Any

LOCK = threading.RLock()
"""A thread may fork within its own first call: it is then in the middle of it in the child too."""


class _Hook:
    """Holds a re-entrant lock over a fork. What it does may be broken off by a signal's handler and then done again."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock
        self._to_release: dict[int, bool] = {}
        """By forking thread: whether the lock is taken for the fork, or was that thread's before."""

    def take(self) -> None:
        self._to_release.setdefault(threading.get_ident(), not self._lock._is_owned())
        if not self._lock._is_owned():
            self._lock.acquire()

    def give_back(self) -> None:
        """Nothing where the hook was registered while the fork waited for another one."""
        if self._to_release.get(threading.get_ident()) and self._lock._is_owned():
            self._lock.release()
        self._to_release.pop(threading.get_ident(), None)


def hold_at_forks(*locks: Any) -> None:
    """Let a fork take these re-entrant locks in this order, before all that was registered until now, and give them back on both sides.

    The last hooks that were registered are the first to run. What a holder of one of these locks may wait for must be registered
    before (``logging`` has such a hook): else the fork would hold it already, and both would wait for ever.
    """
    if not hasattr(os, "register_at_fork"):
        return
    for lock in reversed(locks):
        hook = _Hook(lock)
        for _ in range(2):  # Ctrl-C may end a hook before its first step, and Python then goes on to the next
            os.register_at_fork(before=hook.take, after_in_parent=hook.give_back, after_in_child=hook.give_back)


hold_at_forks(LOCK)


def before_a_backend_is_loaded() -> None:
    """Under ``LOCK``. What a backend imports may wait for the lock of ``logging``, so the hook of that must stand before ours."""
    importlib.import_module("logging")
    hold_at_forks(LOCK)
