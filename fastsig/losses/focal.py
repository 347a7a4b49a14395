"""Focal loss: cross-entropy that counts less where the prediction is already right; options and sums as in ``losses``."""

from __future__ import annotations

from typing import Any

from fastsig.kernels.plan import FOCAL, WITH_GRAD, WITH_HESS
from fastsig.losses.arguments import focal, operands, split_alpha
from fastsig.losses.fast_path import quick
from fastsig.losses.reductions import grad_hess, value, value_and_grad


def sigmoid_focal_loss(
    logits: Any,
    targets: Any,
    *,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    weight: Any = None,
    mask: Any = None,
    reduction: str = "mean",
    check: bool = True,
    out: Any = None,
    backend: str | None = None,
    threads: int | None = None,
) -> Any:
    """Focal loss of logits, reduced.

    ``weight * (alpha * t + (1 - alpha) * (1 - t)) * (1 - p_t)**gamma * bce_with_logits(x, t)``, where
    ``1 - p_t = sigmoid(x) * (1 - t) + sigmoid(-x) * t``.

    Parameters
    ----------
    alpha : float, array_like or None
        In [0, 1]: the share of the positive class. None leaves both classes as they are. An array broadcasts to the logits; of shape
        (C,) with logits of shape (N, C) it is one number a label.
    gamma : float
        Not negative; 0 is plain cross-entropy.
    logits, targets, weight, mask, reduction, check, out, backend, threads
        As in `bce_with_logits`.

    Returns
    -------
    scalar or ndarray
        Of the logits' dtype, and with "none" of their kind, as in `bce_with_logits`. Note that torchvision's function defaults to
        reduction="none".

    Raises
    ------
    ValueError, TypeError
        As in `bce_with_logits`, and ValueError for alpha or gamma out of range.

    See Also
    --------
    sigmoid_focal_loss_value_and_grad : the loss and its gradient in one pass.
    bce_with_logits : the loss without focus.

    Notes
    -----
    Accuracy: with t of 0 or 1 each element at most 4 ULP with gamma 0, 1 and 2, 4.5 with 3, and 4 + 2 * gamma with any other; at most
    7 + 5 * gamma with a soft t; 1 more with weight. float16 and bfloat16 are computed in float32 and rounded once. Sums as in
    `bce_with_logits`.

    Source: fastsig/formulas/losses.py; Lin et al., "Focal Loss for Dense Object Detection", 2017.

    Examples
    --------
    >>> import numpy as np
    >>> import fastsig as fs
    >>> logits, targets = np.array([2.0, -1.0, 0.5]), np.array([1, 0, 0])
    >>> fs.sigmoid_focal_loss(logits, targets, reduction="none")
    array([0.00045089, 0.01699354, 0.2830587 ])
    """
    share, alphas = split_alpha(alpha)
    given = (logits, targets, weight, alphas, mask)
    result = quick(FOCAL, reduction, 0, check, given, backend, threads, out, alpha=share, gamma=gamma)
    if result is not NotImplemented:
        return result
    ops = operands("sigmoid_focal_loss", FOCAL, *given)
    return value(ops, FOCAL, focal(ops, share, gamma), reduction, check, out, backend, threads)


