"""The gated units and recurrent cells as operations of torch: their values, their gradients, and the derivatives of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

import fastsig as fs
from fastsig.interop.torch.elementwise import UNARY
from fastsig.interop.torch.registration import SingleLevelFunction, differentiable, register
from fastsig.interop.torch.tensors import alike, as_array, is_array, records, undisturbed

Tensors = tuple[Tensor, ...]
Tangent = Callable[..., Tensors]
"""Of the results, from the arguments, their tangents and the axis."""
Curvature = Callable[..., Tensors]
"""The gradients of the arguments of what their tangents make of the results, weighed by the results' gradients."""

_sigmoid, _sigmoid_grad, _tanh, _tanh_grad, _silu, _silu_grad = (
    UNARY[name] for name in ("sigmoid", "sigmoid_grad", "tanh", "tanh_grad", "silu", "silu_grad")
)
_sigmoid_second, _tanh_second, _silu_second = (UNARY[name].derivative for name in ("sigmoid_grad", "tanh_grad", "silu_grad"))


# ---- derivatives of each: x_ stands for the tangent of x, d_x for a gradient ----


def _glu_tangent(given: Tensors, tangents: Tensors, axis: int) -> Tensors:
    (a, b), (a_, b_) = given[0].chunk(2, axis), tangents[0].chunk(2, axis)
    return (a_ * _sigmoid(b) + a * b_ * _sigmoid_grad(b),)


def _glu_curvature(grads: Tensors, given: Tensors, tangents: Tensors, axis: int) -> Tensors:
    (grad,), (a, b), (a_, b_) = grads, given[0].chunk(2, axis), tangents[0].chunk(2, axis)
    slope = _sigmoid_grad(b)
    return (torch.cat([grad * b_ * slope, grad * (a_ * slope + a * b_ * _sigmoid_second(b))], axis),)


def _swiglu_tangent(given: Tensors, tangents: Tensors) -> Tensors:
    (a, b), (a_, b_) = given, tangents
    return (_silu_grad(a) * a_ * b + _silu(a) * b_,)


def _swiglu_curvature(grads: Tensors, given: Tensors, tangents: Tensors) -> Tensors:
    (grad,), (a, b), (a_, b_) = grads, given, tangents
    slope = _silu_grad(a)
    return grad * (_silu_second(a) * a_ * b + slope * b_), grad * slope * a_


class _LSTM:
    """The parts of an LSTM's step, and the tangents of its states."""

    def __init__(self, given: Tensors, tangents: Tensors) -> None:
        gates, self.c = given
        self.parts, (i_, f_, g_, self.o_) = gates.chunk(4, -1), tangents[0].chunk(4, -1)
        i, f, g, o = self.parts
        self.i, self.f, self.g, self.o = _sigmoid(i), _sigmoid(f), _tanh(g), _sigmoid(o)
        self.i_slope, self.f_slope, self.g_slope, self.o_slope = _sigmoid_grad(i), _sigmoid_grad(f), _tanh_grad(g), _sigmoid_grad(o)
        self.c_new = self.f * self.c + self.i * self.g
        self.c_new_ = self.f_slope * f_ * self.c + self.f * tangents[1] + self.i_slope * i_ * self.g + self.i * self.g_slope * g_

    def h_(self) -> Tensor:
        return self.o_slope * self.o_ * _tanh(self.c_new) + self.o * _tanh_grad(self.c_new) * self.c_new_


def _lstm_tangent(given: Tensors, tangents: Tensors) -> Tensors:
    step = _LSTM(given, tangents)
    return step.h_(), step.c_new_


