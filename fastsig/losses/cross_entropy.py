"""Binary cross-entropy, with weights, masks and reductions: one pass over the data, and sums that are exact."""

from __future__ import annotations

from typing import Any

from fastsig.kernels.plan import LOGITS, PROBABILITIES, WITH_GRAD, WITH_HESS, Numbers
from fastsig.losses.arguments import operands, smoothing
from fastsig.losses.fast_path import quick
from fastsig.losses.reductions import grad_hess, value, value_and_grad


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
        t, in [0, 1]; bool, integers or floats, converted block by block to the logits' dtype (halves: float32). Like every operand
        it broadcasts to the logits' shape, which is the loss's and never grows.
    weight, pos_weight : array_like, optional
        Finite and not negative; broadcast to the elements without being expanded in memory. ``pos_weight`` of shape (C,) with
        logits of shape (N, C) is one number a label.
    label_smoothing : float
        In [0, 1): t becomes ``t * (1 - label_smoothing) + label_smoothing / 2``.
    mask : array_like of bool, optional
        Elements where it is False add nothing, whatever is in them, also if it is missing (NA).
    reduction : {"mean", "sum", "none", "weighted_mean"}
        "mean" divides by the number of elements that count, "weighted_mean" by the sum of their ``weight``.
    check : bool
        False skips the look for targets outside [0, 1] and for weights that are negative or not finite.
    out : ndarray, Series, DataFrame or DataArray, optional
        "none": of the result's shape and dtype, and of the logits' labels where it has some; it may be an input itself. Otherwise an
        array of no dimensions and of any float dtype: the exact sum is rounded once to that dtype.
    backend : {None, "c", "numba"}
        None lets the dispatcher choose; the result has the same bits whichever it is.
    threads : int, optional
        The most threads to use; default ``fs.get_num_threads()``. The result does not depend on it.

    Returns
    -------
    scalar or ndarray
        Of the logits' dtype. "none" gives what the logits are: a Series, DataFrame or DataArray with their labels, a column of
        pyarrow or polars, an array of JAX, a subclass of ndarray as NumPy's ufuncs do. A mean of no elements is NaN, with a
        RuntimeWarning, as NumPy's is.

    Raises
    ------
    ValueError
        An operand does not broadcast to the logits' shape; two pandas or xarray objects have other labels; an element that counts is
        missing (NA, masked by ``numpy.ma``); a target is outside [0, 1] or NaN; a weight is negative or not finite; unknown
        reduction; label_smoothing outside [0, 1); out of the wrong shape, read-only, or overlapping an input. Nothing is written then.
    TypeError
        An array of another kind of dtype, a mask that is not bool, or an out that cannot hold the result.

    See Also
    --------
    bce_with_logits_value_and_grad : the loss and its gradient in one pass.
    bce : the same from probabilities.
    BCEAccumulator : for data larger than memory.

    Notes
    -----
    Accuracy: each element at most 2.5 ULP with targets 0 and 1, 3 with soft ones; 1 more with each of weight and pos_weight, and another
    1 where they or label_smoothing meet soft targets. Sums are exact and rounded once: the bits do not depend on threads, strides,
    order, chunks or backend.

    Edges: an infinite logit has the limit, 0 or inf, never NaN. A NaN logit gives NaN unless masked. weight 0 makes an infinite
    loss 0, but not NaN.

    Labels: pandas and xarray objects go by place beside a bare array, and must have equal labels beside each other. The rules for
    these, for NA and for masked arrays are in docs/losses.md.

    Source: fastsig/formulas/losses.py.

    Examples
    --------
    >>> import numpy as np
    >>> import fastsig as fs
    >>> logits, targets = np.array([2.0, -1.0, 0.5]), np.array([1, 0, 0])
    >>> fs.bce_with_logits(logits, targets, reduction="none")
    array([0.12692801, 0.31326169, 0.97407698])
    >>> fs.bce_with_logits(logits[:, None], targets)
    Traceback (most recent call last):
        ...
    ValueError: bce_with_logits: targets of shape (3,) does not broadcast to logits of shape (3, 1); give targets[:, None], or logits[:, 0]
    """
    given = (logits, targets, weight, pos_weight, mask)
    result = quick(LOGITS, reduction, 0, check, given, backend, threads, out, label_smoothing=label_smoothing)
    if result is not NotImplemented:
        return result
    ops = operands("bce_with_logits", LOGITS, logits, targets, weight, pos_weight, mask)
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
        p, in [0, 1]; float16, bfloat16, float32 or float64. Its shape is the loss's.
    targets, weight, mask, reduction, check, out, backend, threads
        As in `bce_with_logits`; ``check`` looks at ``probs`` too.

    Returns
    -------
    scalar or ndarray
        Of the dtype of ``probs``, and with "none" of its kind, as in `bce_with_logits`.

    Raises
    ------
    ValueError, TypeError
        As in `bce_with_logits`, and ValueError for p outside [0, 1] or NaN.

    See Also
    --------
    bce_with_logits : from logits, which keep what probabilities near 0 and 1 lose.

    Notes
    -----
    Accuracy: each element at most 3 ULP, 5 with weight; sums as in `bce_with_logits`.

    Edges: the logarithm is not clamped: p = 0 with t = 1 is inf, where torch, which clamps log at -100, says 100.

    Source: fastsig/formulas/bce.py.

    Examples
    --------
    >>> import numpy as np
    >>> import fastsig as fs
    >>> probs, targets = np.array([0.9, 0.25, 0.5]), np.array([1, 0, 0])
    >>> fs.bce(probs, targets, reduction="none")
    array([0.10536052, 0.28768207, 0.69314718])
    """
    result = quick(PROBABILITIES, reduction, 0, check, (probs, targets, weight, None, mask), backend, threads, out)
    if result is not NotImplemented:
        return result
    ops = operands("bce", PROBABILITIES, probs, targets, weight, None, mask)
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
        As in `bce_with_logits`.
    grad_out : ndarray, Series, DataFrame or DataArray, optional
        Takes the gradient; of the logits' shape and dtype. It may be ``logits`` itself.

    Returns
    -------
    loss : scalar or ndarray
        As of `bce_with_logits`.
    grad : ndarray
        The gradient of the reduced loss with respect to the logits, and of their kind, such as a Series; with "none" the elementwise
        derivative.

    Raises
    ------
    ValueError, TypeError
        As in `bce_with_logits`.

    See Also
    --------
    bce_with_logits : the loss alone.
    bce_with_logits_grad_hess : both derivatives, not reduced.

    Notes
    -----
    Accuracy: the gradient at most 2.5 ULP with targets 0 and 1, 3 with soft ones, then in ULP of max(sigmoid(x), t); with options as the
    loss. Both tails keep their accuracy down to the last subnormal. Masked elements have gradient 0.

    Source: fastsig/formulas/losses.py.

    Examples
    --------
    >>> import numpy as np
    >>> import fastsig as fs
    >>> logits, targets = np.array([2.0, -1.0, 0.5]), np.array([1, 0, 0])
    >>> loss, grad = fs.bce_with_logits_value_and_grad(logits, targets, reduction="sum")
    >>> grad
    array([-0.11920292,  0.26894142,  0.62245933])
    """
    given = (logits, targets, weight, pos_weight, mask)
    result = quick(LOGITS, reduction, WITH_GRAD, check, given, backend, threads, out, grad_out, label_smoothing=label_smoothing)
    if result is not NotImplemented:
        return result  # type: ignore[no-any-return]
    ops = operands("bce_with_logits_value_and_grad", LOGITS, logits, targets, weight, pos_weight, mask)
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
        As in `bce_with_logits`.
    grad_out, hess_out : ndarray, Series, DataFrame or DataArray, optional
        Take the results; of the logits' shape and dtype. Either may be ``logits`` itself.

    Returns
    -------
    grad, hess : ndarray
        Of the logits' shape, dtype and kind; with the same bits of grad as `bce_with_logits_value_and_grad` with reduction="none".

    Raises
    ------
    ValueError, TypeError
        As in `bce_with_logits`.

    See Also
    --------
    bce_with_logits_value_and_grad : the reduced loss and its gradient.

    Notes
    -----
    Accuracy: grad as there, hess at most 2 ULP; with options 2.25 and 1 more with each of weight, pos_weight and label_smoothing,
    another 1.25 where pos_weight meets soft or smoothed targets.

    Source: fastsig/formulas/losses.py.

    Examples
    --------
    >>> import numpy as np
    >>> import fastsig as fs
    >>> logits, targets = np.array([2.0, -1.0, 0.5]), np.array([1, 0, 0])
    >>> grad, hess = fs.bce_with_logits_grad_hess(logits, targets)
    >>> hess
    array([0.10499359, 0.19661193, 0.23500371])
    """
    given, both = (logits, targets, weight, pos_weight, mask), WITH_GRAD + WITH_HESS
    result = quick(LOGITS, "none", both, check, given, backend, threads, None, grad_out, hess_out, label_smoothing=label_smoothing)
    if result is not NotImplemented:
        return result  # type: ignore[no-any-return]
    ops = operands("bce_with_logits_grad_hess", LOGITS, logits, targets, weight, pos_weight, mask)
    return grad_hess(ops, LOGITS, smoothing(ops, label_smoothing), check, grad_out, hess_out, backend, threads)
