"""The sigmoid of fastsig beside that of the peers that are installed: nanoseconds per element, and the error in ULP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

from fastsig.measure.formats import FORMATS
from fastsig.measure.peers import PEERS, Peer
from fastsig.measure.timing import cell
from fastsig.measure.ulp import worst
from fastsig.ops import BY_NAME

SIGMOID = BY_NAME["sigmoid"]
SIZE = 100_000
ROUNDS = 41
SAMPLES = 400_000

WRITTEN = {"fastsig": "fastsig", "numpy": "1/(1+np.exp(-x))", "scipy": "scipy expit", "torch, 1 thread": "torch.sigmoid"}
"""The peers that the demo shows, and what their users write."""

RANGES = {
    "float32": {"normal": (-87.33, 20.0), "tail": (-103.9, -87.34)},
    "float64": {"normal": (-708.39, 40.0), "tail": (-745.1, -708.4)},
}
"""Where the true sigmoid is a normal number (above, it is 1), and where it is a subnormal one."""


class Row(NamedTuple):
    name: str
    nanoseconds: dict[str, float]
    ulp: dict[tuple[str, str], float]
    at_minus_100: float


def _module(peer: Peer) -> Any:
    try:
        return import_module(peer.module)
    except (ImportError, OSError, RuntimeError):  # the last two: it is there and does not load
        return None


@contextmanager
def one_thread_each() -> Iterator[list[Peer]]:
    """The peers that there are; their libraries have one thread while the context lasts."""
    modules = {peer: module for peer in PEERS if peer.name in WRITTEN and (module := _module(peer)) is not None}
    before = {module: module.get_num_threads() for module in modules.values() if hasattr(module, "get_num_threads")}
    for module in before:
        module.set_num_threads(1)
    try:
        yield list(modules)
    finally:
        for module, threads in before.items():
            module.set_num_threads(threads)


def errors(peer: Peer) -> dict[tuple[str, str], float]:
    """The largest error in ULP over evenly spread inputs, by dtype and part of its range, where there is a reference."""
    found = {}
    for dtype, ranges in RANGES.items():
        for part, (low, high) in ranges.items():
            x = np.linspace(low, high, SAMPLES).astype(dtype)
            error = worst(SIGMOID, x, peer.compute("sigmoid", x), FORMATS[dtype])
            if error:
                found[dtype, part] = error[0]
    return found


def compare() -> list[Row]:
    """One row a peer."""
    with one_thread_each() as peers, np.errstate(all="ignore"):  # the NumPy expression overflows, and says so
        measured = [row for dtype in RANGES for row in cell("sigmoid", np.dtype(dtype), SIZE, peers, modes=("out",), rounds=ROUNDS)]
        return [
            Row(
                WRITTEN[peer.name],
                {row.dtype: row.ns for row in measured if row.peer == peer.name},
                errors(peer),
                float(peer.compute("sigmoid", np.array([-100], np.float32))[0]),
            )
            for peer in peers
        ]
