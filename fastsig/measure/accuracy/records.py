"""The recorded results, ``docs/accuracy.json``, and the worst inputs on record: there in a checkout only."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from fastsig.measure.accuracy import sources
from fastsig.measure.accuracy.engines import Engine
from fastsig.measure.accuracy.sources import PACKAGE


def root() -> Path:
    """The checkout: where the documents are."""
    for place in (Path.cwd(), PACKAGE.parent):
        if (place / "docs").is_dir() and (place / "pyproject.toml").exists():
            return place
    raise FileNotFoundError("this needs the checkout of fastsig: no docs/ here")


def path() -> Path:
    return root() / "docs" / "accuracy.json"


def load() -> dict[str, Any]:
    if not path().exists():
        return {"machine": "", "results": [], "full": [], "regressions": {}, "peers": []}
    loaded: dict[str, Any] = json.loads(path().read_text())
    return loaded


def rounded_path() -> Path:
    """What was found of ``fastsig.correctly_rounded``, by operation."""
    return root() / "docs" / "correctly-rounded.json"


@cache
def commit() -> str:
    """The commit of the checkout, with a + where the sources differ from it; nothing where there is none."""

    def git(*words: str) -> str:
        run = subprocess.run(["git", "-C", str(root()), *words], capture_output=True, text=True, check=True)
        return run.stdout.strip()

    try:
        return git("rev-parse", "--short=12", "HEAD") + ("+" if git("status", "--porcelain", "--", "fastsig", "cext") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def measured_in_full(op: str, engines: Sequence[Engine]) -> str:
    """The commit in which such builds of these engines were measured on all 2^32 inputs of the operation as it is; "" if none was."""
    builds, formulas = builds_of(engines), sources.here().formula_hash(op, "float32")
    for row in load().get("full", []):
        measured = row["ops"].get(op)
        if row["builds"] == builds and measured and measured["formulas"] == formulas:
            return str(measured["commit"])
    return ""


def builds_of(engines: Sequence[Engine]) -> dict[str, str]:
    return {engine.name: sources.here().made_by(engine) for engine in engines}


def worst_path() -> Path:
    return root() / "tests" / "worst_inputs.json"


def worst_rows() -> list[dict[str, Any]]:
    """Each with what comes out and how far that is from the exact value; nothing outside a checkout."""
    try:
        rows: list[dict[str, Any]] = json.loads(worst_path().read_text())
    except FileNotFoundError:
        return []
    return rows


def worst_known(op: str, dtype: str, kind: str) -> list[list[int]]:
    """The bits of the worst inputs on record."""
    return [[int(b, 16) for b in row["at"]] for row in worst_rows() if (row["op"], row["dtype"], row["targets"]) == (op, dtype, kind)]
