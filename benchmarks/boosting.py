"""Objectives of XGBoost at 10^6 rows beside the formulas in NumPy that one would write: ``python benchmarks/boosting.py [ROWS]``.

Prints medians in milliseconds of calls that take turns, with what XGBoost takes to hand out the labels. NumPy's temporary arrays need
memory that the process may or may not have kept: with glibc, MALLOC_MMAP_THRESHOLD_=131072 in the environment gives all calls new one.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import xgboost

import fastsig as fs
from fastsig.interop.boosting import xgboost_objective

ROUNDS = 31
Objective = Callable[[Any, Any], Any]


def cross_entropy(predt: Any, data: Any) -> Any:
    p = 1 / (1 + np.exp(-predt))
    return p - data.get_label(), np.maximum(p * (1 - p), 1e-16)


def focal(gamma: float, alpha: float) -> Objective:
    """By calculus, for labels of 0 and 1; as naive as the other: its logarithm is -inf where p rounds to the label."""

    def objective(predt: Any, data: Any) -> Any:
        t = data.get_label()
        sign = 2 * t - 1
        right = 1 / (1 + np.exp(-sign * predt))
        wrong, loss, share = 1 - right, -np.log(right), np.where(t == 1, alpha, 1 - alpha)
        grad = -sign * share * wrong**gamma * (wrong + gamma * right * loss)
        hess = share * wrong**gamma * right * (gamma * loss * (gamma * right - wrong) + (2 * gamma + 1) * wrong)
        return grad, np.maximum(hess, 1e-16)

    return objective


def main(rows: int) -> None:
    random = np.random.default_rng(0)
    labels = (random.random(rows) < 0.3).astype(np.float32)
    margins = random.normal(0, 3, rows).astype(np.float32)
    data = xgboost.DMatrix(np.zeros((rows, 1), np.float32), labels)
    pairs: dict[str, tuple[Objective, Objective]] = {
        "cross-entropy": (xgboost_objective(), cross_entropy),
        "focal, gamma 2": (xgboost_objective(alpha=0.25, gamma=2.0), focal(2.0, 0.25)),
        "focal, gamma 1.5": (xgboost_objective(alpha=0.25, gamma=1.5), focal(1.5, 0.25)),
    }
    print(f"{rows} rows of float32, {fs.get_num_threads()} threads")
    for name, both in pairs.items():
        times: tuple[list[float], list[float]] = ([], [])
        for _ in range(ROUNDS):
            for objective, seen in zip(both, times, strict=True):
                start = time.perf_counter()
                objective(margins, data)
                seen.append((time.perf_counter() - start) * 1e3)
        ours, numpy = map(statistics.median, times)
        print(f"{name:17} fastsig {ours:6.2f} ms   NumPy {numpy:7.2f} ms   {numpy / ours:5.1f} times")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10**6)
