"""Objectives, metrics and base scores in trainings of XGBoost and LightGBM on real data, and what they refuse."""

from __future__ import annotations

import copy
import doctest
import inspect
import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import error_of, printed

import fastsig as fs

xgboost = pytest.importorskip("xgboost")
lightgbm = pytest.importorskip("lightgbm")
datasets = pytest.importorskip("sklearn.datasets")

from fastsig.interop import boosting  # noqa: E402

X, Y = datasets.load_breast_cancer(return_X_y=True)
W = np.random.default_rng(0).uniform(0.5, 2, Y.size).astype(np.float32)
LABELS = np.stack([Y, 1 - Y, X[:, 0] > 14], axis=1)
XGB: dict[str, Any] = {"max_depth": 4, "eta": 0.3, "nthread": 1, "seed": 0}
LGB: dict[str, Any] = {"verbose": -1, "num_threads": 1, "deterministic": True, "force_row_wise": True, "seed": 0}
EACH_WEIGHT = pytest.mark.parametrize("weight", [None, W], ids=["unweighted", "weighted"])
SAME_MARGIN = 2e-5
"""Of logistic objectives in float32: after 30 rounds margins of up to 8 differ by some of their last bits."""

OBJECTIVES = ["xgboost_objective", "xgboost_sklearn_objective", "lightgbm_objective", "lightgbm_sklearn_objective"]
METRICS = [name.replace("objective", "metric") for name in OBJECTIVES]
FACTORIES = OBJECTIVES + METRICS


def called(name: str, margins: Any, labels: Any, weight: Any = None, **options: Any) -> Any:
    """An objective or metric as its library calls it."""
    made = getattr(boosting, name)(**options)
    if "sklearn" in name:
        return made(labels, margins, weight)
    data = xgboost.DMatrix(X[: len(labels)], labels, weight=weight) if "xgboost" in name else Dataset(labels, weight)
    return made(margins, data)


class Dataset:
    """As LightGBM's, which cannot be asked before a training."""

    def __init__(self, labels: Any, weight: Any) -> None:
        self.labels, self.weight = labels, weight

    def get_label(self) -> Any:
        return self.labels

    def get_weight(self) -> Any:
        return self.weight


# ---- as the libraries' own ----


@EACH_WEIGHT
def test_xgboost_trains_the_model_of_its_own_logistic_objective(weight: Any) -> None:
    data = xgboost.DMatrix(X, Y, weight=weight)
    own = xgboost.train({**XGB, "objective": "binary:logistic"}, data, 30).predict(data, output_margin=True)
    start = boosting.xgboost_base_score(Y, weight)
    ours = xgboost.train({**XGB, "base_score": start}, data, 30, obj=boosting.xgboost_objective()).predict(data)
    assert np.abs(ours - own).max() < SAME_MARGIN
    far = xgboost.train(XGB, data, 30, obj=boosting.xgboost_objective()).predict(data)
    assert np.abs(far - own).max() > 10 * SAME_MARGIN, "without the base score it is another model"


@EACH_WEIGHT
def test_named_beside_the_objective_xgboost_predicts_probabilities(weight: Any) -> None:
    data = xgboost.DMatrix(X, Y, weight=weight)
    named = {**XGB, "objective": "binary:logistic"}
    own = xgboost.train(named, data, 30)
    start = boosting.xgboost_base_score(Y, weight, kind="probability")
    ours = xgboost.train({**named, "base_score": start}, data, 30, obj=boosting.xgboost_objective())
    assert np.abs(ours.predict(data, output_margin=True) - own.predict(data, output_margin=True)).max() < SAME_MARGIN
    assert np.abs(ours.predict(data) - own.predict(data)).max() < 1e-6


