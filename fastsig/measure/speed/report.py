"""What a measurement looks like: a table for the terminal, JSON with the machine it ran on, a drawing."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fastsig.measure import cpp_libraries
from fastsig.measure.timing import Row
from fastsig.system.atomic_files import write_text
from fastsig.system.cpu import available_cpus, cpu_name

_PACKAGES = ("fastsig", "numpy", "numba", "scipy", "torch", "jax", "onnxruntime", "numexpr", "ml_dtypes")
_DESCRIBED = ("cpu", "cores", "load", "isa", "system", "python", "versions", "date")
_HEADINGS = ("op", "dtype", "size", "mode", "library", "threads", "ns/element", "spread", "a call", "of copyto", "max ULP")


Machine = Mapping[str, Any]
"""What ``machine`` says of the machine that measured."""


def machine() -> Machine:
    """What the figures depend on: processor, cores, system, versions, date."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    versions |= cpp_libraries.versions()
    return {
        "cpu": cpu_name(),
        "cores": available_cpus(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "isa": _isa(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": versions,
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
    }


def _isa() -> str:
    try:
        from fastsig.kernels.c import library as c
    except ImportError:
        return "no C library"
    return c.isa()


def _cells(row: Row) -> tuple[str, ...]:
    seconds = row.ns * row.size * 1e-9
    unit, scale = next(((u, s) for u, s in (("ns", 1e9), ("µs", 1e6), ("ms", 1e3)) if seconds * s < 1000), ("s", 1.0))
    return (
        row.op, row.dtype, f"{row.size:,}", row.mode, row.peer, str(row.threads or "all"), f"{row.ns:.3g}", f"{row.ns_iqr:.2g}",
        f"{seconds * scale:.3g} {unit}", f"{row.copy_share:.0%}", "" if row.ulp is None else f"{row.ulp:.3g}",
    )  # fmt: skip


def _groups(rows: Sequence[Row]) -> list[list[Row]]:
    """Rows that compare with each other, the fastest first."""
    groups: dict[tuple[str, str, int, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.op, row.dtype, row.size, row.mode), []).append(row)
    return [sorted(group, key=lambda row: row.ns) for group in groups.values()]


def table(rows: Sequence[Row], on: Machine | None = None) -> Any:
    """The rows as a ``rich.table.Table``, a section for each operation, dtype, size and mode."""
    from rich.table import Table

    on = on or machine()
    result = Table(title=f"{on['cpu']}, {on['cores']} cores; median of interleaved rounds, spread is the distance of the quartiles")
    for i, heading in enumerate(_HEADINGS):
        result.add_column(heading, justify="left" if i in (0, 1, 3, 4) else "right", no_wrap=True)
    for group in _groups(rows):
        for i, row in enumerate(group):
            cells = _cells(row)
            style = "bold" if row.peer.startswith("fastsig") else None
            result.add_row(*(cells if i == 0 else ("", "", "", "", *cells[4:])), style=style)
        result.add_section()
    return result


def print_table(rows: Sequence[Row], on: Machine | None = None) -> None:
    """The table on standard output; plain tab-separated text where rich is not installed."""
    try:
        from rich.console import Console
    except ImportError:
        print("\t".join(_HEADINGS))
        for group in _groups(rows):
            for row in group:
                print("\t".join(_cells(row)))
        return
    console = Console()
    if not console.is_terminal:
        console.width = 160
    console.print(table(rows, on))


def to_json(rows: Sequence[Row], path: str | os.PathLike[str], on: Machine | None = None) -> None:
    """Write the machine and the rows."""
    lines = ",\n".join("  " + json.dumps(_jsonable(asdict(row))) for row in rows)
    write_text(path, f'{{\n "machine": {json.dumps(on or machine())},\n "rows": [\n{lines}\n ]\n}}\n')


def _jsonable(row: dict[str, Any]) -> dict[str, Any]:
    """Four digits are more than a clock gives; JSON has no infinity."""
    rounded = {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in row.items()}
    return {k: str(v) if isinstance(v, float) and not np.isfinite(v) else v for k, v in rounded.items()}


def from_json(path: str | os.PathLike[str]) -> tuple[Machine, list[Row]]:
    """The machine and the rows that ``to_json`` wrote; ValueError where the file holds something else."""
    try:
        found = json.loads(Path(path).read_text())
        on = {name: found["machine"][name] for name in _DESCRIBED}
        return on, [_row(fields) for fields in found["rows"]]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{os.fspath(path)} does not hold what bench --json writes: {type(error).__name__}: {error}") from error


def _row(fields: dict[str, Any]) -> Row:
    """The inverse of ``_jsonable``."""
    values: dict[str, Any] = {name: float(value) if value in ("inf", "-inf", "nan") else value for name, value in fields.items()}
    return Row(**values)
