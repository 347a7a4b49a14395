"""Columns and tables of pyarrow and polars, which have nulls: their numbers, and results with the nulls where they were."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastsig.arrays.dtypes import Array
from fastsig.arrays.library import Library, Values, stacked


class Arrow(Library):
    """pyarrow's arrays, chunked arrays, tables, record batches and scalars.

    Numbers are read where they lie and results are laid into Arrow's arrays as they are: only booleans, which Arrow keeps as bits,
    and what is encoded (dictionaries, runs) is made anew. The bits that say what is null are the input's own.
    """

    def values(self, x: Any) -> Values:
        if hasattr(x, "column_names"):
            return stacked([self.values(column) for column in x.columns], axis=1)
        pieces = _pieces(x)
        if pieces is None:
            return super().values(x)
        arrays = [_numbers(piece) for piece in pieces]
        array = arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        if not any(piece.null_count for piece in pieces):
            return Values(array.reshape(()) if _is_scalar(x) else array)
        missing = np.concatenate([_missing(piece) for piece in pieces])
        filled = np.where(missing, array.dtype.type(0), array)
        return Values(filled.reshape(()), missing.reshape(())) if _is_scalar(x) else Values(filled, missing)

    def parts(self, x: Any) -> list[Array] | None:
        if hasattr(x, "column_names"):
            return [part for column in x.columns for part in self.parts(column) or ()]
        pieces = _pieces(x)
        return None if pieces is None else [_numbers(piece) for piece in pieces]

    def assembled(self, x: Any, parts: Iterator[Array]) -> Any:
        pyarrow = sys.modules["pyarrow"]
        if hasattr(x, "column_names"):
            return type(x).from_arrays([self.assembled(column, parts) for column in x.columns], names=x.column_names)
        made = [_with_nulls_of(piece, part) for piece, part in zip(_pieces(x) or (), parts, strict=False)]
        if isinstance(x, pyarrow.ChunkedArray):
            return pyarrow.chunked_array(made)
        return made[0][0] if _is_scalar(x) else made[0]

    def like(self, x: Any, array: Array) -> Any:
        if hasattr(x, "column_names"):
            columns = zip(x.columns, array.T, strict=True)
            return type(x).from_arrays([self.like(column, part) for column, part in columns], names=x.column_names)
        pieces = _pieces(x)
        if pieces is None:
            return array
        ends = np.cumsum([len(piece) for piece in pieces])
        return self.assembled(x, iter(np.split(np.atleast_1d(array), ends[:-1])))


def _is_scalar(x: Any) -> bool:
    return isinstance(x, sys.modules["pyarrow"].Scalar)


def _pieces(x: Any) -> list[Any] | None:
    """The arrays of which an object is made, each of plain numbers, at least one; None of what is no column.

    Raises
    ------
    TypeError
        There are no numbers in it; the message says what helps.
    """
    pyarrow = sys.modules["pyarrow"]
    if isinstance(x, pyarrow.ChunkedArray):
        arrays = x.chunks or [pyarrow.array([], x.type)]
    elif isinstance(x, pyarrow.Array):
        arrays = [x]
    elif isinstance(x, pyarrow.Scalar):
        arrays = [pyarrow.array([x.as_py()], x.type)]
    else:
        return None
    return [_plain(array) for array in arrays]


def _plain(x: Any) -> Any:
    """The array of plain numbers that an encoded one stands for; of nulls alone one of float64."""
    pyarrow = sys.modules["pyarrow"]
    types = pyarrow.types
    if types.is_dictionary(x.type):
        return _plain(x.dictionary_decode())
    if types.is_run_end_encoded(x.type):
        return _plain(pyarrow.compute.run_end_decode(x))
    if types.is_null(x.type):
        return x.cast(pyarrow.float64())
    if types.is_integer(x.type) or types.is_floating(x.type) or types.is_boolean(x.type):
        return x
    if isinstance(x.type, pyarrow.BaseExtensionType):
        raise TypeError(f"its type {x.type} is an extension; give its .storage")
    if types.is_nested(x.type):
        raise TypeError(f"its type {x.type} is nested; give the numbers in it, such as .flatten() of lists")
    raise TypeError(f"its type is {x.type}; give one of numbers, such as .cast(pyarrow.float64())")


def _numbers(x: Any) -> Array:
    """The elements in Arrow's own memory, whatever stands there where they are null; booleans as bytes."""
    if x.type == sys.modules["pyarrow"].bool_():
        return _numbers(x.cast("uint8")).view(np.bool_)
    dtype = np.dtype(x.type.to_pandas_dtype())
    data = x.buffers()[1]
    if not len(x) or data is None:
        return np.zeros(len(x), dtype)
    if not data.is_cpu:
        raise RuntimeError("its memory is a device's; give .copy_to(pyarrow.default_cpu_memory_manager())")
    return np.frombuffer(data, dtype, len(x), x.offset * dtype.itemsize)


def _missing(x: Any) -> Array:
    return np.asarray(x.is_null())


def _with_nulls_of(x: Any, array: Array) -> Any:
    """An Arrow array that is this one's memory, null where x is."""
    pyarrow = sys.modules["pyarrow"]
    array = np.ascontiguousarray(array)
    kind, nulls = pyarrow.from_numpy_dtype(array.dtype), x.null_count
    if nulls and x.offset % 8:  # the bits of an array begin with a byte
        return pyarrow.array(array, kind, mask=_missing(x))
    valid = x.buffers()[0].slice(x.offset // 8) if nulls else None
    return pyarrow.Array.from_buffers(kind, len(array), [valid, pyarrow.py_buffer(array)], nulls)


class Polars(Library):
    """polars' Series and DataFrames."""

    def values(self, x: Any) -> Values:
        if hasattr(x, "get_columns"):
            return stacked([self.values(column) for column in x.get_columns()], axis=1)
        if not _is_series(x):
            raise TypeError("it has no values yet; give what .collect() returns, or apply the function to an expression of its columns")
        polars = sys.modules["polars"]
        present = (x.cast(polars.Float64) if x.dtype == polars.Null else x).drop_nulls().to_numpy()
        if present.dtype.kind not in "biuf":
            raise TypeError(f"its type is {x.dtype}; give one of numbers, such as .cast(polars.Float64)")
        if len(present) == len(x):
            return Values(present)
        missing = x.is_null().to_numpy()
        array = np.zeros(len(x), present.dtype)
        array[~missing] = present
        return Values(array, missing)

    def parts(self, x: Any) -> list[Array] | None:
        if hasattr(x, "get_columns"):
            return [self.values(column).array for column in x.get_columns()]
        if hasattr(x, "collect"):
            self.values(x)
        return [self.values(x).array] if _is_series(x) else None

    def assembled(self, x: Any, parts: Iterator[Array]) -> Any:
        if hasattr(x, "get_columns"):
            return type(x)([self.like(column, next(parts)) for column in x.get_columns()])
        return self.like(x, next(parts))

    def like(self, x: Any, array: Array) -> Any:
        if array.ndim == 2:
            return self.assembled(x, iter(array.T))
        series = type(x)(x.name, array)
        return series.set(x.is_null(), None) if x.null_count() else series


def _is_series(x: Any) -> bool:
    return isinstance(x, sys.modules["polars"].Series)
