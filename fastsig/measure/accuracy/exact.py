"""The last word: the defining formulas of ``ops`` in mpmath, with so many bits that the naive forms lose nothing that counts."""

from __future__ import annotations

import threading
from fractions import Fraction
from typing import Any

import mpmath  # type: ignore[import-untyped, unused-ignore]
import numpy as np

from fastsig.measure.formats import Array, Format
from fastsig.measure.reference import binary, unary
from fastsig.ops import Op

BITS = {"float16": 400, "bfloat16": 400, "float32": 400, "float64": 1400}
"""1 + e^-x must keep its e^-x with 60 bits to spare: 149 + 60 for float32, 1074 + 60 for float64, and twice that for x e^-x near 0"""
FAR = 20000
"""exponents beyond this would only make the exact arithmetic slow"""

_PRECISION = threading.Lock()
"""mpmath has one precision for all threads of a process."""


def value(op: Op, fmt: Format, args: tuple[float, ...]) -> Any:
    """The exact result, as an mpf of BITS bits."""
    with _PRECISION, mpmath.workprec(BITS[fmt.name]):
        return +op.exact(mpmath.mp, *(mpmath.mpf(a) for a in args))


def fraction(y: Any) -> Fraction:
    """The same number; what is far below every format, as e^-1e30 is, comes as a tiny number of its sign."""
    sign, man, exp, bits = y._mpf_
    if man and exp + bits < -FAR:
        man, exp = 1, -FAR
    exact: Fraction = Fraction(-int(man) if sign else int(man)) * Fraction(2) ** int(exp)
    return exact


def exponent(y: Fraction) -> int:
    """floor(log2 |y|), for y != 0."""
    y = abs(y)
    e = y.numerator.bit_length() - y.denominator.bit_length()
    return e - 1 if y < Fraction(2) ** e else e


def ulp(fmt: Format, scale: Fraction) -> Fraction:
    """The last place of a number of this magnitude."""
    return Fraction(2) ** (max(exponent(scale), fmt.emin) - fmt.mantissa) if scale else Fraction(2) ** (fmt.emin - fmt.mantissa)


def rounded(op: Op, fmt: Format, args: tuple[float, ...]) -> float:
    """The exact result rounded to the format, ties to even; inf where it overflows, and 0 with its sign where it vanishes."""
    y = fraction(value(op, fmt, args))
    place = ulp(fmt, y)
    nearest = round(y / place) * place
    if abs(nearest) >= Fraction(2) ** (2 - fmt.emin):
        return float("inf") if nearest > 0 else float("-inf")
    return float(nearest) or (-0.0 if y < 0 else 0.0)


class Rounder:
    """Correctly rounded results at the few inputs where the wide reference is too close to a tie to tell."""

    def __init__(self, op: Op, fmt: Format) -> None:
        self.op, self.fmt = op, fmt

    def __call__(self, columns: tuple[Array, ...]) -> Array:
        x = columns[0]
        y = np.empty(len(x), self.fmt.wide)
        tiny = np.zeros(len(x), bool)
        if self.op.name == "silu":
            # x/2 + x^2/4 where x/2 is subnormal: the odd ones are ties but for the square, which pushes them up
            tiny = np.abs(x.astype(self.fmt.wide)) < 2.0 ** (self.fmt.emin + 1)
            magnitude = self.fmt.bits(x[tiny]) & (self.fmt.sign - 1)
            negative = np.signbit(x[tiny].astype(self.fmt.wide))
            half = self.fmt.values((magnitude + ~negative) >> 1).astype(self.fmt.wide)
            y[tiny] = np.where(negative, -half, half)
        for i in np.flatnonzero(~tiny):
            y[i] = rounded(self.op, self.fmt, tuple(float(c[i]) for c in columns))
        return y


def error(op: Op, fmt: Format, args: tuple[float, ...], got: float, scale: float = 0.0) -> float:
    """|got - exact| in ULP of max(|exact|, scale)."""
    if not np.isfinite(got):
        return 0.0 if got == rounded(op, fmt, args) else float("inf")
    y = fraction(value(op, fmt, args))
    return float(abs(Fraction(got) - y) / ulp(fmt, max(abs(y), Fraction(scale))))


def text(op: Op, fmt: Format, args: tuple[float, ...]) -> str:
    """The exact value in 25 digits, or the limit at an edge."""
    for edge, limit in op.edges:
        if edge == args:
            return str(limit)
    try:
        with mpmath.workprec(BITS[fmt.name]):
            return str(mpmath.nstr(value(op, fmt, args), 25))
    except (ZeroDivisionError, ValueError, TypeError):
        return "undefined"


def verify(op: Op, fmt: Format, columns: tuple[Array, ...]) -> float:
    """The largest error of the wide reference on these inputs, in units of the narrow format's last place; it must stay tiny."""
    wide = tuple(fmt.widened(c) for c in columns)
    with np.errstate(all="ignore"):
        y = unary(op.name, *wide) if op.nin == 1 else binary(op.name, *wide)[0]
        scale = None if op.nin == 1 else binary(op.name, *wide)[1]
    worst = 0.0
    for i in range(len(y)):
        args = tuple(float(c[i]) for c in wide)
        if not np.isfinite(y[i]):
            continue
        want = fraction(value(op, fmt, args))
        got = Fraction(*y[i].as_integer_ratio())
        size = max(abs(want), Fraction(op.scale_floor), Fraction(float(scale[i])) if scale is not None else Fraction(0))
        worst = max(worst, float(abs(got - want) / ulp(fmt, size)))
    return worst
