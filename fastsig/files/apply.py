"""``python -m fastsig apply OP IN.npy OUT.npy``: an operation over a file of any size, in bounded memory."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fastsig.arrays.dtypes import Array
from fastsig.elementwise import functions
from fastsig.files.npy import FileProblem, Stored, bfloat16_type, check_target, write_header
from fastsig.ops import OPS
from fastsig.system.atomic_files import creating, replacing
from fastsig.system.terminal import Progress, complain

NAMES = tuple(op.name for op in OPS if op.nin == 1)
DTYPES = ("float16", "bfloat16", "float32", "float64")
PIECE = 1 << 18
"""Elements at a time: read, computed and written while they are in the processor's cache."""


def apply(
    op: str, source: str, out: str, *, dtype: str | None = None, threads: int | None = None, force: bool = False, bfloat16: bool = False
) -> Path:
    """Write op of the array in one .npy file to another; the result has the bytes that ``np.save`` of the whole result would write.

    Parameters
    ----------
    op : str
        One of NAMES.
    source, out : str
        Paths. Nothing appears at ``out`` before the result is whole, and nothing else is left beside it.
    dtype : {"float16", "bfloat16", "float32", "float64"}, optional
        The result's; computed in it or in the input's float type, whichever is wider, and rounded once. Default: as the function's.
    threads : int, optional
        The most threads to use.
    force : bool
        Replace ``out`` where it exists; it may be ``source`` itself. Its mode and owner stay, where that is permitted; where it is a
        symbolic link, the file that this leads to is replaced; other hard links to that file keep the old bytes.
    bfloat16 : bool
        Elements of two opaque bytes are bfloat16.

    Returns
    -------
    Path
        Of the file written.

    Raises
    ------
    FileProblem
        A file cannot be read, or ``out`` exists, be it only by the time that the result is whole.
    OSError
        The result cannot be written.
    """
    function = getattr(functions, op)
    with Stored(source, bfloat16=bfloat16) as x:
        check_target(out, x, force)
        natural: np.dtype[Any] = np.asarray(function(np.empty(0, x.dtype))).dtype
        stored = natural if dtype is None else bfloat16_type() if dtype == "bfloat16" else np.dtype(dtype)
        results = np.empty(min(PIECE, x.size), stored)
        try:
            with (replacing if force else creating)(out) as file, Progress(x.size, f"{op} {source}") as bar:
                write_header(file, stored, x.shape, not x.in_c_order)
                for start in range(0, x.size, PIECE):
                    part = results[: x.size - start]
                    _compute(function, x.elements(start, start + part.size), part, natural, threads)
                    file.write(part.view(np.uint8).data)
                    bar.advance(part.size)
        except FileExistsError as error:
            raise FileProblem(f"{out}: appeared meanwhile, and stays as it is; give another name, or --force to replace it") from error
    return Path(os.path.realpath(out))


def _compute(function: Callable[..., Any], x: Array, out: Array, natural: np.dtype[Any], threads: int | None) -> None:
    """In the wider of the function's own type and the result's, rounded once."""
    wider = max(natural, out.dtype, key=lambda dtype: dtype.itemsize)
    if out.dtype != natural and natural.itemsize == out.dtype.itemsize:
        wider = np.dtype(np.float32)  # holds float16 and bfloat16
    function(x if x.dtype == wider else x.astype(wider), out=out, dtype=None if wider == out.dtype else wider, threads=threads)


def positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give a positive whole number")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastsig apply",
        description="Write OP of the array in IN.npy to OUT.npy, a piece at a time: the files may be larger than memory.",
        epilog="Exit status: 0 when OUT.npy is written, 1 when it cannot be, 2 for arguments or files that cannot be used.",
        allow_abbrev=False,
    )
    parser.add_argument("op", choices=NAMES, metavar="OP", help=f"one of {', '.join(NAMES)}")
    parser.add_argument("source", metavar="IN.npy")
    parser.add_argument("out", metavar="OUT.npy", help="appears when it is whole; nothing is left of it otherwise")
    parser.add_argument("--dtype", choices=DTYPES, help="of the result; default that of the function")
    parser.add_argument("--threads", type=positive, metavar="N", help="the most threads to use")
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace OUT.npy where it exists, and keep its mode and owner; it may be IN.npy itself; of a symbolic link the file that it "
        "leads to is replaced; other hard links to that keep the old bytes",
    )
    parser.add_argument("--bfloat16", action="store_true", help="elements of 2 opaque bytes are bfloat16: np.save does not record that")
    return parser


def main(argv: Sequence[str]) -> int:
    """The command line; returns the exit status: 2 for bad input, 1 where the result could not be written."""
    given = _parser().parse_args(argv)
    try:
        apply(given.op, given.source, given.out, dtype=given.dtype, threads=given.threads, force=given.force, bfloat16=given.bfloat16)
    except (FileProblem, ValueError, RuntimeError) as error:  # the last two where FASTSIG_BACKEND or FASTSIG_NUM_THREADS is wrong
        complain(f"fastsig apply: {error}")
        return 2
    except OSError as error:
        complain(f"fastsig apply: {given.out}: {error.strerror or error}; nothing was written")
        return 1
    return 0
