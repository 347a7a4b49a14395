"""Binary cross-entropy, with weights, masks and reductions: one pass over the data, and sums that are exact."""

from __future__ import annotations

from typing import Any

from . import passes
from .plans import LOGITS, PROBABILITIES, Numbers
from .reductions import WITH_GRAD, WITH_HESS, full_logits, looks_of, quick, smoothing, value, value_and_grad


def bce_with_logits(
    logits: Any,
    targets: Any,
    *,
    weight: Any = None,
    pos_weight: Any = None,
    label_smoothing: float = 0.0,
    mask: Any = None,
    reduction: str = "mean",
    check: bool = True,
    out: Any = None,
    backend: str | None = None,
    threads: int | None = None,
) -> Any:
    """Binary cross-entropy of logits, reduced.

    ``weight * (pos_weight * t * log(1 + exp(-x)) + (1 - t) * log(1 + exp(x)))``

    Parameters
    ----------
    logits : array_like
        x, of any shape; float16, bfloat16, float32 or float64, which is also the dtype of the result. bool and integers become
        floats as for ``np.exp``.
    targets : array_like
        t, in [0, 1]; bool, integers or floats, converted block by block to the logits' dtype (halves: float32).
    weight, pos_weight : array_like, optional
        Finite and not negative; broadcast to the elements without being expanded in memory. ``pos_weight`` of shape (C,) with
        logits of shape (N, C) is one number a label.
    label_smoothing : float
        In [0, 1): t becomes ``t * (1 - label_smoothing) + label_smoothing / 2``.
    mask : array_like of bool, optional
        Elements where it is False add nothing, whatever is in them.
    reduction : {"mean", "sum", "none", "weighted_mean"}
        "mean" divides by the number of elements that count, "weighted_mean" by the sum of their ``weight``.
    check : bool
        False skips the look for targets outside [0, 1] and for weights that are negative or not finite.
    out : ndarray, optional
        "none": an array of the result's shape and dtype, which may be an input itself. Otherwise an array of no dimensions and of
        any float dtype: the exact sum is rounded once to that dtype.
    backend : {None, "c", "numba"}
        None lets the dispatcher choose; the result has the same bits whichever it is.
    threads : int, optional
        The most threads to use; default ``fs.get_num_threads()``. The result does not depend on it.

    Returns
    -------
    scalar or ndarray
        Of the logits' dtype. A mean of no elements is NaN, with a RuntimeWarning, as NumPy's is.

    Notes
    -----
    Accuracy: each element at most 3 ULP, 1 more with each of weight, pos_weight and label_smoothing. Elements are added in blocks of
    1,024 in C order (in float64; for float64 with its rounding errors), blocks exactly, and the result is rounded once: the bits
    do not depend on threads, strides, backend, or on chunks at multiples of 1,024.

    Edges: an infinite logit has the limit, 0 or inf, never NaN. A NaN logit gives NaN unless masked. weight 0 makes an infinite
    loss 0, but not NaN.

    Raises
    ------
    ValueError
        Shapes do not broadcast; a target is outside [0, 1] or NaN; a weight is negative or not finite; unknown reduction;
        label_smoothing outside [0, 1); out of the wrong shape, read-only, or overlapping an input. Nothing is written then.
    TypeError
        An array of another kind of dtype, a mask that is not bool, or an out that cannot hold the result.

    Source: fastsig/formulas/losses.py.
    """
    operands = (logits, targets, weight, pos_weight, mask)
    result = quick(LOGITS, reduction, 0, check, operands, backend, threads, out, label_smoothing=label_smoothing)
    if result is not NotImplemented:
        return result
    ops = passes.operands("bce_with_logits", "logits", logits, targets, weight, pos_weight, mask)
    numbers = smoothing(ops, label_smoothing)
    return value(ops, LOGITS, numbers, reduction, check, out, backend, threads)


def bce(
    probs: Any,
    targets: Any,
    *,
    weight: Any = None,
    mask: Any = None,
    reduction: str = "mean",
    check: bool = True,
    out: Any = None,
    backend: str | None = None,
    threads: int | None = None,
) -> Any:
    """Binary cross-entropy of probabilities, reduced.

    ``weight * (-t * log(p) - (1 - t) * log(1 - p))``, where 0 * log(0) is 0.

    Parameters
    ----------
    probs : array_like
        p, in [0, 1]; float16, bfloat16, float32 or float64.
    targets, weight, mask, reduction, check, out, backend, threads
        As in `bce_with_logits`; ``check`` looks at ``probs`` too.

    Returns
    -------
    scalar or ndarray
        Of the dtype of ``probs``.

    Notes
    -----
    Accuracy: each element at most 3 ULP, 4 with weight; sums as in `bce_with_logits`.

    Edges: the logarithm is not clamped: p = 0 with t = 1 is inf, where torch, which clamps log at -100, says 100.

    Raises
    ------
    ValueError, TypeError
        As in `bce_with_logits`, and ValueError for p outside [0, 1] or NaN.

    Source: fastsig/formulas/bce.py.
    """
    result = quick(PROBABILITIES, reduction, 0, check, (probs, targets, weight, None, mask), backend, threads, out)
    if result is not NotImplemented:
        return result
    ops = passes.operands("bce", "probs", probs, targets, weight, None, mask)
    return value(ops, PROBABILITIES, Numbers(), reduction, check, out, backend, threads)


