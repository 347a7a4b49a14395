"""Sums over the chunks of a larger array, which add up to the bits of the whole wherever it is cut."""

from __future__ import annotations

from typing import NamedTuple

from fastsig.arrays.dtypes import Array
from fastsig.kernels.plan import FOCAL, LOGITS, WEIGHTS, Numbers
from fastsig.losses.arguments import Operands, focal, operands, smoothing
from fastsig.losses.evaluate import NOTHING, Sums, sums, total_weight

Inputs = tuple[Array | None, ...]
"""In the order of ``plan.INPUTS``."""


class Loss(NamedTuple):
    """What is computed of the whole array's elements, all but the elements themselves."""

    function: str
    """Whose name errors bear."""
    formula: int
    """As in ``plan``; WEIGHTS sums the weights alone, and reads no targets."""
    check: bool
    weighed: bool
    """Whether the weights are summed too."""
    backend: str | None
    threads: int
    label_smoothing: float = 0.0
    alpha: float | None = None
    gamma: float = 0.0

    def read(self, inputs: Inputs) -> tuple[Operands, Numbers]:
        ops = operands(self.function, self.formula, *inputs)
        if self.formula == FOCAL:
            return ops, focal(ops, self.alpha, self.gamma)
        return ops, smoothing(ops, self.label_smoothing) if self.formula == LOGITS else Numbers()


def of_chunk(loss: Loss, inputs: Inputs, grad: Array | None = None, scale: tuple[float, float] = (1.0, 0.0)) -> Sums:
    """The sums over a chunk; inputs broadcast to the first of them.

    Where an array for it is given, C-contiguous and of the first input's shape, the gradient times the two numbers of scale is written.
    """
    ops, numbers = loss.read(inputs)
    if loss.formula == WEIGHTS:
        return Sums(weight=total_weight(ops, 0, loss.backend, loss.threads), counted=ops.counted())
    numbers = numbers._replace(scale=scale[0], scale_lo=scale[1])
    outputs = NOTHING if grad is None else (None, grad, None)
    checks = ops.checks(loss.formula, loss.check)
    return sums(ops, loss.formula, numbers, outputs, checks=checks, weighed=loss.weighed, backend=loss.backend, threads=loss.threads)
