"""Objectives and metrics for XGBoost and LightGBM: cross-entropy and focal loss with exact derivatives.

Each library has two ways to call an objective, so there are two factories for each: of ``train``, which gives the data set, and of the
scikit-learn classes, which give labels and weights. docs/boosting.md shows which goes where.

Examples
--------
>>> import numpy as np
>>> import xgboost
>>> from fastsig.interop.boosting import xgboost_objective
>>> data = xgboost.DMatrix(np.arange(8.0)[:, None], label=[0, 0, 0, 1, 0, 1, 1, 1])
>>> model = xgboost.train({"max_depth": 1}, data, 5, obj=xgboost_objective(alpha=0.5, gamma=2.0))
"""

from __future__ import annotations

import importlib
import math
import sys
from collections import deque
from typing import Any

import numpy as np

import fastsig as fs

__all__ = [
    "lightgbm_metric",
    "lightgbm_objective",
    "lightgbm_sklearn_metric",
    "lightgbm_sklearn_objective",
    "xgboost_base_score",
    "xgboost_metric",
    "xgboost_objective",
    "xgboost_sklearn_metric",
    "xgboost_sklearn_objective",
]

_EXTRA = "pip install 'fastsig-kernels[boosting]'"


def _need(function: str, library: str) -> None:
    """An objective without its library is of no use, and it is better said where it is made than from inside a training."""
    try:
        importlib.import_module(library)
    except ImportError as error:
        raise ImportError(f"fastsig.interop.boosting.{function} needs {library}: {_EXTRA}") from error


# ---- the loss of margins ----


class _Loss:
    """Cross-entropy, or focal loss where there is a gamma, of margins and labels as the libraries have them."""

    def __init__(self, function: str, pos_weight: Any, label_smoothing: float, alpha: Any, gamma: float | None) -> None:
        if gamma is None and alpha is not None:
            raise ValueError(f"{function}: alpha={alpha!r} is of the focal loss; give gamma too, or pos_weight in place of alpha")
        if gamma is not None and pos_weight is not None:
            raise ValueError(f"{function}: pos_weight={pos_weight!r} is of cross-entropy; with gamma, alpha weighs the positive class")
        self.name = "bce" if gamma is None else "focal"
        self.label_smoothing = label_smoothing
        self.options = {"pos_weight": pos_weight} if gamma is None else {"alpha": alpha, "gamma": gamma}
        try:  # a number out of its range is named now
            self.derivatives(np.zeros((1, *np.shape(pos_weight if gamma is None else alpha))), np.zeros(1), None)
        except (ValueError, TypeError) as error:
            raise type(error)(f"{function}: {str(error).partition(': ')[2]}") from None

    def _arguments(self, margins: Any, labels: Any, weight: Any) -> tuple[Any, dict[str, Any]]:
        """Targets of the margins' shape, and options."""
        targets = targets_of(margins, labels)
        options = {**self.options, "weight": weight if weight is None or margins.ndim == 1 else weight[:, None]}
        if self.name == "bce":
            return targets, {**options, "label_smoothing": self.label_smoothing}
        if not self.label_smoothing:
            return targets, options
        fs.bce_with_logits(0.0, 0.0, label_smoothing=self.label_smoothing)  # which says if it is out of range
        return targets * (1 - self.label_smoothing) + self.label_smoothing / 2, options

    def derivatives(self, margins: Any, labels: Any, weight: Any, **how: Any) -> tuple[Any, Any]:
        targets, options = self._arguments(margins, labels, weight)
        function = fs.bce_with_logits_grad_hess if self.name == "bce" else fs.sigmoid_focal_loss_grad_hess
        return function(margins, targets, **options, **how)

    def mean(self, margins: Any, labels: Any, weight: Any, threads: int | None) -> float:
        """As the libraries average their own: over the weights."""
        targets, options = self._arguments(margins, labels, weight)
        function = fs.bce_with_logits if self.name == "bce" else fs.sigmoid_focal_loss
        return float(function(margins, targets, reduction="weighted_mean", threads=threads, **options))


