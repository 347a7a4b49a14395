"""float32 and float64 against the table's exact formulas: errors in ULP of the exact result, tails and subnormals included."""

from __future__ import annotations

import numpy as np
import pytest
from reference import FORMATS, Array, bits_of, ceiling, exact, ulp, ulp_error, ulp_of_wide, wide
from samples import DTYPES, bit_stepped, inputs

from fastsig.dispatch import availability
from fastsig.elementwise import call
from fastsig.ops import BY_NAME, OPS, Op

EACH_OP = pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
EACH_UNARY = pytest.mark.parametrize("op", [op for op in OPS if op.nin == 1], ids=lambda op: op.name)
EACH_DTYPE = pytest.mark.parametrize("dtype", DTYPES)


def describe_worst(failures: list[tuple[float, tuple[float, ...], float]]) -> str:
    worst, at, got = max(failures)
    return f"{len(failures)} points above the ceiling; worst {worst:.4g} ULP at {at}: {got!r}"


@EACH_DTYPE
@EACH_OP
def test_ulp_at_bit_stepped_samples_and_cliffs(op: Op, dtype: str, backend: str) -> None:
    operands = inputs(op.name, dtype, 300)
    failures = []
    for *point, got in zip(*operands, availability.ufunc_of(backend, op.name)(*operands), strict=True):
        at = tuple(map(float, point))
        error = ulp_error(op, at, got, dtype)
        if not error <= ceiling(op, at, dtype):
            failures.append((error, at, float(got)))
    assert not failures, describe_worst(failures)


@EACH_UNARY
def test_ulp_at_many_float32(op: Op, backend: str) -> None:
    """Some 200,000 bit patterns against long double; DESIGN 4.1 wants all 2^32, which ``python -m fastsig check`` looks at."""
    x = bit_stepped("float32", 100_000, op.domain)
    value = wide(op.name, x)
    scale = np.maximum(abs(value), np.longdouble(op.scale_floor))
    got = availability.ufunc_of(backend, op.name)(x).astype(np.longdouble)
    finite = np.isfinite(value)
    assert np.array_equal(got[~finite], value[~finite])
    error = abs(got[finite] - value[finite]) / ulp_of_wide(scale[finite], "float32")
    worst = int(error.argmax())
    assert error[worst] <= op.ulp_f32, f"{(error > op.ulp_f32).sum()} points; {error[worst]:.4g} ULP at {x[finite][worst]!r}"


@EACH_DTYPE
@EACH_OP
def test_sign_is_never_lost(op: Op, dtype: str, backend: str) -> None:
    """Where the exact value rounds to a nonzero number the result has its sign, also if the ceiling would let a 0 pass."""
    operands = inputs(op.name, dtype, 300)
    for *point, got in zip(*operands, availability.ufunc_of(backend, op.name)(*operands), strict=True):
        at = tuple(map(float, point))
        value = exact(op.name, at)
        if abs(value) >= 2 * ulp(0, dtype) and op.scale_floor == 0 and not (op.name == "bce_with_logits_grad" and 0 < at[1] < 1):
            assert np.sign(got) == (1 if value > 0 else -1), f"{op.name}{at} = {got!r}"


TAILS = [
    ("sigmoid", "float32", -100.0, 3.783505853677006e-44),
    ("sigmoid_grad", "float64", 40.0, 4.248354255291589e-18),
    ("sigmoid", "float64", -745.0, 4.940656458412465e-324),
    ("softplus", "float64", -745.0, 4.940656458412465e-324),
    ("log_sigmoid", "float32", 100.0, -3.783505853677006e-44),
    ("sigmoid_grad", "float32", -100.0, 3.783505853677006e-44),
    ("tanh_grad", "float32", 50.0, 1.48803039041e-43),
    ("tanh_grad", "float64", -360.0, 8.1289232097e-313),
    ("tanh", "float32", -1e-44, -1e-44),
]


