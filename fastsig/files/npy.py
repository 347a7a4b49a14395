"""Arrays in .npy files: read in pieces, and not mapped into memory, where a file that becomes shorter meanwhile is a fatal signal."""

from __future__ import annotations

import io
import itertools
import math
import os
import struct
import sys
import tokenize
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np

from fastsig.arrays.dtypes import Array, type_code
from fastsig.system.regular_files import open_regular, status_of

CHUNK = 1 << 20
"""Elements at a time: few megabytes, and large enough for all threads."""
LONGEST_HEADER = 10_000
"""Bytes. NumPy's own limit for what a stranger may have written."""
MOST_AXES = 64
"""Of an array of NumPy."""
_TAKEN = "float16, bfloat16, float32, float64, bool or integers"
_LENGTHS = {(1, 0): "<H", (2, 0): "<I", (3, 0): "<I"}
"""How a header's length is written, by the version of the format."""
_PARSER_RAISES = (
    ValueError, TypeError, SyntaxError, tokenize.TokenError, LookupError, AttributeError, ArithmeticError, RecursionError, MemoryError
)  # fmt: skip
"""NumPy reads a header as a Python expression, of which a damaged one is any."""


class FileProblem(Exception):
    """A file that cannot be read or must not be written, in one line for its user."""


class Stored:
    """The array in a .npy file, read from disk as it is used. What a method returns is good until the next is called.

    Parameters
    ----------
    path : str
    bfloat16 : bool
        Read opaque elements of two bytes as bfloat16: ``np.save`` writes no more of that type than its size.

    Raises
    ------
    FileProblem
        It is missing, no regular file, not an .npy file, cut off, or holds what no kernel reads; from the methods, it has become
        shorter or cannot be read.
    """

    def __init__(self, path: str, *, bfloat16: bool = False) -> None:
        self.path = path
        self._buffer = np.empty(0, np.uint8)
        try:
            self._file = open_regular(path)
        except OSError as error:
            raise FileProblem(f"{path}: {error.strerror or error}") from error
        try:
            self.shape, self.fortran, dtype = self._header()
            self.dtype = _element_type(path, dtype, bfloat16)
            self._check_size()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Stored:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def in_c_order(self) -> bool:
        """Whether the elements lie in the order of their places; the last axis' places are next to each other."""
        return not self.fortran or self.size == 0 or sum(length > 1 for length in self.shape) < 2

    def is_the_file(self, status: os.stat_result) -> bool:
        return os.path.samestat(status, os.fstat(self._file.fileno()))

    def elements(self, start: int, stop: int) -> Array:
        """Some of the elements in the order of the file, one-dimensional."""
        return self._runs([start], stop - start)

    def box(self, ranges: Sequence[range]) -> Array:
        """The elements at these places of each axis."""
        if self.fortran:
            return self._box(self.shape[::-1], ranges[::-1]).T
        return self._box(self.shape, ranges)

    def _box(self, shape: tuple[int, ...], ranges: Sequence[range]) -> Array:
        """The same of the array in C order whose elements lie as those in the file."""
        steps = [math.prod(shape[at + 1 :]) for at in range(len(shape))]
        axis, run = len(shape), 1
        while axis and run == math.prod(shape[axis:]):  # all elements of the axes behind are taken, and so lie side by side
            axis -= 1
            run *= len(ranges[axis])
        first = sum(places.start * step for places, step in zip(ranges[axis:], steps[axis:], strict=True))
        outer = ([place * step for place in places] for places, step in zip(ranges[:axis], steps[:axis], strict=True))
        starts = [first + sum(places) for places in itertools.product(*outer)]
        return self._runs(starts, run).reshape([len(places) for places in ranges])

    def _runs(self, starts: Sequence[int], length: int) -> Array:
        """So many elements from each of these on."""
        run = length * self.dtype.itemsize
        needed = run * len(starts)
        if self._buffer.size < needed:
            self._buffer = np.empty(needed, np.uint8)
        into = self._buffer.data
        for i, start in enumerate(starts):
            self._read(into[i * run : (i + 1) * run], self._offset + start * self.dtype.itemsize)
        return self._buffer[:needed].view(self.dtype)

    def _read(self, into: memoryview, offset: int) -> None:
        """All of these bytes."""
        if self._read_some(into, offset) < len(into):
            size = os.fstat(self._file.fileno()).st_size
            raise FileProblem(f"{self.path}: became shorter while it was read: it ends after {size:,} bytes; start again")

    def _read_some(self, into: memoryview, offset: int) -> int:
        """As many of these bytes as there are; how many."""
        got = 0
        try:
            self._file.seek(offset)
            while got < len(into) and (more := self._file.readinto(into[got:])):
                got += more
        except OSError as error:
            raise FileProblem(f"{self.path}: {error.strerror or error}") from error
        return got

    def _bytes(self, offset: int, count: int) -> bytes:
        found = bytearray(count)
        return bytes(found[: self._read_some(memoryview(found), offset)])

    def _header(self) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
        try:
            version = np.lib.format.read_magic(io.BytesIO(self._bytes(0, np.lib.format.MAGIC_LEN)))
            if version not in _LENGTHS:
                raise ValueError(f"version {version[0]}.{version[1]}")
            text = self._header_text(_LENGTHS[version])
            if version == (3, 0):
                text = text.decode("utf-8").encode("latin-1")  # as older versions have it; what cannot be has names, of records
            shape, fortran, dtype = _parsed(text)
            if any(type(length) is not int or length < 0 for length in shape):
                raise ValueError(f"shape {shape}")
        except UnicodeEncodeError as error:
            raise FileProblem(f"{self.path}: holds records; give {_TAKEN}") from error
        except _PARSER_RAISES as error:
            words = (str(error).splitlines() or [type(error).__name__])[0].partition(": <ast.")[0]  # an object's address says nothing
            raise FileProblem(f"{self.path}: not an .npy file, or a damaged one ({words:.100}); np.save writes them") from error
        return shape, fortran, dtype

    def _header_text(self, length_format: str) -> bytes:
        """Everything between the header's length and the elements, which begin at ``_offset``."""
        start = np.lib.format.MAGIC_LEN + struct.calcsize(length_format)
        encoded = self._bytes(np.lib.format.MAGIC_LEN, struct.calcsize(length_format))
        if len(encoded) < struct.calcsize(length_format):
            raise ValueError("cut off in its header")
        (length,) = struct.unpack(length_format, encoded)
        if length > LONGEST_HEADER:
            raise ValueError(f"a header of {length:,} bytes; those of numbers have at most {LONGEST_HEADER:,}")
        text = self._bytes(start, length)
        if len(text) < length:
            raise ValueError("cut off in its header")
        self._offset = start + length
        return text

    def _check_size(self) -> None:
        if len(self.shape) > MOST_AXES or self.dtype.itemsize * math.prod(max(length, 1) for length in self.shape) > sys.maxsize:
            raise FileProblem(f"{self.path}: no array can have the shape in its header ({str(self.shape):.100}); write it again")
        needed, size = self._offset + self.dtype.itemsize * self.size, os.fstat(self._file.fileno()).st_size
        if size < needed:
            raise FileProblem(f"{self.path}: cut off: its header promises {needed:,} bytes, and it has {size:,}; write it again")


