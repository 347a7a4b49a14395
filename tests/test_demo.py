"""The demo: what it prints, the picture that it leaves, and what it says to try next."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastsig.cli import demo
from fastsig.cli.demo import comparison, regression
from fastsig.cli.demo.comparison import Row
from fastsig.cli.demo.regression import Fit
from fastsig.cli.main import COMMANDS, main

for needed in demo.NEEDED:
    pytest.importorskip(needed)

from fastsig.cli.demo import story  # noqa: E402

ULP_OF_FASTSIG = {("float32", "normal"): 1.9, ("float32", "tail"): 1.0, ("float64", "normal"): 1.6, ("float64", "tail"): 0.9}
ULP_OF_SCIPY = {("float32", "normal"): 2.3, ("float32", "tail"): 2e6}
SIGMOIDS = [
    Row("fastsig", {"float32": 0.2, "float64": 0.5}, ULP_OF_FASTSIG, 3.78e-44),
    Row("scipy expit", {"float32": 2.4, "float64": 3.6}, ULP_OF_SCIPY, 0.0),
]
FIT = Fit([77.0, 30.0, 27.1], 27.0, True)


# ---- the picture ----


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is drawn, in order."""
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    seen: list[Any] = []
    real = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **options: (seen.append(self), real(self, *args, **options)))
    return seen


def marks(axis: Any) -> dict[str, Any]:
    """The lines of a panel that have a name."""
    return {line.get_label(): line for line in axis.lines if not line.get_label().startswith("_")}


def test_the_picture_shows_fit_error_and_speed(figures: list[Any], tmp_path: Path) -> None:
    from fastsig.cli.demo.picture import draw
    from fastsig.measure.styles import STYLES

    draw(FIT, SIGMOIDS, tmp_path / "demo.png")
    assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")
    fit, error, speed = figures[0].axes
    losses, optimum = fit.lines
    assert list(losses.get_ydata()) == FIT.losses
    assert set(optimum.get_ydata()) == {FIT.optimum}
    assert {name: list(line.get_xdata()) for name, line in marks(speed).items()} == {
        row.name: [*row.nanoseconds.values()] for row in SIGMOIDS
    }
    assert marks(speed)["scipy expit"].get_color() == STYLES["scipy"].colour
    assert [label.get_text() for label in error.get_yticklabels()] == [
        "float32, normal",
        "float32, tail",
        "float64, normal",
        "float64, tail",
    ]
    assert {name: list(line.get_xdata()) for name, line in marks(error).items()} == {row.name: [*row.ulp.values()] for row in SIGMOIDS}
    assert np.rint(marks(error)["scipy expit"].get_ydata()).tolist() == [0, 1], "where there is no number there is no mark"


def test_a_picture_where_float64_cannot_be_judged(figures: list[Any], tmp_path: Path) -> None:
    """As where longdouble has no more digits than float64."""
    from fastsig.cli.demo.picture import draw

    known = [row._replace(ulp={part: ulp for part, ulp in row.ulp.items() if part[0] == "float32"}) for row in SIGMOIDS]
    draw(FIT, known, tmp_path / "demo.svg")
    assert "<svg" in (tmp_path / "demo.svg").read_text()
    assert np.rint(marks(figures[0].axes[1])["fastsig"].get_ydata()).tolist() == [0, 1]


CANNOT_BE_DRAWN = [
    ("a.nothing", "the name must end with a format that can be drawn: "),
    ("nowhere/a.png", "there is no folder nowhere; make it, or name another place"),
]


@pytest.mark.parametrize(("path", "words"), CANNOT_BE_DRAWN)
def test_what_cannot_be_drawn_is_said_before_anything_is_computed(
    path: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(story, "tell", lambda plot: pytest.fail("it was told"))
    assert main(["demo", "--plot", path]) == 2
    printed = capsys.readouterr()
    assert words in printed.err
    assert path in printed.err
    assert not printed.out


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for module in ("matplotlib", "matplotlib.backends.backend_agg"):
        monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr(story, "tell", lambda plot: pytest.fail("it was told"))
    assert main(["demo", "--plot", "a.png"]) == 2
    assert 'pip install "fastsig-kernels[plot]"' in capsys.readouterr().err


# ---- what it says ----


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo with a comparison that takes no time."""
    monkeypatch.setattr(comparison, "compare", lambda: SIGMOIDS)


def test_it_ends_by_saying_what_to_try_next(told: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    ending = capsys.readouterr().out.partition("What to try next:\n")[2].splitlines()
    assert ending == [line for command, shows in story.NEXT for line in (f"  {command}", f"      {shows}")]
    for command, _ in story.NEXT:
        python, option, what, *rest = shlex.split(command)
        assert python == "python"
        if option == "-m":
            assert (what, rest[0] in COMMANDS) == ("fastsig", True), command
        else:
            compile(what, command, "exec")


def test_it_leaves_the_picture_and_does_not_say_to_make_it(
    told: None, figures: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "demo.png"
    assert main(["demo", "--plot", str(path)]) == 0
    out = capsys.readouterr().out
    assert f"The picture is in {path}." in out
    assert "--plot" not in out.partition("What to try next:")[2]
    losses, optimum = figures[0].axes[0].lines
    assert losses.get_ydata()[-1] == pytest.approx(optimum.get_ydata()[0], rel=1e-9), "the fit ends at scikit-learn's optimum"


def test_the_loss_of_a_model_is_the_objective_at_its_coefficients() -> None:
    data = regression.load()
    nothing = regression.Model(np.zeros(data.train_x.shape[1]), 0.0)
    assert regression.loss_of(nothing, data) == pytest.approx(len(data.train_y) * np.log(2), rel=1e-14)


@pytest.mark.slow
def test_the_demo_runs(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    command = [sys.executable, "-m", "fastsig", "demo", "--plot", str(tmp_path / "demo.png")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert "agrees" in done.stdout
    assert "1/(1+np.exp(-x))" in done.stdout
    assert (tmp_path / "demo.png").stat().st_size > 10_000
