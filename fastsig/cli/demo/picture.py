"""What the demo found as a picture: the fit, the errors and the speed, a panel each."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from fastsig.cli.demo.comparison import RANGES, WRITTEN, Row
from fastsig.cli.demo.regression import Fit
from fastsig.measure.picture_files import format_of
from fastsig.measure.styles import STYLES, Style, library_of
from fastsig.system.atomic_files import replacing

_SIZE, _DPI = (12.5, 4.4), 130
_STYLES = {written: STYLES[library_of(peer)] for peer, written in WRITTEN.items()}
_SPREAD = 0.6
"""The share of a row over which its marks are spread, so that equal ones do not hide each other."""


def draw(fit: Fit, rows: Sequence[Row], path: str | os.PathLike[str]) -> None:
    """Draw the three panels into the file, which has the picture when all of it is drawn."""
    kind = format_of(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, layout="constrained")
    FigureCanvasAgg(figure)
    fitted, errors, speed = figure.subplots(1, 3)
    _draw_fit(fitted, fit)
    parts = [(dtype, part) for dtype, ranges in RANGES.items() for part in ranges]
    _draw_marks(errors, [f"{dtype}, {part}" for dtype, part in parts], {row.name: [row.ulp.get(part) for part in parts] for row in rows})
    errors.set(xscale="log", title="Error of the sigmoid, lower is better", xlabel="largest error in ULP")
    _draw_marks(speed, list(RANGES), {row.name: [row.nanoseconds[dtype] for dtype in RANGES] for row in rows})
    speed.set(title="Time of the sigmoid, lower is better", xlabel="ns an element, one thread")
    speed.set_xlim(left=0)
    figure.legend(*speed.get_legend_handles_labels(), loc="outside lower right", ncols=len(rows), frameon=False)
    with replacing(path) as file:
        figure.savefig(file, format=kind, dpi=_DPI)


def _draw_fit(axis: Any, fit: Fit) -> None:
    iterations = range(1, len(fit.losses) + 1)
    axis.plot(iterations, fit.losses, color=STYLES["fastsig"].colour, linewidth=2.4, label="L-BFGS-B with fastsig's loss")
    axis.axhline(fit.optimum, color="black", linewidth=1, linestyle="--", label="scikit-learn's optimum")
    axis.set(title="Fit of the breast-cancer table", xlabel="iteration", ylabel="loss")
    axis.set_ylim(bottom=0)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)


def _draw_marks(axis: Any, rows: list[str], values: dict[str, list[float | None]]) -> None:
    """A row for each name, from above, and a mark in it for each library that has a number there."""
    for number, (name, numbers) in enumerate(values.items()):
        style = _STYLES.get(name, Style("#777777", "s"))
        lower = _SPREAD * (number / max(len(values) - 1, 1) - 0.5)
        found = [(value, row + lower) for row, value in enumerate(numbers) if value is not None]
        across, down = zip(*found, strict=True) if found else ((), ())
        axis.plot(across, down, linestyle="", marker=style.marker, color=style.colour, markersize=9 if style.ours else 7, label=name)
    axis.set_yticks(range(len(rows)), rows)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.grid(True, axis="x", alpha=0.25)
    for line in range(1, len(rows)):
        axis.axhline(line - 0.5, color="black", alpha=0.12, linewidth=0.8)
    axis.tick_params(axis="y", length=0)
    axis.spines[["top", "right"]].set_visible(False)
