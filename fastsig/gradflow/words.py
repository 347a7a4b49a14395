"""What figures of gradients are called: verdicts, conclusions, labels, bars."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import Any

VANISHES, WEAK, EXPLODES = -5.0, -3.0, 3.0
"""log10 of the first layer's gradient over the last one's: below it vanishes, below it is weak, above it explodes."""
MOSTLY = 0.5
"""The share of saturated units from which on saturation is named as the cause."""
_LEVELS = {"utf": "▁▂▃▄▅▆▇█", "other": "12345678"}


def verdict(log10_ratio: float) -> str:
    """One word for a ratio."""
    if math.isnan(log10_ratio):
        return "no gradient"
    if log10_ratio < VANISHES:
        return "vanishes"
    if log10_ratio < WEAK:
        return "weak"
    return "explodes" if log10_ratio > EXPLODES else "flows"


def saturation_is_the_cause(log10_ratio: float, saturated: float | None) -> bool:
    return saturated is not None and saturated > MOSTLY and log10_ratio < WEAK


def conclusion(log10_ratio: float, saturated: float | None, part: str) -> str:
    """A sentence on the ratio, and one on its cause where saturation is it."""
    share = f"at the first {part} it is {power_of_ten(log10_ratio)} times what it is at the last"
    said = {
        "no gradient": f"There is no finite gradient at the last {part}, and nothing to compare with.",
        "vanishes": f"The gradient vanishes: {share}.",
        "weak": f"The gradient is weak: {share}.",
        "explodes": f"The gradient explodes: {share}.",
        "flows": f"The gradient reaches the first {part}: there it is {power_of_ten(log10_ratio)} times what it is at the last. "
        "That alone promises no learning.",
    }[verdict(log10_ratio)]
    if saturation_is_the_cause(log10_ratio, saturated):
        said += f" The cause is saturation: {saturated:.0%} of the units are in the tails of their activation."
    return said


def power_of_ten(exponent: float) -> str:
    """10 to this, in two digits, also where no float holds it."""
    if not math.isfinite(exponent):
        return "0" if exponent < 0 else "inf"
    whole = math.floor(exponent)
    digits = f"{10 ** (exponent - whole):.1f}"
    if digits == "10.0":
        digits, whole = "1.0", whole + 1
    return f"{float(digits) * 10.0**whole:.2g}" if -3 <= whole <= 2 else f"{digits}e{whole:+03d}"


def label(settings: Mapping[str, Any]) -> str:
    """What sets a network apart, in few words."""
    if "cell" in settings:
        parts = [f"{settings['cell']}, {settings['init']}"]
        parts += [f"{gate} bias {settings[f'{gate}_bias']:g}" for gate in ("forget", "update") if settings[f"{gate}_bias"] is not None]
        return ", ".join([*parts, f"{settings['steps']} steps"])
    parts = [f"{settings['activation']}, {settings['init']}"]
    if settings["gain"] != 1:
        parts.append(f"gain {settings['gain']:g}")
    if settings["norm"] != "none":
        parts.append(f"{settings['norm']} norm")
    if settings["residual"]:
        parts.append("residual")
    parts.append(f"depth {settings['depth']}")
    if settings["optimizer"]:
        parts.append(f"{settings['optimizer']} x {settings['steps']}")
    return ", ".join(parts)


def evenly(count: int, most: int) -> list[int]:
    """Places among so many, the first and the last one included: all, or as many as there may be."""
    if count <= most:
        return list(range(count))
    return [round(place * (count - 1) / (most - 1)) for place in range(most)]


def bars(values: Sequence[float], length: int) -> list[str]:
    """A bar for each: the largest has the full length, and 5 powers of ten, or all that they span, are its length."""
    finite = [value for value in values if math.isfinite(value)]
    top = max(finite, default=0.0)
    span = max(top - min(finite, default=0.0), -VANISHES)
    return ["#" * max(1, round(length * (1 - (top - value) / span))) if math.isfinite(value) else "" for value in values]


def sparkline(values: Sequence[float], low: float, high: float) -> str:
    """A character for each value: how high it is between ``low`` and ``high``; a space where it is no finite number."""
    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower()
    levels = _LEVELS["utf" if encoding.startswith("utf") else "other"]
    scale = (len(levels) - 1) / max(high - low, 1e-9)
    return "".join(levels[min(max(round((value - low) * scale), 0), len(levels) - 1)] if math.isfinite(value) else " " for value in values)
