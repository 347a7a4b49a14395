"""Climbing towards the worst float64 inputs: from the worst of a sample, to neighbours in the bits, keeping the best."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from rich.console import Console

from ..ops import Op
from . import inputs, sampled
from .engines import Engine
from .engines import run as compute
from .formats import FORMATS, Array, Format
from .ulp import errors

POPULATION = 2048
CHILDREN = 16
FRESH = 1 << 15
"""new random inputs a generation, so that it does not stay on one hill"""


def _scores(op: Op, fmt: Format, engine: Engine, x: Array) -> Array:
    got = compute(engine.ufunc(op.name, fmt), x)
    y, size = sampled.reference(op, fmt, (x,))
    with np.errstate(all="ignore"):
        return np.nan_to_num(errors(y, got, fmt, size), nan=-1.0, posinf=-1.0).astype(np.float64)


def climb(op: Op, fmt: Format, engine: Engine, seconds: float, seed: int = 0) -> tuple[Array, Array]:
    """The worst inputs found, worst first, and their errors by the wide reference."""
    random = np.random.default_rng(seed)
    x = inputs.sample(op, fmt, FRESH, seed)
    score = _scores(op, fmt, engine, x)
    until = time.monotonic() + seconds
    generation = 0
    while time.monotonic() < until:
        generation += 1
        parents = fmt.bits(x[np.argsort(score)[-POPULATION:]])
        children = np.repeat(parents, CHILDREN)
        step = random.integers(1, 1 << 16, len(children), dtype=np.uint64) >> random.integers(0, 16, len(children), dtype=np.uint64)
        step <<= random.integers(0, 44, len(children), dtype=np.uint64)
        back = random.random(len(children)) < 0.5
        children = np.where(back, children - step, children + step)
        flipped = random.random(len(children)) < 0.1
        children[flipped] ^= np.uint64(1) << random.integers(0, fmt.mantissa, int(flipped.sum()), dtype=np.uint64)
        new = np.concatenate([fmt.values(children), inputs.sample(op, fmt, FRESH, seed + generation)])
        x, first = np.unique(np.concatenate([x, new]), return_index=True)
        score = np.concatenate([score, _scores(op, fmt, engine, new)])[first]
        best = np.argsort(score)[-POPULATION:]
        x, score = x[best], score[best]
    order = np.argsort(score)[::-1]
    return x[order], score[order]


def run(ops: list[Op], engine: Engine, seconds: float, console: Console) -> dict[str, Any]:
    """Worst float64 inputs of the unary operations, as bits; op -> dtype -> bits."""
    fmt = FORMATS["float64"]
    found: dict[str, Any] = {}
    engine.activate()
    for op in ops:
        if op.nin > 1:
            continue
        x, _ = climb(op, fmt, engine, seconds)
        few = x[:64]
        got = fmt.bits(compute(engine.ufunc(op.name, fmt), few))
        exactly = sorted(((sampled.precise(op, fmt, (int(b),), int(g)), int(b)) for b, g in zip(fmt.bits(few), got)), reverse=True)
        found[op.name] = {"float64": [b for _, b in exactly[:8]]}
        console.print(f"{op.name}: {exactly[0][0]:.4f} ULP at {fmt.text(exactly[0][1])} after {seconds:g} s of climbing", highlight=False)
    return found
