"""Lines of a drawing that are named where they end, and names that do not overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

_LABEL_SIZE, _LINE_SPACING = 8.5, 1.25


class Label(NamedTuple):
    """A line's name beside the panel, with a piece of the line, and a thread from where the line ends."""

    height: float
    """Of the line's end, as a share of the panel's."""
    text: Any
    piece: Any
    thread: Any

    def move(self, height: float) -> None:
        self.text.set_y(height)
        self.piece.set_ydata([height] * 3)
        self.thread.set_ydata([self.height, height])


def label_line_ends(axis: Any) -> list[Label]:
    """The labels of a panel, each as high as its line ends; a line that ends early has no thread, for it would cross the others."""
    found = []
    axis.set(xlim=axis.get_xlim(), ylim=axis.get_ylim())
    last = max(line.get_xdata()[-1] for line in axis.lines)
    for line in list(axis.lines):
        end = line.get_xydata()[-1]
        across, height = axis.transAxes.inverted().transform(axis.transData.transform(end))
        beside = {"transform": axis.transAxes, "clip_on": False}
        (piece,) = axis.plot([1.06, 1.105, 1.15], [height] * 3, markevery=[1], **beside)
        piece.update_from(line)
        piece.set(markevery=[1], **beside)
        (thread,) = axis.plot([across, 1.05], [height] * 2, color=line.get_color(), linewidth=0.6, visible=end[0] == last, **beside)
        weight = "bold" if line.get_label().startswith("fastsig") else "normal"
        text = axis.text(1.17, height, line.get_label(), va="center", fontsize=_LABEL_SIZE, fontweight=weight, transform=axis.transAxes)
        found.append(Label(height, text, piece, thread))
    return found


def spread_labels(figure: Any, labels_of_axes: Sequence[list[Label]]) -> None:
    """Move the labels of each of the figure's axes apart, none further from its line than that needs; the layout is then fixed."""
    figure.draw_without_rendering()  # the layout makes room for the labels, and from here on the axes have their height
    figure.set_layout_engine("none")
    for axis, labels in zip(figure.axes, labels_of_axes, strict=True):
        gap = _LABEL_SIZE * _LINE_SPACING * figure.dpi / 72 / axis.get_window_extent().height
        ordered = sorted(labels, key=lambda label: label.height)
        for label, height in zip(ordered, spread_out([label.height for label in ordered], gap), strict=True):
            label.move(height)


def spread_out(heights: Sequence[float], gap: float) -> list[float]:
    """The ascending numbers nearest to these ascending ones, by squares, that are at least ``gap`` apart."""
    blocks: list[tuple[float, int]] = []  # of numbers that touch: where the first would be alone, as a mean, and how many they are
    for i, height in enumerate(heights):
        mean, count = height - i * gap, 1
        while blocks and blocks[-1][0] > mean:
            before, many = blocks.pop()
            mean, count = (before * many + mean * count) / (many + count), many + count
        blocks.append((mean, count))
    alone = [mean for mean, count in blocks for _ in range(count)]
    return [mean + i * gap for i, mean in enumerate(alone)]