def targets_of(margins: Any, labels: Any) -> Any:
    """The labels in the shape of the margins (N,) or (N, C): as they are, or of classes 0 to C - 1 a column for each, which is one against
    the rest."""
    labels = np.asarray(labels)
    if labels.size == margins.size:
        return labels.reshape(margins.shape)
    if margins.ndim == 2 and labels.shape == margins.shape[:1]:
        return labels[:, None] == np.arange(margins.shape[1])
    raise ValueError(
        f"fastsig.interop.boosting: labels of shape {labels.shape} do not go with predictions of shape {margins.shape}; "
        "give a label for each prediction, or classes from 0 on, one a row"
    )


# ---- what the libraries call ----


class _Made:
    """What a factory makes: keeps its loss and options, prints as its call, and can be pickled and copied."""

    def __init__(self, call: str, loss: _Loss, threads: int | None, labels: Any = None) -> None:
        self._call, self._loss, self._threads, self._labels = call, loss, threads, labels
        self.__name__ = loss.name  # what XGBoost prints

    def __repr__(self) -> str:
        return self._call

    def _labels_of(self, data: Any) -> Any:
        return data.get_label() if self._labels is None else self._labels


class _Objective(_Made):
    """Gradient and hessian, in memory that is written again once nobody else refers to it: new memory may take longer than the loss."""

    def __init__(self, call: str, loss: _Loss, threads: int | None, min_hessian: float, labels: Any = None) -> None:
        super().__init__(call, loss, threads, labels)
        self._least = min_hessian
        self._kept: deque[tuple[Any, Any]] = deque(maxlen=1)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": deque(maxlen=1)}

    def _memory(self, like: Any) -> tuple[Any, Any]:
        """Two arrays like this one."""
        try:
            grad, hess = self._kept.pop()  # so that no other thread finds them
        except IndexError:
            return np.empty_like(like), np.empty_like(like)
        alone = sys.getrefcount(grad) == sys.getrefcount(hess) == _REFERENCES
        alike = (grad.shape, grad.strides, grad.dtype) == (like.shape, like.strides, like.dtype)
        return (grad, hess) if alone and alike else (np.empty_like(like), np.empty_like(like))

    def _derivatives(self, margins: Any, labels: Any, weight: Any) -> tuple[Any, Any]:
        margins = np.asarray(margins)
        if margins.dtype.kind != "f":
            margins = margins.astype(np.float64)
        grad, hess = self._memory(margins)
        self._loss.derivatives(margins, labels, weight, threads=self._threads, grad_out=grad, hess_out=hess)
        if not hess.min(initial=math.inf) >= self._least:  # a look takes a fifth of the time of writing
            np.maximum(hess, hess.dtype.type(self._least), out=hess)
        self._kept.append((grad, hess))
        return grad, hess


def _references() -> int:
    """What ``sys.getrefcount`` says of an object that only one local name refers to: 2, and 1 from Python 3.14 on."""
    kept = [(np.empty(0), np.empty(0))]
    first, second = kept.pop()
    return min(sys.getrefcount(first), sys.getrefcount(second))


_REFERENCES = _references()


class _TrainObjective(_Objective):
    def __call__(self, margins: Any, data: Any) -> tuple[Any, Any]:
        return self._derivatives(margins, self._labels_of(data), _weight_of(data))


class _EstimatorObjective(_Objective):
    """XGBoost names the weights where there are some; LightGBM counts the arguments, and gives all three."""

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> tuple[Any, Any]:
        return self._derivatives(y_pred, y_true, sample_weight)


class _XGBoostMetric(_Made):
    def __call__(self, predt: Any, data: Any) -> tuple[str, float]:
        return self.__name__, self._loss.mean(np.asarray(predt), self._labels_of(data), _weight_of(data), self._threads)


class _XGBoostEstimatorMetric(_Made):
    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> float:
        return self._loss.mean(np.asarray(y_pred), y_true, sample_weight, self._threads)


