"""Calls take little of a thread's stack: the smallest that Python gives a thread is 32 KiB, and musl gives 128 KiB."""

from __future__ import annotations

import ctypes
import mmap
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from processes import printed

import fastsig as fs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="glibc's and musl's threads are measured here")
OWN_FRAMES = sys.version_info >= (3, 11)
"""Before, every Python function that a call goes through took a part of the C stack."""
MOST = (24 if OWN_FRAMES else 36) << 10
ROOM, PAINT = 1 << 20, 0xA5
ROUTINE = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)


def stack_of(call: Callable[[], Any]) -> int:
    """The bytes that a thread's stack needs in which Python makes the call: those of a painted one that have lost their paint."""
    system = ctypes.CDLL(None)
    memory = mmap.mmap(-1, ROOM)
    at = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    ctypes.memset(at, PAINT, ROOM)
    attributes, thread = ctypes.create_string_buffer(256), ctypes.c_ulong()
    assert system.pthread_attr_init(attributes) == 0
    assert system.pthread_attr_setstack(attributes, ctypes.c_void_p(at), ctypes.c_size_t(ROOM)) == 0
    errors: list[BaseException] = []

    def body(_: Any) -> int:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - raised again where the test sees it
            errors.append(error)
        return 0

    routine = ROUTINE(body)
    assert system.pthread_create(ctypes.byref(thread), attributes, routine, None) == 0
    system.pthread_join(thread, None)
    if errors:
        raise errors[0]
    return ROOM - int(np.argmax(np.frombuffer(memory, np.uint8) != PAINT))


def test_the_measure() -> None:
    """qsort_r's comparison is called back on the thread's stack; a function of Python's that calls itself takes more each time."""
    compare = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)

    def nested(depth: int) -> None:
        sort, numbers = ctypes.CDLL(None).qsort, (ctypes.c_int * 2)(2, 1)
        sort(numbers, 2, 4, compare(lambda *_: nested(depth - 1) or 0 if depth else 0))

    few, many = stack_of(lambda: nested(2)), stack_of(lambda: nested(20))
    assert stack_of(lambda: None) < few < few + 18 * 500 < many < ROOM


X = np.random.default_rng(1).normal(0, 30, 5000)
ELEMENTWISE: dict[str, Callable[..., Any]] = {
    "contiguous": lambda x, how: fs.softplus(x, **how),
    "strided": lambda x, how: fs.softplus(x[::-3], **how),
    "masked": lambda x, how: fs.sigmoid(x, where=x > 0, out=np.zeros_like(x), **how),
    "cast": lambda x, how: fs.silu(x, dtype="f8", **how),
    "shared": lambda x, how: fs.sigmoid(np.resize(x, 150_000), **how, threads=2),
}
LOSSES: dict[str, Callable[..., Any]] = {
    "plain": lambda x, how: fs.bce_with_logits_value_and_grad(x, 1.0, **how),
    "every option": lambda x, how: fs.bce_with_logits_value_and_grad(
        x, x > 0, weight=abs(x), pos_weight=2.0, mask=x > -9, label_smoothing=0.1, reduction="weighted_mean", **how
    ),
    "hessian": lambda x, how: fs.bce_with_logits_grad_hess(x, x > 0, weight=abs(x), **how),
    "probabilities": lambda x, how: fs.bce(abs(x) / 1000, x > 0, reduction="none", **how),
    "focal": lambda x, how: fs.sigmoid_focal_loss_value_and_grad(x, x > 0, gamma=1.5, **how),
    "focal hessian": lambda x, how: fs.sigmoid_focal_loss_grad_hess(x, x > 0, gamma=1.5, **how),
    "twelve axes": lambda x, how: fs.bce_with_logits(np.resize(x, (2,) * 12)[::-1, ::-1].swapaxes(0, 5), np.ones(2), **how),
    "Fortran order": lambda x, how: fs.bce_with_logits(np.resize(x, (64, 64)).T, 1.0, **how),
    "list": lambda x, how: fs.bce_with_logits(x.tolist(), 1, **how),
    "shared": lambda x, how: fs.bce_with_logits_value_and_grad(np.resize(x, 200_000), 1.0, **how, threads=2),
    "accumulator": lambda x, how: fs.BCEAccumulator().update(x, 0.5, **how).result(),
}
CALLS = {**{f"{name} function": call for name, call in ELEMENTWISE.items()}, **{f"{name} loss": call for name, call in LOSSES.items()}}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_every_call(call: Callable[..., Any], dtype: str, backend: str) -> None:
    x = X.astype(dtype)
    call(x, {"backend": backend})  # Numba's compiler takes what it wants
    assert stack_of(lambda: call(x, {"backend": backend})) - stack_of(lambda: None) <= MOST


@pytest.mark.parametrize("suffix, dtype", [("f16", "f2"), ("bf16", "u2"), ("f32", "f4"), ("f64", "f8")])
@pytest.mark.parametrize("isa", ["baseline", "v3", "v4"])
def test_the_c_abi(suffix: str, dtype: str, isa: str, default_isa: None) -> None:
    library = ctypes.CDLL(str(fs.get_library()))
    if library.fastsig_set_isa(isa.encode()):
        pytest.skip(f"{isa} is not available here")
    x = np.zeros(4000, dtype)
    step, count = ctypes.c_ssize_t(2 * x.itemsize), ctypes.c_size_t(2000)
    at = ctypes.c_void_p(x.ctypes.data)
    for name, operands in (("sigmoid", [at, step]), ("bce", [at, step, at, step])):
        function = getattr(library, f"fastsig_{name}_{suffix}_strided")
        assert stack_of(lambda f=function, o=operands: f(*o, at, step, count)) - stack_of(lambda: None) <= MOST


@pytest.mark.skipif(not OWN_FRAMES, reason="Python's own functions take more")
def test_the_smallest_threads_that_python_makes(backend: str) -> None:
    printed(f"""
import threading
import numpy as np
import fastsig as fs
x, how, done = np.linspace(-700, 700, 5000), {{"backend": {backend!r}}}, []
def calls():
    done.append(fs.sigmoid(x[::2], **how))
    done.append(fs.bce_with_logits_value_and_grad(x, x > 0, **how))
calls()
threading.stack_size(32 << 10)
thread = threading.Thread(target=calls)
thread.start()
thread.join()
assert len(done) == 4
""")
