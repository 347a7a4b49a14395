"""Measuring side by side: in one process, round robin, each round a few calls of each, so that a slow moment hits all alike."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median, quantiles
from timeit import Timer
from typing import Any

import numpy as np

from fastsig.measure.formats import FORMATS
from fastsig.measure.libraries import Calls
from fastsig.measure.peers import MODES, Peer
from fastsig.measure.ulp import sample, worst
from fastsig.ops import BY_NAME

SETTLE = 0.003
"""Seconds after calls on several threads, whose workers spin for a while and would slow down whoever comes next."""


@dataclass(frozen=True)
class Spread:
    """Seconds a call: the median over the rounds, the distance of the quartiles, and the best."""

    median: float
    iqr: float
    best: float


def timer(call: Any, cpu_time: bool = False, threads: int = 1, **names: Any) -> Timer:
    """A timer for a callable or a statement: the wall clock, or what this thread alone spent if it is the only one computing.

    The time of the thread leaves out the moments when another process had the core: for machines that others use too.
    """
    clock = time.thread_time if cpu_time and threads == 1 else time.perf_counter
    return Timer(call, timer=clock, globals=names or None)


WAKING_CALLS, SHORT = 12, 0.0002
"""Untimed calls before several threads are measured, where a call takes less than so many seconds: it takes a loop of such to wake them."""


@dataclass
class Timed:
    """Something to measure: a timer, what to do before it untimed, and whether it uses several threads."""

    timer: Timer
    before: Any = None
    threads: int = 1
    warm: int = 1
    inner: int = 1
    seconds: list[float] = field(default_factory=list)

    def ready(self) -> None:
        if self.before:
            self.before()
        self.timer.timeit(self.warm)


def interleave(entries: Mapping[str, Timed], rounds: int = 21, at_least: float = 0.0005, seed: int = 0) -> dict[str, Spread]:
    """Measure all entries, ``rounds`` times each in turn and in a new order each time.

    A turn is one call untimed (of several threads some, for a library may wake them only for more than one), which brings caches
    and threads into the state of this entry, and then so many calls as take ``at_least`` seconds: far less than the time slice for
    which another process may take the core, so that most turns are undisturbed and the median is of those.
    """
    for entry in entries.values():
        entry.seconds.clear()
        entry.inner = 1
        entry.ready()
        once = max(min(entry.timer.timeit(1) for _ in range(2)), 1e-7)
        if once < at_least / 20:  # one call is too short to be told apart from the clock
            once = max(entry.timer.timeit(50) / 50, 1e-8)
        entry.inner = max(1, round(at_least / once))
        entry.warm = WAKING_CALLS if entry.threads != 1 and once < SHORT else 1
    order, shuffler = list(entries.values()), random.Random(seed)
    for _ in range(rounds):
        shuffler.shuffle(order)
        for entry in order:
            entry.ready()
            entry.seconds.append(entry.timer.timeit(entry.inner) / entry.inner)
            if entry.threads != 1:
                time.sleep(SETTLE)
    return {name: spread(entry.seconds) for name, entry in entries.items()}


def spread(seconds: Sequence[float]) -> Spread:
    quarter = quantiles(seconds, n=4) if len(seconds) > 1 else [seconds[0]] * 3
    return Spread(median(seconds), quarter[2] - quarter[0], min(seconds))


@dataclass(frozen=True)
class Row:
    """One measurement: a peer at an operation, a dtype, a size, writing to ``out`` or allocating."""

    op: str
    dtype: str
    size: int
    peer: str
    mode: str
    threads: int
    """0: as many as the library likes."""
    ns: float
    """Nanoseconds an element, median."""
    ns_iqr: float
    copy_share: float
    """The time of np.copyto on the same two arrays over this time: 1 is the speed of memory, or of the cache."""
    ulp: float | None = None
    """The largest error in a sample of inputs, in ULP."""
    ulp_at: float | None = None
    clock: str = "wall"
    """"cpu": the time that the one computing thread had the core."""


def inputs(op: str, dtype: np.dtype[Any], size: int) -> Any:
    """What a network feeds it: logits of a normal distribution, or probabilities."""
    generator = np.random.default_rng(20261122)
    values = generator.random(size) if BY_NAME[op].domain == "unit" else generator.normal(0, 4, size)
    result = np.empty(size, dtype)
    result[:] = values
    return result


def accuracy(op: str, dtype: np.dtype[Any], peers: Sequence[Peer]) -> dict[str, tuple[float, float] | None]:
    """For each peer the largest error on the sample, and where."""
    fmt = FORMATS[dtype.name]
    x = sample(BY_NAME[op], fmt)
    found: dict[str, tuple[float, float] | None] = {}
    for peer in peers:
        with np.errstate(all="ignore"):
            got = peer.compute(op, x)
        found[peer.name] = None if got is None else worst(BY_NAME[op], x, got, fmt)
    return found


def cell(
    op: str,
    dtype: np.dtype[Any],
    size: int,
    peers: Sequence[Peer],
    *,
    modes: Sequence[str] = MODES,
    rounds: int = 21,
    at_least: float = 0.0005,
    errors: Mapping[str, tuple[float, float] | None] | None = None,
    cpu_time: bool = False,
) -> list[Row]:
    """All peers at one operation, dtype and size, in one round robin, with np.copyto of the same arrays among them."""
    x = inputs(op, dtype, size)
    out = np.zeros_like(x)
    # one copy timed by each clock that the peers are timed by
    entries = {f"copy {threads}": Timed(timer(lambda: np.copyto(out, x), cpu_time, threads)) for threads in {p.threads for p in peers}}
    measured: list[tuple[Peer, str, str]] = []
    with np.errstate(all="ignore"):
        for peer in peers:
            calls: Calls | None = peer.prepare(op, x, out)
            if calls is None:
                continue
            for mode in (mode for mode in modes if mode in peer.modes):
                call = calls.out if mode == "out" else calls.alloc
                if call is not None:
                    name = f"{peer.name} {mode}"
                    entries[name] = Timed(timer(call, cpu_time, peer.threads), calls.before, peer.threads)
                    measured.append((peer, mode, name))
        found = interleave(entries, rounds, at_least)
    rows = []
    for peer, mode, name in measured:
        error = (errors or {}).get(peer.name)
        per = 1e9 / size
        time_, copy = found[name], found[f"copy {peer.threads}"].median
        rows.append(
            Row(
                op, dtype.name, size, peer.name, mode, peer.threads, time_.median * per, time_.iqr * per, copy / time_.median,
                error[0] if error else None, error[1] if error else None, "cpu" if cpu_time and peer.threads == 1 else "wall",
            )
        )  # fmt: skip
    return rows