def sigmoid_focal_loss_value_and_grad(
    logits: Any,
    targets: Any,
    *,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    weight: Any = None,
    mask: Any = None,
    reduction: str = "mean",
    check: bool = True,
    out: Any = None,
    grad_out: Any = None,
    backend: str | None = None,
    threads: int | None = None,
) -> tuple[Any, Any]:
    """Focal loss of logits and its gradient, in one pass.

    Parameters
    ----------
    logits, targets, alpha, gamma, weight, mask, reduction, check, out, backend, threads
        As in `sigmoid_focal_loss`.
    grad_out : ndarray, Series, DataFrame or DataArray, optional
        Takes the gradient; of the logits' shape and dtype. It may be ``logits`` itself.

    Returns
    -------
    loss : scalar or ndarray
        As of `sigmoid_focal_loss`.
    grad : ndarray
        The gradient of the reduced loss with respect to the logits, and of their kind, such as a Series; with "none" the elementwise
        derivative.

    Raises
    ------
    ValueError, TypeError
        As in `sigmoid_focal_loss`.

    See Also
    --------
    sigmoid_focal_loss : the loss alone.

    Notes
    -----
    Accuracy: with t of 0 or 1 that of the loss. With a soft t the derivative has zeros and cancels
    near them.

    Source: fastsig/formulas/losses.py.

    Examples
    --------
    >>> import numpy as np
    >>> import fastsig as fs
    >>> logits, targets = np.array([2.0, -1.0, 0.5]), np.array([1, 0, 0])
    >>> loss, grad = fs.sigmoid_focal_loss_value_and_grad(logits, targets, reduction="sum")
    >>> grad
    array([-0.00121774,  0.03943585,  0.39461387])
    """
    share, alphas = split_alpha(alpha)
    given = (logits, targets, weight, alphas, mask)
    result = quick(FOCAL, reduction, WITH_GRAD, check, given, backend, threads, out, grad_out, alpha=share, gamma=gamma)
    if result is not NotImplemented:
        return result  # type: ignore[no-any-return]
    ops = operands("sigmoid_focal_loss_value_and_grad", FOCAL, *given)
    return value_and_grad(ops, FOCAL, focal(ops, share, gamma), reduction, check, out, grad_out, backend, threads)


def sigmoid_focal_loss_grad_hess(
    logits: Any,
    targets: Any,
    *,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    weight: Any = None,
    mask: Any = None,
    check: bool = True,
    grad_out: Any = None,
    hess_out: Any = None,
    backend: str | None = None,
    threads: int | None = None,
) -> tuple[Any, Any]:
    """First and second derivative of the focal loss with respect to each logit, in one pass, not reduced.

    With t of 0, s = sigmoid(x) and r = 1 - s: ``hess = weight * (1 - alpha) * s**gamma * r * (gamma * log(1 + exp(x)) * (gamma * r - s)
    + (2 * gamma + 1) * s)``; with t of 1 that of -x, and alpha in place of 1 - alpha.

    Parameters
    ----------
    logits, targets, alpha, gamma, weight, mask, check, backend, threads
        As in `sigmoid_focal_loss`.
    grad_out, hess_out : ndarray, Series, DataFrame or DataArray, optional
        Take the results; of the logits' shape and dtype. Either may be ``logits`` itself.

    Returns
    -------
    grad, hess : ndarray
        Of the logits' shape, dtype and kind; with the same bits of grad as `sigmoid_focal_loss_value_and_grad` with reduction="none".

    Raises
    ------
    ValueError, TypeError
        As in `sigmoid_focal_loss`.

    See Also
    --------
    sigmoid_focal_loss_value_and_grad : the reduced loss and its gradient.
    bce_with_logits_grad_hess : the derivatives without focus.

    Notes
    -----
    The focal loss is not convex: its hessian is negative where a logit is far on the wrong side, from x = 2.79 on with gamma = 2 and
    t = 0. Methods that need a positive one put a floor under it, as the boosting objectives of docs/boosting.md do.

    Accuracy: grad as there. With t of 0 or 1 hess is within 6 + 2 * gamma ULP, in ULP of the largest of its three terms, which
    cancel where it changes its sign; 1 more with weight.

    Edges: an infinite logit has the limit, which is 0. gamma of 0 gives the hessian of cross-entropy. A weight, however large, makes
    nothing overflow that is representable itself. Masked elements have 0.

    Source: fastsig/formulas/losses.py.

    Examples
    --------
    >>> import numpy as np
    >>> import fastsig as fs
    >>> logits, targets = np.array([2.0, -1.0, 0.5]), np.array([1, 0, 0])
    >>> grad, hess = fs.sigmoid_focal_loss_grad_hess(logits, targets)
    >>> hess
    array([0.00316939, 0.08297445, 0.36979627])
    """
    share, alphas = split_alpha(alpha)
    given, both = (logits, targets, weight, alphas, mask), WITH_GRAD + WITH_HESS
    result = quick(FOCAL, "none", both, check, given, backend, threads, None, grad_out, hess_out, alpha=share, gamma=gamma)
    if result is not NotImplemented:
        return result  # type: ignore[no-any-return]
    ops = operands("sigmoid_focal_loss_grad_hess", FOCAL, *given)
    return grad_hess(ops, FOCAL, focal(ops, share, gamma), check, grad_out, hess_out, backend, threads)
