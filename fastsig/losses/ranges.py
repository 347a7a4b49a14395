"""Sums over ranges of a larger array's elements, wherever they are cut: those of neighbours make the bits of the whole.

Elements are added in blocks of 1,024 in the order of the whole array. A range sums the blocks that lie in it; of a block that it cuts
it keeps the elements themselves, at most 1,023 at each end, and whoever has all parts of a block sums it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from fastsig.arrays.dtypes import Array
from fastsig.kernels.plan import BLOCK, FOCAL, LOGITS, WEIGHTS, Numbers
from fastsig.losses.arguments import Operands, focal, operands, smoothing
from fastsig.losses.evaluate import NOTHING, Sums, run, sums, total_weight

Inputs = tuple[Array | None, ...]
"""In the order of ``plan.INPUTS``."""

_PIECE = 1 << 20
"""Elements of a range at a time, where they have to be copied to lie side by side."""


class Loss(NamedTuple):
    """What is computed of the whole array's elements, all but the elements themselves."""

    function: str
    """Whose name errors bear."""
    formula: int
    """As in ``plan``; WEIGHTS sums the weights alone, and reads no targets."""
    size: int
    """Of the whole array."""
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


class Cut(NamedTuple):
    """Elements of a block that a range has only a part of."""

    start: int
    """In the whole array."""
    inputs: Inputs
    """Of one dimension and one length."""

    @property
    def stop(self) -> int:
        assert self.inputs[0] is not None
        return self.start + len(self.inputs[0])


class RangeSums(NamedTuple):
    """Sums over the blocks that are complete, and the elements of those that are not yet."""

    sums: Sums = Sums()
    cuts: tuple[Cut, ...] = ()


def of_range(loss: Loss, inputs: Inputs, start: int, grad: Array | None = None, scale: tuple[float, float] = (1.0, 0.0)) -> RangeSums:
    """The sums over elements that lie side by side in the whole array, from start on; inputs broadcast to the first of them.

    Where an array for it is given, contiguous and of the first input's shape, the gradient times the two numbers of scale is written.
    """
    x = inputs[0]
    assert x is not None
    if not x.size:
        return RangeSums()
    first, last = _complete(loss.size, start, start + x.size)
    done, cuts = Sums(), []
    for a, b in _pieces(inputs, start, first, last):
        inside = first <= a and b <= last
        part = inputs
        if not inside or b - a != x.size:
            part = tuple(None if y is None else _flat(y, x.shape, a - start, b - start) for y in inputs)
        if not inside:  # copies, which do not keep the whole range in memory
            cuts.append(Cut(a, tuple(None if y is None else np.array(np.broadcast_to(y, (b - a,))) for y in part)))
        if inside or grad is not None:
            ops, numbers = loss.read(part)
            numbers = numbers._replace(scale=scale[0], scale_lo=scale[1])
            outputs = NOTHING if grad is None else (None, grad.reshape(-1)[a - start : b - start].reshape(ops.shape), None)
            done = done.plus(_summed(loss, ops, numbers, outputs, inside))
    return RangeSums(done, tuple(cuts))


def joined(loss: Loss, parts: Iterable[RangeSums]) -> RangeSums:
    """The sums over all these ranges, which are different ones, in any order."""
    done, blocks = Sums(), dict[int, list[Cut]]()
    for part in parts:
        done = done.plus(part.sums)
        for cut in part.cuts:
            blocks.setdefault(cut.start // BLOCK, []).append(cut)
    left: list[Cut] = []
    for block, cuts in blocks.items():
        if sum(cut.stop - cut.start for cut in cuts) < min(BLOCK, loss.size - block * BLOCK):
            left += cuts
            continue
        cuts.sort(key=lambda cut: cut.start)
        columns = zip(*(cut.inputs for cut in cuts), strict=True)
        ops, numbers = loss.read(tuple(None if parts[0] is None else np.concatenate(parts) for parts in columns))
        done = done.plus(_summed(loss, ops, numbers, NOTHING, True))
    return RangeSums(done, tuple(left))


def _summed(loss: Loss, ops: Operands, numbers: Numbers, outputs: tuple[Array | None, ...], inside: bool) -> Sums:
    if loss.formula == WEIGHTS:
        return Sums(weight=total_weight(ops, 0, loss.backend, loss.threads), counted=ops.counted())
    checks = ops.checks(loss.formula, loss.check)
    how: dict[str, Any] = {"checks": checks, "backend": loss.backend, "threads": loss.threads}
    if inside:
        return sums(ops, loss.formula, numbers, outputs, weighed=loss.weighed, **how)
    run(ops, loss.formula, numbers, outputs, summed=False, **how)
    return Sums()


def _complete(size: int, start: int, stop: int) -> tuple[int, int]:
    """Where the whole blocks of the range begin and end; the last block of the array is whole with fewer elements."""
    return -(-start // BLOCK) * BLOCK, stop if stop == size else stop // BLOCK * BLOCK


def _pieces(inputs: Inputs, start: int, first: int, last: int) -> Iterator[tuple[int, int]]:
    """From where to where the elements are read at a time."""
    x = inputs[0]
    assert x is not None
    stop = start + x.size
    if first >= last:  # no whole block
        bounds = [start, first, stop] if start < first < stop else [start, stop]
    elif (first, last) == (start, stop) or all(y is None or y.size == 1 or _is_flat(y, x.shape) for y in inputs):
        bounds = [start, first, last, stop]
    else:
        _, row = _rows(x.shape)
        bounds = [start, *range(first, last, -(-max(_PIECE, 2 * row) // BLOCK) * BLOCK), last, stop]
    yield from ((a, b) for a, b in zip(bounds, bounds[1:], strict=False) if a < b)


def _rows(shape: tuple[int, ...]) -> tuple[int, int]:
    """The first axis that is longer than 1, and how many elements lie side by side for one step along it."""
    axis = next((i for i, length in enumerate(shape) if length > 1), 0)
    return axis, math.prod(shape[axis + 1 :])


def _is_flat(y: Array, shape: tuple[int, ...]) -> bool:
    return y.shape == shape and y.flags.c_contiguous


def _flat(y: Array, shape: tuple[int, ...], start: int, stop: int) -> Array:
    """Elements from start to stop of the array broadcast to this shape, in C order; a scalar stays one."""
    if _is_flat(y, shape):
        return y.reshape(-1)[start:stop]
    if y.size == 1:
        return y.reshape(())
    axis, row = _rows(shape)
    low = start // row
    rows = np.broadcast_to(y, shape)[(0,) * axis]
    flat: Array = rows[low : -(-stop // row)].reshape(-1)
    return flat[start - low * row : stop - low * row]
