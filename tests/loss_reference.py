"""The losses' defining formulas in mpmath, their derivatives by calculus, and errors in ULP."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np

FORMS = {"float32": (23, -126, 128), "float64": (52, -1022, 1024)}
"""Stored mantissa bits, exponents of the smallest normal number and of overflow."""


def ulps(got: Any, exact: Any, dtype: str, scale: Any = None) -> float:
    """|got - exact| in ULP of scale, or of the exact value; an infinity must be met where the exact value overflows."""
    mantissa, least, overflow = FORMS[dtype]
    if not np.isfinite(got):
        return 0.0 if got > 0 and exact >= mpmath.ldexp(1, overflow) else float("inf")
    scale = abs(exact) if scale is None else scale
    exponent = least if scale == 0 else max(int(mpmath.mag(scale)) - 1, least)
    return float(abs(mpmath.mpf(float(got)) - exact) / mpmath.ldexp(1, exponent - mantissa))


def _parts(x: float) -> tuple[Any, Any, Any, Any]:
    """log(1 + e^-x), log(1 + e^x), sigmoid(x), sigmoid(-x)."""
    e = mpmath.exp(-abs(mpmath.mpf(x)))
    small, big = mpmath.log1p(e), abs(mpmath.mpf(x)) + mpmath.log1p(e)
    lesser, greater = e / (1 + e), 1 / (1 + e)
    return (small, big, greater, lesser) if x >= 0 else (big, small, lesser, greater)


def smooth(t: float, s: float) -> tuple[Any, Any]:
    """The smoothed target, and one minus it."""
    t, s = mpmath.mpf(t), mpmath.mpf(s)
    return t * (1 - s) + s / 2, (1 - t) * (1 - s) + s / 2


def bce_logits(x: float, t: float, w: float = 1, p: float = 1, s: float = 0) -> tuple[Any, Any, Any]:
    """Loss, first and second derivative of weighted, smoothed cross-entropy."""
    hit, miss = smooth(t, s)
    hit *= mpmath.mpf(p)
    down, up, sigmoid, rest = _parts(x)
    w = mpmath.mpf(w)
    return w * (hit * down + miss * up), w * (miss * sigmoid - hit * rest), w * (hit + miss) * sigmoid * rest


def gradient_scale(x: float, t: float, w: float = 1, p: float = 1, s: float = 0) -> Any:
    """What a gradient that cancels is measured by: the greater of both sigmoid(x) and pos, whose difference it is."""
    hit, miss = smooth(t, s)
    hit *= mpmath.mpf(p)
    _, _, sigmoid, _ = _parts(x)
    return mpmath.mpf(w) * max((hit + miss) * sigmoid, hit)


def focal(x: float, t: float, alpha: float | None, gamma: float) -> tuple[Any, Any]:
    """Focal loss and its derivative; alpha None is no alpha."""
    t, g = mpmath.mpf(t), mpmath.mpf(gamma)
    down, up, sigmoid, rest = _parts(x)
    share = mpmath.mpf(1) if alpha is None else mpmath.mpf(alpha) * t + (1 - mpmath.mpf(alpha)) * (1 - t)
    miss = sigmoid * (1 - t) + rest * t
    loss = t * down + (1 - t) * up
    slope = (1 - 2 * t) * sigmoid * rest
    return share * miss**g * loss, share * (g * miss ** (g - 1) * slope * loss + miss**g * (sigmoid * (1 - t) - rest * t))


def focal_hessian(x: float, t: float, alpha: float | None, gamma: float) -> tuple[Any, Any]:
    """The focal loss's second derivative, by calculus from share m^gamma loss with m' = (1-2t) v, and the largest of the terms it is a
    sum of."""
    t, g = mpmath.mpf(t), mpmath.mpf(gamma)
    down, up, sigmoid, rest = _parts(x)
    share = mpmath.mpf(1) if alpha is None else mpmath.mpf(alpha) * t + (1 - mpmath.mpf(alpha)) * (1 - t)
    miss, v, c = sigmoid * (1 - t) + rest * t, sigmoid * rest, 1 - 2 * t
    loss = t * down + (1 - t) * up
    first = c * v
    terms = [
        g * (g - 1) * miss ** (g - 2) * first**2 * loss,
        g * miss ** (g - 1) * first * rest * loss,
        -g * miss ** (g - 1) * first * sigmoid * loss,
        2 * g * miss ** (g - 1) * first * (1 - t) * sigmoid,
        -2 * g * miss ** (g - 1) * first * t * rest,
        miss**g * v,
    ]
    return share * mpmath.fsum(terms), share * max(map(abs, terms))


def logits(dtype: str, count: int, seed: int = 0) -> Any:
    """Logits of every magnitude, of both signs, where something happens."""
    rng = np.random.default_rng(seed)
    top = 104.0 if dtype == "float32" else 745.0
    near = rng.normal(size=count) * 4
    far = rng.uniform(-top, top, size=count // 2)
    tiny = rng.choice([-1, 1], size=count // 4) * 10.0 ** rng.uniform(-40 if dtype == "float32" else -300, 0, size=count // 4)
    return np.concatenate([near, far, tiny, [0.0, -0.0, top, -top, 88.7, -88.7, 17.0, -17.0]]).astype(dtype)
