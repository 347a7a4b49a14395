"""The losses, with torch's and torchvision's signatures."""

from __future__ import annotations

import math
from typing import Any

import torch
from numpy import asarray
from torch import Tensor, from_numpy
from torch.compiler import is_compiling
from torch.nn import _reduction

import fastsig as fs
from fastsig.arrays.devices import describe
from fastsig.interop.torch.elementwise import UNARY
from fastsig.interop.torch.loss_operations import REDUCTIONS, Loss, Operands, detached, keep_slope, slope_times
from fastsig.interop.torch.registration import SingleLevelFunction
from fastsig.interop.torch.tensors import as_tensor, floating, is_plain, plain_array, undisturbed
from fastsig.kernels import plan
from fastsig.losses.fast_path import quick

_sigmoid, _sigmoid_grad, _softplus, _tanh = (UNARY[name] for name in ("sigmoid", "sigmoid_grad", "softplus", "tanh"))


# ---- cross-entropy of logits ----


def _with_logits(function: Any) -> Any:
    def kernel(x: Any, t: Any, w: Any, pos: Any, mask: Any, numbers: list[float], reduction: str, check: bool) -> Any:
        return function(
            x, t, weight=w, pos_weight=pos, mask=mask, label_smoothing=numbers[0], reduction=reduction, check=check
        )  # fmt: skip

    return kernel


def _smoothed(x: Tensor, t: Tensor, numbers: list[float]) -> Tensor:
    t = t.to(x.dtype)
    return t * (1 - numbers[0]) + numbers[0] / 2 if numbers[0] else t


def _with_logits_partials(x: Tensor, t: Tensor, w: Tensor | None, pos: Tensor | None, numbers: list[float]) -> tuple[Any, ...]:
    t = _smoothed(x, t, numbers)
    hit, miss = _softplus(-x), _softplus(x)
    weight, positive = 1 if w is None else w, 1 if pos is None else pos
    return None, weight * (positive * hit - miss) * (1 - numbers[0]), positive * t * hit + (1 - t) * miss, weight * t * hit


def _with_logits_second(x: Tensor, t: Tensor, w: Tensor | None, pos: Tensor | None, numbers: list[float]) -> tuple[Any, ...]:
    t = _smoothed(x, t, numbers)
    up, down = _sigmoid(x), _sigmoid(-x)
    weight, positive = 1 if w is None else w, 1 if pos is None else pos
    return (
        weight * (positive * t + (1 - t)) * _sigmoid_grad(x), -weight * (up + positive * down) * (1 - numbers[0]),
        (1 - t) * up - positive * t * down, -weight * t * down,
    )  # fmt: skip


WITH_LOGITS = Loss(
    "binary_cross_entropy_with_logits", _with_logits(fs.bce_with_logits), _with_logits(fs.bce_with_logits_value_and_grad),
    _with_logits_partials, _with_logits_second,
)  # fmt: skip


