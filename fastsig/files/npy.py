"""Arrays in .npy files: mapped into memory for reading, written in pieces under another name and renamed when whole."""

from __future__ import annotations

import math
import mmap
import os
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ..plans import BLOCK, type_code

Array = np.ndarray[Any, Any]

CHUNK = 1024 * BLOCK
"""Elements at a time: few megabytes, and large enough for all threads. A multiple of BLOCK, so that sums have the bits of one call."""
_TAKEN = "float16, bfloat16, float32, float64, bool or integers"
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class FileProblem(Exception):
    """A file that cannot be read or must not be written, in one line for its user."""


class Mapped:
    """The array in a .npy file, read from disk as it is used.

    Parameters
    ----------
    path : str
    bfloat16 : bool
        Read opaque elements of two bytes as bfloat16: ``np.save`` writes no more of that type than its size.

    Raises
    ------
    FileProblem
        It is missing, not an .npy file, cut off, or holds what no kernel reads.
    """

    def __init__(self, path: str, *, bfloat16: bool = False) -> None:
        self.path = path
        try:
            with open(path, "rb") as file:
                shape, fortran, dtype = _header(path, file)
                offset, size = file.tell(), os.fstat(file.fileno()).st_size
                self._memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise FileProblem(f"{path}: {error.strerror or error}") from error
        dtype = _element_type(path, dtype, bfloat16)
        needed = offset + dtype.itemsize * math.prod(shape)
        if size < needed:
            raise FileProblem(f"{path}: cut off: its header promises {needed:,} bytes, and it has {size:,}; write it again")
        try:
            self.array: Array = np.ndarray(shape, dtype, self._memory, offset, order="F" if fortran else "C")
        except ValueError as error:
            raise FileProblem(f"{path}: {error}") from error

    def release(self) -> None:
        """Give back the pages read so far, so that they do not count as this process's memory."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._memory.madvise(mmap.MADV_DONTNEED)


def _header(path: str, file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    try:
        version = np.lib.format.read_magic(file)
        if version == (3, 0):
            raise FileProblem(f"{path}: an .npy file of version 3.0, which holds records; give an array of numbers")
        read = _HEADERS.get(version)
        if read is None:
            raise ValueError(f"version {version[0]}.{version[1]}")
        shape, fortran, dtype = read(file)
        if any(type(length) is not int or length < 0 for length in shape):
            raise ValueError(f"shape {shape}")
    except (ValueError, TypeError, SyntaxError, tokenize.TokenError) as error:
        raise FileProblem(f"{path}: not an .npy file, or a damaged one ({str(error).splitlines()[0]}); np.save writes them") from error
    return shape, fortran, dtype


def _element_type(path: str, dtype: np.dtype[Any], bfloat16: bool) -> np.dtype[Any]:
    if dtype.kind == "V" and dtype.names is None and dtype.itemsize == 2:
        if not bfloat16:
            raise FileProblem(f"{path}: opaque elements of 2 bytes; say --bfloat16 if they are that, which np.save does not record")
        return bfloat16_type()
    if type_code(dtype) is None:
        raise FileProblem(f"{path}: elements of dtype {dtype}; give {_TAKEN}")
    return dtype


def bfloat16_type() -> np.dtype[Any]:
    try:
        import ml_dtypes
    except ImportError as error:
        raise FileProblem("bfloat16 needs ml_dtypes (pip install ml_dtypes)") from error
    found: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return found


def chunks(size: int) -> Iterator[slice]:
    """Slices of CHUNK elements, the last one shorter, that cover range(size)."""
    return (slice(start, min(start + CHUNK, size)) for start in range(0, size, CHUNK))


def write_header(file: BinaryIO, dtype: np.dtype[Any], shape: tuple[int, ...], fortran: bool) -> None:
    """What ``np.save`` writes before the elements."""
    descr = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": fortran, "shape": shape})


def target_of(path: str, source: str, force: bool) -> Path:
    """Where a result goes: through links to the file itself; FileProblem where that must not be written."""
    target = Path(os.path.realpath(path))
    if target.exists():
        if not target.is_file():
            raise FileProblem(f"{path}: not a regular file; give the name of a file")
        if not force:
            what = "is the input itself" if target.samefile(source) else "exists"
            raise FileProblem(f"{path}: {what}; give another name, or --force to replace it")
    elif not target.parent.is_dir():
        raise FileProblem(f"{path}: there is no directory {target.parent}")
    return target
