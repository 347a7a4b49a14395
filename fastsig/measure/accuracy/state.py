"""What an exhaustive run has finished, on disk, so that it can be stopped at any moment and goes on where it was."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from fastsig.measure.accuracy.engines import Engine
from fastsig.measure.accuracy.sources import here
from fastsig.system.atomic_files import replacing
from fastsig.system.directories import cache_directory


def build_hash(engine: Engine) -> str:
    """Over the sources, and over the compiled library where that is what runs: it can be older than they are."""
    digest = hashlib.sha256(here().all_formulas_hash().encode())
    if engine.backend == "c":
        from fastsig.kernels.c import library as c

        digest.update(c.library_path().read_bytes())
        digest.update(Path(sys.modules["fastsig._c"].__file__ or "").read_bytes())
    return digest.hexdigest()[:16]


class State:
    """Finished chunks of one run: chunk number -> record. The number before the file's name is that of the record's layout."""

    def __init__(self, op: str, dtype: str, engine: Engine, restart: bool) -> None:
        name = f"3-{op}-{dtype}-{engine.name.replace(':', '-')}-{build_hash(engine)}.json"
        place = cache_directory()
        if place is None:
            raise SystemExit("fastsig: this user has no home directory to keep what is finished in; set FASTSIG_CACHE_DIR")
        self.path = Path(place, "check", name)
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