class _LightGBMMetric(_Made):
    def __call__(self, preds: Any, eval_data: Any) -> tuple[str, float, bool]:
        return self.__name__, self._loss.mean(np.asarray(preds), self._labels_of(eval_data), _weight_of(eval_data), self._threads), False


class _LightGBMEstimatorMetric(_Made):
    def __call__(self, y_true: Any, y_pred: Any, weight: Any) -> tuple[str, float, bool]:
        return self.__name__, self._loss.mean(np.asarray(y_pred), y_true, weight, self._threads), False


def _weight_of(data: Any) -> Any:
    """Of a data set; None where it has none, which XGBoost says with an empty array."""
    weight = data.get_weight()
    return None if weight is None or not len(weight) else np.asarray(weight)


# ---- factories ----


def _made(kind: Any, function: str, library: str, given: dict[str, Any]) -> Any:
    """An objective or a metric of this kind, of the options that the factory was called with."""
    _need(function, library)
    options = dict(given)
    call = f"{function}({', '.join(f'{name}={value!r}' for name, value in options.items() if value is not None)})"
    loss = _Loss(function, *(options.pop(name) for name in ("pos_weight", "label_smoothing", "alpha", "gamma")))
    if "min_hessian" in options:
        least = options["min_hessian"]
        if isinstance(least, bool) or not isinstance(least, (int, float, np.number)) or not 0 <= least < math.inf:
            raise ValueError(f"{function}: min_hessian={least!r} must be a finite number, at least 0")
    if options.get("labels") is not None:
        options["labels"] = np.asarray(options["labels"])
    return kind(call, loss, **options)


def xgboost_objective(
    *,
    pos_weight: Any = None,
    label_smoothing: float = 0.0,
    alpha: Any = None,
    gamma: float | None = None,
    min_hessian: float = 1e-16,
    threads: int | None = None,
) -> Any:
    """The objective for ``xgboost.train(..., obj=)``: cross-entropy, or with gamma the focal loss.

    ``max(d2 loss/dx2, min_hessian)`` and ``d loss/dx`` of each margin x, weighed by the DMatrix's weights.

    Parameters
    ----------
    pos_weight : array_like, optional
        What positive labels weigh in cross-entropy, as XGBoost's scale_pos_weight; of shape (C,) one for each of C labels.
    label_smoothing : float
        In [0, 1): labels t become ``t * (1 - label_smoothing) + label_smoothing / 2``.
    alpha : float or array_like, optional
        Of the focal loss, in [0, 1]: the share of the positive class; of shape (C,) one for each of C labels. None weighs both alike.
    gamma : float, optional
        Of the focal loss: how much less an example counts that is right already. None is cross-entropy.
    min_hessian : float
        The least hessian: the focal loss has negative ones, with which no tree can be grown.
    threads : int, optional
        As in `fastsig.bce_with_logits`.

    Returns
    -------
    callable
        ``objective(predt, dtrain) -> (grad, hess)`` of predt's shape and dtype. Labels of shape (N, C) are C labels a row; one-dimensional
        labels with ``num_class`` C are classes from 0 on, each against the rest. It can be pickled, and called in any number of threads.

    Raises
    ------
    ImportError
        XGBoost is not installed.
    ValueError
        An option is out of its range, or is of the other loss; from the objective, a label outside [0, 1] or a negative weight.

    See Also
    --------
    xgboost_metric : the loss that goes with it.
    xgboost_base_score : the margin to begin with, which an objective cannot set.
    xgboost_sklearn_objective : for ``XGBClassifier``.

    Notes
    -----
    Accuracy: that of `fastsig.bce_with_logits_grad_hess` and `fastsig.sigmoid_focal_loss_grad_hess`.

    Source: fastsig/interop/boosting.py.

    Examples
    --------
    >>> import numpy as np
    >>> import xgboost
    >>> labels = np.array([0, 0, 0, 1, 0, 1, 1, 1])
    >>> data = xgboost.DMatrix(np.arange(8.0)[:, None], label=labels)
    >>> parameters = {"max_depth": 1, "base_score": xgboost_base_score(labels)}
    >>> model = xgboost.train(parameters, data, 5, obj=xgboost_objective(pos_weight=2.0))
    >>> margins = model.predict(data)
    """
    return _made(_TrainObjective, "xgboost_objective", "xgboost", locals())


