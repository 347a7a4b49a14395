"""The activations: the one place that says which function of which library computes each, and where its tails begin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

import fastsig as fs
from fastsig.interop import torch as ours

SATURATED_BELOW = 0.05
"""The share of an activation's largest derivative below which a unit in the tail is saturated."""

LEAK = 0.01
"""The slope of leaky_relu below 0, which is torch's default."""

SIGMOID_TAIL = 4.356544
"""|x| above which the sigmoid's derivative is below 5% of 0.25: log((1 + sqrt(0.95)) / (1 - sqrt(0.95)))."""
TANH_TAIL = SIGMOID_TAIL / 2
"""tanh'(x) = 4 sigmoid'(2 x)."""
GELU_TAIL = -2.278561
"""Below it |GELU'| is less than 5% of its maximum, 1.128904; a root, found by bisection."""
SILU_TAIL = -3.929897
"""Below it |SiLU'| is less than 5% of its maximum, 1.099839; a root, found by bisection."""


class Activation(NamedTuple):
    """A function, its derivative, and the mask of what is in the tails of an input; a ReLU has no tails and can be inactive."""

    function: Callable[[Tensor], Any]
    derivative: Callable[[Tensor], Any]
    in_tail: Callable[[Tensor], Any] | None


def _gelu_derivative(x: Tensor) -> Any:
    below = torch.special.erfc(x * -0.7071067811865476) / 2  # the normal distribution's share; special.ndtr loses its tail
    return below + x * torch.exp(-x * x / 2) * 0.3989422804014327  # 1/sqrt(2 pi)


ACTIVATIONS = {
    "sigmoid": Activation(ours.sigmoid, fs.sigmoid_grad, lambda x: x.abs() > SIGMOID_TAIL),
    "tanh": Activation(ours.tanh, fs.tanh_grad, lambda x: x.abs() > TANH_TAIL),
    "relu": Activation(functional.relu, lambda x: (x > 0).to(x.dtype), None),
    "leaky_relu": Activation(functional.leaky_relu, lambda x: torch.where(x > 0, torch.ones_like(x), LEAK), None),
    "gelu": Activation(functional.gelu, _gelu_derivative, lambda x: x < GELU_TAIL),
    "silu": Activation(ours.silu, fs.silu_grad, lambda x: x < SILU_TAIL),
}
