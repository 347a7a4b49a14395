"""Turns NumPy's refusals into errors that name the argument, what is wrong with it and what would be right."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastsig.arrays.devices import describe
from fastsig.arrays.dtypes import TAKEN

_KINDS = {"c": "complex", "O": "object", "S": "bytes", "U": "string", "V": "structured", "M": "datetime", "m": "timedelta", "T": "string"}


def _dtype_problem(x: Any) -> str | None:
    try:
        dtype = getattr(x, "dtype", None) or np.asarray(x).dtype
    except (TypeError, ValueError, RuntimeError):  # whatever its __array__ raises is no better explained by us
        return f"x ({describe(x)}) is not an array"
    kind = getattr(dtype, "kind", "")
    if kind in _KINDS and getattr(dtype, "name", "") != "bfloat16":
        return f"x has dtype {dtype} ({_KINDS[kind]}), which the logistic family is not computed for; convert it to one of {TAKEN}"
    if kind == "f" and dtype.itemsize > 8:
        return f"x has dtype {dtype}; there is no kernel above float64; convert it with x.astype(np.float64)"
    return None


def _out_problem(x: Any, out: Any) -> tuple[type[Exception], str] | None:
    if isinstance(out, tuple):
        if len(out) != 1:
            return ValueError, f"out is a tuple of {len(out)}; give one array"
        out = out[0]
    if out is None:
        return None
    if not isinstance(out, np.ndarray):
        return TypeError, f"out is {describe(out)}; give a NumPy array to write into"
    if not out.flags.writeable:
        return ValueError, "out is read-only; give a writable array"
    shape = np.shape(x)
    try:
        fits = np.broadcast_shapes(shape, out.shape) == out.shape
    except ValueError:
        fits = False
    if not fits:
        return ValueError, f"out has shape {out.shape}; the result has shape {shape}"
    if out.dtype.kind not in "fV":
        return TypeError, f"out has dtype {out.dtype}; give a float array, or casting='unsafe' to have the result cut"
    return None


def explain(name: str, x: Any, out: Any, error: Exception) -> Exception:
    """The same refusal in words about the arguments, or the error itself where nothing clearer can be said."""
    problem = _dtype_problem(x)
    if problem:
        return TypeError(f"{name}: {problem}")
    about_out = _out_problem(x, out)
    if about_out:
        kind, text = about_out
        return kind(f"{name}: {text}")
    return error
