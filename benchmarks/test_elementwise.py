"""Every operation of the table, by every peer: ``pytest benchmarks --benchmark-only``. It times and asserts nothing about time.

One group a comparison. pytest-benchmark measures one case after the other, so on a noisy machine the interleaved
``python -m fastsig bench`` is the one to believe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from fastsig.measure.peers import DTYPES, UNARY, Peer, dtype_of, installed
from fastsig.measure.timing import MODES, inputs

pytest.importorskip("pytest_benchmark")

SIZES = (1, 100, 10**4, 10**5, 10**6)


@pytest.fixture(autouse=True)
def silent_numpy() -> Iterator[None]:
    with np.errstate(all="ignore"):
        yield


@pytest.mark.benchmark(max_time=0.1, min_rounds=5, disable_gc=True)
@pytest.mark.parametrize("peer", installed(), ids=lambda peer: peer.name)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", UNARY)
def test_elementwise(benchmark: Any, op: str, dtype: str, size: int, mode: str, peer: Peer) -> None:
    x = inputs(op, dtype_of(dtype), size)
    calls = peer.prepare(op, x, np.zeros_like(x))
    call: Callable[[], Any] | None = None if calls is None else calls.out if mode == "out" else calls.alloc
    if call is None:
        pytest.skip(f"{peer.name} has no {op} of {dtype}, {mode}")
    benchmark.group = f"{op} {dtype} {size:,} {mode}"
    benchmark(call)
