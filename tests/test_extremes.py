"""Sizes beyond 32 bits, many threads for long, an interpreter that ends in the middle, and switches of Python and Numba that others set."""

from __future__ import annotations

import functools
import itertools
import os
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from processes import printed, run_python

import fastsig as fs
from fastsig.ops import OPS

FAR = (1 << 31) + 5000
"""Elements; of two bytes each they are more than 2^32 bytes."""


def needs_gib(count: int) -> None:
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 30
    if free < count:
        pytest.skip(f"needs {count} GiB of memory, {free} are free")


def ends(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """A few thousand elements from the beginning, around 2^31, and from the end."""
    middle = min(1 << 31, array.size // 2)
    return np.concatenate([array[:2000], array[middle - 1000 : middle + 1000], array[-2000:]])


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize("threads", [1, 2])
def test_more_than_32_bits_of_elements_and_bytes(threads: int, backend: str) -> None:
    needs_gib(6)
    x = np.empty(FAR, "f2")
    step = 1 << 16
    x[: step * (FAR // step)].reshape(-1, step)[...] = np.arange(step, dtype="u2").view("f2")
    x[step * (FAR // step) :] = 3
    before = ends(x)
    assert fs.sigmoid(x, out=x, threads=threads, backend=backend) is x
    assert ends(x).tobytes() == fs.sigmoid(before, backend="c" if backend == "numba" and "c" in served() else backend).tobytes()


def served() -> list[str]:
    return [name for name, status in fs.backends().items() if status == "available"]


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 2])
def test_a_loss_of_more_than_32_bits_of_elements(threads: int, backend: str) -> None:
    """Of operands that repeat, so that they take no memory."""
    logits = np.broadcast_to(np.float32(2), FAR)
    assert fs.bce_with_logits(logits, 1.0, threads=threads, backend=backend) == fs.bce_with_logits(np.float32(2), 1.0)
    ramp = np.broadcast_to(np.arange(4, dtype="f4")[:, None], (4, FAR // 4))
    whole = fs.bce_with_logits(ramp, 0.0, threads=threads, backend=backend)
    assert whole == fs.bce_with_logits(np.arange(4, dtype="f4"), 0.0)


def calls_of_every_kind(backend: str) -> list[Callable[[], bytes]]:
    """Calls that give their results' bytes."""

    def function(name: str, x: Any) -> bytes:
        return np.asarray(getattr(fs, name)(x, backend=backend)).tobytes()

    def loss(x: Any, t: Any) -> bytes:
        value, gradient = fs.bce_with_logits_value_and_grad(x, t, backend=backend)
        return value.tobytes() + gradient.tobytes()

    calls: list[Callable[[], bytes]] = []
    for size, dtype in itertools.product((1, 100, 5000, 70_000, 300_000), ("f2", "f4", "f8")):
        x = np.random.default_rng(size).normal(0, 9, size).astype(dtype)
        calls += [functools.partial(function, op.name, x) for op in OPS if op.nin == 1]
        calls.append(functools.partial(loss, x, x > 0))
    return calls


@pytest.mark.slow
@pytest.mark.alone
def test_32_threads_for_half_a_minute(backend: str) -> None:
    """All operations, dtypes, losses and sizes at once, also while others change the number of threads: each result has its bits."""
    expected = [(call, call()) for call in calls_of_every_kind(backend)]
    end, wrong, done = time.monotonic() + 30, [], [0] * 32

    def work(seat: int) -> None:
        order = np.random.default_rng(seat)
        while time.monotonic() < end:
            call, result = expected[order.integers(len(expected))]
            if call() != result:
                wrong.append(call)
            done[seat] += 1
            if done[seat] % 50 == 0:
                fs.set_num_threads(int(order.integers(1, 5)))

    threads = [threading.Thread(target=work, args=(seat,)) for seat in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert min(done) > 0


def test_an_interpreter_that_ends_in_the_middle(backend: str, pytestconfig: pytest.Config) -> None:
    """With daemons at work, and calls in atexit handlers: it ends as it should."""
    code = f"""
import atexit, threading, time
import numpy as np
import fastsig as fs
x, how = np.zeros(400_000), {{"backend": {backend!r}, "threads": 2}}
expected = fs.bce_with_logits(x, 1.0, **how)
def forever():
    while True:
        fs.sigmoid(x, **how)
        fs.bce_with_logits_value_and_grad(x, 1.0, **how)
for _ in range(4):
    threading.Thread(target=forever, daemon=True).start()
@atexit.register
def late():
    assert fs.bce_with_logits(x, 1.0, **how) == expected
    print("late call made", flush=True)
time.sleep(0.2)
"""
    for _ in range(5):
        assert printed(code, pytestconfig) == "late call made"


SMOKE = """
import numpy as np
import fastsig as fs
assert float(fs.sigmoid(np.float32(-100))).hex() == "0x1.b000000000000p-145"
x = np.linspace(-9, 9, 100_001, dtype="f4")
for name in ("c", "numba"):
    if fs.backends()[name] == "available":
        fs.sigmoid(x, backend=name), fs.bce_with_logits_value_and_grad(x, x > 0, backend=name)
    else:
        print(name, fs.backends()[name])
fs.bce_with_logits(x, (x > 0).tolist(), threads=2)
"""
SWITCHES = {
    "no compilation by Numba": {"NUMBA_DISABLE_JIT": "1"},
    "Numba's simulator of CUDA": {"NUMBA_ENABLE_CUDASIM": "1"},
    "Numba's own checks of bounds": {"NUMBA_BOUNDSCHECK": "1"},
    "Numba without optimisation": {"NUMBA_OPT": "0"},
    "no docstrings, no assertions": {"PYTHONOPTIMIZE": "2"},
    "development mode": {"PYTHONDEVMODE": "1"},
    "a debugging allocator": {"PYTHONMALLOC": "malloc_debug"},
    "a folder that cannot be written for everything": {
        "HOME": "/proc",
        "XDG_CACHE_HOME": "/proc",
        "XDG_CONFIG_HOME": "/proc",
        "TMPDIR": "/proc",
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("switches", SWITCHES.values(), ids=SWITCHES.keys())
def test_switches_that_others_set(switches: dict[str, str], pytestconfig: pytest.Config) -> None:
    done = run_python(SMOKE, pytestconfig, switches, timeout=400)
    assert done.returncode == 0, done.stderr
    assert all(" " in line.strip() for line in done.stdout.splitlines()), "a backend that does not serve says why"
