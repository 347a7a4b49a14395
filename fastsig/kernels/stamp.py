"""One number for everything that kernels are made from: what is kept of compiled kernels is kept under it."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

GROUND = ("_version.py", "ops.py", "formulas", "arrays", "system", "kernels")
"""All that a kernel's module may import, by the floors of the house (``tests/test_house.py``)."""


def stamp_of(package: Path) -> str:
    """Over names and contents of every Python file on the ground floors of a package that lies there."""
    digest = hashlib.sha256()
    for place in GROUND:
        root = package / place
        for file in sorted(root.rglob("*.py")) if root.is_dir() else [root]:
            digest.update(file.relative_to(package).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def source_stamp() -> str:
    return stamp_of(Path(__file__).parent.parent)
