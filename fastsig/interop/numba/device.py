"""fastsig in kernels that a user compiles with ``@cuda.jit``: device functions of one element, with the bits of ``fastsig.ufuncs``.

    from numba import cuda
    from fastsig.interop.numba import device

    @cuda.jit
    def kernel(x, out):
        i = cuda.grid(1)
        if i < x.size:
            out[i] = device.sigmoid(x[i])

The elements are traced, as those of fastsig's own kernels are; docs/numba.md. ``fs.sigmoid`` and ``fs.ufuncs.bce_with_logits`` are these
functions in a kernel too, without this import: ``@cuda.jit`` asks for it through the entry point in ``_fastsig_numba``.
"""

from __future__ import annotations

import importlib
import inspect
from typing import Any

try:
    import numba_cuda as _  # noqa: F401  # without it, numba.cuda is an older one that Numba brings
    from numba import cuda as _cuda  # noqa: F401
except ImportError as error:
    raise ImportError(
        "fastsig.interop.numba.device needs numba-cuda: pip install 'fastsig-kernels[cuda13]' "
        "(or 'fastsig-kernels[cuda12]' for drivers below 580)"
    ) from error

from numba.core import config

from fastsig import ufuncs
from fastsig.ops import BY_NAME, OPS, Op

__all__ = list(BY_NAME)


def _outside(op: Op) -> Any:
    """What the function is to Python: kernels of Numba's simulator call it there."""

    def function(*elements: Any) -> Any:
        if config.ENABLE_CUDASIM:
            return getattr(ufuncs, op.name)(*elements)
        raise TypeError(
            f"{__name__}.{op.name} is for kernels of @cuda.jit; outside of them call fastsig.ufuncs.{op.name}, which takes whole arrays"
        )

    function.__name__ = function.__qualname__ = op.name
    function.__doc__ = f"{op.summary} ``{op.formula}`` of one element, in a kernel of ``@cuda.jit``."
    function.__signature__ = inspect.Signature([inspect.Parameter(name, inspect.Parameter.POSITIONAL_ONLY) for name in op.inputs])
    return function


_FUNCTIONS = {op.name: _outside(op) for op in OPS}
if not config.ENABLE_CUDASIM:
    _in_kernels = importlib.import_module("fastsig.interop.numba.in_kernels")
    _in_kernels.register(_FUNCTIONS)
    type_of = _in_kernels.type_of  # what the entry point asks


def __getattr__(name: str) -> Any:
    if name not in _FUNCTIONS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; the operations are {', '.join(_FUNCTIONS)}")
    return _FUNCTIONS[name]


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
