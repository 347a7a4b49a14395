"""fastsig in code that Numba compiles, and as functions like those of ``numba.vectorize``; docs/numba.md.

``fs.sigmoid`` and the functions of ``fastsig.ufuncs`` work in a user's own ``@njit`` without anything from here: Numba asks for it through
the entry point in ``_fastsig_numba``. ``functions`` is what it is answered, ``cached_code`` sees to it that no cache serves an older
answer. For kernels of ``@cuda.jit`` there is ``fastsig.interop.numba.device``.

What stands here by name, such as ``sigmoid`` and ``bce_with_logits``, are DUFuncs, made when they are first asked for.

Examples
--------
>>> import numpy as np
>>> from fastsig.interop.numba import sigmoid
>>> sigmoid(np.float32([-100, 0, 2]))
array([3.783506e-44, 5.000000e-01, 8.807971e-01], dtype=float32)
"""

from __future__ import annotations

import importlib
from typing import Any

from fastsig.kernels.numba import status
from fastsig.ops import BY_NAME

__all__ = list(BY_NAME)


def __getattr__(name: str) -> Any:
    if name not in BY_NAME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; the operations are {', '.join(BY_NAME)}")
    if status.installed() != "available":
        raise ImportError(f"{__name__}.{name}: {status.installed()}")
    function = importlib.import_module(f"{__name__}.vectorized").of_name(name)
    globals()[name] = function
    return function


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
