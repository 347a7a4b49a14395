"""What other libraries' objects in host memory are to NumPy: values, which of them are missing, labels, and results of their kind.

No library is imported here: one whose object was passed is loaded, and stands in ``sys.modules``. Every library has its own class
below, as each has its own words for the same four things.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np

from fastsig.arrays.columns import Arrow, Polars
from fastsig.arrays.devices import LAZY, device_of, library_of
from fastsig.arrays.dtypes import Array
from fastsig.arrays.labels import Axis, disagreement
from fastsig.arrays.library import Library, Values, stacked
from fastsig.arrays.namespaces import Namespace, is_namespaced

_PLAIN = (np.ndarray, float, int, bool, type(None))
"""Types that mean to NumPy what they say."""


class NumPyLike(Library):
    """NumPy's own relatives, and all that only tells how to become an array."""

    def values(self, x: Any) -> Values:
        if library_of(x) in LAZY:
            raise TypeError("its numbers are not computed yet; give x.compute(), or call the function for each block with x.map_blocks")
        array = np.asarray(x)
        return Values(array, _missing_objects(array)) if array.dtype == np.object_ else Values(array)

    def like(self, x: Any, array: Array) -> Any:
        """By the protocol with which NumPy's ufuncs make their results."""
        wrap = getattr(x, "__array_wrap__", None)
        if wrap is None:
            return array
        for arguments in ((array, None, array.ndim == 0), (array, None), (array,)):  # as NumPy tries, from the newest on
            try:
                return wrap(*arguments)
            except TypeError:
                continue
        return array

    def writable(self, x: Any) -> bool | None:
        return bool(x.flags.writeable) if isinstance(x, np.ndarray) else None


class Subclass(NumPyLike):
    """Of ndarray."""

    def values(self, x: Any) -> Values:
        if type(x).__array_ufunc__ is not np.ndarray.__array_ufunc__:
            raise TypeError("it has arithmetic of its own (__array_ufunc__), such as that of units; give a plain array of its numbers")
        return super().values(x)


class Masked(NumPyLike):
    def values(self, x: Any) -> Values:
        if x is np.ma.masked:
            return MISSING
        mask = np.ma.getmaskarray(x)
        return Values(np.asarray(x.filled(0)), mask) if mask.any() else Values(np.asarray(x.data))

    def like(self, x: Any, array: Array) -> Any:
        result = super().like(x, array)
        if x.mask is not np.ma.nomask:
            result.mask = x.mask.copy()
        return result


class Pandas(NumPyLike):
    def values(self, x: Any) -> Values:
        pandas = sys.modules["pandas"]
        if isinstance(x, pandas.DataFrame):
            if all(isinstance(dtype, np.dtype) for dtype in x.dtypes):
                return super().values(x)
            return stacked([values(x.iloc[:, i]) for i in range(x.shape[1])], axis=1)
        if x is pandas.NA or x is pandas.NaT:
            return MISSING
        dtype = getattr(x, "dtype", None)
        if dtype is None or isinstance(dtype, np.dtype) or dtype.na_value is not pandas.NA:
            array = x.to_numpy() if hasattr(x, "to_numpy") else np.asarray(x)  # a sixth of the time of np.asarray
            return Values(array, _missing_objects(array)) if array.dtype == np.object_ else Values(array)
        missing, kind = np.asarray(x.isna()), _numpy_type(dtype)
        if kind is None:
            return Values(np.asarray(x), missing if missing.any() else None)
        if missing.any():
            return Values(x.to_numpy(dtype=kind, na_value=kind.type(0)), missing)
        return Values(x.to_numpy(dtype=kind))

    def axes(self, x: Any) -> tuple[Axis, ...]:
        pandas = sys.modules["pandas"]
        if isinstance(x, pandas.Series):
            return (Axis("index", None, x.index),)
        if isinstance(x, pandas.DataFrame):
            return (Axis("index", None, x.index), Axis("columns", None, x.columns))
        return ()

    def like(self, x: Any, array: Array) -> Any:
        pandas = sys.modules["pandas"]
        if isinstance(x, pandas.Series):
            result = x._constructor(array, index=x.index, name=x.name, dtype=_kept(x.dtype, array), copy=False)
            return result.__finalize__(x)
        if isinstance(x, pandas.DataFrame):
            kinds = {_kept(dtype, array) for dtype in x.dtypes}
            result = x._constructor(array, index=x.index, columns=x.columns, copy=False).__finalize__(x)
            return result if len(kinds) != 1 or None in kinds else result.astype(kinds.pop())
        if isinstance(x, pandas.api.extensions.ExtensionArray):
            dtype = _kept(x.dtype, array)
            return array if dtype is None else pandas.array(array, dtype=dtype)
        return super().like(x, array)

    def writable(self, x: Any) -> bool | None:
        pandas = sys.modules["pandas"]
        return True if isinstance(x, (pandas.Series, pandas.DataFrame)) else None

    def store(self, x: Any, array: Array) -> None:
        x[:] = array


def _numpy_type(dtype: Any) -> np.dtype[Any] | None:
    """NumPy's type of the numbers of a pandas type, or None of no numbers."""
    kind = getattr(dtype, "numpy_dtype", None)
    return kind if kind is not None and kind.kind in "biuf" else None


def _kept(dtype: Any, array: Array) -> Any:
    """The pandas type if results of this type can have it, or None for NumPy's own."""
    return dtype if not isinstance(dtype, np.dtype) and _numpy_type(dtype) == array.dtype else None


