"""The lesson: its numbers against exact ones, its pages against the code, its words against the measurements, its code in a notebook."""

from __future__ import annotations

import inspect
import re
import statistics
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("matplotlib")

from fastsig import gradflow  # noqa: E402
from fastsig.gradflow import lesson  # noqa: E402
from tools import gradflow_tables  # noqa: E402
from tools.lesson import pages, pictures, zigzag  # noqa: E402

ROOT = Path(__file__).parent.parent
EACH_PAGE = pytest.mark.parametrize("name", pages.LANGUAGES)


def tables(name: str) -> list[list[list[str]]]:
    """The rows of each table of a page in docs/, without its heading."""
    found = re.findall(r"^\|[-:|]+\|\n((?:\|.*\|\n)+)", pages.committed(name), re.MULTILINE)
    return [[[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()] for table in found]


def table_with(name: str, first: str) -> dict[str, list[str]]:
    """The rows of the table that begins with this cell, by their first cells."""
    (rows,) = (rows for rows in tables(name) if rows[0][0] == first)
    return {row[0]: row[1:] for row in rows}


def rounds_to(printed: str, exact: Any) -> bool:
    """Whether this is the number to as many places as are printed."""
    mantissa, _, exponent = printed.partition("e")
    half = Fraction(1, 2) / 10 ** len(mantissa.partition(".")[2]) * Fraction(10) ** int(exponent or 0)
    return bool(abs(mpmath.mpf(printed) - exact) <= mpmath.mpf(half.numerator) / half.denominator)


def sigmoid(x: float) -> Any:
    return 1 / (1 + mpmath.exp(-mpmath.mpf(x)))


def slope(x: float) -> Any:
    return sigmoid(x) * sigmoid(-x)


# ---- the numbers ----


@EACH_PAGE
def test_the_table_of_values(name: str) -> None:
    rows = table_with(name, "-inf")
    assert list(rows) == ["-inf", "-2", "0", "2", "inf"]
    for x, (value, derivative) in rows.items():
        assert rounds_to(value, sigmoid(float(x)))
        assert rounds_to(derivative, slope(float(x)))


@EACH_PAGE
@pytest.mark.parametrize(
    ("printed", "exact"),
    [
        ("0.25", slope(0)),
        ("0.0066", slope(5)),
        ("0.0067", sigmoid(-5)),
        ("0.9933", sigmoid(5)),
        ("38", slope(0) / slope(5)),
        ("7.39", mpmath.exp(2)),
        ("9.54e-7", mpmath.mpf(0.25) ** 10),
        ("7.89e-31", mpmath.mpf(0.25) ** 50),
        ("5.6e14", mpmath.mpf(2) ** 49),
        ("-0.99", sigmoid(-5) - 1),
        ("-0.0066", (sigmoid(-5) - 1) * slope(-5)),
    ],
)
def test_a_number_of_the_text(name: str, printed: str, exact: Any) -> None:
    assert re.search(rf"(?<![\d.]){re.escape(printed)}(?![\d]|\.\d)", pages.OUTPUT.sub("", pages.committed(name)))
    assert rounds_to(printed, exact)


@EACH_PAGE
def test_what_a_memory_keeps(name: str) -> None:
    (rows,) = (rows for rows in tables(name) if [row[0] for row in rows] == ["0", "1", "3"])
    for bias, share, left in rows:
        assert rounds_to(share, sigmoid(float(bias)))
        assert rounds_to(left, sigmoid(float(bias)) ** 100)


@EACH_PAGE
def test_what_is_lost_without_logits(name: str) -> None:
    rows = table_with(name, "2")
    assert list(rows) == ["2", "15", "18", "-104"]
    for x, (loss, gradient, right, right_gradient) in rows.items():
        assert rounds_to(right, mpmath.log1p(mpmath.exp(-mpmath.mpf(x))))
        assert rounds_to(right_gradient, sigmoid(float(x)) - 1)
        assert (loss == right, gradient == right_gradient) == ((True, True) if x == "2" else (False, False))


def test_rounding_is_seen() -> None:
    assert rounds_to("9.54e-7", mpmath.mpf(0.25) ** 10)
    assert not rounds_to("9.53e-7", mpmath.mpf(0.25) ** 10)


# ---- two weights ----


@pytest.mark.parametrize("seed", zigzag.SEEDS)
def test_gradients_of_one_sign_go_in_zigzag(seed: int) -> None:
    """The steps are those of autograd, and positive inputs move both weights the same way at every one."""
    positive, centred = (zigzag.descend(zigzag.inputs(seed, centred=centred)) for centred in (False, True))
    assert positive.same_direction == 1 > centred.same_direction
    assert positive.steps > 2 * centred.steps
    samples = torch.tensor(zigzag.inputs(seed, centred=False))
    weights = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    rate = 1 / float((samples**2).sum(1).max())
    for sample, want in zip(samples, positive.path[1:], strict=False):
        loss = ((weights - torch.tensor(zigzag.TARGET, dtype=torch.float64)) @ sample) ** 2 / 2
        (gradient,) = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            weights -= rate * gradient
        assert weights.tolist() == pytest.approx(want, rel=1e-9)


# ---- the pages ----


@EACH_PAGE
def test_the_page_is_what_its_text_and_the_code_make(name: str) -> None:
    """Where it differs: ``python -m tools.lesson --write``, and look at what changed."""
    assert pages.differences(pages.committed(name), pages.page(name)) == []


def test_a_page_that_differs_is_found() -> None:
    page = "one 1.5\n\n```text\nr = -41.8, 2e-31\n```\n"
    assert pages.differences(page, page.replace("-41.8, 2e-31", "-41.9, 1.95e-31")) == []
    for wrong in (page.replace("1.5", "1.6"), page.replace("41.8", "45"), page.replace("2e-31", "2e-32"), page + "more\n", "two" + page):
        assert len(pages.differences(wrong, page)) >= 1, wrong


def test_a_figure_that_nobody_computes_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "template", lambda name: "{{slope_0}} {{slope_7}}")
    with pytest.raises(ValueError, match=r"^the text asks for 'slope_7'; known are 'values', "):
        pages.page("sigmoid.md")


