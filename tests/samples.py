"""Where the operations are tested: numbers stepped through bit by bit, and the cliffs where a formula, a type or a limit ends."""

from __future__ import annotations

from functools import cache
from math import inf, log, nan
from typing import Any

import numpy as np

from fastsig.ops import BY_NAME, Op

Array = np.ndarray[Any, Any]
DTYPES = ("float32", "float64")
TARGETS = (0.0, 1.0, 0.5, 0.25, 0.1, 0.9, 1e-3, 1e-30, 1 - 2.0**-20)

CLIFFS = [k * log(2) for k in (0.5, 1, 1.5, 2, 3, 10, 24, 52, 64, 100.5, 126.5, 149, 200)] + [
    1.0, 1.2784645427610738, 17.0, 37.0, 88.0, 88.7, 88.73, 102.9, 103.97, 104.0, 109.0, 708.4, 709.0, 709.8, 744.44, 745.0, 745.2, 752.0,
]  # fmt: skip
"""Of either sign, each with its neighbours: where the exponent n changes, and where one type's tail or range ends."""


def _neighbours(values: Array) -> Array:
    dtype = values.dtype.type
    with np.errstate(all="ignore"):
        return np.concatenate([values, np.nextafter(values, dtype(inf)), np.nextafter(values, dtype(-inf))])


@cache
def cliffs(dtype: str) -> Array:
    """Finite cliffs of the real line, and the ends of the type."""
    info = np.finfo(dtype)
    ends = [0.0, info.smallest_subnormal, 3 * info.smallest_subnormal, info.smallest_normal / 2, info.smallest_normal, info.eps, info.max]
    positive = np.array([*CLIFFS, *ends, 0.5], dtype)
    values = _neighbours(np.concatenate([positive, -positive]))
    return np.unique(values[np.isfinite(values)])


@cache
def unit_cliffs(dtype: str) -> Array:
    """Finite cliffs of [0, 1]: the ends, the middle, and where a power of two is nearest to p/(1-p) or to 1-p."""
    info = np.finfo(dtype)
    near_0 = [0.0, info.smallest_subnormal, 3 * info.smallest_subnormal, info.smallest_normal, info.eps, 1e-3, 0.25, 1 / 3, 0.5]
    middle = [0.41421356, 0.585786, 0.70710678, 0.66666667, 0.8, 0.9, 0.999]
    values = _neighbours(np.array([*near_0, *middle, 1.0], dtype))
    values = np.concatenate([values, 1 - values])
    return np.unique(values[(values >= 0) & (values <= 1)])


@cache
def bit_stepped(dtype: str, count: int, domain: str) -> Array:
    """So many finite numbers, evenly spaced in bit pattern; half of them where the operation is neither 0, 1 nor x."""
    real = np.dtype(dtype)
    integer = np.dtype(f"u{real.itemsize}")
    if domain == "unit":
        whole = lively = real.type(1)
    else:
        whole, lively = np.finfo(real).max, real.type(1.07 * -np.log(np.finfo(real).smallest_subnormal))
    least = real.type(2.0**-40)

    def between(low: Any, high: Any, n: int) -> Array:
        ends = np.array([low, high]).view(integer)
        return np.linspace(int(ends[0]), int(ends[1]), n).astype(integer).view(real)

    positive = np.concatenate([between(real.type(0), whole, count // 2), between(least, lively, count - count // 2)])
    if domain == "unit":
        return np.unique(np.concatenate([positive, 1 - positive[positive > 0.5 * least]]))
    positive = positive[np.isfinite(positive)]
    return np.unique(np.concatenate([positive, -positive]))


@cache
def inputs(name: str, dtype: str, count: int) -> tuple[Array, ...]:
    """Finite inputs of an operation: bit-stepped ones, and every cliff; with each of the cliffs a target of 0, of 1 and between."""
    op = BY_NAME[name]
    edge = unit_cliffs(dtype) if op.domain == "unit" else cliffs(dtype)
    x = bit_stepped(dtype, count, op.domain)
    if op.nin == 1:
        return (np.unique(np.concatenate([edge, x])),)
    targets = np.array(TARGETS, dtype)
    soft = targets[2:][np.arange(edge.size) % (targets.size - 2)]
    cycle = targets[np.arange(x.size) % targets.size]
    return np.concatenate([edge, edge, edge, x]), np.concatenate([0 * soft, 0 * soft + 1, soft, cycle])


def anything(op: Op, dtype: Any, size: int, seed: int = 0) -> tuple[Array, ...]:
    """Reproducible inputs of any dtype for tests of bits: all magnitudes, with cliffs, infinities and NaN strewn in."""
    random = np.random.default_rng(seed)
    edge = unit_cliffs("float32") if op.domain == "unit" else np.concatenate([cliffs("float32"), [inf, -inf]])
    edge = np.concatenate([edge, [nan, 0.0, -0.0]])
    if op.domain == "unit":
        x = np.where(random.random(size) < 0.5, random.random(size), 10.0 ** random.uniform(-45, 0, size))
    else:
        x = np.where(random.random(size) < 0.5, random.uniform(-20, 20, size), random.uniform(-800, 800, size))
    x = np.where(random.random(size) < 0.2, random.choice(edge, size), x)
    t = np.where(random.random(size) < 0.3, random.choice([0.0, 1.0, nan, 0.5], size), random.random(size))
    with np.errstate(all="ignore"):
        return tuple(a.astype(dtype) for a in (x, t)[: op.nin])