def xgboost_metric(
    *, pos_weight: Any = None, label_smoothing: float = 0.0, alpha: Any = None, gamma: float | None = None, threads: int | None = None
) -> Any:
    """The mean loss for ``xgboost.train(..., custom_metric=)``, beside `xgboost_objective`: of raw margins, over the weights.

    Parameters
    ----------
    pos_weight, label_smoothing, alpha, gamma, threads
        As in `xgboost_objective`.

    Returns
    -------
    callable
        ``metric(predt, data) -> (name, loss)``, the name "bce" or "focal".

    Raises
    ------
    ImportError, ValueError
        As in `xgboost_objective`.

    Examples
    --------
    >>> xgboost_metric(gamma=2.0)
    xgboost_metric(label_smoothing=0.0, gamma=2.0)
    """
    return _made(_XGBoostMetric, "xgboost_metric", "xgboost", locals())


def xgboost_sklearn_objective(
    *,
    pos_weight: Any = None,
    label_smoothing: float = 0.0,
    alpha: Any = None,
    gamma: float | None = None,
    min_hessian: float = 1e-16,
    threads: int | None = None,
) -> Any:
    """The objective for ``xgboost.XGBClassifier(objective=)``, with the weights of ``fit(..., sample_weight=)``.

    Parameters
    ----------
    pos_weight, label_smoothing, alpha, gamma, min_hessian, threads
        As in `xgboost_objective`.

    Returns
    -------
    callable
        ``objective(y_true, y_pred, sample_weight=None) -> (grad, hess)``.

    Raises
    ------
    ImportError, ValueError
        As in `xgboost_objective`.

    Notes
    -----
    ``XGBClassifier`` takes ``base_score`` as a probability: ``xgboost_base_score(labels, kind="probability")``.

    Examples
    --------
    >>> import numpy as np
    >>> import xgboost
    >>> x, labels = np.arange(8.0)[:, None], np.array([0, 0, 0, 1, 0, 1, 1, 1])
    >>> model = xgboost.XGBClassifier(n_estimators=5, objective=xgboost_sklearn_objective(alpha=0.5, gamma=2.0)).fit(x, labels)
    >>> probabilities = model.predict_proba(x)
    """
    return _made(_EstimatorObjective, "xgboost_sklearn_objective", "xgboost", locals())


def xgboost_sklearn_metric(
    *, pos_weight: Any = None, label_smoothing: float = 0.0, alpha: Any = None, gamma: float | None = None, threads: int | None = None
) -> Any:
    """The mean loss for ``xgboost.XGBClassifier(eval_metric=)``, beside `xgboost_sklearn_objective`: of raw margins.

    Parameters
    ----------
    pos_weight, label_smoothing, alpha, gamma, threads
        As in `xgboost_objective`.

    Returns
    -------
    callable
        ``metric(y_true, y_pred, sample_weight=None) -> loss``.

    Raises
    ------
    ImportError, ValueError
        As in `xgboost_objective`.

    Examples
    --------
    >>> print(f"{xgboost_sklearn_metric()([0, 1], np.array([-2.0, 2.0])):.6f}")
    0.126928
    """
    return _made(_XGBoostEstimatorMetric, "xgboost_sklearn_metric", "xgboost", locals())