def _lstm_curvature(grads: Tensors, given: Tensors, tangents: Tensors) -> Tensors:
    (d_h, d_c), (i_, f_, g_, o_), c_ = grads, tangents[0].chunk(4, -1), tangents[1]
    step = _LSTM(given, tangents)
    i, f, g, o = step.parts
    bend, flat, slope = _tanh_second(step.c_new), _tanh(step.c_new), _tanh_grad(step.c_new)
    d_new = d_c + d_h * step.o * slope
    d_new_ = d_h * (step.o * bend * step.c_new_ + step.o_slope * slope * o_)
    d_i = d_new_ * step.g * step.i_slope + d_new * (i_ * step.g * _sigmoid_second(i) + g_ * step.i_slope * step.g_slope)
    d_f = d_new_ * step.c * step.f_slope + d_new * (f_ * step.c * _sigmoid_second(f) + c_ * step.f_slope)
    d_g = d_new_ * step.i * step.g_slope + d_new * (i_ * step.g_slope * step.i_slope + g_ * step.i * _tanh_second(g))
    d_o = d_h * (step.o_slope * slope * step.c_new_ + flat * _sigmoid_second(o) * o_)
    return torch.cat([d_i, d_f, d_g, d_o], -1), d_new_ * step.f + d_new * f_ * step.f_slope


class _GRU:
    """The parts of a GRU's step, and the tangents of what is activated."""

    def __init__(self, given: Tensors, tangents: Tensors) -> None:
        gi, gh, self.h = given
        (ir, iz, i_n), (hr, hz, self.gh_n) = gi.chunk(3, -1), gh.chunk(3, -1)
        (ir_, iz_, in_), (hr_, hz_, self.gh_n_) = tangents[0].chunk(3, -1), tangents[1].chunk(3, -1)
        self.r_sum, self.z_sum = ir + hr, iz + hz
        self.r, self.z = _sigmoid(self.r_sum), _sigmoid(self.z_sum)
        self.r_slope, self.z_slope = _sigmoid_grad(self.r_sum), _sigmoid_grad(self.z_sum)
        self.rest = _sigmoid(-self.z_sum)
        self.n_sum = i_n + self.r * self.gh_n
        self.n, self.n_slope = _tanh(self.n_sum), _tanh_grad(self.n_sum)
        self.r_sum_, self.z_sum_, self.h_ = ir_ + hr_, iz_ + hz_, tangents[2]
        self.n_sum_ = in_ + self.r * self.gh_n_ + self.gh_n * self.r_slope * self.r_sum_


def _gru_tangent(given: Tensors, tangents: Tensors) -> Tensors:
    s = _GRU(given, tangents)
    return (s.rest * s.n_slope * s.n_sum_ + (s.h - s.n) * s.z_slope * s.z_sum_ + s.z * s.h_,)


def _gru_curvature(grads: Tensors, given: Tensors, tangents: Tensors) -> Tensors:
    (grad,) = grads
    s = _GRU(given, tangents)
    d_n = grad * s.rest * s.n_slope
    d_n_ = grad * (s.rest * _tanh_second(s.n_sum) * s.n_sum_ - s.n_slope * s.z_slope * s.z_sum_)
    d_r = d_n_ * s.gh_n * s.r_slope + d_n * (s.gh_n_ * s.r_slope + s.gh_n * _sigmoid_second(s.r_sum) * s.r_sum_)
    d_z = grad * (
        (s.h - s.n) * _sigmoid_second(s.z_sum) * s.z_sum_ - s.z_slope * s.n_slope * s.n_sum_ + s.z_slope * s.h_
    )  # fmt: skip
    d_gh_n = d_n_ * s.r + d_n * s.r_slope * s.r_sum_
    return torch.cat([d_r, d_z, d_n_], -1), torch.cat([d_r, d_z, d_gh_n], -1), grad * s.z_slope * s.z_sum_


# ---- operations ----


def _empty(x: Tensor) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


