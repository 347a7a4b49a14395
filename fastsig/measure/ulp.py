"""Errors in units of the last place, and what is kept of a great many of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastsig.measure.formats import Array, Format
from fastsig.measure.reference import unary
from fastsig.ops import Op

DOUBT = 2.0**-26
"""An error this close to half an ULP may be on the other side of it in truth: the float64 reference is good to 2^-28 ULP of
float32 (it is also good for the 16-bit formats, by far)"""

TAIL = {"float16": 18.0, "bfloat16": 94.0, "float32": 105.0, "float64": 746.0}
"""Where the exponential tail has left the subnormals"""

Rounded = Callable[[tuple[Array, ...]], Array]
"""The correctly rounded results at these inputs, from the exact ones"""


@dataclass
class Tally:
    """The worst error among some inputs and where it is, and how many results are not correctly rounded."""

    worst: float = -1.0
    at: tuple[int, ...] = ()
    """bits of the input, or of both"""
    got: int = 0
    """bits of the result there"""
    wrong: int = 0
    count: int = 0

    def merge(self, other: Tally) -> None:
        if other.worst > self.worst:
            self.worst, self.at, self.got = other.worst, other.at, other.got
        self.wrong += other.wrong
        self.count += other.count


def _exponents(y: Array, floor_exponent: int) -> Array:
    """max(floor(log2 |y|), floor_exponent), 0 for what is not finite."""
    _, e = np.frexp(y)
    return np.maximum(e - 1, floor_exponent)


def errors(y: Array, got: Array, fmt: Format, scale: Any = None) -> Array:
    """|got - y| in ULP of max(|y|, scale) for wide y; inf or NaN where either is not finite."""
    floor = fmt.emin
    if isinstance(scale, float) and scale:
        floor = max(floor, int(np.floor(np.log2(scale))))
    difference = np.subtract(got.astype(y.dtype), y)
    np.abs(difference, out=difference)
    if y.dtype != np.float64 or isinstance(scale, np.ndarray):
        size = np.maximum(np.abs(y), scale) if isinstance(scale, np.ndarray) else y
        return np.ldexp(difference, fmt.mantissa - _exponents(size, floor))
    field = y.view(np.int64) & 0x7FF0000000000000
    np.maximum(field, (1023 + floor) << 52, out=field)
    field -= fmt.mantissa << 52
    np.subtract(2046 << 52, field, out=field)  # the bits of 2^(mantissa - exponent)
    difference *= field.view(np.float64)
    return difference


def _settle_nonfinite(e: Array, y: Array, got: Array, fmt: Format) -> None:
    """0 where a NaN, an infinity or an overflow came out as it must, inf where not."""
    odd = ~np.isfinite(e)
    want, have = y[odd], got[odd].astype(y.dtype)
    limit = np.ldexp(want.dtype.type(2) - np.ldexp(want.dtype.type(1), -fmt.mantissa - 1), 1 - fmt.emin)
    want = np.where(np.abs(want) >= limit, np.copysign(np.inf, want), want)
    e[odd] = np.where((want == have) | (np.isnan(want) & np.isnan(have)), 0.0, np.inf)


def tally(y: Array, got: Array, columns: tuple[Array, ...], fmt: Format, *, scale: Any = None, rounded: Rounded | None = None) -> Tally:
    """Measure results against the wide reference; ``rounded`` settles what is too close to half an ULP for the reference.

    Without ``rounded`` the count of wrong roundings is right but for inputs within the reference's own error.
    """
    if y[0] != y[0] and np.isnan(y).all() and np.isnan(got).all():
        return Tally(0.0, tuple(int(fmt.bits(c[:1])[0]) for c in columns), int(fmt.bits(got[:1])[0]), 0, len(y))
    e = errors(y, got, fmt, scale)
    i = int(np.argmax(e))
    if not np.isfinite(e[i]):
        _settle_nonfinite(e, y, got, fmt)
        i = int(np.argmax(e))
    result = Tally(float(e[i]), tuple(int(fmt.bits(c[i : i + 1])[0]) for c in columns), int(fmt.bits(got[i : i + 1])[0]), 0, len(e))
    if isinstance(scale, np.ndarray) or (scale and float(np.abs(y).min()) < scale):
        e = errors(y, got, fmt)
        if not np.isfinite(e).all():
            _settle_nonfinite(e, y, got, fmt)
    if rounded is None:
        result.wrong = int(np.count_nonzero(e > 0.5))
        return result
    result.wrong = int(np.count_nonzero(e > 0.5 + DOUBT))
    if int(np.count_nonzero(e >= 0.5 - DOUBT)) != result.wrong:
        doubtful = (e >= 0.5 - DOUBT) & (e <= 0.5 + DOUBT)
        result.wrong += int(np.count_nonzero(rounded(tuple(c[doubtful] for c in columns)) != got[doubtful].astype(y.dtype)))
    return result


def sample(op: Op, fmt: Format, count: int = 1 << 14) -> Array:
    """Half of the inputs evenly spaced over the domain and its tails, half evenly spread over the magnitudes, both signs."""
    half = count // 2
    if op.domain == "unit":
        even = np.linspace(0, 1, half + 2)[1:-1]
        values = np.concatenate([even, np.exp2(np.linspace(fmt.emin - fmt.mantissa, -1.0, half))])
        values = values[(values.astype(fmt.dtype) > 0) & (values.astype(fmt.dtype) < 1)]
    else:
        end = TAIL[fmt.name]
        spread = np.exp2(np.linspace(-fmt.mantissa - 9, np.log2(end), half // 2))
        values = np.concatenate([np.linspace(-end, end, half), spread, -spread])
    result = np.empty(count, fmt.dtype)
    result[:] = np.resize(values.astype(fmt.dtype), count)
    return result


def worst(op: Op, x: Array, got: Array, fmt: Format) -> tuple[float, float] | None:
    """The largest error in ULP among these results of an operation of one input, and the input it is at.

    A sample, for comparison between libraries; the published numbers of fastsig are over all inputs. None where no type is wide
    enough to judge by.
    """
    if not fmt.has_reference:
        return None
    with np.errstate(all="ignore"):
        found = tally(unary(op.name, fmt.widened(x)), got, (x,), fmt, scale=op.scale_floor or None)
    return found.worst, float(fmt.values(np.array(found.at))[0])
