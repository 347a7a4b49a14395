"""``python -m fastsig bench``: the speed of fastsig and of what else is installed, side by side on this machine."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .measure import MODES, Row, accuracy, bar, cell
from .peers import DTYPES, PEERS, UNARY, Peer, dtype_of, installed
from .report import plot, print_table, table, to_json

__all__ = ["PEERS", "Peer", "Row", "main", "plot", "run", "table", "to_json"]

SIZES = (1, 100, 10**4, 10**5, 10**6, 3 * 10**7)
LARGE = 10**7
"""From here on a call takes so long that by default only the first operation is measured, and in fewer rounds."""


def run(
    ops: Sequence[str] = UNARY,
    dtypes: Sequence[str] = ("float32", "float64"),
    sizes: Sequence[int] | None = None,
    *,
    peers: Sequence[Peer] | None = None,
    modes: Sequence[str] = MODES,
    quick: bool = False,
    cpu_time: bool = False,
    progress: bool = True,
) -> list[Row]:
    """Measure every peer that is installed; a row for each operation, dtype, size, peer and mode that there is.

    Parameters
    ----------
    ops, dtypes : sequence of str
        Names from ``fastsig.bench.peers.UNARY`` and ``DTYPES``.
    sizes : sequence of int, optional
        Elements; by default 1 to 3e7, the largest for the first operation only.
    peers : sequence of Peer, optional
        Rows of ``fastsig.bench.PEERS``; by default those installed.
    modes : sequence of {"out", "alloc"}
        Writing to an array made before, and allocating the result.
    quick : bool
        A third of the rounds.
    cpu_time : bool
        Time peers of one thread by that thread's processor time, not the wall clock: for a machine that others use too.
    progress : bool
        Show a progress bar once two seconds have passed.

    Returns
    -------
    list of Row
    """
    peers = installed() if peers is None else list(peers)
    plan = [
        (op, dtype, size)
        for op in ops
        for dtype in dtypes
        for size in (SIZES if sizes is None else sizes)
        if sizes is not None or size < LARGE or (op == ops[0] and not quick)
    ]
    rows: list[Row] = []
    errors: dict[tuple[str, str], dict[str, tuple[float, float] | None]] = {}
    with bar(len(plan), "measuring", progress) as steps:
        for op, dtype, size in plan:
            steps.step(f"{op} {dtype} {size:,}")
            numpy_dtype = dtype_of(dtype)
            if (op, dtype) not in errors:
                errors[op, dtype] = accuracy(op, numpy_dtype, peers)
            rounds = (5 if quick else 9) if size >= 10**6 else 7 if quick else 21
            rounds = 5 if size >= LARGE else rounds
            rows += cell(op, numpy_dtype, size, peers, modes=modes, rounds=rounds, errors=errors[op, dtype], cpu_time=cpu_time)
    return rows


def _names(known: Sequence[str], text: str) -> list[str]:
    names = list(known) if text == "all" else [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"{text!r}: choose among {', '.join(known)}, or all")
    return names


def _sizes(text: str) -> list[int]:
    try:
        sizes = [int(float(part)) for part in text.split(",")]
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(f"{text!r}: numbers of elements, such as 100,1e5,3e7") from error
    if min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: a size must be at least 1")
    return sizes


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fastsig bench", description="Measure fastsig and its peers side by side on this machine.")
    parser.add_argument("--ops", type=lambda s: _names(UNARY, s), default=["sigmoid"], metavar="A,B", help="operations, or all")
    parser.add_argument("--dtypes", type=lambda s: _names(DTYPES, s), default=["float32", "float64"], metavar="A,B", help="dtypes, or all")
    parser.add_argument("--sizes", type=_sizes, default=None, metavar="N,M", help="elements; default 1,100,1e4,1e5,1e6,3e7")
    parser.add_argument("--json", metavar="PATH", help="write the rows and a description of the machine here")
    parser.add_argument("--plot", metavar="PATH", help="draw ns per element against size here (needs matplotlib)")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and no 3e7")
    parser.add_argument("--cpu-time", action="store_true", help="count processor time, not wall time, where one thread computes")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    arguments = _parser().parse_args(argv)
    try:
        rows = run(arguments.ops, arguments.dtypes, arguments.sizes, quick=arguments.quick, cpu_time=arguments.cpu_time)
        print_table(rows)
        if arguments.json:
            to_json(rows, arguments.json)
        if arguments.plot:
            plot(rows, arguments.plot)
    except KeyboardInterrupt:
        return 130
    except (ImportError, OSError) as error:
        print(f"fastsig bench: {error}", file=sys.stderr)
        return 1
    return 0
