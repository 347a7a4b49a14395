"""Logistic regression on the breast-cancer table that scikit-learn ships, once with fastsig's loss and once by scikit-learn."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

import fastsig as fs

Array = np.ndarray[Any, np.dtype[np.float64]]

C = 1.0
"""scikit-learn's inverse strength of the L2 penalty: the objective is the sum of losses + |w|^2 / (2 C), intercept unpenalised."""

OPTIONS = {"ftol": 1e-15, "gtol": 1e-8, "maxiter": 1000, "maxcor": 30}
"""Tight enough for 7 digits in every coefficient; the penalty makes the objective strongly convex in w."""


class Data(NamedTuple):
    train_x: Array
    train_y: Array
    held_x: Array
    held_y: Array


class Model(NamedTuple):
    weights: Array
    intercept: float

    def logits(self, x: Array) -> Array:
        return np.asarray(x @ self.weights + self.intercept)

    def accuracy(self, x: Array, y: Array) -> float:
        return float(np.mean((fs.sigmoid(self.logits(x)) >= 0.5) == (y == 1)))

    def furthest_from(self, other: Model) -> float:
        """The largest difference in a coefficient, the intercept among them."""
        return max(float(np.abs(self.weights - other.weights).max()), abs(self.intercept - other.intercept))


class Fit(NamedTuple):
    """How the loss went down, and where scikit-learn ended."""

    losses: list[float]
    optimum: float
    agrees: bool


def load() -> Data:
    """569 rows of 30 measurements; a fixed quarter is held out, and the training rows alone decide the scale."""
    x, y = import_module("sklearn.datasets").load_breast_cancer(return_X_y=True)
    split = import_module("sklearn.model_selection").train_test_split
    train_x, held_x, train_y, held_y = split(x, y.astype(np.float64), test_size=0.25, random_state=0, stratify=y)
    mean, deviation = train_x.mean(axis=0), train_x.std(axis=0)
    return Data((train_x - mean) / deviation, train_y, (held_x - mean) / deviation, held_y)


def loss_of(model: Model, data: Data) -> float:
    """The objective of a model on the training rows."""
    return objective(np.append(model.weights, model.intercept), data.train_x, data.train_y)[0]


def objective(parameters: Array, x: Array, y: Array) -> tuple[float, Array]:
    """scikit-learn's objective and its gradient; the last parameter is the intercept."""
    weights = parameters[:-1]
    logits = x @ weights + parameters[-1]
    residual = fs.ufuncs.bce_with_logits_grad(logits, y)
    loss = float(fs.ufuncs.bce_with_logits(logits, y).sum() + weights @ weights / (2 * C))
    return loss, np.append(x.T @ residual + weights / C, residual.sum())


def fit(data: Data, each: Callable[[float, float], None]) -> tuple[Model, int]:
    """The model that L-BFGS-B finds, and how often it asked for the loss; each(loss, largest gradient entry) is called per iteration."""
    minimize = import_module("scipy.optimize").minimize
    calls = 0
    at: dict[bytes, tuple[float, Array]] = {}

    def counted(parameters: Array) -> tuple[float, Array]:
        nonlocal calls
        calls += 1
        value = at[parameters.tobytes()] = objective(parameters, data.train_x, data.train_y)
        return value

    def report(parameters: Array) -> None:
        loss, gradient = at[parameters.tobytes()]
        each(loss, float(np.abs(gradient).max()))
        at.clear()

    start = np.zeros(data.train_x.shape[1] + 1)
    found = minimize(counted, start, jac=True, method="L-BFGS-B", callback=report, options=OPTIONS)
    return Model(found.x[:-1], float(found.x[-1])), calls


def fit_by_sklearn(data: Data) -> Model:
    """scikit-learn's optimum of the same objective, to its tightest."""
    estimator = import_module("sklearn.linear_model").LogisticRegression(C=C, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    estimator.fit(data.train_x, data.train_y)
    return Model(estimator.coef_[0], float(estimator.intercept_[0]))
