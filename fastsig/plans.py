"""What one pass over a loss's operands reads, computes, writes and sums, as an array of integers that every backend reads alike.

The layout is ``fastsig_plan`` in ``cext/reduce.h``. Operands that broadcast stay as small as they are: a plan holds their
addresses, shapes and strides, and a backend gathers one block of 1,024 elements at a time.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from fractions import Fraction

BLOCK = 1024
LOGITS, PROBABILITIES, FOCAL, WEIGHTS = range(4)
BAD_TARGET, BAD_PROBABILITY, BAD_WEIGHT, BAD_POS_WEIGHT = 1, 2, 4, 8
INPUTS = ("x", "targets", "weight", "pos_weight", "mask")
SUM_DIGITS, SUM_NAN, SUM_INF, SUM_NEG_INF, SUM_WORDS = 68, 68, 69, 70, 72
HEADER, SOURCE = 9, 6
"""Words before the sources, and words of one source: data, type, whole, period, ndim, geometry."""
FORMULA_AT, DTYPE_AT, CHECK_AT, SUM_AT, STREAM_AT, SIZE_AT, OUT_AT = range(7)

F16, BF16, F32, F64 = range(4)
_TYPES = {"f2": F16, "f4": F32, "f8": F64, "b1": 4, "u1": 4, "i1": 5, "u2": 6, "i2": 7, "u4": 8, "i4": 9, "u8": 10, "i8": 11}

_CODES = {np.dtype(name): code for name, code in _TYPES.items()}

Array = np.ndarray[Any, Any]


def type_code(dtype: np.dtype[Any]) -> int | None:
    """The number of an element type, or None for a type that no kernel reads."""
    code = _CODES.get(dtype)
    if code is not None:
        return code
    if dtype.name == "bfloat16":
        return BF16
    return _TYPES.get(dtype.str[1:])


def readable(array: Array) -> Array:
    """The array itself where a kernel can read it in place, else a native, aligned copy."""
    if array.flags.aligned and array.dtype.isnative:
        return array
    return np.array(array, dtype=array.dtype.newbyteorder("="), order="K")


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


def broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Whether an array of this shape broadcasts to that one, which stays as it is."""
    return len(shape) <= len(to) and all(a in (1, b) for a, b in zip(reversed(shape), reversed(to), strict=False))


def elements_shape(function: str, shapes: dict[str, tuple[int, ...]]) -> tuple[int, ...]:
    """The shape of a loss's elements: that of its first two arguments together, to which the others broadcast; ValueError if not."""
    (first, shape), (_, targets), *others = shapes.items()
    if targets != shape:
        try:
            shape = np.broadcast_shapes(shape, targets)
        except ValueError:
            raise ValueError(
                f"{function}: {first} of shape {shape} and targets of shape {targets} do not broadcast; give them one shape"
            ) from None
    for argument, other in others:
        if not broadcasts(other, shape):
            raise ValueError(f"{function}: {argument} of shape {other} does not broadcast to the elements' shape {shape}")
    return shape


def reciprocal(divisor: Fraction, double: bool) -> tuple[float, float]:
    """1/divisor as the sum of two numbers of the computing type."""
    if divisor == 0:
        return float("nan"), 0.0
    real = np.float64 if double else np.float32
    if divisor == 1:
        return 1.0, 0.0
    exact = 1 / divisor
    head = float(real(float(exact)))
    return head, float(real(float(exact - type(exact)(head)))) if math.isfinite(head) else 0.0


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
