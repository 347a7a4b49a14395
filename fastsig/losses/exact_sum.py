"""Exact sums: the digits that a backend's pass leaves, as one integer, and its quotient rounded once."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from fastsig.arrays.dtypes import Array
from fastsig.kernels.plan import SUM_DIGITS, SUM_INF, SUM_NAN, SUM_NEG_INF, UNIT_LOG2, quotient
from fastsig.system.float_environment import in_default_environment


class Total(NamedTuple):
    """An exact sum of floating-point numbers: a finite part in units of 2^-1074, and how many were not finite."""

    units: int = 0
    nans: int = 0
    infs: int = 0
    negative_infs: int = 0

    @classmethod
    def of(cls, words: Array) -> Total:
        """From the digits of ``cext/exact_sum.h``."""
        units = 0
        for i in words[:SUM_DIGITS].nonzero()[0].tolist():
            units += int(words[i]) << (32 * i)
        return cls(units, *words[[SUM_NAN, SUM_INF, SUM_NEG_INF]].tolist())

    def __add__(self, other: Total) -> Total:  # type: ignore[override]  # sums, not tuples one after the other
        return Total(
            self.units + other.units, self.nans + other.nans, self.infs + other.infs, self.negative_infs + other.negative_infs
        )  # fmt: skip

    @property
    def special(self) -> float | None:
        """NaN or an infinity where the sum is one, else None."""
        if self.nans or (self.infs and self.negative_infs):
            return math.nan
        return math.inf if self.infs else -math.inf if self.negative_infs else None

    def over(self, divisor: int, dtype: np.dtype[Any]) -> Any:
        """This sum / divisor, rounded once to this type; a divisor of 0 gives NaN, as 0/0."""
        special = self.special
        if special is not None or divisor == 0:
            return dtype.type(math.nan if divisor == 0 else special)
        return rounded(self.units, divisor << UNIT_LOG2, dtype)

    def over_total(self, divisor: Total, dtype: np.dtype[Any]) -> Any:
        """This sum / that sum, rounded once to this type."""
        special = self.special
        if special is not None or divisor.special is not None or divisor.units == 0:
            return dtype.type(math.nan if divisor.special is not None or divisor.units == 0 else special)
        return rounded(self.units, divisor.units, dtype)


def _to_odd(numerator: int, denominator: int) -> float:
    """The float64 next to the quotient whose last bit is 1, or the quotient itself where it is one: loses nothing that a second
    rounding to less than half as many bits needs (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums")."""
    q = quotient(numerator, denominator)
    if not math.isfinite(q):
        return q
    a, b = q.as_integer_ratio()
    difference = numerator * b - a * denominator
    if difference == 0 or int(np.float64(q).view(np.int64)) & 1:
        return q
    return math.nextafter(q, math.inf if difference > 0 else -math.inf)


@in_default_environment
def rounded(numerator: int, denominator: int, dtype: np.dtype[Any]) -> Any:
    """numerator / denominator for a positive denominator, rounded once to this type."""
    if dtype.itemsize == 8:
        return dtype.type(quotient(numerator, denominator))
    q = _to_odd(numerator, denominator)
    if dtype.name == "bfloat16" and q and math.isfinite(q):
        step = max(math.frexp(q)[1] - 8, -133)
        q = math.copysign(math.ldexp(round(math.ldexp(q, -step)), step), q)
    with np.errstate(all="ignore"):
        return dtype.type(np.float64(q))
