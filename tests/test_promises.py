"""What holds between results at any inputs, drawn by Hypothesis from all bit patterns of a type: ranges, order, symmetry, NaN for NaN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from reference import Array, bits_of
from test_properties import EACH_OP, EACH_PROFILE, QUICK, SEEDS, for_all, served
from views import FLOATS, dtype_of

from fastsig.dispatch import availability
from fastsig.ops import Op

EACH_DTYPE = pytest.mark.parametrize("dtype", FLOATS)


def numbers(dtype: np.dtype[Any]) -> st.SearchStrategy[Array]:
    """Bit patterns of this type: a few that Hypothesis chooses, any and near numbers that people write, and many at random."""
    width = 8 * dtype.itemsize
    integer = np.dtype(f"u{dtype.itemsize}")
    real = st.floats(-800, 800, width=max(width, 16)) if dtype.name != "bfloat16" else st.floats(-800, 800, width=32)
    written = real.map(lambda x: int(np.array(x).astype(dtype).view(integer)))
    patterns = st.lists(st.one_of(st.integers(0, 2**width - 1), written), min_size=1, max_size=24)

    def with_neighbours(bits: list[int], seed: int) -> Array:
        steps = [(b + step) % 2**width for b in bits for step in (0, 1, -1)]
        random = np.random.default_rng(seed)
        anywhere, lively = random.integers(0, 2**width, 32, integer), random.normal(0, 6, 32).astype(dtype)
        return np.concatenate([np.array(steps, integer).view(dtype), anywhere.view(dtype), lively])

    return st.builds(with_neighbours, patterns, SEEDS)


def ufunc_for(backend: str, dtype: str, name: str) -> np.ufunc:
    if dtype not in served(backend):
        pytest.skip(f"{backend} serves no {dtype} here")
    return availability.ufunc_of(backend, name)


def wide(x: Array) -> Array:
    """As float64, which holds every narrower number."""
    return x.astype(np.float64)


def all_inputs(check: Callable[[Array, Array], None], dtype: str, profile: settings, *labels: str) -> None:
    """check(x, t) for drawn x and as many targets, of which some are 0 and 1, and some nothing sensible."""

    def draw(data: st.DataObject) -> None:
        x = data.draw(numbers(dtype_of(dtype)), label="x")
        t = np.resize(data.draw(numbers(dtype_of(dtype)), label="t"), x.size)
        choice = np.resize(data.draw(st.lists(st.integers(0, 2), min_size=1, max_size=9), label="hard"), x.size)
        check(x, np.where(choice == 2, t, choice.astype(x.dtype)))

    for_all(profile, draw, dtype, *labels)


@EACH_PROFILE
@EACH_DTYPE
@EACH_OP
def test_nan_gives_nan_and_numbers_give_numbers(op: Op, dtype: str, backend: str, profile: settings) -> None:
    """A NaN of any payload in any argument; and no NaN where every argument is in its domain."""
    ufunc = ufunc_for(backend, dtype, op.name)

    def check(x: Array, t: Array) -> None:
        operands = (x, t)[: op.nin]
        values = [wide(a) for a in operands]
        got = np.isnan(wide(ufunc(*operands)))
        missing = np.logical_or.reduce([np.isnan(v) for v in values])
        inside = [(v >= 0) & (v <= 1) for v in values]
        inside[0] = inside[0] if op.domain == "unit" else ~np.isnan(values[0])
        assert got[missing].all(), f"no NaN for {[v[missing & ~got] for v in values]}"
        undefined = (values[0] == values[-1]) & np.isin(values[0], (0, 1)) if op.name == "bce_grad" else np.zeros(x.size, bool)
        bad = got & np.logical_and.reduce(inside) & ~undefined
        assert not bad.any(), f"NaN for {[v[bad] for v in values]}"
        if op.domain == "unit":
            assert got[~inside[0]].all(), f"a number for a probability of {values[0][~inside[0] & ~got]}"

    all_inputs(check, dtype, profile, op.name, backend)


@EACH_PROFILE
@EACH_DTYPE
@pytest.mark.parametrize(("name", "least"), [("sigmoid", 0), ("tanh", -1)])
def test_is_monotone_between_its_limits(name: str, least: int, dtype: str, backend: str, profile: settings) -> None:
    ufunc = ufunc_for(backend, dtype, name)

    def check(x: Array, t: Array) -> None:
        x = x[~np.isnan(wide(x))]
        x = x[np.argsort(wide(x), kind="stable")]
        y = wide(ufunc(x))
        assert ((y >= least) & (y <= 1)).all()
        assert (np.diff(y) >= 0).all(), f"falls after {x[:-1][np.diff(y) < 0]}"

    all_inputs(check, dtype, profile, name, backend)


@EACH_PROFILE
@EACH_DTYPE
@pytest.mark.parametrize(("name", "greatest"), [("sigmoid_grad", 0.25), ("tanh_grad", 1)])
def test_a_derivative_is_even_and_greatest_at_0(name: str, greatest: float, dtype: str, backend: str, profile: settings) -> None:
    ufunc = ufunc_for(backend, dtype, name)

    def check(x: Array, t: Array) -> None:
        y = ufunc(x)
        assert np.array_equal(bits_of(y), bits_of(ufunc(-x)))
        assert not ((wide(y) < 0) | (wide(y) > greatest)).any()

    all_inputs(check, dtype, profile, name, backend)


@EACH_PROFILE
@EACH_DTYPE
def test_tanh_is_odd_and_no_larger_than_x(dtype: str, backend: str, profile: settings) -> None:
    ufunc = ufunc_for(backend, dtype, "tanh")

    def check(x: Array, t: Array) -> None:
        y = ufunc(x)
        assert np.array_equal(bits_of(y), bits_of(-ufunc(-x)))
        assert not (abs(wide(y)) > abs(wide(x))).any()
        assert np.array_equal(np.signbit(y)[~np.isnan(wide(x))], np.signbit(x)[~np.isnan(wide(x))])

    all_inputs(check, dtype, profile, backend)


@EACH_PROFILE
@EACH_DTYPE
def test_log_sigmoid_mirrors_softplus(dtype: str, backend: str, profile: settings) -> None:
    softplus, log_sigmoid = (ufunc_for(backend, dtype, name) for name in ("softplus", "log_sigmoid"))

    def check(x: Array, t: Array) -> None:
        y = softplus(x)
        assert np.array_equal(bits_of(y), bits_of(-log_sigmoid(-x)))
        assert not (wide(y) < np.maximum(wide(x), 0)).any()

    all_inputs(check, dtype, profile, backend)


@EACH_PROFILE
@EACH_DTYPE
def test_bce_with_logits_mirrors(dtype: str, backend: str, profile: settings) -> None:
    """bce(x, 1) is bce(-x, 0), and the gradient changes its sign."""
    loss, grad = (ufunc_for(backend, dtype, name) for name in ("bce_with_logits", "bce_with_logits_grad"))

    def check(x: Array, t: Array) -> None:
        one, zero = np.ones_like(x), np.zeros_like(x)
        assert np.array_equal(bits_of(loss(x, one)), bits_of(loss(-x, zero)))
        assert np.array_equal(wide(-grad(x, one)), wide(grad(-x, zero)), equal_nan=True)  # of either sign where it is 0

    all_inputs(check, dtype, profile, backend)


@EACH_PROFILE
@EACH_DTYPE
@pytest.mark.parametrize("name", ["bce_with_logits", "bce"])
def test_losses_are_not_negative(name: str, dtype: str, backend: str, profile: settings) -> None:
    ufunc = ufunc_for(backend, dtype, name)

    def check(x: Array, t: Array) -> None:
        sensible = (wide(t) >= 0) & (wide(t) <= 1)
        assert not (wide(ufunc(x[sensible], t[sensible])) < 0).any()

    all_inputs(check, dtype, profile, name, backend)


def test_the_numbers_reach_everywhere() -> None:
    """What is drawn has subnormals, infinities, NaN of both signs, and every third of the exponents."""
    drawn: list[Array] = []
    all_inputs(lambda x, t: drawn.append(x), "float32", QUICK)
    bits = np.concatenate(drawn).view(np.uint32)
    exponent = (bits >> 23) & 255
    assert {0, 255} <= {*exponent.tolist()}
    assert all(((exponent >= low) & (exponent < low + 86)).any() for low in (0, 85, 170))
    assert len(np.unique(bits)) > 300
    assert {(b >> 31, bool(b & 0x7FFFFF)) for b in bits[exponent == 255].tolist()} >= {(0, True), (1, True)}
