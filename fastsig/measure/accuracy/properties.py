"""What must hold between results, whatever their error: ranges, order, symmetry, NaN for NaN."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastsig.measure.formats import Array

MONOTONE = {"sigmoid": True, "softplus": False, "log_sigmoid": False, "logit": False, "tanh": True}
"""Operations that grow with x in truth; True where the results are promised to as well"""
RANGE = {
    "sigmoid": (0.0, 1.0),
    "sigmoid_grad": (0.0, 0.25),
    "softplus": (0.0, np.inf),
    "log_sigmoid": (-np.inf, 0.0),
    "tanh": (-1.0, 1.0),
    "tanh_grad": (0.0, 1.0),
    "bce_with_logits": (0.0, np.inf),
    "bce": (0.0, np.inf),
}
EVEN = ("sigmoid_grad", "tanh_grad")
ODD = ("tanh",)
PROMISED = ("range", "symmetry", "nan")


def _note(found: dict[str, Any], name: str, bad: Array, x: Array) -> None:
    """Count what breaks a property, and keep the first input that does, as bits."""
    entry = found.setdefault(name, {"broken": 0})
    count = int(np.count_nonzero(bad))
    if count:
        entry.setdefault("at", int(x[np.argmax(bad)].view(f"uint{8 * x.itemsize}")))
        entry["broken"] += count


def _order(found: dict[str, Any], x: Array, got: Array, side: int) -> None:
    """Magnitudes grow along x: results must not fall for positive x, nor grow for negative x. Ends are kept for the neighbours."""
    rising = got if side == 0 else got[::-1]
    _note(found, "monotone", np.diff(rising) < 0, x if side == 0 else x[::-1])
    ends = found.setdefault("ends", [[], []])[side]
    first, last = float(got[0]), float(got[-1])
    if np.isnan(first) or np.isnan(last):
        numbers = got[~np.isnan(got)]
        if not len(numbers):
            return
        first, last = float(numbers[0]), float(numbers[-1])
    if ends:
        wrong = first < ends[1] if side == 0 else first > ends[1]
        found["monotone"]["broken"] += int(wrong)
        if wrong:
            found["monotone"].setdefault("at", int(x[0].view(f"uint{8 * x.itemsize}")))
    ends[:] = [ends[0] if ends else first, last]


def scan(op: str, x: tuple[Array, Array], got: tuple[Array, ...], found: dict[str, Any]) -> None:
    """Properties on a block of consecutive magnitudes, x[0] positive and x[1] = -x[0]; adds to ``found``.

    Results come in the order of x, and for two arguments as (x, 0), (-x, 0), (x, 1), (-x, 1).
    """
    for i, results in enumerate(got):
        side = i % 2
        nan_in = np.isnan(x[side])
        if nan_in.any() or "nan" not in found:
            _note(found, "nan", nan_in & ~np.isnan(results), x[side])
        if op in RANGE:
            low, high = RANGE[op]
            _note(found, "range", (results < low) | (results > high), x[side])
        if op in MONOTONE:
            _order(found, x[side], results, side)
    if op in EVEN or op in ODD:
        mirrored = got[1] if op in EVEN else -got[1]
        _note(found, "symmetry", (got[0] != mirrored) & ~np.isnan(x[0]), x[0])
    if op == "bce_with_logits" and len(got) == 4:
        for side in (0, 1):  # bce(x, 1) == bce(-x, 0)
            _note(found, "symmetry", (got[2 + side] != got[1 - side]) & ~np.isnan(x[0]), x[side])


def merge_ends(op: str, into: dict[str, Any], chunk: dict[str, Any]) -> None:
    """Add a chunk's findings to those of all chunks before it, and look across the seam."""
    for name, entry in chunk.items():
        if name == "ends":
            continue
        total = into.setdefault(name, {"broken": 0})
        total["broken"] += entry["broken"]
        if "at" in entry:
            total.setdefault("at", entry["at"])
    ends = into.setdefault("_ends", [None, None])
    for side, pair in enumerate(chunk.get("ends", [[], []])):
        if not pair:
            continue
        if ends[side] is not None and (pair[0] < ends[side] if side == 0 else pair[0] > ends[side]):
            into["monotone"]["broken"] += 1
        ends[side] = pair[1]


def broken_promises(op: str, properties: dict[str, Any]) -> list[str]:
    """Names of the promised properties that do not hold."""
    promised = [*PROMISED, *(["monotone"] if MONOTONE.get(op) else [])]
    return [name for name in promised if properties.get(name, {}).get("broken")]
