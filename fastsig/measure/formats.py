"""The four number formats: their bits, their values, and the size of their last place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any
"""numpy.ndarray; of which dtype depends on the format"""


@dataclass(frozen=True)
class Format:
    """A binary floating-point format."""

    name: str
    width: int
    mantissa: int
    """stored mantissa bits"""
    emin: int
    """the exponent of the smallest normal number"""

    @property
    def dtype(self) -> np.dtype[Any]:
        if self.name == "bfloat16":
            from ml_dtypes import bfloat16

            named: np.dtype[Any] = np.dtype(bfloat16)
            return named
        return np.dtype(self.name)

    @property
    def integer(self) -> np.dtype[Any]:
        return np.dtype(f"uint{self.width}")

    @property
    def sign(self) -> int:
        return 1 << (self.width - 1)

    @property
    def inf_bits(self) -> int:
        return (2 * (1 - self.emin) + 1) << self.mantissa

    @property
    def wide(self) -> type[Any]:
        """The type that the reference works in: two formats up, where there is one."""
        return np.longdouble if self.name == "float64" else np.float64

    @property
    def has_reference(self) -> bool:
        """Whether the wide type has the digits to judge this format by; on some platforms longdouble is only float64."""
        return int(np.finfo(self.wide).nmant) >= self.mantissa + 10

    def values(self, bits: Array) -> Array:
        return np.asarray(bits, self.integer).view(self.dtype)

    def bits(self, values: Array) -> Array:
        return np.ascontiguousarray(values).view(self.integer)

    def widened(self, values: Array) -> Array:
        with np.errstate(invalid="ignore"):  # ml_dtypes raises the flag for a NaN
            return values.astype(self.wide)

    def text(self, bits: int) -> str:
        """A number for people and for machines: decimal, C's hexadecimal form, and its bits."""
        value = float(self.values(np.array([bits]))[0])
        digits = {"bfloat16": 4, "float16": 5, "float32": 9, "float64": 17}[self.name]
        return f"{value:.{digits}g} ({value.hex()}, bits 0x{bits:0{self.width // 4}x})"


FORMATS = {
    f.name: f
    for f in (
        Format("float16", 16, 10, -14),
        Format("bfloat16", 16, 7, -126),
        Format("float32", 32, 23, -126),
        Format("float64", 64, 52, -1022),
    )
}
