"""A binary classifier: logits while it trains, probabilities when somebody asks, and a prediction is ``logit > 0``.

Logistic regression on the breast-cancer table of scikit-learn, by the fused loss and gradient and L-BFGS.
"""

import numpy as np
from scipy.optimize import minimize
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

import fastsig as fs

x, y = load_breast_cancer(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(x, y.astype(np.float64), test_size=0.25, random_state=0, stratify=y)
scaler = StandardScaler().fit(x_train)
x_train, x_test = scaler.transform(x_train), scaler.transform(x_test)


def objective(parameters):
    """The mean loss of the logits plus a penalty on the weights, and its gradient; no probability is computed."""
    weights, intercept = parameters[:-1], parameters[-1]
    loss, grad = fs.bce_with_logits_value_and_grad(x_train @ weights + intercept, y_train)
    return loss + 5e-4 * weights @ weights, np.append(x_train.T @ grad + 1e-3 * weights, grad.sum())


found = minimize(objective, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B")
logits = x_test @ found.x[:-1] + found.x[-1]

predicted = logits > 0
probability = fs.sigmoid(logits)
accuracy = np.mean(predicted == y_test)
assert (predicted == (probability > 0.5)).all(), "the sigmoid is monotone and 1/2 at 0: both say the same"

print(f"loss {fs.bce_with_logits(logits, y_test):.4f}, accuracy {accuracy:.3f} on {y_test.size} rows that it has not seen")
for row in np.argsort(np.abs(logits))[[0, 1, -1]]:
    print(f"logit {logits[row]:8.3f}   probability {probability[row]:.6f}   predicted {int(predicted[row])}, is {int(y_test[row])}")
