"""The table's edges, sign of zero included, and no floating-point flag left behind by any input."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from reference import Array, assert_same_bits
from samples import anything, cliffs, unit_cliffs

import fastsig as fs
from fastsig.dispatch import availability
from fastsig.ops import OPS, Op

FLOATS = ("float16", "float32", "float64")
EACH_OP = pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
EACH_UNARY = pytest.mark.parametrize("op", [op for op in OPS if op.nin == 1], ids=lambda op: op.name)
EDGES = [pytest.param(op, at, limit, id=f"{op.name}{at}") for op in OPS for at, limit in op.edges]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("op", "at", "limit"), EDGES)
def test_edges_of_the_table(op: Op, at: tuple[float, ...], limit: float, dtype: str, backend: str) -> None:
    real = np.dtype(dtype).type
    ufunc = availability.ufunc_of(backend, op.name)
    want = np.full(5, limit, dtype)
    assert_same_bits(ufunc(*map(real, at)), real(limit), label=f"{op.name}{at}")
    assert_same_bits(ufunc(*(np.full(5, v, dtype) for v in at)), want, label=f"{op.name}{at} in an array")


@pytest.mark.parametrize("op", [op for op in OPS if op.nin == 2], ids=lambda op: op.name)
@pytest.mark.parametrize("dtype", FLOATS)
def test_accumulate_and_reduce_go_element_by_element(op: Op, dtype: str, backend: str) -> None:
    ufunc = availability.ufunc_of(backend, op.name)
    x = np.random.default_rng(5).uniform(0.2, 0.8, (50, 3)).astype(dtype)
    want = list(itertools.accumulate(x, ufunc))
    assert_same_bits(ufunc.accumulate(x), np.array(want), label="accumulate")
    assert_same_bits(ufunc.accumulate(x[:, 0]), np.array(want)[:, 0], label="accumulate in one dimension")
    assert_same_bits(ufunc.reduce(x), want[-1], label="reduce")
    assert_same_bits(ufunc.reduce(x[:, 0]), want[-1][0], label="reduce in one dimension")


@pytest.mark.parametrize(("op", "at", "limit"), EDGES)
def test_edges_of_the_table_in_bfloat16(op: Op, at: tuple[float, ...], limit: float, need_c: None) -> None:
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    fs.sigmoid(np.zeros(1, bfloat16))  # from here on the ufuncs know the type
    got = getattr(fs.ufuncs, op.name)(*(np.full(5, v, bfloat16) for v in at))
    assert_same_bits(got, np.full(5, limit, bfloat16), label=f"{op.name}{at}")


@pytest.mark.parametrize("dtype", FLOATS)
@EACH_OP
def test_every_nan_in_is_nan_out(op: Op, dtype: str, backend: str) -> None:
    """Quiet and signalling, of either sign, in each place."""
    info = np.finfo(dtype)
    integer = np.dtype(f"u{np.dtype(dtype).itemsize}")
    infinity = int(np.array(np.inf, dtype).view(integer))
    patterns = np.array([infinity + 1, infinity + (1 << (info.nmant - 1)), 2 * infinity - infinity + (1 << info.nmant) - 1], integer)
    nans = np.concatenate([patterns, patterns | integer.type(1 << (8 * integer.itemsize - 1))]).view(dtype)
    assert np.isnan(nans).all()
    for place in range(op.nin):
        for other in (0.0, 0.25, 1.0):
            operands = [np.full(nans.shape, other, dtype)] * op.nin
            operands[place] = nans
            assert np.isnan(availability.ufunc_of(backend, op.name)(*operands)).all()


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "contiguous": lambda a: a,
    "every third": lambda a: a[::3],
    "backwards": lambda a: a[::-1],
    "zero stride": lambda a: np.broadcast_to(a[: a.size // 8, None], (a.size // 8, 9)),
    "fortran": lambda a: np.asfortranarray(a[: a.size // 8 * 8].reshape(8, -1)),
}


@pytest.fixture
def everything_raises() -> Iterator[None]:
    with np.errstate(all="raise"):
        yield


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", FLOATS)
@EACH_OP
def test_no_flag_is_left(op: Op, dtype: str, layout: str, backend: str, everything_raises: None) -> None:
    with np.errstate(all="ignore"):
        operands = tuple(map(LAYOUTS[layout], anything(op, dtype, 3000)))
    availability.ufunc_of(backend, op.name)(*operands)


@pytest.mark.parametrize("dtype", FLOATS)
@EACH_UNARY
def test_no_flag_is_left_by_single_numbers(op: Op, dtype: str, backend: str) -> None:
    """One at a time, for flags are looked at once a call: a lone underflow must not hide behind others' flags, nor a lone 0."""
    edge = unit_cliffs("float32") if op.domain == "unit" else cliffs("float32")
    with np.errstate(all="ignore"):
        numbers = np.concatenate([edge, [np.inf, -np.inf, -0.0, -0.1, 1.1, np.nan]]).astype(dtype)
    ufunc = availability.ufunc_of(backend, op.name)
    with np.errstate(all="raise"):
        for x in numbers:
            ufunc(x)
            ufunc(np.broadcast_to(x, 3))


@pytest.mark.parametrize("call", [fs.logit, lambda x: fs.logit(x, out=np.empty_like(x)), lambda x: fs.logit(x[0])])
def test_logit_of_0_is_silent(call: Callable[[Array], Any], everything_raises: None) -> None:
    assert np.all(call(np.zeros(3)) == -np.inf)
    assert np.all(call(np.ones(3)) == np.inf)
    assert np.all(np.isnan(call(np.full(3, 2.0))))


@EACH_UNARY
def test_functions_are_silent(op: Op, everything_raises: None) -> None:
    """Through the public function: scalars, lists, integers, large arrays on several threads."""
    function = getattr(fs, op.name)
    for x in (-745.0, 0, -104, True, [0.0, -800.0, 800.0], np.float32(-103.9), np.full(1 << 18, -103.9, np.float32)):
        function(x)
    function(np.full(1 << 18, -103.9, np.float32), threads=3)


def test_flags_raised_before_are_not_lost(backend: str) -> None:
    """The kernels restore flags; they do not hide what NumPy itself finds before and after."""
    with np.errstate(all="raise"):
        availability.ufunc_of(backend, "sigmoid")(np.full(100, -103.9, np.float32))
        with pytest.raises(FloatingPointError):
            np.exp(np.float32(-103.9))
