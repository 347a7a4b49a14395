"""What strides, broadcasting and other dtypes cost beside a contiguous call: ``python benchmarks/layouts.py``.

The figures of docs/performance.md, "Strided input".

One thread; every layout of as many elements, in turn in one process, into ``out``. ``--loss`` measures the mean cross-entropy and its
gradient instead, of logits and targets of one layout or of two.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

import fastsig as fs
from fastsig.measure.timing import Timed, interleave, timer
from fastsig.ops import BY_NAME

Array = np.ndarray[Any, Any]
ROWS = 64


class Case(NamedTuple):
    x: Array
    out: Array
    t: Array | None = None


class Fresh(NamedTuple):
    """Arrays of normal numbers."""

    random: np.random.Generator
    dtype: str

    def __call__(self, *shape: int) -> Array:
        return (self.random.normal(size=shape) * 3).astype(self.dtype)

    def targets(self, like: Array) -> Array:
        """Zeros and ones in the same layout."""
        memory = (self.random.random(like.size) < 0.5).astype(self.dtype).reshape(like.shape)
        return _as(memory, like)


def _as(values: Array, like: Array) -> Array:
    """These values in the layout of another array; where that repeats elements, so does this."""
    bounds = np.lib.array_utils.byte_bounds(like)
    memory = np.zeros(bounds[1] - bounds[0], np.uint8)
    start = like.__array_interface__["data"][0] - bounds[0]
    laid: Array = np.ndarray(like.shape, like.dtype, memory.data, start, like.strides)
    laid[...] = values
    return laid


def unaligned(x: Array) -> Array:
    memory = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype)
    memory[:] = x
    return memory


def functions(size: int, dtype: str) -> dict[str, Case]:
    """Inputs and outputs of ``size`` elements each, by name; the contiguous ones first."""
    fresh = Fresh(np.random.default_rng(0), dtype)
    side = int(np.sqrt(size))
    square, new, matrix, columns = fresh(side, side), np.zeros_like(fresh(size)), np.zeros((side, side), dtype), size // ROWS
    wide, twice = fresh(ROWS, 2 * columns), fresh(2 * side, 2 * side)
    power = 1 << (side.bit_length() - 1)
    cases = {
        "contiguous": Case(fresh(size), new),
        "reversed": Case(fresh(size)[::-1], new),
        "out reversed": Case(fresh(size), new[::-1]),
        "every second element": Case(fresh(2 * size)[::2], new),
        "every second, reversed": Case(fresh(2 * size)[::-2], new),
        "every third element": Case(fresh(3 * size)[::3], new),
        "every fifth element": Case(fresh(5 * size)[::5], new),
        "into every second element": Case(fresh(size), fresh(2 * size)[::2]),
        "left half of each row": Case(wide[:, :columns], np.zeros((ROWS, columns), dtype)),
        "x[::2, ::2]": Case(twice[::2, ::2], matrix),
        "transposed, out too": Case(square.T, matrix.T),
        "transposed, out in C order": Case(square.T, matrix),
        "in C order, out transposed": Case(square, matrix.T),
        "transposed, sides a power of 2": Case(fresh(power, power).T, np.zeros((power, power), dtype)),
        "transposed, 16 columns": Case(fresh(16, size // 16).T, np.zeros((size // 16, 16), dtype)),
        "transposed, 16 rows": Case(fresh(size // 16, 16).T, np.zeros((16, size // 16), dtype)),
        "one row broadcast": Case(np.broadcast_to(fresh(side), (side, side)), matrix),
        "one column broadcast": Case(np.broadcast_to(fresh(side, 1), (side, side)), matrix),
        "not aligned": Case(unaligned(fresh(size)), new),
        "out not aligned": Case(fresh(size), unaligned(new)),
        "other byte order": Case(fresh(size).astype(np.dtype(dtype).newbyteorder()), new),
    }
    if dtype != "float16":
        cases["int32"] = Case(fresh.random.integers(-9, 9, size).astype(np.int32), np.zeros(size))
    return cases


def losses(size: int, dtype: str) -> dict[str, Case]:
    """Logits, gradients and targets of ``size`` elements each."""
    fresh = Fresh(np.random.default_rng(0), dtype)
    side = int(np.sqrt(size))
    new, matrix, square = np.zeros(size, dtype), np.zeros((side, side), dtype), fresh(side, side)

    def alike(x: Array, out: Array) -> Case:
        return Case(x, out, fresh.targets(x))

    row, column = (fresh.random.random(shape) < 0.5 for shape in ((side,), (side, 1)))
    return {
        "contiguous": alike(fresh(size), new),
        "reversed": alike(fresh(size)[::-1], new),
        "logits reversed": Case(fresh(size)[::-1], new, fresh.targets(new)),
        "every second element": alike(fresh(2 * size)[::2], new),
        "every third element": alike(fresh(3 * size)[::3], new),
        "targets every second int8": Case(fresh(size), new, fresh.targets(fresh(2 * size)).astype(np.int8)[::2]),
        "x[:, ::2]": alike(fresh(side, 2 * side)[:, ::2], matrix),
        "left half of each row": alike(fresh(side, 2 * side)[:, :side], matrix),
        "Fortran order, all": alike(np.asfortranarray(square), np.asfortranarray(matrix)),
        "Fortran order, targets in C order": Case(np.asfortranarray(square), np.asfortranarray(matrix), fresh.targets(square)),
        "C order, targets in Fortran order": Case(square, matrix, np.asfortranarray(fresh.targets(square))),
        "Fortran order, gradient in C order": alike(np.asfortranarray(square), matrix),
        "one row of targets broadcast": Case(square, matrix, np.broadcast_to(row.astype(dtype), square.shape)),
        "one column of targets broadcast": Case(square, matrix, np.broadcast_to(column.astype(dtype), square.shape)),
    }


def call_of(case: Case, op: str, backend: str) -> Callable[[], Any]:
    x, out, t = case
    if t is not None:
        return lambda: fs.bce_with_logits_value_and_grad(x, t, grad_out=out, threads=1, backend=backend)
    function = getattr(fs, op)
    return lambda: function(x, out=out, threads=1, backend=backend)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--op", default="sigmoid", choices=[op.name for op in BY_NAME.values() if op.nin == 1 and op.domain == "real"])
    parser.add_argument("--loss", action="store_true", help="the mean cross-entropy of logits and its gradient")
    parser.add_argument("--dtype", default="float32", choices=["float16", "float32", "float64"])
    parser.add_argument("--backend", default="c", choices=["c", "numba"])
    parser.add_argument("--isa", help="the C library's instruction set: baseline, v3 or v4")
    parser.add_argument("--size", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=21)
    arguments = parser.parse_args(argv)
    if arguments.isa:
        from fastsig.kernels.c import library

        library.set_isa(arguments.isa)
    cases = (losses if arguments.loss else functions)(arguments.size, arguments.dtype)
    entries = {name: Timed(timer(call_of(case, arguments.op, arguments.backend), cpu_time=True)) for name, case in cases.items()}
    each = {name: spread.best / cases[name].x.size * 1e9 for name, spread in interleave(entries, arguments.rounds).items()}
    what = "cross-entropy and gradient" if arguments.loss else arguments.op
    backend = arguments.backend + (f", {arguments.isa}" if arguments.isa else "")
    table = Table(title=f"{what} {arguments.dtype}, {arguments.size:,} elements, one thread, {backend}, best of {arguments.rounds}")
    for head in ("layout", "ns/element", "share of the contiguous speed"):
        table.add_column(head, justify="left" if head == "layout" else "right")
    for name, best in each.items():
        table.add_row(name, f"{best:.3f}", f"{each['contiguous'] / best:.0%}")
    Console(width=100).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
