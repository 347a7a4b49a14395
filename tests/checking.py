"""The proof command on little: what its tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from fastsig.measure import accuracy
from fastsig.measure.accuracy import engines, exhaustive, sampled
from tools.accuracy import __main__ as keeping


@pytest.fixture(autouse=True)
def small_and_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Samples of a few thousand, two small chunks of an exhaustive run, and a cache of its own."""
    monkeypatch.setenv("FASTSIG_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    for counts in (sampled.COUNT, sampled.SMALL_COUNT):
        monkeypatch.setitem(counts, "float32", 4096)
        monkeypatch.setitem(counts, "float64", 4096)
    monkeypatch.setattr(exhaustive, "CHUNKS", 2)


def backend() -> str:
    return engines.native()[0].backend


def check(*arguments: str) -> int:
    return accuracy.main([*arguments, "--backends", backend()])


def keep(*arguments: str) -> int:
    """The repository's command, which keeps what it measures."""
    return keeping.main([*arguments, "--backends", backend()])