def lightgbm_objective(
    *,
    pos_weight: Any = None,
    label_smoothing: float = 0.0,
    alpha: Any = None,
    gamma: float | None = None,
    min_hessian: float = 1e-16,
    labels: Any = None,
    threads: int | None = None,
) -> Any:
    """The objective for ``lightgbm.train({"objective": ...}, ...)``, with the Dataset's weights.

    Parameters
    ----------
    pos_weight, label_smoothing, alpha, gamma, min_hessian, threads
        As in `xgboost_objective`.
    labels : array_like, optional
        For several labels a row, which a LightGBM Dataset cannot hold: of shape (N, C), with ``num_class`` C, in place of the Dataset's.

    Returns
    -------
    callable
        ``objective(preds, train_data) -> (grad, hess)``. With ``num_class`` C and the Dataset's own labels, these are classes from 0 on,
        each against the rest.

    Raises
    ------
    ImportError, ValueError
        As in `xgboost_objective`, of LightGBM.

    See Also
    --------
    lightgbm_metric : the loss that goes with it.
    lightgbm_sklearn_objective : for ``LGBMClassifier``.

    Notes
    -----
    LightGBM does not begin at the mean with an objective of ours: give ``Dataset(init_score=)`` where it should.

    Source: fastsig/interop/boosting.py.

    Examples
    --------
    >>> import numpy as np
    >>> import lightgbm
    >>> data = lightgbm.Dataset(np.arange(80.0)[:, None], np.arange(80) > 50)
    >>> parameters = {"objective": lightgbm_objective(gamma=2.0), "verbose": -1}
    >>> scores = lightgbm.train(parameters, data, 5).predict(np.arange(80.0)[:, None])
    """
    return _made(_TrainObjective, "lightgbm_objective", "lightgbm", locals())


def lightgbm_metric(
    *,
    pos_weight: Any = None,
    label_smoothing: float = 0.0,
    alpha: Any = None,
    gamma: float | None = None,
    labels: Any = None,
    threads: int | None = None,
) -> Any:
    """The mean loss for ``lightgbm.train(..., feval=)``, beside `lightgbm_objective`: of raw scores, over the weights.

    Parameters
    ----------
    pos_weight, label_smoothing, alpha, gamma, labels, threads
        As in `lightgbm_objective`; ``labels`` are those of the one data set that is looked at.

    Returns
    -------
    callable
        ``metric(preds, eval_data) -> (name, loss, False)``.

    Raises
    ------
    ImportError, ValueError
        As in `lightgbm_objective`.

    Examples
    --------
    >>> lightgbm_metric(pos_weight=3.0)
    lightgbm_metric(pos_weight=3.0, label_smoothing=0.0)
    """
    return _made(_LightGBMMetric, "lightgbm_metric", "lightgbm", locals())


def lightgbm_sklearn_objective(
    *,
    pos_weight: Any = None,
    label_smoothing: float = 0.0,
    alpha: Any = None,
    gamma: float | None = None,
    min_hessian: float = 1e-16,
    threads: int | None = None,
) -> Any:
    """The objective for ``lightgbm.LGBMClassifier(objective=)``, with the weights of ``fit(..., sample_weight=)``.

    Parameters
    ----------
    pos_weight, label_smoothing, alpha, gamma, min_hessian, threads
        As in `xgboost_objective`.

    Returns
    -------
    callable
        ``objective(y_true, y_pred, weight) -> (grad, hess)``.

    Raises
    ------
    ImportError, ValueError
        As in `lightgbm_objective`.

    Notes
    -----
    With any objective that is not its own, ``LGBMClassifier.predict_proba`` returns raw scores: `fastsig.sigmoid` of them is the
    probability.

    Examples
    --------
    >>> import numpy as np
    >>> import lightgbm
    >>> x, labels = np.arange(80.0)[:, None], np.arange(80) > 50
    >>> model = lightgbm.LGBMClassifier(n_estimators=5, objective=lightgbm_sklearn_objective(), verbose=-1).fit(x, labels)
    >>> probabilities = fs.sigmoid(model.predict(x, raw_score=True))
    """
    return _made(_EstimatorObjective, "lightgbm_sklearn_objective", "lightgbm", locals())


