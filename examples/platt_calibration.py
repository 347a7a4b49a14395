"""Probabilities from a classifier that gives scores: Platt's calibration, fitted with the loss for soft targets.

A linear support vector machine tells eights from other digits. Its scores, each from a fold that the machine has not seen, become
sigmoid(a * score + b), and scikit-learn's CalibratedClassifierCV says the same.
"""

import numpy as np
from scipy.optimize import minimize
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.model_selection import StratifiedKFold, cross_val_predict, train_test_split
from sklearn.svm import LinearSVC

import fastsig as fs
from fastsig.interop.scipy import expit, logit

images, digits = load_digits(return_X_y=True)
x, x_test, y, y_test = train_test_split(images / 16, digits == 8, test_size=0.4, random_state=0, stratify=digits)
folds, machine = StratifiedKFold(5), LinearSVC(dual=False)
scores = cross_val_predict(machine, x, y, cv=folds, method="decision_function")

eights, others = np.count_nonzero(y), np.count_nonzero(~y)
targets = np.where(y, (eights + 1) / (eights + 2), 1 / (others + 2))  # Platt's, so that no score is promised certainty


def value_and_gradient(parameters):
    a, b = parameters
    loss, grad = fs.bce_with_logits_value_and_grad(a * scores + b, targets)
    return loss, np.array([grad @ scores, grad.sum()])


a, b = minimize(value_and_gradient, [1.0, 0.0], jac=True, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-10}).x
test_scores = machine.fit(x, y).decision_function(x_test)
probability = expit(a * test_scores + b)

calibrated = CalibratedClassifierCV(machine, method="sigmoid", cv=folds, ensemble=False).fit(x, y)
theirs = calibrated.predict_proba(x_test)[:, 1]
furthest = np.abs(logit(probability) - logit(theirs)).max()

print(f"probability of an eight = sigmoid({a:.4f} * score {b:+.4f})")
print(f"mean loss on the {len(y_test)} images that it has not seen:")
print(f"  scores taken as logits {fs.bce_with_logits(test_scores, y_test):.4f}")
print(f"  calibrated here        {fs.bce(probability, y_test):.4f}")
print(f"  CalibratedClassifierCV {fs.bce(theirs, y_test):.4f}, the furthest log-odds {furthest:.1e} away")