@EACH_PAGE
def test_links_inside_the_page_lead_somewhere(name: str) -> None:
    headings = re.findall(r"^#+ (.+)$", pages.committed(name), re.MULTILINE)
    places = {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}
    links = re.findall(r"\]\(#([^)]+)\)", pages.committed(name))
    assert links
    assert set(links) <= places


@EACH_PAGE
def test_no_number_with_a_fraction_is_written_by_hand(name: str) -> None:
    prose = pages.CODE.sub("", pages.template(name))
    prose = re.sub(r"\{\{.*?\}\}|`[^`]*`", "", prose)
    assert re.findall(r"\d+\.\d+|\d+e-?\d+|\d+%", prose) == []


def numbers_of(name: str) -> Counter[str]:
    """With a fraction, an exponent or a percent sign: small whole numbers may be words in one language."""
    return Counter(re.findall(r"-?\d+\.\d+(?:e-?\d+)?|\d+(?:\.\d+)?e-?\d+|\d+%", pages.committed(name)))


def test_the_pages_have_the_same_numbers_code_and_pictures() -> None:
    first, *others = pages.LANGUAGES
    for other in others:
        assert numbers_of(other) == numbers_of(first)
        assert pages.CODE.findall(pages.template(other)) == pages.CODE.findall(pages.template(first))
        assert Counter(re.findall(r"\{\{.*?\}\}", pages.template(other))) == Counter(re.findall(r"\{\{.*?\}\}", pages.template(first)))
        assert re.findall(r"!\[.*\]\(([\w-]+\.png)\)", pages.committed(other)) == list(pictures.PICTURES)
        assert re.findall(r"^#+", pages.committed(other), re.MULTILINE) == re.findall(r"^#+", pages.committed(first), re.MULTILINE)


