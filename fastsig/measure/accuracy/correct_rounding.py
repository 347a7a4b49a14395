"""Whether each result of ``fastsig.correctly_rounded`` is the float32 number nearest to the exact value, for all 2^32 inputs.

The reference is NumPy's float64 (``fastsig.measure.reference``), whose error is far below 2^-WINDOW_LOG2 of its value: its functions are
good to 4 units of 2^-53 each, and the longest of its formulas has three of them. Where all values that far from it round to one float32
number, that is the correct one. Where they do not, the exact value decides, by mpmath (``fastsig.measure.accuracy.exact``).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from fastsig.dispatch import availability
from fastsig.measure.accuracy import exact, exhaustive, sources
from fastsig.measure.accuracy.engines import Engine
from fastsig.measure.accuracy.exhaustive import BLOCK, CHUNKS, F32
from fastsig.measure.formats import Array
from fastsig.measure.reference import pair
from fastsig.ops import Op
from fastsig.system.cpu import available_cpus

WINDOW_LOG2 = 46
_BELOW, _ABOVE = 1 - 2.0**-WINDOW_LOG2, 1 + 2.0**-WINDOW_LOG2
TINY = 2.0**-100
"""Below it silu is x/2 and what no float64 number holds: a little more, which decides where half of x is a tie."""
SHOWN = 3

ORDER = {
    "sigmoid": (1, -1), "log_sigmoid": (1, -1), "softplus": (1, -1), "logit": (1, -1), "tanh": (1, -1),
    "sigmoid_grad": (-1, -1), "silu": (1, 0),
}  # fmt: skip
"""From each magnitude to the next, with either sign: whether results rise, fall, or may do both."""


@dataclass
class Checked:
    """What was found of one operation on one backend."""

    op: str
    backend: str
    count: int = 0
    decided: int = 0
    """by the exact value"""
    wrong: int = 0
    disorder: int = 0
    """neighbours in the wrong order"""
    seconds: float = 0.0
    sources: str = ""
    """a hash of the text and numbers that were checked"""
    examples: list[str] = field(default_factory=list)

    @property
    def failures(self) -> list[str]:
        found = [f"{self.wrong} results are not the nearest number"] if self.wrong else []
        return found + ([f"{self.disorder} neighbours are in the wrong order"] if self.disorder else []) + self.examples[:SHOWN]

    def merge(self, other: Checked) -> None:
        self.count += other.count
        self.decided += other.decided
        self.wrong += other.wrong
        self.disorder += other.disorder
        self.examples += other.examples

    def record(self) -> dict[str, Any]:
        return asdict(self)


def _bounds(op: Op, x: Array) -> Iterator[tuple[Array, Array]]:
    """At x and at -x, for x >= 0: the float32 numbers nearest to what is least and to what is greatest of the possible exact values."""
    wide = x.astype(np.float64)
    for sign, want in zip((1, -1), pair(op.name, wide), strict=True):
        least, greatest = want * _BELOW, want * _ABOVE
        if op.name == "silu" and wide.min() < TINY:
            tiny = (wide < TINY) & (wide > 0)
            above_half = np.nextafter(sign * wide / 2, np.inf)
            least, greatest = np.where(tiny, above_half, least), np.where(tiny, above_half, greatest)
        yield least.astype(np.float32), greatest.astype(np.float32)


def compare(op: Op, x: Array, bounds: tuple[Array, Array], got: Array, found: Checked) -> None:
    """Hold results against the bounds, and against the exact value where these differ."""
    least, greatest, bits = (y.view(np.uint32) for y in (*bounds, got))
    if np.array_equal(least, bits) and np.array_equal(greatest, bits):
        return
    nan = np.isnan(bounds[0])
    doubtful = (least != greatest) & ~nan
    nearest = bounds[0].copy()
    for i in np.flatnonzero(doubtful):
        nearest[i] = exact.rounded(op, F32, (float(x[i]),))
    found.decided += int(np.count_nonzero(doubtful))
    wrong = np.flatnonzero(np.where(nan, ~np.isnan(got), nearest.view(np.uint32) != bits))
    found.wrong += len(wrong)
    for i in wrong[: SHOWN - len(found.examples)]:
        found.examples.append(f"{op.name}({float(x[i]).hex()}) is {float(got[i]).hex()}, not {float(nearest[i]).hex()}")


def _disorder(got: Array, direction: int) -> int:
    after, before = got[1:], got[:-1]
    return int(np.count_nonzero(after < before if direction > 0 else after > before)) if direction else 0


def _chunk(op: Op, ufunc: np.ufunc, index: int, part: int | None) -> Checked:
    found = Checked(op.name, "")
    with np.errstate(all="ignore"):
        for start in exhaustive.starts(index, part):
            first = max(start - 1, 0)  # with the block's left neighbour
            x = np.arange(first, start + BLOCK, dtype=np.uint32).view(np.float32)
            for signed, bounds, direction in zip((x, -x), _bounds(op, x), ORDER[op.name], strict=True):
                got = ufunc(signed)
                compare(op, signed, bounds, got, found)
                found.disorder += _disorder(got, direction)
            found.count += 2 * BLOCK
    return found


def check(op: Op, engine: Engine, part: int | None = None, advance: Callable[[int], None] = lambda chunks: None) -> Checked:
    """All 2^32 inputs of an operation, or one slice of them; ``advance`` hears of finished chunks."""
    began = time.perf_counter()
    engine.activate()
    ufunc = availability.rounded_ufunc_of(engine.backend, op.name)
    total = Checked(op.name, engine.name, sources=sources.here().rounded_hash())
    stop = threading.Event()

    def work(index: int) -> Checked:
        return Checked(op.name, "") if stop.is_set() else _chunk(op, ufunc, index, part)

    with ThreadPoolExecutor(available_cpus()) as pool:
        try:
            for found in pool.map(work, range(CHUNKS)):
                total.merge(found)
                advance(1)
        finally:
            stop.set()
    total.seconds = round(time.perf_counter() - began, 1)
    return total


def check_all(ops: Sequence[Op], engine: Engine, part: int | None, bar: Any) -> list[Checked]:
    done = []
    for op in ops:
        bar.begin(CHUNKS, f"correctly_rounded.{op.name} {engine.name}")
        done.append(check(op, engine, part, bar.advance))
    return done
