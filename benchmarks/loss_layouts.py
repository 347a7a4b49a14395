"""What losses of matrices in Fortran order cost beside those in C order: ``python benchmarks/loss_layouts.py``.

The figures of LOSSES.md, "Fortran order". One thread, in turn in one process, time of the thread; logits, targets and gradient have one
layout, and the gradient is written into ``grad_out``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import fastsig as fs
from fastsig.measure.timing import Timed, interleave, timer

SHAPES = ((300, 300), (1000, 1000), (2000, 2000), (8000, 500), (500, 8000), (100_000, 32), (1_000_000, 4))
ORDERS: dict[str, Callable[[Any], Any]] = {"C": np.ascontiguousarray, "Fortran": np.asfortranarray}


def calls(shape: tuple[int, int], dtype: str, targets: str) -> dict[str, Timed]:
    random = np.random.default_rng(0)
    x = random.standard_normal(shape).astype(dtype)
    t = (random.random(shape) < 0.5).astype(targets)
    entries: dict[str, Timed] = {}
    for order, lay in ORDERS.items():
        logits, labels = lay(x), lay(t)
        grad = np.zeros_like(logits)
        entries[f"loss {order}"] = Timed(timer(lambda x=logits, t=labels: fs.bce_with_logits(x, t, threads=1), cpu_time=True))
        entries[f"gradient {order}"] = Timed(
            timer(lambda x=logits, t=labels, g=grad: fs.bce_with_logits_value_and_grad(x, t, grad_out=g, threads=1), cpu_time=True)
        )
    return entries


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dtype", default="float32", choices=["float16", "float32", "float64"])
    parser.add_argument("--targets", help="dtype of the targets; that of the logits if not given")
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args(argv)
    targets = arguments.targets or arguments.dtype
    table = Table(title=f"mean loss of {arguments.dtype} logits, {targets} targets, one thread, best of {arguments.rounds}")
    for head in ("shape", "loss, ns/element", "Fortran / C", "with gradient", "Fortran / C"):
        table.add_column(head, justify="left" if head == "shape" else "right")
    for shape in SHAPES:
        best = {name: spread.best for name, spread in interleave(calls(shape, arguments.dtype, targets), arguments.rounds).items()}
        row = [f"{shape[0]:,} x {shape[1]:,}"]
        for what in ("loss", "gradient"):
            plain, other = (best[f"{what} {order}"] for order in ORDERS)
            row += [f"{plain / np.prod(shape) * 1e9:.2f}", f"{other / plain:.2f}"]
        table.add_row(*row)
    Console(width=100).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
