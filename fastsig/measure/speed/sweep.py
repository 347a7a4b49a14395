"""A sweep over all sizes, and where in it another library is faster."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import NamedTuple

from fastsig.measure.speed.report import Machine, machine
from fastsig.measure.timing import Row
from fastsig.system.atomic_files import write_text

SWEEP = (1, 10**8)
PER_DECADE = 2
HOPELESS, SMALL = 3.0, 10**5
"""A library that took this many times as long as the fastest at a size of at least SMALL is left out at the sizes above."""
OURS = {True: "fastsig c", False: "fastsig"}
"""Which of our rows other libraries are held against: with one thread, and with as many as each likes."""


def grid(first: float, last: float, per_decade: int = PER_DECADE) -> list[int]:
    """Sizes in equal ratios from first to last, both among them; two a decade are 1, 3, 10, 32, 100."""
    steps = max(1, round(math.log10(last / first) * per_decade))
    return sorted({round(first * (last / first) ** (i / steps)) for i in range(steps + 1)})


class Faster(NamedTuple):
    """A case in which another library took less time than fastsig."""

    op: str
    dtype: str
    size: int
    mode: str
    threads: str
    library: str
    ratio: float
    """fastsig's time over the library's."""
    clear: bool
    """By more than the quartile distances of the two: not by chance."""


def faster_elsewhere(rows: Sequence[Row]) -> list[Faster]:
    """Every case of the rows in which another library's median is below fastsig's, one thread held against one, all against all.

    ``mode``, "out" or "alloc", is held against the same mode.
    """
    ours = {(row.op, row.dtype, row.size, row.mode, row.peer): row for row in rows if row.peer in OURS.values()}
    found = []
    for row in rows:
        one = row.threads == 1
        mine = ours.get((row.op, row.dtype, row.size, row.mode, OURS[one]))
        if mine is None or row.peer.startswith("fastsig") or row.ns >= mine.ns:
            continue
        clear = mine.ns - row.ns > (mine.ns_iqr + row.ns_iqr) / 2
        words = "1" if one else "all"
        found.append(Faster(row.op, row.dtype, row.size, row.mode, words, row.peer, mine.ns / row.ns, clear))
    return sorted(found, key=lambda case: -case.ratio)


def hopeless(rows: Sequence[Row]) -> set[str]:
    """The peers that one size's rows show to be far behind in each mode they have; never ours."""
    fastest = {mode: min(row.ns for row in rows if row.mode == mode) for mode in {row.mode for row in rows}}
    behind = {peer: min(row.ns / fastest[row.mode] for row in rows if row.peer == peer) for peer in {row.peer for row in rows}}
    return {peer for peer, ratio in behind.items() if ratio > HOPELESS and not peer.startswith("fastsig")}


def summary(rows: Sequence[Row], on: Machine | None = None) -> str:
    """The cases as a Markdown table, with the machine above it."""
    cases = faster_elsewhere(rows)
    on = on or machine()
    compared = len({(row.op, row.dtype, row.size, row.mode) for row in rows})
    load = "" if on["load"] is None else f", load {on['load']:.1f}"
    lines = [f"{on['cpu']}, {on['cores']} cores, instruction set {on['isa']}, {on['date'][:10]}{load}.", ""]
    if not cases:
        return "\n".join([*lines, f"No other library was faster in any of {compared} cases."]) + "\n"
    clear = sum(case.clear for case in cases)
    lines += [
        f"{len(cases)} measurements, in {compared} cases of operation, dtype, size and mode, found another library faster;",
        f"{clear} of them by more than the spread of the two.",
        "",
        "| op | dtype | size | mode | threads | library | fastsig's time / its time | beyond the spread |",
        "|---|---|--:|---|---|---|--:|---|",
    ]
    for case in cases:
        said = "yes" if case.clear else "no"
        lines.append(
            f"| `{case.op}` | {case.dtype} | {case.size:,} | {case.mode} | {case.threads} | {case.library} | {case.ratio:.2f} | {said} |"
        )
    return "\n".join(lines) + "\n"


def write_summary(rows: Sequence[Row], path: str | os.PathLike[str], on: Machine | None = None) -> None:
    write_text(path, summary(rows, on))
