"""Ctrl-C in the middle of a call of the Numba backend: every array lives and is written until the last thread has ended, not after."""

from __future__ import annotations

import signal

import numpy as np
import pytest
from processes import run_python

from fastsig.system import thread_pool

pytestmark = [pytest.mark.alone, pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers")]

CODE = """
import faulthandler, random, signal, time
import numpy as np, fastsig as fs
from fastsig.dispatch import sharing
faulthandler.enable()
sharing.share = {share}
n = 3_000_000
random.seed({seed})

def stop(number, frame):
    while frame is not None:  # in the middle of the call, and not of what this script does after it
        if frame.f_code is call.__code__:
            raise KeyboardInterrupt
        frame = frame.f_back

def arrays():
    return np.linspace(-30, 30, n, dtype="f4"), np.ones(n, "f4"), np.zeros(n, "f4")

def call(x, t, out):
    {call}

def takes():
    start = time.perf_counter()
    call(*arrays())
    return time.perf_counter() - start

call(*arrays())
signal.signal(signal.SIGALRM, stop)
interrupted = written_late = rounds = 0
while interrupted < {times} and rounds < 100 * {times}:
    if rounds % {times} == 0:  # anew, for a machine that is busy at one time is idle at another, and the signal would come after the call
        quickest = min(takes() for _ in range(3))
    rounds += 1
    signal.setitimer(signal.ITIMER_REAL, max(random.random() * quickest, 1e-5), {again})
    try:
        call(*arrays())
    except KeyboardInterrupt:
        interrupted += 1
    time.sleep(0.01)  # the arrays are gone, and nothing is in their place
    signal.setitimer(signal.ITIMER_REAL, 0)
    x, t, out = arrays()
    signal.setitimer(signal.ITIMER_REAL, max(random.random() * quickest, 1e-5))
    try:
        call(x, t, out)
    except KeyboardInterrupt:
        interrupted += 1
        before = out.copy()
        time.sleep(0.005)
        written_late += before.tobytes() != out.tobytes()
    signal.setitimer(signal.ITIMER_REAL, 0)
x, t, out = arrays()
call(x, t, out)
print(interrupted >= {times}, written_late)
"""
CALLS = {
    "a loss": "fs.bce_with_logits_value_and_grad(x, t, grad_out=out, threads=3, backend='numba')",
    "a loss with a weight": "fs.bce_with_logits(x, t, weight=out + 1, reduction='none', threads=2, backend='numba')",
    "a function": "fs.softplus(x, out=out, threads=3, backend='numba')",
}


def interrupts(call: str, config: pytest.Config, *, share: str = "None", again: float = 0, seed: int = 1, times: int = 20) -> None:
    """Memory goes back to the system at once, so that whoever reads it after its end dies of it."""
    code = CODE.format(call=call, times=times, again=again, seed=seed, share=share)
    done = run_python(code, config, {"MALLOC_MMAP_THRESHOLD_": "65536"}, timeout=300)
    assert (done.returncode, done.stdout.strip()) == (0, "True 0"), done.stderr


@pytest.mark.parametrize("what", CALLS)
def test_one_interrupt(what: str, pytestconfig: pytest.Config, need_numba: None) -> None:
    interrupts(CALLS[what], pytestconfig)


def test_interrupts_in_a_row(pytestconfig: pytest.Config, need_numba: None) -> None:
    """The wait for the threads is interrupted too."""
    interrupts(CALLS["a loss"], pytestconfig, again=0.0007, seed=2)


def test_by_the_threads_of_the_c_library(pytestconfig: pytest.Config, need_numba: None, need_c: None) -> None:
    interrupts(CALLS["a function"], pytestconfig, share="sharing.share")


def test_a_job_ends_whatever_is_raised_in_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each kind of wait is broken off once, after it has the lock and before; the exception comes out when the thread has ended."""
    wait, broken, ended = thread_pool._Helper.wait, [], []

    def breaking(helper: thread_pool._Helper) -> None:
        if len(broken) < 3:
            broken.append(helper)
            if len(broken) == 2:
                helper._at_work.acquire()
            raise KeyboardInterrupt
        wait(helper)

    monkeypatch.setattr(thread_pool._Helper, "wait", breaking)
    counts = np.zeros(8, int)

    def work(piece: slice) -> None:
        signal.sigtimedwait([], 0.1)
        counts[piece.start // thread_pool.PIECE] += 1
        ended.append(piece)

    with pytest.raises(KeyboardInterrupt):
        thread_pool.over_pieces(work, 2 * thread_pool.PIECE, 2)
    assert len(broken) == 3
    assert len(ended) == 2
    assert counts.sum() == 2


def test_threads_that_the_system_does_not_give(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(thread_pool._thread, "start_new_thread", refused)
    counts = np.zeros(10 * thread_pool.PIECE, int)
    thread_pool.over_pieces(lambda piece: np.add(counts[piece], 1, out=counts[piece]), counts.size, 5)
    assert (counts == 1).all()
