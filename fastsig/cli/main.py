"""The command line: ``python -m fastsig COMMAND``, also installed as ``fastsig``."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from typing import TextIO

from fastsig import __version__
from fastsig.system.signals import ending_in_order
from fastsig.system.terminal import complain

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("fastsig.cli.demo", "fit a logistic regression on real data and compare with scikit-learn, SciPy, NumPy and torch"),
    "info": ("fastsig.cli.info", "show the version, the backends, the instruction set and the settings in force"),
    "check": ("fastsig.measure.accuracy", "measure the accuracy of the operations, in ULP, on this machine"),
    "bench": ("fastsig.measure.speed", "measure the speed of the operations and of their peers on this machine"),
    "tune": ("fastsig.measure.tune", "measure from which sizes on threads and streaming stores win on this machine, and keep it"),
    "gradflow": ("fastsig.cli.gradflow", "measure how much gradient the layers of deep and recurrent networks get (needs torch)"),
    "apply": ("fastsig.files.apply", "compute an operation over an .npy file, which may be larger than memory"),
    "score": (
        "fastsig.files.score",
        "compute the loss of the logits in an .npy file, and the norm of its gradient; files may be larger than memory",
    ),
}
"""The module whose ``main`` a command is, loaded when it is asked for; and what ``--help`` says of it."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastsig",
        description="The logistic family for NumPy arrays.",
        epilog="Exit status: 0 when all is well, 2 for arguments or files that cannot be used, 1 for everything else that fails, "
        "130 after Ctrl-C.",
        allow_abbrev=False,
    )
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
        The command's status; 130 where the user interrupted it; 1 where nobody reads what it prints, or the system refused it
        something. Wrong arguments end the program with status 2, as in every argparse program; SIGTERM and SIGHUP end it as they
        do, after what was begun is cleaned up.
    """
    try:
        with ending_in_order():
            try:
                return _command(argv)
            finally:
                _flush()
    except KeyboardInterrupt:
        complain("interrupted")
        return 130
    except BrokenPipeError:  # whoever reads has what it wanted
        _print_no_more()
        return 1
    except OSError as error:
        _print_no_more()
        complain(f"fastsig: {error.filename}: {error.strerror}" if error.filename else f"fastsig: {error.strerror or error}")
        return 1
    except MemoryError:
        complain("fastsig: there is not enough memory")
        return 1


def _command(argv: Sequence[str] | None) -> int:
    given, rest = _parser().parse_known_args(argv)
    module, _ = COMMANDS[given.command]
    return int(importlib.import_module(module).main(rest))


def _flush() -> None:
    """Now, while an error can be told, and not when the interpreter ends."""
    for stream in _streams():
        stream.flush()


def _print_no_more() -> None:
    """What is left in the streams goes nowhere, or the interpreter would complain of it when it ends."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in _streams():
        try:
            stream.flush()
        except OSError:
            os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def _streams() -> list[TextIO]:
    """Those that were not closed when the program began."""
    return [stream for stream in (sys.stdout, sys.stderr) if stream is not None]
