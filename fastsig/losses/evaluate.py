"""A pass over a loss's operands on a backend's threads, for the sum of the losses or for what it writes."""

from __future__ import annotations

from typing import NamedTuple

from fastsig.arrays.dtypes import Array
from fastsig.dispatch import choice
from fastsig.dispatch.availability import named, numba
from fastsig.dispatch.thresholds import stream_bytes
from fastsig.kernels import plan
from fastsig.kernels.c.status import library as c
from fastsig.kernels.plan import UNIT_LOG2, Numbers
from fastsig.losses.arguments import Operands
from fastsig.losses.exact_sum import Total

NOTHING = (None, None, None)
_OUTSIDE = {
    plan.BAD_TARGET: "targets must lie in [0, 1] and not be NaN; clip them, mask them out with mask=, or skip this look with check=False",
    plan.BAD_PROBABILITY: "probs must lie in [0, 1] and not be NaN; for logits call bce_with_logits, or skip this look with check=False",
    plan.BAD_WEIGHT: "weight must be finite and not negative; use 0 (or mask=) for elements that shall not count",
    plan.BAD_POS_WEIGHT: "pos_weight must be finite and not negative; 1 leaves the positive term as it is",
    plan.BAD_ALPHA: "alpha must lie in [0, 1]; 0.5 everywhere, or alpha=None, weighs both classes alike",
}


def run(
    ops: Operands, formula: int, numbers: Numbers, outputs: tuple[Array | None, ...],
    *, checks: int, summed: bool, backend: str | None, threads: int | None,
) -> Total:  # fmt: skip
    """One pass; the sum of the losses where it was asked for. ValueError where a look found bad input."""
    chosen = named(backend)
    if chosen == "cuda":
        raise RuntimeError(f"{ops.name}: backend='cuda' computes on arrays of an NVIDIA GPU; these are in host memory")
    how = choice.of_loss(ops.name, ops.dtype, ops.size, backend=chosen, threads=threads)
    largest = max(0 if out is None else out.nbytes for out in outputs)
    words = plan.make(
        formula, ops.code, ops.shape, ops.inputs, outputs, check=checks, summed=summed, stream=largest >= stream_bytes()
    )  # fmt: skip
    alive = (ops.inputs, outputs)
    violations, totals = _reduce(how.backend, words, numbers, ops.size, how.threads, alive) if ops.size else (0, [])
    for kind, message in _OUTSIDE.items():
        if violations & kind:
            raise ValueError(f"{ops.name}: {message}")
    return sum(map(Total.of, totals), Total()) if summed else Total()


def _reduce(backend: str, words: Array, numbers: Numbers, size: int, threads: int, alive: object) -> tuple[int, list[Array]]:
    """What was bad about the input, and sums whose sum is the pass's. ``alive`` are the arrays whose addresses the plan has."""
    if backend == "c":
        return c.reduce_all(words, numbers, threads)  # type: ignore[no-any-return]
    return numba("losses").reduce_all(words, numbers, size, threads, alive)  # type: ignore[no-any-return]


def _seen(ops: Operands, *slots: int) -> Operands:
    """Only these of the inputs, so that a pass for them reads no others."""
    inputs = [array if i in slots else None for i, array in enumerate(ops.inputs)]
    return ops._replace(inputs=tuple(inputs))  # type: ignore[arg-type]


def check_first(ops: Operands, formula: int, check: bool, backend: str | None, threads: int | None) -> None:
    """The checks alone, for a call that writes into the caller's arrays: these must stay as they are where the input is bad."""
    checks = ops.checks(formula, check)
    if checks:
        seen = ops if formula == plan.PROBABILITIES else _seen(ops, 1, 2, 3, 4)
        run(seen, plan.WEIGHTS, Numbers(), NOTHING, checks=checks, summed=False, backend=backend, threads=threads)


def total_weight(ops: Operands, checks: int, backend: str | None, threads: int | None) -> Total:
    """The exact sum of the weights that count."""
    seen = _seen(ops, 2, 4)
    return run(
        seen, plan.WEIGHTS, Numbers(), NOTHING, checks=checks & plan.BAD_WEIGHT, summed=True, backend=backend, threads=threads
    )  # fmt: skip


class Sums(NamedTuple):
    """What every reduction is a quotient of; those of parts of the elements add up to those of all."""

    total: Total = Total()
    weight: Total = Total()
    """Of the elements that count; where no weight was given, or none was asked for, each has 1."""
    counted: int = 0
    """How many elements count."""

    def plus(self, other: Sums) -> Sums:
        return Sums(self.total + other.total, self.weight + other.weight, self.counted + other.counted)


def sums(
    ops: Operands, formula: int, numbers: Numbers, outputs: tuple[Array | None, ...] = NOTHING,
    *, checks: int, weighed: bool, backend: str | None, threads: int | None,
) -> Sums:  # fmt: skip
    """One pass that sums the losses, and one more for the weights where these are asked for."""
    total = run(ops, formula, numbers, outputs, checks=checks, summed=True, backend=backend, threads=threads)
    count = ops.counted()
    if weighed and ops.weight is not None:
        return Sums(total, total_weight(ops, 0, backend, threads), count)
    return Sums(total, Total(units=count << UNIT_LOG2), count)
