"""The pictures of the lesson. They have no words but symbols and numbers, so that the pages of all languages share them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Polygon, Rectangle

import fastsig as fs
from fastsig.gradflow.activations import SIGMOID_TAIL
from fastsig.measure.styles import STYLES
from fastsig.system.atomic_files import replacing
from tools.lesson import zigzag

DPI = 110
RED, BLUE = STYLES["fastsig"].colour, STYLES["numpy"].colour
WATER, GREY = "#8cc1f7", "#555555"
MARGINS = {"left": 0.17, "right": 0.98, "top": 0.98, "bottom": 0.15}
"""Of a figure; a layout that measures its texts would move everything with another release of matplotlib."""


def curve() -> Figure:
    """The sigmoid over its derivative, and where the derivative is below 5% of its maximum."""
    figure = Figure(figsize=(6, 5.2))
    above, below = figure.subplots(2, sharex=True, gridspec_kw={**MARGINS, "hspace": 0.08})
    x = np.linspace(-8, 8, 801)
    above.plot(x, fs.sigmoid(x), color=RED, linewidth=3)
    below.plot(x, fs.sigmoid_grad(x), color=BLUE, linewidth=3)
    above.set(ylabel="$\\sigma(x)$", yticks=[0, 0.5, 1])
    below.set(ylabel="$\\sigma'(x)$", xlabel="$x$", yticks=[0, 0.25], ylim=(-0.02, 0.32), xticks=range(-8, 9, 2))
    for at in (-2.0, 0.0, 2.0):
        _point(above, at, float(fs.sigmoid(at)), RED, (8, -18))
    for at in (0.0, 5.0):
        _point(below, at, float(fs.sigmoid_grad(at)), BLUE, (8, 9))
    for axis in (above, below):
        for side in (-1, 1):
            axis.axvspan(*sorted((side * SIGMOID_TAIL, side * 8)), color="black", alpha=0.07, linewidth=0)
        _plain(axis)
    return figure


def tap() -> Figure:
    """A pipe behind a tap that is open by the sigmoid of -5, 0 and 5: as much comes through."""
    figure = Figure(figsize=(6, 2.2))
    axis = figure.add_axes((0, 0, 1, 1))
    for place, x in enumerate((-5.0, 0.0, 5.0)):
        _tap(axis, 3.4 * place, x)
    axis.set(xlim=(-0.2, 9.8), ylim=(-0.9, 2.5), aspect="equal")
    axis.axis("off")
    return figure


def two_weights() -> Figure:
    """The ways of two weights to their target: inputs all positive, and the same with their middle at 0."""
    figure = Figure(figsize=(6, 8))
    axes = figure.subplots(2, sharex=True, gridspec_kw={**MARGINS, "bottom": 0.1, "hspace": 0.05})
    for axis, centred in zip(axes, (False, True), strict=True):
        descent = zigzag.descend(zigzag.inputs(zigzag.SEEDS[0], centred=centred))
        colour = BLUE if centred else RED
        axis.plot(*zip(*descent.path, strict=True), color=colour, linewidth=1.5, marker="o", markersize=4)
        axis.plot(*zigzag.TARGET, color="black", marker="*", markersize=18)
        _plain(axis)
        axis.set(ylabel="$w_2$", aspect="equal", xlim=(-0.08, 1.12), ylim=(-0.6, 0.3))
    axes[1].set(xlabel="$w_1$")
    return figure


def _point(axis: Any, x: float, y: float, colour: str, offset: tuple[int, int]) -> None:
    axis.plot(x, y, "o", color=colour, markersize=8)
    axis.annotate(f"{y:.2g}", (x, y), offset, textcoords="offset points", fontsize=15)


def _plain(axis: Any) -> None:
    axis.grid(True, alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=15)
    axis.xaxis.label.set_size(18)
    axis.yaxis.label.set_size(18)


def _tap(axis: Any, left: float, x: float) -> None:
    """A pipe of height 1 and length 2.8; its gate in the middle leaves open what the sigmoid says."""
    share = float(fs.sigmoid(x))
    gate = left + 1.4
    axis.add_patch(Rectangle((left, 0), 1.4, 1, color=WATER, linewidth=0))
    axis.add_patch(Rectangle((gate, 0), 1.4, share, color=WATER, linewidth=0))
    axis.plot([left, left + 2.8], [0, 0], color=GREY, linewidth=4, solid_capstyle="butt")
    axis.plot([left, left + 2.8], [1, 1], color=GREY, linewidth=4, solid_capstyle="butt")
    axis.add_patch(Rectangle((gate - 0.09, share), 0.18, 1.15, color=GREY, linewidth=0))
    axis.add_patch(Polygon([(gate - 0.45, share + 1.15), (gate + 0.45, share + 1.15), (gate, share + 1.42)], color=GREY))
    axis.text(gate, -0.55, f"$\\sigma({x:.0f})={share:.2g}$", ha="center", va="center", fontsize=15)


PICTURES: dict[str, Callable[[], Figure]] = {
    "sigmoid-curve.png": curve,
    "sigmoid-tap.png": tap,
    "sigmoid-two-weights.png": two_weights,
}
"""By the name of the file in docs/."""


def draw(name: str, path: Path) -> None:
    figure = PICTURES[name]()
    FigureCanvasAgg(figure)
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
