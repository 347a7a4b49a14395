"""The documents: their examples run, and the tests that they name exist."""

from __future__ import annotations

import ast
import doctest
import math
import re
from pathlib import Path

import pytest
from processes import printed

import fastsig as fs
from fastsig.ops import OPS

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


PAGES = sorted((ROOT / "docs").glob("*.md"))
EACH_PAGE = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
NEEDED = {
    "arrow": "pyarrow", "array-api": "array_api_strict", "scipy": "scipy", "arrays": "pandas", "losses": "pandas", "numba": "numba",
    "threadpoolctl": "threadpoolctl",
}  # fmt: skip
"""What a page's examples need besides fastsig and NumPy."""
RUN_ELSEWHERE = {
    "boosting": "test_interop_boosting", "dask": "test_interop_dask", "gradflow": "test_gradflow", "torch": "test_interop_torch",
    "sigmoid": "test_lesson", "sigmoid.ko": "test_lesson",
}  # fmt: skip
"""Pages whose examples need names or libraries that their own tests have."""
ON_A_GPU = ("gpu",)
RUN_HERE = [page for page in PAGES if page.stem not in (*RUN_ELSEWHERE, *ON_A_GPU) and "```python\n" in page.read_text()]
EACH_RUN_HERE = pytest.mark.parametrize("page", RUN_HERE, ids=lambda page: page.stem)


@EACH_RUN_HERE
def test_examples_of_a_page_run_and_give_what_they_show(page: Path, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """In a process of their own: what they register or import stays there."""
    pytest.importorskip(NEEDED.get(page.stem, "numpy"))
    if page.stem == "threadpoolctl" and "c" in pytestconfig.getoption("--hide"):
        pytest.skip("--hide c: it is the C library's threads that are limited")
    said = printed(f"import doctest; print(*doctest.testfile({str(page)!r}, module_relative=False))", pytestconfig)
    failed, tried = map(int, said.splitlines()[-1].split())
    assert not failed, said
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    showing_nothing = [block for block in blocks if ">>> " not in block]
    assert tried or showing_nothing
    program = tmp_path / "page.py"
    program.write_text("\n".join(showing_nothing))
    printed(f"import runpy; runpy.run_path({str(program)!r})", pytestconfig)


@pytest.mark.parametrize("page", RUN_ELSEWHERE)
def test_the_tests_that_run_the_examples_of_a_page_name_it(page: str) -> None:
    text = (ROOT / "tests" / f"{RUN_ELSEWHERE[page]}.py").read_text()
    assert f'"{page}.md"' in text or "from tools.lesson import pages" in text


@EACH_PAGE
def test_a_page_says_what_it_is_for_and_has_an_example_before_its_first_heading(page: Path) -> None:
    title, _, opening = re.split(r"^## ", page.read_text(), maxsplit=1, flags=re.MULTILINE)[0].partition("# ")[2].partition("\n")
    words, fence, _ = opening.partition("\n```")
    words = re.sub(r"<!--.*?-->", "", words, flags=re.DOTALL)
    assert title
    assert fence, "no example"
    assert len(words.split()) >= (10 if page.stem != "sigmoid.ko" else 5), "nothing before the example"
    assert not words.lstrip().startswith(("|", "- ", "!", "```")), "it begins with no sentence"


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "SECURITY.md", *(f"docs/{page.name}" for page in PAGES)])
def test_lines_are_no_longer_than_100(document: str) -> None:
    """Tables of the README too; those of other pages may have rows that a site scrolls."""
    lines = (ROOT / document).read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) > 100 and not (line.startswith("|") and document.startswith("docs/"))] == []


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


def test_the_limits_on_the_page_about_tails_are_those_of_the_functions() -> None:
    values = {"-inf": -math.inf, "inf": math.inf, "log 2": math.log(2), "-log 2": -math.log(2)}
    rows = re.findall(r"^\| `(\w+)` \| (.*) \| (.*) \| (.*) \|$", section("docs/tails.md", "Infinities, zeros, NaN"), re.MULTILINE)
    assert {op for op, *_ in rows} == {op.name for op in OPS if op.nin == 1 and op.domain == "real"}
    for op, *shown in rows:
        for x, text in zip((-math.inf, 0.0, math.inf), shown, strict=True):
            right, found = values[text] if text in values else float(text), float(getattr(fs, op)(x))
            assert abs(found - right) <= math.ulp(right) if "log" in text else found == right, f"{op}({x})"
            assert math.copysign(1, found) == math.copysign(1, right), f"the sign of {op}({x})"


FOR_WHOEVER_CARRIES_ON = (
    "docs/architecture.md", "docs/dask.md", "docs/torch.md", "docs/trust.md", "docs/gradflow.md", "docs/versions.md",
    "CONTRIBUTING.md", "SECURITY.md", "docs/sigmoid.md", "docs/sigmoid.ko.md", "docs/scipy.md", "docs/arrow.md", "docs/array-api.md",
    "docs/boosting.md", "docs/numba.md",
)  # fmt: skip
PLACES = r"(?:fastsig|cext|tests|tools|docs|benchmarks|examples|\.ci)/[\w./-]*"


@pytest.mark.parametrize("document", FOR_WHOEVER_CARRIES_ON)
def test_the_files_and_names_that_a_document_names_exist(document: str) -> None:
    text = (ROOT / document).read_text()
    for place in re.findall(rf"`({PLACES})`", text):
        assert (ROOT / place).exists(), f"{document} names {place}"
    for name, place in re.findall(rf"`([\w.]+)`(?: answers)? in\s+`({PLACES})`", text):
        assert re.search(rf"\b{name.rpartition('.')[2]}\b", (ROOT / place).read_text()), f"{document}: no {name} in {place}"
    for link in re.findall(r"\]\(([\w./-]+)\)", text):
        assert ((ROOT / document).parent / link).exists(), f"{document} links to {link}"


@pytest.mark.parametrize("folder", sorted(p.name for p in (ROOT / "fastsig").iterdir() if (p / "__init__.py").exists()))
def test_every_room_is_in_the_architecture(folder: str) -> None:
    assert f"`fastsig/{folder}/`" in (ROOT / "docs" / "architecture.md").read_text()
