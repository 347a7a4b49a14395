"""fastsig.interop.torch beside torch: forward, and forward with backward, interleaved in one process; medians of the rounds.

python benchmarks/torch_functions.py [threads]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

import fastsig as fs
import fastsig.interop.torch as ft

F = torch.nn.functional
ROUNDS = 15
PAIRS = {
    "sigmoid": (ft.sigmoid, torch.sigmoid),
    "silu": (ft.silu, F.silu),
    "logsigmoid": (ft.logsigmoid, F.logsigmoid),
    "softplus": (ft.softplus, F.softplus),
    "tanh": (ft.tanh, torch.tanh),
    "bce_with_logits": (ft.binary_cross_entropy_with_logits, F.binary_cross_entropy_with_logits),
    "bce": (ft.binary_cross_entropy, F.binary_cross_entropy),
}


def forward(function: Callable[..., Any], operands: tuple[Any, ...]) -> Callable[[], Any]:
    return lambda: function(*operands)


def both_ways(function: Callable[..., Any], operands: tuple[Any, ...]) -> Callable[[], Any]:
    leaf = operands[0].clone().requires_grad_()

    def run() -> None:
        leaf.grad = None
        result = function(leaf, *operands[1:])
        result.backward(torch.ones_like(result))

    return run


def seconds(call: Callable[[], Any], repeat: int) -> float:
    start = time.perf_counter()
    for _ in range(repeat):
        call()
    return (time.perf_counter() - start) / repeat


def main() -> None:
    threads = int(sys.argv[1]) if len(sys.argv) > 1 else torch.get_num_threads()
    torch.set_num_threads(threads)
    fs.set_num_threads(threads)
    print(f"torch {torch.__version__}, {threads} threads; microseconds, and how many times torch's time is ours")
    for name, pair in PAIRS.items():
        for size in (16, 1_000, 100_000, 1_000_000):
            x = torch.randn(size)
            operands = (x,) if not name.startswith("bce") else (torch.sigmoid(x) if name == "bce" else x, (torch.rand(size) < 0.5).float())
            repeat = max(3, 200_000 // (size + 400))
            for way in (forward, both_ways):
                calls = [way(function, operands) for function in pair]
                times = [[seconds(call, repeat) for call in calls] for _ in range(ROUNDS)]
                ours, theirs = (1e6 * statistics.median(column) for column in zip(*times, strict=True))
                print(f"{name:16s} {size:9,d} {way.__name__:10s} {ours:10.1f} {theirs:10.1f} {theirs / ours:6.2f}")


if __name__ == "__main__":
    main()
