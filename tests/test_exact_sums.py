"""Sums of losses and weights are exact: compared with sums of fractions, which share no code, where a rounding would show."""

from __future__ import annotations

import math
import pickle
import random
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from reference import Array

import fastsig as fs
from fastsig.kernels import plan
from fastsig.kernels.c.status import library as c
from fastsig.losses import accumulator, arguments, evaluate

EACH_TYPE = pytest.mark.parametrize("dtype", ["float32", "float64"])
SIZES = (1, 2, 15, 16, 17, 63, 64, 65, 100, 1000, 1023, 1024, 1025, 3000)
BACKENDS = [name for name in ("c", "numba") if fs.backends()[name] == "available"]
WAYS = [*(c.isas() if c else ()), *(name for name in BACKENDS if name != "c")]
"""The instruction sets of the C library, and Numba."""


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "numba":
        yield "numba"
        return
    before = c.isa()
    c.set_isa(request.param)
    yield "c"
    c.set_isa(before)


def exact(values: Array) -> Fraction:
    return sum((Fraction(float(v)) for v in values), Fraction(0))


def summed(values: Array, backend: str, threads: int = 1) -> Any:
    """The exact sum of these numbers, none of which is looked at."""
    x = np.zeros(values.shape, values.dtype)
    ops = arguments.operands("bce_with_logits", plan.LOGITS, x, x, values, None, None)
    return evaluate.total_weight(ops, 0, backend, threads)


def fraction(total: Any) -> Fraction:
    assert total.special is None
    return Fraction(total.units, 1 << plan.UNIT_LOG2)


def powers(n: int, low: int, high: int, rng: Any) -> Array:
    return np.ldexp(rng.uniform(1, 2, n), rng.integers(low, high, n))


Numbers = Callable[[int, Any, Any], Array]
NUMBERS: dict[str, Numbers] = {
    "from 0 to 1": lambda n, info, rng: rng.random(n),
    "just below 2^10": lambda n, info, rng: np.full(n, 1024 * (1 - float(info.epsneg))),
    "2^10": lambda n, info, rng: np.full(n, 1024.0),
    "halfway between multiples": lambda n, info, rng: np.full(n, math.ldexp(1.0, -12 if info.bits == 32 else -42)) * rng.choice([1, 3], n),
    "ends of the first grids": lambda n, info, rng: np.ldexp(1 + float(info.eps), np.resize([-30, -31, -41, -42, 9, 10], n)),
    "zeros of both signs": lambda n, info, rng: rng.choice([0.0, -0.0], n),
    "tails": lambda n, info, rng: powers(n, -120, 4, rng),
    "all exponents": lambda n, info, rng: powers(n, info.minexp - info.nmant, info.maxexp, rng),
    "all exponents, both signs": lambda n, info, rng: powers(n, info.minexp - info.nmant, info.maxexp, rng) * rng.choice([-1, 1], n),
    "subnormal": lambda n, info, rng: rng.integers(0, 1000, n) * float(info.smallest_subnormal),
    "the greatest": lambda n, info, rng: np.full(n, float(info.max)),
    "the least": lambda n, info, rng: np.full(n, float(info.smallest_subnormal)),
    "negative": lambda n, info, rng: -rng.random(n),
    "that cancel": lambda n, info, rng: np.resize([1e30, 1.0, -1e30, 1e-30], n),
    "where folds end": lambda n, info, rng: np.ldexp(rng.choice([-1.0, 1.0], n), int(info.maxexp) - rng.integers(2, 6, n)),
    "all multiples the greatest": lambda n, info, rng: np.full(n, math.ldexp(1 - float(info.epsneg), int(info.maxexp) - 4)),
    "all multiples the least": lambda n, info, rng: np.full(n, -math.ldexp(1 - float(info.epsneg), int(info.maxexp) - 4)),
}


@EACH_TYPE
@pytest.mark.parametrize("kind", NUMBERS)
def test_sums_of_any_numbers_are_exact(kind: str, dtype: str, way: str) -> None:
    rng, info = np.random.default_rng(3), np.finfo(dtype)
    for n in SIZES:
        with np.errstate(over="ignore", under="ignore"):
            values = np.asarray(NUMBERS[kind](n, info, rng)).astype(dtype)
        assert fraction(summed(values, way)) == exact(values), n


@EACH_TYPE
def test_numbers_that_are_none_are_counted(dtype: str, way: str) -> None:
    for special in ((np.inf,), (-np.inf,), (np.nan,), (np.inf, -np.inf), (np.inf, np.nan)):
        values = np.full(2000, 0.1, dtype)
        values[[7, 1500][: len(special)]] = special
        got = summed(values, way)
        counted = (np.isnan(values).sum(), (values == np.inf).sum(), (values == -np.inf).sum())
        assert (got.nans, got.infs, got.negative_infs) == counted
        assert Fraction(got.units, 1 << plan.UNIT_LOG2) == exact(values[np.isfinite(values)])


@EACH_TYPE
def test_carries_do_not_reach_the_last_digit(dtype: str, way: str) -> None:
    """Sums of many blocks, each of which needs every digit."""
    values = np.tile(powers(1024, np.finfo(dtype).minexp, np.finfo(dtype).maxexp, np.random.default_rng(1)).astype(dtype), 200)
    assert fraction(summed(values, way)) == 200 * exact(values[:1024])
    assert fraction(summed(-values, way, threads=3)) == -200 * exact(values[:1024])