class _Operation:
    """A function of arrays as an operation without derivatives yet; its results lie in C order."""

    def __init__(self, name: str, schema: str, count: int, like: Callable[..., Tensors]) -> None:
        self.on_arrays, self.count, self.like = getattr(fs, name), count, like
        self.call = register(f"{name}{schema}", self.compute, self.empty, self.batched)

    def empty(self, *args: Any) -> Any:
        made = self.like(*args)
        return made if len(made) > 1 else made[0]

    def compute(self, *args: Any) -> Any:
        """The results; a gradient that is None counts as zeros."""
        given = [None if x is None else x.detach() for x in args[: self.count]]
        axis = args[self.count :]
        if args[self.count - 1].is_cuda:
            found = self.on_arrays(*given, *axis)
            return tuple(x.contiguous() for x in found) if isinstance(found, tuple) else found.contiguous()
        made = self.like(*args)
        outs = tuple(as_array(x) for x in made)
        self.on_arrays(*(None if x is None else as_array(x) for x in given), *axis, out=outs)
        return made if len(made) > 1 else made[0]

    def batched(self, operation: Any, info: Any, dims: Any, *args: Any) -> Any:
        moved = [
            x.expand(info.batch_size, *x.shape) if d is None else x.movedim(d, 0)
            for x, d in zip(args[: self.count], dims, strict=False)
        ]  # fmt: skip
        found = operation(*moved, *args[self.count :])
        return found, (0,) * len(found) if isinstance(found, tuple) else 0


