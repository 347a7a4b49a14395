"""The plain ``numpy.ufunc`` of each operation, such as ``fs.ufuncs.sigmoid``; made at first use where Numba serves.

bfloat16 arrays are served here once any ``fs`` function has seen one, or ml_dtypes was imported before the first use.

Examples
--------
>>> import numpy as np
>>> import fastsig as fs
>>> isinstance(fs.ufuncs.sigmoid, np.ufunc)
True
>>> fs.ufuncs.bce_with_logits([2.0, -1.0], [1, 0])
array([0.12692801, 0.31326169])
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from fastsig.dispatch.availability import host_ufunc
from fastsig.ops import BY_NAME

if TYPE_CHECKING:
    import numpy as np

__all__ = list(BY_NAME)


def __getattr__(name: str) -> np.ufunc:
    if name not in BY_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; the operations are {', '.join(BY_NAME)}")
    ufunc = host_ufunc(name)
    with suppress(AttributeError):  # older NumPy: ufuncs have no attributes, and pickle looks through every module
        ufunc.__module__ = __name__
    globals()[name] = ufunc
    return ufunc


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
