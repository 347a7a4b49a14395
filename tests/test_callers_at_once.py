"""Many threads call at once, with the GIL and without: each gets the bits that a call alone gives, and nothing that is shared is lost."""

from __future__ import annotations

import sys
import sysconfig
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
from processes import printed
from reference import Array
from samples import anything

import fastsig as fs
from fastsig.ops import BY_NAME, FUSED, OPS

pytestmark = pytest.mark.alone

CALLERS = 6
WITHOUT_GIL = bool(sysconfig.get_config_var("Py_GIL_DISABLED"))
Call = Callable[..., Any]


@pytest.fixture(autouse=True)
def quick_to_switch() -> Iterator[None]:
    """With the GIL, threads take turns a thousand times as often as they would: as nearly at once as they can be."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    yield
    sys.setswitchinterval(before)


def at_once(work: Callable[[int], None], callers: int = CALLERS) -> None:
    """work(i) in so many threads, which all begin together; an error of one is the test's."""
    barrier, errors = threading.Barrier(callers), []

    def begin(i: int) -> None:
        try:
            barrier.wait()
            work(i)
        except BaseException as error:  # noqa: BLE001  # raised again below
            errors.append(error)

    threads = [threading.Thread(target=begin, args=(i,)) for i in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]


def bits(result: Any) -> bytes | str:
    if isinstance(result, str):
        return result
    return b"".join(np.asarray(part).tobytes() for part in (result if isinstance(result, tuple) else (result,)))


# ---- the same bits ----

DTYPES = {"c": (np.float16, np.float32, np.float64), "numba": (np.float32,)}
"""By backend: one type's kernels are enough to compile."""


def into_new(function: Call, x: Array, **options: Any) -> Array:
    """What a call writes into an array of zeros."""
    out = np.zeros_like(x)
    function(x, out=out, **options)
    return out


def unary_calls(backend: str) -> dict[str, Call]:
    """Each way that a call of an operation takes: numbers, small and shared arrays, strides, masks, outputs, bytes."""
    found: dict[str, Call] = {}
    for op in OPS:
        if op.nin != 1:
            continue
        function = partial(getattr(fs, op.name), backend=backend)
        for dtype in DTYPES[backend]:
            (x,) = anything(op, dtype, 70_001)
            small, of = x[:77].copy(), f"{op.name} of {x.dtype}"
            found |= {
                f"{of}, a number": partial(function, x[0]),
                f"{of}, small": partial(function, small),
                f"{of}, small, into out": partial(into_new, function, small),
                f"{of}, shared": partial(function, x, threads=3),
                f"{of}, every third": partial(function, x[::3]),
                f"{of}, masked": partial(into_new, function, x, where=np.arange(x.size) % 3 == 0),
                f"{of}, the ufunc": partial(getattr(fs.ufuncs, op.name), small),
                f"{of}, explained": partial(fs.explain, x, op=op.name, threads=2, backend=backend),
            }
        found[f"{op.name} of bool"] = partial(function, np.arange(300) % 2 == 0)
    return found


def loss_calls(backend: str) -> dict[str, Call]:
    found: dict[str, Call] = {}
    functions = (fs.bce_with_logits, fs.bce_with_logits_value_and_grad, fs.sigmoid_focal_loss_value_and_grad)
    for dtype in DTYPES[backend]:
        for size in (50, 70_001):
            random = np.random.default_rng(size)
            x, t = random.normal(0, 5, size).astype(dtype), random.random(size).astype(dtype)
            options: dict[str, dict[str, Any]] = {
                "plain": {},
                "weighted": {"weight": random.random(size).astype(dtype), "reduction": "weighted_mean"},
                "masked": {"mask": random.random(size) < 0.7, "reduction": "sum", "threads": 2},
                "elementwise": {"reduction": "none"},
            }
            for name, given in options.items():
                for function in functions:
                    found[f"{function.__name__} of {size} {x.dtype}, {name}"] = partial(function, x, t, **given, backend=backend)
    lists = np.linspace(-9, 9, 100).tolist(), [i % 2 for i in range(100)]
    found["lists"] = partial(fs.bce_with_logits_value_and_grad, *lists, backend=backend)
    return found


