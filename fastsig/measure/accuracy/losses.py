"""What is promised of the losses beside the operations of ``ops``: each with its exact value, the bound, and how it is called.

A loss is a group of results of the same inputs: the value, the gradient and the hessian. Like the other references these share no code with
the kernels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import mpmath  # type: ignore[import-untyped, unused-ignore]
import numpy as np

import fastsig as fs
from fastsig.measure.formats import Array, Format

OUTPUTS = ("loss", "gradient", "hessian")
BITS = 240
"""of mpmath, for forms without cancellation"""


@dataclass(frozen=True)
class Loss:
    """A loss with its options; its inputs are logits (or probabilities) and targets, then weights and positive weights if it has them."""

    name: str
    weight: bool = False
    pos_weight: bool = False
    smoothing: float = 0.0
    gamma: float | None = None
    """of the focal loss; None for cross-entropy"""
    probabilities: bool = False

    @property
    def nin(self) -> int:
        return 2 + self.weight + self.pos_weight

    @property
    def outputs(self) -> tuple[str, ...]:
        return OUTPUTS[:1] if self.probabilities else OUTPUTS

    @property
    def exhaustive(self) -> bool:
        """Whether a logit alone decides, the target being 0 or 1."""
        return not (self.options or self.probabilities) and (self.gamma is None or self.gamma == int(self.gamma))

    @property
    def options(self) -> int:
        return self.weight + self.pos_weight + (self.smoothing > 0)

    def op(self, output: str) -> str:
        """The name of a result on record."""
        return f"{self.name}: {output}"

    def ceiling(self, output: str, kind: str) -> float:
        if self.gamma is not None:
            return _focal_ceiling(self.gamma, output, kind)
        if self.probabilities:
            return 5.0
        sums = kind == "soft" or (self.smoothing > 0 and self.pos_weight)  # two terms that are rounded, and what they add up to
        if output == "hessian":
            return 2.0 + (self.options and 0.25 + self.options + 1.25 * (sums and self.pos_weight))
        return (3.0 if kind == "soft" else 2.5) + self.options if not (sums and self.options) else 4.0 + self.options

    def compute(self, columns: tuple[Array, ...], backend: str) -> tuple[Array, ...]:
        """The results, by the public functions."""
        x, t, *rest = columns
        options: dict[str, Any] = {"backend": backend, "threads": 1}
        options |= {"weight": rest[0]} if self.weight else {}
        options |= {"pos_weight": rest[-1]} if self.pos_weight else {}
        if self.probabilities:
            return (fs.bce(x, t, reduction="none", **options),)
        if self.gamma is not None:
            value, grad = fs.sigmoid_focal_loss_value_and_grad(x, t, gamma=self.gamma, reduction="none", **options)
            return value, grad, fs.sigmoid_focal_loss_grad_hess(x, t, gamma=self.gamma, **options)[1]
        options["label_smoothing"] = self.smoothing
        value, grad = fs.bce_with_logits_value_and_grad(x, t, reduction="none", **options)
        return value, grad, fs.bce_with_logits_grad_hess(x, t, **options)[1]

    def reference(self, columns: tuple[Array, ...], parts: tuple[Any, Any, Any, Any] | None = None) -> list[tuple[Array, Any]]:
        """In a wide type each result and the magnitude in whose ULP it counts, where that is not its own."""
        x, t, *rest = columns
        w = rest[0] if self.weight else 1
        p = rest[-1] if self.pos_weight else 1
        if self.probabilities:
            return [(w * _of_probability(np, x, t, np.where), None)]
        four = parts or sides(x)
        if self.gamma is not None:
            values, scale = _focal(*four, t, x.dtype.type(self.gamma), np.where)
            return [(values[0], None), (values[1], None if _all_hard(t) else scale[0]), (values[2], scale[1])]
        values, scale = _cross_entropy(*four, t, w, p, x.dtype.type(self.smoothing), np.where)
        cancels = bool(self.smoothing) or not _all_hard(t)
        return [(values[0], None), (values[1], scale if cancels else None), (values[2], None)]

    def exact(self, args: tuple[float, ...], output: str) -> tuple[Any, Any]:
        """The same of one input in mpmath; call it with ``BITS`` bits."""
        x, t, *rest = map(mpmath.mpf, args)
        w = rest[0] if self.weight else mpmath.mpf(1)
        p = rest[-1] if self.pos_weight else mpmath.mpf(1)
        i = OUTPUTS.index(output)
        if self.probabilities:
            return w * _of_probability(mpmath.mp, x, t, _choice), None
        z, a = mpmath.exp(-abs(x)), abs(x)
        small = mpmath.log1p(z)
        four = (small, a + small, 1 / (1 + z), z / (1 + z)) if x >= 0 else (a + small, small, z / (1 + z), 1 / (1 + z))
        if self.gamma is not None:
            values, scale = _focal(*four, t, mpmath.mpf(self.gamma), _choice)
            return values[i], (None, None if t in (0, 1) else scale[0], scale[1])[i]
        values, largest = _cross_entropy(*four, t, w, p, mpmath.mpf(self.smoothing), _choice)
        return values[i], largest if i == 1 and (self.smoothing or t not in (0, 1)) else None


def _choice(condition: Any, a: Any, b: Any) -> Any:
    return a if condition else b


def _all_hard(t: Any) -> bool:
    return bool(((t == 0) | (t == 1)).all())


def sides(x: Array) -> tuple[Any, Any, Any, Any]:
    """log(1 + e^-x), log(1 + e^x), sigmoid(x), sigmoid(-x)."""
    a = np.abs(x)
    z = np.exp(-np.minimum(a, 700.0 if x.dtype == np.float64 else 11000.0))
    small, lesser, greater = np.log1p(z), z / (1 + z), 1 / (1 + z)
    up = x >= 0
    return np.where(up, small, a + small), np.where(up, a + small, small), np.where(up, greater, lesser), np.where(up, lesser, greater)


def _times(c: Any, v: Any, where: Callable[..., Any]) -> Any:
    """c v, where 0 times infinity is 0."""
    return where(c == 0, 0 * c, c * v)


def _cross_entropy(down: Any, up: Any, s: Any, r: Any, t: Any, w: Any, p: Any, e: Any, where: Callable[..., Any]) -> tuple[Any, Any]:
    hit, miss = w * p * (t * (1 - e) + e / 2), w * ((1 - t) * (1 - e) + e / 2)
    through = (hit + miss) * s
    larger = where(through >= hit, through, hit)
    return (_times(hit, down, where) + _times(miss, up, where), miss * s - hit * r, (hit + miss) * s * r), larger


def _of_probability(mp: Any, q: Any, t: Any, where: Callable[..., Any]) -> Any:
    hit = where(t == 0, 0 * t, t)
    miss = where(t == 1, 0 * t, 1 - t)
    return _times(hit, -mp.log(where(t == 0, 1 + 0 * q, q)), where) + _times(miss, -mp.log1p(-where(t == 1, 0 * q, q)), where)


def _focal(down: Any, up: Any, s: Any, r: Any, t: Any, g: Any, where: Callable[..., Any]) -> tuple[Any, Any]:
    """With alpha 1/4: value, first and second derivative, and of both the larger or largest of the terms that they are sums of."""
    share = where(t == 0, 0 * t + 3, where(t == 1, 0 * t + 1, t + 3 * (1 - t))) / 4
    m = where(t == 0, s, where(t == 1, r, s * (1 - t) + r * t))
    loss = _times(t, down, where) + _times(1 - t, up, where)
    n = where(t == 0, r, where(t == 1, s, s * r / m))
    c = 1 - 2 * t
    power = share * m**g
    finite = where(loss < loss + 1, loss, 0 * t)
    straight = where(t == 0, s, where(t == 1, -r, s * (1 - t) - r * t))
    bent = g * c * n * finite
    turned = 2 * g * c * n
    terms = (g * (g - 1) * c * c * n * n * finite, bent * r, -bent * s, turned * (1 - t) * s, -turned * t * r, s * r + 0 * t)
    largest = 0 * t
    for term in terms:
        largest = where(abs(term) > largest, abs(term), largest)
    larger = where(abs(bent) > s, abs(bent), where(s > t, s, t))
    return (_times(power, loss, where), power * (bent + straight), power * sum(terms)), (power * larger, power * largest)


GAMMAS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 3.7, 20.3)


def _focal_ceiling(gamma: float, output: str, kind: str) -> float:
    if kind == "soft":
        return 7 + 5 * gamma
    if output == "hessian":
        return 6 + 2 * gamma
    return {0.0: 4.0, 1.0: 4.0, 2.0: 4.0, 3.0: 4.5}.get(gamma, 4 + 2 * gamma)


LOSSES: tuple[Loss, ...] = (
    Loss("cross-entropy"),
    Loss("cross-entropy, weight", weight=True),
    Loss("cross-entropy, pos_weight", pos_weight=True),
    Loss("cross-entropy, label_smoothing", smoothing=0.1),
    Loss("cross-entropy, all three", weight=True, pos_weight=True, smoothing=0.3),
    Loss("bce of probabilities, weight", weight=True, probabilities=True),
    *(Loss(f"focal, gamma {gamma:g}", gamma=gamma) for gamma in GAMMAS),
)
SUMS = ("sum", "mean")
"""Reductions; rounded once."""
SUM_CEILING = 0.5001
ROWS = {loss.op(output): (loss, output) for loss in LOSSES for output in loss.outputs}


def ceiling(op: str, kind: str) -> float:
    if op in ROWS:
        loss, output = ROWS[op]
        return loss.ceiling(output, kind)
    return SUM_CEILING


def names() -> list[str]:
    """Of all results, in the order of the document."""
    return [*ROWS, *(f"cross-entropy: {how}" for how in SUMS)]


def exact_error(loss: Loss, output: str, fmt: Format, args: tuple[float, ...], got: float) -> float:
    """|got - exact| in ULP."""
    with mpmath.workprec(BITS):
        y, scale = loss.exact(args, output)
        size = abs(y) if scale is None else max(abs(y), scale)
        if not np.isfinite(got):
            return 0.0 if abs(y) >= mpmath.mpf(2) ** (1 - fmt.emin) else float("inf")
        place = (max(int(mpmath.mag(size)) - 1, fmt.emin) if size else fmt.emin) - fmt.mantissa
        return float(mpmath.ldexp(abs(mpmath.mpf(got) - y), -place))
