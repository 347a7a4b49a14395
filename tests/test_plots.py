"""The drawings: every library has its own look on all of them, ours lies in front, nothing overlaps, and kept figures draw too."""

from __future__ import annotations

import importlib.util
import itertools
import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastsig.measure import cpp_libraries
from fastsig.measure.line_labels import spread_out
from fastsig.measure.peers import PEERS
from fastsig.measure.speed import Row, from_json, main, plot, to_json
from fastsig.measure.styles import STYLES, library_of, styles_of

pytest.importorskip("matplotlib")

ROOT = Path(__file__).parent.parent
KEPT = sorted((ROOT / "benchmarks" / "results").glob("cpu-*.json"))
NAMES = [peer.name for peer in PEERS]

# Machado, Oliveira and Fernandes 2009, severity 1
EYES = {
    "common": np.eye(3),
    "protanopia": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deuteranopia": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
    "tritanopia": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]),
}
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def lab(colour: str, eye: str) -> Any:
    """CIE L*a*b* of a colour as it looks to such an eye."""
    coded = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    light = XYZ @ np.clip(EYES[eye] @ linear, 0, 1) / (XYZ @ np.ones(3))
    x, y, z = np.where(light > 216 / 24389, np.cbrt(light), (24389 / 27 * light + 16) / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


# ---- the table of looks ----


def test_every_peer_has_a_style_and_no_two_libraries_share_anything() -> None:
    assert {library_of(name) for name in NAMES} <= set(STYLES)
    for part in ("colour", "marker", "dashes"):
        seen = [getattr(style, part) for style in STYLES.values() if part != "dashes" or not style.ours]
        assert len(set(seen)) == len(seen), f"two libraries have the same {part}"


def test_peers_of_one_library_look_alike_and_are_never_on_one_panel() -> None:
    for one, other in itertools.combinations(PEERS, 2):
        same = library_of(one.name) == library_of(other.name)
        assert (styles_of(NAMES)[one.name] == styles_of(NAMES)[other.name]) == same
        assert not (same and one.threads == other.threads), f"{one.name} and {other.name} would be two equal lines of a panel"


WIDE = [name for name in STYLES if name not in cpp_libraries.LIBRARIES]
"""Those whose colours were chosen first: between these the others lie."""
EACH_SET = pytest.mark.parametrize(("names", "share"), [(WIDE, 1.0), (list(STYLES), 0.75)], ids=["first", "all"])


def test_colours_differ_in_grey() -> None:
    for names, least in ((WIDE, 6), (list(STYLES), 2.5)):
        lightness = sorted(lab(STYLES[name].colour, "common")[0] for name in names)
        assert min(np.diff(lightness)) > least
        assert lightness[-1] < 80, "too light to be seen on white"


@EACH_SET
@pytest.mark.parametrize(("eye", "least"), [("common", 35), ("protanopia", 25), ("deuteranopia", 25), ("tritanopia", 18)])
def test_colours_differ_to_every_eye(eye: str, least: float, names: list[str], share: float) -> None:
    for one, other in itertools.combinations(names, 2):
        distance = np.linalg.norm(lab(STYLES[one].colour, eye) - lab(STYLES[other].colour, eye))
        assert distance > least * share, f"{one} and {other} to {eye}"


def test_strangers_differ_too() -> None:
    styles = styles_of(["mine", "torch, 1 thread", "yours"])
    assert len({style.marker for style in styles.values()}) == 3
    assert styles["torch, 1 thread"] == STYLES["torch"]


# ---- the drawing ----


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[Any]]:
    """The figures that are saved while the test lasts."""
    from matplotlib.figure import Figure

    saved: list[Any] = []
    save = Figure.savefig

    def keep(self: Any, *arguments: Any, **options: Any) -> None:
        save(self, *arguments, **options)
        saved.append(self)

    monkeypatch.setattr(Figure, "savefig", keep)
    yield saved


def drawn(axis: Any) -> list[Any]:
    """The lines in the panel, without those beside it that make the labels."""
    return [line for line in axis.lines if line.get_transform() == axis.transData]


