"""From which size on two threads win: ``python benchmarks/threads.py``. The figures of NOTES.md, "Threads".

Calls what the dispatcher calls, below its threshold too. Medians; the gain also between the best rounds, because two threads
need both cores at once and a machine that others use too seldom has them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from timeit import Timer
from typing import Any

import numpy as np

from fastsig.dispatch import availability, sharing
from fastsig.measure.timing import Timed, inputs, interleave
from fastsig.system.cpu import available_cpus


def entry(ufunc: Any, x: Any, out: Any, threads: int) -> Timed:
    call = (lambda: ufunc(x, out=out)) if threads == 1 else (lambda: sharing.unary(ufunc, x, out, threads))
    return Timed(Timer(call), threads=threads)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--op", default="sigmoid")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int, default=available_cpus())
    parser.add_argument("--rounds", type=int, default=61)
    parser.add_argument("--python-threads", action="store_true", help="pieces handed to Python's threads, as without the C library")
    arguments = parser.parse_args(argv)
    if arguments.python_threads:
        sharing.share = None
    ufunc, many = availability.host_ufunc(arguments.op), arguments.threads
    columns = "".join(f"{f'{to} 1':>10}{f'{to} {many}':>10}{'gain':>6}{'best':>6}" for to in ("out", "alloc"))
    print(f"{'elements':>12}{columns}   (µs a call)")
    for power in range(14, 26):
        x = inputs(arguments.op, np.dtype(arguments.dtype), 1 << power)
        out = np.zeros_like(x)
        entries = {f"{to} {n}": entry(ufunc, x, {"out": out, "alloc": None}[to], n) for to in ("out", "alloc") for n in (1, many)}
        found = interleave(entries, arguments.rounds if power < 22 else 11)
        line = f"{1 << power:12,}"
        for to in ("out", "alloc"):
            one, more = found[f"{to} 1"], found[f"{to} {many}"]
            line += f"{one.median * 1e6:10.1f}{more.median * 1e6:10.1f}{one.median / more.median:6.2f}{one.best / more.best:6.2f}"
        print(line, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
