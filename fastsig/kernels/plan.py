"""What one pass over a loss's operands reads, computes, writes and sums, as an array of integers that every backend reads alike.

The layout is ``fastsig_plan`` in ``cext/reduce.h``. Operands that broadcast stay as small as they are: a plan holds their
addresses, shapes and strides, and a backend gathers one block of 1,024 elements at a time.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fastsig.arrays.dtypes import F32, F64, Array, broadcasts, type_code
from fastsig.system.float_environment import in_default_environment

BLOCK = 1024
LOGITS, PROBABILITIES, FOCAL, WEIGHTS = range(4)
BAD_TARGET, BAD_PROBABILITY, BAD_WEIGHT, BAD_POS_WEIGHT, BAD_ALPHA = 1, 2, 4, 8, 64
INPUTS = ("x", "targets", "weight", "pos_weight", "mask")
"""Of a focal loss, ``alpha`` where it is an array stands in the place of ``pos_weight``."""
SUM_DIGITS, SUM_NAN, SUM_INF, SUM_NEG_INF, SUM_WORDS = 68, 68, 69, 70, 72
UNIT_LOG2 = 1074
"""The digits count units of 2^-1074, the least positive float64."""
SOURCE = 6
"""Words of one source: data, type, whole, period, ndim, geometry."""
FORMULA_AT, DTYPE_AT, CHECK_AT, SUM_AT, STREAM_AT, SIZE_AT, OUT_AT = range(7)
HEADER = OUT_AT + 3
"""Words before the inputs: behind the three outputs."""


class _Geometry(NamedTuple):
    shape: list[int]
    strides: list[int]
    period: int
    """Elements after which the operand repeats; 1 for a scalar."""


def _geometry(array: Array, shape: tuple[int, ...]) -> _Geometry:
    """The array broadcast to this shape, with neighbouring axes joined where one stride walks over both."""
    view = np.broadcast_to(array, shape)
    lengths: list[int] = []
    strides: list[int] = []
    for length, stride in zip(view.shape, view.strides, strict=True):
        if length == 1:
            continue
        if lengths and strides[-1] == stride * length:
            lengths[-1] *= length
            strides[-1] = stride
        else:
            lengths.append(length)
            strides.append(stride)
    if not lengths:
        lengths, strides = [1], [0]
    period = 1
    leading = True
    for length, stride in zip(lengths, strides, strict=True):
        leading = leading and stride == 0
        period *= 1 if leading else length
    return _Geometry(lengths, strides, max(period, 1))


WITH_GRAD, WITH_HESS = 4, 8
"""What the C library and the kept calls of a GPU add for a gradient, and for a hessian in place of the loss."""


class Numbers(NamedTuple):
    """``fastsig_numbers`` in ``cext/reduce.h``."""

    keep: float = 1.0
    """1 - label_smoothing"""
    floor: float = 0.0
    """label_smoothing / 2"""
    scale: float = 1.0
    scale_lo: float = 0.0
    """The gradient is multiplied by scale + scale_lo"""
    alpha: float = 1.0
    beta: float = 1.0
    gamma: float = 0.0
    gamma_lo: float = 0.0
    """the exponent is gamma + gamma_lo"""
    whole: float = 1.0
    """1 where it is a whole number, for which powers are products; else 0"""


def elements_shape(function: str, shapes: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    """The shape of a loss's elements: that of its first argument, to which all others must broadcast and which never grows."""
    (first, shape), *others = shapes.items()
    for argument, other in others:
        if other != shape and not broadcasts(other, shape):
            raise ValueError(
                f"{function}: {argument} of shape {other} does not broadcast to {first} of shape {shape}; "
                f"{_right_shape(first, shape, argument, other)}"
            )
    return shape


def _right_shape(first: str, shape: tuple[int, ...], argument: str, other: tuple[int, ...]) -> str:
    """What to give in place of a shape that does not broadcast."""
    if shape == (*other, 1):
        return f"give {argument}[..., None], or {first}[..., 0]" if len(other) != 1 else f"give {argument}[:, None], or {first}[:, 0]"
    if other == (*shape, 1):
        return f"give {argument}[..., 0], or {first}[..., None]" if len(shape) != 1 else f"give {argument}[:, 0], or {first}[:, None]"
    if math.prod(shape) == math.prod(other):
        return f"give np.reshape({argument}, {shape})"
    if other == shape[:1]:
        return f"give np.reshape({argument}, {(*other, *[1] * (len(shape) - 1))}) if it has one number a row of {first}"
    if broadcasts(shape, other):
        return f"give np.broadcast_to({first}, {other}) if every one of {first} stands for several"
    return f"give {argument} of shape {shape}, or of one that broadcasts to it"


@in_default_environment
def reciprocal(numerator: int, denominator: int, double: bool) -> tuple[float, float]:
    """denominator/numerator as the sum of two numbers of the computing type."""
    if numerator == 0:
        return math.nan, 0.0
    if numerator == denominator:
        return 1.0, 0.0
    real = np.float64 if double else np.float32
    with np.errstate(over="ignore"):
        head = float(real(quotient(denominator, numerator)))
        if not math.isfinite(head):
            return head, 0.0
        a, b = head.as_integer_ratio()
        return head, float(real(quotient(denominator * b - a * numerator, numerator * b)))


def quotient(numerator: int, denominator: int) -> float:
    """Rounded correctly, subnormals included."""
    try:
        return numerator / denominator
    except OverflowError:
        return math.inf if (numerator > 0) == (denominator > 0) else -math.inf


def make(
    formula: int, dtype: int, shape: tuple[int, ...], inputs: tuple[Array | None, ...], outputs: tuple[Array | None, ...],
    *, check: int, summed: bool, stream: bool,
) -> Array:  # fmt: skip
    """The plan. Inputs are readable arrays that broadcast to shape, in the order of INPUTS; outputs (loss, gradient, hessian) are
    C-contiguous and of the storing type. The caller keeps all of them alive for as long as the plan is used."""
    computing = F64 if dtype == F64 else F32
    size = 1
    for length in shape:
        size *= length
    words = [formula, dtype, check, int(summed), int(stream), size]
    words += [0 if out is None else out.__array_interface__["data"][0] for out in outputs]
    geometry: list[int] = []
    at = HEADER + SOURCE * len(INPUTS)
    for array in inputs:
        if array is None:
            words += [0, -1, 0, 1, 0, 0]
            continue
        code = type_code(array.dtype)
        assert code is not None
        if array.shape == shape and array.flags.c_contiguous:
            form = _Geometry([max(size, 1)], [array.itemsize], max(size, 1))
        else:
            form = _geometry(array, shape)
        whole = code == computing and form.shape == [size] and form.strides == [array.itemsize]
        words += [array.__array_interface__["data"][0], code, int(whole), form.period, len(form.shape), at + len(geometry)]
        geometry += form.shape + form.strides
    return np.array(words + geometry, dtype=np.int64)
