"""The recorded results, ``docs/accuracy.json``: what the documents are made from, and what the tests read."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import numpy as np

from .result import Result
from .state import PACKAGE

RANK = {"sample": 0, "mpmath": 1, "all": 1, "exhaustive": 1}
KEPT = 12
"""worst inputs kept for an operation and a dtype"""


def root() -> Path:
    """The checkout: where the documents are."""
    for place in (Path.cwd(), PACKAGE.parent):
        if (place / "docs").is_dir() and (place / "pyproject.toml").exists():
            return place
    raise FileNotFoundError("--write and --stale need the checkout of fastsig: no docs/ here")


def path() -> Path:
    return root() / "docs" / "accuracy.json"


def load() -> dict[str, Any]:
    if not path().exists():
        return {"machine": "", "results": [], "regressions": {}, "peers": []}
    loaded: dict[str, Any] = json.loads(path().read_text())
    return loaded


def write(results: list[Result], found: dict[str, Any]) -> None:
    """Merge: a sample does not replace an exhaustive result of the same formulas, but may make it worse; worst inputs gather."""
    data = load()
    old = {(r["op"], r["dtype"], r["targets"]): r for r in data["results"]}
    for r in results:
        if not r.at:
            continue
        before = old.get(r.key)
        if before is None or before["formulas"] != r.formulas:
            old[r.key] = r.record()
        else:
            old[r.key] = _worse(r, Result(**before)).record()
        if r.dtype in ("float32", "float64"):
            _remember(data["regressions"], r.op, r.dtype, [r.at])
    data["results"] = [old[k] for k in sorted(old)]
    for (op, dtype, _), inputs in found.get("regressions", []):
        _remember(data["regressions"], op, dtype, inputs)
    if "peers" in found:
        data["peers"] = found["peers"]
    data["machine"] = f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}, NumPy {np.__version__}"
    path().write_text(json.dumps(data, indent=1) + "\n")


def worst_path() -> Path:
    return root() / "tests" / "worst_inputs.json"


def worst_rows() -> list[dict[str, Any]]:
    """What ``kept`` has written; nothing outside a checkout."""
    try:
        rows: list[dict[str, Any]] = json.loads(worst_path().read_text())
    except FileNotFoundError:
        return []
    return rows


def worst_known(op: str, dtype: str, kind: str) -> list[list[int]]:
    """The bits of the worst inputs on record."""
    return [[int(b, 16) for b in row["at"]] for row in worst_rows() if (row["op"], row["dtype"], row["targets"]) == (op, dtype, kind)]


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
