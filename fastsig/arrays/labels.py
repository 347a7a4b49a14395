"""The labels of an array's axes, and where those of two arrays disagree."""

from __future__ import annotations

from typing import Any, NamedTuple


class Axis(NamedTuple):
    """The labels of one axis, which belong to its elements wherever these stand."""

    attribute: str
    """Where the user finds them: "index", "columns"."""
    dimension: str | None
    labels: Any
    """A pandas Index, or None of a dimension without coordinates."""

    def crosses(self, other: Axis) -> bool:
        """Whether they are axes of two dimensions that have names."""
        return None not in (self.dimension, other.dimension) and self.dimension != other.dimension

    def agrees(self, other: Axis) -> bool:
        if self.crosses(other):
            return False
        return self.labels is None or other.labels is None or bool(self.labels.equals(other.labels))


def disagreement(a: tuple[Axis, ...], b: tuple[Axis, ...]) -> tuple[Axis, Axis] | None:
    """The first two axes that broadcasting would pair though their labels differ."""
    return next(((x, y) for x, y in zip(reversed(a), reversed(b), strict=False) if not x.agrees(y)), None)
