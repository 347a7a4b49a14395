"""What the shapes of a gate's arguments must be to each other, whatever their library: the shape of one part."""

from __future__ import annotations

from collections.abc import Mapping
from operator import index

import numpy as np

from fastsig.ops import BROADCASTING, Fused

Shape = tuple[int, ...]


def checked_axis(name: str, axis: object, ndim: int, argument: str) -> int:
    """The axis that the parts share, from the last one: -1 is the last."""
    try:
        number = index(axis)  # type: ignore[arg-type]  # what is no integer raises
    except TypeError:
        raise TypeError(f"{name}: axis={axis!r} must be a whole number") from None
    if ndim == 0:
        raise ValueError(f"{name}: {argument} has no axes; give an array of one or more")
    if not -ndim <= number < ndim:
        raise ValueError(f"{name}: axis={number} is none of {argument}, which has {ndim} axes; give one from {-ndim} to {ndim - 1}")
    return number - ndim if number >= 0 else number


def _of_a_part(name: str, argument: str, shape: Shape, parts: int, axis: int) -> Shape:
    length = shape[axis]
    if length % parts:
        where = "its last axis" if axis == -1 else f"axis {axis}"
        raise ValueError(f"{name}: {argument} has shape {shape}, and the {length} elements of {where} are no multiple of {parts}")
    return with_length(shape, axis, length // parts)


def with_length(shape: Shape, axis: int, length: int) -> Shape:
    at = len(shape) + axis
    return (*shape[:at], length, *shape[at + 1 :])


def of_parts(row: Fused, shapes: Mapping[str, Shape], axis: object) -> tuple[Shape, int]:
    """The shape that each part has, and the axis that the parts share.

    Raises
    ------
    ValueError, TypeError
        The axis does not divide, or the shapes do not agree; the message names the argument.
    """
    if row.name in BROADCASTING:
        try:
            return np.broadcast_shapes(*shapes.values()), -1
        except ValueError:
            said = ", ".join(f"{argument} of shape {shape}" for argument, shape in shapes.items())
            raise ValueError(f"{row.name}: {said} do not broadcast; give them one shape") from None
    parts = {argument: count for argument, count in row.arguments if argument in shapes}
    main = max(parts, key=lambda argument: parts[argument])
    at = checked_axis(row.name, axis, len(shapes[main]), main)
    shape = _of_a_part(row.name, main, shapes[main], parts[main], at)
    for argument, count in parts.items():
        needed = with_length(shape, at, shape[at] * count)
        if shapes[argument] != needed:
            raise ValueError(f"{row.name}: {argument} has shape {shapes[argument]}, and {main} of shape {shapes[main]} asks for {needed}")
    return shape, at
