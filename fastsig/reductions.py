"""How a loss's options become one pass over its operands, and its sum a result."""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from . import dispatch, passes, plans
from .backends.limits import get_num_threads
from .exact import UNIT_LOG2, Total
from .plans import Numbers, reciprocal
from .thresholds import LOSS_ELEMENTS, threads_for

if TYPE_CHECKING:
    from fractions import Fraction

REDUCTIONS = ("none", "sum", "mean", "weighted_mean")


_QUICK = {"none": 0, "sum": 1, "mean": 2}
"""What ``cext/quick.c`` calls each of these, and what it adds for a gradient and for a hessian in place of the loss."""
WITH_GRAD, WITH_HESS = 4, 8


def quick(
    formula: int, reduction: str, wanted: int, check: bool, operands: tuple[Any, Any, Any, Any, Any],
    backend: str | None, threads: int | None, out: Any = None, grad_out: Any = None, hess_out: Any = None,
    *, label_smoothing: float = 0.0, alpha: float | None = None, gamma: float = 0.0,
) -> Any:  # fmt: skip
    """The result for plain arrays in one step, or NotImplemented for anything out of the ordinary; the same bits as by the general
    way, which costs forty times as much a call."""
    compute = dispatch.quick_loss
    if compute is None or backend is not None or threads is not None or out is not None:
        return NotImplemented
    code = _QUICK.get(reduction) if type(reduction) is str else None
    if code is None:
        return NotImplemented
    count = loss_threads(operands[0])
    return compute(formula, code + wanted, check, count, *operands, label_smoothing, alpha, gamma, grad_out, hess_out)


def loss_threads(logits: Any) -> int:
    """The threads for a plain loss of these logits; anything but an array has one."""
    if type(logits) is not np.ndarray or logits.size < LOSS_ELEMENTS:
        return 1
    dispatch.thresholds()
    return threads_for(logits.size, LOSS_ELEMENTS, get_num_threads())


def smoothing(ops: passes.Operands, label_smoothing: float) -> Numbers:
    if not _is_number(label_smoothing) or not 0 <= label_smoothing < 1:
        raise ValueError(f"{ops.name}: label_smoothing={label_smoothing!r} must be a number in [0, 1)")
    return Numbers(keep=1 - float(label_smoothing), floor=float(label_smoothing) / 2) if label_smoothing else Numbers()


def focal(ops: passes.Operands, alpha: float | None, gamma: float) -> Numbers:
    if alpha is not None and (not _is_number(alpha) or not 0 <= alpha <= 1):
        raise ValueError(f"{ops.name}: alpha={alpha!r} must be a number in [0, 1], or None to weigh both classes alike")
    if not _is_number(gamma) or not 0 <= gamma <= 1000:
        raise ValueError(f"{ops.name}: gamma={gamma!r} must be a number in [0, 1000]; 0 is plain cross-entropy")
    head = float(np.float32(gamma)) if ops.code != plans.F64 else float(gamma)
    share = (1.0, 1.0) if alpha is None else (float(alpha), 1 - float(alpha))
    return Numbers(alpha=share[0], beta=share[1], gamma=head, gamma_lo=float(gamma) - head, whole=float(gamma == math.floor(gamma)))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def full_logits(ops: passes.Operands) -> None:
    logits = ops.inputs[0]
    assert logits is not None
    if logits.shape != ops.shape:
        raise ValueError(
            f"{ops.name}: a gradient has the logits' shape, but logits of shape {logits.shape} broadcast to {ops.shape}; "
            f"give np.broadcast_to(logits, {ops.shape})"
        )


def looks_of(ops: passes.Operands, formula: int, check: bool, given: tuple[Any, ...], backend: str | None, threads: int | None) -> int:
    """What the pass looks for; where it writes into the caller's arrays, the looks come before it and it has none left."""
    if all(out is None for out in given):
        return ops.looks(formula, check)
    passes.look_first(ops, formula, check, backend, threads)
    return 0


def _reduction(ops: passes.Operands, reduction: str) -> None:
    if reduction not in REDUCTIONS:
        raise ValueError(f"{ops.name}: reduction={reduction!r} is unknown; it is one of {', '.join(map(repr, REDUCTIONS))}")


