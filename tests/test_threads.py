"""Threads: any number of them gives the same bits, many callers at once are no danger, and neither is a fork."""

from __future__ import annotations

import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from processes import printed
from reference import Array, assert_same_bits
from samples import anything

import fastsig as fs
from fastsig.dispatch import availability, sharing, thresholds
from fastsig.ops import BY_NAME, OPS
from fastsig.system import thread_pool

pytestmark = pytest.mark.alone

UNARY = [op.name for op in OPS if op.nin == 1]
BIG = (1 << 21) + 12_345
"""Elements that three threads share unevenly, in every type."""


def big(name: str, dtype: Any = np.float32) -> Array:
    return np.resize(anything(BY_NAME[name], dtype, 50_021)[0], BIG)


@pytest.fixture(params=["C's threads", "Python's threads"])
def used(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """With how many threads the driver was called; by the C library's pool, and as where that library was not built."""
    counts: list[int] = []
    if request.param == "C's threads":
        share = sharing.share
        if share is None:
            pytest.skip("the C library is not here")
        monkeypatch.setattr(sharing, "share", lambda ufunc, x, out, threads: (counts.append(threads), share(ufunc, x, out, threads))[1])
        monkeypatch.setattr(thread_pool, "over_pieces", lambda *_: pytest.fail("the C library did not take the call"))
    else:
        shared = thread_pool.over_pieces
        monkeypatch.setattr(sharing, "share", None)
        monkeypatch.setattr(thread_pool, "over_pieces", lambda work, size, threads: (counts.append(threads), shared(work, size, threads)))
    return counts


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", UNARY)
def test_any_number_of_threads_has_the_same_bits(name: str, dtype: Any, backend: str, used: list[int]) -> None:
    x = big(name, dtype)
    want = availability.ufunc_of(backend, name)(x)
    for threads in (1, 2, 3, 7):
        assert_same_bits(getattr(fs, name)(x, threads=threads, backend=backend), want, [x], f"{name}, {threads} threads")
        out = np.empty_like(x)
        assert getattr(fs, name)(x, out=out, threads=threads, backend=backend) is out
        assert_same_bits(out, want, [x], f"{name}, {threads} threads, out")
    assert used == [2, 2, 3, 3, 7, 7], "the threads were not used"


@pytest.mark.parametrize("threads", [2, 3, 300])
def test_bfloat16_is_shared(threads: int, need_c: None, used: list[int]) -> None:
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    x = np.resize(anything(BY_NAME["silu"], np.float32, 50_021)[0], BIG).astype(bfloat16)
    assert_same_bits(fs.silu(x, threads=threads).view(np.uint16), fs.ufuncs.silu(x).view(np.uint16))
    assert used == [min(threads, 2 * x.size // thresholds.in_force().least("silu", "bfloat16"))]


def test_pieces_of_a_large_output_stream_as_the_whole_would(need_c: None) -> None:
    """Whatever the sizes and the alignment of the pieces: heads and tails that fill no cache line are in it."""
    from fastsig.kernels.c import library as c

    before = c.stream_bytes()
    thresholds.in_force()
    try:
        c.set_stream_bytes(1)
        for dtype in (np.float16, np.float32, np.float64):
            room = big("sigmoid", dtype)
            for offset in (0, 1, 7):
                x, out = room[offset:], np.empty_like(room)[offset:]
                assert_same_bits(
                    fs.sigmoid(x, out=out, threads=3), np.concatenate([fs.ufuncs.sigmoid(part) for part in np.array_split(x, 7)])
                )
    finally:
        c.set_stream_bytes(before)


def test_the_gil_is_released(backend: str) -> None:
    """A thread that waits for the GIL gets it during the call: nobody else gives it away, for Python's own switching is off."""
    x = big("log_sigmoid", np.float64)
    out, started, ran = np.empty_like(x), threading.Lock(), []
    fs.log_sigmoid(x, out=out, backend=backend)
    before = sys.getswitchinterval()
    for threads in (1, 2):
        started.acquire()
        other = threading.Thread(target=lambda: (started.acquire(), ran.append(True), started.release()))
        other.start()
        sys.setswitchinterval(1000)
        try:
            started.release()
            for _ in range(1000):  # on a busy machine the other thread may not have a core during the first calls
                fs.log_sigmoid(x, out=out, threads=threads, backend=backend)
                if ran:
                    break
            seen = len(ran)
        finally:
            sys.setswitchinterval(before)
        other.join()
        assert seen == 1, f"{threads} threads"
        ran.clear()


def test_layouts_that_threads_share(backend: str) -> None:
    x = big("sigmoid")[: 1 << 19]
    want = availability.ufunc_of(backend, "sigmoid")(x).reshape(512, 1024)
    square = x.reshape(512, 1024)
    fortran = np.asfortranarray(square)
    for options in ({"threads": 1}, {"threads": 3}):
        assert_same_bits(fs.sigmoid(square, backend=backend, **options), want)
        got = fs.sigmoid(fortran, backend=backend, **options)
        assert got.flags.f_contiguous
        assert_same_bits(got, want)
        assert_same_bits(fs.sigmoid(square.T, backend=backend, **options), want.T)
        assert_same_bits(fs.sigmoid(square[:, ::2], backend=backend, **options), want[:, ::2])
        out = np.empty_like(fortran)
        assert_same_bits(fs.sigmoid(square, out=out, backend=backend, **options), want)
        ours = square.copy()
        assert fs.sigmoid(ours, out=ours, backend=backend, **options) is ours
        assert_same_bits(ours, want)


def test_set_num_threads() -> None:
    default = fs.get_num_threads()
    assert 1 <= default <= (os.cpu_count() or 1)
    fs.set_num_threads(3)
    assert fs.get_num_threads() == 3
    fs.set_num_threads(np.int64(2))
    assert fs.get_num_threads() == 2
    with pytest.raises(ValueError, match="positive whole number"):
        fs.set_num_threads(0)
    assert fs.get_num_threads() == 2
    fs.set_num_threads(None)
    assert fs.get_num_threads() == default


def test_an_error_in_a_piece_reaches_the_caller() -> None:
    """And only when every piece that was begun has ended: nothing writes after the call has returned."""
    at_work: list[slice] = []

    def work(piece: slice) -> None:
        at_work.append(piece)
        time.sleep(0.05)
        at_work.remove(piece)
        if piece.start:
            raise ValueError(f"piece {piece.start}")

    with pytest.raises(ValueError, match="piece (16384|32768)"):
        thread_pool.over_pieces(work, 3 * thread_pool.PIECE, 3)
    assert not at_work


@pytest.mark.parametrize("size", [1, 100, thread_pool.PIECE, thread_pool.PIECE + 1, 10 * thread_pool.PIECE - 1])
@pytest.mark.parametrize("threads", [1, 2, 3, 16])
def test_pieces_cover_all_once(size: int, threads: int) -> None:
    counts = np.zeros(size, int)
    thread_pool.over_pieces(lambda piece: np.add(counts[piece], 1, out=counts[piece]), size, threads)
    assert (counts == 1).all()


def test_many_threads_call_at_once(backend: str) -> None:
    """More callers than workers, each with its own array, on all operations, with sharing and without."""
    inputs = {name: big(name) for name in UNARY}
    want = {name: availability.ufunc_of(backend, name)(x) for name, x in inputs.items()}

    def call(i: int) -> None:
        name = UNARY[i % len(UNARY)]
        got = getattr(fs, name)(inputs[name], threads=1 + i % 4, backend=backend)
        assert_same_bits(got, want[name], label=f"{name}, call {i}")

    with ThreadPoolExecutor(12) as pool:
        for done in [pool.submit(call, i) for i in range(60)]:
            done.result(timeout=100)


FORK = """
import os, signal, numpy as np, fastsig as fs
x = np.linspace(-100, 100, 1 << 20)
want = fs.sigmoid(x, threads=3, backend={backend!r})
child = os.fork()
if child == 0:
    signal.alarm(30)
    ok = np.array_equal(fs.sigmoid(x, threads=3, backend={backend!r}), want) and np.array_equal(fs.sigmoid(x, threads=1), want)
    grandchild = os.fork()
    if grandchild == 0:
        signal.alarm(20)
        os._exit(not np.array_equal(fs.sigmoid(x, threads=2), want))
    os._exit(not ok or os.waitstatus_to_exitcode(os.waitpid(grandchild, 0)[1]))
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(status, np.array_equal(fs.sigmoid(x, threads=3), want))
"""


BUSY_FORK = """
import os, signal, threading, numpy as np, fastsig as fs
x, stop = np.linspace(-100, 100, 1 << 20), threading.Event()
want = fs.sigmoid(x, threads=1, backend={backend!r})
def call():
    out = np.empty_like(x)
    while not stop.is_set():
        fs.sigmoid(x, out=out, threads=3, backend={backend!r})
caller = threading.Thread(target=call)
caller.start()
statuses = []
for _ in range(20):
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        os._exit(not all(np.array_equal(fs.sigmoid(x, threads=n, backend={backend!r}), want) for n in (2, 5)))
    statuses.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
stop.set()
caller.join()
print(set(statuses))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_in_the_middle_of_another_threads_call(backend: str, pytestconfig: pytest.Config) -> None:
    code = "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n" + BUSY_FORK.format(backend=backend)
    assert printed(code, pytestconfig) == "{0}"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_computes_with_threads(backend: str, pytestconfig: pytest.Config) -> None:
    code = "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n" + FORK.format(backend=backend)
    assert printed(code, pytestconfig) == "0 True"
