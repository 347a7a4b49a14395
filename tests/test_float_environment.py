"""Results under every floating-point environment that others leave behind are those under the default one, and it is left as it was."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path
from typing import Any

import float_environments as environments
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import printed
from reference import Array
from samples import anything

import fastsig as fs
from fastsig.dispatch.availability import ufunc_of
from fastsig.ops import OPS, Op

pytestmark = environments.needed
ONE_INPUT = [op for op in OPS if op.nin == 1]
FLOATS = ("float16", "float32", "float64")
OTHERS = [name for name in environments.ALL if name != "default"]
NUMPY_CLEARS = 0x3F
"""The flags that NumPy clears before and after each call of a ufunc, also of its own."""
UNDER = pytest.mark.parametrize("environment", OTHERS)


def answers(call: Any, environment: str, forgiven: int = 0) -> bytes:
    """What the call gives, all bits; the environment after it is the one before, but for these flags."""
    with environments.under(environment) as before:
        results = call()
        after = environments.current()
    assert after | forgiven == before | forgiven, f"{environment} was not given back"
    return b"".join(np.asarray(result).tobytes() for result in (results if isinstance(results, tuple) else (results,)))


@functools.cache
def tails(op: Op, dtype: str, count: int) -> tuple[Array, ...]:
    """Inputs with subnormal results, subnormal inputs among them, and anything else."""
    least = np.finfo(dtype).smallest_subnormal
    x = np.concatenate([np.linspace(-88, -104, 99), np.linspace(-708, -746, 99), np.linspace(-20, 20, 99)])
    with np.errstate(over="ignore"):
        x = np.concatenate([x.astype(dtype), least * np.arange(1, 50).astype(dtype)])
    x = abs(x) / 128 * (abs(x) < 128) if op.domain == "unit" else x
    others = anything(op, dtype, count)
    return (np.resize(np.concatenate([x, others[0][: count // 2]]), count).astype(dtype), *others[1:])


@UNDER
@pytest.mark.parametrize("op", ONE_INPUT, ids=lambda op: op.name)
@pytest.mark.parametrize("dtype", FLOATS)
def test_functions(environment: str, op: Op, dtype: str, backend: str) -> None:
    function = getattr(fs, op.name)
    few, (many,) = tails(op, dtype, 1000)[0], tails(op, dtype, 150_000)
    for array, threads in ((few[:3], 1), (few, 1), (few[::2], 1), (few[:, None][::-1], 1), (many, 1), (many, 2)):
        call = functools.partial(function, array, backend=backend, threads=threads)
        assert answers(call, environment) == answers(call, "default"), (array.shape, threads, array.strides)


@UNDER
@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_plain_ufuncs(environment: str, op: Op, backend: str) -> None:
    ufunc = ufunc_of(backend, op.name)
    for dtype in FLOATS:
        operands = tails(op, dtype, 5000)
        call = functools.partial(ufunc, *operands)
        assert answers(call, environment, NUMPY_CLEARS) == answers(call, "default", NUMPY_CLEARS)


@UNDER
@pytest.mark.parametrize("op", ONE_INPUT, ids=lambda op: op.name)
def test_functions_of_bfloat16(environment: str, op: Op, need_c: None) -> None:
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    every = np.arange(1 << 16, dtype="u2").view(bfloat16)
    for array, threads in ((every, 1), (every[::-2], 1), (np.tile(every, 3), 2)):
        call = functools.partial(getattr(fs, op.name), array, threads=threads)
        assert answers(call, environment) == answers(call, "default")


@UNDER
def test_casts_around_a_function(environment: str, backend: str) -> None:
    """NumPy's own, of inputs and of results: a subnormal float32 of a float64 result, integers that no float64 holds."""
    x = np.linspace(-104, -86, 5001)
    narrow = x.astype("f4")
    integers = np.arange(2**53 + 1, 2**53 + 4001)
    masked = np.arange(5001) % 3 > 0
    for call in (
        lambda: fs.sigmoid(x, out=np.empty(x.shape, "f4"), backend=backend),
        lambda: fs.sigmoid(narrow, dtype="f8", out=np.empty(x.shape, "f4"), casting="same_kind", backend=backend),
        lambda: fs.silu(integers, backend=backend),
        lambda: fs.silu(int(integers[0]), backend=backend),
        lambda: fs.sigmoid(x, where=masked, out=np.zeros(x.shape), backend=backend),
        lambda: fs.sigmoid(np.arange(-100, 100, dtype="i1"), backend=backend),
    ):
        assert answers(call, environment) == answers(call, "default")