class Gate:
    """A gated unit or cell: what computes it and its gradients, and what the derivatives of these are made of.

    Parameters
    ----------
    name : str
        Of fastsig's function; its gradients are another, NAME_backward.
    given, found : tuple of str
        The names of its arguments and results.
    tangent, curvature
        In terms of functions that have derivatives.
    like
        Empty tensors of the results' shapes, from the arguments.
    axis : bool
        Whether it takes one.
    """

    def __init__(
        self, name: str, given: tuple[str, ...], found: tuple[str, ...], tangent: Tangent, curvature: Curvature,
        like: Callable[..., Tensors], axis: bool = False,
    ) -> None:  # fmt: skip
        self.name, self.given, self.has_axis = name, given, axis
        more = ", int axis" if axis else ""
        self.forward = _Operation(name, _schema(given, more, found), len(given), like)
        both = (*(f"grad_{result}" for result in found), *given)
        self.backward = _Operation(
            f"{name}_backward", _schema(both, more, given), len(both), lambda *args: tuple(map(_empty, args[len(found) : len(both)]))
        )
        self.operation, self.gradient = self.forward.call, self.backward.call
        differentiable(self.operation, _ForwardRule(len(given), self.gradient, tangent))
        differentiable(self.gradient, _BackwardRule(len(found), len(given), self.gradient, tangent, curvature))
        function: Any = type(name, (SingleLevelFunction,), {"forward": staticmethod(self.record), "backward": staticmethod(self.replay)})
        self.recorded = function.apply

    def record(self, ctx: Any, *args: Any) -> Any:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*args[: len(self.given)])
        ctx.axis = args[len(self.given) :]
        return self.forward.compute(*args)

    def replay(self, ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        kept = ctx.saved_tensors
        came = [grad for grad in grads if grad is not None]
        nothing = (None,) * len(ctx.axis)
        if not came:
            return (*[None] * len(kept), *nothing)
        if torch.is_grad_enabled() or not undisturbed() or not all(is_array(grad) and alike(grad, kept[-1]) for grad in came):
            found = self.gradient(*_filled(grads), *kept, *ctx.axis)
        else:
            found = self.backward.compute(*grads, *kept, *ctx.axis)
        return (*_each(found), *nothing)

    def __call__(self, *args: Any) -> Any:
        tensors = args[: len(self.given)]
        if not torch.compiler.is_compiling() and undisturbed() and all(map(is_array, tensors)):
            return self.recorded(*args) if records(*tensors) else self.forward.compute(*args)
        return self.operation(*args)


def _schema(given: tuple[str, ...], more: str, found: tuple[str, ...]) -> str:
    results = ", ".join(["Tensor"] * len(found))
    return f"({', '.join(f'Tensor {name}' for name in given)}{more}) -> {results if len(found) == 1 else f'({results})'}"


def _each(found: Any) -> Tensors:
    return found if isinstance(found, tuple) else (found,)


def _filled(grads: tuple[Tensor | None, ...]) -> Tensors:
    """With zeros for the results that nothing came from: those of a cell have one shape."""
    some = next(grad for grad in grads if grad is not None)
    return tuple(torch.zeros_like(some) if grad is None else grad for grad in grads)


def _with_zeros(tangents: tuple[Tensor | None, ...], primals: Tensors) -> Tensors:
    return tuple(torch.zeros_like(x) if tangent is None else tangent for tangent, x in zip(tangents, primals, strict=True))


class _ForwardRule:
    def __init__(self, count: int, gradient: Any, tangent: Tangent) -> None:
        self.count, self.gradient, self.tangent = count, gradient, tangent

    def save(self, ctx: Any, *args: Any) -> Tensors:
        ctx.axis = args[self.count :]
        return args[: self.count]

    def backward(self, ctx: Any, kept: Tensors, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return (*_each(self.gradient(*grads, *kept, *ctx.axis)), *(None for _ in ctx.axis))

    def jvp(self, ctx: Any, kept: Tensors, *tangents: Tensor | None) -> Any:
        found = self.tangent(kept, _with_zeros(tangents[: self.count], kept), *ctx.axis)
        return found if len(found) > 1 else found[0]


class _BackwardRule:
    """The gradients are those of the results weighed by what came: so the same second derivatives serve both ways."""

    def __init__(self, results: int, arguments: int, gradient: Any, tangent: Tangent, curvature: Curvature) -> None:
        self.results, self.count, self.gradient = results, results + arguments, gradient
        self.tangent, self.curvature = tangent, curvature

    def save(self, ctx: Any, *args: Any) -> Tensors:
        ctx.axis = args[self.count :]
        return args[: self.count]

    def backward(self, ctx: Any, kept: Tensors, *grads: Tensor) -> tuple[Tensor | None, ...]:
        came, given = kept[: self.results], kept[self.results :]
        wanted = ctx.needs_input_grad[1:]
        of_grads = self.tangent(given, grads, *ctx.axis) if any(wanted[: self.results]) else (None,) * self.results
        of_given = (
            self.curvature(came, given, grads, *ctx.axis) if any(wanted[self.results : self.count]) else (None,) * len(given)
        )  # fmt: skip
        return (*of_grads, *of_given, *(None for _ in ctx.axis))

    def jvp(self, ctx: Any, kept: Tensors, *tangents: Tensor | None) -> Any:
        came, given = kept[: self.results], kept[self.results :]
        moved = _with_zeros(tangents[: self.count], kept)
        by_grads = _each(self.gradient(*moved[: self.results], *given, *ctx.axis))
        by_given = self.curvature(came, given, moved[self.results :], *ctx.axis)
        found = tuple(a + b for a, b in zip(by_grads, by_given, strict=True))
        return found if len(found) > 1 else found[0]


def _half(x: Tensor, axis: int) -> Tensors:
    shape = list(x.shape)
    shape[axis] //= 2
    return (x.new_empty(shape),)


GATES = {
    gate.name: gate
    for gate in (
        Gate("glu", ("x",), ("out",), _glu_tangent, _glu_curvature, _half, axis=True),
        Gate("swiglu", ("a", "b"), ("out",), _swiglu_tangent, _swiglu_curvature, lambda a, b: (_empty(a),)),
        Gate("lstm_cell", ("gates", "c"), ("h", "c"), _lstm_tangent, _lstm_curvature, lambda gates, c: (_empty(c), _empty(c))),
        Gate("gru_cell", ("gi", "gh", "h"), ("h",), _gru_tangent, _gru_curvature, lambda gi, gh, h: (_empty(h),)),
    )
}
"""Every gated unit and cell."""
