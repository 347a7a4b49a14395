"""Turns NumPy's refusals into errors that name the argument, what is wrong with it and what would be right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .arrays import describe

_KINDS = {"c": "complex", "O": "object", "S": "bytes", "U": "string", "V": "structured", "M": "datetime", "m": "timedelta", "T": "string"}
_TAKEN = "float16, bfloat16, float32, float64, bool and integers"


def _dtype_problem(x: Any) -> str | None:
    try:
        dtype = getattr(x, "dtype", None) or np.asarray(x).dtype
    except (TypeError, ValueError, RuntimeError):  # whatever its __array__ raises is no better explained by us
        return f"x ({describe(x)}) is not an array"
    kind = getattr(dtype, "kind", "")
    if kind in _KINDS and getattr(dtype, "name", "") != "bfloat16":
        return f"x has dtype {dtype} ({_KINDS[kind]}), which the logistic family is not computed for; convert it to one of {_TAKEN}"
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


def check_device(name: str, x: Any, device: str, backend: str | None, status: Callable[[], str]) -> None:
    """RuntimeError unless the CUDA backend is there, x is on an NVIDIA GPU, and nobody named a host backend; status says the first."""
    if device == "cpu":
        raise RuntimeError(f"{name}: backend='cuda' computes on arrays of an NVIDIA GPU, and x ({describe(x)}) is in host memory")
    on_host = "compute on the host instead: torch tensors with x.cpu(), CuPy arrays with x.get()"
    where = f"{name}: x ({describe(x)}) is on {device}"
    if not device.startswith("cuda"):
        raise RuntimeError(f"{where}, and no backend computes there; {on_host}")
    if backend not in (None, "cuda"):
        raise RuntimeError(f"{where}, and backend={backend!r} computes in host memory; leave backend= out, or {on_host}")
    if status() != "available":
        raise RuntimeError(f"{where}, and {status()}; {on_host}")
