"""Losses beside torch, JAX, scikit-learn and NumPy in one process on one thread: python benchmarks/losses.py

Each round runs every contestant once, in turn, so that what else the machine does falls on all of them; printed are the median
time an element and the median over rounds of contestant / fastsig. Peers that are not installed are left out.
"""

from __future__ import annotations

import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "FASTSIG_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import platform
import statistics
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

import fastsig as fs
from fastsig.kernels import plan
from fastsig.losses import arguments, evaluate

Contest = dict[str, Callable[[], Any]]


def torch_calls(x: Any, t: Any) -> Contest:
    import torch

    torch.set_num_threads(1)
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    logits, plain, targets = torch.tensor(x, requires_grad=True), torch.tensor(x), torch.tensor(t)

    def both() -> None:
        logits.grad = None
        loss(logits, targets).backward()

    return {"both": both, "mean": lambda: loss(plain, targets)}


def jax_calls(x: Any, t: Any) -> Contest:
    from fastsig.measure.libraries import import_jax

    jax = import_jax()
    jnp = jax.numpy

    def mean(logits: Any, targets: Any) -> Any:
        return jnp.mean(jnp.maximum(logits, 0) - logits * targets + jnp.log1p(jnp.exp(-jnp.abs(logits))))

    logits, targets = jnp.asarray(x), jnp.asarray(t)
    one, two = jax.jit(mean), jax.jit(jax.value_and_grad(mean))
    return {"both": lambda: jax.block_until_ready(two(logits, targets)), "mean": lambda: one(logits, targets).block_until_ready()}


def sklearn_calls(x: Any, t: Any) -> Contest:
    from sklearn._loss import HalfBinomialLoss

    loss = HalfBinomialLoss()
    return {
        "both": lambda: loss.loss_gradient(t, x, n_threads=1),
        "derivatives": lambda: loss.gradient_hessian(t, x, n_threads=1),
    }


def numpy_calls(x: Any, t: Any) -> Contest:
    def both() -> tuple[Any, Any]:
        e = np.exp(-np.abs(x))
        s = np.where(x >= 0, 1, e) / (1 + e)
        return np.mean(np.maximum(x, 0) - x * t + np.log1p(e)), (s - t) / x.size

    return {"both": both, "mean": lambda: np.mean(np.maximum(x, 0) - x * t + np.log1p(np.exp(-np.abs(x))))}


def measure(contest: Contest, rounds: int) -> dict[str, tuple[float, float]]:
    """Seconds and ratio to the first contestant, both medians."""
    times: dict[str, list[float]] = {name: [] for name in contest}
    for call in contest.values():
        call()
    for _ in range(rounds):
        for name, call in contest.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    first = next(iter(times.values()))
    return {
        name: (statistics.median(taken), statistics.median(a / b for a, b in zip(taken, first, strict=True))) for name, taken in times.items()
    }  # fmt: skip


def row(title: str, n: int, contest: Contest, rounds: int) -> None:
    cells = [f"{name} {seconds / n * 1e9:.2f} ns ({ratio:.2f}x)" for name, (seconds, ratio) in measure(contest, rounds).items()]
    print(f"| {title} | " + " | ".join(cells) + " |", flush=True)


def peers(x: Any, t: Any, what: str) -> Contest:
    found: Contest = {}
    for name, calls in (("torch", torch_calls), ("JAX", jax_calls), ("scikit-learn", sklearn_calls), ("NumPy", numpy_calls)):
        with suppress(ImportError):
            found |= {name: call for key, call in calls(x, t).items() if key == what}
    return found


def data(n: int, dtype: Any) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return (rng.normal(size=n) * 3).astype(dtype), (rng.random(n) < 0.4).astype(dtype)


def sum_cost(n: int, rounds: int) -> None:
    """The exact sum beside the same kernel that writes its elements and sums nothing."""
    x, t = data(n, np.float32)
    ops = arguments.operands("bench", plan.LOGITS, x, t, None, None, None)
    out = np.empty_like(x)
    how: dict[str, Any] = {"checks": 0, "backend": None, "threads": 1}
    numbers = plan.Numbers()
    contest: Contest = {
        "elements written": lambda: evaluate.run(ops, plan.LOGITS, numbers, (out, None, None), summed=False, **how),
        "exact sum": lambda: evaluate.run(ops, plan.LOGITS, numbers, evaluate.NOTHING, summed=True, **how),
        "with check": lambda: evaluate.run(ops, plan.LOGITS, numbers, evaluate.NOTHING, summed=True, **(how | {"checks": 1})),
    }
    row(f"cost of the sum and of the check, {n:,} float32 (in cache)", n, contest, rounds)


def main() -> None:
    fs.set_num_threads(1)
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} CPUs, {fs.explain(np.zeros(1))}, {time.strftime('%Y-%m-%d')}\n")
    for n, rounds in ((1000, 1000), (10**6, 40), (10**7, 7)):
        x, t = data(n, np.float32)
        row(
            f"mean and gradient, {n:,} float32",
            n,
            {"fastsig": lambda x=x, t=t: fs.bce_with_logits_value_and_grad(x, t)} | peers(x, t, "both"),
            rounds,
        )
        g = np.empty_like(x)
        row(
            f"mean and gradient into grad_out, {n:,} float32",
            n,
            {"fastsig": lambda x=x, t=t, g=g: fs.bce_with_logits_value_and_grad(x, t, grad_out=g)} | peers(x, t, "both"),
            rounds,
        )
        row(f"mean, {n:,} float32", n, {"fastsig": lambda x=x, t=t: fs.bce_with_logits(x, t)} | peers(x, t, "mean"), rounds)
    x, t = data(10**6, np.float64)
    row(
        "gradient and hessian, 1,000,000 float64",
        10**6,
        {"fastsig": lambda: fs.bce_with_logits_grad_hess(x, t)} | peers(x, t, "derivatives"),
        20,
    )
    row(
        "mean and gradient, 1,000,000 float64",
        10**6,
        {"fastsig": lambda: fs.bce_with_logits_value_and_grad(x, t)} | peers(x, t, "both"),
        10,
    )
    sum_cost(1 << 17, 200)


if __name__ == "__main__":
    main()
