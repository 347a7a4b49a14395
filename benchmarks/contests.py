"""A case of a comparison: one contestant's times and its error in ULP, beside ours.

A group's contestants take turns in one process, as in ``python -m fastsig bench``, so that a slow moment hits all alike. The first case
of a group measures them all; each case then shows pytest-benchmark its own rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest

from fastsig.measure.formats import FORMATS
from fastsig.measure.timing import Timed, interleave, timer
from fastsig.measure.ulp import errors

ROUNDS, FEWEST, PATIENCE = 21, 5, 1.0
"""Fewer rounds where a group would take more than so many seconds, but not fewer than the second of these."""
Array = Any
Call = Callable[[], Any]
"""What is timed. It returns its results: an array, or several; a library's own kind of them is an array too."""


class Ready(NamedTuple):
    """A call that needs something before it, untimed, or more threads than one."""

    call: Call
    before: Call | None = None
    threads: int = 1


Contestants = Mapping[str, Callable[[], "Ready | Call | None"]]
"""By name what makes a call ready: ImportError where the library is not installed, None where it has no such operation. The first is
ours."""


class Exact(NamedTuple):
    """What a result should be, in a wider type."""

    value: Array
    scale: Array | None = None
    """The magnitude in whose ULP errors are counted; its own where there is none."""
    places: Array | None = None
    """Which elements these are; all where there are none."""


class Rounds:
    """A clock that pytest-benchmark reads twice a round: the two readings are as far apart as the round took when it was measured."""

    def __init__(self) -> None:
        self.seconds: Iterator[float] = iter(())
        self.started = False

    def __call__(self) -> float:
        self.started = not self.started
        return 0.0 if self.started else next(self.seconds)


CLOCK = Rounds()
CPU_TIME = False
"""--cpu-time sets it."""
_measured: dict[str, dict[str, list[float]]] = {}
"""Of the last group."""

comparison = pytest.mark.benchmark(timer=CLOCK)


def contest(benchmark: Any, group: str, contestants: Contestants, name: str, error: Callable[[str, Any], float | None]) -> None:
    """The case of this contestant; ``error`` is that of its results, by its name."""
    benchmark.group = group
    ours = next(iter(contestants))
    own, peer = _ready(contestants, ours), _ready(contestants, name)
    if isinstance(peer, str) or isinstance(own, str):
        pytest.skip(f"{name}: {peer if isinstance(peer, str) else own}")
    for ready, key in ((peer, name), (own, ours)):
        if ready.before:
            ready.before()
        benchmark.extra_info["ulp" if ready is peer else "ulp of fastsig"] = error(key, ready.call())
    if benchmark.disabled:
        benchmark(peer.call)
        return
    if group not in _measured:
        _measured.clear()
        _measured[group] = _take_turns(contestants)
    CLOCK.seconds = iter(seconds := _measured[group][name])
    benchmark.pedantic(_nothing, rounds=len(seconds))


def _nothing() -> None:
    """It was called when the group was measured."""


def _ready(contestants: Contestants, name: str) -> Ready | str:
    """Or why not."""
    try:
        made = contestants[name]()
    except ImportError as problem:
        return str(problem)
    return "no such operation" if made is None else made if isinstance(made, Ready) else Ready(made)


def _take_turns(contestants: Contestants) -> dict[str, list[float]]:
    entries = {
        name: Timed(timer(ready.call, CPU_TIME, ready.threads), ready.before, ready.threads)
        for name in contestants
        if not isinstance(ready := _ready(contestants, name), str)
    }
    once = sum(interleave(entries, 1)[name].median for name in entries)
    interleave(entries, max(FEWEST, min(ROUNDS, int(PATIENCE / (2 * once)))))
    return {name: entry.seconds for name, entry in entries.items()}


def largest_error(results: Any, dtype: str, exact: Sequence[Exact]) -> float:
    """In ULP over those results that are judged, as many as there are exact ones."""
    fmt, found = FORMATS[dtype], []
    for got, right in zip(results if isinstance(results, tuple) else (results,), exact, strict=False):
        flat, value = np.asarray(got, fmt.dtype).ravel(), np.atleast_1d(right.value).ravel()
        found.append(errors(value, flat if right.places is None else flat[right.places], fmt, right.scale).max())
    return float(np.max(found))


def wide(dtype: str, *arrays: Array) -> tuple[Array, ...]:
    """Arrays in the type that the references compute in."""
    return tuple(FORMATS[dtype].widened(array) for array in arrays)
