"""``python -m fastsig tune``: measures this machine's crossovers and keeps them for the dispatcher in the user's settings."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fastsig
from fastsig.dispatch import thresholds
from fastsig.measure.peers import UNARY
from fastsig.measure.tune.crossovers import DTYPES, Crossovers, measure
from fastsig.system import terminal
from fastsig.system.atomic_files import replacing
from fastsig.system.cpu import cpu_name
from fastsig.system.num_threads import get_num_threads

__all__ = ["Crossovers", "main", "measure", "write"]


def document(found: Crossovers) -> dict[str, Any]:
    """What the file says: the crossovers, and the machine and version that they hold for."""
    return {
        "format": thresholds.FORMAT,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "machine": thresholds.fingerprint(fastsig.__version__),
        "parallel": found.parallel,
        "numba": found.numba,
        "stream_bytes": found.stream_bytes,
    }


def write(found: Crossovers, file: Path) -> None:
    """Write the file, whole or not at all: another process may be reading it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as stream:
        stream.write(f"{json.dumps(document(found), indent=1)}\n".encode())


def show(parallel: thresholds.Table, numba: thresholds.Table, stream_bytes: int | None, title: str) -> None:
    """Print a table of the thresholds beside those built in."""
    built_in = thresholds.Thresholds()
    rows = []
    for op, dtype in ((op, dtype) for op in UNARY for dtype in DTYPES):
        if dtype in parallel.get(op, {}):
            rows.append((f"{op} {dtype}: more than one thread", f"{parallel[op][dtype]:,}", f"{built_in.least(op, dtype):,}"))
        if dtype in numba.get(op, {}):
            rows.append((f"{op} {dtype}: Numba's loop, where loaded", f"{numba[op][dtype]:,}", "never"))
    if stream_bytes is not None:
        rows.append(("stores past the caches, bytes", f"{stream_bytes:,}", "by the size of the cache"))
    others = "all" if not parallel else "all other"
    rows += [(f"{others} operations, {dtype}: more than one thread", "", f"{least:,}") for dtype, least in thresholds.ELEMENTS.items()]
    print(title)
    terminal.show(rows, ("from so many elements on", "tuned", "built in"))


def _say_if_busy() -> None:
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    cpus = os.cpu_count() or 1
    if load > cpus + 1:  # tune itself is one
        print(f"this machine was busy (load {load:.1f} on {cpus} CPUs): measure again when it is not", file=sys.stderr)


def _show_in_force() -> int:
    known = thresholds.in_force()
    show(known.parallel, known.numba, known.stream_bytes, f"thresholds in force: {known.source}")
    return 0


def _reset(file: Path) -> int:
    try:
        file.unlink()
        print(f"removed {file}")
    except (FileNotFoundError, NotADirectoryError):
        print(f"there is no {file}; the built-in thresholds are in force")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastsig tune",
        description="Measure from which sizes on more threads, Numba's loops and stores past the caches win on this machine, and keep it.",
        epilog=f"The file is {thresholds.path() or 'nowhere: this user has no home directory'}. Results never depend on it.",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--show", action="store_true", help="print the thresholds in force, and measure nothing")
    how.add_argument("--reset", action="store_true", help="remove the file: back to the built-in thresholds")
    how.add_argument("--dry-run", action="store_true", help="measure and print, and write nothing")
    parser.add_argument("--ops", metavar="A,B", default=",".join(UNARY), help="operations; the others keep the built-in thresholds")
    parser.add_argument("--dtypes", metavar="A,B", default=",".join(DTYPES), help="dtypes; the others keep the built-in thresholds")
    parser.add_argument("--rounds", type=int, default=15, help="measurements of each case (15)")
    parser.add_argument("--no-numba", action="store_true", help="do not compile and measure Numba's loops")
    return parser


def _chosen(parser: argparse.ArgumentParser, option: str, text: str, known: Sequence[str]) -> list[str]:
    names = [name for name in text.split(",") if name]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        parser.error(f"{option} {text!r}: choose among {', '.join(known)}")
    return names


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    ops, dtypes = _chosen(parser, "--ops", arguments.ops, UNARY), _chosen(parser, "--dtypes", arguments.dtypes, DTYPES)
    if arguments.rounds < 3:
        parser.error(f"--rounds {arguments.rounds}: at least 3, for a median")
    place = thresholds.path()
    try:
        if arguments.show:
            return _show_in_force()
        if place is None and not arguments.dry_run:
            raise OSError("this user has no home directory to keep settings in; set XDG_CONFIG_HOME to a directory, or use --dry-run")
        file = Path(place or "")
        if arguments.reset:
            return _reset(file)
        found = measure(ops, dtypes, rounds=arguments.rounds, numba=not arguments.no_numba)
        show(found.parallel, found.numba, found.stream_bytes, f"measured on {cpu_name()} with {get_num_threads()} threads")
        _say_if_busy()
        if arguments.dry_run:
            print("nothing written (--dry-run)")
        else:
            write(found, file)
            print(f"written to {file}; in force from the next process on")
    except BrokenPipeError:
        raise
    except OSError as error:
        terminal.complain(f"fastsig tune: {error}")
        return 1
    return 0