def test_settings_that_the_words_name() -> None:
    """Fifty layers, ten classes, five seeds; ten layers where it is trained."""
    defaults = inspect.signature(gradflow.measure).parameters
    assert (lesson.DEPTH, defaults["classes"].default, defaults["depth"].default) == (50, 10, 10)
    assert len(gradflow_tables.SEEDS) == len(zigzag.SEEDS) == 5


@pytest.mark.parametrize(
    ("label", "verdict"),
    [
        *((f"sigmoid, {what}", "vanishes") for what in ("plain", "glorot", "he", "glorot, gain 4", "glorot, layer norm")),
        ("sigmoid, glorot, batch norm", "flows"),
        ("sigmoid, glorot, residual", "flows"),
        ("tanh, glorot", "flows"),
        ("relu, he", "flows"),
        ("gelu, he", "weak"),
        ("silu, he", "vanishes"),
        ("relu, he, batch norm", "explodes"),
        ("relu, he, residual", "explodes"),
    ],
)
def test_what_the_words_say_of_a_remedy_is_what_was_measured(label: str, verdict: str) -> None:
    (row,) = re.findall(rf"^\| {label}, depth 50 \|.*\| (\w+) \|$", (ROOT / "docs" / "gradflow.md").read_text(), re.MULTILINE)
    assert row == verdict


@pytest.mark.parametrize(
    ("name", "measurements"),
    [("deep", lesson.REMEDIES), ("recurrent", lesson.RECURRENT), ("trained", lesson.TRAINING)],
    ids=["deep", "recurrent", "trained"],
)
def test_what_is_quoted_is_what_five_seeds_give(name: str, measurements: tuple[lesson.Measurement, ...]) -> None:
    """Training makes rounding errors grow: of it, the ratio before and the accuracies are compared."""
    quoted = pages.figures(pages.ENGLISH)
    for measurement in measurements:
        spread = lesson.spread(measurement, gradflow_tables.SEEDS)
        said = [float(number) for number in re.findall(r"-?\d+\.\d+", quoted[f"{name}: {spread.median.label}"])]
        least, middle, most = spread.ratios
        if name == "trained":
            known = [statistics.median(flow.accuracy for flow in flows) for flows in (spread.flows, [flow.after for flow in spread.flows])]
            assert said[0] == pytest.approx(middle, abs=0.3)
            assert said[2:] == pytest.approx(known, abs=0.1)
        else:
            assert said == pytest.approx([middle, least, most], abs=0.3)


# ---- the pictures ----


BLOCK = 22
"""Pixels; the sides of every picture are multiples of it."""


def looks(path: Path) -> Any:
    """The mean colours of square blocks: releases of matplotlib draw the edges of letters differently."""
    from matplotlib.image import imread

    rows, columns = (side // BLOCK for side in imread(path).shape[:2])
    return imread(path)[:, :, :3].reshape(rows, BLOCK, columns, BLOCK, 3).mean((1, 3))


@pytest.mark.parametrize("name", pictures.PICTURES)
def test_the_picture_is_what_the_code_draws(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a sigmoid of half the slope would be seen."""
    committed = looks(ROOT / "docs" / name)
    pictures.draw(name, tmp_path / name)
    assert np.abs(committed - looks(tmp_path / name)).mean() < 0.002
    monkeypatch.setattr(pictures.fs, "sigmoid", lambda x: 1 / (1 + np.exp(-0.5 * x)))
    pictures.draw(name, tmp_path / name)
    assert np.abs(committed - looks(tmp_path / name)).mean() > 0.002


# ---- the notebook ----


@pytest.mark.filterwarnings("ignore")  # of the notebook's own libraries
def test_the_page_runs_as_a_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "IPYTHONDIR"):  # nothing of this user's
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    jupytext = pytest.importorskip("jupytext")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = jupytext.reads(pages.committed("sigmoid.md"), fmt="md")
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    printed = ["".join(output.text for output in cell.outputs) for cell in cells]
    assert [cell.source + "\n" for cell in cells] == pages.CODE.findall(pages.committed("sigmoid.md"))
    for given, shown in zip([text for text in printed if text], pages.OUTPUT.findall(pages.committed("sigmoid.md")), strict=True):
        assert pages.agree(given, shown)
