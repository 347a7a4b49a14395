"""The sigmoid of fastsig and of the peers that are installed: nanoseconds per element, and the error in ULP."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from statistics import median
from typing import Any, NamedTuple

import numpy as np

import fastsig as fs

Sigmoid = Callable[[Any, Any], Any]
"""From an input to an output of the peer's own kind of array; returns the output."""
SIZE = 100_000
ROUNDS, CALLS = 41, 5
SAMPLES = 400_000

RANGES = {
    "float32": {"normal": (-87.33, 20.0), "tail": (-103.9, -87.34)},
    "float64": {"normal": (-708.39, 40.0), "tail": (-745.1, -708.4)},
}
"""Where the true sigmoid is a normal number (above, it is 1), and where it is a subnormal one."""


class Peer(NamedTuple):
    name: str
    prepare: Callable[[np.ndarray[Any, Any]], Any]
    """The peer's own kind of array over the same memory."""
    sigmoid: Sigmoid


class Row(NamedTuple):
    name: str
    nanoseconds: dict[str, float]
    ulp: dict[tuple[str, str], float]
    at_minus_100: float


def _expression(x: Any, out: Any) -> Any:
    """1 / (1 + np.exp(-x)), each step into the same array, which is the fastest that NumPy has."""
    np.negative(x, out=out)
    np.exp(out, out=out)
    np.add(1, out, out=out)
    return np.divide(1, out, out=out)


def _itself(x: np.ndarray[Any, Any]) -> Any:
    return x


@contextmanager
def installed() -> Iterator[list[Peer]]:
    """fastsig, the NumPy expression, SciPy, and torch if it is there; one thread each while the context lasts."""
    found = [
        Peer("fastsig", _itself, lambda x, out: fs.sigmoid(x, out=out)),
        Peer("1/(1+np.exp(-x))", _itself, _expression),
        Peer("scipy expit", _itself, import_module("scipy.special").expit),
    ]
    libraries: list[Any] = [fs]
    torch = _torch()
    if torch is not None:
        found.append(Peer("torch.sigmoid", torch.from_numpy, lambda x, out: torch.sigmoid(x, out=out)))
        libraries.append(torch)
    before = [library.get_num_threads() for library in libraries]
    for library in libraries:
        library.set_num_threads(1)
    try:
        yield found
    finally:
        for library, threads in zip(libraries, before, strict=True):
            library.set_num_threads(threads)


def _torch() -> Any:
    try:
        return import_module("torch")
    except (ImportError, OSError, RuntimeError):  # the last two: it is there and does not load
        return None


def speed(peers: list[Peer], dtype: str) -> list[float]:
    """Nanoseconds per element of f(x) into a given array: medians of rounds in which every peer has its turn."""
    x = np.random.default_rng(0).normal(0, 4, SIZE).astype(dtype)
    given = [(peer.prepare(x), peer.prepare(np.empty_like(x))) for peer in peers]
    taken: list[list[float]] = [[] for _ in peers]
    for _ in range(ROUNDS):
        for peer, (source, target), times in zip(peers, given, taken, strict=True):
            peer.sigmoid(source, target)
            begin = time.perf_counter_ns()
            for _ in range(CALLS):
                peer.sigmoid(source, target)
            times.append((time.perf_counter_ns() - begin) / (CALLS * SIZE))
    return [median(times) for times in taken]


def has_reference(dtype: str) -> bool:
    """Whether longdouble has the digits to judge this dtype by; on some platforms it is only float64."""
    return np.finfo(np.longdouble).nmant >= np.finfo(np.dtype(dtype)).nmant + 10


def max_ulp(peer: Peer, dtype: str, low: float, high: float) -> float:
    """The largest error over evenly spread inputs, in units of the last place of the exact result."""
    x = np.linspace(low, high, SAMPLES).astype(dtype)
    z = np.exp(-np.abs(x.astype(np.longdouble)))
    exact = np.where(x >= 0, 1, z) / (1 + z)
    limits = np.finfo(np.dtype(dtype))
    exponent = np.maximum(np.frexp(exact)[1] - 1, limits.minexp)
    unit = np.ldexp(np.longdouble(1), exponent - limits.nmant)
    return float(np.max(np.abs(_applied(peer, x).astype(np.longdouble) - exact) / unit))


def _applied(peer: Peer, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(peer.sigmoid(peer.prepare(x), peer.prepare(np.empty_like(x))))


def compare() -> list[Row]:
    """One row a peer."""
    with installed() as peers, np.errstate(all="ignore"):  # the NumPy expression overflows, and says so
        times = {dtype: speed(peers, dtype) for dtype in RANGES}
        rows = []
        for i, peer in enumerate(peers):
            ulp = {
                (dtype, where): max_ulp(peer, dtype, *ends)
                for dtype, ranges in RANGES.items()
                if has_reference(dtype)
                for where, ends in ranges.items()
            }
            far = float(_applied(peer, np.array([-100], np.float32))[0])
            rows.append(Row(peer.name, {dtype: taken[i] for dtype, taken in times.items()}, ulp, far))
        return rows
