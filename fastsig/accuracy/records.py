"""The recorded results, ``docs/accuracy.json``: what the documents are made from, and what the tests read."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

import numpy as np

from .result import Result
from .state import PACKAGE

RANK = {"sample": 0, "all": 1, "exhaustive": 1}
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
    """Merge: a sample does not replace an exhaustive result of the same formulas; worst inputs gather."""
    data = load()
    old = {(r["op"], r["dtype"], r["targets"]): r for r in data["results"]}
    for r in results:
        if not r.at:
            continue
        before = old.get(r.key)
        if before is None or before["formulas"] != r.formulas or RANK[r.mode] >= RANK[before["mode"]]:
            old[r.key] = r.record()
        if not r.targets and r.dtype in ("float32", "float64"):
            _remember(data["regressions"], r.op, r.dtype, [r.at[0]])
    data["results"] = [old[k] for k in sorted(old)]
    for op, kinds in found.get("regressions", {}).items():
        for dtype, bits in kinds.items():
            _remember(data["regressions"], op, dtype, bits)
    if "peers" in found:
        data["peers"] = found["peers"]
    data["machine"] = f"{platform.machine()}, {platform.system()}, Python {platform.python_version()}, NumPy {np.__version__}"
    path().write_text(json.dumps(data, indent=1) + "\n")


def _remember(regressions: dict[str, Any], op: str, dtype: str, bits: list[int]) -> None:
    """The newest first; bits are written in hexadecimal."""
    width = 8 if dtype == "float32" else 16
    kept = regressions.setdefault(op, {}).setdefault(dtype, [])
    new = [f"0x{b:0{width}x}" for b in bits]
    kept[:] = (new + [k for k in kept if k not in new])[:KEPT]
