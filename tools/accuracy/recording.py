"""What is measured becomes the record: ``docs/accuracy.json``."""

from __future__ import annotations

import json
import platform
from typing import Any

import numpy as np

from fastsig.measure.accuracy import records
from fastsig.measure.accuracy.cli import Measured
from fastsig.measure.accuracy.correct_rounding import Checked
from fastsig.measure.accuracy.result import Result
from fastsig.ops import BY_NAME
from fastsig.system.atomic_files import write_text

RANK = {"sample": 0, "slice": 0, "mpmath": 1, "all": 1, "exhaustive": 1}
KEPT = 12
"""worst inputs kept for an operation and a dtype"""


def write(done: Measured) -> None:
    """Merge: a sample does not replace an exhaustive result of the same formulas, but may make it worse; worst inputs gather.

    A result that says what is on record leaves that as it is: who measured it first, and where.
    """
    data = records.load()
    before_all = json.dumps(data["results"])
    old = {(r["op"], r["dtype"], r["targets"]): r for r in data["results"]}
    for r in done.results:
        if not r.at:
            continue
        before = old.get(r.key)
        if before is None or before["formulas"] != r.formulas:
            old[r.key] = r.record()
        elif not _same(r, Result(**before)):
            old[r.key] = _worse(r, Result(**before)).record()
        if r.dtype in ("float32", "float64") and r.op in BY_NAME:
            _remember(data["regressions"], r.op, r.dtype, [r.at])
    data["results"] = [old[k] for k in sorted(old)]
    for (op, dtype, _), inputs in done.worst_inputs:
        _remember(data["regressions"], op, dtype, inputs)
    if done.peers is not None:
        data["peers"] = done.peers
    for result, engines in done.plan.full:
        if not result.failures:
            _remember_full(data.setdefault("full", []), result, records.builds_of(engines))
    if json.dumps(data["results"]) != before_all:
        data["machine"] = f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}, NumPy {np.__version__}"
    write_text(records.path(), json.dumps(data, indent=1) + "\n")


def write_rounded(done: list[Checked]) -> None:
    """In the place of what was on record of the same operations on the same backends."""
    path = records.rounded_path()
    rows = json.loads(path.read_text()) if path.exists() else []
    new = [{**r.record(), "commit": records.commit()} for r in done]
    measured = {(row["op"], row["backend"]) for row in new}
    rows = [row for row in rows if (row["op"], row["backend"]) not in measured] + new
    write_text(path, json.dumps(sorted(rows, key=lambda row: (row["op"], row["backend"])), indent=1) + "\n")


def _remember_full(rows: list[dict[str, Any]], result: Result, builds: dict[str, str]) -> None:
    """One row for each set of builds, with the newest measure of each operation."""
    row = next((row for row in rows if row["builds"] == builds), None)
    if row is None:
        row = {"builds": builds, "ops": {}}
        rows.append(row)
    row["ops"][result.op] = {"formulas": result.formulas, "commit": result.commit}


def _same(new: Result, old: Result) -> bool:
    return all(getattr(new, name) == getattr(old, name) for name in ("mode", "worst", "at", "got", "wrong", "count"))


def _worse(new: Result, old: Result) -> Result:
    """The more thorough of two results of the same formulas, the newer of two equals, with the worse input of both."""
    kept, other = (new, old) if RANK[new.mode] >= RANK[old.mode] else (old, new)
    kept.raise_to(other.worst, other.at, other.got)
    return kept


def _remember(regressions: dict[str, Any], op: str, dtype: str, inputs: list[list[int]]) -> None:
    """The newest first; bits are written in hexadecimal, those of two arguments with a space between."""
    width = 8 if dtype == "float32" else 16
    kept = regressions.setdefault(op, {}).setdefault(dtype, [])
    new = [" ".join(f"0x{b:0{width}x}" for b in at) for at in inputs]
    kept[:] = (new + [k for k in kept if k not in new])[:KEPT]
