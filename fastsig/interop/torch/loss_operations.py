"""Losses as operations of torch: their values, their gradients, and the derivatives of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from fastsig.interop.torch.registration import SingleLevelFunction, differentiable, register
from fastsig.interop.torch.tensors import alike, as_array, as_tensor, is_array, undisturbed

Operands = tuple[Tensor, Tensor, Tensor | None, Tensor | None, Tensor | None]
"""Input, target, weight, pos_weight and mask, all of the input's shape."""
Partials = Callable[..., tuple[Any, ...]]
"""Of an element with respect to input, target, weight and pos_weight, in terms of functions that have derivatives."""
Kernel = Callable[..., Any]

_ARGUMENTS = "(Tensor input, Tensor target, Tensor? weight, Tensor? pos_weight, Tensor? mask, float[] numbers, str reduction) -> Tensor"
_DIFFERENTIABLE = 4
"""So many of the operands can have gradients: all but the mask."""
REDUCTIONS = ("none", "mean", "sum")


def detached(operands: Sequence[Tensor | None], on_host: bool) -> list[Any]:
    """The operands without gradient, as arrays where they lie on the host."""
    found = [None if x is None else x.detach() for x in operands]
    return [None if x is None else as_array(x) for x in found] if on_host else found


class Loss:
    """One loss: what computes it, and what its derivatives are made of.

    Parameters
    ----------
    name : str
    value, value_and_grad
        Of five operands that are arrays, or tensors of a GPU; ``numbers`` and ``reduction`` follow.
    partials
        Of the loss; the first is the operation of the gradient's, and not looked at.
    second_partials
        Of the derivative of the loss with respect to the input.
    """

    def __init__(self, name: str, value: Kernel, value_and_grad: Kernel, partials: Partials, second_partials: Partials) -> None:
        self.name, self.value, self.value_and_grad = name, value, value_and_grad
        self.operation = register(f"{name}{_ARGUMENTS}", self.compute, _like_loss, _batched)
        self.gradient = register(f"{name}_grad{_ARGUMENTS}", self.compute_gradient, _like_gradient, _batched)
        differentiable(self.operation, LossRule(partials, self.gradient))
        differentiable(self.gradient, GradientRule(second_partials))
        function: Any = type(name, (SingleLevelFunction,), {"forward": staticmethod(self.record), "backward": staticmethod(self.replay)})
        self.recorded = function.apply

    def compute(self, *args: Any) -> Tensor:
        x, numbers, reduction = args[0], *args[5:]
        if x.numel() == 0:
            return _of_nothing(x, reduction)
        return as_tensor(self.value(*detached(args[:5], not x.is_cuda), numbers, reduction), x)

    def compute_gradient(self, *args: Any) -> Tensor:
        return self.both(*args)[1]

    def both(self, *args: Any) -> tuple[Tensor, Tensor]:
        x, numbers, reduction = args[0], *args[5:]
        if x.numel() == 0:
            return _of_nothing(x, reduction), torch.empty_like(x, memory_format=torch.contiguous_format)
        loss, grad = self.value_and_grad(*detached(args[:5], not x.is_cuda), numbers, reduction)
        return as_tensor(loss, x), as_tensor(grad, x)

    def record(self, ctx: Any, *args: Any) -> Tensor:
        loss, grad = self.both(*args)
        ctx.save_for_backward(*args[:5], grad)
        ctx.others = args[5:]
        return loss

    def replay(self, ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        *operands, kept = ctx.saved_tensors
        if torch.is_grad_enabled() or not (undisturbed() and alike(grad, kept)):
            kept = self.gradient(*operands, *ctx.others)
        return kept * grad, *[None] * 6

    def __call__(self, operands: Operands, numbers: list[float], reduction: str) -> Tensor:
        if not torch.compiler.is_compiling() and undisturbed() and all(x is None or is_array(x) for x in operands):
            wanted = [x is not None and x.requires_grad for x in operands] if torch.is_grad_enabled() else [False]
            if not any(wanted):
                return self.compute(*operands, numbers, reduction)
            if not any(wanted[1:]):
                return self.recorded(*operands, numbers, reduction)
        return self.operation(*operands, numbers, reduction)


def _of_nothing(x: Tensor, reduction: str) -> Tensor:
    """Without the warning of fastsig's own losses, which torch's do not give."""
    return x.new_empty(x.shape) if reduction == "none" else x.new_full((), torch.nan if reduction == "mean" else 0)


def _like_loss(x: Tensor, *args: Any) -> Tensor:
    return _like_gradient(x) if args[-1] == "none" else x.new_empty(())


def _like_gradient(x: Tensor, *args: Any) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _batched(operation: Any, info: Any, dims: Any, *args: Any) -> tuple[Tensor, int]:
    """One call for all where nothing is summed, else one for each, so that every sum has its own bits."""
    count, reduction = info.batch_size, args[-1]
    operands = [x if x is None or d is None else x.movedim(d, 0) for x, d in zip(args[:5], dims, strict=False)]
    if reduction == "none" or count == 0:
        whole = [x if x is None or d is not None else x.expand(count, *x.shape) for x, d in zip(operands, dims, strict=False)]
        result = operation(*whole, *args[5:6], "none")
        return (result if reduction == "none" or operation._schema.name.endswith("_grad") else result.flatten(1).sum(1)), 0
    each = [[x if x is None or d is None else x[i] for x, d in zip(operands, dims, strict=False)] for i in range(count)]
    return torch.stack([operation(*one, *args[5:]) for one in each]), 0


class LossRule:
    def __init__(self, partials: Partials, gradient: Any) -> None:
        self.partials, self.gradient = partials, gradient

    def save(self, ctx: Any, *args: Any) -> tuple[Tensor | None, ...]:
        ctx.set_materialize_grads(False)
        ctx.others = args[5:]
        return args[:5]

    def backward(self, ctx: Any, kept: tuple[Any, ...], grad: Tensor | None) -> tuple[Tensor | None, ...]:
        found: list[Tensor | None] = [None] * 7
        if grad is not None:
            wanted = [i for i in range(1, _DIFFERENTIABLE) if ctx.needs_input_grad[1 + i]]
            for i, part in zip(wanted, _pulled(self.partials, ctx.others[0], kept, wanted, _share(kept, ctx.others[1], grad)), strict=True):
                found[i] = part
            if ctx.needs_input_grad[1]:
                found[0] = grad * self.gradient(*kept, *ctx.others)
        return tuple(found)

    def jvp(self, ctx: Any, kept: tuple[Any, ...], *tangents: Tensor | None) -> Tensor:
        numbers, reduction = ctx.others
        wanted = [i for i in range(1, _DIFFERENTIABLE) if tangents[i] is not None]
        parts = _pulled(self.partials, numbers, kept, wanted, _share(kept, reduction, torch.ones_like(kept[0])))
        terms = [part * tangents[i] for i, part in zip(wanted, parts, strict=True)]
        if tangents[0] is not None:
            terms.append(tangents[0] * self.gradient(*kept, *ctx.others))
        total = torch.stack(terms).sum(0) if len(terms) > 1 else terms[0]
        return total if reduction == "none" else total.sum()


class GradientRule:
    def __init__(self, partials: Partials) -> None:
        self.partials = partials

    def save(self, ctx: Any, *args: Any) -> tuple[Tensor | None, ...]:
        ctx.set_materialize_grads(False)
        ctx.others = args[5:]
        return args[:5]

    def backward(self, ctx: Any, kept: tuple[Any, ...], grad: Tensor | None) -> tuple[Tensor | None, ...]:
        found: list[Tensor | None] = [None] * 7
        if grad is not None:
            wanted = [i for i in range(_DIFFERENTIABLE) if ctx.needs_input_grad[1 + i]]
            for i, part in zip(wanted, _pulled(self.partials, ctx.others[0], kept, wanted, _share(kept, ctx.others[1], grad)), strict=True):
                found[i] = part
        return tuple(found)

    def jvp(self, ctx: Any, kept: tuple[Any, ...], *tangents: Tensor | None) -> Tensor:
        wanted = [i for i in range(_DIFFERENTIABLE) if tangents[i] is not None]
        parts = _pulled(self.partials, ctx.others[0], kept, wanted, _share(kept, ctx.others[1], torch.ones_like(kept[0])))
        terms = [part * tangents[i] for i, part in zip(wanted, parts, strict=True)]
        return torch.stack(terms).sum(0) if len(terms) > 1 else terms[0]


def _share(operands: tuple[Any, ...], reduction: str, grad: Tensor) -> Tensor:
    """What an element's own loss counts in what came of the reduced one's gradient."""
    x, mask = operands[0], operands[4]
    share = grad.expand_as(x)
    if reduction == "mean":
        share = share / (x.numel() if mask is None else mask.sum())
    return share if mask is None else torch.where(mask, share, 0)


def _pulled(partials: Partials, numbers: list[float], operands: tuple[Any, ...], wanted: list[int], share: Tensor) -> list[Tensor]:
    """The gradients of the wanted operands."""
    if not wanted:
        return []
    found = partials(*operands[:_DIFFERENTIABLE], numbers)
    return [share * found[i] for i in wanted]
