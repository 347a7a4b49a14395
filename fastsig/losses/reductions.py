"""How a loss's options become one pass over its operands, and its sum a result."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fastsig.arrays import arraylikes, dtypes
from fastsig.kernels.plan import UNIT_LOG2, Numbers, reciprocal
from fastsig.losses.arguments import Operands, on_gpu, output, scalar_output
from fastsig.losses.evaluate import NOTHING, check_first, run, total_weight
from fastsig.losses.exact_sum import Total

REDUCTIONS = ("none", "sum", "mean", "weighted_mean")


def checks_of(ops: Operands, formula: int, check: bool, given: tuple[Any, ...], backend: str | None, threads: int | None) -> int:
    """What the pass looks for; where it writes into the caller's arrays, the checks come before it and it has none left."""
    if all(out is None for out in given):
        return ops.checks(formula, check)
    check_first(ops, formula, check, backend, threads)
    return 0


def _reduction(ops: Operands, reduction: str) -> None:
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


def divisor(reduction: str, count: int, weight: Total | None) -> tuple[int, int]:
    """What the gradient is divided by, as numerator and denominator; where nothing counts every gradient is 0, and stays so."""
    if reduction in ("none", "sum"):
        return 1, 1
    return (count or 1, 1) if weight is None else (weight.units or 1 << UNIT_LOG2, 1 << UNIT_LOG2)


def value(
    ops: Operands, formula: int, numbers: Numbers, reduction: str, check: bool, out: Any, backend: str | None, threads: int | None
) -> Any:
    _reduction(ops, reduction)
    gpu = on_gpu(ops, backend)
    if gpu is not None:
        return gpu.value(ops, formula, numbers, reduction, check, out)
    if reduction == "none":
        loss = output(ops, "out", out)
        checks = checks_of(ops, formula, check, (out,), backend, threads)
        run(ops, formula, numbers, (loss.array, None, None), checks=checks, summed=False, backend=backend, threads=threads)
        return loss.finish()
    dtype = ops.dtype if out is None else scalar_output(ops, out)
    checks = ops.checks(formula, check)
    total = run(ops, formula, numbers, NOTHING, checks=checks, summed=True, backend=backend, threads=threads)
    weight = None
    if reduction == "weighted_mean" and ops.weight is not None:
        weight = total_weight(ops, 0, backend, threads)
    return _stored(ops, out, dtype, total, reduction, weight)


def _stored(ops: Operands, out: Any, dtype: np.dtype[Any], total: Total, reduction: str, weight: Total | None) -> Any:
    count = 1 if reduction == "sum" else ops.counted()
    result = reduced(total, reduction, count, weight, dtype, 5)
    if out is None:
        return arraylikes.scalar(ops.logits, result)
    arraylikes.store(out, result)
    return out


def value_and_grad(
    ops: Operands, formula: int, numbers: Numbers, reduction: str, check: bool, out: Any, grad_out: Any,
    backend: str | None, threads: int | None,
) -> tuple[Any, Any]:  # fmt: skip
    _reduction(ops, reduction)
    gpu = on_gpu(ops, backend)
    if gpu is not None:
        return gpu.value_and_grad(ops, formula, numbers, reduction, check, out, grad_out)  # type: ignore[no-any-return]
    summed = reduction != "none"
    dtype = scalar_output(ops, out) if summed and out is not None else ops.dtype
    loss = None if summed else output(ops, "out", out)
    grad = output(ops, "grad_out", grad_out, (out,))
    checks = checks_of(ops, formula, check, (grad_out, None if summed else out), backend, threads)
    weight = None
    if reduction == "weighted_mean" and ops.weight is not None:
        weight = total_weight(ops, checks, backend, threads)
    count = ops.counted() if reduction in ("mean", "weighted_mean") else 1
    head, rest = reciprocal(*divisor(reduction, count, weight), ops.code == dtypes.F64)
    numbers = numbers._replace(scale=head, scale_lo=rest)
    outputs = (None if loss is None else loss.array, grad.array, None)
    total = run(ops, formula, numbers, outputs, checks=checks, summed=summed, backend=backend, threads=threads)
    if loss is not None:
        return loss.finish(), grad.finish()
    return _stored(ops, out, dtype, total, reduction, weight), grad.finish()


def grad_hess(
    ops: Operands, formula: int, numbers: Numbers, check: bool, grad_out: Any, hess_out: Any, backend: str | None, threads: int | None
) -> tuple[Any, Any]:
    gpu = on_gpu(ops, backend)
    if gpu is not None:
        return gpu.grad_hess(ops, formula, numbers, check, grad_out, hess_out)  # type: ignore[no-any-return]
    grad = output(ops, "grad_out", grad_out)
    hess = output(ops, "hess_out", hess_out, (grad_out,))
    checks = checks_of(ops, formula, check, (grad_out, hess_out), backend, threads)
    run(ops, formula, numbers, (None, grad.array, hess.array), checks=checks, summed=False, backend=backend, threads=threads)
    return grad.finish(), hess.finish()