class _OfArrays(SingleLevelFunction):  # type: ignore[misc]
    """The mean, sum or elements without options, as one node of torch's graph."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, t: Tensor, arrays: tuple[Any, ...], reduction: str) -> Tensor:
        found = quick(plan.LOGITS, reduction, plan.WITH_GRAD, False, arrays, None, None)
        if found is NotImplemented:
            found = fs.bce_with_logits_value_and_grad(*arrays[:2], reduction=reduction, check=False)
        loss, slope = found
        keep_slope(ctx, from_numpy(asarray(slope)))
        ctx.save_for_backward(x, t)
        ctx.reduction = reduction
        return from_numpy(asarray(loss))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, t = ctx.saved_tensors  # which raises if they were changed
        found = slope_times(ctx, grad)
        if found is None:
            found = WITH_LOGITS.gradient(x, t, None, None, None, [0.0], ctx.reduction) * grad
        return found, None, None, None


def _of_arrays(x: Tensor, t: Tensor, reduction: str) -> Tensor | None:
    """The loss without options of two tensors that are arrays; None where another way has to be gone.

    A thousand elements take less time than one look at all that a call may have.
    """
    if is_compiling() or not (is_plain(x) and is_plain(t) and x.dtype in _WIDE and x.dtype == t.dtype and undisturbed()):
        return None
    logits, targets = plain_array(x), plain_array(t)
    if logits is None or targets is None or logits.shape != targets.shape or logits.size == 0:
        return None
    recorded = torch.is_grad_enabled()
    if recorded and t.requires_grad:
        return None
    arrays = (logits, targets, None, None, None)
    if recorded and x.requires_grad:
        return _OfArrays.apply(x, t, arrays, reduction)
    found = quick(plan.LOGITS, reduction, 0, False, arrays, None, None)
    return None if found is NotImplemented else from_numpy(asarray(found))


_WIDE = frozenset((torch.float32, torch.float64))
"""What autocast leaves as it is."""


# ---- cross-entropy of probabilities ----

_MOST = 100.0
"""Of a negative logarithm, as torch clamps it; below the next number, and at 1, that is less than the logarithm."""
_LEAST_UNCLAMPED = math.exp(-_MOST)
_LEAST_PRODUCT = torch.tensor(1e-12, dtype=torch.float32).item()
"""Of p (1 - p), by which torch divides a gradient: a float32 in torch also where it computes in float64."""


_LEAST_PLAIN, _GREATEST_PLAIN = 2 * _LEAST_PRODUCT, 1 - 2 * _LEAST_PRODUCT
"""Between these p (1 - p) is not clamped."""


def _range(name: str, x: Tensor) -> tuple[float, float]:
    least, greatest = (float(v) for v in torch.aminmax(x))
    if not (least >= 0 and greatest <= 1):
        raise RuntimeError(f"binary_cross_entropy: {name} must lie in [0, 1]; logits are for binary_cross_entropy_with_logits")
    return least, greatest


def _plain_bce(p: Tensor, t: Tensor, w: Tensor | None, reduction: str, check: bool = False) -> Tensor:
    arrays = detached((p, t, w), not p.is_cuda)
    return as_tensor(fs.bce(*arrays[:2], weight=arrays[2], reduction=reduction, check=check), p)


def _probabilities(p: Tensor, t: Tensor, w: Tensor | None, reduction: str, least: float, greatest: float) -> Tensor:
    """The loss of probabilities between the least and the greatest, which are known."""
    unclamped = least >= _LEAST_UNCLAMPED and greatest < 1
    if unclamped and w is None and not p.is_cuda:
        try:
            return _plain_bce(p, t, w, reduction, check=True)  # looks at t in the same pass
        except ValueError:  # and then the next line says so
            pass
    _range("target", t)
    if unclamped:
        return _plain_bce(p, t, w, reduction)
    wide, target = (p.float(), t.float()) if p.element_size() == 2 else (p, t)  # torch clamps a half's logarithm too
    loss = _plain_bce(wide, target, None, "none")
    loss = torch.where(wide < _LEAST_UNCLAMPED, _MOST * target + (1 - target) * wide, loss)
    loss = torch.where(wide == 1, _MOST * (1 - target), loss)
    loss = loss if w is None else loss * w
    if reduction != "none":
        loss = loss.sum(dtype=torch.float64) / (p.numel() if reduction == "mean" else 1)
    return loss.to(p.dtype)


def _probabilities_slope(p: Tensor, t: Tensor, w: Tensor | None, pos: None, numbers: list[float]) -> Tensor:
    slope = (p - t) / (p * (1 - p)).clamp(min=_LEAST_PRODUCT)
    return slope if w is None else w * slope


def _probabilities_partials(p: Tensor, t: Tensor, w: Tensor | None, pos: None, numbers: list[float]) -> tuple[Any, ...]:
    hit, miss = p.log().clamp(min=-_MOST), torch.log1p(-p).clamp(min=-_MOST)
    by_t = -UNARY["logit"](p)  # not clamped in torch either
    return None, by_t if w is None else w * by_t, -t * hit - (1 - t) * miss, None


def _probabilities_second(p: Tensor, t: Tensor, w: Tensor | None, pos: None, numbers: list[float]) -> tuple[Any, ...]:
    product = p * (1 - p)
    kept = product.clamp(min=_LEAST_PRODUCT)
    change = torch.where(product >= _LEAST_PRODUCT, 1 - 2 * p, 0)
    weight = 1 if w is None else w
    return weight * (1 / kept - (p - t) * change / kept**2), -weight / kept, (p - t) / kept, None


class _Probabilities(Loss):
    """Computed from tensors: what torch clamps, fastsig's own loss does not."""

    def compute(self, *args: Any) -> Tensor:
        p, t, w = _detached(args)
        return super().compute(*args) if p.numel() == 0 else _probabilities(p, t, w, args[6], *_range("input", p))

    def compute_gradient(self, *args: Any) -> Tensor:
        p, t, w = _detached(args)
        return torch.empty_like(p) if p.numel() == 0 else self.slope(p, t, w, args[6], *_range("input", p))

    def both(self, *args: Any) -> tuple[Tensor, Tensor]:
        p, t, w = _detached(args)
        if p.numel() == 0:
            return super().both(*args)
        ends = _range("input", p)
        return _probabilities(p, t, w, args[6], *ends), self.slope(p, t, w, args[6], *ends)

    def slope(self, p: Tensor, t: Tensor, w: Tensor | None, reduction: str, least: float, greatest: float) -> Tensor:
        """The gradient; in one pass, where nothing of it is clamped."""
        if least >= _LEAST_PLAIN and greatest <= _GREATEST_PLAIN and p.element_size() > 2 and not p.is_cuda:
            found = as_tensor(fs.ufuncs.bce_grad(*detached((p, t), True)), p)
            found = found if w is None else found.mul_(w)
        else:
            found = _probabilities_slope(p, t, w, None, [])
        return (found.div_(p.numel()) if reduction == "mean" else found).contiguous()


