"""What strides, broadcasting and other dtypes cost beside a contiguous call: ``python benchmarks/layouts.py``.

The figures of docs/performance.md, "Strided input".

One thread; every layout of as many elements, in turn in one process, into a new array and into ``out`` of the same layout.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

import fastsig as fs
from fastsig.measure.timing import Timed, interleave, timer
from fastsig.ops import BY_NAME

ROWS = 64


def layouts(size: int, dtype: str) -> dict[str, Any]:
    """Inputs of ``size`` elements each, by name; the contiguous one first."""
    random = np.random.default_rng(0)

    def fresh(*shape: int) -> Any:
        return (random.normal(size=shape) * 3).astype(dtype)

    wide, columns = fresh(ROWS, 2 * size // ROWS), size // ROWS
    buffer = np.zeros(size * wide.itemsize + 1, np.uint8)
    unaligned = buffer[1:].view(dtype)
    unaligned[:] = fresh(size)
    return {
        "contiguous": fresh(size),
        "reversed": fresh(size)[::-1],
        "every second element": fresh(2 * size)[::2],
        "every second, reversed": fresh(2 * size)[::-2],
        "left half of each row": wide[:, :columns],
        "transposed": fresh(ROWS, columns).T,
        "every second column, transposed": wide[:, ::2].T,
        "one row broadcast": np.broadcast_to(fresh(columns), (ROWS, columns)),
        "one column broadcast": np.broadcast_to(fresh(ROWS, 1), (ROWS, columns)),
        "not aligned": unaligned,
        "other byte order": fresh(size).astype(np.dtype(dtype).newbyteorder()),
        "int32": random.integers(-9, 9, size).astype(np.int32),
    }


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--op", default="sigmoid", choices=[op.name for op in BY_NAME.values() if op.nin == 1 and op.domain == "real"])
    parser.add_argument("--dtype", default="float32", choices=["float16", "float32", "float64"])
    parser.add_argument("--size", type=int, default=1 << 20)
    parser.add_argument("--rounds", type=int, default=41)
    arguments = parser.parse_args(argv)
    ufunc = getattr(fs.ufuncs, arguments.op)
    entries = {}
    for name, x in layouts(arguments.size, arguments.dtype).items():
        out = np.copy(ufunc(x), order="K")
        entries[name] = Timed(timer(lambda x=x, out=out: ufunc(x, out=out)))
    spreads = interleave(entries, arguments.rounds)
    least = spreads["contiguous"].median
    table = Table(title=f"{arguments.op} {arguments.dtype}, {arguments.size:,} elements, one thread, out=")
    for head in ("input", "ns/element", "share of the contiguous speed"):
        table.add_column(head, justify="left" if head == "input" else "right")
    for name, spread in spreads.items():
        table.add_row(name, f"{spread.median / arguments.size * 1e9:.3f}", f"{least / spread.median:.0%}")
    Console(width=100).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
