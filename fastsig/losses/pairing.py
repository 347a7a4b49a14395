"""Which elements of a loss's operands belong together: refused are labels that differ, and elements that are missing and would count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fastsig.arrays import arraylikes
from fastsig.arrays.labels import Axis, disagreement
from fastsig.arrays.library import Values


def refuse_other_labels(function: str, given: Mapping[str, Any], *, of_one_rank: bool = False) -> None:
    """ValueError where two labelled objects have other labels along an axis that they share; of one rank or other dimensions, if asked."""
    if all(type(value) is np.ndarray for value in given.values()):
        return
    labelled: dict[str, tuple[Axis, ...]] = {}
    for argument, value in given.items():
        axes = arraylikes.axes(value)
        for other, known in labelled.items() if axes else ():
            found = disagreement(known, axes)
            if found is not None and (not of_one_rank or len(known) == len(axes) or found[0].crosses(found[1])):
                within = {axis.dimension for axis in axes} <= {axis.dimension for axis in known}
                cure = _by_label(other, found[0], argument, found[1], within) + _by_place(argument, found[1])
                raise ValueError(f"{function}: {_difference(other, found[0], argument, found[1])}; give {cure}")
        if axes:
            labelled[argument] = axes


def refuse_output_of_other_labels(function: str, given: Mapping[str, Any], argument: str, out: Any) -> None:
    axes = arraylikes.axes(out)
    for other, value in given.items() if axes else ():
        found = disagreement(arraylikes.axes(value), axes)
        if found is not None:
            raise ValueError(
                f"{function}: {_difference(other, found[0], argument, found[1])}; give one with the labels of {other}, or an array"
            )


def _difference(first: str, a: Axis, second: str, b: Axis) -> str:
    if a.crosses(b):
        return f"{second} has the dimension {b.dimension!r} where {first} has {a.dimension!r}"
    if len(a.labels) != len(b.labels):
        where = f"it has {len(b.labels)} labels, not {len(a.labels)}"
    else:
        pairs = enumerate(zip(a.labels, b.labels, strict=True))
        differ = (f"at {i} it has {y!r}, not {x!r}" for i, (x, y) in pairs if x != y and repr(x) != repr(y))  # as NaN beside NaN
        where = next(differ, f"it has dtype {b.labels.dtype}, not {a.labels.dtype}")
    return f"{second}.{b.attribute} is not {first}.{a.attribute} ({where})"


def _by_label(first: str, a: Axis, second: str, b: Axis, within: bool) -> str:
    """What pairs elements by their labels, in their library's words, or nothing where it has none."""
    if a.crosses(b):
        return f"{second}.broadcast_like({first}).transpose(*{first}.dims), or " if within else ""
    if (a.dimension is None) != (b.dimension is None):
        return ""
    if b.dimension is not None:
        return f"{second}.reindex_like({first}), or "
    keyword = "columns=" if b.attribute == "columns" else ""
    return f"{second}.reindex({keyword}{first}.{a.attribute}), what {first}.align({second}) returns, or "


def _by_place(argument: str, axis: Axis) -> str:
    return f"{argument}.{'to_numpy()' if axis.dimension is None else 'values'} to pair elements by their place"


def refuse_missing(function: str, read: dict[str, Values]) -> None:
    """ValueError where elements that count are missing (NA, null, masked by ``numpy.ma``)."""
    counts = read["mask"].array if "mask" in read else True
    for argument, (_, missing) in read.items():
        if missing is None:
            continue
        if argument == "mask":
            raise ValueError(f"{function}: mask has missing values (NA){_first(missing)}; fill them with True or False")
        wanted = np.asarray(missing & counts)
        if wanted.any():
            raise ValueError(f"{function}: {argument} has missing values (NA){_first(wanted)}; fill them, or leave them out with mask=")


def _first(missing: np.ndarray[Any, Any]) -> str:
    place = np.argwhere(missing)[0].tolist()
    return "" if not place else f", the first at {place[0] if len(place) == 1 else tuple(place)}"