def _detached(args: tuple[Any, ...]) -> tuple[Tensor, Tensor, Tensor | None]:
    return args[0].detach(), args[1].detach(), None if args[2] is None else args[2].detach()


_BCE = _Probabilities("binary_cross_entropy", fs.bce, fs.bce, _probabilities_partials, _probabilities_second)


# ---- focal loss ----


def _focal(function: Any) -> Any:
    def kernel(x: Any, t: Any, w: Any, pos: Any, mask: Any, numbers: list[float], reduction: str, check: bool) -> Any:
        alpha, gamma = numbers
        given = {"alpha": alpha if alpha >= 0 else None, "gamma": gamma, "weight": w, "mask": mask}
        return function(x, t, **given, reduction=reduction, check=check)

    return kernel


class _Focal:
    """The factors of a focal loss: share * miss**gamma * entropy."""

    def __init__(self, x: Tensor, t: Tensor, numbers: list[float]) -> None:
        alpha, self.gamma = numbers
        t = t.to(x.dtype)
        up, down = _sigmoid(x), _sigmoid(-x)
        self.share = alpha * t + (1 - alpha) * (1 - t) if alpha >= 0 else 1
        self.share_by_t = 2 * alpha - 1 if alpha >= 0 else 0
        self.miss = up * (1 - t) + down * t
        self.miss_by_t = down - up
        self.miss_by_x = (1 - 2 * t) * _sigmoid_grad(x)
        self.entropy = t * _softplus(-x) + (1 - t) * _softplus(x)
        self.entropy_by_t = -x
        self.entropy_by_x = up * (1 - t) - down * t

    def power(self, order: int) -> Any:
        """The derivative of miss**gamma of this order with respect to miss."""
        factor = math.prod(self.gamma - i for i in range(order))
        return factor * self.miss ** (self.gamma - order) if factor else 0


def _focal_partials(x: Tensor, t: Tensor, w: Tensor | None, pos: None, numbers: list[float]) -> tuple[Any, ...]:
    f = _Focal(x, t, numbers)
    by_t = f.power(1) * f.miss_by_t * f.entropy + f.power(0) * f.entropy_by_t
    weight, loss = 1 if w is None else w, f.power(0) * f.entropy
    return None, weight * (f.share_by_t * loss + f.share * by_t), f.share * loss, None


def _focal_second(x: Tensor, t: Tensor, w: Tensor | None, pos: None, numbers: list[float]) -> tuple[Any, ...]:
    f = _Focal(x, t, numbers)
    slope = f.power(1) * f.miss_by_x * f.entropy + f.power(0) * f.entropy_by_x
    by_x = (
        f.power(2) * f.miss_by_x**2 * f.entropy - f.power(1) * f.miss_by_x * _tanh(x / 2) * f.entropy
        + 2 * f.power(1) * f.miss_by_x * f.entropy_by_x + f.power(0) * _sigmoid_grad(x)
    )  # fmt: skip
    by_t = (
        f.power(2) * f.miss_by_t * f.miss_by_x * f.entropy - 2 * f.power(1) * _sigmoid_grad(x) * f.entropy
        + f.power(1) * (f.miss_by_x * f.entropy_by_t + f.miss_by_t * f.entropy_by_x) - f.power(0)
    )  # fmt: skip
    weight = 1 if w is None else w
    return weight * f.share * by_x, weight * (f.share_by_t * slope + f.share * by_t), f.share * slope, None


