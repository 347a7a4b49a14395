"""The command line: ``python -m fastsig COMMAND``, also installed as ``fastsig``."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from . import __version__, backends, dispatch, get_include, get_library, get_num_threads
from .console import show


def demo(argv: Sequence[str]) -> int:
    from .demo import main

    return main(argv)


def check(argv: Sequence[str]) -> int:
    from .accuracy import main

    return main(argv)


def bench(argv: Sequence[str]) -> int:
    from .bench import main

    return main(argv)


def tune(argv: Sequence[str]) -> int:
    from .tune import main

    return main(argv)


def apply(argv: Sequence[str]) -> int:
    from .files.apply import main

    return main(argv)


def score(argv: Sequence[str]) -> int:
    from .files.score import main

    return main(argv)


def info(argv: Sequence[str]) -> int:
    argparse.ArgumentParser(prog="fastsig info", description=COMMANDS["info"][1]).parse_args(argv)
    show(facts())
    return 0


COMMANDS: dict[str, tuple[Callable[[Sequence[str]], int], str]] = {
    "demo": (demo, "fit a logistic regression on real data and compare with scikit-learn, SciPy, NumPy and torch"),
    "info": (info, "show the version, the backends, the instruction set and the settings in force"),
    "check": (check, "measure the accuracy of the operations, in ULP, on this machine"),
    "bench": (bench, "measure the speed of the operations and of their peers on this machine"),
    "tune": (tune, "measure from which sizes on threads and streaming stores win on this machine, and keep it"),
    "apply": (apply, "compute an operation over an .npy file, which may be larger than memory"),
    "score": (score, "compute the loss of the logits in an .npy file, and the norm of its gradient; files may be larger than memory"),
}


def facts() -> list[tuple[str, str]]:
    """What this installation is and has, as pairs of a name and its value."""
    rows = [
        ("fastsig", __version__),
        ("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ("NumPy", np.__version__),
    ]
    rows += [(f"backend {name}", status) for name, status in backends().items()]
    rows += _c_facts()
    rows += [
        ("threads", _or_error(lambda: f"at most {get_num_threads()}")),
        ("thresholds", dispatch.thresholds().source),
        ("FASTSIG_BACKEND", os.environ.get("FASTSIG_BACKEND") or "not set"),
        ("FASTSIG_NUM_THREADS", os.environ.get("FASTSIG_NUM_THREADS") or "not set"),
        ("Numba's cache", _numba_cache()),
    ]
    return rows


def _c_facts() -> list[tuple[str, str]]:
    try:
        from .backends import c
    except ImportError:
        return []
    return [
        ("instruction set", f"{c.isa()} (available: {', '.join(c.isas())})"),
        ("streaming stores", f"for outputs of {c.stream_bytes():,} bytes and more"),
        ("C header", get_include()),
        ("C library", _or_error(get_library)),
    ]


def _or_error(value: Callable[[], str]) -> str:
    """The value, or the complaint that the user should see in its place."""
    try:
        return value()
    except (ValueError, RuntimeError, OSError, StopIteration) as error:
        return f"error: {error}"


def _numba_cache() -> str:
    """Where Numba keeps the compiled kernels, by its own rule; it is not imported for this, which would take most of a second."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    if named:
        return f"{named} (NUMBA_CACHE_DIR)"
    beside = Path(__file__).parent / "backends" / "__pycache__"
    writable = os.access(beside if beside.exists() else beside.parent, os.W_OK)
    return str(beside) if writable else "the user's cache directory (the package's own cannot be written)"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fastsig", description="The logistic family for NumPy arrays.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"fastsig {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (_, summary) in COMMANDS.items():
        commands.add_parser(name, help=summary, add_help=False, allow_abbrev=False)  # a command reads its own arguments
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        The arguments, without the program's name; default ``sys.argv[1:]``.

    Returns
    -------
    int
        The command's status; 130 where the user interrupted it. Wrong arguments end the program with status 2, as in every
        argparse program.
    """
    given, rest = _parser().parse_known_args(argv)
    run, _ = COMMANDS[given.command]
    try:
        return run(rest)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