@EACH_WEIGHT
def test_the_classifier_of_xgboost(weight: Any) -> None:
    how: dict[str, Any] = {"n_estimators": 30, "max_depth": 4, "learning_rate": 0.3, "n_jobs": 1}
    own = xgboost.XGBClassifier(**how).fit(X, Y, sample_weight=weight)
    start = boosting.xgboost_base_score(Y, weight, kind="probability")
    objective, metric = boosting.xgboost_sklearn_objective(), boosting.xgboost_sklearn_metric()
    ours = xgboost.XGBClassifier(**how, base_score=start, objective=objective, eval_metric=metric)
    ours.fit(X, Y, sample_weight=weight, eval_set=[(X, Y)], verbose=False)
    assert np.abs(ours.predict(X, output_margin=True) - own.predict(X, output_margin=True)).max() < SAME_MARGIN
    assert (ours.predict(X) == own.predict(X)).all()
    last = ours.evals_result()["validation_0"]["bce"][-1]
    assert last == pytest.approx(fs.bce_with_logits(ours.predict(X, output_margin=True), Y), rel=1e-3)


@EACH_WEIGHT
def test_lightgbm_trains_the_bits_of_its_own_binary_objective(weight: Any) -> None:
    own = lightgbm.train({**LGB, "objective": "binary", "boost_from_average": False}, lightgbm.Dataset(X, Y, weight=weight), 30)
    ours = lightgbm.train({**LGB, "objective": boosting.lightgbm_objective()}, lightgbm.Dataset(X, Y, weight=weight), 30)
    assert ours.predict(X).tobytes() == own.predict(X, raw_score=True).tobytes()
    estimator = lightgbm.LGBMClassifier(n_estimators=30, objective=boosting.lightgbm_sklearn_objective(), **LGB)
    estimator.fit(X, Y, sample_weight=weight, eval_X=X, eval_y=Y, eval_metric=boosting.lightgbm_sklearn_metric())
    assert estimator.predict(X, raw_score=True).tobytes() == own.predict(X, raw_score=True).tobytes()
    assert estimator.evals_result_["valid_0"]["bce"][-1] == pytest.approx(fs.bce_with_logits(own.predict(X, raw_score=True), Y))


@pytest.mark.parametrize("strategy", ["one_output_per_tree", "multi_output_tree"])
def test_several_labels_a_row_in_xgboost(strategy: str) -> None:
    data = xgboost.DMatrix(X, LABELS, weight=W)
    start = boosting.xgboost_base_score(LABELS, W)
    assert start == [boosting.xgboost_base_score(LABELS[:, column], W) for column in range(3)]
    parameters = {**XGB, "num_target": 3, "base_score": start, "multi_strategy": strategy}
    ours = xgboost.train(parameters, data, 30, obj=boosting.xgboost_objective()).predict(data)
    own = xgboost.train({**XGB, "objective": "binary:logistic", "multi_strategy": strategy}, data, 30).predict(data, output_margin=True)
    assert np.abs(ours - own).max() < SAME_MARGIN
    focal = boosting.xgboost_objective(alpha=[0.25, 0.5, 0.75], gamma=1.0)
    margins = xgboost.train({**XGB, "num_target": 3, "base_score": 0.0}, data, 30, obj=focal).predict(data)
    assert ((margins > 0) == LABELS).mean() > 0.95


def test_several_labels_a_row_in_lightgbm() -> None:
    objective, metric = boosting.lightgbm_objective(labels=LABELS), boosting.lightgbm_metric(labels=LABELS)
    data = lightgbm.Dataset(X, Y, weight=W)
    model = lightgbm.train({**LGB, "objective": objective, "num_class": 3}, data, 30, valid_sets=[data], feval=metric)
    scores = model.predict(X)
    assert ((scores > 0) == LABELS).mean() > 0.99
    one = lightgbm.train({**LGB, "objective": boosting.lightgbm_objective()}, lightgbm.Dataset(X, LABELS[:, 2], weight=W), 30)
    assert scores[:, 2].tobytes() == one.predict(X).tobytes()
    loss = fs.bce_with_logits(scores, LABELS, weight=W[:, None], reduction="weighted_mean")
    assert model.best_score["training"]["bce"] == pytest.approx(loss)


