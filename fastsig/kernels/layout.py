"""The axes of a call's operands, joined where that can be done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Layout(NamedTuple):
    """The elements as axes that no two operands walk over in one stride; each operand's steps in bytes."""

    shape: tuple[int, ...]
    steps: tuple[tuple[int, ...], ...]


def joined(shape: Sequence[int], steps: Sequence[Sequence[int]], in_order: bool = False) -> Layout:
    """Neighbouring axes joined where all operands allow it; unless the order matters, axes come as the last operand, which is the
    output, has them in memory."""
    axes = [d for d in range(len(shape)) if shape[d] != 1]
    if not in_order:
        axes.sort(key=lambda d: -abs(steps[-1][d]))
    lengths: list[int] = []
    walks: list[tuple[int, ...]] = []
    for d in axes:
        walk = tuple(step[d] for step in steps)
        if lengths and all(outer == inner * shape[d] for outer, inner in zip(walks[-1], walk, strict=True)):
            lengths[-1] *= shape[d]
            walks[-1] = walk
        else:
            lengths.append(shape[d])
            walks.append(walk)
    if not lengths:
        lengths, walks = [1], [(0,) * len(steps)]
    return Layout(tuple(lengths), tuple(zip(*walks, strict=True)))
