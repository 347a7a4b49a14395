"""fastsig.interop.torch beside torch: forward, and forward with backward, on tensors."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from contests import Call, Contestants, Exact, comparison, contest, largest_error, wide

from fastsig.measure.reference import unary

pytest.importorskip("pytest_benchmark")
torch = pytest.importorskip("torch")

import fastsig.interop.torch as ft  # noqa: E402 - it needs torch

F = torch.nn.functional
PAIRS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "sigmoid": (ft.sigmoid, torch.sigmoid),
    "silu": (ft.silu, F.silu),
    "logsigmoid": (ft.logsigmoid, F.logsigmoid),
    "softplus": (ft.softplus, F.softplus),
    "tanh": (ft.tanh, torch.tanh),
    "bce_with_logits": (ft.binary_cross_entropy_with_logits, F.binary_cross_entropy_with_logits),
    "bce": (ft.binary_cross_entropy, F.binary_cross_entropy),
}
DERIVED: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "sigmoid": ("sigmoid", lambda x: unary("sigmoid_grad", x)),
    "silu": ("silu", lambda x: unary("silu_grad", x)),
    "logsigmoid": ("log_sigmoid", lambda x: unary("sigmoid", -x)),
    "softplus": ("softplus", lambda x: unary("sigmoid", x)),
    "tanh": ("tanh", lambda x: unary("tanh_grad", x)),
}
"""The operation of the table, and its derivative."""
SIZES, CHOSEN_SIZES = (16, 1_000, 100_000, 1_000_000), (16, 1_000, 1_000_000)


@lru_cache(1)
def data(name: str, size: int) -> tuple[tuple[Any, ...], tuple[Exact, Exact]]:
    """The operands, and the right result and gradient."""
    random = np.random.default_rng(0)
    x, t = random.normal(size=size).astype(np.float32), (random.random(size) < 0.5).astype(np.float32)
    if name == "bce":
        x = 1 / (1 + np.exp(-x))
    operands = (x, t) if name.startswith("bce") else (x,)
    return tuple(map(torch.from_numpy, operands)), _right(name, *wide("float32", *operands))


def _right(name: str, x: Any, t: Any = None) -> tuple[Exact, Exact]:
    if name in DERIVED:
        op, derivative = DERIVED[name]
        slope = derivative(x)
        return Exact(unary(op, x)), Exact(slope, np.maximum(abs(slope), 0.1) if name == "silu" else None)
    if name == "bce":
        return Exact(np.where(t == 1, -np.log(x), -np.log1p(-x)).mean()), Exact(np.where(t == 1, -1 / x, 1 / (1 - x)) / x.size)
    sign = 1 - 2 * t
    return Exact(unary("softplus", sign * x).mean()), Exact(sign * unary("sigmoid", sign * x) / x.size)


def forward(function: Callable[..., Any], operands: tuple[Any, ...]) -> Call:
    return lambda: function(*operands)


def both_ways(function: Callable[..., Any], operands: tuple[Any, ...]) -> Call:
    leaf = operands[0].clone().requires_grad_()
    ones = torch.ones_like(function(leaf, *operands[1:]))

    def run() -> tuple[Any, Any]:
        leaf.grad = None
        result = function(leaf, *operands[1:])
        result.backward(ones)
        return result.detach(), leaf.grad

    return run


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    metafunc.parametrize("name", PAIRS)
    metafunc.parametrize("size", SIZES if metafunc.config.getoption("--everything") else CHOSEN_SIZES)
    metafunc.parametrize("way", [forward, both_ways], ids=["forward", "both ways"])
    metafunc.parametrize("contestant", ["fastsig.interop.torch", "torch"])


@comparison
def test_torch(benchmark: Any, name: str, size: int, way: Callable[..., Call], contestant: str) -> None:
    operands, exact = data(name, size)
    own, theirs = PAIRS[name]
    contestants: Contestants = {"fastsig.interop.torch": lambda: way(own, operands), "torch": lambda: way(theirs, operands)}
    group = f"tensors: {name} {'forward' if way is forward else 'both ways'}, float32 {size:,}"
    contest(benchmark, group, contestants, contestant, lambda _, got: largest_error(got, "float32", exact))