def gate_calls(backend: str) -> dict[str, Call]:
    found: dict[str, Call] = {}
    for row in FUSED:
        for dtype in DTYPES[backend]:
            for rows, inner in ((2, 20), (300, 100)):
                random = np.random.default_rng(rows)
                arguments = [random.normal(0, 3, (rows, inner * count)).astype(dtype) for _, count in row.arguments]
                call = partial(getattr(fs, row.name), *arguments, threads=2, backend=backend)
                found[f"{row.name} of {rows} x {inner} {np.dtype(dtype)}"] = call
    return found


@pytest.mark.parametrize("calls", [unary_calls, loss_calls, gate_calls])
def test_same_bits_as_alone(calls: Callable[[str], dict[str, Call]], backend: str) -> None:
    """Each thread begins elsewhere in the list, so that at any time different calls are under way."""
    table = list(calls(backend).items())
    alone = [bits(call()) for _, call in table]

    def work(i: int) -> None:
        for k in range(len(table)):
            at = (k + i * len(table) // CALLERS) % len(table)
            name, call = table[at]
            assert bits(call()) == alone[at], name

    at_once(work)


FIRST = """
import threading, warnings, numpy as np, fastsig as fs
{before}
x = np.linspace(-20, 20, 100_000).astype("f4")
t = (x > 0).astype("f4")
callers, found = 8, []
barrier = threading.Barrier(callers)

def call():
    barrier.wait()
    result = {call}
    found.append(result if isinstance(result, str) else np.asarray(result).tobytes())

threads = [threading.Thread(target=call) for _ in range(callers)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(found), len(set(found)))
"""
FIRST_CALLS = {
    "large": "fs.sigmoid(x, threads=2)",
    "a loss": "fs.bce_with_logits(x, t)",
    "a gate": "fs.glu(x)",
    "Numba": "fs.sigmoid(x[:100], backend='numba')",
    "a loss by Numba": "fs.bce_with_logits(x[:100], t[:100], backend='numba')",
    "a gate by Numba": "fs.glu(x[:100], backend='numba')",
    "explain": "fs.explain(x)",
    "backends": "str(fs.backends())",
}


@pytest.mark.parametrize("what", FIRST_CALLS)
def test_all_make_the_first_call(what: str, pytestconfig: pytest.Config) -> None:
    if "umba" in what and "numba" in pytestconfig.getoption("--hide"):
        pytest.skip("--hide numba: this is about the Numba backend")
    assert printed(FIRST.format(before="", call=FIRST_CALLS[what]), pytestconfig) == "8 1"


@pytest.mark.parametrize("call", ["fs.sigmoid(h)", "fs.sigmoid(h, threads=2)", "fs.bce_with_logits(h, h, check=False)"])
def test_all_meet_bfloat16_for_the_first_time(call: str, need_c: None, pytestconfig: pytest.Config) -> None:
    """The ufuncs learn it once, and no thread takes it for known before they have."""
    pytest.importorskip("ml_dtypes")
    before = "import ml_dtypes\nh = np.linspace(-20, 20, 100_000).astype(ml_dtypes.bfloat16)"
    assert printed(FIRST.format(before=before, call=call), pytestconfig) == "8 1"


# ---- what is shared ----


def test_the_number_of_threads_changes_meanwhile() -> None:
    """Whoever asks hears one of the numbers that were set, or the default."""
    default, stop = fs.get_num_threads(), threading.Event()
    x = np.linspace(-20, 20, 70_001)
    want = fs.sigmoid(x).tobytes()

    def change() -> None:
        while not stop.is_set():
            for n in (None, 2, 3):
                fs.set_num_threads(n)

    changing = threading.Thread(target=change)
    changing.start()
    try:
        for i in range(20_000):
            assert fs.get_num_threads() in (default, 2, 3)
            if i % 100 == 0:
                assert fs.sigmoid(x).tobytes() == want
    finally:
        stop.set()
        changing.join()


def test_one_accumulator_for_all() -> None:
    """No chunk is lost, and whole blocks in any order make the bits of one call."""
    chunks, size, again = 30, 1024, 40
    x, t = anything(BY_NAME["bce_with_logits"], np.float32, CALLERS * chunks * size)
    x, t, w = np.nan_to_num(x), np.nan_to_num(t), np.arange(x.size, dtype=np.float32) % 5
    total, merged = fs.BCEAccumulator(), fs.BCEAccumulator()

    def work(i: int) -> None:
        for k in range(i, CALLERS * chunks, CALLERS):
            part = slice(k * size, (k + 1) * size)
            total.update(x[part], t[part], weight=w[part])
            alone = fs.BCEAccumulator().update(x[part], t[part], weight=w[part])
            for _ in range(again):  # the sum alone, and no other work between two
                merged.merge(alone)
            assert total.count >= size

    at_once(work)
    assert (total.count, merged.count) == (x.size, again * x.size)
    for reduction in ("mean", "sum", "weighted_mean"):
        want = bits(fs.bce_with_logits(x, t, weight=w, reduction=reduction))
        assert bits(total.result(reduction)) == want, reduction
        once = fs.BCEAccumulator().update(x, t, weight=w)
        want = fs.BCEAccumulator()
        for _ in range(again):
            want.merge(once)
        assert bits(merged.result(reduction)) == bits(want.result(reduction)), reduction


def test_a_forked_child_accumulates_whoever_was_at_it() -> None:
    code = """
import os, signal, threading, warnings, fastsig as fs
warnings.simplefilter("ignore")
total, stop = fs.BCEAccumulator().update([1.0], [0]), threading.Event()
def add():
    while not stop.is_set():
        total.merge(fs.BCEAccumulator())
threads = [threading.Thread(target=add) for _ in range(3)]
for thread in threads: thread.start()
statuses = set()
for _ in range(30):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(total.merge(total).count != 2)
    statuses.add(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
stop.set()
for thread in threads: thread.join()
print(statuses)
"""
    assert printed(code) == "{0}"


LIST = """
import threading, fastsig as fs
size, callers = 3000, 3
x, t = [0.5] * size, [1.0] * size
stop = threading.Event()
known = {float(fs.bce_with_logits([value] * size, t)) for value in (0.5, 2.5)}

def change():
    while not stop.is_set():
        for value in (0.5, 2.5):
            {change}

found, refused = [], []
def call():
    for _ in range(400):
        try:
            found.append(float(fs.bce_with_logits(x, t)))
        except (TypeError, ValueError) as error:
            refused.append(str(error))

changing = [threading.Thread(target=change) for _ in range(2)]
calling = [threading.Thread(target=call) for _ in range(callers)]
for thread in changing + calling:
    thread.start()
for thread in calling:
    thread.join()
stop.set()
for thread in changing:
    thread.join()
print(len(found) + len(refused), {print})
"""


def test_a_list_whose_numbers_another_thread_changes_is_read_as_it_was_at_one_time(need_c: None, pytestconfig: pytest.Config) -> None:
    code = LIST.replace("{change}", "x[:] = [value] * size").replace("{print}", "set(found) <= known, refused")
    assert printed(code, pytestconfig) == "1200 True []"


def test_a_list_whose_length_another_thread_changes_is_read_or_refused(pytestconfig: pytest.Config) -> None:
    change = "x.append(value), x.pop(0), x.pop(), x.insert(0, value)"
    code = LIST.replace("{change}", change).replace("{print}", "all('logits' in words for words in refused)")
    assert printed(code, pytestconfig) == "1200 True"


# ---- the GIL ----

STILL_WITHOUT = """
import sys, numpy as np, fastsig as fs
x = np.linspace(-20, 20, 100_000).astype("f4")
for backend in [name for name, status in fs.backends().items() if status == "available"]:
    fs.sigmoid(x[:9], backend=backend), fs.sigmoid(x, threads=2, backend=backend)
    fs.bce_with_logits_value_and_grad(x, x > 0, backend=backend), fs.glu(x, backend=backend)
fs.sigmoid(1.0), fs.bce_with_logits([1.0], [0]), fs.explain(x), fs.BCEAccumulator().update(x, x > 0)
print(sys._is_gil_enabled())
"""


@pytest.mark.skipif(not WITHOUT_GIL, reason="this Python has a GIL")
def test_nothing_switches_the_gil_on_again(pytestconfig: pytest.Config) -> None:
    assert printed(STILL_WITHOUT, pytestconfig, PYTHON_GIL="") == "False"
