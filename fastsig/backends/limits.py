"""How many threads a call may use: what the user set, the CPUs of this process, and one where somebody else shares out the work."""

from __future__ import annotations

import functools
import math
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path  # 3 ms, which `import fastsig` need not take


def _number(path: Path, at: int = 0) -> float:
    """A word of a file as a number; infinity for "max", for -1 and where there is none."""
    try:
        word = path.read_text().split()[at]
        return float(word) if float(word) > 0 else math.inf
    except (OSError, ValueError, IndexError):
        return math.inf


def _groups(root: Path) -> list[tuple[str, Path]]:
    """The control groups of this process that may limit its CPUs, as ("2" or "1", directory), each with its parents."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, name = (line.split(":", 2) + ["", ""])[:3]
        version = "2" if not controllers else "1" if "cpu" in controllers.split(",") else ""
        top = root / "sys/fs/cgroup" if version == "2" else root / "sys/fs/cgroup/cpu"
        below = type(root)(name.lstrip("/"))
        # inside a container the name is the host's, and the container's own group is mounted at the top
        found += [(version, top / part) for part in (below, *below.parents) if version]
    return found


def cpu_quota(root: Path) -> float:
    """The CPUs' worth of time that the control groups (version 1 or 2) of this process allow; infinity without a limit.

    Source: Linux Documentation/admin-guide/cgroup-v2.rst (cpu.max), Documentation/scheduler/sched-bwc.rst (cpu.cfs_quota_us).
    """
    least = math.inf
    for version, group in _groups(root):
        if version == "2":
            quota, period = _number(group / "cpu.max"), _number(group / "cpu.max", 1)
        else:
            quota, period = _number(group / "cpu.cfs_quota_us"), _number(group / "cpu.cfs_period_us")
        if math.isfinite(quota) and math.isfinite(period):
            least = min(least, quota / period)
    return least


@functools.cache
def _quota_cpus() -> float:
    """Rounded up: half a CPU's time is still one thread's. Read once, for a container's limit does not change under its processes."""
    from pathlib import Path

    quota = cpu_quota(Path("/"))
    return max(1, math.ceil(quota)) if math.isfinite(quota) else math.inf


def _allowed_cpus() -> int | None:
    return len(os.sched_getaffinity(0))


if hasattr(os, "process_cpu_count"):
    _allowed_cpus = os.process_cpu_count
elif not hasattr(os, "sched_getaffinity"):
    _allowed_cpus = os.cpu_count


def available_cpus() -> int:
    """The CPUs that this process may use: its affinity, and a container's limit."""
    allowed, quota = _allowed_cpus() or 1, _quota_cpus()
    return allowed if allowed <= quota else int(quota)


def in_worker() -> str:
    """Why this call is itself a share of somebody's work, of which there are others beside it; "" where it is not.

    A thread other than the main one (concurrent.futures, joblib, dask), or a process that multiprocessing started (loky, dask).
    """
    if threading.get_ident() != threading.main_thread().ident:
        return "called from a worker thread"
    processes = sys.modules.get("multiprocessing.process")
    parent = getattr(processes, "parent_process", None)
    return "called in a worker process" if parent is not None and parent() is not None else ""


_set: tuple[int, int] | None = None
"""The number that was set, and the process that set it: a forked worker inherits the number, but not the cores."""


_FROM_ENVIRONMENT = os.environ.get("FASTSIG_NUM_THREADS") or ""
"""Read once, at import: a look into the environment takes as long as all else that a call asks here."""


def _setting() -> int:
    text = _FROM_ENVIRONMENT
    if not text:
        return available_cpus()
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"FASTSIG_NUM_THREADS={text!r} must be a positive whole number")
    return int(text)


def get_num_threads() -> int:
    """The most threads that a call from here may use, if it does not say ``threads=`` itself.

    What ``set_num_threads`` set, else ``FASTSIG_NUM_THREADS`` as it was at import, else the CPUs of this process: its affinity
    and its container's limit. Always 1 in a thread other than the main one, and in a process that multiprocessing, joblib or
    dask started, unless ``set_num_threads`` was called in that process: there are others beside it, which have the other cores.

    Returns
    -------
    int

    Raises
    ------
    ValueError
        ``FASTSIG_NUM_THREADS`` is not a positive whole number.
    """
    worker = in_worker()
    if worker and not (worker.endswith("process") and _set is not None and _set[1] == os.getpid()):
        return 1
    return _set[0] if _set is not None else _setting()


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