def test_classes_are_each_against_the_rest() -> None:
    classes = np.arange(Y.size) % 3
    margins = np.random.default_rng(1).normal(size=(Y.size, 3))
    for order in ("C", "F"):
        grad, hess = called("lightgbm_objective", np.asarray(margins, order=order), classes, W)
        want = fs.bce_with_logits_grad_hess(margins, np.eye(3)[classes], weight=W[:, None])
        assert (grad.tobytes(), hess.tobytes()) == (want[0].tobytes(), want[1].tobytes())


# ---- derivatives and options ----


@pytest.mark.parametrize("name", OBJECTIVES)
@EACH_WEIGHT
def test_derivatives_are_those_of_the_functions(name: str, weight: Any) -> None:
    margins = np.linspace(-9, 9, Y.size).astype(np.float32)
    floor = np.float32(1e-16)
    cases: list[tuple[dict[str, Any], Any]] = [
        ({"pos_weight": 3.0, "label_smoothing": 0.1}, fs.bce_with_logits_grad_hess),
        ({"alpha": 0.3, "gamma": 1.5}, fs.sigmoid_focal_loss_grad_hess),
        ({"gamma": 2.0}, lambda *a, **o: fs.sigmoid_focal_loss_grad_hess(*a, alpha=None, **o)),
    ]
    for options, function in cases:
        grad, hess = called(name, margins, Y, weight, **options)
        want = function(margins, Y, weight=weight, **options)
        assert grad.tobytes() == want[0].tobytes()
        assert hess.tobytes() == np.maximum(want[1], floor).tobytes()
        assert grad.dtype == hess.dtype == np.float32


def test_the_hessian_has_a_floor() -> None:
    margins = np.float32([-200.0, 0.0, 5.0])
    for least in (0.0, 1e-16, 0.01):
        hess = called("xgboost_sklearn_objective", margins, np.zeros(3), gamma=2.0, min_hessian=least)[1]
        free = fs.sigmoid_focal_loss_grad_hess(margins, np.zeros(3), alpha=None, gamma=2.0)[1]
        assert free[2] < 0
        assert hess.tolist() == [np.float32(least), free[1], np.float32(least)]


def test_smoothed_labels_of_the_focal_loss() -> None:
    margins = np.linspace(-5, 5, Y.size)
    got = called("lightgbm_sklearn_objective", margins, Y, label_smoothing=0.2, gamma=2.0, min_hessian=0.0)
    want = fs.sigmoid_focal_loss_grad_hess(margins, Y * 0.8 + 0.1, alpha=None, gamma=2.0)
    assert got[0].tobytes() == want[0].tobytes()
    assert got[1].tobytes() == np.maximum(want[1], 0).tobytes()


@pytest.mark.parametrize("name", METRICS)
@EACH_WEIGHT
def test_metrics_are_means_over_the_weights(name: str, weight: Any) -> None:
    margins = np.linspace(-9, 9, Y.size)
    for options, function in (({"pos_weight": 2.0}, fs.bce_with_logits), ({"alpha": 0.3, "gamma": 2.0}, fs.sigmoid_focal_loss)):
        result = called(name, margins, Y, weight, **options)
        value = function(margins, Y, weight=weight, reduction="weighted_mean", **options)
        title = "bce" if "pos_weight" in options else "focal"
        assert result == {"xgboost_metric": (title, value), "xgboost_sklearn_metric": value}.get(name, (title, value, False))


def test_xgboost_reports_the_metric_and_stops_by_it() -> None:
    data, seen = xgboost.DMatrix(X, Y), {}
    how: dict[str, Any] = {"obj": boosting.xgboost_objective(gamma=2.0), "custom_metric": boosting.xgboost_metric(gamma=2.0)}
    model = xgboost.train(XGB, data, 5, evals=[(data, "train")], evals_result=seen, verbose_eval=False, **how)
    want = fs.sigmoid_focal_loss(model.predict(data), Y, alpha=None)
    assert seen["train"]["focal"][-1] == pytest.approx(want, rel=1e-3)


# ---- the base score ----


