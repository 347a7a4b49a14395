"""Correctly rounded functions of float32: each result is the float32 number nearest to the exact value, ties to even.

So there is nothing left that two implementations, machines or versions could differ in, and a function that rises never falls between
two neighbours. All 2^32 inputs of each have been checked. Each is a ``numpy.ufunc``; it takes float32, and float16 and bfloat16, whose
results by the ordinary functions are correctly rounded too. float64 is a TypeError, and so are Python's numbers, which NumPy takes for
float64, unless ``dtype=np.float32`` converts them. It takes about twice the time of the ordinary function (docs/correctly-rounded.md).

Made at first use where Numba serves; bfloat16 as in ``fastsig.ufuncs``.

Examples
--------
>>> import numpy as np
>>> import fastsig as fs
>>> x = np.float32([-100, 0.5, 20])
>>> fs.correctly_rounded.sigmoid(x)
array([3.7835059e-44, 6.2245935e-01, 1.0000000e+00], dtype=float32)
>>> fs.correctly_rounded.tanh(0.5, dtype=np.float32)
np.float32(0.46211717)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastsig.dispatch.availability import as_attribute, host_rounded_ufunc
from fastsig.ops import ROUNDED

if TYPE_CHECKING:
    import numpy as np

__all__ = [op.name for op in ROUNDED]


def __getattr__(name: str) -> np.ufunc:
    return as_attribute(globals(), name, __all__, host_rounded_ufunc)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
