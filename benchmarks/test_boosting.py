"""Objectives for XGBoost at 10^6 rows beside the formulas in NumPy that one would write, labels handed out by XGBoost in both.

NumPy's temporary arrays need memory that the process may or may not have kept: with glibc, MALLOC_MMAP_THRESHOLD_=131072 in the
environment gives all calls new one.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from contests import Contestants, Exact, comparison, contest, largest_error, wide

from fastsig.interop.boosting import xgboost_objective
from fastsig.measure.reference import unary

pytest.importorskip("pytest_benchmark")
xgboost = pytest.importorskip("xgboost")

ROWS, ALPHA = 10**6, 0.25
Objective = Callable[[Any, Any], Any]


def cross_entropy(predt: Any, data: Any) -> Any:
    p = 1 / (1 + np.exp(-predt))
    return p - data.get_label(), np.maximum(p * (1 - p), 1e-16)


def focal(gamma: float) -> Objective:
    """By calculus, for labels of 0 and 1; as naive as the other: its logarithm is -inf where p rounds to the label."""

    def objective(predt: Any, data: Any) -> Any:
        t = data.get_label()
        sign = 2 * t - 1
        right = 1 / (1 + np.exp(-sign * predt))
        wrong, loss, share = 1 - right, -np.log(right), np.where(t == 1, ALPHA, 1 - ALPHA)
        grad = -sign * share * wrong**gamma * (wrong + gamma * right * loss)
        hess = share * wrong**gamma * right * (gamma * loss * (gamma * right - wrong) + (2 * gamma + 1) * wrong)
        return grad, np.maximum(hess, 1e-16)

    return objective


PAIRS: dict[str, tuple[float, Objective, Objective]] = {
    "cross-entropy": (0.0, xgboost_objective(), cross_entropy),
    "focal, gamma 2": (2.0, xgboost_objective(alpha=ALPHA, gamma=2.0), focal(2.0)),
    "focal, gamma 1.5": (1.5, xgboost_objective(alpha=ALPHA, gamma=1.5), focal(1.5)),
}
"""Gamma, our objective, NumPy's."""


@lru_cache(1)
def data() -> tuple[Any, Any, Any]:
    """Margins, labels, and the labels in XGBoost's hands."""
    random = np.random.default_rng(0)
    labels = (random.random(ROWS) < 0.3).astype(np.float32)
    margins = random.normal(0, 3, ROWS).astype(np.float32)
    return margins, labels, xgboost.DMatrix(np.zeros((ROWS, 1), np.float32), labels)


def gradient(gamma: float) -> Exact:
    """The right one; hessians have a floor of the objective's own."""
    margins, labels, _ = data()
    x, t = wide("float32", margins, labels)
    sign = 2 * t - 1
    wrong, right, loss = unary("sigmoid", -sign * x), unary("sigmoid", sign * x), unary("softplus", -sign * x)
    share = np.where(t == 1, ALPHA, 1 - ALPHA) if gamma else 1.0
    return Exact(-sign * share * wrong**gamma * (wrong + gamma * right * loss))


@comparison
@pytest.mark.parametrize("contestant", ["fastsig", "numpy"])
@pytest.mark.parametrize("objective", PAIRS)
def test_boosting(benchmark: Any, objective: str, contestant: str) -> None:
    margins, _, matrix = data()
    gamma, own, theirs = PAIRS[objective]
    exact = [gradient(gamma)]
    contestants: Contestants = {"fastsig": lambda: lambda: own(margins, matrix), "numpy": lambda: lambda: theirs(margins, matrix)}
    group = f"XGBoost objective: {objective}, {ROWS:,} rows"
    contest(benchmark, group, contestants, contestant, lambda _, got: largest_error(got, "float32", exact))