def bce_with_logits_value_and_grad(
    logits: Any,
    targets: Any,
    *,
    weight: Any = None,
    pos_weight: Any = None,
    label_smoothing: float = 0.0,
    mask: Any = None,
    reduction: str = "mean",
    check: bool = True,
    out: Any = None,
    grad_out: Any = None,
    backend: str | None = None,
    threads: int | None = None,
) -> tuple[Any, Any]:
    """Binary cross-entropy of logits and its gradient, in one pass.

    ``grad = weight * ((1 - t) * sigmoid(x) - pos_weight * t * sigmoid(-x))``, divided by what the loss is divided by.

    Parameters
    ----------
    logits, targets, weight, pos_weight, label_smoothing, mask, reduction, check, out, backend, threads
        As in `bce_with_logits`; the logits have the elements' full shape.
    grad_out : ndarray, optional
        Takes the gradient; of the logits' shape and dtype. It may be ``logits`` itself.

    Returns
    -------
    loss : scalar or ndarray
        As of `bce_with_logits`.
    grad : ndarray
        The gradient of the reduced loss with respect to the logits; with "none" the elementwise derivative.

    Notes
    -----
    Accuracy: the gradient at most 3 ULP, in ULP of max(sigmoid(x), t) where t is soft; 1 more with each of weight, pos_weight and
    label_smoothing. Both tails keep their accuracy down to the last subnormal. Masked elements have gradient 0.

    Raises
    ------
    ValueError, TypeError
        As in `bce_with_logits`.

    Source: fastsig/formulas/losses.py.
    """
    operands = (logits, targets, weight, pos_weight, mask)
    result = quick(LOGITS, reduction, WITH_GRAD, check, operands, backend, threads, out, grad_out, label_smoothing=label_smoothing)
    if result is not NotImplemented:
        return result  # type: ignore[no-any-return]
    ops = passes.operands("bce_with_logits_value_and_grad", "logits", logits, targets, weight, pos_weight, mask)
    numbers = smoothing(ops, label_smoothing)
    return value_and_grad(ops, LOGITS, numbers, reduction, check, out, grad_out, backend, threads)


def bce_with_logits_grad_hess(
    logits: Any,
    targets: Any,
    *,
    weight: Any = None,
    pos_weight: Any = None,
    label_smoothing: float = 0.0,
    mask: Any = None,
    check: bool = True,
    grad_out: Any = None,
    hess_out: Any = None,
    backend: str | None = None,
    threads: int | None = None,
) -> tuple[Any, Any]:
    """First and second derivative of binary cross-entropy with respect to each logit, in one pass, not reduced.

    ``hess = weight * (pos_weight * t + (1 - t)) * sigmoid(x) * sigmoid(-x)``

    Parameters
    ----------
    logits, targets, weight, pos_weight, label_smoothing, mask, check, backend, threads
        As in `bce_with_logits`; the logits have the elements' full shape.
    grad_out, hess_out : ndarray, optional
        Take the results; of the logits' shape and dtype. Either may be ``logits`` itself.

    Returns
    -------
    grad, hess : ndarray
        Of the logits' shape and dtype; with the same bits of grad as `bce_with_logits_value_and_grad` with reduction="none".

    Notes
    -----
    Accuracy: grad as there, hess at most 3 ULP and 1 more with each of weight, pos_weight and label_smoothing.

    Raises
    ------
    ValueError, TypeError
        As in `bce_with_logits`.

    Source: fastsig/formulas/losses.py.
    """
    operands, both = (logits, targets, weight, pos_weight, mask), WITH_GRAD + WITH_HESS
    result = quick(LOGITS, "none", both, check, operands, backend, threads, None, grad_out, hess_out, label_smoothing=label_smoothing)
    if result is not NotImplemented:
        return result  # type: ignore[no-any-return]
    ops = passes.operands("bce_with_logits_grad_hess", "logits", logits, targets, weight, pos_weight, mask)
    numbers = smoothing(ops, label_smoothing)
    full_logits(ops)
    gpu = passes.on_gpu(ops, backend)
    if gpu is not None:
        return gpu.grad_hess(ops, numbers, check, grad_out, hess_out)  # type: ignore[no-any-return]
    grad = passes.output(ops, "grad_out", grad_out)
    hess = passes.output(ops, "hess_out", hess_out, (grad_out,))
    looks = looks_of(ops, LOGITS, check, (grad_out, hess_out), backend, threads)
    passes.run(ops, LOGITS, numbers, (None, grad.array, hess.array), looks=looks, summed=False, backend=backend, threads=threads)
    return grad.finish(), hess.finish()
