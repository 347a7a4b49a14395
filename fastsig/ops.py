"""The table: one row an operation. Everything else that exists per operation follows from it.

Imports nothing outside the standard library, because the build of the C library reads it too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, nan
from typing import Any


@dataclass(frozen=True)
class Op:
    """An elementwise operation: its name everywhere, its exact value, what is promised, and its edges."""

    name: str
    inputs: tuple[str, ...]
    exact: Callable[..., Any]
    """The defining formula over an mpmath context; naive on purpose, for it runs with hundreds of digits."""
    ulp_f32: float
    ulp_f64: float
    edges: tuple[tuple[tuple[float, ...], float], ...]
    """Inputs and the exact limit; a zero's sign counts."""
    domain: str = "real"
    """Where inputs are drawn from in tests: "real", or "unit" for a probability in [0, 1]."""
    scale_floor: float = 0.0
    """Errors are counted in ULP of max(|result|, scale_floor): a floor for results that cross zero by cancellation."""

    @property
    def nin(self) -> int:
        return len(self.inputs)


def _sigmoid(mp: Any, x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def _sigmoid_grad(mp: Any, x: Any) -> Any:
    return _sigmoid(mp, x) * _sigmoid(mp, -x)


def _softplus(mp: Any, x: Any) -> Any:
    return mp.log(1 + mp.exp(x))


def _log_sigmoid(mp: Any, x: Any) -> Any:
    return -_softplus(mp, -x)


def _logit(mp: Any, p: Any) -> Any:
    return mp.log(p / (1 - p))


def _silu(mp: Any, x: Any) -> Any:
    return x * _sigmoid(mp, x)


def _silu_grad(mp: Any, x: Any) -> Any:
    return _sigmoid(mp, x) + x * _sigmoid_grad(mp, x)


def _bce_with_logits(mp: Any, x: Any, t: Any) -> Any:
    return t * _softplus(mp, -x) + (1 - t) * _softplus(mp, x)


def _bce_with_logits_grad(mp: Any, x: Any, t: Any) -> Any:
    return _sigmoid(mp, x) - t


def _bce(mp: Any, p: Any, t: Any) -> Any:
    hit = -t * mp.log(p) if t else 0
    miss = -(1 - t) * mp.log(1 - p) if t != 1 else 0
    return hit + miss


def _bce_grad(mp: Any, p: Any, t: Any) -> Any:
    hit = -t / p if t else 0
    miss = (1 - t) / (1 - p) if t != 1 else 0
    return hit + miss


OPS: tuple[Op, ...] = (
    Op(
        "sigmoid", ("x",), _sigmoid, 2.0, 2.0,
        edges=(((-inf,), 0.0), ((inf,), 1.0), ((0.0,), 0.5), ((-0.0,), 0.5), ((nan,), nan)),
    ),
    Op(
        "sigmoid_grad", ("x",), _sigmoid_grad, 2.0, 2.0,
        edges=(((-inf,), 0.0), ((inf,), 0.0), ((0.0,), 0.25), ((-0.0,), 0.25), ((nan,), nan)),
    ),
    Op(
        "log_sigmoid", ("x",), _log_sigmoid, 2.5, 2.5,
        edges=(((-inf,), -inf), ((inf,), -0.0), ((nan,), nan)),
    ),
    Op(
        "softplus", ("x",), _softplus, 2.5, 2.5,
        edges=(((-inf,), 0.0), ((inf,), inf), ((nan,), nan)),
    ),
    Op(
        "logit", ("p",), _logit, 2.5, 2.5, domain="unit",
        edges=(
            ((0.0,), -inf), ((-0.0,), -inf), ((1.0,), inf), ((0.5,), 0.0), ((nan,), nan),
            ((-0.1,), nan), ((1.1,), nan), ((-inf,), nan), ((inf,), nan),
        ),
    ),
    Op(
        "silu", ("x",), _silu, 2.5, 2.5,
        edges=(((-inf,), -0.0), ((inf,), inf), ((0.0,), 0.0), ((-0.0,), -0.0), ((nan,), nan)),
    ),
    Op(
        "silu_grad", ("x",), _silu_grad, 2.5, 2.5, scale_floor=0.1,
        edges=(((-inf,), -0.0), ((inf,), 1.0), ((0.0,), 0.5), ((-0.0,), 0.5), ((nan,), nan)),
    ),
    Op(
        "bce_with_logits", ("x", "t"), _bce_with_logits, 3.0, 3.0,
        edges=(
            ((inf, 1.0), 0.0), ((-inf, 0.0), 0.0), ((inf, 0.0), inf), ((-inf, 1.0), inf), ((inf, 0.5), inf), ((-inf, 0.5), inf),
            ((nan, 0.0), nan), ((nan, 1.0), nan), ((0.0, nan), nan),
        ),
    ),
    Op(
        "bce_with_logits_grad", ("x", "t"), _bce_with_logits_grad, 3.0, 3.0,
        edges=(
            ((inf, 1.0), 0.0), ((-inf, 0.0), 0.0), ((inf, 0.0), 1.0), ((-inf, 1.0), -1.0), ((inf, 0.25), 0.75), ((-inf, 0.25), -0.25),
            ((nan, 0.0), nan), ((0.0, nan), nan),
        ),
    ),
    Op(
        "bce", ("p", "t"), _bce, 3.0, 3.0, domain="unit",
        edges=(
            ((0.0, 0.0), 0.0), ((1.0, 1.0), 0.0), ((0.0, 1.0), inf), ((1.0, 0.0), inf), ((0.0, 0.5), inf), ((1.0, 0.5), inf),
            ((-0.0, 0.0), 0.0), ((-0.0, 1.0), inf), ((-0.0, 0.5), inf),
            ((-0.1, 0.0), nan), ((-0.1, 1.0), nan), ((1.1, 0.0), nan), ((1.1, 1.0), nan), ((nan, 0.0), nan), ((0.5, nan), nan),
        ),
    ),
    Op(
        "bce_grad", ("p", "t"), _bce_grad, 3.0, 3.0, domain="unit",
        edges=(
            ((0.0, 0.0), 1.0), ((1.0, 1.0), -1.0), ((0.0, 1.0), -inf), ((1.0, 0.0), inf), ((0.0, 0.5), -inf), ((1.0, 0.5), inf),
            ((-0.0, 0.0), 1.0), ((-0.0, 1.0), -inf), ((-0.0, 0.5), -inf),
            ((-0.1, 0.0), nan), ((-0.1, 1.0), nan), ((1.1, 0.0), nan), ((1.1, 1.0), nan), ((nan, 0.0), nan), ((0.5, nan), nan),
        ),
    ),
)  # fmt: skip

BY_NAME = {op.name: op for op in OPS}