def test_base_scores() -> None:
    assert boosting.xgboost_base_score([0, 1]) == 0
    assert boosting.xgboost_base_score([0, 0, 0, 1], [1, 1, 1, 3]) == 0
    assert boosting.xgboost_base_score([0, 0, 0, 1], pos_weight=3.0) == 0
    assert boosting.xgboost_base_score(Y) == pytest.approx(float(fs.logit(Y.mean())), rel=1e-14)
    assert boosting.xgboost_base_score(Y, kind="probability") == pytest.approx(Y.mean(), rel=1e-15)
    start = boosting.xgboost_base_score(Y, W, pos_weight=2.0, label_smoothing=0.1)
    assert isinstance(start, float)
    slope = fs.bce_with_logits_grad_hess(np.full(Y.size, start), Y, weight=W, pos_weight=2.0, label_smoothing=0.1)[0]
    assert abs(slope.sum()) < 1e-10 * np.abs(slope).sum(), "there the mean loss is least"


@pytest.mark.parametrize(
    ("arguments", "options", "match"),
    [
        (([0, 0],), {}, "all 0 or all 1.*give base_score yourself"),
        (([0, 1], [1, 0]), {}, "all 0 or all 1"),
        (([0, 2],), {}, r"labels must lie in \[0, 1\]"),
        (([0, np.nan],), {}, "labels"),
        (([0, 1], [1, 1, 1]), {}, r"weight of shape \(3,\)"),
        (([0, 1], [1, -1]), {}, "weight must be finite and not negative"),
        ((1.0,), {}, r"labels of shape \(\)"),
        (([0, 1],), {"kind": "odds"}, "kind='odds' is unknown.*'margin', 'probability'"),
        (([0, 1],), {"label_smoothing": 1.0}, "label_smoothing=1.0"),
        (([0, 1],), {"pos_weight": -1.0}, "pos_weight must be"),
    ],
)
def test_base_scores_that_there_are_not(arguments: Any, options: Any, match: str) -> None:
    with pytest.raises(ValueError, match=f"^xgboost_base_score: .*{match}"):
        boosting.xgboost_base_score(*arguments, **options)


# ---- what is refused ----


