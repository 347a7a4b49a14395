"""The error of each peer beside its speed: max ULP over a few thousand inputs, against a wider type.

A sample, for comparison between libraries; the published numbers of fastsig are over all inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fastsig.ops import BY_NAME

_FORMAT = {"float16": (11, -14, 18.0), "bfloat16": (8, -126, 94.0), "float32": (24, -126, 105.0), "float64": (53, -1022, 746.0)}
"""Bits of the significand, exponent of the smallest normal, and where the exponential tail has left the subnormals."""


def sample(op: str, dtype: np.dtype[Any], count: int = 1 << 14) -> Any:
    """Half of the inputs evenly spaced over the domain and its tails, half evenly spread over the magnitudes, both signs."""
    bits, least, end = _FORMAT[dtype.name]
    half = count // 2
    if BY_NAME[op].domain == "unit":
        top, even = 0.0, np.linspace(0, 1, half + 2)[1:-1]
        spread = np.exp2(np.linspace(least - bits + 1, top - 1, half))
        values = np.concatenate([even, spread])
        values = values[(values.astype(dtype) > 0) & (values.astype(dtype) < 1)]
    else:
        even = np.linspace(-end, end, half)
        spread = np.exp2(np.linspace(-bits - 8, np.log2(end), half // 2))
        values = np.concatenate([even, spread, -spread])
    result = np.empty(count, dtype)
    result[:] = np.resize(values.astype(dtype), count)
    return result


def exact(op: str, x: Any) -> Any | None:
    """The operation in float64, or for float64 in longdouble, without cancellation; None where that is no wider (not x86)."""
    wide = np.longdouble if x.dtype == np.float64 else np.float64
    if x.dtype == np.float64 and np.finfo(np.longdouble).nmant < 63:
        return None
    x = x.astype(wide)
    if op == "logit":
        near = np.abs(x - 0.5) < 0.25
        return np.where(near, 2 * np.arctanh(np.where(near, 2 * x - 1, 0)), np.log(x) - np.log1p(-x))
    z = np.exp(-np.abs(x))
    up, s = x >= 0, np.where(x >= 0, 1, z) / (1 + z)
    formulas: dict[str, Callable[[], Any]] = {
        "sigmoid": lambda: s,
        "sigmoid_grad": lambda: z / (1 + z) ** 2,
        "log_sigmoid": lambda: np.where(up, 0, x) - np.log1p(z),
        "softplus": lambda: np.where(up, x, 0) + np.log1p(z),
        "silu": lambda: x * s,
        "silu_grad": lambda: s * (1 + x * np.where(up, z, 1) / (1 + z)),
    }
    return formulas[op]()


def errors(op: str, got: Any, expected: Any) -> Any:
    """|got - expected| in units of the last place of the expected value, which below the normals is that of the subnormals."""
    bits, least, _ = _FORMAT[got.dtype.name]
    wide = got.astype(expected.dtype)
    scale = np.maximum(np.abs(expected), BY_NAME[op].scale_floor)
    exponent = np.maximum(np.frexp(scale)[1] - 1, least)
    # in two steps: 2^-(least - bits + 1) of float64 is beyond float64, though not beyond longdouble
    error = np.ldexp(np.abs(wide - expected), -exponent) * expected.dtype.type(2.0 ** (bits - 1))
    return np.where(wide == expected, 0, np.where(np.isfinite(wide), error, np.inf))


def worst(op: str, x: Any, got: Any) -> tuple[float, float] | None:
    """The largest error in ULP among these results, and the input it is at."""
    with np.errstate(all="ignore"):
        expected = exact(op, x)
        if expected is None:
            return None
        error = errors(op, got, expected)
    at = int(np.argmax(error))
    return float(error[at]), float(x[at])