@pytest.mark.parametrize(("path", "ops"), [*((path, ["sigmoid"]) for path in KEPT), (KEPT[0], ["log_sigmoid", "logit"])])
def test_kept_figures_draw_without_overlap_and_ours_last(path: Path, ops: list[str], figures: list[Any], tmp_path: Path) -> None:
    on, every = from_json(path)
    rows = [row for row in every if row.op in ops]
    plot(rows, tmp_path / "a.png", on=on)
    (figure,) = figures
    assert len(figure.axes) == len({(row.op, row.dtype, row.threads) for row in rows})
    assert on["cpu"] in figure.get_suptitle()
    assert "lower is better" in figure.get_suptitle()
    renderer = figure.canvas.get_renderer()
    for axis in figure.axes:
        lines = drawn(axis)
        looks = [(line.get_color(), line.get_marker()) for line in lines]
        assert len(set(looks)) == len(looks)
        assert lines[-1].get_label().removesuffix(" c") == "fastsig"
        assert max(lines, key=lambda line: (line.get_zorder(), lines.index(line))) is lines[-1]
        assert all(line.get_linewidth() >= 2 * other.get_linewidth() for line in lines[-1:] for other in lines if other.get_zorder() == 2)
        labels = sorted((text.get_window_extent(renderer) for text in axis.texts), key=lambda box: box.y0)
        assert len(labels) == len(lines)
        assert all(below.y1 <= above.y0 + 0.5 for below, above in itertools.pairwise(labels)), axis.get_title()
        assert all(figure.bbox.x1 >= label.x1 for label in labels), "cut off"
    boxes = [axis.get_tightbbox(renderer) for axis in figure.axes]
    for one, other in itertools.combinations(boxes, 2):
        width, height = (
            min(getattr(one, f"{a}1"), getattr(other, f"{a}1")) - max(getattr(one, f"{a}0"), getattr(other, f"{a}0")) for a in "xy"
        )
        assert min(width, height) < 1, "two panels overlap"


def test_allocating_calls_are_named_where_a_library_has_no_other(figures: list[Any], tmp_path: Path) -> None:
    rows = [
        Row("sigmoid", "float32", size, peer, mode, 1, 2.0, 0.1, 1.0)
        for size in (1, 10)
        for peer, mode in (("jax", "alloc"), ("numpy", "alloc"), ("numpy", "out"))
    ]
    plot(rows, tmp_path / "a.png")
    assert [text.get_text() for text in figures[0].axes[0].texts] == ["jax (allocating)", "numpy"]


@pytest.mark.parametrize(
    ("heights", "want"),
    [
        ([], []),
        ([0.5], [0.5]),
        ([0.0, 1.0], [0.0, 1.0]),
        ([0.5, 0.5], [0.45, 0.55]),
        ([0.5, 0.5, 0.5], [0.4, 0.5, 0.6]),
        ([0.1, 0.5, 0.52, 0.9], [0.1, 0.46, 0.56, 0.9]),
    ],
)
def test_labels_spread_no_further_than_they_must(heights: list[float], want: list[float]) -> None:
    assert spread_out(heights, 0.1) == pytest.approx(want)


# ---- figures from a file ----


def test_rows_come_back_from_json_as_they_were(tmp_path: Path) -> None:
    on, rows = from_json(KEPT[0])
    to_json(rows, tmp_path / "again.json", on)
    assert from_json(tmp_path / "again.json") == (on, rows)
    assert any(row.ulp == np.inf for row in rows), "an infinity is among what is tested"


