"""The worst inputs that were ever found, ``tests/worst_inputs.json``: where every measure looks first, and what the tests hold fast."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np

from fastsig.measure.accuracy import exact, records, sampled
from fastsig.measure.accuracy.engines import Engine
from fastsig.measure.accuracy.engines import run as compute
from fastsig.measure.formats import FORMATS
from fastsig.ops import BY_NAME
from fastsig.system.atomic_files import write_text

KEPT = 6
"""inputs kept for an operation, a dtype and a kind of targets"""
Key = tuple[str, str, str]


def keep(found: Iterable[tuple[Key, list[list[int]]]], engine: Engine) -> int:
    """Add inputs, as bits; everything is measured anew, and the worst of each kind stay. How many rows the file has now."""
    inputs: dict[Key, set[tuple[int, ...]]] = {}
    for row in records.worst_rows():
        inputs.setdefault((row["op"], row["dtype"], row["targets"]), set()).add(tuple(int(b, 16) for b in row["at"]))
    for key, given in found:
        inputs.setdefault(key, set()).update(tuple(at) for at in given)
    engine.activate()
    order = {name: i for i, name in enumerate(BY_NAME)}
    rows: list[dict[str, Any]] = []
    for key in sorted(inputs, key=lambda k: (order[k[0]], *k[1:])):
        measured = [_row(key, at, engine) for at in sorted(inputs[key])]
        rows += sorted(measured, key=lambda row: (-row["ulp"], row["at"]))[:KEPT]
    write_text(records.worst_path(), "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    return len(rows)


def _row(key: Key, at: tuple[int, ...], engine: Engine) -> dict[str, Any]:
    """One input: its bits, the correctly rounded result, what comes out, and how far that is from the exact value."""
    op, fmt = BY_NAME[key[0]], FORMATS[key[1]]
    columns = tuple(fmt.values(np.array([b])) for b in at)
    got = int(fmt.bits(compute(engine.ufunc(op.name, fmt), *columns))[0])
    nearest = exact.rounded(op, fmt, tuple(float(c[0]) for c in columns))
    return {
        "op": op.name,
        "dtype": fmt.name,
        "targets": key[2],
        "at": [f"0x{b:0{fmt.width // 4}x}" for b in at],
        "nearest": nearest.hex(),
        "got": float(fmt.values(np.array([got]))[0]).hex(),
        "ulp": round(sampled.precise(op, fmt, at, got, key[2]), 5),
    }