class XArray(NumPyLike):
    def values(self, x: Any) -> Values:
        xarray = sys.modules["xarray"]
        return values(x.data) if isinstance(x, (xarray.DataArray, xarray.Variable)) else super().values(x)

    def axes(self, x: Any) -> tuple[Axis, ...]:
        known = getattr(x, "xindexes", {})
        return tuple(
            Axis(f"coords[{dimension!r}]", str(dimension), known[dimension].to_pandas_index() if dimension in known else None)
            for dimension in x.dims
        )

    def like(self, x: Any, array: Array) -> Any:
        """As xarray makes the results of ufuncs: with the attributes, unless its options say otherwise."""
        xarray = sys.modules["xarray"]
        if not isinstance(x, (xarray.DataArray, xarray.Variable)):
            return super().like(x, array)
        keep = xarray.get_options()["keep_attrs"] is not False
        return xarray.apply_ufunc(lambda _: array, x, keep_attrs=keep, dask="allowed")

    def writable(self, x: Any) -> bool | None:
        return writable(getattr(x, "data", None))


OTHERS, SUBCLASS, MASKED, PANDAS, NAMESPACE = NumPyLike(), Subclass(), Masked(), Pandas(), Namespace()
_BY_PACKAGE: dict[str, Library] = {"pandas": PANDAS, "xarray": XArray(), "pyarrow": Arrow(), "polars": Polars()}
MISSING = Values(np.zeros((), np.bool_), np.ones((), np.bool_))
"""What a single NA is; of a type that changes no other's."""


@lru_cache(maxsize=256)
def _library_of_type(kind: type) -> Library | None:
    if kind in _PLAIN or issubclass(kind, (np.generic, list, tuple)):
        return None
    for base in kind.__mro__:
        known = _BY_PACKAGE.get(base.__module__.partition(".")[0])
        if known is not None:
            return known
        if base.__module__.startswith("numpy.ma"):
            return MASKED
    if issubclass(kind, np.ndarray):
        return SUBCLASS
    return NAMESPACE if is_namespaced(kind) else OTHERS


def library_for(x: Any) -> Library | None:
    """How to read the object, or None of plain arrays, numbers and sequences."""
    return _library_of_type(type(x))  # type: ignore[arg-type]  # types hash


def values(x: Any) -> Values:
    """The numbers of any object in host memory.

    Raises
    ------
    ValueError, TypeError
        As ``np.asarray`` does, or the object's library.
    """
    if type(x) is np.ndarray and x.dtype.kind != "O":
        return Values(x)
    library = library_for(x)
    if library is not None:
        return library.values(x)
    if x is None:
        return MISSING
    if isinstance(x, (list, tuple)) and _holds_more_than_numbers(x):
        return stacked([values(item) for item in x], axis=0)
    return OTHERS.values(x)


def logits(x: Any, array: Array) -> Array:
    """The numbers of x, read as an array, as the logits of a loss."""
    library = library_for(x)
    return array if library is None else library.logits(x, array)


def axes(x: Any) -> tuple[Axis, ...]:
    """The labels of the object's axes, from the first; none of an object without."""
    library = library_for(x)
    return () if library is None else library.axes(x)


def like(x: Any, array: Array) -> Any:
    """A result of x's kind, with its labels; of plain arrays and numbers the array itself, or its scalar where it has no axes."""
    library = library_for(x)
    if library is None:
        return array[()] if array.ndim == 0 else array
    return library.like(x, array)


def scalar(x: Any, value: Any) -> Any:
    """A reduced loss of logits x: a scalar of NumPy, or an array without axes where their library has no scalars."""
    library = library_for(x)
    return value if library is None else library.scalar(x, value)


def writable(x: Any) -> bool | None:
    """Whether `store` can write into x now; None where it never can."""
    return (library_for(x) or OTHERS).writable(x)


def store(x: Any, array: Array) -> None:
    """The array's elements into those of x."""
    (library_for(x) or OTHERS).store(x, array)


def _holds_more_than_numbers(items: Iterable[Any]) -> bool:
    """Whether objects lie in the sequence that say what is missing, which NumPy would not ask."""
    kinds = set(map(type, items))
    if any(kind is type(None) or _library_of_type(kind) not in (None, OTHERS) for kind in kinds):
        return True
    nested = (item for item in items if isinstance(item, (list, tuple))) if kinds & {list, tuple} else ()
    return any(map(_holds_more_than_numbers, nested))


def _missing_objects(array: Array) -> Array | None:
    missing = np.asarray(np.frompyfunc(_is_missing, 1, 1)(array), np.bool_)
    return missing if missing.any() else None


def _is_missing(item: Any) -> bool:
    library = library_for(item)
    return item is None or (library in (PANDAS, MASKED) and library.values(item).missing is not None)


def plain_arrays(operands: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """The operands of a call with what is no plain array replaced by one; None where something is to be refused, asked or imported for."""
    found, labelled = [], []
    for x in operands:
        library = library_for(x)
        if library is OTHERS or (library is NAMESPACE and device_of(x) != "cpu"):
            return None
        if library is None:
            found.append(x)
            continue
        try:
            read = library.values(x)
        except (TypeError, ValueError, RuntimeError):
            return None
        if read.missing is not None:
            return None
        found.append(read.array if found else library.logits(x, read.array))
        labelled.append(library.axes(x))
    if not labelled or any(disagreement(a, b) for a, b in itertools.combinations(labelled, 2)):
        return None
    return tuple(found)