def _parsed(text: bytes) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """By NumPy's reader; how it is said that a header is from Python 2, or its words have another meaning soon, does not matter here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        framed = io.BytesIO(struct.pack("<I", len(text)) + text)
        return np.lib.format.read_array_header_2_0(framed, max_header_size=LONGEST_HEADER)


def _element_type(path: str, dtype: np.dtype[Any], bfloat16: bool) -> np.dtype[Any]:
    if dtype.kind == "V" and dtype.names is None and dtype.subdtype is None and dtype.itemsize == 2:
        if not bfloat16:
            raise FileProblem(f"{path}: opaque elements of 2 bytes; say --bfloat16 if they are that, which np.save does not record")
        return bfloat16_type()
    if type_code(dtype) is None:
        raise FileProblem(f"{path}: elements of dtype {str(dtype):.100}; give {_TAKEN}")
    return dtype


def bfloat16_type() -> np.dtype[Any]:
    try:
        import ml_dtypes
    except ImportError as error:
        raise FileProblem("bfloat16 needs ml_dtypes (pip install ml_dtypes)") from error
    found: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return found


def chunks(size: int) -> Iterator[range]:
    """Ranges of CHUNK elements, the last one shorter, that cover range(size)."""
    return (range(start, min(start + CHUNK, size)) for start in range(0, size, CHUNK))


def write_header(file: BinaryIO, dtype: np.dtype[Any], shape: tuple[int, ...], fortran: bool) -> None:
    """What ``np.save`` writes before the elements."""
    descr = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": fortran, "shape": shape})


def check_target(path: str, source: Stored, force: bool) -> None:
    """FileProblem where a result must not be written: known before it is computed."""
    if not os.path.basename(path):
        raise FileProblem(f"{path}: names no file; give the name of one")
    try:
        status = status_of(path)
    except OSError as error:
        raise FileProblem(f"{path}: {error.strerror or error}") from error
    directory = os.path.dirname(os.path.realpath(path))
    if status is None and not os.path.isdir(directory):
        raise FileProblem(f"{path}: there is no directory {directory}")
    if status is not None and not force:
        what = "is the input itself" if source.is_the_file(status) else "exists"
        raise FileProblem(f"{path}: {what}; give another name, or --force to replace it")
