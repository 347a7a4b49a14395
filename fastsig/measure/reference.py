"""The reference: each operation in a wider type through the C library's exp, expm1, log and log1p. No code of the kernels.

float64 serves for float32 and the 16-bit formats, longdouble for float64. Each form below is free of cancellation, so its
relative error is a few units of the wide type (``exact.verify`` compares with mpmath in every run).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fastsig.measure.formats import Array

ROOT = float.fromhex("0x1.474973c84120bp+0")  # the root of 1 + e^-a = a, minus the zero of silu_grad, in three parts
ROOT_LO = (float.fromhex("0x1.f8d74bc9ac154p-54"), float.fromhex("0x1.44a50180ba780p-108"))  # mpmath.findroot at 300 bits


def _cap(a: Array) -> float:
    """Beyond this magnitude every exponential is 0 in every narrow format, and still a normal number in the wide one."""
    return 700.0 if a.dtype == np.float64 else 11000.0


def pair(name: str, a: Array) -> tuple[Array, Array]:
    """The operation at a and at -a, for a >= 0 in the wide type; both share one exponential."""
    if name == "logit":
        below = np.full_like(a, np.nan)
        below[a == 0] = -np.inf
        return (_logit(a) if (a <= 1).any() else np.full_like(a, np.nan)), below
    if name == "tanh":
        y = np.tanh(a)
        return y, -y
    if name == "tanh_grad":
        upper, _ = pair("sigmoid_grad", 2 * a)
        return 4 * upper, 4 * upper
    b = np.minimum(a, _cap(a))
    z = np.exp(-b)
    if name in ("softplus", "log_sigmoid"):
        small = np.log1p(z)
        large = a + small
        return (large, small) if name == "softplus" else (-small, -large)
    d = 1 + z
    if name == "sigmoid":
        return 1 / d, z / d
    if name == "silu":
        return a / d, -(b * z) / d
    scale = 1 / (d * d)
    if name == "sigmoid_grad":
        scale *= z
        return scale, scale
    if name == "silu_grad":
        return (d + b * z) * scale, _falling(b, z) * scale
    raise KeyError(name)


def _falling(b: Array, z: Array) -> Array:
    """z (1 + z - b): near the root, 1 + z - b = z0 expm1(-e) - e with e = b - root, two terms of one sign."""
    y = 1 + z - b
    near = np.abs(y) < 0.5
    if near.any():
        real = b.dtype.type
        e = b[near] - real(ROOT)
        for part in ROOT_LO:
            e = e - real(part)
        z0 = real(ROOT) - 1 + real(ROOT_LO[0]) + real(ROOT_LO[1])
        y[near] = z0 * np.expm1(-e) - e
    return y * z


def _logit(p: Array) -> Array:
    """log(m/(1-m)) with its sign, m = min(p, 1-p); 2 atanh(2m-1) towards the middle."""
    m = np.minimum(p, 1 - p)
    middle = m >= 0.25
    y = np.empty_like(p)
    if not middle.all():
        y = np.log(m) - np.log1p(-m)
    if middle.any():
        y[middle] = 2 * np.arctanh(2 * m[middle] - 1)
    return np.where(p > 0.5, -y, y)


def hard(name: str, a: Array) -> tuple[Array, Array, Array, Array]:
    """A two-argument operation at (a, 0), (-a, 0), (a, 1) and (-a, 1), for a >= 0 in the wide type."""
    if name == "bce_with_logits":
        large, small = pair("softplus", a)
        return large, small, small, large
    if name == "bce_with_logits_grad":
        large, small = pair("sigmoid", a)
        return large, small, -small, -large
    p = np.where(a <= 1, a, np.nan)
    below = np.where(a == 0, a, np.nan)  # -0 is the probability 0
    if name == "bce":
        return -np.log1p(-p), -np.log1p(-below), -np.log(p), -np.log(below)
    if name == "bce_grad":
        return 1 / (1 - p), 1 / (1 - below), -1 / p, -1 / below
    raise KeyError(name)


def unary(name: str, x: Array) -> Array:
    """The operation at any x of the wide type."""
    upper, lower = pair(name, np.abs(x))
    return np.where(np.signbit(x), lower, upper)


def binary(name: str, x: Array, t: Array) -> tuple[Array, Any]:
    """The operation at (x, t) in the wide type, and the magnitude whose last place counts (None: the result's own)."""
    if name == "bce_with_logits":
        u = np.where(x >= 0, 1 - t, t)
        with np.errstate(invalid="ignore"):
            linear = np.where(u == 0, 0 * t, np.abs(x) * u)
        return linear + np.where(x > 0, unary("softplus", -x), unary("softplus", x)), None
    if name == "bce_with_logits_grad":
        s = unary("sigmoid", x)
        y = np.where(t == 0, s, np.where(t == 1, -unary("sigmoid", -x), s - t))
        return y, np.where((t == 0) | (t == 1), np.abs(y), np.maximum(s, t))
    p = np.where((x >= 0) & (x <= 1), np.abs(x), np.nan)  # -0 is the probability 0
    if name == "bce":
        hit = np.where(t == 0, 0 * p, -t * np.log(p))
        miss = np.where(t == 1, 0 * p, -(1 - t) * np.log1p(-p))
        return hit + miss, None
    if name == "bce_grad":
        return np.where(t == 0, 1 / (1 - p), np.where(t == 1, -1 / p, (p - t) / (p * (1 - p)))), None
    raise KeyError(name)
