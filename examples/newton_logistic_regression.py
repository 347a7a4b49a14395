"""Logistic regression by scipy.optimize: the loss and its gradient from one pass, and the Hessian for Newton's method.

On the breast-cancer table of scikit-learn, whose own coefficients stand beside those found here.
"""

import numpy as np
from scipy.optimize import minimize
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import fastsig as fs

x, y = load_breast_cancer(return_X_y=True)
x = StandardScaler().fit_transform(x)
with_ones = np.column_stack([x, np.ones(len(x))])
penalty = np.append(np.ones(x.shape[1]), 0.0)  # |w|^2 / 2, as scikit-learn's for C=1; none on the intercept


def value_and_gradient(parameters):
    loss, grad = fs.bce_with_logits_value_and_grad(with_ones @ parameters, y, reduction="sum")
    return loss + penalty @ parameters**2 / 2, with_ones.T @ grad + penalty * parameters


def hessian(parameters):
    _, curvature = fs.bce_with_logits_grad_hess(with_ones @ parameters, y)
    return (with_ones.T * curvature) @ with_ones + np.diag(penalty)


start = np.zeros(with_ones.shape[1])
theirs = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-10).fit(x, y)
theirs = np.append(theirs.coef_[0], theirs.intercept_)
runs = {
    "Newton-CG": minimize(value_and_gradient, start, jac=True, hess=hessian, method="Newton-CG", options={"xtol": 1e-12}),
    "L-BFGS-B": minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-8, "maxiter": 1000}),
}
for method, found in runs.items():
    furthest = np.abs(found.x - theirs).max()
    print(f"{method:9}  loss {found.fun:.10f} after {found.nit} iterations; furthest coefficient from scikit-learn's: {furthest:.1e}")
