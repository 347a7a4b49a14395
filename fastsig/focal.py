"""Focal loss: cross-entropy that counts less where the prediction is already right; options and sums as in ``losses``."""

from __future__ import annotations

from typing import Any

from . import passes
from .plans import FOCAL
from .reductions import WITH_GRAD, focal, quick, value, value_and_grad


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
        Of the logits' dtype. Note that torchvision's function defaults to reduction="none".

    Notes
    -----
    Accuracy: each element at most 4 + 2 * gamma ULP with t of 0 or 1, whether gamma is whole or not, and 5 + 2.5 * gamma with a
    soft t; 1 more with weight. float16 and bfloat16 are computed in float32 and rounded once. Sums as in `bce_with_logits`.

    Raises
    ------
    ValueError, TypeError
        As in `bce_with_logits`, and ValueError for alpha or gamma out of range.

    Source: fastsig/formulas/losses.py; Lin et al., "Focal Loss for Dense Object Detection", 2017.
    """
    operands = (logits, targets, weight, None, mask)
    result = quick(FOCAL, reduction, 0, check, operands, backend, threads, out, alpha=alpha, gamma=gamma)
    if result is not NotImplemented:
        return result
    ops = passes.operands("sigmoid_focal_loss", "logits", logits, targets, weight, None, mask)
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
        As in `sigmoid_focal_loss`; the logits have the elements' full shape.
    grad_out : ndarray, optional
        Takes the gradient; of the logits' shape and dtype. It may be ``logits`` itself.

    Returns
    -------
    loss : scalar or ndarray
        As of `sigmoid_focal_loss`.
    grad : ndarray
        The gradient of the reduced loss with respect to the logits; with "none" the elementwise derivative.

    Notes
    -----
    Accuracy: with t of 0 or 1 at most 4 + 2 * gamma ULP, 1 more with weight. With a soft t the derivative has zeros and cancels
    near them.

    Raises
    ------
    ValueError, TypeError
        As in `sigmoid_focal_loss`.

    Source: fastsig/formulas/losses.py.
    """
    operands = (logits, targets, weight, None, mask)
    result = quick(FOCAL, reduction, WITH_GRAD, check, operands, backend, threads, out, grad_out, alpha=alpha, gamma=gamma)
    if result is not NotImplemented:
        return result  # type: ignore[no-any-return]
    ops = passes.operands("sigmoid_focal_loss_value_and_grad", "logits", logits, targets, weight, None, mask)
    return value_and_grad(ops, FOCAL, focal(ops, alpha, gamma), reduction, check, out, grad_out, backend, threads)
