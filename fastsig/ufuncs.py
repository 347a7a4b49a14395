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

from typing import TYPE_CHECKING

from fastsig.dispatch.availability import as_attribute, host_ufunc
from fastsig.ops import BY_NAME

if TYPE_CHECKING:
    import numpy as np

__all__ = list(BY_NAME)


def __getattr__(name: str) -> np.ufunc:
    return as_attribute(globals(), name, __all__, host_ufunc)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
