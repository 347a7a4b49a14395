"""Measure the remedies with five seeds, and write the tables and the picture of docs/gradflow.md: ``python tools/gradflow_tables.py``.

Nothing is measured in time, so every machine gives the same figures but for the last digits, and for the stack of 50 layers after its
training, where those grow.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path

from fastsig.gradflow.drawing import plot
from fastsig.gradflow.lesson import RECURRENT, REMEDIES, TRAINING, Measurement, Spread, spread
from fastsig.system.atomic_files import write_text

DOCS = Path(__file__).parent.parent / "docs"
SEEDS = range(5)


def main() -> None:
    text = (DOCS / "gradflow.md").read_text()
    deep, recurrent, trained = (_spreads(measurements) for measurements in (REMEDIES, RECURRENT, TRAINING))
    for name, lines in {"deep": _ratios(deep), "recurrent": _ratios(recurrent), "trained": _trained(trained)}.items():
        text = _between(text, name, lines)
    write_text(DOCS / "gradflow.md", text)
    plot([one.median for one in (*deep, *recurrent)], DOCS / "gradflow.png")


def _spreads(measurements: Sequence[Measurement]) -> list[Spread]:
    return [spread(measurement, SEEDS) for measurement in measurements]


def _ratios(spreads: Sequence[Spread]) -> Iterable[str]:
    yield "| network | median | least | most | verdict |"
    yield "|---|---:|---:|---:|---|"
    for one in spreads:
        low, middle, high = one.ratios
        yield f"| {one.median.label} | {middle:.1f} | {low:.1f} | {high:.1f} | {one.median.verdict} |"


def _trained(spreads: Sequence[Spread]) -> Iterable[str]:
    yield "| network | log10 ratio before | after | accuracy before | after |"
    yield "|---|---:|---:|---:|---:|"
    for one in spreads:
        pairs = [(flow, flow.after) for flow in one.flows if flow.after]
        ratios = [statistics.median(flow.log10_ratio for flow in column) for column in zip(*pairs, strict=True)]
        accuracies = [statistics.median(flow.accuracy for flow in column) for column in zip(*pairs, strict=True)]
        yield f"| {one.median.label} | {ratios[0]:.1f} | {ratios[1]:.1f} | {accuracies[0]:.2f} | {accuracies[1]:.2f} |"


def _between(text: str, name: str, lines: Iterable[str]) -> str:
    """The text with these lines between the two marks of that name."""
    replaced, times = re.subn(
        rf"(<!-- {name}:begin -->\n).*?(<!-- {name}:end -->)",
        lambda found: found[1] + "\n".join(lines) + "\n" + found[2],
        text,
        flags=re.DOTALL,
    )
    if times != 1:
        raise ValueError(f"docs/gradflow.md must have one place between <!-- {name}:begin --> and <!-- {name}:end -->; it has {times}")
    return replaced


if __name__ == "__main__":
    main()
