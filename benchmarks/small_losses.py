"""Losses of 1,000 float32 with their gradient, by option, beside torch forward + backward: python benchmarks/small_losses.py

One process, one thread each, calls in turn; given are the least microseconds a call over the rounds, and torch's over fastsig's. The
least time, because a call is far shorter than the slices in which other processes take the core.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

import fastsig as fs

N, ROUNDS, CALLS = 1000, 500, 5


def contest() -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    """By option: the call of fastsig, and that of torch which computes the same or, for masks, smoothing and outputs, the plain one."""
    rng = np.random.default_rng(0)
    x, t = (rng.normal(size=N) * 3).astype(np.float32), (rng.random(N) < 0.4).astype(np.float32)
    w, mask, grad = rng.random(N).astype(np.float32), rng.random(N) < 0.9, np.empty_like(x)
    logits, targets = torch.tensor(x, requires_grad=True), torch.tensor(t)

    def peer(**options: Any) -> Callable[[], Any]:
        def call() -> None:
            logits.grad = None
            torch.nn.functional.binary_cross_entropy_with_logits(logits, targets, **options).backward()

        return call

    def own(function: Any = fs.bce_with_logits_value_and_grad, **options: Any) -> Callable[[], Any]:
        return lambda: function(x, t, **options)

    plain, weighted = peer(), {"weight": torch.tensor(w), "pos_weight": torch.tensor(2.0)}
    everything = {"weight": w, "pos_weight": 2.0, "mask": mask, "label_smoothing": 0.1, "grad_out": grad}
    return {
        "no options": (own(), plain),
        "`grad_out`": (own(grad_out=grad), plain),
        "`weight`": (own(weight=w), peer(weight=weighted["weight"])),
        "`pos_weight`": (own(pos_weight=2.0), peer(pos_weight=weighted["pos_weight"])),
        "`mask`": (own(mask=mask), plain),
        "`label_smoothing`": (own(label_smoothing=0.1), plain),
        "all of these": (own(**everything), peer(**weighted)),
        '`reduction="none"`': (own(reduction="none"), plain),
        "focal, gamma 2": (own(fs.sigmoid_focal_loss_value_and_grad), plain),
        "focal, gamma 1.5": (own(fs.sigmoid_focal_loss_value_and_grad, gamma=1.5), plain),
        '`reduction="weighted_mean"`': (own(weight=w, reduction="weighted_mean"), peer(weight=weighted["weight"])),
    }


def main() -> None:
    torch.set_num_threads(1)
    fs.set_num_threads(1)
    calls = contest()
    best = {(name, who): float("inf") for name in calls for who in (0, 1)}
    for _ in range(ROUNDS):
        for name, pair in calls.items():
            for who, call in enumerate(pair):
                call()
                start = time.perf_counter()
                for _ in range(CALLS):
                    call()
                best[name, who] = min(best[name, who], (time.perf_counter() - start) / CALLS)
    print("| | fastsig | torch | torch / fastsig |\n|---|--:|--:|--:|")
    for name in calls:
        own, peer = best[name, 0] * 1e6, best[name, 1] * 1e6
        print(f"| {name} | {own:.2f} us | {peer:.1f} us | {peer / own:.1f} |")


if __name__ == "__main__":
    main()