@pytest.mark.parametrize("name", FACTORIES)
@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"alpha": 0.25}, "alpha=0.25 is of the focal loss; give gamma"),
        ({"pos_weight": 2.0, "gamma": 2.0}, "pos_weight=2.0 is of cross-entropy"),
        ({"gamma": -1.0}, "gamma=-1.0 must be"),
        ({"gamma": 2.0, "alpha": 1.5}, "alpha=1.5 must be"),
        ({"gamma": 2.0, "alpha": [0.5, 1.5]}, "alpha must lie"),
        ({"pos_weight": -1.0}, "pos_weight must be"),
        ({"label_smoothing": 1.0}, "label_smoothing=1.0 must be"),
        ({"label_smoothing": 1.0, "gamma": 1.0}, "label_smoothing=1.0 must be"),
    ],
)
def test_options_are_refused_where_they_are_given(name: str, options: dict[str, Any], match: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: {match}"):
        getattr(boosting, name)(**options)


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("least", [-1e-16, np.inf, np.nan, True, "small"])
def test_a_floor_that_is_none_is_refused(name: str, least: Any) -> None:
    with pytest.raises(ValueError, match=f"^{name}: min_hessian={least!r} must be a finite number, at least 0"):
        getattr(boosting, name)(min_hessian=least)


def test_labels_outside_the_unit_interval_end_the_training() -> None:
    with pytest.raises(ValueError, match=r"targets must lie in \[0, 1\]"):
        xgboost.train(XGB, xgboost.DMatrix(X, Y + 1), 1, obj=boosting.xgboost_objective())
    with pytest.raises(ValueError, match=r"labels of shape \(569, 3\) do not go with predictions of shape \(569,\)"):
        boosting.lightgbm_objective(labels=LABELS)(np.zeros(Y.size), Dataset(Y, None))


@pytest.mark.parametrize("name", FACTORIES)
def test_without_the_library_the_extra_is_named(name: str) -> None:
    library = name.partition("_")[0]
    code = f"sys.modules[{library!r}] = None; from fastsig.interop import boosting; boosting.{name}()"
    want = f"ImportError: fastsig.interop.boosting.{name} needs {library}: pip install 'fastsig-kernels[boosting]'"
    assert error_of(f"import sys; {code}") == want
    other = next(other for other in FACTORIES if not other.startswith(library))
    printed(f"import sys; {code.replace(name, other)}")


def test_the_import_loads_neither_library() -> None:
    assert printed("import fastsig.interop.boosting; print({'xgboost', 'lightgbm', 'sklearn'} & set(sys.modules))") == "set()"


# ---- objects ----


@pytest.mark.parametrize("name", FACTORIES)
def test_what_is_made_can_be_pickled_copied_and_read(name: str) -> None:
    options = {"alpha": 0.25, "gamma": 2.0}
    made = getattr(boosting, name)(**options)
    assert repr(made).startswith(f"{name}(") and "alpha=0.25, gamma=2.0" in repr(made)
    margins = np.linspace(-2, 2, Y.size)
    arguments = (Y, margins, W) if "sklearn" in name else (margins, Dataset(Y, W))
    want = made(*arguments)
    for other in (pickle.loads(pickle.dumps(made)), copy.deepcopy(made)):
        for got, part in zip(np.atleast_1d(other(*arguments)), np.atleast_1d(want), strict=True):
            assert np.all(got == part)


def test_results_are_not_written_again_while_somebody_has_them() -> None:
    objective = boosting.xgboost_sklearn_objective()
    labels, first, second = np.zeros(3), np.array([0.5, 1.0, 1.5]), np.array([2.0, 3.0, 4.0])
    grad, hess = objective(labels, first)
    view, kept = hess[1:], (grad.copy(), hess.copy())
    del hess
    objective(labels, second)
    objective(labels, second)
    assert (grad.tolist(), view.tolist()) == (kept[0].tolist(), kept[1][1:].tolist())
    address = objective(labels, first)[0].ctypes.data
    assert objective(labels, second)[0].ctypes.data == address, "and are where nobody has"


def test_one_objective_serves_many_threads() -> None:
    objective = boosting.xgboost_sklearn_objective(gamma=2.0)
    rows = [np.random.default_rng(seed).normal(size=5000) for seed in range(8)]
    labels = np.arange(5000) % 2
    want = [fs.sigmoid_focal_loss_grad_hess(row, labels, alpha=None)[0].tobytes() for row in rows]
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda row: objective(labels, row)[0], rows * 4))
    assert [grad.tobytes() for grad in got] == want * 4


def test_the_code_of_the_document_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (Path(__file__).parent.parent / "docs" / "boosting.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 3
    names: list[dict[str, Any]] = [{} for _ in blocks]
    for block, found in zip(blocks, names, strict=True):
        exec(block, found)
    assert "train-bce" in capsys.readouterr().out
    assert ((names[0]["probabilities"] > 0.5) == names[0]["y"]).mean() > 0.98
    assert (names[1]["found"] == names[1]["y"]).mean() > 0.99
    assert ((names[2]["model"].predict(names[2]["x"]) > 0) == names[2]["labels"]).mean() > 0.9


@pytest.mark.parametrize("name", [*FACTORIES, "xgboost_base_score"])
def test_everything_public_is_documented(name: str) -> None:
    function = getattr(boosting, name)
    doc = inspect.getdoc(function) or ""
    for heading in ("Parameters", "Returns", "Raises", "Examples"):
        assert f"{heading}\n{'-' * len(heading)}\n" in doc, heading
    described = doc.partition("Parameters\n")[2].partition("Returns\n")[0]
    assert all(parameter in described for parameter in inspect.signature(function).parameters)
    example = doctest.DocTestParser().get_doctest(doc, dict(vars(boosting)), name, None, 0)
    assert example.examples
    assert not doctest.DocTestRunner().run(example).failed
