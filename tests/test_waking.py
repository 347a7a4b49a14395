"""Which threads there are, and when they are made, woken or left asleep."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from processes import printed

import fastsig as fs
from fastsig.dispatch import choice, sharing
from fastsig.system import thread_pool
from fastsig.system.cpu import available_cpus

pytestmark = pytest.mark.alone


def is_unfiltered() -> bool:
    status = Path("/proc/self/status")
    return status.exists() and "Seccomp:\t0" in status.read_text()


listed = pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="this system does not list its threads")


@listed
def test_threads_that_exist(need_c: None, pytestconfig: pytest.Config) -> None:
    """They are made when first needed, once, and callers at the same time do not multiply them."""
    code = """
import os, threading, numpy as np, fastsig as fs
from fastsig.ops import OPS
count = lambda: len(os.listdir('/proc/self/task'))
x, before = np.ones(1 << 20), count()
fs.sigmoid(np.ones(100)), fs.sigmoid(x, threads=1)
first = count() - before
fs.sigmoid(x, threads=4), fs.silu(x, threads=3), fs.logit(x, threads=4)
second = count() - before
most, start = [], threading.Barrier(6)
def call():
    start.wait()
    for _ in range(20):
        fs.sigmoid(x, threads=4)
        most.append(count() - before)
callers = [threading.Thread(target=call) for _ in range(6)]
[c.start() for c in callers], [c.join() for c in callers]
print(first, second, max(most) <= 3 + 6, max(most) > 3)
"""
    assert printed(code, pytestconfig) == "0 3 True True"


@listed
def test_a_loop_of_short_calls_gets_threads(need_c: None, pytestconfig: pytest.Config) -> None:
    """One such call is over before anybody could come, but a loop of them is worth waking somebody for."""
    code = """
import os, numpy as np, fastsig as fs
count = lambda: len(os.listdir('/proc/self/task'))
x, before, rounds = np.ones(1 << 16, 'f'), count(), 0
out = np.ones_like(x)
fs.sigmoid(x, out=out, threads=1)
while count() == before and rounds < 10:
    rounds += 1
    for _ in range(20):
        fs.sigmoid(x, out=out, threads=2)
print(count() > before)
"""
    assert printed(code, pytestconfig) == "True"


@listed
def test_a_thread_that_sleeps_is_woken(need_c: None, pytestconfig: pytest.Config) -> None:
    """For a long call: it gets time on a processor."""
    code = """
import os, time, numpy as np, fastsig as fs
x, out = np.ones(1 << 22), np.ones(1 << 22)
def ticks(task): return sum(map(int, open(f'/proc/self/task/{task}/stat').read().rpartition(')')[2].split()[11:13]))
before = set(os.listdir('/proc/self/task'))
fs.sigmoid(x, out=out, threads=2)
worker, = set(os.listdir('/proc/self/task')) - before
at_first, rounds = ticks(worker), 0
while ticks(worker) < at_first + 2 and rounds < 1000:
    rounds += 1
    time.sleep(0.005)
    fs.sigmoid(x, out=out, threads=2)
print(rounds < 1000)
"""
    assert printed(code, pytestconfig) == "True"


@listed
@pytest.mark.skipif(available_cpus() < 2, reason="needs two CPUs")
@pytest.mark.skipif(not is_unfiltered(), reason="a filter of system calls is in force, under which no thread is moved")
def test_threads_sleep_away_from_their_caller(need_c: None, pytestconfig: pytest.Config) -> None:
    """Where they sleep they are woken: there the caller must not be. Awake they may go anywhere."""
    code = """
import os, time, numpy as np, fastsig as fs
x, out, before = np.ones(1 << 22), np.ones(1 << 22), set(os.listdir('/proc/self/task'))
fs.sigmoid(x, out=out, threads=4)
workers = set(os.listdir('/proc/self/task')) - before
time.sleep(0.1)
ours = os.sched_getaffinity(0)
missing = [ours - os.sched_getaffinity(int(task)) for task in workers]
freed, rounds = set(), 0
while freed != workers and rounds < 2000:
    rounds += 1
    fs.sigmoid(x, out=out, threads=4)
    freed |= {task for task in workers if os.sched_getaffinity(int(task)) == ours}
print(len(workers), [len(cpus) for cpus in missing], freed == workers)
"""
    assert printed(code, pytestconfig) == "3 [1, 1, 1] True"


def test_pythons_threads_are_for_larger_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take longer to come than the C library's: where nobody asks for threads, a call takes them from a larger size on."""
    fs.set_num_threads(2)

    def least_shared() -> dict[int | None, int]:
        x = np.ones(3, np.float32)
        routes = {by: choice.of_array("sigmoid", x, None, plain=True, backend=None, threads=by) for by in (None, 2)}
        return {by: how.reason.least for by, how in routes.items()}

    least = least_shared()
    monkeypatch.setattr(sharing, "share", None)
    without_pool = least_shared()
    assert without_pool[2] == least[2] == 1 << 16
    assert without_pool[None] == 1 << 21
    assert ", 1 thread: " in fs.explain(np.ones(1 << 20, "f"))
    assert ", 2 threads: " in fs.explain(np.ones(1 << 20, "f"), threads=2)
    assert ", 2 threads: " in fs.explain(np.ones(1 << 21, "f"))


def test_losses_on_pythons_threads_are_for_larger_arrays(need_numba: None, monkeypatch: pytest.MonkeyPatch) -> None:
    fs.set_num_threads(2)
    counts: list[int] = []
    shared = thread_pool.over_pieces
    monkeypatch.setattr(thread_pool, "over_pieces", lambda work, size, threads: (counts.append(threads), shared(work, size, threads)))
    x = np.ones(1 << 17, "f")
    fs.bce_with_logits(x, x, backend="numba")
    fs.bce_with_logits(x, x, backend="numba", threads=2)
    assert counts == [1, 2]
