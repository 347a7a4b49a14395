"""Two weights that learn from inputs that are all positive, and from the same inputs with their middle at 0."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

import fastsig as fs

TARGET = (1.0, -0.5)
"""The weights to be found, from 0 on: one goes up, the other one down."""
NEAR = 0.1
"""How far from the target the search ends."""
SAMPLES = 200
SEEDS = range(5)


@dataclass(frozen=True)
class Descent:
    """The way of the two weights, a step a sample."""

    path: list[tuple[float, float]]
    """From 0 on, one point more than there are steps."""

    @property
    def steps(self) -> int:
        return len(self.path) - 1

    @property
    def same_direction(self) -> float:
        """The share of steps in which both weights went up, or both down."""
        moved = np.diff(self.path, axis=0)
        return float(np.mean(moved[:, 0] * moved[:, 1] > 0))


def inputs(seed: int, *, centred: bool) -> Any:
    """Outputs of two sigmoids, samples by 2; ``centred`` takes away 0.5, the sigmoid's middle."""
    outputs = fs.sigmoid(np.random.default_rng(seed).normal(size=(SAMPLES, 2)))
    return outputs - 0.5 if centred else outputs


def descend(samples: Any) -> Descent:
    """Gradient descent on half the squared error of w1 a1 + w2 a2, a sample at a time, until the weights are near the target.

    The learning rate is the largest with which no step goes too far for the sample that it is made for.
    """
    pairs = [(float(a), float(b)) for a, b in samples]
    rate = 1 / max(a * a + b * b for a, b in pairs)
    path = [(0.0, 0.0)]
    while math.dist(path[-1], TARGET) > NEAR:
        first, second = path[-1]
        a, b = pairs[(len(path) - 1) % len(pairs)]
        error = (first - TARGET[0]) * a + (second - TARGET[1]) * b
        path.append((first - rate * error * a, second - rate * error * b))
    return Descent(path)


def descents(*, centred: bool) -> list[Descent]:
    """One for each seed."""
    return [descend(inputs(seed, centred=centred)) for seed in SEEDS]
