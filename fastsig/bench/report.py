"""What a measurement looks like: a table for the terminal, JSON with the machine it ran on, a drawing."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fastsig.backends.limits import available_cpus
from fastsig.thresholds import cpu_name

from .measure import Row

_PACKAGES = ("fastsig", "numpy", "numba", "scipy", "torch", "jax", "onnxruntime", "numexpr", "ml_dtypes")
_COLOURS = (*(f"C{i}" for i in range(10)), "black")
_HEADINGS = ("op", "dtype", "size", "mode", "library", "threads", "ns/element", "spread", "a call", "of copyto", "max ULP")


def machine() -> dict[str, Any]:
    """What the figures depend on: processor, cores, system, versions, date."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
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
        from fastsig.backends import c
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


def table(rows: Sequence[Row]) -> Any:
    """The rows as a ``rich.table.Table``, a section for each operation, dtype, size and mode."""
    from rich.table import Table

    result = Table(title=f"{cpu_name()}, {available_cpus()} cores; median of interleaved rounds, spread is the distance of the quartiles")
    for i, heading in enumerate(_HEADINGS):
        result.add_column(heading, justify="left" if i in (0, 1, 3, 4) else "right", no_wrap=True)
    for group in _groups(rows):
        for i, row in enumerate(group):
            cells = _cells(row)
            style = "bold" if row.peer.startswith("fastsig") else None
            result.add_row(*(cells if i == 0 else ("", "", "", "", *cells[4:])), style=style)
        result.add_section()
    return result


def print_table(rows: Sequence[Row]) -> None:
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
    console.print(table(rows))


def to_json(rows: Sequence[Row], path: str | os.PathLike[str]) -> None:
    """Write the machine and the rows."""
    lines = ",\n".join("  " + json.dumps(_jsonable(asdict(row))) for row in rows)
    Path(path).write_text(f'{{\n "machine": {json.dumps(machine())},\n "rows": [\n{lines}\n ]\n}}\n')


def _jsonable(row: dict[str, Any]) -> dict[str, Any]:
    """Four digits are more than a clock gives; JSON has no infinity."""
    rounded = {k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in row.items()}
    return {k: str(v) if isinstance(v, float) and not np.isfinite(v) else v for k, v in rounded.items()}


def plot(rows: Sequence[Row], path: str | os.PathLike[str], mode: str = "out") -> None:
    """Draw ns per element against size, a small picture for each operation and dtype, a line for each library.

    Where a library cannot write to ``out``, its allocating calls are drawn, dashed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    ops, dtypes, peers = (list(dict.fromkeys(getattr(row, name) for row in rows)) for name in ("op", "dtype", "peer"))
    figure = Figure(figsize=(4.6 * len(dtypes) + 1.8, 3.4 * len(ops) + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(ops), len(dtypes), squeeze=False, sharex=True, sharey=True)
    lines: dict[str, Any] = {}
    for (i, op), (j, dtype) in ((a, b) for a in enumerate(ops) for b in enumerate(dtypes)):
        axis = axes[i][j]
        axis.set(xscale="log", yscale="log", title=f"{op}, {dtype}")
        axis.grid(True, which="major", alpha=0.3)
        for k, peer in enumerate(peers):
            own = [row for row in rows if (row.op, row.dtype, row.peer) == (op, dtype, peer)]
            drawn = [row for row in own if row.mode == mode] or own
            if not drawn:
                continue
            drawn.sort(key=lambda row: row.size)
            ours = peer.startswith("fastsig")
            (line,) = axis.plot(
                [row.size for row in drawn], [row.ns for row in drawn], marker="o", markersize=3, color=_COLOURS[k % len(_COLOURS)],
                linewidth=2.4 if ours else 1.1, linestyle="-" if drawn[0].mode == mode else "--", zorder=3 if ours else 2,
            )  # fmt: skip
            lines.setdefault(peer, line)
    for axis in axes[-1]:
        axis.set_xlabel("elements")
    for row_of_axes in axes:
        row_of_axes[0].set_ylabel("ns per element")
    figure.legend(list(lines.values()), list(lines), loc="outside right upper", frameon=False)
    figure.suptitle(f"{cpu_name()}, {available_cpus()} cores; lower is faster")
    figure.savefig(path, dpi=130)
