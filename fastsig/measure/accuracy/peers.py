"""The same measure for torch, SciPy and JAX, where installed: as their users would write each operation."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console

from fastsig.measure.accuracy import inputs, sampled
from fastsig.measure.formats import FORMATS, Array, Format
from fastsig.measure.peers import Peer, peer_named
from fastsig.measure.ulp import Tally, tally
from fastsig.ops import Op

MIDDLE = {"real": (-10.0, 10.0), "unit": (0.001, 0.999)}
"""where every library should be good; beyond are the tails"""
COUNT = 1 << 20
LIBRARIES = {"torch": "torch, 1 thread", "SciPy": "scipy", "JAX": "jax"}
"""the rows of the table of peers that are measured, by the names that the documents call them"""


def _by_scipy_users() -> dict[str, Callable[[Array], Array]]:
    """What SciPy has no function of its own for."""
    special: Any = importlib.import_module("scipy.special")
    return {
        "sigmoid_grad": lambda x: special.expit(x) * (1 - special.expit(x)),
        "softplus": lambda x: np.logaddexp(x.dtype.type(0), x), "silu": lambda x: x * special.expit(x),
        "tanh": np.tanh, "tanh_grad": lambda x: 1 - np.tanh(x) ** 2,
    }  # fmt: skip


def _results(peer: Peer, op: Op, x: Array) -> Array | None:
    """What comes out at x, None where nobody writes such an operation."""
    with np.errstate(all="ignore"):
        found = peer.compute(op.name, x)
        written = _by_scipy_users() if found is None and peer.module == "scipy" else {}
        return written[op.name](x) if op.name in written else found


def _tally(peer: Peer, op: Op, fmt: Format, x: Array) -> Tally | None:
    got = _results(peer, op, x)
    if got is None:
        return None
    y, size = sampled.reference(op, fmt, (x,))
    with np.errstate(all="ignore"):
        return tally(y, got, (x,), fmt, scale=size)


def measure(ops: list[Op], console: Console) -> list[dict[str, Any]]:
    """Worst errors in the middle and over all inputs, NaN and infinities left out; a list of records."""
    found = []
    for name, row in LIBRARIES.items():
        peer = peer_named(row)
        try:
            version = importlib.import_module(peer.module).__version__
        except ImportError:
            console.print(f"{name} is not installed")
            continue
        for op in ops:
            for dtype in ("float32", "float64"):
                fmt = FORMATS[dtype]
                x = inputs.sample(op, fmt, COUNT)
                low, high = MIDDLE[op.domain]
                middle, everywhere = x[(x >= low) & (x <= high)], x[np.isfinite(x)]
                if op.domain == "unit":
                    everywhere = x[(x >= 0) & (x <= 1)]
                inner, whole = _tally(peer, op, fmt, middle), _tally(peer, op, fmt, everywhere)
                if inner is None or whole is None:
                    continue
                found.append({
                    "peer": name, "version": version, "op": op.name, "dtype": dtype,
                    "middle": inner.worst, "middle_at": inner.at[0], "all": _finite(whole.worst), "all_at": whole.at[0],
                })  # fmt: skip
        console.print(f"{name} {version} measured")
    return found


def _finite(error: float) -> float | None:
    """JSON has no infinity: None where an infinity or a NaN came out for a number."""
    return error if np.isfinite(error) else None
