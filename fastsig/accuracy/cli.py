"""The command line of the proof command."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from ..ops import BY_NAME, OPS, Op
from . import engines as room
from . import kept, records, report, runs
from .engines import Engine
from .formats import FORMATS, Format
from .result import Result


def _parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m fastsig check",
        description="Measure the error of every operation in ULP, where it is worst, and what else is promised.",
    )
    p.add_argument("--ops", nargs="+", metavar="OP", help=f"of {', '.join(BY_NAME)}; default all")
    p.add_argument("--dtypes", nargs="+", metavar="DTYPE", help=f"of {', '.join(FORMATS)}; default all")
    p.add_argument("--backends", nargs="+", metavar="B", help="of c, numba, c:baseline, c:v3, c:v4; default c and numba")
    p.add_argument("--exhaustive", action="store_true", help="all 2^32 float32 inputs of the unary operations; more of float64")
    p.add_argument("--restart", action="store_true", help="forget what an interrupted exhaustive run has finished")
    p.add_argument(
        "--mpmath",
        type=_count,
        nargs="?",
        const=1_000_000,
        default=0,
        metavar="COUNT",
        help="hold COUNT (10^6) float64 inputs of every operation against mpmath at 200 bits; about a minute each",
    )
    p.add_argument(
        "--search",
        type=_seconds,
        metavar="SECONDS",
        help="climb towards the worst inputs of what cannot be exhaustive (float64; float32 with soft targets), so long each",
    )
    p.add_argument("--keep", action="store_true", help="record the worst inputs in tests/worst_inputs.json, which the tests hold fast")
    p.add_argument("--peers", action="store_true", help="measure torch, SciPy and JAX too, where installed")
    p.add_argument("--json", action="store_true", help="print the results as JSON")
    p.add_argument("--write", action="store_true", help="record the results in docs/accuracy.json, docs/accuracy.md and README.md")
    p.add_argument("--stale", action="store_true", help="measure nothing; exit 1 if the documents are not what the recorded results say")
    return p


def _count(text: str) -> int:
    if not text.replace("_", "").isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of inputs; give a whole number from 1 on, such as 1000000")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a time; give seconds above 0, such as 10")
    return seconds


def _known(kind: str, given: list[str] | None, known: list[str]) -> list[str]:
    names = [n for word in given or known for n in word.split(",") if n]
    if not names:
        raise ValueError(f"no {kind} was given; known are {', '.join(known)}")
    for name in names:
        if name not in known:
            raise ValueError(f"{kind} {name!r} is unknown; known are {', '.join(known)}")
    return names


def main(argv: list[str]) -> int:
    options = _parser().parse_args(argv)
    errors = Console(stderr=True)
    try:
        if options.stale:
            return report.stale(errors)
        ops = [BY_NAME[n] for n in _known("operation", options.ops, [op.name for op in OPS])]
        formats = [FORMATS[n] for n in _known("dtype", options.dtypes, list(FORMATS))]
        chosen = room.named([n for w in options.backends for n in w.split(",") if n]) if options.backends else room.native()
        if options.write or options.keep:
            records.root()  # so that its absence is told before minutes of measuring
        return _measure(options, ops, formats, chosen, errors)
    except (ValueError, FileNotFoundError) as error:
        print(f"fastsig check: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped; finished chunks are kept, and the same command goes on from there (--restart to begin anew)", file=sys.stderr)
        return 130


def _measure(options: argparse.Namespace, ops: list[Op], formats: list[Format], chosen: list[Engine], errors: Console) -> int:
    console = Console(stderr=True, quiet=options.json)
    results: list[Result] = []
    found: dict[str, Any] = {}
    plan = runs.Plan(ops, formats, chosen, options.exhaustive, options.restart, named=bool(options.backends), mpmath=options.mpmath)
    for result in plan.run(console):
        results.append(result)
        _complain(result, 0, errors)
    if options.search:
        from . import search

        before = [len(r.failures) for r in results]
        rows = search.rows_of(ops, formats)
        found["regressions"] = list(search.run(rows, chosen[0], options.search, console, results))
        for r, said in zip(results, before, strict=True):
            _complain(r, said, errors)
    if options.peers or (options.write and options.exhaustive):
        from . import peers

        found["peers"] = peers.measure(ops, console)
    if options.keep:
        measured = [(r.key, [r.at]) for r in results if r.at and FORMATS[r.dtype].width > 16]
        kept.keep([*found.get("regressions", []), *measured], chosen[0])
    if options.json:
        print(json.dumps({"results": [r.record() for r in results], **found}, indent=1))
    else:
        Console(width=None if sys.stdout.isatty() else 120).print(_table(results))
    if options.write:
        records.write(results, found)
        report.write()
    return 1 if any(r.failures for r in results) else 0


def _complain(result: Result, said: int, errors: Console) -> None:
    """Print the failures that have not been."""
    for line in result.failures[said:]:
        errors.print(f"[red]FAILED[/] {result.label} {result.dtype} {result.backend}: {line}", highlight=False, soft_wrap=True)


def _table(results: list[Result]) -> Table:
    measured = ", ".join(dict.fromkeys(r.backend for r in results))
    table = Table(title=f"fastsig check: the worst error in ULP of the exact result, on {measured}", box=SIMPLE, pad_edge=False)
    for name in ("operation", "dtype", "max ULP", "at", "allowed", "misrounded", "of", "s"):
        table.add_column(name, justify="left" if name in ("operation", "dtype", "at") else "right", no_wrap=name != "at")
    for r in results:
        at = ", ".join(FORMATS[r.dtype].text(b).split(" ")[0] for b in r.at)
        worst = f"{'[red]' if r.failures else ''}{r.worst:.4f}"
        share = f"{100 * r.wrong / max(r.count, 1):.3g}%" if r.wrong else "0"
        count = f"2^{r.count.bit_length() - 1}" if r.count & (r.count - 1) == 0 else f"{r.count:,}"
        table.add_row(r.label, r.dtype, worst, at, str(r.ceiling), share, count, f"{r.seconds:.1f}")
    return table
