"""The processor: its name, and how many of its cores this process may use."""

from __future__ import annotations

import functools
import math
import os

from fastsig.system.checked_files import contents


def cpu_name() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in contents("/proc/cpuinfo", 1 << 24).decode(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    import platform

    return platform.processor() or platform.machine()


def _words(path: str) -> list[bytes]:
    """The words of a file; none where there is no such file."""
    try:
        return contents(path).split()
    except OSError:
        return []


def _number(path: str, at: int = 0) -> float:
    """A word of a file as a number; infinity for "max", for -1 and where there is none."""
    try:
        number = float(_words(path)[at])
    except (ValueError, IndexError):
        return math.inf
    return number if number > 0 else math.inf


def _groups(root: str) -> list[tuple[int, str]]:
    """The control groups of this process that may limit its CPUs, as (version, directory), each with its parents."""
    try:
        lines = contents(f"{root}/proc/self/cgroup").decode(errors="surrogateescape").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, name = (line.split(":", 2) + ["", ""])[:3]
        version = 2 if not controllers else 1 if "cpu" in controllers.split(",") else 0
        top = f"{root}/sys/fs/cgroup" if version == 2 else f"{root}/sys/fs/cgroup/cpu"
        parts = [part for part in name.split("/") if part]
        # inside a container the name is the host's, and the container's own group is mounted at the top
        found += [(version, "/".join([top, *parts[:depth]])) for depth in range(len(parts), -1, -1) if version]
    return found


def cpu_quota(root: str) -> float:
    """The CPUs' worth of time that the control groups (version 1 or 2) of this process allow; infinity without a limit.

    Source: Linux Documentation/admin-guide/cgroup-v2.rst (cpu.max), Documentation/scheduler/sched-bwc.rst (cpu.cfs_quota_us).
    """
    least = math.inf
    for version, group in _groups(root):
        if version == 2:
            quota, period = _number(f"{group}/cpu.max"), _number(f"{group}/cpu.max", 1)
        else:
            quota, period = _number(f"{group}/cpu.cfs_quota_us"), _number(f"{group}/cpu.cfs_period_us")
        if math.isfinite(quota) and math.isfinite(period):
            least = min(least, quota / period)
    return least


@functools.cache
def _quota_cpus() -> float:
    """Rounded up: half a CPU's time is still one thread's. Read once, for a container's limit does not change under its processes."""
    quota = cpu_quota("")
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
