"""A measurement as a drawing: nanoseconds an element against the number of elements, a line for each library."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import Any

from fastsig.measure.line_labels import label_line_ends, spread_labels
from fastsig.measure.speed.report import Machine, machine
from fastsig.measure.styles import STYLES, Style, styles_of
from fastsig.measure.timing import Row

_THREADS = {True: "one thread", False: "all threads"}
_THREADS_IN_NAME = re.compile(r", (1 thread|all threads)$")
"""What the title of the panel says, the label need not."""
_PANEL = (4.9, 3.4)
_DPI = 130


def plot(rows: Sequence[Row], path: str | os.PathLike[str], mode: str = "out", on: Machine | None = None) -> None:
    """Draw the rows: a panel for each operation, dtype and number of threads.

    One thread is drawn beside one and all beside all, so that in a panel no library has two lines. Where a library cannot write to
    ``out``, its allocating calls are drawn, and its label says so.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    on = on or machine()
    panels = _panels(rows)
    dtypes, kinds = {dtype for _, _, dtype in panels}, {single for _, single, _ in panels}
    one_op = len({op for op, _, _ in panels}) == 1
    columns = len(dtypes) if one_op else len(dtypes) * len(kinds)
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(_PANEL[0] * columns, _PANEL[1] * lines + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(lines, columns, squeeze=False, sharex="row", sharey=True)
    for axis, ((op, single, dtype), own) in zip(axes.flat, panels.items(), strict=False):
        axis.set(xscale="log", yscale="log", title=f"{op}, {dtype}, {_THREADS[single]}")
        axis.grid(True, which="major", alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelbottom=True)
        _draw(axis, own, mode)
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    for row_of_axes in axes:
        row_of_axes[0].set_ylabel("ns per element (lower is better)")
    for axis in axes[-1]:
        axis.set_xlabel("elements")
    figure.suptitle(f"Time per element, lower is better: {on['cpu']}, {on['cores']} cores, {on['date'][:10]}", fontweight="bold")
    spread_labels(figure, [label_line_ends(axis) for axis in figure.axes])
    figure.savefig(path, dpi=_DPI)


def _panels(rows: Sequence[Row]) -> dict[tuple[str, bool, str], list[Row]]:
    """The rows by operation, whether one thread computed, and dtype: in the order of the rows, one thread first."""
    found: dict[tuple[str, bool, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row.op, row.threads == 1, row.dtype), []).append(row)
    ops, dtypes = (list(dict.fromkeys(key[i] for key in found)) for i in (0, 2))
    return {key: found[key] for key in sorted(found, key=lambda key: (ops.index(key[0]), not key[1], dtypes.index(key[2])))}


def _draw(axis: Any, rows: Sequence[Row], mode: str) -> None:
    """The lines of one panel, ours last, and a label for each beside the panel at the height of the line's end."""
    styles = styles_of(list(dict.fromkeys(row.peer for row in rows)))
    for peer in sorted(styles, key=lambda peer: (styles[peer].ours, styles[peer] == STYLES["fastsig"])):
        own = [row for row in rows if row.peer == peer]
        drawn = sorted([row for row in own if row.mode == mode] or own, key=lambda row: row.size)
        name = _THREADS_IN_NAME.sub("", peer) + ("" if drawn[0].mode == mode else " (allocating)")
        axis.plot([row.size for row in drawn], [row.ns for row in drawn], label=name, **_looks(styles[peer], drawn[0].threads))


def _looks(style: Style, threads: int) -> dict[str, Any]:
    """What matplotlib's ``plot`` takes; the marker is hollow where a library uses as many threads as it likes."""
    return {
        "color": style.colour,
        "marker": style.marker,
        "markersize": 6 if style.ours else 5,
        "markerfacecolor": style.colour if threads == 1 else "white",
        "markeredgewidth": 0.8,
        "linewidth": 2.6 if style.ours else 1.1,
        "linestyle": (0, style.dashes) if style.dashes else "-",
        "zorder": 4 if style.ours else 2,
    }
