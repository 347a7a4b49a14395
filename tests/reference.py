"""Exact values and how far a result is from them: the table's formulas in mpmath, and vectorised stand-ins in long double."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, NamedTuple

import mpmath
import numpy as np

from fastsig.ops import BY_NAME, Op

Array = np.ndarray[Any, Any]


class Format(NamedTuple):
    """A binary floating-point format: stored mantissa bits, and the exponent of the smallest normal number."""

    mantissa: int
    least: int
    greatest: int
    """exponent of the largest power of two"""


FORMATS = {
    "float16": Format(10, -14, 15),
    "bfloat16": Format(7, -126, 127),
    "float32": Format(23, -126, 127),
    "float64": Format(52, -1022, 1023),
}


def bits_needed(op: Op, inputs: tuple[float, ...]) -> int:
    """The bits that the naive formula loses to cancellation at these inputs, and 100 more."""
    x = abs(inputs[0])
    if op.domain == "real":
        return 160 + int(1.45 * min(x, 760.0))  # 1 + e^-x; beyond 760 the lost part is below every subnormal
    m = min(x, 1 - x) if 0 < x < 1 else 1.0
    return 160 + max(0, -math.frexp(m)[1])


@cache
def exact(name: str, inputs: tuple[float, ...]) -> Any:
    """The table's formula at these finite inputs; a limit (a log of 0, a division by 0) is an infinity."""
    op = BY_NAME[name]
    with mpmath.workprec(bits_needed(op, inputs)):
        try:
            return +op.exact(mpmath.mp, *map(mpmath.mpf, inputs))
        except ZeroDivisionError:
            return mpmath.inf if inputs[0] == 1 else -mpmath.inf


def ulp(value: Any, dtype: str) -> Any:
    """The distance of neighbouring numbers around an mpmath value; the subnormals' one below them."""
    form = FORMATS[dtype]
    exponent = form.least if value == 0 else max(int(mpmath.mag(value)) - 1, form.least)
    return mpmath.ldexp(1, exponent - form.mantissa)


def scale_of(op: Op, inputs: tuple[float, ...], value: Any) -> Any:
    """What an error is counted in ULP of: the result, or what cancels in it (DESIGN 4.1)."""
    scale = max(abs(value), op.scale_floor)
    if op.name == "bce_with_logits_grad" and inputs[1] not in (0.0, 1.0):
        scale = max(exact("sigmoid", inputs[:1]), inputs[1])
    return scale


def ulp_error(op: Op, inputs: tuple[float, ...], got: float, dtype: str) -> float:
    """How many ULP the result is away from the exact one; an infinity is right exactly where the exact value rounds to it."""
    value = exact(op.name, inputs)
    form = FORMATS[dtype]
    limit = mpmath.ldexp(2 - mpmath.ldexp(1, -form.mantissa - 1), form.greatest)
    if math.isnan(got):
        return math.inf
    if abs(value) >= limit or math.isinf(got):
        same = abs(value) >= limit and math.isinf(got) and (got > 0) == (value > 0)
        return 0.0 if same else math.inf
    with mpmath.workprec(bits_needed(op, inputs)):
        return float(abs(mpmath.mpf(float(got)) - value) / ulp(scale_of(op, inputs, value), dtype))


def round_once(value: Any, dtype: str) -> float:
    """The nearest number of a format narrower than double to an mpmath value, ties to even."""
    step = ulp(value, dtype)
    rounded = float(mpmath.nint(value / step) * step)  # nint rounds ties to even
    return math.copysign(rounded, value)


def ceiling(op: Op, inputs: tuple[float, ...], dtype: str) -> float:
    """The promised ULP; 2.5 for cross-entropies with a target of 0 or 1."""
    promised = op.ulp_f32 if dtype == "float32" else op.ulp_f64
    return min(promised, 2.5) if op.nin == 2 and inputs[1] in (0.0, 1.0) else promised


