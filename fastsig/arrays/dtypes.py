"""The element types: what every kernel calls each of them, and arrays that a kernel can read in place."""

from __future__ import annotations

from typing import Any

import numpy as np

TAKEN = "float16, bfloat16, float32, float64, bool and integers"
"""What a refusal says can be given."""

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


def broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Whether an array of this shape broadcasts to that one, which stays as it is."""
    return len(shape) <= len(to) and all(a in (1, b) for a, b in zip(reversed(shape), reversed(to), strict=False))
