"""A fork in the middle of what another thread does for the first time: the child has all of it or none, and never hangs.

A template process imports fastsig and calls nothing. From it comes, many times, a process in which one thread makes its first call while
the main thread forks, after a delay that is another one each time; the child and the thread must come to the same bits.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from processes import printed, run_python

pytestmark = [pytest.mark.alone, pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")]

DRIVER = """
import hashlib, os, random, signal, threading, time, warnings
import numpy as np, fastsig as fs
warnings.simplefilter("ignore")
x = np.linspace(-20, 20, 300_000).astype("f4")
t = (x > 0).astype("f4")
{before}

def call():
    return {call}

def digest():
    return hashlib.sha256(b"".join(np.asarray(part).tobytes() for part in [call()])).digest()

def first_call_and_fork(delay):
    found = []
    other = threading.Thread(target=lambda: found.append(digest()))
    other.start()
    time.sleep(delay)
    child = os.fork()
    if child == 0:
        signal.alarm(40)  # a child that hangs is killed, and seen by its status
        os.write(write, digest())
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    other.join()
    os.write(write, found[0])
    os._exit(status != 0)

read, write = os.pipe()
failed, at_work = 0, 0

def wait():
    global failed, at_work
    failed += os.wait()[1] != 0
    at_work -= 1

for i in range({times}):
    if os.fork() == 0:
        signal.alarm(80)
        first_call_and_fork({longest} * i / {times})
    at_work += 1
    if at_work == 2:
        wait()
while at_work:
    wait()
os.close(write)
with open(read, "rb") as results:
    seen = results.read()
print(failed, len(seen) == 64 * {times}, {{seen[i : i + 32] for i in range(0, len(seen), 32)}} == {{digest()}})
"""


def forks(call: str, times: int, longest: float, config: pytest.Config, before: str = "", **environment: str) -> str:
    """How many failed or hung, whether all came to an end, and whether all have the same bits. The longest delay is in seconds."""
    code = DRIVER.format(call=call, times=times, longest=longest, before=before)
    done = run_python(code, config, environment, timeout=500)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


FINE = "0 True True"
FIRST_CALLS = {
    "the first call": "fs.sigmoid(x, threads=2)",
    "the first loss": "fs.bce_with_logits_value_and_grad(x, t, threads=2)[1]",
    "the pool being made": "fs.silu(np.tile(x, 4), threads=16)",
    "set_num_threads": "[fs.set_num_threads(n) or fs.sigmoid(x) for n in (2, 5, None, 3)][-1]",
}


@pytest.mark.parametrize("what", FIRST_CALLS)
def test_in_the_middle_of(what: str, pytestconfig: pytest.Config, need_c: None) -> None:
    assert forks(FIRST_CALLS[what], 200, 0.004, pytestconfig) == FINE


def test_in_the_middle_of_tune_being_read(tmp_path: Path, pytestconfig: pytest.Config, need_c: None) -> None:
    """A long file, so that there is a middle."""
    from fastsig.measure.tune import Crossovers, document

    found = document(Crossovers({f"op{i}": {"float32": 1} for i in range(2_000)}, {}, None))
    (tmp_path / "fastsig").mkdir()
    (tmp_path / "fastsig" / "tune.json").write_text(json.dumps(found))
    assert forks("fs.sigmoid(x, threads=2)", 200, 0.01, pytestconfig, XDG_CONFIG_HOME=str(tmp_path)) == FINE


def test_in_the_middle_of_bfloat16_being_noticed(pytestconfig: pytest.Config, need_c: None) -> None:
    pytest.importorskip("ml_dtypes")
    before = "import ml_dtypes; b = x.astype(ml_dtypes.bfloat16)"
    assert forks("fs.sigmoid(b, threads=2).view(np.uint16)", 100, 0.004, pytestconfig, before) == FINE


KERNELS = "from fastsig.dispatch import availability\nfor name in ('sigmoid', 'silu'): availability.ufunc_of('numba', name)"
"""In the cache from here on."""


def test_in_the_middle_of_the_first_numba_call(pytestconfig: pytest.Config, need_numba: None) -> None:
    """Of an operation, in a process that has Numba and other kernels already."""
    printed(KERNELS, pytestconfig)
    before = "fs.sigmoid(1.0, backend='numba')"
    assert forks("fs.silu(x, backend='numba')", 200, 0.06, pytestconfig, before) == FINE


def test_in_the_middle_of_numba_being_loaded(pytestconfig: pytest.Config, need_numba: None) -> None:
    printed(KERNELS, pytestconfig)
    assert forks("fs.silu(x, backend='numba')", 6, 1.2, pytestconfig) == FINE


@pytest.mark.slow
def test_in_the_middle_of_numba_being_loaded_many_times(pytestconfig: pytest.Config, need_numba: None) -> None:
    printed(KERNELS, pytestconfig)
    assert forks("fs.silu(x, backend='numba')", 100, 1.5, pytestconfig) == FINE


def test_in_the_middle_of_the_programs_own_compiling(pytestconfig: pytest.Config, need_numba: None) -> None:
    """The child's first Numba call needs the locks of Numba and of LLVM, which were another thread's at the fork."""
    printed(KERNELS, pytestconfig)
    before = "import numba; fs.sigmoid(1.0, backend='numba'); own = numba.njit(lambda x: x + 1)"
    assert forks("(own(1.0), fs.silu(x, backend='numba'))[1]", 10, 0.3, pytestconfig, before) == FINE


def test_a_fork_within_a_threads_own_first_call(pytestconfig: pytest.Config) -> None:
    """It does not wait for itself; parent and child both end that call, and the lock is free in both."""
    code = """
