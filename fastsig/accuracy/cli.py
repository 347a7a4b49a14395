"""The command line of the proof command."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from rich.console import Console
from rich.table import Table

from ..ops import BY_NAME, OPS, Op
from . import engines as room
from . import records, report, runs
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
        "--search", type=float, metavar="SECONDS", help="climb towards the worst float64 inputs of the unary operations, so long each"
    )
    p.add_argument("--peers", action="store_true", help="measure torch, SciPy and JAX too, where installed")
    p.add_argument("--json", action="store_true", help="print the results as JSON")
    p.add_argument("--write", action="store_true", help="record the results in docs/accuracy.json, docs/accuracy.md and README.md")
    p.add_argument("--stale", action="store_true", help="measure nothing; exit 1 if the documents are not what the recorded results say")
    return p


def _known(kind: str, given: list[str] | None, known: list[str]) -> list[str]:
    names = [n for word in given or known for n in word.split(",") if n]
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
    plan = runs.Plan(ops, formats, chosen, options.exhaustive, options.restart, named=bool(options.backends))
    for result in plan.run(console):
        results.append(result)
        for line in result.failures:
            errors.print(f"[red]FAILED[/] {result.label} {result.dtype} {result.backend}: {line}", highlight=False, soft_wrap=True)
    if options.search:
        from . import search

        found["regressions"] = search.run(ops, chosen[0], options.search, console)
    if options.peers or (options.write and options.exhaustive):
        from . import peers

        found["peers"] = peers.measure(ops, console)
    if options.json:
        print(json.dumps({"results": [r.record() for r in results], **found}, indent=1))
    else:
        Console().print(_table(results))
    if options.write:
        records.write(results, found)
        report.write()
    return 1 if any(r.failures for r in results) else 0


def _table(results: list[Result]) -> Table:
    table = Table(title="fastsig check: the worst error, in ULP of the exact result")
    for name in ("operation", "dtype", "backend", "max ULP", "at", "allowed", "not correctly rounded", "of", "seconds"):
        table.add_column(name, justify="left" if name in ("operation", "dtype", "backend", "at") else "right")
    for r in results:
        at = ", ".join(FORMATS[r.dtype].text(b).split(" ")[0] for b in r.at)
        colour = "[red]" if r.failures else ""
        table.add_row(
            r.label, r.dtype, r.backend, f"{colour}{r.worst:.4f}", at, str(r.ceiling), f"{r.wrong:,}", f"{r.count:,}", f"{r.seconds:.1f}"
        )
    return table
