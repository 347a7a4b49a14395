"""Climbing towards the worst inputs: from the worst of a sample, to neighbours in the bits, keeping the best."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
from rich.console import Console
from rich.progress import track

from fastsig.measure.accuracy import inputs, sampled
from fastsig.measure.accuracy.engines import Engine
from fastsig.measure.accuracy.engines import run as compute
from fastsig.measure.accuracy.result import Result
from fastsig.measure.formats import FORMATS, Array, Format
from fastsig.measure.ulp import errors
from fastsig.ops import BY_NAME, Op

POPULATION = 2048
CHILDREN = 16
FRESH = 1 << 15
"""new random inputs a generation, so that it does not stay on one hill"""
SETTLED = 64
"""of the worst by the wide reference, measured again in mpmath"""
KEPT = 8


def _scores(op: Op, fmt: Format, engine: Engine, columns: tuple[Array, ...]) -> Array:
    got = compute(engine.ufunc(op.name, fmt), *columns)
    y, size = sampled.reference(op, fmt, columns)
    with np.errstate(all="ignore"):
        return np.nan_to_num(errors(y, got, fmt, size), nan=-1.0, posinf=-1.0).astype(np.float64)


def _fresh(op: Op, fmt: Format, kind: str, seed: int) -> tuple[Array, ...]:
    x = inputs.sample(op, fmt, FRESH, seed)
    return (x,) if op.nin == 1 else (x, inputs.targets(fmt, kind, len(x), seed))


def moved(bits: Array, fmt: Format, random: np.random.Generator) -> Array:
    """Steps of every size to both sides, and here and there another bit."""
    count = len(bits)
    step = random.integers(1, 1 << 16, count, dtype=np.uint64) >> random.integers(0, 16, count, dtype=np.uint64)
    step <<= random.integers(0, fmt.mantissa - 8, count, dtype=np.uint64)
    moved = np.where(random.random(count) < 0.5, bits.astype(np.uint64) - step, bits.astype(np.uint64) + step)
    flipped = random.random(count) < 0.1
    moved[flipped] ^= np.uint64(1) << random.integers(0, fmt.mantissa, int(flipped.sum()), dtype=np.uint64)
    return (moved & np.uint64(2 * fmt.sign - 1)).astype(fmt.integer)


def _children(parents: tuple[Array, ...], fmt: Format, kind: str, random: np.random.Generator) -> tuple[Array, ...]:
    """Neighbours in the input; with soft targets in either argument or in both; hard targets change sides now and then."""
    columns = [np.repeat(fmt.bits(p), CHILDREN) for p in parents]
    if not kind:
        return (fmt.values(moved(columns[0], fmt, random)),)
    x, t = columns
    one = int(fmt.bits(np.ones(1, fmt.dtype))[0])
    which = random.random(len(x))
    if kind == "hard":
        return fmt.values(moved(x, fmt, random)), fmt.values(np.where(which < 0.1, one - t, t).astype(fmt.integer))
    new_t = np.clip(moved(t, fmt, random), 1, one - 1).astype(fmt.integer)
    return fmt.values(np.where(which < 0.6, moved(x, fmt, random), x)), fmt.values(np.where(which > 0.4, new_t, t))


def climb(op: Op, fmt: Format, kind: str, engine: Engine, seconds: float, seed: int = 0) -> tuple[tuple[Array, ...], Array]:
    """The worst inputs found, worst first, and their errors by the wide reference."""
    random = np.random.default_rng(seed)
    population = _fresh(op, fmt, kind, seed)
    score = _scores(op, fmt, engine, population)
    until = time.monotonic() + seconds
    while True:
        seed += 1
        best = np.argsort(score)[::-1][:POPULATION]
        population, score = tuple(c[best] for c in population), score[best]
        if time.monotonic() >= until:
            return population, score
        parts = zip(_children(population, fmt, kind, random), _fresh(op, fmt, kind, seed), strict=True)
        new = tuple(np.concatenate(part) for part in parts)
        score = np.concatenate([score, _scores(op, fmt, engine, new)])
        joined = np.stack([fmt.bits(np.concatenate(part)) for part in zip(population, new, strict=True)])
        _, first = np.unique(joined, axis=1, return_index=True)
        population, score = tuple(fmt.values(row[first]) for row in joined), score[first]


def rows_of(ops: list[Op], formats: list[Format]) -> list[tuple[str, str, str]]:
    """What is too large to be looked at exhaustively: float64, and two float32 arguments."""
    unary = [(op.name, f.name, "") for op in ops for f in formats if op.nin == 1 and f.width == 64]
    kinds = [(f.name, kind) for f in formats for kind in ("hard", "soft") if f.width == 64 or (f.width == 32 and kind == "soft")]
    return unary + [(op.name, *row) for op in ops for row in kinds if op.nin > 1]


def run(
    rows: list[tuple[str, str, str]], engine: Engine, seconds: float, console: Console, results: list[Result]
) -> Iterator[tuple[tuple[str, str, str], list[list[int]]]]:
    """The worst inputs of each row, as bits, worst first. Results that are not as bad are brought up to date."""
    engine.activate()
    for row in track(rows, "searching", console=console, transient=True):
        op, fmt, kind = BY_NAME[row[0]], FORMATS[row[1]], row[2]
        columns, _ = climb(op, fmt, kind, engine, seconds)
        few = tuple(c[:SETTLED] for c in columns)
        got = fmt.bits(compute(engine.ufunc(op.name, fmt), *few)).tolist()
        at = list(zip(*(fmt.bits(c).tolist() for c in few), strict=True))
        exactly = sorted(((sampled.precise(op, fmt, a, g, kind), a, g) for a, g in zip(at, got, strict=True)), reverse=True)
        worst, where, result = exactly[0]
        for r in results:
            if r.key == row and r.raise_to(worst, list(where), result):
                sampled.judge(op, fmt, r)
        place = ", ".join(fmt.text(b).split(" ")[0] for b in where)
        console.print(f"{op.name} {fmt.name} {kind}: {worst:.4f} ULP at {place} after {seconds:g} s of climbing", highlight=False)
        yield row, [list(a) for _, a, _ in exactly[:KEPT]]
