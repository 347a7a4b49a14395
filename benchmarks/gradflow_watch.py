"""What ``fastsig.gradflow.watch`` costs a training step: processor time of single steps that take turns, beside a control.

Four copies of a model take turns, step by step and in changing order: one that nobody watches, a control that nobody watches either, one
whose every step is sampled, and one of which no further step is. Printed are medians of the ratios of neighbours, and from them the cost of
``every=50``, of which one step in 50 is sampled. ``python benchmarks/gradflow_watch.py``.
"""

from __future__ import annotations

import copy
import itertools
import statistics
import time

import torch
from torch import nn

from fastsig import gradflow

EVERY, BATCH, WARM_UP = 50, 64, 5
MODELS = {"10 x 64": (10, 64, 240), "6 x 512": (6, 512, 96)}
"""Layers, width, and steps of each copy."""


def mlp(depth: int, width: int) -> nn.Sequential:
    layers = [part for _ in range(depth) for part in (nn.Linear(width, width), nn.Sigmoid())]
    return nn.Sequential(*layers, nn.Linear(width, 10))


class Trained:
    def __init__(self, model: nn.Module, width: int) -> None:
        self.model, self.optimizer = model, torch.optim.SGD(model.parameters(), lr=0.01)
        self.x, self.y = torch.randn(BATCH, width), torch.randint(10, (BATCH,))

    def step(self) -> float:
        """Its seconds of processor time."""
        began = time.process_time()
        self.optimizer.zero_grad()
        nn.functional.cross_entropy(self.model(self.x), self.y).backward()
        self.optimizer.step()
        return time.process_time() - began


def main() -> None:
    torch.set_num_threads(1)
    for name, (depth, width, steps) in MODELS.items():
        model = mlp(depth, width)
        turns = {key: Trained(copy.deepcopy(model), width) for key in ("bare", "control", "sampled", "between")}
        gradflow.watch(turns["sampled"].model, every=1)
        gradflow.watch(turns["between"].model, every=10**9)
        times: dict[str, list[float]] = {key: [] for key in turns}
        for number, order in zip(range(steps + WARM_UP), itertools.cycle(itertools.permutations(turns)), strict=False):
            for key in order:
                seconds = turns[key].step()
                if number >= WARM_UP:
                    times[key].append(seconds)
        more = {key: statistics.median(a / b for a, b in zip(own, times["bare"], strict=True)) - 1 for key, own in times.items()}
        cost = more["between"] + (more["sampled"] - more["between"]) / EVERY
        shares = f"control {more['control']:+.1%}, sampled {more['sampled']:+.0%}, not sampled {more['between']:+.1%}"
        print(f"{name}: a step {statistics.median(times['bare']) * 1e3:.1f} ms; {shares}; every={EVERY}: {cost:+.1%}", flush=True)


if __name__ == "__main__":
    main()
