"""Logistic regression on dask arrays, by Newton's method: the rows are made and used block by block, on two worker processes."""

import dask
import dask.array as da
import numpy as np
from distributed import Client, LocalCluster

import fastsig as fs

ROWS, TRUE = 200_000, np.array([-1.0, 2.0, 0.5, 0.0, -3.0])


def fitted(x: da.Array, y: da.Array, steps: int = 8) -> tuple[np.ndarray, list[float]]:
    """The weights that minimise the mean loss, and the loss before each step; one pass over the rows a step."""
    weights, losses = np.zeros(x.shape[1]), []
    for _ in range(steps):
        logits = x @ weights
        loss = fs.bce_with_logits(logits, y)
        grad, hess = fs.bce_with_logits_grad_hess(logits, y)
        value, slope, curvature = dask.compute(loss, x.T @ grad, (x * hess[:, None]).T @ x)
        losses.append(float(value))
        weights = weights - np.linalg.solve(curvature, slope)
    return weights, losses


def main() -> None:
    rng = da.random.default_rng(3)
    x = rng.normal(size=(ROWS, len(TRUE)), chunks=(20_000, -1))
    y = rng.random(ROWS, chunks=20_000) < fs.sigmoid(x @ TRUE)
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster, Client(cluster):
        weights, losses = fitted(x, y)
    print(f"loss {losses[0]:.6f} at first, {losses[-1]:.6f} at last")
    print("weights", *(f"{weight:.2f}" for weight in weights))
    print("true   ", *(f"{weight:.2f}" for weight in TRUE))


if __name__ == "__main__":  # worker processes import this file
    main()
