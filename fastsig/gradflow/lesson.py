"""The comparison that the lesson needs: a deep stack of sigmoids, each remedy alone, what explodes, and Adam beside SGD."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from fastsig.gradflow.experiment import measure
from fastsig.gradflow.flow import Flow
from fastsig.gradflow.recurrent import measure_recurrent

DEPTH = 50
STEPS = 100

Measurement = Callable[..., Flow]
"""``measure`` or ``measure_recurrent`` of settings; the seed is left open."""


def _deep(**settings: Any) -> Measurement:
    return partial(measure, depth=DEPTH, **settings)


REMEDIES: tuple[Measurement, ...] = (
    _deep(init="plain"),
    _deep(init="glorot"),
    _deep(init="he"),
    _deep(gain=4.0),
    _deep(norm="layer"),
    _deep(norm="batch"),
    _deep(residual=True),
    _deep(activation="tanh"),
    _deep(activation="relu", init="he"),
    _deep(activation="gelu", init="he"),
    _deep(activation="silu", init="he"),
    _deep(activation="relu", init="he", norm="batch"),
    _deep(activation="relu", init="he", residual=True),
)
"""Deep sigmoid by three initialisations, each other remedy alone, and the two combinations that explode."""

RECURRENT: tuple[Measurement, ...] = (
    partial(measure_recurrent, "rnn"),
    partial(measure_recurrent, "rnn", init="glorot"),
    partial(measure_recurrent, "rnn", init="orthogonal"),
    partial(measure_recurrent, "lstm"),
    partial(measure_recurrent, "lstm", forget_bias=1.0),
    partial(measure_recurrent, "lstm", forget_bias=3.0),
    partial(measure_recurrent, "gru"),
    partial(measure_recurrent, "gru", update_bias=3.0),
)

_TRAINED: tuple[dict[str, Any], ...] = ({}, {"norm": "batch"}, {"activation": "relu", "init": "he"})

TRAINING: tuple[Measurement, ...] = (
    *(partial(measure, optimizer=optimizer, steps=STEPS, **settings) for settings in _TRAINED for optimizer in ("sgd", "adam")),
    _deep(activation="tanh", optimizer="sgd", steps=STEPS),
)
"""Ten layers: sigmoid, which neither optimizer trains, and two remedies with which both do; and fifty of tanh, through which the gradient
flows, and which learn little all the same."""

LESSON = REMEDIES + RECURRENT + TRAINING


class Spread(NamedTuple):
    """One network by several seeds."""

    flows: tuple[Flow, ...]

    @property
    def median(self) -> Flow:
        """The flow whose ratio is the median of the seeds'; of an even number, the lower one of the two in the middle."""
        return sorted(self.flows, key=lambda flow: flow.log10_ratio)[(len(self.flows) - 1) // 2]

    @property
    def ratios(self) -> tuple[float, float, float]:
        """The least, the median and the largest log10 ratio."""
        ratios = [flow.log10_ratio for flow in self.flows]
        return min(ratios), statistics.median(ratios), max(ratios)


def spread(measurement: Measurement, seeds: Sequence[int]) -> Spread:
    return Spread(tuple(measurement(seed=seed) for seed in seeds))
