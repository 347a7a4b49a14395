"""The ufuncs of ``fastsig.correctly_rounded`` by Numba: float32 computed in float64, halves by the ordinary loops."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastsig.formulas import rounded
from fastsig.kernels.numba.cache import part
from fastsig.kernels.numba.elementwise import loop_over, make_ufunc
from fastsig.kernels.numba.primitives import formula
from fastsig.kernels.numba.type_resolver import explain_refusals
from fastsig.ops import BY_NAME, Op
from fastsig.system import first_calls

_ufuncs: dict[str, np.ufunc] = {}


def _of_float32(op: Op) -> Any:
    exact = getattr(rounded, op.name)

    def value(x):  # type: ignore[no-untyped-def]
        return np.float32(exact(np.float64(x)))

    return part("rounded", op.name)(value)


def ufunc(name: str) -> np.ufunc:
    """The ufunc of this operation; compiles or loads its kernels at the first call."""
    found = _ufuncs.get(name)
    if found is None:
        with first_calls.LOCK:
            found = _ufuncs.get(name)
            if found is None:
                op = BY_NAME[name]
                half = loop_over(op, "f16", formula(op), name, "f16")
                single = loop_over(op, "f32", _of_float32(op), "rounded", name)
                found = make_ufunc(op, {"f16": half, "f32": single})
                explain_refusals(found)
                _ufuncs[name] = found
    return found