def lightgbm_sklearn_metric(
    *, pos_weight: Any = None, label_smoothing: float = 0.0, alpha: Any = None, gamma: float | None = None, threads: int | None = None
) -> Any:
    """The mean loss for ``lightgbm.LGBMClassifier.fit(eval_metric=)``, beside `lightgbm_sklearn_objective`: of raw scores.

    Parameters
    ----------
    pos_weight, label_smoothing, alpha, gamma, threads
        As in `xgboost_objective`.

    Returns
    -------
    callable
        ``metric(y_true, y_pred, weight) -> (name, loss, False)``.

    Raises
    ------
    ImportError, ValueError
        As in `lightgbm_objective`.

    Examples
    --------
    >>> name, loss, higher_is_better = lightgbm_sklearn_metric()([0, 1], np.array([-2.0, 2.0]), None)
    >>> print(f"{name} {loss:.6f}")
    bce 0.126928
    """
    return _made(_LightGBMEstimatorMetric, "lightgbm_sklearn_metric", "lightgbm", locals())


def xgboost_base_score(
    labels: Any, weight: Any = None, *, pos_weight: Any = None, label_smoothing: float = 0.0, kind: str = "margin"
) -> Any:
    """XGBoost's ``base_score`` for these labels: where its own logistic objective begins, and an objective of ours cannot.

    ``logit(mean(labels))``, the margin at which cross-entropy is least before there is any tree.

    Parameters
    ----------
    labels : array_like
        In [0, 1], of shape (N,) or (N, C).
    weight : array_like, optional
        Of each row, not negative.
    pos_weight, label_smoothing
        As in `xgboost_objective`, if they are given there.
    kind : {"margin", "probability"}
        XGBoost reads ``base_score`` as its objective's parameter says: as a margin in ``train`` with ``obj=`` alone; as a probability
        where ``"objective": "binary:logistic"`` is given beside ``obj=``, and in ``XGBClassifier``.

    Returns
    -------
    float or list of float
        One number; of labels of shape (N, C) a list of C.

    Raises
    ------
    ValueError
        A label is outside [0, 1]; the labels that count are all 0 or all 1, whose margin is infinite; weight is negative or of another
        length; unknown kind.

    See Also
    --------
    xgboost_objective : what it is for.

    Examples
    --------
    >>> print(f"{xgboost_base_score([0, 0, 0, 1]):.6f}")
    -1.098612
    >>> xgboost_base_score([0, 0, 0, 1], kind="probability")
    0.25
    """
    name = "xgboost_base_score"
    if kind not in ("margin", "probability"):
        raise ValueError(f"{name}: kind={kind!r} is unknown; it is one of 'margin', 'probability'")
    targets = np.asarray(labels, np.float64)
    if targets.ndim not in (1, 2):
        raise ValueError(f"{name}: labels of shape {targets.shape} are no rows; give them of shape (N,) or (N, C)")
    if not ((targets >= 0) & (targets <= 1)).all():
        raise ValueError(f"{name}: labels must lie in [0, 1] and not be NaN")
    rows = np.ones(len(targets)) if weight is None else np.asarray(weight, np.float64)
    if rows.shape != targets.shape[:1]:
        raise ValueError(f"{name}: weight of shape {rows.shape} does not go with {len(targets)} rows of labels; give one a row")
    if not ((rows >= 0) & (rows < math.inf)).all():
        raise ValueError(f"{name}: weight must be finite and not negative")
    _Loss(name, pos_weight, label_smoothing, None, None)  # which refuses what is out of range
    keep, floor = 1 - label_smoothing, label_smoothing / 2
    positive = (rows @ (targets * keep + floor)) * (1 if pos_weight is None else np.asarray(pos_weight))
    negative = rows @ ((1 - targets) * keep + floor)
    if np.any(positive == 0) or np.any(negative == 0):
        raise ValueError(f"{name}: the labels that count are all 0 or all 1, whose margin is infinite; give base_score yourself")
    share = positive / (positive + negative)
    found = np.asarray(share if kind == "probability" else np.log(positive / negative))
    return found.tolist()