import os, signal, threading
from fastsig.system import first_calls
def free():
    got = []
    other = threading.Thread(target=lambda: got.append(first_calls.LOCK.acquire(timeout=20)))
    other.start(); other.join()
    return got == [True]
with first_calls.LOCK:
    child = os.fork()
    if child == 0:
        signal.alarm(30)
if child == 0:
    os._exit(not free())
print(os.waitpid(child, 0)[1], free())
"""
    assert printed(code, pytestconfig) == "0 True"


def test_a_hook_that_was_registered_during_a_fork_gives_nothing_back() -> None:
    """And says nothing of it: the fork waited for a call that was loading Numba, which then added its locks."""
    code = """
import os, threading, time
from fastsig.system import first_calls
began = threading.Event()
late = threading.RLock()
def first_call():
    with first_calls.LOCK:
        began.set()
        time.sleep(0.3)
        first_calls.hold_at_forks(first_calls.LOCK, late)
threading.Thread(target=first_call).start()
began.wait()
child = os.fork()
if child == 0: os._exit(not (late.acquire(blocking=False) and first_calls.LOCK.acquire(blocking=False)))
print(os.waitpid(child, 0)[1], late.acquire(blocking=False), first_calls.LOCK.acquire(blocking=False))
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout.strip(), done.stderr) == ("0 True True", "")


def test_an_interrupted_hook_is_made_good() -> None:
    """Ctrl-C may fall on any step of it; the lock is free afterwards, and nothing else was released."""
    code = """
import _thread, os, sys, threading
from fastsig.system import first_calls
sys.unraisablehook = lambda unraisable: None
steps, free = 0, []
def interrupt_at(step):
    count = [0]
    def trace(frame, event, argument):
        if frame.f_globals.get("__name__") != "fastsig.system.first_calls":
            return None
        frame.f_trace_opcodes = True
        count[0] += 1
        if count[0] == step: raise KeyboardInterrupt
        return trace
    return trace, count
for step in range(1, 400):
    trace, count = interrupt_at(step)
    sys.settrace(trace)
    child = os.fork()
    sys.settrace(None)
    if child == 0: os._exit(0)
    os.waitpid(child, 0)
    other = threading.Thread(target=lambda: free.append(first_calls.LOCK.acquire(blocking=False) and first_calls.LOCK.release() is None))
    other.start(); other.join()
    if count[0] < step: break
print(step > 50, all(free), len(free) == step)
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "True True True", done.stderr
