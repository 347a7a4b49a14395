"""What an exhaustive run has finished, on disk, so that it can be stopped at any moment and goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import fastsig

from ..whole_files import replacing
from .engines import Engine

PACKAGE = Path(fastsig.__file__).parent


def formula_hash() -> str:
    """Over the sources of the formulas: the Python ones, and in a checkout their C twins."""
    files = sorted(PACKAGE.glob("formulas/*.py")) + sorted(PACKAGE.parent.glob("cext/formulas/*.h"))
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def build_hash(engine: Engine) -> str:
    """Over the sources, and over the compiled library where that is what runs: it can be older than they are."""
    digest = hashlib.sha256(formula_hash().encode())
    if engine.backend == "c":
        from ..backends import c

        digest.update(c.library_path().read_bytes())
        digest.update(Path(sys.modules["fastsig._c"].__file__ or "").read_bytes())
    return digest.hexdigest()[:16]


def cache_directory() -> Path:
    root = os.environ.get("FASTSIG_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastsig"
    return Path(root) / "check"


class State:
    """Finished chunks of one run: chunk number -> record. The number before the file's name is that of the record's layout."""

    def __init__(self, op: str, dtype: str, engine: Engine, restart: bool) -> None:
        name = f"2-{op}-{dtype}-{engine.name.replace(':', '-')}-{build_hash(engine)}.json"
        self.path = cache_directory() / name
        self.chunks: dict[int, Any] = {}
        if restart:
            self.path.unlink(missing_ok=True)
        elif self.path.exists():
            try:
                self.chunks = {int(k): v for k, v in json.loads(self.path.read_text()).items()}
            except (ValueError, OSError, AttributeError):
                self.chunks = {}

    def save(self) -> None:
        """Written beside and moved into place, so that the file is whole whenever the process ends."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(self.path) as file:
            file.write(json.dumps(self.chunks).encode())