def losses(dtype: str, backend: str, threads: int, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    n = 70_001 if threads > 1 else 2049
    x = np.concatenate([rng.normal(0, 30, n - 1000), np.linspace(-104, 104, 1000)]).astype(dtype)
    t = np.where(rng.random(n) < 0.7, rng.random(n) < 0.5, rng.random(n)).astype(dtype)
    weight, positive = rng.random(n).astype(dtype), rng.uniform(0.5, 4, n).astype(dtype)
    tiny = (weight * np.finfo(dtype).smallest_normal).astype(dtype)
    mask, alpha = rng.random(n) < 0.9, positive / 4
    probabilities, integers = fs.sigmoid(x), np.arange(2**53 + 1, 2**53 + 100)
    how = {"backend": backend, "threads": threads}
    every = {"weight": weight, "pos_weight": positive, "mask": mask, "label_smoothing": 0.1}
    return {
        "mean": lambda: fs.bce_with_logits(x, t, **how),
        "sum": lambda: fs.bce_with_logits(x, t, reduction="sum", **how),
        "mean of subnormals": lambda: fs.bce_with_logits(x[:9], t[:9], weight=tiny[:9], out=np.empty((), "f4"), **how),
        "weighted mean": lambda: fs.bce_with_logits_value_and_grad(x, t, reduction="weighted_mean", **every, **how),
        "divided by tiny weights": lambda: fs.bce_with_logits_value_and_grad(x, t, reduction="weighted_mean", weight=tiny, **how),
        "elements": lambda: fs.bce_with_logits_value_and_grad(x, t, reduction="none", **every, **how),
        "gradient": lambda: fs.bce_with_logits_value_and_grad(x, t, **how),
        "hessian": lambda: fs.bce_with_logits_grad_hess(x, t, **how),
        "probabilities": lambda: fs.bce(probabilities, t, weight=weight, reduction="none", **how),
        "focal": lambda: fs.sigmoid_focal_loss_value_and_grad(x, t, gamma=1.7, alpha=0.3, reduction="none", **how),
        "focal hessian": lambda: fs.sigmoid_focal_loss_grad_hess(x, t, gamma=1.7, alpha=alpha, weight=weight, **how),
        "strided": lambda: fs.bce_with_logits_value_and_grad(x[::2], t[::2], **how),
        "Fortran order": lambda: fs.bce_with_logits_value_and_grad(np.resize(x, (40, 60)).T, np.resize(t, (40, 60)).T, **how),
        "integers": lambda: fs.bce_with_logits(integers, np.ones(99, int), reduction="none", **how),
    }


@UNDER
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("threads", [1, 2])
def test_losses(environment: str, dtype: str, threads: int, backend: str) -> None:
    for name, call in losses(dtype, backend, threads, seed=threads).items():
        assert answers(call, environment) == answers(call, "default"), name


@UNDER
def test_an_accumulator(environment: str, backend: str) -> None:
    logits, targets = np.linspace(-104, -90, 4096, dtype="f4"), np.zeros(4096)

    def call() -> tuple[Any, ...]:
        parts = [fs.BCEAccumulator(), fs.BCEAccumulator()]
        for i, part in enumerate(parts):
            part.update(logits, targets, weight=1e-38 * (i + 1), backend=backend)
        return parts[0].merge(parts[1]).result("mean"), parts[0].result("sum")

    assert answers(call, environment) == answers(call, "default")


@UNDER
def test_the_c_abi(environment: str, need_c: None) -> None:
    library = ctypes.CDLL(str(fs.get_library()))
    for op in OPS:
        for suffix, dtype in (("f16", "float16"), ("f32", "float32"), ("f64", "float64"), ("bf16", "uint16")):
            inputs = tails(op, "float32" if suffix == "bf16" else dtype, 5001)
            if suffix == "bf16":
                inputs = tuple((x.view("u4") >> 16).astype("u2") for x in inputs)
            function = getattr(library, f"fastsig_{op.name}_{suffix}")

            def call(inputs: tuple[Array, ...] = inputs, function: Any = function) -> Array:
                out = np.empty_like(inputs[0])
                function(*[ctypes.c_void_p(a.ctypes.data) for a in (*inputs, out)], ctypes.c_size_t(out.size))
                return out

            assert answers(call, environment) == answers(call, "default"), (op.name, suffix)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(OTHERS), st.sampled_from(ONE_INPUT), st.sampled_from(FLOATS), st.sampled_from([None, 1, 2]),
    st.lists(st.floats(width=16), min_size=1, max_size=40), st.integers(1, 3), st.booleans(),
)  # fmt: skip
def test_any_floats(environment: str, op: Op, dtype: str, threads: int | None, values: list[float], step: int, in_place: bool) -> None:
    x = np.array(values, dtype).repeat(step)[::step]

    def call() -> Array:
        own = x.copy()[:: -1 if step == 2 else 1]
        return getattr(fs, op.name)(own, out=own if in_place else None, threads=threads)  # type: ignore[no-any-return]

    assert answers(call, environment) == answers(call, "default")


def test_threads_that_were_made_under_it(pytestconfig: pytest.Config) -> None:
    """A thread has its maker's environment, for as long as it lives."""
    printed(
        f"""
sys.path.insert(0, {str(Path(__file__).parent)!r})
import float_environments as environments
import numpy as np
with environments.under("both"):
    import fastsig as fs
    x = np.full(4_000_000, -95, "f4")
    results = [fs.sigmoid(x, threads=2) for _ in range(20)]
    losses = [fs.bce_with_logits_value_and_grad(x, np.zeros_like(x), reduction="none", threads=2) for _ in range(5)]
assert all((result.view("i4") == 0xF64).all() for result in results)
assert all(((loss.view("i4") == 0xF64) & (gradient.view("i4") == 0xF64)).all() for loss, gradient in losses)
""",
        pytestconfig,
    )
