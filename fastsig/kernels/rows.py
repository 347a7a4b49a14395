"""The operands of a gate as rows of elements that lie side by side: what a backend is told of a pass. Twin of ``cext/fused.h``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fastsig.arrays.dtypes import Array
from fastsig.kernels.layout import joined
from fastsig.ops import FUSED_BY_NAME

OP, DTYPE, INNER, COUNT, OPERANDS = range(5)
"""Where in the words of a pass these stand; at the last begin the operands, an address and a step from row to row each."""
LEAST_INNER = 16
"""Rows shorter than that are copied to one long row: what is done for each row would take longer."""

_INDEX = {name: i for i, name in enumerate(FUSED_BY_NAME)}


def words(name: str, code: int, operands: Sequence[Array]) -> Array | None:
    """A pass over these operands of one shape, inputs first, in their memory; None where they are no such rows."""
    size = operands[0].itemsize
    layout = joined(operands[0].shape, [operand.strides for operand in operands])
    shape = layout.shape
    if len(shape) > 2 or (len(shape) == 2 and shape[1] < LEAST_INNER) or any(step[-1] != size for step in layout.steps):
        return None if shape != (1,) else _words(name, code, 1, 1, operands, [0] * len(operands))
    rows = shape[0] if len(shape) == 2 else 1
    return _words(name, code, shape[-1], rows, operands, [step[0] if rows > 1 else 0 for step in layout.steps])


def _words(name: str, code: int, inner: int, count: int, operands: Sequence[Array], steps: Sequence[int]) -> Array:
    made = [_INDEX[name], code, inner, count]
    for operand, step in zip(operands, steps, strict=True):
        made += operand.__array_interface__["data"][0], step
    return np.array(made, np.int64)