def reduced(total: Total, reduction: str, count: int, weight: Total | None, dtype: np.dtype[Any], frames: int) -> Any:
    """The exact sum as the reduction says, rounded once; a mean of nothing is NaN with a warning, as NumPy's is, that points so
    many frames up."""
    if reduction == "sum":
        return total.over(1, dtype)
    nothing = weight.units == 0 and weight.special is None if weight is not None else count == 0
    if nothing:
        what = "no weight" if weight is not None and count else "no elements"
        warnings.warn(f"{reduction} loss over {what} is NaN", RuntimeWarning, stacklevel=frames)
    return total.over(count, dtype) if weight is None else total.over_total(weight, dtype)


def _divisor(reduction: str, count: int, weight: Total | None) -> Fraction:
    """What the gradient is divided by; where nothing counts every gradient is 0, and stays so."""
    from fractions import Fraction

    if reduction in ("none", "sum"):
        return Fraction(1)
    divisor = Fraction(count) if weight is None else Fraction(weight.units, 1 << UNIT_LOG2)
    return divisor or Fraction(1)


def value(
    ops: passes.Operands, formula: int, numbers: Numbers, reduction: str, check: bool, out: Any, backend: str | None, threads: int | None
) -> Any:
    _reduction(ops, reduction)
    gpu = passes.on_gpu(ops, backend)
    if gpu is not None:
        return gpu.value(ops, formula, numbers, reduction, check, out)
    if reduction == "none":
        loss = passes.output(ops, "out", out)
        looks = looks_of(ops, formula, check, (out,), backend, threads)
        passes.run(ops, formula, numbers, (loss.array, None, None), looks=looks, summed=False, backend=backend, threads=threads)
        return loss.finish()
    if out is not None:
        passes.scalar_output(ops, out)
    looks = ops.looks(formula, check)
    total = passes.run(ops, formula, numbers, passes.NOTHING, looks=looks, summed=True, backend=backend, threads=threads)
    weight = None
    if reduction == "weighted_mean" and ops.weight is not None:
        weight = passes.total_weight(ops, 0, backend, threads)
    return _stored(ops, out, total, reduction, weight)


def _stored(ops: passes.Operands, out: Any, total: Total, reduction: str, weight: Total | None) -> Any:
    count = 1 if reduction == "sum" else ops.counted()
    result = reduced(total, reduction, count, weight, ops.dtype if out is None else out.dtype, 5)
    if out is None:
        return result
    out[...] = result
    return out


def value_and_grad(
    ops: passes.Operands, formula: int, numbers: Numbers, reduction: str, check: bool, out: Any, grad_out: Any,
    backend: str | None, threads: int | None,
) -> tuple[Any, Any]:  # fmt: skip
    _reduction(ops, reduction)
    full_logits(ops)
    gpu = passes.on_gpu(ops, backend)
    if gpu is not None:
        return gpu.value_and_grad(ops, formula, numbers, reduction, check, out, grad_out)  # type: ignore[no-any-return]
    summed = reduction != "none"
    if summed and out is not None:
        passes.scalar_output(ops, out)
    loss = None if summed else passes.output(ops, "out", out)
    grad = passes.output(ops, "grad_out", grad_out, (out,))
    looks = looks_of(ops, formula, check, (grad_out, None if summed else out), backend, threads)
    weight = None
    if reduction == "weighted_mean" and ops.weight is not None:
        weight = passes.total_weight(ops, looks, backend, threads)
    count = ops.counted() if reduction in ("mean", "weighted_mean") else 1
    head, rest = reciprocal(_divisor(reduction, count, weight), ops.code == plans.F64)
    numbers = numbers._replace(scale=head, scale_lo=rest)
    outputs = (None if loss is None else loss.array, grad.array, None)
    total = passes.run(ops, formula, numbers, outputs, looks=looks, summed=summed, backend=backend, threads=threads)
    result = loss.finish() if loss is not None else _stored(ops, out, total, reduction, weight)
    return result, grad.finish()
