"""Gated units and recurrent cells on the same pre-activations: forward, and forward with the gradients of all inputs.

fastsig writes to arrays made before, and in a row of its own makes new ones, as torch and JAX do; both differentiate their own
pointwise operations.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from contests import Array, Call, Contestants, Exact, comparison, contest, largest_error

import fastsig as fs
from fastsig.ops import FUSED_BY_NAME

pytest.importorskip("pytest_benchmark")

BATCH, HIDDEN, ELEMENTS = 256, 1024, 10**6
SHAPES: dict[str, tuple[tuple[int, ...], ...]] = {
    "glu": ((1000, 2 * ELEMENTS // 1000),),
    "swiglu": ((ELEMENTS,), (ELEMENTS,)),
    "lstm_cell": ((BATCH, 4 * HIDDEN), (BATCH, HIDDEN)),
    "gru_cell": ((BATCH, 3 * HIDDEN), (BATCH, 3 * HIDDEN), (BATCH, HIDDEN)),
}
NAMES = ("fastsig", "fastsig, new arrays", "torch", "jax")
JUDGED = 500
"""Elements of a result whose error is measured, from one end to the other."""


def lstm(nn: Any, gates: Any, c: Any) -> tuple[Any, ...]:
    i, f, g, o = nn.parts(gates, 4)
    c_new = nn.sigmoid(f) * c + nn.sigmoid(i) * nn.tanh(g)
    return nn.sigmoid(o) * nn.tanh(c_new), c_new


def gru(nn: Any, gi: Any, gh: Any, h: Any) -> tuple[Any, ...]:
    (i_r, i_z, i_n), (h_r, h_z, h_n) = nn.parts(gi, 3), nn.parts(gh, 3)
    z = nn.sigmoid(i_z + h_z)
    n = nn.tanh(i_n + nn.sigmoid(i_r + h_r) * h_n)
    return ((1 - z) * n + z * h,)


WRITTEN: dict[str, Callable[..., tuple[Any, ...]]] = {
    "glu": lambda nn, x: (nn.glu(x),),
    "swiglu": lambda nn, a, b: (nn.silu(a) * b,),
    "lstm_cell": lstm,
    "gru_cell": gru,
}
"""As one writes them with a library's own functions."""


def both(forward: Array, backward: Array) -> tuple[Array, ...]:
    return (*_tuple(forward), *_tuple(backward))


def _tuple(results: Any) -> tuple[Any, ...]:
    return results if isinstance(results, tuple) else (results,)


