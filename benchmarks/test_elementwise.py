"""Every operation of the table by every peer: a group for each operation, dtype, size and mode."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import numpy as np
import pytest
from contests import Ready, comparison, contest

from fastsig.measure.peers import DTYPES, MODES, UNARY, Peer, dtype_of, installed, peer_named
from fastsig.measure.timing import accuracy, inputs

pytest.importorskip("pytest_benchmark")

SIZES = (1, 100, 10**4, 10**5, 10**6)
CHOSEN_SIZES, CHOSEN_DTYPES = (100, 10**4, 10**6), ("float32", "float64")


@cache
def error(op: str, dtype: str, name: str) -> float | None:
    """The largest on the sample that ``python -m fastsig bench`` uses."""
    found = accuracy(op, dtype_of(dtype), [peer_named(name)])[name]
    return found[0] if found else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    everything = metafunc.config.getoption("--everything")
    peers = [peer for peer in installed() if everything or peer.threads == 1]
    metafunc.parametrize("op", UNARY)
    metafunc.parametrize("dtype", DTYPES if everything else CHOSEN_DTYPES)
    metafunc.parametrize("size", SIZES if everything else CHOSEN_SIZES)
    metafunc.parametrize("mode", MODES if everything else MODES[:1])
    metafunc.parametrize("peer", peers, ids=[peer.name for peer in peers])  # last, so that a group's cases follow each other


def ready(peer: Peer, op: str, x: Any, out: Any, mode: str) -> Ready | None:
    calls = peer.prepare(op, x, out) if mode in peer.modes else None
    call = None if calls is None else calls.out if mode == "out" else calls.alloc
    return Ready(call, calls.before, peer.threads) if calls and call else None


@comparison
def test_elementwise(benchmark: Any, op: str, dtype: str, size: int, mode: str, peer: Peer, everything: bool) -> None:
    x = inputs(op, dtype_of(dtype), size)
    out = np.zeros_like(x)
    peers = [each for each in installed() if everything or each.threads == 1]
    contestants = {each.name: partial(ready, each, op, x, out, mode) for each in peers}
    contest(benchmark, f"{op} {dtype} {size:,} {mode}", contestants, peer.name, lambda name, _: error(op, dtype, name))
