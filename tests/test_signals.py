"""A signal whose handler raises ends a call of the C library within pieces of its work; any other leaves it as it is."""

from __future__ import annotations

import signal

import pytest
from processes import printed

pytestmark = [pytest.mark.usefixtures("need_c"), pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer of signals here")]

LONG_LOSSES = {
    "quick": "fs.bce_with_logits(endless, 1.0, threads={threads})",
    "general": "fs.bce_with_logits(endless, np.ma.ones(()), threads={threads})",
    "weights": "fs.bce_with_logits(endless, 1.0, weight=endless, reduction='weighted_mean', threads={threads})",
    "accumulator": "fs.BCEAccumulator().update(endless, 1.0, threads={threads})",
}
START = """
import signal, threading, time
import numpy as np
import fastsig as fs
from fastsig.kernels.c import library as c
def interrupted(call):
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    try:
        call()
    except KeyboardInterrupt:
        return True
    return False
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("call", LONG_LOSSES.values(), ids=LONG_LOSSES.keys())
def test_a_loss_that_would_take_an_hour(call: str, threads: int) -> None:
    printed(f"""{START}
endless = np.broadcast_to(np.float64(0.5), 1 << 40)
assert interrupted(lambda: {call.format(threads=threads)})
assert fs.bce_with_logits(np.zeros(100_000), 1.0, threads={threads}) == np.log(2)
""")


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("where", ["", ", where=mask"])
def test_a_function_is_left_in_the_middle(threads: int, where: str) -> None:
    printed(f"""{START}
c.set_isa("baseline")
x, untouched = np.zeros(1 << 28, "f2"), np.float16(7)
out = np.full_like(x, untouched)
mask = np.broadcast_to(True, x.shape).copy() if {bool(where)} else None
assert interrupted(lambda: fs.softplus(x, out=out, threads={threads}{where}))
assert (out == untouched).any()
del mask
x, out = x[:300_000], out[:300_000]
assert (fs.sigmoid(x, out=out, threads={threads}) == 0.5).all()
""")


@pytest.mark.parametrize(
    ("x", "options"),
    [
        ('np.zeros(1 << 28, "f2")[::2]', ""),
        ('np.zeros((16, 1 << 23), "f4").T', ', order="C"'),
        ('np.zeros(1 << 27, ">f4")', ""),
        ('np.zeros(1 << 27, "i2")', ""),
        ('np.zeros(1 << 27, "f4")', ', dtype="f8"'),
        ('np.zeros((1 << 14, 1 << 14), "f4")[:, ::2]', ", where=np.arange(1 << 13) % 2 == 0"),
    ],
    ids=["gaps", "order", "byte order", "integers", "dtype", "where"],
)
def test_a_function_whose_array_numpy_walks_is_left_in_the_middle(x: str, options: str) -> None:
    printed(f"""{START}
c.set_isa("baseline")
x, untouched = {x}, 7
out = np.full(x.shape, untouched, "f8" if "f8" in {options!r} else np.result_type(x.dtype.newbyteorder("="), "f2"))
assert interrupted(lambda: fs.softplus(x, out=out{options}))
assert out.flat[-2] == untouched
""")


def test_a_handler_that_raises_nothing_changes_nothing() -> None:
    printed(f"""{START}
heard = []
signal.signal(signal.SIGALRM, lambda *_: heard.append(fs.bce_with_logits(np.zeros(100_000), 1.0)))
signal.setitimer(signal.ITIMER_REAL, 0.1, 0.1)
loss = fs.bce_with_logits(np.broadcast_to(np.float64(0.5), 1 << 29), 1.0, threads=2)
signal.setitimer(signal.ITIMER_REAL, 0)
assert heard and set(heard) == {{np.log(2)}}
assert loss == fs.bce_with_logits(0.5, 1.0)
""")


def test_a_childs_main_thread_is_the_one_that_forked() -> None:
    printed(f"""{START}
import os
endless, status = np.broadcast_to(np.float64(0.5), 1 << 40), []
def fork_and_wait():
    child = os.fork()
    if not child:
        os._exit(0 if interrupted(lambda: fs.bce_with_logits(endless, 1.0)) else 1)
    status.append(os.waitpid(child, 0)[1])
thread = threading.Thread(target=fork_and_wait)
thread.start()
thread.join()
assert status == [0]
""")


def test_a_call_of_another_thread_goes_on() -> None:
    """Python runs handlers in its main thread only; the exception is for what that thread does."""
    printed(f"""{START}
done = []
other = threading.Thread(target=lambda: done.append(fs.bce_with_logits(np.broadcast_to(np.float64(0.5), 1 << 28), 1.0)))
other.start()
assert interrupted(lambda: time.sleep(60))
while not done:
    time.sleep(0.01)
assert done == [fs.bce_with_logits(0.5, 1.0)]
""")
