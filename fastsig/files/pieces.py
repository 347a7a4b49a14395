"""Elements of arrays in C order, whatever the order in which they are stored, and however small the array that broadcasts to them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from fastsig.arrays.dtypes import Array
from fastsig.files.npy import Stored


class Held:
    """An array in memory, in C order, read as one in a file is."""

    in_c_order = True

    def __init__(self, array: Array) -> None:
        self._array = array
        self.shape, self.dtype = array.shape, array.dtype

    def elements(self, start: int, stop: int) -> Array:
        return self._array.reshape(-1)[start:stop]

    def box(self, ranges: Sequence[range]) -> Array:
        return self._array[tuple(slice(places.start, places.stop) for places in ranges)]


class Pieces:
    """An array that broadcasts to a shape, of which some rows are read at a time.

    Parameters
    ----------
    source : Stored or Held
    rows : tuple of int
        The first axes of the shape: each place in them is a row, counted in C order.
    columns : tuple of int
        The other axes.
    """

    def __init__(self, source: Stored | Held, rows: tuple[int, ...], columns: tuple[int, ...] = ()) -> None:
        self._source, self._rows, self._columns = source, rows, columns
        self._buffer = np.empty(0, source.dtype)
        self._missing = len(rows) + len(columns) - len(source.shape)
        self._lengths = (1,) * self._missing + source.shape
        self._as_stored = source.in_c_order and source.shape == rows + columns
        self._one_row = all(length == 1 for length in self._lengths[: len(rows)])

    def read(self, piece: range, *columns: range) -> Array:
        """These rows at these places of the other axes; good until the next call."""
        shape = (len(piece), *map(len, columns))
        if self._one_row:
            row = self._box([range(1)] * len(self._rows), columns)
            return np.broadcast_to(row.reshape(row.shape[max(row.ndim - len(columns), 0) :]), shape)
        if self._as_stored and shape[1:] == self._columns:
            width = math.prod(self._columns)
            return self._source.elements(piece.start * width, piece.stop * width).reshape(shape)
        if len(self._rows) == 1 and self._source.shape == self._rows + self._columns:
            return self._box([piece], columns)
        found = self._room(shape)
        done = 0
        for ranges in boxes(self._rows, piece.start, piece.stop):
            count = math.prod(map(len, ranges))
            found[done : done + count].reshape([*map(len, ranges), *shape[1:]])[...] = self._box(ranges, columns)
            done += count
        return found

    def _box(self, rows: Sequence[range], columns: Sequence[range]) -> Array:
        """What the source has of these places; of length 1 where it is to be broadcast."""
        wanted = [range(1) if length == 1 else places for length, places in zip(self._lengths, (*rows, *columns), strict=True)]
        return self._source.box(wanted[self._missing :])

    def _room(self, shape: tuple[int, ...]) -> Array:
        """An array whose columns lie side by side each."""
        size = math.prod(shape)
        if self._buffer.size < size:
            self._buffer = np.empty(size, self._source.dtype)
        return self._buffer[:size].reshape(shape[::-1]).T


def boxes(shape: tuple[int, ...], start: int, stop: int) -> Iterator[tuple[range, ...]]:
    """The elements from start to stop in C order, as the places in each axis of few boxes, one after the other."""
    if not shape:
        yield ()
        return
    inner = math.prod(shape[1:])
    first, last = -(-start // inner), stop // inner
    if last < first:
        yield from _within(shape, last, start - last * inner, stop - last * inner)
        return
    if start < first * inner:
        yield from _within(shape, first - 1, start - (first - 1) * inner, inner)
    if first < last:
        yield (range(first, last), *map(range, shape[1:]))
    if last * inner < stop:
        yield from _within(shape, last, 0, stop - last * inner)


def _within(shape: tuple[int, ...], place: int, start: int, stop: int) -> Iterator[tuple[range, ...]]:
    """Such boxes at one place of the first axis."""
    return ((range(place, place + 1), *others) for others in boxes(shape[1:], start, stop))
