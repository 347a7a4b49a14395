"""The same measure for torch, SciPy and JAX, where installed: as their users would write each operation."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console

from ..ops import Op
from . import inputs, sampled
from .formats import FORMATS, Array, Format
from .ulp import Tally, tally

MIDDLE = {"real": (-10.0, 10.0), "unit": (0.001, 0.999)}
"""where every library should be good; beyond are the tails"""
COUNT = 1 << 20
Function = Callable[[Array], Array]


def _torch() -> dict[str, Function]:
    torch: Any = importlib.import_module("torch")
    f: Any = torch.nn.functional

    def plain(function: Any) -> Function:
        return lambda x: function(torch.from_numpy(x)).numpy()

    def grad(function: Any) -> Function:
        def derivative(x: Array) -> Array:
            v = torch.from_numpy(x).requires_grad_()
            function(v).sum().backward()
            return v.grad.numpy()

        return derivative

    return {
        "sigmoid": plain(torch.sigmoid), "sigmoid_grad": grad(torch.sigmoid), "log_sigmoid": plain(f.logsigmoid),
        "softplus": plain(f.softplus), "logit": plain(torch.logit), "silu": plain(f.silu), "silu_grad": grad(f.silu),
    }  # fmt: skip


def _scipy() -> dict[str, Function]:
    special: Any = importlib.import_module("scipy.special")
    return {
        "sigmoid": special.expit, "log_sigmoid": special.log_expit, "logit": special.logit,
        "sigmoid_grad": lambda x: special.expit(x) * (1 - special.expit(x)),
        "softplus": lambda x: np.logaddexp(x.dtype.type(0), x), "silu": lambda x: x * special.expit(x),
    }  # fmt: skip


def _jax() -> dict[str, Function]:
    jax: Any = importlib.import_module("jax")
    jax.config.update("jax_enable_x64", True)
    nn = jax.nn

    def plain(function: Any) -> Function:
        return lambda x: np.asarray(jax.jit(function)(x))

    def grad(function: Any) -> Function:
        return plain(jax.vmap(jax.grad(function)))

    return {
        "sigmoid": plain(nn.sigmoid), "sigmoid_grad": grad(nn.sigmoid), "log_sigmoid": plain(nn.log_sigmoid), "softplus": plain(nn.softplus),
        "logit": plain(jax.scipy.special.logit), "silu": plain(nn.silu), "silu_grad": grad(nn.silu),
    }  # fmt: skip


LIBRARIES: dict[str, tuple[str, Callable[[], dict[str, Function]]]] = {
    "torch": ("torch", _torch), "SciPy": ("scipy", _scipy), "JAX": ("jax", _jax),
}  # fmt: skip


def _tally(op: Op, fmt: Format, function: Function, x: Array) -> Tally:
    y, size = sampled.reference(op, fmt, (x,))
    with np.errstate(all="ignore"):
        got = np.asarray(function(x))
        return tally(y, got, (x,), fmt, scale=size)


def measure(ops: list[Op], console: Console) -> list[dict[str, Any]]:
    """Worst errors in the middle and over all inputs, NaN and infinities left out; a list of records."""
    found = []
    for name, (module, table) in LIBRARIES.items():
        try:
            functions = table()
            version = importlib.import_module(module).__version__
        except ImportError:
            console.print(f"{name} is not installed")
            continue
        for op in ops:
            if op.name not in functions:
                continue
            for dtype in ("float32", "float64"):
                fmt = FORMATS[dtype]
                x = inputs.sample(op, fmt, COUNT)
                low, high = MIDDLE[op.domain]
                middle, everywhere = x[(x >= low) & (x <= high)], x[np.isfinite(x)]
                if op.domain == "unit":
                    everywhere = x[(x >= 0) & (x <= 1)]
                inner = _tally(op, fmt, functions[op.name], middle)
                whole = _tally(op, fmt, functions[op.name], everywhere)
                found.append({
                    "peer": name, "version": version, "op": op.name, "dtype": dtype,
                    "middle": inner.worst, "middle_at": inner.at[0], "all": _finite(whole.worst), "all_at": whole.at[0],
                })  # fmt: skip
        console.print(f"{name} {version} measured")
    return found


def _finite(error: float) -> float | None:
    """JSON has no infinity: None where an infinity or a NaN came out for a number."""
    return error if np.isfinite(error) else None
