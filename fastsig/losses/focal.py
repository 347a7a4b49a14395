"""Focal loss: cross-entropy that counts less where the prediction is already right; options and sums as in ``losses``."""

from __future__ import annotations

from typing import Any

from fastsig.kernels.plan import FOCAL, WITH_GRAD
from fastsig.losses.arguments import focal, operands
from fastsig.losses.fast_path import quick
from fastsig.losses.reductions import value, value_and_grad


def sigmoid_focal_loss(
    logits: Any,
    targets: Any,
    *,
    alpha: float | None = 0.25,
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
    alpha : float or None
        In [0, 1]: the share of the positive class. None leaves both classes as they are.
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
    Accuracy: each element at most 4 + 2 * gamma ULP with t of 0 or 1, whether gamma is whole or not, and 5 + 2.5 * gamma with a
    soft t; 1 more with weight. float16 and bfloat16 are computed in float32 and rounded once. Sums as in `bce_with_logits`.

    Source: fastsig/formulas/losses.py; Lin et al., "Focal Loss for Dense Object Detection", 2017.

    Examples
    --------
    >>> import numpy as np
    >>> import fastsig as fs
    >>> logits, targets = np.array([2.0, -1.0, 0.5]), np.array([1, 0, 0])
    >>> fs.sigmoid_focal_loss(logits, targets, reduction="none")
    array([0.00045089, 0.01699354, 0.2830587 ])
    """
    given = (logits, targets, weight, None, mask)
    result = quick(FOCAL, reduction, 0, check, given, backend, threads, out, alpha=alpha, gamma=gamma)
    if result is not NotImplemented:
        return result
    ops = operands("sigmoid_focal_loss", "logits", logits, targets, weight, None, mask)
    return value(ops, FOCAL, focal(ops, alpha, gamma), reduction, check, out, backend, threads)


def sigmoid_focal_loss_value_and_grad(
    logits: Any,
    targets: Any,
    *,
    alpha: float | None = 0.25,
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
    Accuracy: with t of 0 or 1 at most 4 + 2 * gamma ULP, 1 more with weight. With a soft t the derivative has zeros and cancels
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
    given = (logits, targets, weight, None, mask)
    result = quick(FOCAL, reduction, WITH_GRAD, check, given, backend, threads, out, grad_out, alpha=alpha, gamma=gamma)
    if result is not NotImplemented:
        return result  # type: ignore[no-any-return]
    ops = operands("sigmoid_focal_loss_value_and_grad", "logits", logits, targets, weight, None, mask)
    return value_and_grad(ops, FOCAL, focal(ops, alpha, gamma), reduction, check, out, grad_out, backend, threads)
