"""Gates and cells beside torch's own pointwise operations on the same pre-activations: python benchmarks/gates.py

One process, one thread each, calls in turn; given are the least microseconds a call over the rounds, and torch's over fastsig's: with
new results as torch makes them, and with `out=`. The last column of float32 is what was to be reached.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

import fastsig as fs

BATCH, HIDDEN, ELEMENTS = 256, 1024, 10**6
Call = Callable[[], Any]


def lstm(gates: Any, c: Any) -> tuple[Any, Any]:
    i, f, g, o = gates.chunk(4, -1)
    c_new = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c_new), c_new


def gru(gi: Any, gh: Any, h: Any) -> tuple[Any]:
    (i_r, i_z, i_n), (h_r, h_z, h_n) = gi.chunk(3, -1), gh.chunk(3, -1)
    z = torch.sigmoid(i_z + h_z)
    n = torch.tanh(i_n + torch.sigmoid(i_r + h_r) * h_n)
    return ((1 - z) * n + z * h,)


def glu(x: Any) -> tuple[Any]:
    return (F.glu(x),)


def swiglu(a: Any, b: Any) -> tuple[Any]:
    return (F.silu(a) * b,)


def contest(name: str, theirs: Callable[..., Any], shapes: Sequence[tuple[int, ...]], dtype: str) -> dict[str, tuple[Call, Call, Call]]:
    """By what is computed: fastsig, fastsig with out=, torch."""
    random = np.random.default_rng(0)
    arrays = [random.normal(size=shape).astype(dtype) for shape in shapes]
    plain = [torch.from_numpy(a) for a in arrays]
    leaves = [torch.from_numpy(a).requires_grad_() for a in arrays]
    forward, backward = getattr(fs, name), getattr(fs, f"{name}_backward")
    out = forward(*arrays)
    results = out if isinstance(out, tuple) else (out,)
    grads = [random.normal(size=r.shape).astype(dtype) for r in results]
    tensors = [torch.from_numpy(g) for g in grads]
    grads_out = backward(*grads, *arrays)

    def both(**given: Any) -> None:
        forward(*arrays, **({"out": out} if given else {}))
        backward(*grads, *arrays, **given)

    return {
        name: (lambda: forward(*arrays), lambda: forward(*arrays, out=out), lambda: theirs(*plain)),
        f"{name} with gradient": (both, lambda: both(out=grads_out), lambda: torch.autograd.grad(theirs(*leaves), leaves, tensors)),
    }


CONTESTS: tuple[tuple[str, Callable[..., Any], tuple[tuple[int, ...], ...], float], ...] = (
    ("glu", glu, ((1000, 2 * ELEMENTS // 1000),), 1.5),
    ("swiglu", swiglu, ((ELEMENTS,), (ELEMENTS,)), 1.5),
    ("lstm_cell", lstm, ((BATCH, 4 * HIDDEN), (BATCH, HIDDEN)), 3),
    ("gru_cell", gru, ((BATCH, 3 * HIDDEN), (BATCH, 3 * HIDDEN), (BATCH, HIDDEN)), 3),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    fs.set_num_threads(1)
    print("| | dtype | fastsig | with `out=` | torch | torch / fastsig | with `out=` | aim |\n|---|---|--:|--:|--:|--:|--:|--:|")
    for dtype in ("float32", "float64"):
        for name, theirs, shapes, aim in CONTESTS:
            for title, calls in contest(name, theirs, shapes, dtype).items():
                best = [float("inf")] * 3
                for _ in range(rounds):
                    for who, call in enumerate(calls):
                        start = time.perf_counter()
                        call()
                        best[who] = min(best[who], time.perf_counter() - start)
                own, into, peer = (b * 1e6 for b in best)
                times = f"{own:.0f} us | {into:.0f} us | {peer:.0f} us"
                wanted = aim if dtype == "float32" else ""
                print(f"| {title} | {dtype} | {times} | {peer / own:.2f} | {peer / into:.2f} | {wanted} |")


if __name__ == "__main__":
    main()
