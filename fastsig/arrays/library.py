"""What every other library's objects are asked for; ``arraylikes`` knows which class answers for which object."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastsig.arrays.dtypes import Array
from fastsig.arrays.labels import Axis


class Values(NamedTuple):
    """An object's numbers; those that are missing are zeros."""

    array: Array
    missing: Array | None = None
    """True where there is none; None where all are there."""


class Library:
    """A library whose objects are arrays of some kind."""

    def values(self, x: Any) -> Values:
        return Values(np.asarray(x))

    def logits(self, x: Any, array: Array) -> Array:
        """The numbers of x, as the logits of a loss, whose type the result has."""
        return array

    def axes(self, x: Any) -> tuple[Axis, ...]:
        return ()

    def like(self, x: Any, array: Array) -> Any:
        """The array as an object like x."""
        return array

    def scalar(self, x: Any, value: Any) -> Any:
        """A reduced loss, which is a scalar of NumPy, as the library of x has them."""
        return value

    def parts(self, x: Any) -> list[Array] | None:
        """The arrays that a function of one input is computed for, one after the other; None where x answers NumPy's ufuncs itself.

        Where a number is missing, any may stand."""
        return None

    def assembled(self, x: Any, parts: Iterator[Array]) -> Any:
        """What was computed of the parts, as an object like x."""
        return self.like(x, next(parts))

    def writable(self, x: Any) -> bool | None:
        """Whether `store` can write into x now; None where it never can."""
        return None

    def store(self, x: Any, array: Array) -> None:
        x[...] = array


def stacked(parts: Sequence[Values], axis: int) -> Values:
    array = np.stack([part.array for part in parts], axis=axis)
    if all(part.missing is None for part in parts):
        return Values(array)
    absent = [np.zeros(part.array.shape, np.bool_) if part.missing is None else part.missing for part in parts]
    return Values(array, np.stack(absent, axis=axis))
