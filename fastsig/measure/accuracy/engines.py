"""The backends under measurement: Numba, and the C library in each instruction set that this machine has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fastsig.dispatch import availability
from fastsig.elementwise import functions
from fastsig.measure.formats import Array, Format


@dataclass(frozen=True)
class Engine:
    """One way to compute an operation."""

    backend: str
    isa: str = ""
    """of the C library; forced for the whole process by ``activate``"""

    @property
    def name(self) -> str:
        return f"{self.backend}:{self.isa}" if self.isa else self.backend

    def activate(self) -> None:
        if self.isa:
            from fastsig.kernels.c import library as c

            c.set_isa(self.isa)

    def serves(self, fmt: Format) -> bool:
        """Numba's ufuncs have no bfloat16 loops."""
        if fmt.name != "bfloat16":
            return True
        return self.backend == "c"

    def ufunc(self, op: str, fmt: Format) -> np.ufunc:
        if fmt.name == "bfloat16":
            functions.sigmoid(np.zeros(1, fmt.dtype))  # from here on the C ufuncs know this type
        return availability.ufunc_of(self.backend, op)


def native() -> list[Engine]:
    """The backends as a user gets them, the measured one first."""
    have = availability.backends()
    found = []
    if have["c"] == "available":
        from fastsig.kernels.c import library as c

        found.append(Engine("c", c.isa()))
    if have["numba"] == "available":
        found.append(Engine("numba"))
    return found


def every() -> list[Engine]:
    """The same, and behind them the other instruction sets of the C library."""
    found = native()
    if found[0].backend == "c":
        from fastsig.kernels.c import library as c

        found += [Engine("c", isa) for isa in reversed(c.isas()) if isa != found[0].isa]
    return found


def named(names: list[str]) -> list[Engine]:
    """Engines by the names of the command line: c, numba, c:baseline, c:v3, c:v4."""
    known = {e.name: e for e in every()} | {e.backend: e for e in native()}
    if not names:
        raise ValueError(f"no backend was given; known are {', '.join(sorted(known))}")
    for name in names:
        if name not in known:
            raise ValueError(f"backend {name!r} is unknown or not available here; known are {', '.join(sorted(known))}")
    return list(dict.fromkeys(known[name] for name in names))


def run(ufunc: np.ufunc, *columns: Array) -> Array:
    """The results; every warning that NumPy could give becomes an error, for the kernels promise to leave no flag behind."""
    with np.errstate(all="raise"):
        return ufunc(*columns)