class Data:
    """Inputs, the gradients of the results, and each contestant over them."""

    def __init__(self, name: str, dtype: str) -> None:
        random = np.random.default_rng(0)
        self.name = name
        self.arrays = [random.normal(size=shape).astype(dtype) for shape in SHAPES[name]]
        self.grads = [random.normal(size=np.shape(r)).astype(dtype) for r in _tuple(getattr(fs, name)(*self.arrays))]

    def fastsig(self, gradient: bool, given: bool) -> Call:
        forward, backward = getattr(fs, self.name), getattr(fs, f"{self.name}_backward")
        out: dict[str, Any] = {"out": forward(*self.arrays)} if given else {}
        if not gradient:
            return lambda: forward(*self.arrays, **out)
        grads_out: dict[str, Any] = {"out": backward(*self.grads, *self.arrays)} if given else {}
        return lambda: both(forward(*self.arrays, **out), backward(*self.grads, *self.arrays, **grads_out))

    def torch(self, gradient: bool) -> Call:
        import torch

        torch.set_num_threads(1)
        nn = SimpleNamespace(
            sigmoid=torch.sigmoid, tanh=torch.tanh, silu=torch.nn.functional.silu, glu=torch.nn.functional.glu,
            parts=lambda x, n: x.chunk(n, -1),
        )  # fmt: skip
        written = WRITTEN[self.name]
        if not gradient:
            plain = [torch.from_numpy(a) for a in self.arrays]
            return lambda: written(nn, *plain)
        leaves, grads = [torch.from_numpy(a).requires_grad_() for a in self.arrays], [torch.from_numpy(g) for g in self.grads]

        def run() -> tuple[Any, ...]:
            results = written(nn, *leaves)
            return both(tuple(r.detach() for r in results), torch.autograd.grad(results, leaves, grads))

        return run

    def jax(self, gradient: bool) -> Call:
        from fastsig.measure.libraries import import_jax

        jax = import_jax()
        nn = SimpleNamespace(
            sigmoid=jax.nn.sigmoid, tanh=jax.numpy.tanh, silu=jax.nn.silu, glu=jax.nn.glu, parts=lambda x, n: jax.numpy.split(x, n, -1)
        )
        written = WRITTEN[self.name]
        inputs, grads = [jax.device_put(a) for a in self.arrays], tuple(jax.device_put(g) for g in self.grads)

        def forward(*x: Any) -> tuple[Any, ...]:
            return written(nn, *x)

        def with_gradient(grads: Any, *x: Any) -> tuple[Any, ...]:
            results, pull = jax.vjp(forward, *x)
            return both(results, pull(grads))

        one, two = jax.jit(forward), jax.jit(with_gradient)
        return lambda: jax.block_until_ready(two(grads, *inputs) if gradient else one(*inputs))

    def contestants(self, gradient: bool) -> Contestants:
        return dict(zip(NAMES, (
            lambda: self.fastsig(gradient, True), lambda: self.fastsig(gradient, False), lambda: self.torch(gradient),
            lambda: self.jax(gradient),
        ), strict=True))  # fmt: skip


WIDE = SimpleNamespace(
    exp=np.exp, log=np.log, tanh=np.tanh, sech=lambda x: 1 / np.cosh(x),
)  # fmt: skip
"""What the table's exact formulas ask of mpmath, of one longdouble."""


def exact(name: str, operands: list[Array], dtype: str) -> list[Exact]:
    """Of each result some elements, and the magnitudes in whose ULP the table counts."""
    row = FUSED_BY_NAME[name]
    parts = [part for array, (_, count) in zip(operands, row.arguments, strict=True) for part in np.split(array, count, -1)]
    places = np.unique(np.linspace(0, parts[0].size - 1, JUDGED).astype(int))
    least = np.longdouble(np.finfo(dtype).smallest_normal)
    points = [[np.longdouble(part.flat[i]) for part in parts] for i in places]
    values = np.array([row.exact(WIDE, *point) for point in points])
    scales = np.abs(np.array([row.scale(WIDE, least, *point) for point in points]))
    found, first, rows, columns = [], 0, *np.unravel_index(places, parts[0].reshape(-1, parts[0].shape[-1]).shape)
    for _, count in row.results:
        where = np.concatenate([rows * parts[0].shape[-1] * count + part * parts[0].shape[-1] + columns for part in range(count)])
        own = slice(first, first + count)
        found.append(Exact(values[:, own].T.ravel(), scales[:, own].T.ravel(), where))
        first += count
    return found


@lru_cache(1)
def data(name: str, dtype: str) -> tuple[Data, list[Exact], list[Exact]]:
    """With the exact results, and the exact gradients."""
    of = Data(name, dtype)
    return of, exact(name, of.arrays, dtype), exact(f"{name}_backward", [*of.grads, *of.arrays], dtype)


@comparison
@pytest.mark.parametrize("contestant", NAMES)
@pytest.mark.parametrize("gradient", [False, True], ids=["forward", "with gradient"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", SHAPES)
def test_gates(benchmark: Any, name: str, dtype: str, gradient: bool, contestant: str) -> None:
    of, results, gradients = data(name, dtype)
    group = f"{name}{' with gradient' if gradient else ''}, {dtype}"
    judged = results + gradients if gradient else results
    contest(benchmark, group, of.contestants(gradient), contestant, lambda _, got: largest_error(got, dtype, judged))
