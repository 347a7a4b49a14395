"""The operations as functions like those that ``numba.vectorize`` makes: DUFuncs, for arrays in Python and within compiled code.

Called from Python, one is the ufunc of the Numba backend: its loops compute under the default floating-point environment, raise no flag,
and are kept in the cache. Numba's own loops do none of that, and its own ufuncs refuse ``where=``. Within compiled code it is what
``fastsig.ufuncs`` is there.
"""

from __future__ import annotations

from functools import cache
from operator import attrgetter
from typing import Any

import numpy as np
from numba.core import config
from numba.core.registry import cpu_target
from numba.np.ufunc import dufunc

from fastsig import ufuncs
from fastsig.dispatch import availability
from fastsig.interop.numba import functions
from fastsig.kernels.numba.primitives import formula
from fastsig.ops import BY_NAME

_DUFunc: Any = dufunc.DUFunc


class Vectorized(_DUFunc):  # type: ignore[misc]
    """A DUFunc of one operation, whose loops are compiled, or loaded, when it is first called or asked about them."""

    def __init__(self, name: str) -> None:
        op = BY_NAME[name]
        super().__init__(formula(op))
        self.__module__ = functions.__package__
        self.__doc__ = f"{op.summary} ``{op.formula}``, as a function of ``numba.vectorize``."
        self._frozen = True  # it takes no more signatures

    @property
    def ufunc(self) -> np.ufunc:
        """Whatever a DUFunc has of a ufunc is read here; while Numba sets it up, from one that needs no compiling."""
        name = self.__name__
        if not self._frozen:
            return functions.KEYS[name]
        made: np.ufunc = getattr(ufuncs, name) if config.DISABLE_JIT else availability.ufunc_of("numba", name)
        return made

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self.ufunc(*arguments, **keywords)

    accumulate, at, outer, reduce, reduceat = (
        property(attrgetter(f"ufunc.{name}")) for name in ("accumulate", "at", "outer", "reduce", "reduceat")
    )

    def _install_cg(self, targetctx: Any = None) -> None:
        """Numba asks this for the code within compiled code. That of the type is there."""

    def _install_type(self, typingctx: Any = None) -> None:
        """And this for the type."""
        (typingctx or cpu_target.typing_context).insert_global(self, functions.TYPES[self.__name__])

    def __reduce__(self) -> Any:
        return of_name, (self.__name__,)


@cache
def of_name(name: str) -> Any:
    """The function of this operation."""
    return Vectorized(name)
