"""The documents: their examples run, and the tests that they name exist."""

from __future__ import annotations

import ast
import doctest
import re
from pathlib import Path

import pytest
from processes import printed

ROOT = Path(__file__).parent.parent


def section(document: str, heading: str) -> str:
    """The text under a heading of the second level."""
    parts = re.split(r"^## ", (ROOT / document).read_text(), flags=re.MULTILINE)
    found = [part for part in parts if part.startswith(heading + "\n")]
    assert len(found) == 1, f"{document} has no section {heading!r}"
    return found[0]


WITH_EXAMPLES = [
    ("README.md", "Losses"),
    ("docs/losses.md", "Reductions and sums"),
    ("docs/losses.md", "What is paired, and what comes back"),
]


@pytest.mark.parametrize(("document", "heading"), WITH_EXAMPLES)
def test_examples_give_what_they_show(document: str, heading: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", section(document, heading), re.DOTALL)
    assert blocks
    for number, block in enumerate(blocks):
        example = doctest.DocTestParser().get_doctest(block, {}, f"{document}, {heading}, {number}", document, 0)
        assert example.examples
        failures = doctest.DocTestRunner().run(example).failed
        assert not failures, "doctest printed what is different"


@pytest.mark.parametrize(("page", "needs"), [("scipy", "scipy"), ("arrow", "pyarrow"), ("array-api", "array_api_strict")])
def test_examples_of_a_page_give_what_they_show(page: str, needs: str, pytestconfig: pytest.Config) -> None:
    """In a process of their own: what they register or import stays there."""
    pytest.importorskip(needs)
    path = ROOT / "docs" / f"{page}.md"
    said = printed(f"import doctest; print(*doctest.testfile({str(path)!r}, module_relative=False))", pytestconfig)
    failed, tried = map(int, said.splitlines()[-1].split())
    assert not failed, said
    assert tried


def test_every_line_about_losses_names_a_test_that_exists() -> None:
    lines = (ROOT / "docs" / "losses.md").read_text().splitlines()
    tables = [i for i, line in enumerate(lines) if line.startswith("|---") and lines[i - 1].rstrip().endswith("| test |")]
    assert len(tables) >= 3
    for start in tables:
        rows = []
        for line in lines[start + 1 :]:
            if not line.startswith("|"):
                break
            rows.append(line)
        assert rows
        for row in rows:
            named = re.search(r"`(tests/\w+\.py)::(\w+)` \|$", row)
            assert named, f"no test at the end of: {row}"
            tree = ast.parse((ROOT / named[1]).read_text())
            assert named[2] in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, named[0]


FOR_WHOEVER_CARRIES_ON = (
    "docs/architecture.md", "docs/dask.md", "docs/torch.md", "docs/trust.md", "docs/gradflow.md", "docs/versions.md",
    "CONTRIBUTING.md", "SECURITY.md", "docs/sigmoid.md", "docs/sigmoid.ko.md", "docs/scipy.md", "docs/arrow.md", "docs/array-api.md",
    "docs/boosting.md", "docs/numba.md",
)  # fmt: skip
PLACES = r"(?:fastsig|cext|tests|tools|docs|benchmarks|examples|\.ci)/[\w./-]*"


@pytest.mark.parametrize("document", FOR_WHOEVER_CARRIES_ON)
def test_the_files_and_names_that_a_document_names_exist(document: str) -> None:
    text = (ROOT / document).read_text()
    assert [line for line in text.splitlines() if len(line) > 100] == []
    for place in re.findall(rf"`({PLACES})`", text):
        assert (ROOT / place).exists(), f"{document} names {place}"
    for name, place in re.findall(rf"`([\w.]+)`(?: answers)? in\s+`({PLACES})`", text):
        assert re.search(rf"\b{name.rpartition('.')[2]}\b", (ROOT / place).read_text()), f"{document}: no {name} in {place}"
    for link in re.findall(r"\]\(([\w./-]+)\)", text):
        assert ((ROOT / document).parent / link).exists(), f"{document} links to {link}"


@pytest.mark.parametrize("folder", sorted(p.name for p in (ROOT / "fastsig").iterdir() if (p / "__init__.py").exists()))
def test_every_room_is_in_the_architecture(folder: str) -> None:
    assert f"`fastsig/{folder}/`" in (ROOT / "docs" / "architecture.md").read_text()
