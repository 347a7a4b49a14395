"""log10 of the gradient against the layer, as the backward pass goes: a line a network, named where it ends."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fastsig.measure.line_labels import label_line_ends, spread_labels
from fastsig.measure.picture_files import format_of
from fastsig.measure.styles import STYLES
from fastsig.system.atomic_files import replacing

if TYPE_CHECKING:
    from fastsig.gradflow.flow import Flow

_DPI = 130
_LINE_HEIGHT = 0.2
"""Inches a name needs."""
_TURN = 3
"""Where there are more lines than styles, each has the dashes of the style so many further on: no two lines look alike."""


def plot(flows: Sequence[Flow], path: str | os.PathLike[str]) -> None:
    """Draw the flows into the file, which has the picture when all of it is drawn."""
    kind = format_of(path)
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = _panels(flows)
    heights = [max(3.2, _LINE_HEIGHT * len(lines) + 0.6) for lines in panels]
    figure = Figure(figsize=(9.5, sum(heights) + 0.6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(panels), squeeze=False, gridspec_kw={"height_ratios": heights})[:, 0]
    for axis, lines in zip(axes, panels, strict=True):
        _draw(axis, lines)
    figure.suptitle("How much gradient each layer gets")
    spread_labels(figure, [label_line_ends(axis) if axis.lines else [] for axis in axes])
    with replacing(path) as file:
        figure.savefig(file, format=kind, dpi=_DPI)


def _panels(flows: Sequence[Flow]) -> list[list[tuple[str, Flow]]]:
    """The lines by what compares: deep networks, those that were trained, before and after, and recurrent ones."""
    panels: dict[tuple[str, bool], list[tuple[str, Flow]]] = {}
    for flow in flows:
        panel = panels.setdefault((flow.part, flow.after is not None), [])
        panel.append((flow.label, flow))
        if flow.after:
            panel.append((f"{flow.label}, after", flow.after))
    return list(panels.values())


def _draw(axis: Any, lines: Sequence[tuple[str, Flow]]) -> None:
    styles = list(STYLES.values())
    for number, (name, flow) in enumerate(lines):
        logs = [(place, layer.log10_gradient) for place, layer in enumerate(reversed(flow.layers)) if math.isfinite(layer.log10_gradient)]
        if not logs:
            continue
        style = styles[number % len(styles)]
        dashes = styles[(number + _TURN * (number // len(styles))) % len(styles)].dashes
        axis.plot(
            *zip(*logs, strict=True), label=name, color=style.colour, linestyle=(0, dashes) if dashes else "-",
            marker=style.marker, markersize=4, markevery=max(1, len(logs) // 8), linewidth=1.6,
        )  # fmt: skip
    axis.grid(True, alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set(xlabel=f"{lines[0][1].part}s below the last", ylabel="log10 of the gradient's norm")
