"""How many threads a call may use: affinity, a container's limit, and one inside other people's workers."""

from __future__ import annotations

import math
import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import printed
from reference import assert_same_bits

import fastsig as fs
from fastsig.system import cpu, num_threads

pytestmark = pytest.mark.alone

X = np.linspace(-50, 50, 1 << 20)
"""Large enough for Python's threads, where the C library is not there."""
STARTS = [name for name in ("fork", "spawn", "forkserver") if name in multiprocessing.get_all_start_methods()]


def seen_inside(threads: int | None = None) -> tuple[int, str, Any]:
    return fs.get_num_threads(), fs.explain(X, threads=threads), fs.sigmoid(X, threads=threads)


def check(result: tuple[int, str, Any], why: str) -> None:
    count, words, values = result
    assert count == 1
    assert ", 1 thread: " in words
    assert why in words
    assert_same_bits(values, fs.ufuncs.sigmoid(X))


@pytest.fixture
def four_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine of four, with the threads of this process at work before any worker starts."""
    monkeypatch.setattr(num_threads, "available_cpus", lambda: 4)
    assert fs.get_num_threads() == 4
    assert "4 threads" in fs.explain(X)
    fs.sigmoid(X)


def test_worker_threads(four_threads: None) -> None:
    with ThreadPoolExecutor(3) as pool:
        for _ in range(6):
            check(pool.submit(seen_inside).result(60), "called from a worker thread")
        assert ", 3 threads: " in pool.submit(seen_inside, 3).result(60)[1], "a call that says threads= itself has them"
        fs.set_num_threads(3)
        check(pool.submit(seen_inside).result(60), "called from a worker thread")


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("start", STARTS)
def test_worker_processes(start: str, four_threads: None) -> None:
    fs.set_num_threads(4)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(start)) as pool:
        check(pool.submit(seen_inside).result(60), "called in a worker process")
        pool.submit(fs.set_num_threads, 2).result(60)
        assert pool.submit(fs.get_num_threads).result(60) == 2, "what was set in the worker itself counts there"


@pytest.mark.parametrize(("way", "why"), [("loky", "process"), ("threading", "thread"), ("multiprocessing", "process")])
def test_joblib(way: str, why: str, four_threads: None) -> None:
    joblib = pytest.importorskip("joblib")
    for result in joblib.Parallel(n_jobs=2, backend=way)(joblib.delayed(seen_inside)() for _ in range(2)):
        check(result, f"worker {why}")


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize(("scheduler", "why"), [("threads", "thread"), ("processes", "process")])
def test_dask(scheduler: str, why: str, four_threads: None) -> None:
    dask = pytest.importorskip("dask")
    for result in dask.compute(*[dask.delayed(seen_inside)() for _ in range(3)], scheduler=scheduler, num_workers=2):
        check(result, f"worker {why}")


def test_a_forked_child_that_is_nobodys_worker(pytestconfig: pytest.Config) -> None:
    if not hasattr(os, "fork"):
        pytest.skip("this system has no fork")
    code = (
        "import os, fastsig as fs; fs.set_num_threads(3); r, w = os.pipe(); child = os.fork()\n"
        "if child == 0: os.write(w, str(fs.get_num_threads()).encode()); os._exit(0)\n"
        "os.waitpid(child, 0); print(os.read(r, 10).decode())"
    )
    assert printed(code, pytestconfig) == "3"


def test_affinity(pytestconfig: pytest.Config) -> None:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system has no affinity")
    code = "import os, fastsig as fs; {}; os.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}}); print(fs.get_num_threads())"
    for before in ("pass", "fs.get_num_threads()"):
        assert printed(code.format(before), pytestconfig) == "1"


# ---- containers ----

GROUPS = {
    "version 2, in a container": ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
    "version 2, a limit of the parent": ("0::/a/b\n", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3),
    "version 2, the least of all": ("0::/a/b\n", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "50000 100000"}, 0.5),
    "version 2, no limit": ("0::/\n", {"cpu.max": "max 100000\n"}, math.inf),
    "version 1": ("4:memory:/m\n3:cpu,cpuacct:/d/x\n", {"cpu/d/x/cpu.cfs_quota_us": "200000", "cpu/d/x/cpu.cfs_period_us": "100000"}, 2),
    "version 1, the name is the host's": ("3:cpu:/d/x\n", {"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.5),
    "version 1, no limit": ("3:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.inf),
    "both versions": ("1:cpu:/\n0::/\n", {"cpu.max": "max 100000", "cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, 4),
    "nonsense": ("\n::\nx\n0::/\n", {"cpu.max": "a lot\n"}, math.inf),
    "an empty file": ("0::/\n", {"cpu.max": ""}, math.inf),
}


@pytest.mark.parametrize("case", GROUPS)
def test_a_containers_limit(case: str, tmp_path: Path) -> None:
    groups, files, want = GROUPS[case]
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(groups)
    for name, text in files.items():
        file = tmp_path / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert cpu.cpu_quota(str(tmp_path)) == want


def test_no_groups_no_limit(tmp_path: Path) -> None:
    assert cpu.cpu_quota(str(tmp_path)) == math.inf


@pytest.mark.parametrize(("quota", "cpus"), [(0.5, 1), (1.0, 1), (1.5, 2), (3.0, 3), (math.inf, 8), (20.0, 8)])
def test_a_limit_bounds_the_threads(quota: float, cpus: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "cpu_quota", lambda root: quota)
    monkeypatch.setattr(cpu, "_allowed_cpus", lambda: 8)
    cpu._quota_cpus.cache_clear()
    try:
        assert cpu.available_cpus() == cpus
        assert fs.get_num_threads() == cpus
    finally:
        monkeypatch.undo()
        cpu._quota_cpus.cache_clear()
