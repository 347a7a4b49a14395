"""The command line of the proof command."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from fastsig.measure.accuracy import correct_rounding, engines, peers, runs, search
from fastsig.measure.accuracy.result import Result
from fastsig.measure.formats import FORMATS
from fastsig.ops import BY_NAME, OPS, ROUNDED
from fastsig.system.terminal import Progress, complain, width_of_output

LOSSES = "losses"
"""Stands for all that is promised of them beside the operations."""


@dataclass
class Measured:
    """What a call has measured; the worst inputs are those that a search found."""

    results: list[Result]
    plan: runs.Plan
    worst_inputs: list[tuple[tuple[str, str, str], list[list[int]]]] = field(default_factory=list)
    peers: list[dict[str, Any]] | None = None


def parser(prog: str = "python -m fastsig check") -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog=prog,
        description="Measure the error of every operation in ULP, where it is worst, and what else is promised.",
    )
    p.add_argument("--ops", nargs="+", metavar="OP", help=f"of {', '.join(BY_NAME)}, {LOSSES}; default all")
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
        type=seconds,
        metavar="SECONDS",
        help="climb towards the worst inputs of what cannot be exhaustive (float64; float32 with soft targets), so long each",
    )
    p.add_argument(
        "--correctly-rounded",
        action="store_true",
        help="check fastsig.correctly_rounded instead: all 2^32 inputs of each operation, under a minute each on two idle cores",
    )
    p.add_argument("--peers", action="store_true", help="measure torch, SciPy and JAX too, where installed")
    p.add_argument("--json", action="store_true", help="print the results as JSON")
    return p


def _count(text: str) -> int:
    if not text.replace("_", "").isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of inputs; give a whole number from 1 on, such as 1000000")
    return int(text)


def seconds(text: str) -> float:
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
    return answered(parser(), argv, _work)


def _work(options: argparse.Namespace) -> int:
    if options.correctly_rounded:
        return told_rounded(options, measured_rounded(options))
    return told(options, measured(options))


def answered(given: argparse.ArgumentParser, argv: list[str], work: Callable[[argparse.Namespace], int]) -> int:
    """The exit status of the work, or of its being impossible or interrupted."""
    options = given.parse_args(argv)
    try:
        return work(options)
    except (ValueError, FileNotFoundError) as error:
        complain(f"{given.prog.removeprefix('python -m ')}: {error}")
        return 2
    except KeyboardInterrupt:
        print("\nstopped; finished chunks are kept, and the same command goes on from there (--restart to begin anew)", file=sys.stderr)
        return 130


def measured(options: argparse.Namespace, changed: str = "", budget: float = inf) -> Measured:
    """All that the options ask for; failures are printed as they are found."""
    names = _known("operation", options.ops, [*(op.name for op in OPS), LOSSES])
    ops = [BY_NAME[n] for n in names if n != LOSSES]
    formats = [FORMATS[n] for n in _known("dtype", options.dtypes, list(FORMATS))]
    chosen = engines.named([n for w in options.backends for n in w.split(",") if n]) if options.backends else engines.native()
    console, errors = Console(stderr=True, quiet=options.json), Console(stderr=True)
    named = bool(options.backends)
    plan = runs.Plan(
        ops,
        formats,
        chosen,
        options.exhaustive,
        options.restart,
        named=named,
        mpmath=options.mpmath,
        changed=changed,
        budget=budget,
        losses=LOSSES in names,
    )
    done = Measured([], plan)
    for result in plan.run(console):
        done.results.append(result)
        _complain(result, 0, errors)
    if options.search:
        before = [len(r.failures) for r in done.results]
        done.worst_inputs = list(search.run(search.rows_of(ops, formats), chosen[0], options.search, console, done.results))
        for r, said in zip(done.results, before, strict=True):
            _complain(r, said, errors)
    if options.peers:
        done.peers = peers.measure(ops, console)
    return done


def measured_rounded(options: argparse.Namespace, part: int | None = None) -> list[correct_rounding.Checked]:
    """Each operation of fastsig.correctly_rounded on each backend that was asked for, or a slice of its inputs."""
    ops = [BY_NAME[n] for n in _known("correctly rounded operation", options.ops, [op.name for op in ROUNDED])]
    chosen = engines.named([n for w in options.backends for n in w.split(",") if n]) if options.backends else engines.native()[:1]
    console = Console(stderr=True, quiet=options.json)
    with Progress(1, "check", console, patience=0.0, counted=True) as bar:
        return [found for engine in chosen for found in correct_rounding.check_all(ops, engine, part, bar)]


def told_rounded(options: argparse.Namespace, done: list[correct_rounding.Checked]) -> int:
    if options.json:
        print(json.dumps([found.record() for found in done], indent=1))
    else:
        table = Table(title="fastsig check: results that are not the nearest float32 number", box=SIMPLE, pad_edge=False)
        for name in ("operation", "backend", "wrong", "of", "decided by the exact value", "in disorder", "s"):
            table.add_column(name, justify="left" if name in ("operation", "backend") else "right", no_wrap=True)
        for r in done:
            table.add_row(r.op, r.backend, str(r.wrong), f"{r.count:,}", f"{r.decided:,}", str(r.disorder), f"{r.seconds:.1f}")
        Console(width=width_of_output()).print(table)
    errors = Console(stderr=True)
    for r in done:
        for line in r.failures:
            errors.print(f"[red]FAILED[/] correctly_rounded.{r.op} {r.backend}: {line}", highlight=False, soft_wrap=True)
    return 1 if any(r.failures for r in done) else 0


def told(options: argparse.Namespace, done: Measured) -> int:
    """Print the results; 1 where a promise is broken."""
    if options.json:
        found = {"results": [r.record() for r in done.results], "regressions": done.worst_inputs, "peers": done.peers}
        print(json.dumps({name: rows for name, rows in found.items() if rows or name == "results"}, indent=1))
    else:
        Console(width=width_of_output()).print(_table(done.results))
    return 1 if any(r.failures for r in done.results) else 0


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
