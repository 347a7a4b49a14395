"""The command line: measures, and writes what it measured into the repository's documents and tests."""

from __future__ import annotations

import argparse
import sys
from math import inf

from rich.console import Console

from fastsig.measure.accuracy import cli, exhaustive, records
from fastsig.measure.formats import FORMATS
from fastsig.ops import BY_NAME
from tools.accuracy import recording, report, worst_inputs


def _parser() -> argparse.ArgumentParser:
    p = cli.parser("python -m tools.accuracy")
    p.add_argument(
        "--changed",
        type=_commit,
        metavar="COMMIT",
        help="with --exhaustive: all 2^32 inputs only of operations whose formula, compiler, flags or instruction set changed since they "
        "were on record; of the others 1/64, which the hexadecimal COMMIT picks; with --correctly-rounded: 1/64 of all",
    )
    p.add_argument(
        "--budget", type=cli.seconds, default=inf, metavar="SECONDS", help="with --changed: afterwards nothing further is measured in full"
    )
    p.add_argument("--keep", action="store_true", help="record the worst inputs in tests/worst_inputs.json, which the tests hold fast")
    p.add_argument("--write", action="store_true", help="record the results in docs/accuracy.json, docs/accuracy.md and README.md")
    p.add_argument("--stale", action="store_true", help="measure nothing; exit 1 if the documents are not what the recorded results say")
    return p


def _commit(text: str) -> str:
    if not set(text.lower()) <= set("0123456789abcdef") or not text:
        raise argparse.ArgumentTypeError(f"{text!r} is not a commit; give its hash, such as 1f0c3a9")
    return text


def _work(options: argparse.Namespace) -> int:
    if options.changed and not (options.exhaustive or options.correctly_rounded):
        raise ValueError("--changed says of what --exhaustive or --correctly-rounded may measure a part; give both")
    records.root()  # so that its absence is told before minutes of measuring
    if options.stale:
        return report.stale(Console(stderr=True))
    if options.correctly_rounded:
        return _rounded(options)
    options.peers = options.peers or (options.write and options.exhaustive and not options.ops)
    done = cli.measured(options, options.changed or "", options.budget)
    if options.keep:
        found = [(r.key, [r.at]) for r in done.results if r.at and FORMATS[r.dtype].width > 16 and r.op in BY_NAME]
        worst_inputs.keep([*done.worst_inputs, *found], done.plan.engines[0])
    status = cli.told(options, done)
    if options.write:
        recording.write(done)
        report.write()
    return status


def _rounded(options: argparse.Namespace) -> int:
    part = exhaustive.slice_of(options.changed) if options.changed else None
    if options.write and part is not None:
        raise ValueError("--write records what was found of all inputs; leave --changed out")
    done = cli.measured_rounded(options, part)
    status = cli.told_rounded(options, done)
    if options.write and not status:
        recording.write_rounded(done)
    return status


def main(argv: list[str]) -> int:
    return cli.answered(_parser(), argv, _work)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
