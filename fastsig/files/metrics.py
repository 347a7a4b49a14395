"""What is known about the losses of the elements seen so far: exact sums, so that chunks and threads leave no trace."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

from fastsig.arrays.dtypes import F32, F64, Array
from fastsig.kernels.plan import LOGITS, UNIT_LOG2, WEIGHTS, Numbers
from fastsig.losses.arguments import Operands, operands, smoothing
from fastsig.losses.evaluate import NOTHING, Sums, run, sums
from fastsig.losses.exact_sum import Total

_TINY_LOG2 = -480
"""Squares of numbers below 2^-480 would begin to lose bits below the least float64; they are squared 2^600 times as large."""
_LIFT_LOG2 = 600


class Options(NamedTuple):
    label_smoothing: float = 0.0
    threads: int | None = None


class Tally:
    """Losses, squared gradients and hits, added up chunk by chunk; any chunks give the same bits."""

    def __init__(self) -> None:
        self._sums = Sums()
        self._squares, self._tiny_squares = Total(), Total()
        self._hits = self._positives = 0

    def add(self, options: Options, x: Array, t: Array, weight: Array | None, pos_weight: Array | None, mask: Array | None) -> None:
        """One-dimensional arrays of one length; ValueError where they hold what a loss is not defined for."""
        ops = operands("score", LOGITS, x, t, weight, pos_weight, mask)
        if ops.dtype.itemsize < 4:  # gradients of halves are kept in the type that they are computed in
            ops = ops._replace(dtype=np.dtype(np.float32), code=F32)
        grad = np.empty(ops.shape, ops.dtype)
        how: dict[str, Any] = {"backend": None, "threads": options.threads}
        numbers, checks = smoothing(ops, options.label_smoothing), ops.checks(LOGITS, True)
        self._sums = self._sums.plus(sums(ops, LOGITS, numbers, (None, grad, None), checks=checks, weighed=True, **how))
        self._add_squares(grad.astype(np.float64, copy=False), how)
        positive = t > 0.5
        hit = np.where(positive, x > 0, x <= 0)
        self._hits += int(np.count_nonzero(hit if mask is None else hit & mask))
        self._positives += int(np.count_nonzero(positive if mask is None else positive & mask))

    def _add_squares(self, grad: Array, how: dict[str, Any]) -> None:
        with np.errstate(all="ignore"):
            squares = grad * grad
            tiny = (np.abs(grad) < math.ldexp(1, _TINY_LOG2)) & (grad != 0)
            if tiny.any():
                lifted = np.where(tiny, np.ldexp(grad, _LIFT_LOG2), 0)
                self._tiny_squares += _sum(lifted * lifted, how)
                squares[tiny] = 0
        self._squares += _sum(squares, how)

    @property
    def count(self) -> int:
        return self._sums.counted

    def loss(self, reduction: str) -> float:
        """As a float64, rounded once; a mean of nothing is NaN."""
        double = np.dtype(np.float64)
        if reduction == "weighted_mean":
            return float(self._sums.total.over_total(self._sums.weight, double))
        return float(self._sums.total.over(1 if reduction == "sum" else self.count, double))

    def gradient_norm(self) -> float:
        """sqrt(sum of squares) of the gradient of the mean loss with respect to the logits, in float64."""
        if self._squares.special is not None:
            return self._squares.special
        units = (self._squares.units << 2 * _LIFT_LOG2) + self._tiny_squares.units
        return _root(Fraction(units, max(self.count, 1) ** 2 << (UNIT_LOG2 + 2 * _LIFT_LOG2)))

    def record(self, weighted: bool) -> dict[str, float | int]:
        """Everything under the name that it is printed with."""
        found: dict[str, float | int] = {"elements": self.count, "mean": self.loss("mean"), "sum": self.loss("sum")}
        if weighted:
            found["weighted mean"] = self.loss("weighted_mean")
        count = self.count or math.nan
        found |= {"gradient norm": self.gradient_norm(), "accuracy": self._hits / count, "positives": self._positives / count}
        return found


def _sum(values: Array, how: dict[str, Any]) -> Total:
    """Exact, as that of the losses."""
    ops = Operands("score", (None, None, values, None, None), values.shape, values.size, values.dtype, F64)
    return run(ops, WEIGHTS, Numbers(), NOTHING, checks=0, summed=True, **how)


def _root(square: Fraction) -> float:
    """The square root to 2^-59 of itself, before the one rounding."""
    if not square:
        return 0.0
    exponent = (122 - square.numerator.bit_length() + square.denominator.bit_length()) // 2
    scaled = square * 4**exponent if exponent >= 0 else square / 4**-exponent
    return math.ldexp(float(math.isqrt(math.floor(scaled))), -exponent)
