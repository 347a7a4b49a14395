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

_TENSORS = "Tensor input, Tensor target, Tensor? weight, Tensor? pos_weight, Tensor? mask"
_ARGUMENTS = f"({_TENSORS}, float[] numbers, str reduction, bool check=False) -> Tensor"
_DIFFERENTIABLE = 4
"""So many of the operands can have gradients: all but the mask."""
_saving_hooks = torch._C._autograd._top_saved_tensors_default_hooks
_TARGET, _WEIGHT = 1, 2
REDUCTIONS = ("none", "mean", "sum")
"""torch's; the operations know fastsig's "weighted_mean" too."""


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
        Of five operands that are arrays, or tensors of a GPU; ``numbers``, ``reduction`` and ``check`` follow.
    partials
        Of the loss; the first is the operation of the gradient's, and not looked at.
    second_partials
        Of the derivative of the loss with respect to the input.
    """

    def __init__(self, name: str, value: Kernel, value_and_grad: Kernel, partials: Partials, second_partials: Partials) -> None:
        self.name, self.value, self.value_and_grad = name, value, value_and_grad
        self.operation = register(f"{name}{_ARGUMENTS}", self.compute, _like_loss, _batched)
        self.gradient = register(f"{name}_grad{_ARGUMENTS}", self.compute_gradient, _like_gradient, _batched)
        differentiable(self.operation, LossRule(partials, self.operation, self.gradient))
        differentiable(self.gradient, GradientRule(second_partials, self.gradient))
        function: Any = type(name, (SingleLevelFunction,), {"forward": staticmethod(self.record), "backward": staticmethod(self.replay)})
        self.recorded = function.apply

    def compute(self, *args: Any) -> Tensor:
        x, (numbers, reduction, check) = args[0], _options(args)
        if x.numel() == 0:
            return _of_nothing(x, reduction)
        return as_tensor(self.value(*detached(args[:5], not x.is_cuda), numbers, reduction, check), x)

    def compute_gradient(self, *args: Any) -> Tensor:
        return self.both(*args)[1]

    def both(self, *args: Any) -> tuple[Tensor, Tensor]:
        x, (numbers, reduction, check) = args[0], _options(args)
        if x.numel() == 0:
            return _of_nothing(x, reduction), torch.empty_like(x, memory_format=torch.contiguous_format)
        loss, grad = self.value_and_grad(*detached(args[:5], not x.is_cuda), numbers, reduction, check)
        return as_tensor(loss, x), as_tensor(grad, x)

    def record(self, ctx: Any, *args: Any) -> Tensor:
        loss, slope = self.both(*args)
        keep_slope(ctx, slope)
        ctx.save_for_backward(*args[:5])
        ctx.others, ctx.count = args[5:7], len(args)
        return loss

    def replay(self, ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        operands = ctx.saved_tensors  # which raises if they were changed
        found = slope_times(ctx, grad)
        if found is None:
            found = self.gradient(*operands, *ctx.others) * grad
        return found, *[None] * (ctx.count - 1)

    def __call__(self, operands: Operands, numbers: list[float], reduction: str, check: bool = False) -> Tensor:
        if not torch.compiler.is_compiling() and undisturbed() and all(x is None or is_array(x) for x in operands):
            wanted = [x is not None and x.requires_grad for x in operands] if torch.is_grad_enabled() else [False]
            if not any(wanted):
                return self.compute(*operands, numbers, reduction, check)
            if not any(wanted[1:]):
                return self.recorded(*operands, numbers, reduction, check)
        return self.operation(*operands, numbers, reduction, check)


def keep_slope(ctx: Any, slope: Tensor) -> None:
    """Leave the gradient that a forward pass has made for the first backward pass; not where somebody decides what tensors are kept."""
    if _saving_hooks(False) is None:
        ctx.slope = slope


def slope_times(ctx: Any, grad: Tensor) -> Tensor | None:
    """The gradient that the forward pass has left, times that of the loss, in its own memory: nothing else needs it after the first
    backward pass. None after that, and where somebody looks on."""
    slope: Tensor | None = ctx.__dict__.get("slope")
    if slope is None or torch.is_grad_enabled() or not (undisturbed() and alike(grad, slope)):
        return None
    if ctx.__dict__.pop("slope", None) is None:  # another thread was faster
        return None
    return slope if grad.ndim == 0 and grad.item() == 1 else slope.mul_(grad)


def _options(args: tuple[Any, ...]) -> tuple[Any, str, bool]:
    """What follows the operands; torch leaves out what is as by default."""
    return args[5], args[6], len(args) > 7 and args[7]


def _of_nothing(x: Tensor, reduction: str) -> Tensor:
    """Without the warning of fastsig's own losses, which torch's do not give."""
    return x.new_empty(x.shape) if reduction == "none" else x.new_full((), 0 if reduction == "sum" else torch.nan)


def _like_loss(x: Tensor, *args: Any) -> Tensor:
    return _like_gradient(x) if args[5] == "none" else x.new_empty(())


def _like_gradient(x: Tensor, *args: Any) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)


def _batched(operation: Any, info: Any, dims: Any, *args: Any) -> tuple[Tensor, int]:
    """One call for all where nothing is summed, else one for each, so that every sum has its own bits."""
    count, reduction = info.batch_size, args[6]
    operands = [x if x is None or d is None else x.movedim(d, 0) for x, d in zip(args[:5], dims, strict=False)]
    if reduction == "none" or count == 0:
        whole = [x if x is None or d is not None else x.expand(count, *x.shape) for x, d in zip(operands, dims, strict=False)]
        result = operation(*whole, *args[5:6], "none", *args[7:])
        return (result if reduction == "none" or operation._schema.name.endswith("_grad") else result.flatten(1).sum(1)), 0
    each = [[x if x is None or d is None else x[i] for x, d in zip(operands, dims, strict=False)] for i in range(count)]
    return torch.stack([operation(*one, *args[5:]) for one in each]), 0


class LossRule:
    def __init__(self, partials: Partials, operation: Any, gradient: Any) -> None:
        self.partials, self.operation, self.gradient = partials, operation, gradient

    def save(self, ctx: Any, *args: Any) -> tuple[Tensor | None, ...]:
        ctx.set_materialize_grads(False)
        ctx.others, ctx.count = args[5:7], len(args)
        return args[:5]

    def backward(self, ctx: Any, kept: tuple[Any, ...], grad: Tensor | None) -> tuple[Tensor | None, ...]:
        found: list[Tensor | None] = [None] * ctx.count
        if grad is not None:
            numbers, reduction = ctx.others
            wanted = [i for i in range(_TARGET, _DIFFERENTIABLE) if ctx.needs_input_grad[1 + i]]
            for i, part in zip(wanted, _pulled(self.partials, numbers, kept, wanted, _share(kept, reduction, grad)), strict=True):
                found[i] = part
            if _WEIGHT in wanted and reduction == "weighted_mean":
                found[_WEIGHT] = found[_WEIGHT] - _by_total(kept, grad * self.operation(*kept, *ctx.others))
            if ctx.needs_input_grad[1]:
                found[0] = grad * self.gradient(*kept, *ctx.others)
        return tuple(found)

    def jvp(self, ctx: Any, kept: tuple[Any, ...], *tangents: Tensor | None) -> Tensor:
        numbers, reduction = ctx.others
        wanted = [i for i in range(_TARGET, _DIFFERENTIABLE) if tangents[i] is not None]
        parts = _pulled(self.partials, numbers, kept, wanted, _share(kept, reduction, torch.ones_like(kept[0])))
        terms = [part * tangents[i] for i, part in zip(wanted, parts, strict=True)]
        if tangents[0] is not None:
            terms.append(tangents[0] * self.gradient(*kept, *ctx.others))
        if _WEIGHT in wanted and reduction == "weighted_mean":
            terms.append(tangents[_WEIGHT] * -_by_total(kept, self.operation(*kept, *ctx.others)))
        total = torch.stack(terms).sum(0) if len(terms) > 1 else terms[0]
        return total if reduction == "none" else total.sum()


class GradientRule:
    def __init__(self, partials: Partials, gradient: Any) -> None:
        self.partials, self.gradient = partials, gradient

    def save(self, ctx: Any, *args: Any) -> tuple[Tensor | None, ...]:
        ctx.set_materialize_grads(False)
        ctx.others, ctx.count = args[5:7], len(args)
        return args[:5]

    def backward(self, ctx: Any, kept: tuple[Any, ...], grad: Tensor | None) -> tuple[Tensor | None, ...]:
        found: list[Tensor | None] = [None] * ctx.count
        if grad is not None:
            numbers, reduction = ctx.others
            wanted = [i for i in range(_DIFFERENTIABLE) if ctx.needs_input_grad[1 + i]]
            for i, part in zip(wanted, _pulled(self.partials, numbers, kept, wanted, _share(kept, reduction, grad)), strict=True):
                found[i] = part
            if _WEIGHT in wanted and reduction == "weighted_mean":
                found[_WEIGHT] = found[_WEIGHT] - _by_total(kept, (grad * self.gradient(*kept, *ctx.others)).sum())
        return tuple(found)

    def jvp(self, ctx: Any, kept: tuple[Any, ...], *tangents: Tensor | None) -> Tensor:
        numbers, reduction = ctx.others
        wanted = [i for i in range(_DIFFERENTIABLE) if tangents[i] is not None]
        parts = _pulled(self.partials, numbers, kept, wanted, _share(kept, reduction, torch.ones_like(kept[0])))
        terms = [part * tangents[i] for i, part in zip(wanted, parts, strict=True)]
        if _WEIGHT in wanted and reduction == "weighted_mean":
            change = (tangents[_WEIGHT] * _by_total(kept, torch.ones_like(kept[0]))).sum()
            terms.append(-change * self.gradient(*kept, *ctx.others))
        return torch.stack(terms).sum(0) if len(terms) > 1 else terms[0]


def _counted(operands: tuple[Any, ...], x: Tensor) -> Tensor:
    mask = operands[4]
    return x if mask is None else torch.where(mask, x, 0)


def _by_total(operands: tuple[Any, ...], x: Tensor) -> Tensor:
    """Of each element that counts, x divided by the sum of the weights."""
    weight = operands[_WEIGHT]
    return _counted(operands, (x / _counted(operands, weight).sum()).expand_as(weight))


def _share(operands: tuple[Any, ...], reduction: str, grad: Tensor) -> Tensor:
    """What an element's own loss counts in what came of the reduced one's gradient."""
    x, weight, mask = operands[0], operands[_WEIGHT], operands[4]
    share = grad.expand_as(x)
    if reduction == "weighted_mean" and weight is not None:
        return _by_total(operands, share)
    if reduction in ("mean", "weighted_mean"):
        share = share / (x.numel() if mask is None else mask.sum())
    return _counted(operands, share)


def _pulled(partials: Partials, numbers: list[float], operands: tuple[Any, ...], wanted: list[int], share: Tensor) -> list[Tensor]:
    """The gradients of the wanted operands."""
    if not wanted:
        return []
    found = partials(*operands[:_DIFFERENTIABLE], numbers)
    return [share * found[i] for i in wanted]
