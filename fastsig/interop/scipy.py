"""SciPy's ``expit``, ``logit`` and ``log_expit``, to import from here instead of from `scipy.special`; SciPy itself is not needed.

They take what SciPy's take, with the same names and the same dtypes in the results, and keep the tails. They are shared among
threads, as fastsig's functions are. Arrays of other libraries come back as what they are; docs/scipy.md.

Examples
--------
>>> from fastsig.interop.scipy import expit, log_expit, logit
>>> print(expit(-40.0), log_expit(40.0), logit(1e-300))
4.248354255291589e-18 -4.248354255291589e-18 -690.7755278982137
"""

from __future__ import annotations

from typing import Any

import numpy as np

import fastsig as fs

__all__ = ["expit", "log_expit", "logit"]

_SMALL = 2
"""Bytes of the types that SciPy computes in float64, where a ufunc of fastsig has halves for halves and bytes."""


class Special:
    """A function of `scipy.special`: called as a ufunc, with a ufunc's attributes."""

    types = ["d->d", "f->f"]
    ntypes = len(types)

    def __init__(self, name: str, function: Any, documentation: str) -> None:
        self.__name__ = self.__qualname__ = name
        self.__doc__ = documentation.format(name=name, function=function.__name__)
        self._function = function
        self._ufunc: np.ufunc = getattr(fs.ufuncs, function.__name__)

    def __call__(
        self, x: Any, /, out: Any = None, *, where: Any = True, casting: str = "same_kind", order: str = "K", dtype: Any = None,
        subok: bool = True, signature: Any = None,
    ) -> Any:  # fmt: skip
        if signature is not None:
            return self._ufunc(x, out=out, where=where, casting=casting, order=order, subok=subok, signature=signature)
        if isinstance(x, (bool, list, tuple)):
            x = np.asarray(x)
        if dtype is None and _becomes_float64(getattr(x, "dtype", None)):
            dtype = np.float64
        try:
            return self._function(x, out, where=where, dtype=dtype, casting=casting, order=order, subok=subok)
        except (TypeError, ValueError) as error:
            before, colon, words = str(error).partition(": ")
            if not colon or before != self._function.__name__ or before == self.__name__:
                raise
            raise type(error)(f"{self.__name__}: {words}") from error

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self._ufunc, name)

    def __repr__(self) -> str:
        return f"<function {self.__module__}.{self.__name__}>"

    def __reduce__(self) -> str:
        return self.__name__


def _becomes_float64(dtype: Any) -> bool:
    """Of NumPy's types those that SciPy casts to float64 and np.exp does not."""
    return isinstance(dtype, np.dtype) and dtype.itemsize <= _SMALL and (dtype.kind in "biuf" or dtype.name == "bfloat16")


_DOCUMENTATION = """{summary}, as `scipy.special.{{name}}`: ``{formula}``.

Parameters
----------
x : array_like
    {what}, of any shape. float32 is computed in float32, everything else in float64, as SciPy does it.
out, where, casting, order, dtype, subok, signature
    As in every NumPy ufunc.

Returns
-------
scalar or ndarray
    float32 of float32, float64 of everything else; an array of another library for one of those.

Raises
------
TypeError
    ``x`` is complex, longdouble (for which SciPy has a loop, and fastsig no kernel), object or text.
ValueError
    ``out`` has the wrong shape or is read-only.

Notes
-----
The bits and the accuracy are those of `fastsig.{{function}}`: {accuracy}

Examples
--------
>>> from fastsig.interop.scipy import {{name}}
>>> {{name}}({given})
{result}
"""

expit = Special(
    "expit", fs.sigmoid,
    _DOCUMENTATION.format(
        summary="The logistic sigmoid", formula="1 / (1 + exp(-x))", what="Real numbers", given="-40.0",
        result="np.float64(4.248354255291589e-18)", accuracy="at most 2.0 ULP in float32 and float64, subnormal numbers included.",
    ),
)  # fmt: skip
logit = Special(
    "logit", fs.logit,
    _DOCUMENTATION.format(
        summary="The log-odds", formula="log(x / (1 - x))", what="Probabilities", given="1e-300", result="np.float64(-690.7755278982137)",
        accuracy="at most 2.5 ULP in float32 and float64, near 1/2 too. -inf at 0, inf at 1, NaN outside of [0, 1].",
    ),
)  # fmt: skip
log_expit = Special(
    "log_expit", fs.log_sigmoid,
    _DOCUMENTATION.format(
        summary="The logarithm of the logistic sigmoid", formula="-log(1 + exp(-x))", what="Real numbers", given="40.0",
        result="np.float64(-4.248354255291589e-18)", accuracy="at most 2.5 ULP in float32 and float64.",
    ),
)  # fmt: skip
