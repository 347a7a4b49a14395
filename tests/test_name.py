"""The distribution is fastsig-kernels: the bare name on the public index is a stranger's, and nothing of ours may send people to it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from fastsig.cli import info

ROOT = Path(__file__).parent.parent
TEXTS = [
    path
    for path in sorted(ROOT.rglob("*"))
    if path.suffix in (".py", ".md", ".toml", ".txt", ".sh", ".c", ".h") or path.name in ("run", "nightly", "Makefile")
    if not set(path.relative_to(ROOT).parts[:-1]) & {".git", "build", "dist", "results", ".venv"} and path.is_file()
]
STRANGER = re.compile(r"pip install[^\n|&;]*[\s'\"]fastsig(?![\w./-])|(?<![\w./-])fastsig\[")


def test_the_pattern_finds_what_it_should() -> None:
    name = "fastsig"
    for text in (f"pip install {name}", f"pip install -U '{name}'", f"pip install '{name}[demo]'", f'"{name}[test,cuda13]"'):
        assert STRANGER.search(text), text
    for text in (f"pip install {name}-kernels", f"pip install '{name}-kernels[demo]'", f"{name}.sigmoid", f"fs = {name}; x[0]"):
        assert not STRANGER.search(text), text


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_names_the_strangers_distribution(path: Path) -> None:
    found = STRANGER.search(path.read_text(errors="replace"))
    assert found is None, f"{path.relative_to(ROOT)}: {found[0]!r}" if found else ""


def test_the_extras_refer_to_this_distribution() -> None:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["name"] == info.DISTRIBUTION
    for extra, needs in project["optional-dependencies"].items():
        assert not [need for need in needs if re.match(r"fastsig(?!-kernels)", need)], extra


@pytest.mark.parametrize(
    ("names", "said"), [(["fastsig-kernels"], False), (["Fastsig_Kernels"], False), (["fastsig-kernels", "fastsig"], True)]
)
def test_info_says_if_another_distribution_lies_in_the_folder(names: list[str], said: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(info.metadata, "packages_distributions", lambda: {"fastsig": names, "numpy": ["numpy"]})
    rows: dict[str, Any] = dict(info.facts())
    assert ("mixed up with" in rows) is said
    if said:
        assert rows["mixed up with"].startswith("fastsig: uninstall that")