FOCAL = Loss(
    "sigmoid_focal_loss", _focal(fs.sigmoid_focal_loss), _focal(fs.sigmoid_focal_loss_value_and_grad), _focal_partials, _focal_second
)


# ---- what is called ----


def _autocast(x: Tensor) -> Tensor:
    """Losses are computed in float32 there, as torch's."""
    half = x.dtype in (torch.float16, torch.bfloat16) and x.device.type != "meta"
    return x.float() if half and torch.is_autocast_enabled(x.device.type) else x


def _operands(name: str, input: Any, target: Any, reduction: str, weight: Any = None, pos_weight: Any = None, mask: Any = None) -> Operands:
    """All of the input's shape, if they belong together."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"{name}: reduction={reduction!r} is unknown; it is one of {', '.join(map(repr, REDUCTIONS))}")
    x = floating(name, input)
    given = {"target": target, "weight": weight, "pos_weight": pos_weight, "mask": mask}
    for argument, other in given.items():
        if other is None and argument != "target":
            continue
        if not isinstance(other, Tensor):
            raise TypeError(f"{name}: {argument} is {describe(other)}; give a torch.Tensor")
        if other.device != x.device:
            raise RuntimeError(f"{name}: all tensors must be on one device, but input is on {x.device} and {argument} on {other.device}")
    if target.shape != x.shape:
        raise ValueError(f"{name}: target of shape {tuple(target.shape)} is not of the shape of input, {tuple(x.shape)}")
    if mask is not None and mask.dtype != torch.bool:
        raise TypeError(f"{name}: mask has dtype {mask.dtype}; give a tensor of torch.bool")
    x = _autocast(x)
    for argument in ("weight", "pos_weight", "mask"):
        other = given[argument]
        if other is not None and other.shape != x.shape:
            try:
                given[argument] = other.expand_as(x)
            except RuntimeError as error:
                shapes = f"{tuple(other.shape)} does not broadcast to the shape of input, {tuple(x.shape)}"
                raise ValueError(f"{name}: {argument} of shape {shapes}") from error
    return x, *given.values()


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
    *,
    label_smoothing: float = 0.0,
    mask: Tensor | None = None,
) -> Tensor:
    """Binary cross-entropy of logits, as `torch.nn.functional.binary_cross_entropy_with_logits`.

    ``weight * (pos_weight * t * log(1 + exp(-x)) + (1 - t) * log(1 + exp(x)))``

    Parameters
    ----------
    input : Tensor
        x, as of `sigmoid`.
    target : Tensor
        t, of the input's shape and any float dtype, bool or integers; a wider float type than the input's is also the result's.
    weight, pos_weight : Tensor, optional
        Of any sign; broadcast to the input's shape.
    size_average, reduce
        torch's deprecated words for ``reduction``.
    reduction : {"mean", "sum", "none"}
    label_smoothing : float
        In [0, 1): t becomes ``t * (1 - label_smoothing) + label_smoothing / 2``.
    mask : Tensor of bool, optional
        Elements where it is False add nothing, and "mean" does not count them.

    Returns
    -------
    Tensor
        With gradients of any order with respect to input, target, weight and pos_weight. Value and first gradient have the bits of
        ``fastsig.bce_with_logits_value_and_grad``, which computes both in one pass.

    Raises
    ------
    ValueError
        Shapes that do not fit, an unknown reduction.
    TypeError, RuntimeError
        As `sigmoid` does; tensors on different devices; a mask that is not bool.

    Examples
    --------
    >>> import torch
    >>> import fastsig.interop.torch as ft
    >>> x, t = torch.tensor([100.0, -1.0], requires_grad=True), torch.tensor([1.0, 0.0])
    >>> ft.binary_cross_entropy_with_logits(x, t, reduction="sum").backward()
    >>> x.grad
    tensor([-3.7835e-44,  2.6894e-01])
    """
    if size_average is not None or reduce is not None:
        reduction = _reduction.legacy_get_string(size_average, reduce)
    if weight is None and pos_weight is None and mask is None and label_smoothing == 0 and reduction in REDUCTIONS:
        result = _of_arrays(input, target, reduction)
        if result is not None:
            return result
    name = "binary_cross_entropy_with_logits"
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"{name}: label_smoothing={label_smoothing} is outside [0, 1)")
    x, *others = _operands(name, input, target, reduction, weight, pos_weight, mask)
    if target.dtype.is_floating_point and target.dtype != x.dtype:
        x = x.to(torch.promote_types(x.dtype, target.dtype))
    return WITH_LOGITS((x, *others), [float(label_smoothing)], reduction)


def binary_cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Binary cross-entropy of probabilities, as `torch.nn.functional.binary_cross_entropy`.

    ``weight * (-t * max(log(p), -100) - (1 - t) * max(log(1 - p), -100))``

    Parameters
    ----------
    input, target : Tensor
        p and t, in [0, 1], of one shape and dtype.
    weight : Tensor, optional
        Broadcast to the input's shape.
    size_average, reduce, reduction
        As of `binary_cross_entropy_with_logits`.

    Returns
    -------
    Tensor
        With gradients of any order with respect to all three. Where no logarithm is clamped its bits are those of ``fastsig.bce``, which
        does not clamp. The gradient is torch's, ``(p - t) / max(p * (1 - p), 1e-12)``.

    Raises
    ------
    RuntimeError
        Another dtype of target; a number outside [0, 1] or NaN.
    ValueError, TypeError
        As `binary_cross_entropy_with_logits` does.

    Examples
    --------
    >>> import torch
    >>> import fastsig.interop.torch as ft
    >>> ft.binary_cross_entropy(torch.tensor([0.9, 0.0]), torch.tensor([1.0, 1.0]), reduction="none")
    tensor([  0.1054, 100.0000])
    """
    if size_average is not None or reduce is not None:
        reduction = _reduction.legacy_get_string(size_average, reduce)
    name = "binary_cross_entropy"
    p, t, w, *_ = _operands(name, input, target, reduction, weight)
    t = _autocast(t)
    if t.dtype != p.dtype:
        raise RuntimeError(f"{name}: target has dtype {t.dtype} and input {p.dtype}; give target.to(input.dtype)")
    return _BCE((p, t, w, None, None), [], reduction)


