"""A multi-label classifier: each class is a question of its own, and the probabilities of a row need not sum to 1.

What is true of a handwritten digit of scikit-learn: it is even, it is above 4, it is a prime, it is written with a loop. A digit can
have several of these or none, so there is a sigmoid a class and no softmax over them.
"""

import numpy as np
from scipy.optimize import minimize
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import fastsig as fs

CLASSES = {"even": {0, 2, 4, 6, 8}, "above 4": {5, 6, 7, 8, 9}, "prime": {2, 3, 5, 7}, "has a loop": {0, 6, 8, 9}}

x, digit = load_digits(return_X_y=True)
x = np.column_stack([x / 16, np.ones(len(x))])
y = np.column_stack([np.isin(digit, list(members)) for members in CLASSES.values()])
x_train, x_test, y_train, y_test, digit_train, digit_test = train_test_split(x, y, digit, test_size=0.25, random_state=0)
shape = (x.shape[1], len(CLASSES))


def objective(parameters):
    """The mean over rows and classes, and its gradient: one matrix of logits, one call."""
    weights = parameters.reshape(shape)
    loss, grad = fs.bce_with_logits_value_and_grad(x_train @ weights, y_train)
    return loss + 5e-5 * parameters @ parameters, (x_train.T @ grad).ravel() + 1e-4 * parameters


weights = minimize(objective, np.zeros(x.shape[1] * len(CLASSES)), jac=True, method="L-BFGS-B").x.reshape(shape)
logits = x_test @ weights
probabilities = fs.sigmoid(logits)
losses = fs.bce_with_logits(logits, y_test, reduction="none").mean(axis=0)
accuracies = ((logits > 0) == y_test).mean(axis=0)

print("class          loss   accuracy")
for name, loss, accuracy in zip(CLASSES, losses, accuracies, strict=True):
    print(f"{name:12s} {loss:6.3f}   {accuracy:8.3f}")
print("\ndigit   " + "   ".join(f"{name:>10s}" for name in CLASSES) + "   sum of the row")
for row in range(4):
    print(f"{digit_test[row]:5d}   " + "   ".join(f"{p:10.4f}" for p in probabilities[row]) + f"   {probabilities[row].sum():.4f}")

sums = probabilities.sum(axis=1)
assert sums.min() < 0.5 < 2.5 < sums.max(), "a row has as many classes as are true of it"
