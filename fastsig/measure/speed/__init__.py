"""``python -m fastsig bench``: the speed of fastsig and of what else is installed, side by side on this machine."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from fastsig.measure.peers import DTYPES, MODES, PEERS, UNARY, Peer, absent, dtype_of, installed
from fastsig.measure.speed.drawing import plot
from fastsig.measure.speed.report import Machine, from_json, machine, print_table, table, to_json
from fastsig.measure.speed.sweep import SMALL, SWEEP, faster_elsewhere, grid, hopeless, summary, write_summary
from fastsig.measure.timing import Row, accuracy, cell
from fastsig.system.terminal import complain, measuring, show

__all__ = ["PEERS", "Peer", "Row", "faster_elsewhere", "from_json", "main", "plot", "run", "table", "to_json"]

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
    prune: bool = False,
) -> list[Row]:
    """Measure every peer that is installed; a row for each operation, dtype, size, peer and mode that there is.

    Parameters
    ----------
    ops, dtypes : sequence of str
        Names from ``fastsig.measure.peers.UNARY`` and ``DTYPES``.
    sizes : sequence of int, optional
        Elements; by default 1 to 3e7, the largest for the first operation only.
    peers : sequence of Peer, optional
        Rows of ``fastsig.measure.peers.PEERS``; by default those installed.
    modes : sequence of {"out", "alloc"}
        Writing to an array made before, and allocating the result.
    quick : bool
        A third of the rounds.
    cpu_time : bool
        Time peers of one thread by that thread's processor time, not the wall clock: for a machine that others use too.
    progress : bool
        Show a progress bar once two seconds have passed.
    prune : bool
        Leave a peer out at the sizes above one at which it took three times as long as the fastest.

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
    out_of_it: dict[tuple[str, str], set[str]] = {}
    errors: dict[tuple[str, str], dict[str, tuple[float, float] | None]] = {}
    with measuring(len(plan), "measuring", progress) as steps:
        for op, dtype, size in plan:
            steps.step(f"{op} {dtype} {size:,}")
            numpy_dtype = dtype_of(dtype)
            if (op, dtype) not in errors:
                errors[op, dtype] = accuracy(op, numpy_dtype, peers)
            rounds = (5 if quick else 9) if size >= 10**6 else 7 if quick else 21
            rounds = 5 if size >= LARGE else rounds
            left = [peer for peer in peers if peer.name not in out_of_it.get((op, dtype), ())]
            found = cell(op, numpy_dtype, size, left, modes=modes, rounds=rounds, errors=errors[op, dtype], cpu_time=cpu_time)
            if prune and size >= SMALL:
                out_of_it[op, dtype] = out_of_it.get((op, dtype), set()) | hopeless(found)
            rows += found
    return rows


def _names(known: Sequence[str], text: str) -> list[str]:
    names = list(known) if text == "all" else [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise argparse.ArgumentTypeError(f"{text!r}: choose among {', '.join(known)}, or all")
    return names


def _span(text: str) -> list[int]:
    """ "100" is one size, "1:1e8" sizes in equal ratios, "1:1e8:4" four a decade."""
    first, *rest = text.split(":")
    if len(rest) > 2:
        raise ValueError(text)
    if not rest:
        return [int(float(first))]
    low, high, per_decade = float(first), float(rest[0]), int(rest[1]) if len(rest) == 2 else 2
    if not 1 <= low <= high or per_decade < 1:
        raise ValueError(text)
    return grid(low, high, per_decade)


def _sizes(text: str) -> list[int]:
    try:
        sizes = sorted({size for part in text.split(",") for size in _span(part)})
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(
            f"{text!r}: numbers of elements, such as 100,1e5,3e7, or a range such as 1:1e8, or 1:1e8:4 with four sizes a decade"
        ) from error
    if min(sizes) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: a size must be at least 1")
    return sizes


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fastsig bench", description="Measure fastsig and its peers side by side on this machine.")
    parser.add_argument("--ops", type=lambda s: _names(UNARY, s), metavar="A,B", help="operations, or all; default sigmoid")
    parser.add_argument("--dtypes", type=lambda s: _names(DTYPES, s), metavar="A,B", help="dtypes, or all; default float32,float64")
    parser.add_argument(
        "--sizes", type=_sizes, default=None, metavar="N,M", help="elements, or a range 1:1e8; default 1,100,1e4,1e5,1e6,3e7"
    )
    parser.add_argument(
        "--sweep", action="store_true", help="all operations from 1 to 1e8; name each size at which another library is faster"
    )
    parser.add_argument("--list", metavar="PATH", help="write those names here, as Markdown")
    parser.add_argument("--json", metavar="PATH", help="write the rows and a description of the machine here")
    parser.add_argument("--plot", metavar="PATH", help="draw ns per element against size here (needs matplotlib)")
    parser.add_argument("--peers", action="store_true", help="measure nothing: say what is compared, how each is written, what is missing")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, and no 3e7")
    parser.add_argument("--cpu-time", action="store_true", help="count processor time, not wall time, where one thread computes")
    parser.add_argument(
        "--from", dest="source", metavar="PATH", help="measure nothing: show, draw and list what --json wrote here (all, or what is chosen)"
    )
    return parser


def _kept(arguments: argparse.Namespace) -> tuple[Machine, list[Row]]:
    """The chosen rows of a file, and the machine that measured them."""
    on, rows = from_json(arguments.source)
    wanted = {"op": arguments.ops, "dtype": arguments.dtypes, "size": arguments.sizes}
    chosen = [row for row in rows if all(names is None or getattr(row, field) in names for field, names in wanted.items())]
    if not chosen:
        raise ValueError(f"{arguments.source} has no measurement of what is chosen")
    return on, chosen


def missing() -> str:
    """One line about the peers that are not here, by reason; "" where all are."""
    by_reason: dict[str, list[str]] = {}
    for name, why in absent().items():
        by_reason.setdefault(why, []).append(name)
    return "; ".join(f"{', '.join(names)}: {why}" for why, names in by_reason.items())


def _show_peers() -> None:
    show([(peer.name, peer.how, peer.missing or "here") for peer in PEERS], ("library", "how it is written", "on this machine"), folded=1)


def _measured(arguments: argparse.Namespace) -> tuple[Machine, list[Row]]:
    """Rows of this machine."""
    if without := missing():
        complain(f"fastsig bench: without {without}")
    ops = arguments.ops or (UNARY if arguments.sweep else ["sigmoid"])
    sizes = arguments.sizes or (grid(*SWEEP) if arguments.sweep else None)
    dtypes = arguments.dtypes or ["float32", "float64"]
    rows = run(ops, dtypes, sizes, quick=arguments.quick, cpu_time=arguments.cpu_time, prune=arguments.sweep)
    return machine(), rows


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    if arguments.source and (arguments.quick or arguments.cpu_time):
        parser.error("--quick and --cpu-time say how to measure, and --from measures nothing")
    if arguments.peers:
        _show_peers()
        return 0
    try:
        on, rows = _kept(arguments) if arguments.source else _measured(arguments)
        print_table(rows, on)
        if arguments.sweep:
            print(summary(rows, on))
        if arguments.list:
            write_summary(rows, arguments.list, on)
        if arguments.json:
            to_json(rows, arguments.json, on)
        if arguments.plot:
            plot(rows, arguments.plot, on=on)
    except BrokenPipeError:
        raise
    except (ImportError, OSError, ValueError) as error:
        complain(f"fastsig bench: {error}")
        return 1
    return 0
