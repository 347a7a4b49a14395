"""The functions of one tensor."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from numpy import asarray
from torch import Tensor, from_numpy, is_grad_enabled
from torch.compiler import is_compiling

import fastsig as fs
from fastsig.interop.torch import tensors
from fastsig.interop.torch.registration import SingleLevelFunction, below_autograd, differentiable, register
from fastsig.interop.torch.tensors import FLOATS, alike, floating, gradient_is_asked_for, is_plain, plain_array, records, undisturbed

Derivative = Callable[[Tensor], Tensor]


def _batched(operation: Any, info: Any, dims: Any, x: Tensor) -> tuple[Tensor, Any]:
    return operation(x), dims[0]


class Unary:
    """One of fastsig's functions as an operation of torch.

    A tensor that is an array, while nobody looks on, goes to the function itself: the way through torch's dispatcher and back into
    Python takes longer than a small tensor's values.
    """

    def __init__(self, name: str, derivative: Derivative) -> None:
        self.name = name
        self.on_arrays = getattr(fs, name)
        self.derivative = derivative
        self.operation = register(f"{name}(Tensor x) -> Tensor", self.compute, torch.empty_like, _batched)
        differentiable(self.operation, Slope(derivative))
        function: Any = type(name, (SingleLevelFunction,), {"forward": staticmethod(self.record), "backward": staticmethod(self.gradient)})
        self.recorded = function.apply

    def compute(self, x: Tensor, **options: Any) -> Tensor:
        return tensors.elementwise(self.on_arrays, x, **options)

    def unrecorded(self, x: Tensor) -> Tensor:
        array = plain_array(x)
        if array is None:
            return below_autograd(self.operation, floating(self.name, x))
        return from_numpy(asarray(self.on_arrays(array)))

    def record(self, ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return self.unrecorded(x)

    def gradient(self, ctx: Any, grad: Tensor) -> Tensor:
        slope = self.derivative(ctx.saved_tensors[0])
        return slope.mul_(grad) if not is_grad_enabled() and undisturbed() and alike(slope, grad) else slope * grad

    def __call__(self, x: Tensor) -> Tensor:
        if not is_compiling() and is_plain(x) and undisturbed():
            return self.recorded(x) if x.requires_grad and is_grad_enabled() else self.unrecorded(x)
        return self.operation(floating(self.name, x))


class Slope:
    """The derivative of a function of one tensor, from its input."""

    def __init__(self, derivative: Derivative) -> None:
        self.derivative = derivative

    def save(self, ctx: Any, x: Tensor) -> tuple[Tensor]:
        return (x,)

    def backward(self, ctx: Any, kept: tuple[Tensor], grad: Tensor) -> tuple[Tensor]:
        return (grad * self.derivative(*kept),)

    def jvp(self, ctx: Any, kept: tuple[Tensor], *tangents: Any) -> Tensor:
        return tangents[0] * self.derivative(*kept)


def _logit_grad(p: Tensor) -> Tensor:
    return torch.where((p < 0) | (p > 1), torch.nan, 1 / (p * (1 - p)))


UNARY: dict[str, Unary] = {
    name: Unary(name, derivative)
    for name, derivative in {
        "sigmoid": lambda x: UNARY["sigmoid_grad"](x),
        "sigmoid_grad": lambda x: -UNARY["sigmoid_grad"](x) * UNARY["tanh"](x / 2),
        "log_sigmoid": lambda x: UNARY["sigmoid"](-x),
        "softplus": lambda x: UNARY["sigmoid"](x),
        "logit": _logit_grad,
        "silu": lambda x: UNARY["silu_grad"](x),
        "silu_grad": lambda x: UNARY["sigmoid_grad"](x) * (2 - x * UNARY["tanh"](x / 2)),
        "tanh": lambda x: UNARY["tanh_grad"](x),
        "tanh_grad": lambda x: -2 * UNARY["tanh"](x) * UNARY["tanh_grad"](x),
    }.items()
}
"""Every function of one tensor with its derivative, in terms of functions that have one."""


def of_tensor(name: str, x: Tensor, out: Any, backend: str | None, threads: int | None, others: dict[str, Any]) -> Tensor:
    """``fastsig.NAME(x)`` of a tensor in host memory: a tensor, which has a gradient where x asks for one.

    Raises
    ------
    TypeError
        An option that only arrays have, or an out that is no tensor.
    RuntimeError
        out, backend or threads together with a gradient.
    """
    if others:
        raise TypeError(f"{name}: {', '.join(others)} is for arrays; of a tensor take x.to(dtype), torch.where or x.numpy()")
    out = out[0] if isinstance(out, tuple) and len(out) == 1 else out
    gradient_is_asked_for(name, x, out=out, backend=backend, threads=threads)
    function = UNARY[name]
    if out is None and backend is None and threads is None:
        return function(x)
    x = floating(name, x)
    result = function(x) if x.device.type == "meta" else function.compute(x, backend=backend, threads=threads)
    if out is None:
        return result
    if out.shape != x.shape:
        raise ValueError(f"{name}: out has shape {tuple(out.shape)}; the result has shape {tuple(x.shape)}")
    if not out.is_floating_point():
        raise TypeError(f"{name}: out has dtype {out.dtype}; give a tensor of floats")
    return out.copy_(result)  # which counts as a change of it


_SOFTPLUS_IS_X = 20.0
"""Beyond this softplus(x) is x and its derivative 1, in all types but float64, where a test looks at all numbers that are greater."""


def sigmoid(input: Tensor) -> Tensor:
    """``1 / (1 + exp(-input))``, as `torch.sigmoid`, with exact tails.

    Parameters
    ----------
    input : Tensor
        float16, bfloat16, float32 or float64, of any shape and strides, on the CPU or an NVIDIA GPU. bool and integers become
        torch's default float type.

    Returns
    -------
    Tensor
        Of the shape, the dtype and the order in memory that torch's own function gives; it has a gradient of any order, and a tangent.

    Raises
    ------
    TypeError
        Not a tensor, not strided, or of another dtype.
    RuntimeError
        On a device where nothing computes.

    Notes
    -----
    The bits are those of ``fastsig.sigmoid``, and so is the accuracy: at most 2.0 ULP in float32 and float64, halves rounded correctly.
    So is the gradient ``grad * fastsig.sigmoid_grad(input)``, which keeps both tails; the input is kept for it, where torch keeps the
    result.

    Examples
    --------
    >>> import torch
    >>> import fastsig.interop.torch as ft
    >>> x = torch.tensor([-100.0, 0.0, 2.0], requires_grad=True)
    >>> y = ft.sigmoid(x)
    >>> y.sum().backward()
    >>> x.grad
    tensor([3.7835e-44, 2.5000e-01, 1.0499e-01])
    """
    return UNARY["sigmoid"](input)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """``input * sigmoid(input)``, as `torch.nn.functional.silu`.

    Parameters
    ----------
    input : Tensor
        As of `sigmoid`.
    inplace : bool
        Write the result into ``input``, of a float dtype, and return that.

    Returns
    -------
    Tensor
        As of `sigmoid`; at most 2.5 ULP in float32 and float64.

    Raises
    ------
    TypeError, RuntimeError
        As `sigmoid` does.

    Examples
    --------
    >>> import torch
    >>> import fastsig.interop.torch as ft
    >>> ft.silu(torch.tensor([-100.0, 0.0, 2.0]))
    tensor([-3.7204e-42,  0.0000e+00,  1.7616e+00])
    """
    if not inplace:
        return UNARY["silu"](input)
    return input.copy_(UNARY["silu"](input.clone() if records(input) else input))


def logsigmoid(input: Tensor) -> Tensor:
    """``log(sigmoid(input))``, as `torch.nn.functional.logsigmoid`.

    Parameters
    ----------
    input : Tensor
        As of `sigmoid`.

    Returns
    -------
    Tensor
        As of `sigmoid`; at most 2.5 ULP in float32 and float64. The gradient is ``grad * sigmoid(-input)``.

    Raises
    ------
    TypeError, RuntimeError
        As `sigmoid` does.

    Examples
    --------
    >>> import torch
    >>> import fastsig.interop.torch as ft
    >>> ft.logsigmoid(torch.tensor([-800.0, 0.0, 40.0]))
    tensor([-8.0000e+02, -6.9315e-01, -4.2484e-18])
    """
    return UNARY["log_sigmoid"](input)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """``log(1 + exp(beta * input)) / beta``, as `torch.nn.functional.softplus`.

    Parameters
    ----------
    input : Tensor
        As of `sigmoid`.
    beta : float
        How sharply it bends.
    threshold : float
        Where ``beta * input`` is greater the result is ``input`` itself, with gradient 1.

    Returns
    -------
    Tensor
        As of `sigmoid`; at most 2.5 ULP in float32 and float64 for beta 1, which other values follow by a product and a quotient.

    Raises
    ------
    TypeError, RuntimeError
        As `sigmoid` does.

    Examples
    --------
    >>> import torch
    >>> import fastsig.interop.torch as ft
    >>> ft.softplus(torch.tensor([-40.0, 0.0, 800.0]))
    tensor([4.2484e-18, 6.9315e-01, 8.0000e+02])
    """
    x = input if isinstance(input, Tensor) and input.dtype in FLOATS else floating("softplus", input)
    if beta == 1 and threshold >= (_SOFTPLUS_IS_X if x.dtype != torch.float64 else math.inf):
        return UNARY["softplus"](x)
    scaled = x if beta == 1 else x * beta
    bent = UNARY["softplus"](scaled)
    return torch.where(scaled > threshold, x, bent if beta == 1 else bent / beta)


def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """``log(p / (1 - p))``, as `torch.logit`, accurate near 1/2.

    Parameters
    ----------
    input : Tensor
        p, as of `sigmoid`; outside [0, 1] the result is NaN.
    eps : float, optional
        p is first clamped to [eps, 1 - eps], beyond which the gradient is 0.

    Returns
    -------
    Tensor
        As of `sigmoid`; at most 2.5 ULP in float32 and float64.

    Raises
    ------
    TypeError, RuntimeError
        As `sigmoid` does.

    Examples
    --------
    >>> import torch
    >>> import fastsig.interop.torch as ft
    >>> ft.logit(torch.tensor([0.0, 0.5, 0.75]))
    tensor([  -inf, 0.0000, 1.0986])
    """
    if eps is None:
        return UNARY["logit"](input)
    p = floating("logit", input)
    return UNARY["logit"](torch.where(p < eps, eps, torch.where(p > 1 - eps, 1 - eps, p)))  # clamp has no gradient at NaN


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent, as `torch.tanh`.

    Parameters
    ----------
    input : Tensor
        As of `sigmoid`.

    Returns
    -------
    Tensor
        As of `sigmoid`; at most 1.5 ULP in float32 and float64. The gradient is ``grad * fastsig.tanh_grad(input)``,
        which keeps both tails.

    Raises
    ------
    TypeError, RuntimeError
        As `sigmoid` does.

    Examples
    --------
    >>> import torch
    >>> import fastsig.interop.torch as ft
    >>> ft.tanh(torch.tensor([-1.0, 0.0, 1e-30]))
    tensor([-7.6159e-01,  0.0000e+00,  1.0000e-30])
    """
    return UNARY["tanh"](input)