LOSSES: dict[str, Callable[..., Any]] = {
    "bce_with_logits": lambda x, t, w, m, **how: fs.bce_with_logits(x, t, weight=w, mask=m, **how),
    "gradient": lambda x, t, w, m, **how: fs.bce_with_logits_value_and_grad(x, t, weight=w, mask=m, **how)[0] if how["reduction"] != "none"
    else fs.bce_with_logits(x, t, weight=w, mask=m, **how),
    "focal": lambda x, t, w, m, **how: fs.sigmoid_focal_loss(x, t, weight=w, mask=m, gamma=1.5, **how),
    "bce": lambda x, t, w, m, **how: fs.bce(fs.sigmoid(x), t, weight=w, mask=m, **how),
    "negative": lambda x, t, w, m, **how: fs.bce_with_logits(x, t, weight=-w, mask=m, check=False, **how),
}  # fmt: skip


@EACH_TYPE
@pytest.mark.parametrize("scale", [1.0, 30.0, 700.0])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_sum_is_the_exact_one_rounded_once(loss: str, scale: float, dtype: str, way: str) -> None:
    """In any order, on any threads."""
    rng = np.random.default_rng(2)
    n = 30_000
    x, t = (rng.normal(size=n) * scale).astype(dtype), (rng.random(n) < 0.4).astype(dtype)
    x = np.where((np.abs(x) > 15) & (loss == "bce"), np.copysign(15, x), x).astype(dtype)  # no probability is 0 or 1, so no loss is inf
    w, m = np.exp(rng.normal(size=n) * 3).astype(dtype), rng.random(n) < 0.8
    elements = LOSSES[loss](x, t, w, m, reduction="none", backend=way)
    # losses of float32 sum to float64 by math.fsum with one rounding, and a second one to float32 that none of these sums feels
    want = np.dtype(dtype).type(math.fsum(elements.astype(np.float64)))
    order = rng.permutation(n)
    for threads in (1, 3):
        assert LOSSES[loss](x, t, w, m, reduction="sum", backend=way, threads=threads) == want
        shuffled = LOSSES[loss](x[order], t[order], w[order], m[order], reduction="sum", backend=way, threads=threads)
        assert shuffled == want


@EACH_TYPE
def test_any_chunks_in_any_order_on_any_backends(dtype: str) -> None:
    rng, choose = np.random.default_rng(4), random.Random(4)
    n = 20_000
    x, t, w, m = (rng.normal(size=n) * 40).astype(dtype), rng.random(n).astype(dtype), rng.random(n).astype(dtype), rng.random(n) < 0.7
    for _ in range(10):
        cuts = [0, *sorted(choose.choices(range(n + 1), k=choose.randrange(40))), n]
        order = rng.permutation(n)
        parts = [fs.BCEAccumulator() for _ in range(3)]
        for low, high in zip(cuts, cuts[1:], strict=False):
            piece = order[low:high]
            how = {"backend": choose.choice(BACKENDS), "threads": choose.choice([None, 2])}
            choose.choice(parts).update(x[piece], t[piece], weight=w[piece], mask=m[piece], **how)  # type: ignore[arg-type]
        whole = pickle.loads(pickle.dumps(parts[0])).merge(parts[2]).merge(parts[1])
        assert whole.count == m.sum()
        for reduction in ("mean", "sum", "weighted_mean"):
            want = fs.bce_with_logits(x, t, weight=w, mask=m, reduction=reduction)
            assert whole.result(reduction) == want
            assert whole.result(reduction).dtype == want.dtype


def test_an_accumulator_merged_with_itself_is_twice_itself() -> None:
    total = fs.BCEAccumulator().update([1.0, 2.0], [0, 1])
    once = total.result("sum")
    assert total.merge(total).result("sum") == 2 * once
    assert total.count == 4


def test_an_update_that_is_refused_leaves_the_state() -> None:
    total = fs.BCEAccumulator().update(np.float32([1, 2]), np.float32([0, 1]), weight=np.float32([1, 3]))
    before = pickle.dumps(total)
    for bad in ({"weight": [-1.0, 1.0]}, {"mask": [1, 0]}, {"label_smoothing": 1}, {"threads": 0}):
        with pytest.raises((ValueError, TypeError)):
            total.update(np.float64([1, 2]), [0, 1], **bad)
    with pytest.raises(ValueError, match="targets must lie in"):
        total.update(np.float64([1, 2]), [0, 2])
    assert pickle.dumps(total) == before


def test_an_accumulator_takes_any_number_of_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Words have room for so many; before they are full their sum becomes an integer of Python's."""
    monkeypatch.setattr(accumulator, "_MOST_CALLS", 3)
    x, t = np.float32([-1.3373972]), np.float32([0])
    total = fs.BCEAccumulator()
    for calls in range(1, 12):
        total.update(x, t)
        assert total.result("sum") == np.float32(float(exact(fs.bce_with_logits(x, t, reduction="none")) * calls))
        assert total._words.max() < 3 << 32