def sigmoid_focal_loss(inputs: Tensor, targets: Tensor, alpha: float = 0.25, gamma: float = 2, reduction: str = "none") -> Tensor:
    """Focal loss of logits, as `torchvision.ops.sigmoid_focal_loss`.

    ``(alpha * t + (1 - alpha) * (1 - t)) * (1 - p_t)**gamma * bce_with_logits(x, t)``

    Parameters
    ----------
    inputs, targets : Tensor
        x and t, of one shape.
    alpha : float
        In [0, 1]: the share of the positive class; a negative number leaves both classes as they are.
    gamma : float
        Not negative; 0 is plain cross-entropy.
    reduction : {"none", "mean", "sum"}

    Returns
    -------
    Tensor
        With gradients of any order with respect to both. Value and first gradient have the bits of
        ``fastsig.sigmoid_focal_loss_value_and_grad``.

    Raises
    ------
    ValueError
        alpha or gamma out of range; as `binary_cross_entropy_with_logits` does.
    TypeError, RuntimeError
        As `binary_cross_entropy_with_logits` does.

    Examples
    --------
    >>> import torch
    >>> import fastsig.interop.torch as ft
    >>> ft.sigmoid_focal_loss(torch.tensor([2.0, -1.0, 0.5]), torch.tensor([1.0, 0.0, 0.0]))
    tensor([0.0005, 0.0170, 0.2831])
    """
    name = "sigmoid_focal_loss"
    if not (alpha <= 1 and gamma >= 0):
        raise ValueError(f"{name}: alpha={alpha} and gamma={gamma}; alpha is at most 1, and gamma not negative")
    return FOCAL(_operands(name, inputs, targets, reduction), [float(alpha), float(gamma)], reduction)
