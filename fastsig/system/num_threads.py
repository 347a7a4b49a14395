"""How many threads a call may use: what the user set, the CPUs of this process, and one where somebody else shares out the work."""

from __future__ import annotations

import os
import sys
import threading
from enum import Enum
from typing import Any

import numpy as np

from fastsig.system.cpu import available_cpus


class Worker(Enum):
    """Whether a call is itself a share of somebody's work, of which there are others beside it."""

    NO = ""
    THREAD = "called from a worker thread"
    """One other than the main thread: concurrent.futures, joblib, dask."""
    PROCESS = "called in a worker process"
    """One that multiprocessing started: loky, dask."""


def in_worker() -> Worker:
    if threading.get_ident() != threading.main_thread().ident:
        return Worker.THREAD
    return Worker.PROCESS if _is_worker_process() else Worker.NO


def _is_worker_process() -> bool:
    processes = sys.modules.get("multiprocessing.process")
    parent = getattr(processes, "parent_process", None)
    return parent is not None and parent() is not None


_set: tuple[int, int] | None = None
"""The number that was set, and the process that set it: a forked worker inherits the number, but not the cores."""


def _count(text: str) -> int | None:
    """The text as a positive whole number; None where it is not one."""
    try:
        return int(text) or None if text.isascii() and text.isdigit() else None
    except ValueError:  # more digits than Python takes
        return None


_FROM_ENVIRONMENT = os.environ.get("FASTSIG_NUM_THREADS") or ""
"""Read once, at import: a look into the environment takes as long as all else that a call asks here."""
_FROM_OPENMP = _count(os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip())
"""The number for the outermost level, where there is a list. What is wrong with it is for OpenMP to say."""


def _setting() -> int:
    text = _FROM_ENVIRONMENT
    if not text:
        return available_cpus() if _FROM_OPENMP is None else _FROM_OPENMP
    count = _count(text)
    if count is None:
        raise ValueError(f"FASTSIG_NUM_THREADS={text!r} must be a positive whole number")
    return count


def default_of_process() -> int:
    """What a call from the main thread may use where nothing was set."""
    return 1 if _is_worker_process() else _setting()


def limit_of_process() -> int:
    """What a call from the main thread may use."""
    was_set = _set  # once: another thread may set it meanwhile
    if was_set is not None and (was_set[1] == os.getpid() or not _is_worker_process()):
        return was_set[0]
    return default_of_process()


def get_num_threads() -> int:
    """The most threads that a call from here may use, if it does not say ``threads=`` itself.

    What ``set_num_threads`` set, else ``FASTSIG_NUM_THREADS``, else the first number of ``OMP_NUM_THREADS``, both as they were at
    import, else the CPUs of this process: its affinity and its container's limit. Always 1 in a thread other than the main one,
    and in a process that multiprocessing, joblib or dask started, unless ``set_num_threads`` was called in that process: there are
    others beside it, which have the other cores.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        ``FASTSIG_NUM_THREADS`` is not a positive whole number.

    See Also
    --------
    set_num_threads : set it for this process.

    Examples
    --------
    >>> import fastsig as fs
    >>> fs.set_num_threads(2)
    >>> fs.get_num_threads()
    2
    >>> fs.set_num_threads(None)
    """
    return 1 if in_worker() is Worker.THREAD else limit_of_process()


def set_num_threads(n: int | None) -> None:
    """Set the most threads that a call may use; None returns to the default.

    Parameters
    ----------
    n : int or None
        At least 1. A call's own ``threads=`` comes before it.

    Raises
    ------
    ValueError
        n is not a positive whole number.

    See Also
    --------
    get_num_threads : what is in force.

    Examples
    --------
    >>> import fastsig as fs
    >>> fs.set_num_threads(1)  # no call shares its work, unless it says threads=
    >>> fs.set_num_threads(None)
    """
    global _set
    _set = None if n is None else (checked(n), os.getpid())


def checked(n: Any) -> int:
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise ValueError(f"threads={n!r} must be a positive whole number, or None for the default of {get_num_threads()}")
    return int(n)


def thread_limit(threads: int | None) -> int:
    """The most threads that a call with this argument may use."""
    return get_num_threads() if threads is None else checked(threads)


_AFFINITY = {"0": 0, "1": 1, "": 2}
"""Values of ``FASTSIG_AFFINITY``, and what they are in ``cext/pool.h``."""


def affinity() -> int:
    """When the C library's threads move to another CPU than their caller's, as they go to sleep (Linux)."""
    text = os.environ.get("FASTSIG_AFFINITY") or ""
    if text not in _AFFINITY:
        raise ValueError(
            f"FASTSIG_AFFINITY={text!r} must be 0 (threads are never moved to other CPUs) or 1 (always, as they go to sleep); "
            "unset, they are moved where no filter of system calls is in force"
        )
    return _AFFINITY[text]
