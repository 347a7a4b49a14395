"""One percent positives: cross-entropy, weighed cross-entropy and the focal loss as objectives of XGBoost and LightGBM.

Prints for each the average precision on rows that were not trained on, where guessing would have 0.01. Training begins at margin 0:
from the margin of the mean, which suits cross-entropy alone, the focal loss and weighed positives make steps that are too long.
"""

from __future__ import annotations

from typing import Any

import lightgbm
import xgboost
from sklearn.datasets import make_classification
from sklearn.metrics import average_precision_score
from sklearn.model_selection import train_test_split

from fastsig.interop import boosting

OBJECTIVES: dict[str, dict[str, Any]] = {
    "cross-entropy": {},
    "positives weigh 20": {"pos_weight": 20.0},
    "focal loss": {"alpha": 0.5, "gamma": 1.0},
}


def table() -> list[Any]:
    x, y = make_classification(20_000, 20, n_informative=8, weights=[0.99], flip_y=0.0, class_sep=0.8, random_state=0)
    return train_test_split(x, y, test_size=0.5, random_state=0, stratify=y)  # type: ignore[no-any-return]


def xgboost_margins(x: Any, y: Any, new: Any, options: dict[str, Any]) -> Any:
    parameters = {"max_depth": 4, "eta": 0.2, "nthread": 1, "base_score": 0.0}
    model = xgboost.train(parameters, xgboost.DMatrix(x, y), 80, obj=boosting.xgboost_objective(**options))
    return model.predict(xgboost.DMatrix(new), output_margin=True)


def lightgbm_margins(x: Any, y: Any, new: Any, options: dict[str, Any]) -> Any:
    parameters = {
        "objective": boosting.lightgbm_objective(**options),
        "max_depth": 4,
        "learning_rate": 0.2,
        "num_threads": 1,
        "verbose": -1,
    }
    return lightgbm.train(parameters, lightgbm.Dataset(x, y), 80).predict(new)


def main() -> None:
    x, new, y, truth = table()
    print(f"{len(y)} rows, {y.mean():.1%} positives")
    print(f"{'objective':20}{'library':>10}{'precision':>11}")
    for name, options in OBJECTIVES.items():
        for library, margins_of in (("XGBoost", xgboost_margins), ("LightGBM", lightgbm_margins)):
            margins = margins_of(x, y, new, options)
            print(f"{name:20}{library:>10}{average_precision_score(truth, margins):11.3f}")


if __name__ == "__main__":
    main()