@pytest.mark.parametrize(("name", "dtype", "x", "want"), TAILS)
def test_tails_that_others_lose(name: str, dtype: str, x: float, want: float, backend: str) -> None:
    """Numbers written out by hand: what the README and DESIGN 1 promise."""
    got = float(availability.ufunc_of(backend, name)(np.dtype(dtype).type(x)))
    assert got > 0 if want > 0 else got < 0
    assert abs(got - want) <= BY_NAME[name].ulp_f64 * ulp(want, dtype)


@pytest.mark.parametrize("name", ["sigmoid", "softplus", "silu"])
def test_float64_is_the_accuracy_knob_of_float32(name: str, backend: str) -> None:
    """dtype=float64 into a float32 out is half a ULP, up to the rounding of the float64 result."""
    x = bit_stepped("float32", 2_000, "real")
    out = np.empty_like(x)
    call.elementwise(name, x, out, True, np.float64, "same_kind", "K", True, backend, None)
    value = wide(name, x)
    error = abs(out.astype(np.longdouble) - value) / ulp_of_wide(value, "float32")
    assert error.max() <= 0.50001


def all_sign_and_order(name: str, dtype: str, backend: str) -> tuple[Array, Array]:
    x = np.sort(np.concatenate([bit_stepped(dtype, 20_000, "real"), [-np.inf, np.inf]]).astype(dtype))
    return x, availability.ufunc_of(backend, name)(x)


@EACH_DTYPE
@pytest.mark.parametrize(("name", "least"), [("sigmoid", 0), ("tanh", -1)])
def test_is_monotone_between_its_limits(name: str, least: int, dtype: str, backend: str) -> None:
    _, y = all_sign_and_order(name, dtype, backend)
    assert y[0] == least
    assert y[-1] == 1
    assert (np.diff(y) >= 0).all()


@EACH_DTYPE
@pytest.mark.parametrize(("name", "greatest"), [("sigmoid_grad", 0.25), ("tanh_grad", 1)])
def test_a_derivative_is_even_and_greatest_at_0(name: str, greatest: float, dtype: str, backend: str) -> None:
    x, y = all_sign_and_order(name, dtype, backend)
    assert np.array_equal(y, y[::-1])
    assert np.array_equal(x, -x[::-1])
    assert y.max() == greatest


@EACH_DTYPE
def test_tanh_is_odd_and_keeps_small_numbers(dtype: str, backend: str) -> None:
    x, y = all_sign_and_order("tanh", dtype, backend)
    assert np.array_equal(y, -y[::-1])
    small = abs(x.astype(np.float64)) < 2.0 ** -(FORMATS[dtype].mantissa / 2 + 1)
    assert (x[small] != 0).sum() > 1000
    assert np.array_equal(bits_of(y[small]), bits_of(x[small]))


@EACH_DTYPE
def test_tanh_grad_is_four_times_the_derivative_of_the_logistic_function_at_2x(dtype: str, backend: str) -> None:
    """To the bit where neither is subnormal: both multiply by a power of two, and a half is a rounded float32."""
    x, y = all_sign_and_order("tanh_grad", dtype, backend)
    with np.errstate(over="ignore"):
        quarter = availability.ufunc_of(backend, "sigmoid_grad")(x + x)
    normal = quarter >= 2.0 ** FORMATS[dtype].least
    assert normal.sum() > 1000
    assert np.array_equal(y[normal], 4 * quarter[normal])


@EACH_DTYPE
def test_log_sigmoid_mirrors_softplus(dtype: str, backend: str) -> None:
    x, y = all_sign_and_order("softplus", dtype, backend)
    assert np.array_equal(-y, availability.ufunc_of(backend, "log_sigmoid")(-x))


@EACH_DTYPE
def test_bce_with_logits_mirrors(dtype: str, backend: str) -> None:
    loss = availability.ufunc_of(backend, "bce_with_logits")
    x = bit_stepped(dtype, 20_000, "real")
    one, zero = np.ones((), dtype), np.zeros((), dtype)
    assert np.array_equal(loss(x, one), loss(-x, zero))