def test_a_drawing_from_a_file_names_the_machine_that_measured(
    figures: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fastsig.measure.speed.run", lambda *_, **__: pytest.fail("it measured"))
    kept = json.loads(KEPT[0].read_text())
    kept["machine"]["cpu"] = "A Machine"
    source, picture, again, names = (tmp_path / name for name in ("a.json", "a.png", "b.json", "l.md"))
    source.write_text(json.dumps(kept))
    arguments = ["--from", str(source), "--ops", "sigmoid", "--dtypes", "float32", "--sizes", "1,1e4"]
    assert main([*arguments, "--plot", str(picture), "--json", str(again), "--list", str(names), "--sweep"]) == 0
    assert [axis.get_title() for axis in figures[0].axes] == ["sigmoid, float32, one thread", "sigmoid, float32, all threads"]
    assert "A Machine" in figures[0].get_suptitle()
    assert "A Machine, 2 cores" in capsys.readouterr().out
    assert names.read_text().startswith("A Machine, 2 cores")
    found = json.loads(again.read_text())
    assert found["machine"]["cpu"] == "A Machine"
    assert {(row["op"], row["dtype"], row["size"]) for row in found["rows"]} == {("sigmoid", "float32", 1), ("sigmoid", "float32", 10_000)}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"machine": {}, "rows": []}', '{"rows": [{"op": "sigmoid"}]}'])
def test_another_file_is_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = tmp_path / "other.json"
    other.write_text(text)
    assert main(["--from", str(other)]) == 1
    assert "other.json does not hold what bench --json writes" in capsys.readouterr().err


def test_what_cannot_be_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--from", str(tmp_path / "none.json")]) == 1
    assert "none.json" in capsys.readouterr().err
    assert main(["--from", str(KEPT[0]), "--dtypes", "bfloat16"]) == 1
    assert "has no measurement of what is chosen" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["--from", str(KEPT[0]), "--quick"])
    assert "--from measures nothing" in capsys.readouterr().err


# ---- the other drawing of the project ----


def test_the_gpu_drawing_uses_the_same_table(figures: list[Any], tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("gpu_benchmark", ROOT / "benchmarks" / "gpu.py")
    assert spec is not None
    assert spec.loader is not None
    gpu = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(gpu)
    libraries = ["fastsig", "torch", "torch.compile", "cupyx expit"]
    gpu.plot([{"op": "sigmoid", "dtype": "float32", "library": name, "of_copy": 0.9} for name in libraries], tmp_path / "a.png", "a GPU")
    from matplotlib.colors import to_hex

    (axis,) = figures[0].axes
    assert [to_hex(bar.get_facecolor()) for bar in axis.patches] == [STYLES[library_of(name)].colour for name in libraries]
    assert "higher is better" in axis.get_title()


BY_THE_TABLE = {
    "fastsig/gradflow/drawing.py",
    "fastsig/gradflow/flow.py",
    "fastsig/cli/demo/__init__.py",
    "fastsig/cli/demo/picture.py",
    "fastsig/cli/gradflow.py",
    "fastsig/measure/picture_files.py",
    "tools/lesson/pictures.py",
    "tools/site_pictures.py",
}
"""These draw with the same table of styles."""


def test_no_other_file_chooses_colours() -> None:
    files = [path for folder in ("fastsig", "benchmarks", "tools", "examples") for path in (ROOT / folder).rglob("*.py")]
    plotting = {str(path.relative_to(ROOT)) for path in files if "matplotlib" in path.read_text()}
    assert plotting <= {"fastsig/measure/speed/__init__.py", "fastsig/measure/speed/drawing.py", "benchmarks/gpu.py", *BY_THE_TABLE}


def test_the_command_of_the_documents_draws_the_picture_of_the_readme(
    figures: list[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The pixels differ with versions of matplotlib and of fonts; what is drawn does not."""
    text = (ROOT / "docs" / "performance.md").read_text()
    (command,) = re.findall(r"`python -m fastsig bench (--from \S+ .*--plot) \S+`", text)
    source, *rest = command.split()[1:]
    assert main(["--from", str(ROOT / source), *rest, str(tmp_path / "a.png")]) == 0
    picture = ROOT / "benchmarks" / "results" / f"sigmoid-{Path(source).stem}.png"
    assert f"({picture.relative_to(ROOT)})" in (ROOT / "README.md").read_text()
    width, height = struct.unpack(">II", picture.read_bytes()[16:24])
    assert (width, height) == tuple(np.rint(np.array(figures[0].get_size_inches()) * 130))
    assert {axis.get_title().split(",")[0] for axis in figures[0].axes} == {"sigmoid"}
