"""Where one way becomes faster than another, measured side by side."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from timeit import Timer
from typing import Any

import numpy as np

import fastsig
from fastsig.dispatch import availability, sharing
from fastsig.dispatch.thresholds import LEAST_BYTES
from fastsig.measure.timing import Timed, inputs, interleave
from fastsig.system.num_threads import get_num_threads
from fastsig.system.terminal import measuring

DTYPES = ("float16", "float32", "float64")
MOST_ELEMENTS = 1 << 22
WINS = 0.95
"""A way wins where it takes at most this share of the other's time, at a size and at twice that size: one lucky round is no crossover."""
STREAM_SIZES = tuple(1 << power for power in range(20, 29))
"""Bytes of the output: 1 MiB to 256 MiB."""

Call = Callable[[], Any]


@dataclass
class Crossovers:
    """Elements by operation and dtype, as ``fastsig.thresholds`` reads them."""

    parallel: dict[str, dict[str, int]] = field(default_factory=dict)
    numba: dict[str, dict[str, int]] = field(default_factory=dict)
    stream_bytes: int | None = None


def ratio(one: Call, other: Call, rounds: int, threads: int = 1) -> float:
    """The other way's time over the one way's: the best of interleaved rounds, for those had the cores that they asked for."""
    found = interleave({"one": Timed(Timer(one)), "other": Timed(Timer(other), threads=threads)}, rounds)
    return found["other"].best / found["one"].best


def crossover(sizes: Sequence[int], ratio_at: Callable[[int], float]) -> int | None:
    """The first of the ascending sizes from which on the other way wins there and at the next size; None where it never does."""
    first: int | None = None
    for size in sizes:
        if ratio_at(size) > WINS:
            first = None
        elif first is None:
            first = size
        else:
            return first
    return first


def _case(op: str, dtype: str, size: int) -> tuple[Any, Any]:
    x = inputs(op, np.dtype(dtype), size)
    return x, np.zeros_like(x)


def _sizes(dtype: str) -> list[int]:
    sizes = [LEAST_BYTES // np.dtype(dtype).itemsize]
    while sizes[-1] < MOST_ELEMENTS:
        sizes.append(2 * sizes[-1])
    return sizes


def parallel_from(op: str, dtype: str, rounds: int) -> int | None:
    """The elements from which on two threads are faster than one; None where they never were: there was no second core to be had."""
    ufunc = availability.host_ufunc(op)

    def ratio_at(size: int) -> float:
        x, out = _case(op, dtype, size)
        return ratio(lambda: ufunc(x, out), lambda: sharing.unary(ufunc, x, out, 2), rounds, threads=2)

    return crossover(_sizes(dtype), ratio_at)


def numba_from(op: str, dtype: str, rounds: int) -> int | None:
    """The elements from which on Numba's loop is faster than the C library's, on one thread; None where it is not."""
    ours, theirs = availability.ufunc_of("c", op), availability.ufunc_of("numba", op)

    def ratio_at(size: int) -> float:
        x, out = _case(op, dtype, size)
        return ratio(lambda: ours(x, out), lambda: theirs(x, out), rounds)

    return crossover([1 << 14, 1 << 16, 1 << 18, 1 << 20], ratio_at)


def _memory() -> int:
    """Bytes of memory that is free, where the system tells."""
    try:
        return int(os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):
        return 1 << 30


def streaming(rounds: int) -> int | None:
    """The bytes of output from which on stores past the caches win; twice the largest measured where they do not."""
    from fastsig.kernels.c import library as c

    sizes = [size for size in STREAM_SIZES if 8 * size < _memory()]
    before, threads = c.stream_bytes(), get_num_threads()
    if not sizes:
        return None

    def ratio_at(size: int) -> float:
        x, out = _case("sigmoid", "float32", size // 4)

        def stored(least: int) -> Call:
            def call() -> None:
                c.set_stream_bytes(least)
                fastsig.sigmoid(x, out=out)
                out.max()  # whoever reads the result next finds it in the caches, or does not

            return call

        return ratio(stored(1 << 62), stored(1), rounds, threads)

    try:
        return crossover(sizes, ratio_at) or 2 * sizes[-1]
    finally:
        c.set_stream_bytes(before)


def measure(
    ops: Sequence[str], dtypes: Sequence[str] = DTYPES, *, rounds: int = 15, numba: bool = True, progress: bool = True
) -> Crossovers:
    """All crossovers that this installation has: threads where there are two, Numba beside C, streaming stores of the C library.

    Parameters
    ----------
    ops, dtypes : sequence of str
        Operations of one input, and of float16, float32 and float64.
    rounds : int
        Measurements of each case; the best are compared.
    numba : bool
        Compile Numba's loops too, which takes a minute the first time.
    progress : bool
        Show a progress bar once two seconds have passed.

    Returns
    -------
    Crossovers
    """
    have = [name for name, status in fastsig.backends().items() if status == "available"]
    cases = [(op, dtype) for op in ops for dtype in dtypes]
    shared, compared = get_num_threads() > 1, numba and {"c", "numba"} <= set(have)
    found = Crossovers()
    with measuring(len(cases) * (shared + compared) + ("c" in have), "tuning", progress) as steps:
        for op, dtype in cases if shared else ():
            steps.step(f"threads: {op} {dtype}")
            least = parallel_from(op, dtype, rounds)
            if least is not None:
                found.parallel.setdefault(op, {})[dtype] = least
        for op, dtype in cases if compared else ():
            steps.step(f"Numba: {op} {dtype}")
            least = numba_from(op, dtype, rounds)
            if least is not None:
                found.numba.setdefault(op, {})[dtype] = least
        if "c" in have:
            steps.step("streaming stores")
            found.stream_bytes = streaming(max(3, rounds // 3))
    return found
