"""The mergeable state of a mean cross-entropy: for data larger than memory, and for more than one process or machine."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from fastsig.arrays.dtypes import Array
from fastsig.kernels.plan import LOGITS, SUM_WORDS
from fastsig.losses.arguments import on_gpu, operands, smoothing
from fastsig.losses.evaluate import Sums, sums
from fastsig.losses.exact_sum import Total
from fastsig.losses.fast_path import add_sums
from fastsig.losses.reductions import REDUCTIONS, reduced
from fastsig.system.first_calls import hold_at_forks
from fastsig.system.float_environment import in_default_environment

_ADDING = threading.RLock()
"""Held while an accumulator's sums are replaced by larger ones; one for all, so that a fork can take it."""
hold_at_forks(_ADDING)
_MOST_CALLS = 1 << 30
"""Each adds less than 2^32 to a word of 64 bits."""


class BCEAccumulator:
    """An exact running sum of ``bce_with_logits`` over chunks.

    Notes
    -----
    Chunks of any sizes, added in any order on any number of machines, give the bits of one call over all the data: sums are exact, and
    rounded once. Several threads may add to one accumulator at once. The state pickles, and its size does not depend on the data.

    Examples
    --------
    >>> import fastsig as fs
    >>> total = fs.BCEAccumulator()
    >>> for x, t in [([0.5, -1.0], [1, 0]), ([2.0], [1])]:
    ...     _ = total.update(x, t)
    >>> print(round(float(total.result("mean")), 6))
    0.304756
    """

    def __init__(self) -> None:
        self._sums = Sums()
        self._words = np.zeros((2, SUM_WORDS), np.int64)
        """What the C library has added to the sums of losses and of weights: ``cext/exact_sum.h``."""
        self._calls = 0
        """How many calls added to the words."""
        self._dtype: np.dtype[Any] | None = None

    def update(
        self,
        logits: Any,
        targets: Any,
        *,
        weight: Any = None,
        pos_weight: Any = None,
        label_smoothing: float = 0.0,
        mask: Any = None,
        check: bool = True,
        backend: str | None = None,
        threads: int | None = None,
    ) -> BCEAccumulator:
        """Add a chunk; operands and options are those of `bce_with_logits`, and pair in the same way.

        Returns
        -------
        BCEAccumulator
            This one, so that calls can be chained.

        Raises
        ------
        ValueError, TypeError
            As in `bce_with_logits`; what was accumulated before is kept as it was.
        """
        given = (logits, targets, weight, pos_weight, mask)
        words = np.zeros((2, SUM_WORDS), np.int64)
        quick = add_sums(words, check, given, label_smoothing, backend, threads)
        if quick is not NotImplemented:
            count, dtype = quick
            return self._add(Sums(counted=count), dtype, words)
        ops = operands("BCEAccumulator.update", LOGITS, *given)
        if on_gpu(ops, backend) is not None:
            raise RuntimeError("BCEAccumulator.update: the state is the host's; give copies of the arrays in host memory")
        numbers = smoothing(ops, label_smoothing)
        checks = ops.checks(LOGITS, check)
        added = sums(ops, LOGITS, numbers, checks=checks, weighed=True, backend=backend, threads=threads)
        return self._add(added, ops.dtype)

    def merge(self, other: BCEAccumulator) -> BCEAccumulator:
        """Add what another accumulator holds, which stays as it is.

        Returns
        -------
        BCEAccumulator
            This one.

        Raises
        ------
        TypeError
            other is not a BCEAccumulator.
        """
        if not isinstance(other, BCEAccumulator):
            raise TypeError(f"BCEAccumulator.merge: other is {type(other).__name__}; give another BCEAccumulator")
        return self._add(*other._state())

    @in_default_environment
    def _add(self, sums: Sums, dtype: np.dtype[Any] | None, words: Array | None = None) -> BCEAccumulator:
        with _ADDING:
            if dtype is not None:
                self._dtype = dtype if self._dtype is None else _wider(self._dtype, dtype)
            self._sums = self._sums.plus(sums)
            if words is not None:
                self._words = self._words + words
                self._calls += 1
                if self._calls == _MOST_CALLS:
                    self._sums, self._words, self._calls = self._whole(), np.zeros_like(self._words), 0
        return self

    def _whole(self) -> Sums:
        total, weight = map(Total.of, self._words)
        return self._sums.plus(Sums(total, weight))

    def _state(self) -> tuple[Sums, np.dtype[Any] | None]:
        with _ADDING:
            return self._whole(), self._dtype

    def result(self, reduction: str = "mean") -> Any:
        """The loss over everything added so far, rounded once.

        Parameters
        ----------
        reduction : {"mean", "sum", "weighted_mean"}
            As in `bce_with_logits`.

        Returns
        -------
        scalar
            Of the widest dtype of the logits added; float64 where nothing was. A mean of nothing is NaN, with a RuntimeWarning.

        Raises
        ------
        ValueError
            The reduction is unknown, or "none": the losses are not kept.
        """
        if reduction not in REDUCTIONS[1:]:
            raise ValueError(f"BCEAccumulator.result: reduction={reduction!r}; it is one of {', '.join(map(repr, REDUCTIONS[1:]))}")
        held, dtype = self._state()
        weight = held.weight if reduction == "weighted_mean" else None
        return reduced(held.total, reduction, held.counted, weight, np.dtype(np.float64) if dtype is None else dtype, 3)

    @property
    def count(self) -> int:
        """How many elements counted so far."""
        return self._sums.counted

    def __repr__(self) -> str:
        return f"<BCEAccumulator over {self.count:,} elements>"


def _wider(a: np.dtype[Any], b: np.dtype[Any]) -> np.dtype[Any]:
    """float16 beside bfloat16 is float32, as neither holds the other."""
    if a == b:
        return a
    return max(a, b, np.dtype(np.float32), key=lambda dtype: dtype.itemsize)
