"""``python -m fastsig apply OP IN.npy OUT.npy``: an operation over a file of any size, in bounded memory."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import api
from ..console import progress
from ..ops import OPS
from ..whole_files import replacing
from .npy import Array, FileProblem, Mapped, bfloat16_type, chunks, target_of, write_header

NAMES = tuple(op.name for op in OPS if op.nin == 1)
DTYPES = ("float16", "bfloat16", "float32", "float64")


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
        Replace ``out`` where it exists; it may be ``source`` itself.
    bfloat16 : bool
        Elements of two opaque bytes are bfloat16.

    Returns
    -------
    Path
        Of the file written.

    Raises
    ------
    FileProblem
        A file cannot be read, or ``out`` exists.
    OSError
        The result cannot be written.
    """
    function = getattr(api, op)
    mapped = Mapped(source, bfloat16=bfloat16)
    target = target_of(out, source, force)
    x = mapped.array
    natural: np.dtype[Any] = np.asarray(function(x.ravel(order="A")[:0])).dtype
    stored = natural if dtype is None else bfloat16_type() if dtype == "bfloat16" else np.dtype(dtype)
    with replacing(target) as file, progress(x.size, f"{op} {source}") as bar:
        write_header(file, stored, x.shape, bool(x.flags.f_contiguous and not x.flags.c_contiguous))
        elements = x.reshape(-1, order="A")
        for chunk in chunks(x.size):
            # not into a mapping of the output: a full disk is an error here, and would be a fatal signal there
            file.write(_computed(function, elements[chunk], natural, stored, threads).data)
            mapped.release()
            bar.advance(chunk.stop - chunk.start)
    return target


def _computed(function: Callable[..., Any], x: Array, natural: np.dtype[Any], stored: np.dtype[Any], threads: int | None) -> Array:
    """The results as bytes of the stored type."""
    wider = max(natural, stored, key=lambda dtype: dtype.itemsize)
    if stored != natural and natural.itemsize == stored.itemsize:
        wider = np.dtype(np.float32)  # holds float16 and bfloat16
    out = np.empty(x.shape, stored)
    function(x if x.dtype == wider else x.astype(wider), out=out, dtype=None if wider == stored else wider, threads=threads)
    return out.view(np.uint8)


def positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: give a positive whole number")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastsig apply",
        description="Write OP of the array in IN.npy to OUT.npy, a piece at a time: the files may be larger than memory.",
        allow_abbrev=False,
    )
    parser.add_argument("op", choices=NAMES, metavar="OP", help=f"one of {', '.join(NAMES)}")
    parser.add_argument("source", metavar="IN.npy")
    parser.add_argument("out", metavar="OUT.npy", help="appears when it is whole")
    parser.add_argument("--dtype", choices=DTYPES, help="of the result; default that of the function")
    parser.add_argument("--threads", type=positive, metavar="N", help="the most threads to use")
    parser.add_argument("--force", action="store_true", help="replace OUT.npy where it exists; it may be IN.npy itself")
    parser.add_argument("--bfloat16", action="store_true", help="elements of 2 opaque bytes are bfloat16: np.save does not record that")
    return parser


def main(argv: Sequence[str]) -> int:
    """The command line; returns the exit status: 2 for bad input, 1 where the result could not be written."""
    given = _parser().parse_args(argv)
    try:
        apply(given.op, given.source, given.out, dtype=given.dtype, threads=given.threads, force=given.force, bfloat16=given.bfloat16)
    except (FileProblem, ValueError, RuntimeError) as error:  # the last two where FASTSIG_BACKEND or FASTSIG_NUM_THREADS is wrong
        print(f"fastsig apply: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"fastsig apply: {given.out}: {error.strerror or error}; nothing was written", file=sys.stderr)
        return 1
    return 0
