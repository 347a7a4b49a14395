"""Weighing 2,000 guesses by 500 yes-or-no answers, in code compiled by Numba: a million losses, none of them kept in an array.

Each guess is a slope and an offset of a logistic model. The loop runs on all threads under fastmath, which reorders the user's own sums;
the elements keep the bits of ``fs.ufuncs.bce_with_logits``. Prints the guesses' mean, weighed by likelihood, beside the truth.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

import fastsig as fs

Array = np.ndarray[Any, Any]


@numba.njit(parallel=True, fastmath=True)
def losses(guesses: Array, x: Array, answers: Array) -> Array:
    """What each guess pays for all answers."""
    total = np.zeros(len(guesses))
    for i in numba.prange(len(guesses)):
        slope, offset = guesses[i]
        for j in range(len(x)):
            total[i] += fs.ufuncs.bce_with_logits(slope * x[j] + offset, answers[j])
    return total


@numba.vectorize(["float64(float64, float64, float64)"])
def probability(x: float, slope: float, offset: float) -> float:
    """A ufunc of the user's own with fastsig inside."""
    return fs.sigmoid(slope * x + offset)


def main() -> None:
    random = np.random.default_rng(0)
    x = random.uniform(-3, 3, 500)
    answers = (random.random(500) < probability(x, 2.0, -1.0)).astype(float)
    guesses = random.normal(0, 3, (2000, 2))

    cost = losses(guesses, x, answers)
    outside = fs.ufuncs.bce_with_logits(guesses[:, :1] * x + guesses[:, 1:], answers).sum(axis=1)
    print(f"furthest from the same over arrays: {np.abs(cost / outside - 1).max():.1e}")

    weights = np.exp(cost.min() - cost)
    slope, offset = weights @ guesses / weights.sum()
    print(f"true     2.00 -1.00\nweighed {slope:5.2f} {offset:5.2f}")


if __name__ == "__main__":
    main()
