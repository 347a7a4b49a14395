"""The site's reference has every public name, its pages have examples that run, and its links are looked at."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
from pathlib import Path

import pytest
from processes import printed

from fastsig.ops import BY_NAME, ROUNDED
from tools import site_links

site_pictures = pytest.importorskip("tools.site_pictures", reason="needs matplotlib", exc_type=ImportError)

ROOT = Path(__file__).parent.parent
REFERENCE = sorted((ROOT / "docs" / "api").glob("*.rst"))
LISTED = ("", "ufuncs", "correctly_rounded", "gradflow", "interop.torch", "interop.boosting", "interop.scipy", "interop.numba")
"""The modules whose public names are a list, ``__all__``."""
DESCRIBED = ("interop.dask", "interop.threadpoolctl")
"""Those that have nothing to call."""


def public_names(module: str) -> list[str]:
    """``__all__`` as the file says it: what it imports need not be installed."""
    path = ROOT.joinpath("fastsig", *module.split("."))
    tree = ast.parse((path / "__init__.py" if path.is_dir() else path.with_suffix(".py")).read_text())
    (value,) = [node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"]
    of_the_table = {"list(BY_NAME)": list(BY_NAME), "[op.name for op in ROUNDED]": [op.name for op in ROUNDED]}
    return of_the_table.get(ast.unparse(value)) or list(ast.literal_eval(value))


def in_the_reference() -> list[str]:
    text = "\n".join(path.read_text() for path in REFERENCE)
    return re.findall(r"^\.\. (?:autofunction|autoclass|automodule|py:data):: fastsig\.([\w.]+)", text, re.MULTILINE)


@pytest.mark.parametrize("module", LISTED, ids=lambda module: module or "fastsig")
def test_every_public_name_is_in_the_reference_and_no_other(module: str) -> None:
    prefix = f"{module}." if module else ""
    there = [name.removeprefix(prefix) for name in in_the_reference() if name.rpartition(".")[0] == module]
    submodules = {name for name in ("ufuncs", "correctly_rounded", "gradflow") if not module} - set(public_names(module))
    assert sorted(there) == sorted({*public_names(module), *submodules})


def test_every_module_of_interop_is_in_the_reference() -> None:
    folder = ROOT / "fastsig" / "interop"
    modules = {f"interop.{path.stem}" for path in folder.iterdir() if path.name not in ("__init__.py", "__pycache__")}
    assert modules == {module for module in (*LISTED, *DESCRIBED) if module.startswith("interop.")}
    assert modules <= set(in_the_reference())


def test_every_file_of_interop_has_a_page() -> None:
    pages = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert {module.partition(".")[2] for module in (*LISTED, *DESCRIBED) if "interop." in module} <= pages


# ---- examples ----


@pytest.mark.parametrize("module", ["fastsig.ufuncs", "fastsig.correctly_rounded", "fastsig.interop.threadpoolctl"])
def test_the_examples_of_a_module_run(module: str, pytestconfig: pytest.Config) -> None:
    """Of those whose own tests do not run them; in a process of their own, for threadpoolctl keeps what is registered."""
    if module.endswith("threadpoolctl") and "c" in pytestconfig.getoption("--hide"):
        pytest.skip("--hide c: it is the C library's threads that are limited")
    found = importlib.import_module("importlib.util").find_spec(module)
    assert ">>>" in (ast.get_docstring(ast.parse(Path(found.origin).read_text())) or "")
    assert printed(f"import doctest, {module} as module; print(doctest.testmod(module).failed)", pytestconfig) == "0"


@pytest.mark.parametrize("path", REFERENCE, ids=lambda path: path.stem)
def test_the_examples_of_the_reference_run(path: Path) -> None:
    example = doctest.DocTestParser().get_doctest(path.read_text(), {}, path.name, str(path), 0)
    assert not doctest.DocTestRunner().run(example).failed


# ---- links ----


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    (tmp_path / "api").mkdir()
    (tmp_path / "a.html").write_text(
        '<h1 id="top"></h1><a href="api/b.html#here">b</a><a href="#top">top</a><a href="https://x.org/">x</a>'
    )
    (tmp_path / "api" / "b.html").write_text('<p id="here"></p><a href="../a.html?x=1#top">a</a><img src="../one%20two.png">')
    (tmp_path / "one two.png").touch()
    assert site_links.wrong(tmp_path) == []
    (tmp_path / "c.html").write_text('<a href="d.html">d</a><a href="a.html#nowhere">a</a><script src="https://x.org/y.js"></script>')
    assert site_links.wrong(tmp_path) == [
        "c.html loads https://x.org/y.js",
        "c.html links to d.html: there is no such file",
        "c.html links to a.html#nowhere: that page has no such place",
    ]


def test_an_empty_folder_is_no_site(tmp_path: Path) -> None:
    assert site_links.wrong(tmp_path) == [f"{tmp_path} has no pages"]


# ---- pictures ----


def table(page: str, heading: str) -> dict[str, list[str]]:
    """The rows of the first table under a heading, by their first cell."""
    _, _, text = (ROOT / "docs" / page).read_text().partition(f"\n## {heading}\n")
    lines = text[text.index("\n|") + 1 :].partition("\n\n")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {first.strip("`"): rest for first, *rest in rows}


@pytest.mark.parametrize("name", site_pictures.PICTURES)
def test_the_picture_shows_what_is_recorded(name: str) -> None:
    """Its pixels depend on matplotlib and on fonts; its stamp is of the numbers that it was drawn from."""
    from PIL import Image

    with Image.open(ROOT / "docs" / name) as picture:
        assert picture.text["Description"] == site_pictures.stamp(name), "run python tools/site_pictures.py"
    assert [page for page in (ROOT / "docs").glob("*.md") if f"]({name})" in page.read_text()]


def test_a_picture_drawn_now_has_the_stamp_and_the_numbers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure
    from PIL import Image

    drawn: list[Figure] = []
    monkeypatch.setattr(site_pictures, "FigureCanvasAgg", drawn.append)
    for name in site_pictures.PICTURES:
        site_pictures.draw(name, tmp_path / name)
        with Image.open(tmp_path / name) as picture:
            assert picture.text["Description"] == site_pictures.stamp(name)
    libraries, _, operations, gpu = drawn
    for figure, values in (
        (operations, [site_pictures.times(dtype) for dtype in site_pictures.TYPES]),
        (gpu, [site_pictures.bandwidths()]),
    ):
        for axis, rows in zip(figure.axes, values, strict=True):
            (ours,) = [line for line in axis.lines if line.get_label() == "fastsig"]
            assert list(ours.get_xdata()) == [row["fastsig"] for row in rows.values()]
            assert [label.get_text() for label in axis.get_yticklabels()] == list(rows)
    edges = [max(line.get_xdata()) for line in libraries.axes[0].lines if line.get_label() == "JAX"]
    assert edges == [libraries.axes[0].texts[0].xy[0]], "what is infinite stands at the edge, with its word"


def test_the_picture_of_times_has_the_numbers_of_the_page() -> None:
    rows = table("performance.md", "AVX2: an AMD EPYC")
    for dtype, ours, ratio in (("float32", 0, 2), ("float64", 4, 6)):
        for op, libraries in site_pictures.times(dtype).items():
            assert float(rows[op][ours]) == pytest.approx(libraries["fastsig"], rel=0.01), op
            assert float(rows[op][ratio]) == pytest.approx(libraries["torch"] / libraries["fastsig"], rel=0.01), op


def test_the_picture_of_bandwidths_has_the_numbers_of_the_page() -> None:
    rows = table("gpu.md", "How fast it is")
    for op, libraries in site_pictures.bandwidths().items():
        percent = [f"{libraries[name]:.0%}" for name in ("fastsig", "torch") if name in libraries]
        assert re.findall(r"\d+%", rows[op][0]) == percent, op


@pytest.mark.parametrize("dtype", site_pictures.TYPES)
def test_the_pictures_of_errors_have_the_numbers_of_the_page(dtype: str) -> None:
    text = (ROOT / "docs" / "accuracy.md").read_text()
    for op, (error, allowed) in site_pictures.worst_errors(dtype).items():
        assert re.search(rf"\| `{op}` \| {dtype} \| {error:.4f} \| `.*` \| {allowed} \|", text), op
    for op, libraries in site_pictures.errors(dtype).items():
        (row,) = re.findall(rf"^\| `{op}` \| {dtype} \| (\d\.\d\d) \|(.*)\|$", text, re.MULTILINE)
        assert float(row[0]) == pytest.approx(libraries["fastsig"], abs=0.005)
        cells = dict(zip(("torch", "scipy", "jax"), row[1].split("|"), strict=True))
        for library, cell in cells.items():
            shown = cell.partition("/")[2].strip()
            assert (library in libraries) == bool(shown)
            assert not shown or (float(shown.replace("inf or NaN", "inf")) == pytest.approx(libraries[library], rel=0.03)), (op, library)
