"""One measured number and what it is measured against."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from fastsig.measure.accuracy import losses
from fastsig.measure.formats import FORMATS
from fastsig.ops import BY_NAME


@dataclass
class Result:
    """The worst error of an operation in a format, over some inputs."""

    op: str
    dtype: str
    targets: str
    """of the two-argument operations: "hard" is t in {0, 1}, "soft" anything between; "" for the others"""
    backend: str
    mode: str
    """sample, mpmath, all, exhaustive, slice"""
    worst: float
    at: list[int]
    got: int
    wrong: int = 0
    count: int = 0
    seconds: float = 0.0
    formulas: str = ""
    """of the text and constants that this operation reached (``sources``)"""
    commit: str = ""
    """whose source was measured"""
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ceiling(self) -> float:
        """DESIGN 4.1."""
        if self.op not in BY_NAME:
            return losses.ceiling(self.op, self.targets)
        op = BY_NAME[self.op]
        if FORMATS[self.dtype].width == 16:
            return 0.5 if op.nin == 1 else 1.0
        limit = op.ulp_f32 if self.dtype == "float32" else op.ulp_f64
        return min(limit, 2.5) if self.targets == "hard" else limit

    @property
    def label(self) -> str:
        return self.op + {"": "", "hard": ", t = 0, 1", "soft": ", soft t"}[self.targets]

    @property
    def key(self) -> tuple[str, str, str]:
        return self.op, self.dtype, self.targets

    def raise_to(self, worst: float, at: list[int], got: int) -> bool:
        """Take over a worse input that was found elsewhere; whether it was worse."""
        if worst <= self.worst:
            return False
        self.worst, self.at, self.got = worst, at, got
        return True

    def record(self) -> dict[str, Any]:
        return asdict(self)