# ---- the same values for whole arrays, to about 2^-50 relative ----


def _w(x: Array) -> Array:
    return 1 / (1 + np.exp(x))


def _softplus(x: Array) -> Array:
    return np.maximum(x, 0) + np.log1p(np.exp(-abs(x)))


WIDE: dict[str, Callable[[Array], Array]] = {
    "sigmoid": lambda x: _w(-x),
    "sigmoid_grad": lambda x: _w(x) * _w(-x),
    "softplus": _softplus,
    "log_sigmoid": lambda x: -_softplus(-x),
    "logit": lambda p: np.where(abs(p - 0.5) < 0.25, np.log1p((2 * p - 1) / (1 - p)), np.log(p / (1 - p))),
    "silu": lambda x: x * _w(-x),
    "silu_grad": lambda x: _w(-x) * (1 + x * _w(x)),
    "tanh": np.tanh,
    "tanh_grad": lambda x: 4 * _w(2 * x) * _w(-2 * x),
}
"""Formulas without cancellation (silu_grad's own zero apart) for long double; test_reference.py holds them against the table."""


def wide(name: str, x: Array) -> Array:
    """The op at these numbers in long double, limits at infinities included."""
    with np.errstate(all="ignore"):
        out = WIDE[name](x.astype(np.longdouble))
    for (at,), limit in BY_NAME[name].edges:
        if np.isinf(at):
            out[x == at] = limit
    return out


def round_wide(value: Array, dtype: str) -> Array:
    """Round a long double array once to a format narrower than double."""
    form = FORMATS[dtype]
    exponent = np.maximum(np.frexp(value)[1] - 1, form.least) - form.mantissa
    with np.errstate(all="ignore"):
        return np.ldexp(np.rint(np.ldexp(value, -exponent)), exponent)


def correctly_rounded(name: str, x: Array, dtype: str, slack: float = 2.0**-40) -> Array:
    """The op at x, rounded once; where long double cannot tell on which side of a midpoint, mpmath does."""
    value = wide(name, x)
    rounded = round_wide(value, dtype)
    with np.errstate(all="ignore"):
        unsure = round_wide(value * (1 - np.longdouble(slack)), dtype) != round_wide(value * (1 + np.longdouble(slack)), dtype)
    for i in np.flatnonzero(unsure & np.isfinite(value)):
        inputs = (float(x[i]),)
        with mpmath.workprec(bits_needed(BY_NAME[name], inputs) + 300):  # silu(x) for a subnormal x is x/2 + x^2/4: nearly a tie
            rounded[i] = round_once(BY_NAME[name].exact(mpmath.mp, mpmath.mpf(inputs[0])), dtype)
    return rounded.astype(np.float64)


def ulp_of_wide(value: Array, dtype: str) -> Array:
    form = FORMATS[dtype]
    return np.ldexp(np.longdouble(1), np.maximum(np.frexp(value)[1] - 1, form.least) - form.mantissa)


# ---- comparing bits ----


def bits_of(array: Any) -> Array:
    """The bit patterns, with every NaN made the same one."""
    array = np.array(array)
    patterns = array.view(f"u{array.dtype.itemsize}").copy()
    patterns[np.isnan(array)] = np.iinfo(patterns.dtype).max
    return patterns


def assert_same_bits(got: Any, want: Any, inputs: Iterable[Any] = (), label: str = "") -> None:
    """Equal in dtype, shape and every bit; the message names the first element that is not."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.dtype == want.dtype, label
    assert got.shape == want.shape, label
    differs = np.atleast_1d(bits_of(got) != bits_of(want)).ravel()
    if differs.any():
        i = int(np.flatnonzero(differs)[0])
        at = ", ".join(repr(np.ravel(a)[i]) for a in inputs)
        first = f"first at [{i}] ({at}): {got.ravel()[i]!r}, not {want.ravel()[i]!r}"
        raise AssertionError(f"{label}: {differs.sum()} of {differs.size} differ, {first}")
