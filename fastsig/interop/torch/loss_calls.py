"""fastsig's own losses, given tensors in host memory: its meaning and options, and tensors that have gradients where one is asked for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

import fastsig as fs
from fastsig.arrays.devices import common_device
from fastsig.interop.torch.elementwise import UNARY
from fastsig.interop.torch.loss_operations import Loss, Operands
from fastsig.interop.torch.losses import FOCAL, WITH_LOGITS
from fastsig.interop.torch.tensors import (
    array_of,
    as_array,
    as_tensor,
    floating,
    gradient_is_asked_for,
    host_tensor,
    tensors_of,
    undisturbed,
)
from fastsig.kernels import plan
from fastsig.losses.arguments import arguments_of, function_of

# ---- cross-entropy of probabilities that is not clamped ----


def _value(p: Any, t: Any, w: Any, pos: None, mask: Any, numbers: list[float], reduction: str, check: bool) -> Any:
    return fs.bce(p, t, weight=w, mask=mask, reduction=reduction, check=check)


def _partials(p: Tensor, t: Tensor, w: Tensor | None, pos: None, numbers: list[float]) -> tuple[Any, ...]:
    by_t = -UNARY["logit"](p)
    loss = -torch.xlogy(t, p) - torch.special.xlog1py(1 - t, -p)
    return None, by_t if w is None else w * by_t, loss, None


def _second_partials(p: Tensor, t: Tensor, w: Tensor | None, pos: None, numbers: list[float]) -> tuple[Any, ...]:
    weight, product = 1 if w is None else w, p * (1 - p)
    return weight * (t / p**2 + (1 - t) / (1 - p) ** 2), -weight / product, (p - t) / product, None


class _Probabilities(Loss):
    def compute_gradient(self, *args: Any) -> Tensor:
        p, t, (w, mask) = args[0].detach(), args[1].detach(), (None if x is None else x.detach() for x in (args[2], args[4]))
        wide = p.float() if p.element_size() == 2 else p  # rounded once, at the end
        slope = as_tensor(fs.ufuncs.bce_grad(as_array(wide), as_array(t.to(wide.dtype))), wide)
        slope = slope if w is None else slope * w
        slope = slope if mask is None else torch.where(mask, slope, 0)
        if args[6] in ("mean", "weighted_mean"):
            counted = torch.ones_like(wide) if w is None or args[6] == "mean" else w
            slope = slope / (counted if mask is None else torch.where(mask, counted, 0)).sum(dtype=torch.float64)
        return slope.to(p.dtype).contiguous()

    def both(self, *args: Any) -> tuple[Tensor, Tensor]:
        return self.compute(*args), self.compute_gradient(*args)


PROBABILITIES = _Probabilities("bce", _value, _value, _partials, _second_partials)

# ---- what is called ----

_VALUE, _GRAD, _GRAD_HESS = 0, plan.WITH_GRAD, plan.WITH_GRAD + plan.WITH_HESS
_LOSSES = {plan.LOGITS: WITH_LOGITS, plan.PROBABILITIES: PROBABILITIES, plan.FOCAL: FOCAL}


def of_tensors(
    formula: int, wanted: int, operands: tuple[Any, ...], reduction: str, check: bool,
    out: Any, grad_out: Any, hess_out: Any, backend: str | None, threads: int | None,
    *, label_smoothing: float, alpha: float | None, gamma: float,
) -> Any:  # fmt: skip
    """A loss where the logits are a tensor in host memory.

    Raises
    ------
    TypeError, ValueError
        As of arrays; an out that is no tensor.
    RuntimeError
        An option that takes no part in a gradient together with one; the hessian of tensors that ask for a gradient.
    """
    name = function_of(formula, wanted)
    like = operands[0]
    names = arguments_of(formula)
    given = dict(zip(names, operands, strict=True))
    common_device(**given)
    tensors = [x if x is None else host_tensor(name, argument, x, like) for argument, x in given.items()]
    outs = (out,) if wanted == _VALUE else (out, grad_out) if wanted == _GRAD else (grad_out, hess_out)
    named = ("out",) if wanted == _VALUE else ("out", "grad_out") if wanted == _GRAD else ("grad_out", "hess_out")
    recorded = gradient_is_asked_for(name, *tensors, **dict(zip(named, outs, strict=True)), backend=backend, threads=threads)
    if recorded or like.device.type == "meta" or not undisturbed():
        numbers = [float(label_smoothing)] if formula == plan.LOGITS else []
        if formula == plan.FOCAL:
            if tensors[3] is not None:
                raise RuntimeError(f"{name}: alpha is a tensor, through which nothing is recorded; give a number, or detached tensors")
            numbers = [-1.0 if alpha is None else float(alpha), float(gamma)]
        return _by_operation(name, _LOSSES[formula], wanted, dict(zip(names, tensors, strict=True)), numbers, reduction, check)
    options: dict[str, Any] = {key: array_of(o) for key, o in zip(named, outs, strict=True)}
    if formula == plan.LOGITS:
        options |= {"pos_weight": array_of(tensors[3]), "label_smoothing": label_smoothing}
    if formula == plan.FOCAL:
        options |= {"alpha": alpha if tensors[3] is None else array_of(tensors[3]), "gamma": gamma}
    if wanted != _GRAD_HESS:
        options["reduction"] = reduction
    x, t, w, _, mask = map(array_of, tensors)
    found = getattr(fs, name)(x, t, weight=w, mask=mask, check=check, backend=backend, threads=threads, **options)
    return tensors_of(found, like, *outs)


def _by_operation(
    name: str, loss: Loss, wanted: int, given: dict[str, Tensor | None], numbers: list[float], reduction: str, check: bool
) -> Any:
    if wanted == _GRAD_HESS:
        raise RuntimeError(f"{name}: the hessian has no gradient of its own; give logits.detach(), or call it under torch.no_grad()")
    if reduction not in ("none", "sum", "mean", "weighted_mean"):
        raise ValueError(f"{name}: reduction={reduction!r} is unknown; it is one of 'none', 'sum', 'mean', 'weighted_mean'")
    first, *_ = given
    plan.elements_shape(name, {argument: tuple(x.shape) for argument, x in given.items() if x is not None})
    x = floating(name, given[first], first)
    mask = given["mask"]
    if mask is not None and mask.dtype != torch.bool:
        raise TypeError(f"{name}: mask has dtype {mask.dtype}; give booleans, such as mask != 0")
    operands: Operands = (x, *(other if other is None else other.expand_as(x) for other in list(given.values())[1:]))
    value = loss(operands, numbers, reduction, check)
    return (value, loss.gradient(*operands, numbers, reduction)) if wanted == _GRAD else value
