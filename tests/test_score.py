"""``python -m fastsig score``: the figures of the whole arrays, whatever the layout and the chunks, in bounded memory."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from processes import fastsig_command
from test_apply import peak_kib, saved

import fastsig as fs
from fastsig.cli.main import main
from fastsig.files import metrics, npy, score
from fastsig.system import terminal


def figures(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """What the command prints as JSON."""
    assert main(["score", *arguments, "--json"]) == 0
    said = capsys.readouterr()
    assert said.err == ""
    return json.loads(said.out, parse_constant=pytest.fail)


def data(dtype: Any, shape: tuple[int, ...], seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return (rng.normal(size=shape) * 6).astype(dtype), rng.random(shape) < 0.3


def exact_norm(x: Any, t: Any, **options: Any) -> float:
    """The norm of the gradient of the mean, from the elements' gradients and exact arithmetic."""
    wide = np.asarray(x, np.float32) if x.dtype.itemsize < 4 else x
    _, grad = fs.bce_with_logits_value_and_grad(wide, t, reduction="none", **options)
    mask = options.get("mask")
    count = x.size if mask is None else int(np.broadcast_to(mask, x.shape).sum())
    with mpmath.workprec(300):
        return float(mpmath.sqrt(mpmath.fsum(mpmath.mpf(float(g)) ** 2 for g in grad.flat)) / count)


def ulp_between(got: float, want: float) -> float:
    return abs(got - want) / float(np.spacing(abs(want)))


def loss(x: Any, t: Any, reduction: str, **options: Any) -> float:
    return float(fs.bce_with_logits(x, t, reduction=reduction, out=np.empty(()), **options))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f4", "int8", "int64"])
def test_the_figures_are_those_of_the_whole_arrays(dtype: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, t = data(dtype, (4001,))
    got = figures(capsys, saved(tmp_path / "x.npy", x), saved(tmp_path / "t.npy", t))
    assert ulp_between(got.pop("gradient_norm"), exact_norm(x, t)) <= 1
    assert got == {
        "elements": 4001,
        "mean": loss(x, t, "mean"),
        "sum": loss(x, t, "sum"),
        "accuracy": np.count_nonzero((x > 0) == t) / 4001,
        "positives": np.count_nonzero(t) / 4001,
    }


@pytest.mark.parametrize("shape", [(), (0,), (1,), (7, 0), (5, 3), (4, 3, 2)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_shape_and_order(shape: tuple[int, ...], order: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, t = data(np.float32, shape)
    paths = saved(tmp_path / "x.npy", np.asarray(x, order=order)), saved(tmp_path / "t.npy", t)
    got = figures(capsys, *paths)
    assert (got["elements"], got["sum"]) == (x.size, loss(x, t, "sum"))
    assert got["mean"] == (loss(x, t, "mean") if x.size else "nan")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("chunk", [1024, 3 * 1024, 1 << 20])
def test_chunks_orders_and_threads_leave_no_trace(
    dtype: str, chunk: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, t = data(dtype, (20_000, 3))
    rng = np.random.default_rng(1)
    weight, pos_weight, mask = rng.random((20_000, 1)).astype(dtype), np.array([0.5, 1, 4]), rng.random((20_000, 3)) < 0.8
    options: dict[str, Any] = {"weight": weight, "pos_weight": pos_weight, "mask": mask, "label_smoothing": 0.1}
    words = ["--weight", saved(tmp_path / "w.npy", weight), "--mask", saved(tmp_path / "m.npy", mask), "--label-smoothing", "0.1"]
    monkeypatch.setattr(npy, "CHUNK", chunk)
    found = []
    for order, threads in (("C", "1"), ("F", "2")):
        paths = [saved(tmp_path / "x.npy", np.asarray(x, order=order)), saved(tmp_path / "t.npy", np.asarray(t, order=order))]
        for value in ("0.5,1,4", saved(tmp_path / "p.npy", pos_weight)):
            found.append(figures(capsys, *paths, *words, "--pos-weight", value, "--threads", threads))
    assert all(other == found[0] for other in found)
    for name in ("mean", "sum", "weighted_mean"):
        assert found[0][name] == loss(x, t, name, **options)
    assert found[0]["elements"] == mask.sum()
    assert ulp_between(found[0]["gradient_norm"], exact_norm(x, t, **options)) <= 1
    assert found[0]["accuracy"] == np.count_nonzero(((x > 0) == t)[mask]) / mask.sum()


def test_one_pos_weight_for_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, t = data(np.float32, (100, 2))
    got = figures(capsys, saved(tmp_path / "x.npy", x), saved(tmp_path / "t.npy", t), "--pos-weight", "2.5")
    assert got["mean"] == loss(x, t, "mean", pos_weight=2.5)


@pytest.mark.parametrize("classes", [1, 3, 40])
def test_a_class_is_what_its_column_alone_would_be(
    classes: int, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score, "CLASS_CHUNKS", 0)  # so that 1,024 rows are a chunk, and there are several
    x, t = data(np.float32, (2500, classes))
    weight, pos_weight = np.linspace(0.5, 2, 2500)[:, None], np.linspace(1, 3, classes)
    paths = [saved(tmp_path / "x.npy", x), saved(tmp_path / "t.npy", t)]
    words = ["--weight", saved(tmp_path / "w.npy", weight), "--pos-weight", saved(tmp_path / "p.npy", pos_weight)]
    got = figures(capsys, *paths, *words, "--per-class")
    assert len(got["classes"]) == classes
    for at, row in enumerate(got["classes"]):
        column = [saved(tmp_path / "xc.npy", x[:, at]), saved(tmp_path / "tc.npy", t[:, at])]
        words = ["--weight", saved(tmp_path / "wc.npy", weight[:, 0]), "--pos-weight", repr(float(pos_weight[at]))]
        assert row == figures(capsys, *column, *words)
    assert got["sum"] == loss(x, t, "sum", weight=weight, pos_weight=pos_weight)


def test_the_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, t = data(np.float32, (100, 2))
    assert main(["score", saved(tmp_path / "x.npy", x), saved(tmp_path / "t.npy", t), "--per-class"]) == 0
    said = capsys.readouterr().out
    for text in (repr(loss(x, t, "mean")), "gradient norm", "accuracy", f"{loss(x[:, 1], t[:, 1], 'mean'):.6g}"):
        assert text in said


def test_gradients_too_small_to_be_squared_still_count(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """e^-400 squared is below the least float64."""
    x, t = np.full(3, 400.0), np.ones(3)
    got = figures(capsys, saved(tmp_path / "x.npy", x), saved(tmp_path / "t.npy", t))
    with mpmath.workprec(300):
        want = float(1 / ((1 + mpmath.exp(400)) * mpmath.sqrt(3)))
    assert ulp_between(got["gradient_norm"], want) <= 3  # of which the gradient's own 2
    x = np.array([0.0, 400.0])
    got = figures(capsys, saved(tmp_path / "x.npy", x), saved(tmp_path / "t.npy", np.ones(2)))
    assert got["gradient_norm"] == 0.25


@pytest.mark.parametrize("exponent", [-2100, -1075, -1, 0, 1, 900])
def test_a_root_is_rounded_once(exponent: int) -> None:
    for numerator in (1, 2, 3, 10**40 + 1):
        square = Fraction(numerator) * Fraction(2) ** exponent
        with mpmath.workprec(300):
            exact = mpmath.sqrt(mpmath.mpf(square.numerator) / square.denominator)
            assert metrics._root(square) == float(exact)


def test_infinities_and_nan_are_json_strings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for value, text in ((np.inf, "inf"), (np.nan, "nan")):
        got = figures(capsys, saved(tmp_path / "x.npy", np.array([value, 1.0])), saved(tmp_path / "t.npy", np.zeros(2)))
        assert (got["mean"], got["accuracy"]) == (text, 0)


def test_all_masked_is_nan_and_no_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, t = data(np.float32, (5,))
    mask = saved(tmp_path / "m.npy", np.zeros(5, bool))
    got = figures(capsys, saved(tmp_path / "x.npy", x), saved(tmp_path / "t.npy", t), "--mask", mask)
    assert (got["elements"], got["mean"], got["sum"], got["gradient_norm"], got["accuracy"]) == (0, "nan", 0, 0, "nan")


def test_bfloat16_when_it_is_said_to_be_that(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x, t = data(pytest.importorskip("ml_dtypes").bfloat16, (50,))
    paths = saved(tmp_path / "x.npy", x), saved(tmp_path / "t.npy", t)
    assert figures(capsys, *paths, "--bfloat16")["mean"] == loss(x, t, "mean")
    assert main(["score", *paths]) == 2
    assert "--bfloat16" in capsys.readouterr().err


X = np.zeros((4, 2), np.float32)
BAD = [
    ((X, np.zeros((4, 1))), [], r"x.npy has shape (4, 2) and"),
    ((X, X + 2), [], "targets must lie in [0, 1]"),
    ((X, X + np.nan), [], "targets must lie in [0, 1]"),
    ((X.astype(complex), X), [], "dtype complex128"),
    ((X[:, 0], X[:, 0]), ["--per-class"], "--per-class needs"),
    ((X, X), ["--pos-weight", "1,2,3"], "--pos-weight has shape (3,)"),
    ((X, X), ["--pos-weight", "-1"], "pos_weight must be finite"),
    ((X, X), ["--pos-weight", "nan"], "nan: No such file"),
    ((X, X), ["--pos-weight", "nowhere.npy"], "nowhere.npy: No such file"),
    ((X, X), ["--weight", "SAVED", -np.ones(2)], "weight must be finite and not negative"),
    ((X, X), ["--weight", "SAVED", np.ones(4)], "--weight has shape (4,)"),
    ((X, X), ["--mask", "SAVED", np.ones(2)], "a mask has booleans"),
    ((X, X), ["--mask", "SAVED", np.ones(3, bool)], "--mask has shape (3,)"),
    ((X, X), ["--label-smoothing", "1"], "label_smoothing=1.0 must be a number in [0, 1)"),
]  # fmt: skip


@pytest.mark.parametrize(("arrays", "options", "words"), BAD, ids=[words for *_, words in BAD])
def test_bad_input_is_one_line_and_status_2(
    arrays: Any, options: list[Any], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if "SAVED" in options:
        options = [options[0], saved(tmp_path / "extra.npy", options[2])]
    assert main(["score", saved(tmp_path / "x.npy", arrays[0]), saved(tmp_path / "t.npy", arrays[1]), *options]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("fastsig score: ")
    assert words in said.err
    assert (said.err.count("\n"), said.out) == (1, "")


STOPS_HALF_WAY = """
import time
from fastsig.files.metrics import Tally
Tally.add = lambda *_: (print(flush=True), time.sleep(100))
"""


@pytest.mark.parametrize(("name", "status", "said"), [("SIGINT", 130, "interrupted\n"), ("SIGTERM", -15, ""), ("SIGHUP", -1, "")])
def test_what_ends_the_process_says_so_in_a_line_at_most(name: str, status: int, said: str, tmp_path: Path) -> None:
    x, t = data(np.float32, (10,))
    words = fastsig_command("score", saved(tmp_path / "x.npy", x), saved(tmp_path / "t.npy", t), first=STOPS_HALF_WAY)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "\n", "it is half way"
        process.send_signal(getattr(signal, name))
        out, error = process.communicate(timeout=60)
    assert (process.returncode, out, error) == (status, "", said)


@pytest.mark.parametrize("name", ["x", "t", "w"])
@pytest.mark.parametrize("per_class", [False, True])
def test_a_file_that_becomes_shorter_is_one_line(
    per_class: bool, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a file that is mapped into memory it would be a fatal signal."""
    x, t = data(np.float32, (3 * npy.CHUNK // 4, 4))
    paths = {"x": saved(tmp_path / "x.npy", x), "t": saved(tmp_path / "t.npy", t), "w": saved(tmp_path / "w.npy", np.ones((len(x), 1)))}
    add = metrics.Tally.add

    def truncating(*arguments: Any) -> None:
        os.truncate(paths[name], 1000)
        add(*arguments)

    monkeypatch.setattr(metrics.Tally, "add", truncating)
    monkeypatch.setattr(score, "CLASS_CHUNKS", 1)
    assert main(["score", paths["x"], paths["t"], "--weight", paths["w"], *(["--per-class"] if per_class else [])]) == 2
    said = capsys.readouterr()
    assert said.err == f"fastsig score: {paths[name]}: became shorter while it was read: it ends after 1,000 bytes; start again\n"
    assert said.out == ""


@pytest.mark.parametrize("shape", [(0, 1 << 40), (2, 0, 1 << 30)])
def test_more_classes_than_anybody_reads(shape: tuple[int, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = header_of(tmp_path / "x.npy", shape)
    assert main(["score", x, x, "--per-class"]) == 2
    assert f"at most {score.MOST_CLASSES:,} classes; logits of shape {shape}" in capsys.readouterr().err
    assert figures(capsys, x, x)["elements"] == 0


def test_rows_without_classes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = header_of(tmp_path / "x.npy", (1 << 60, 0))
    assert figures(capsys, x, x, "--per-class")["classes"] == []


def header_of(path: Path, shape: tuple[int, ...]) -> str:
    """A file of no elements."""
    with path.open("wb") as file:
        npy.write_header(file, np.dtype("f4"), shape, False)
    return str(path)


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--pos-weight", "2", "--per-class")])
def test_memory_does_not_grow_with_the_file(options: tuple[str, ...], tmp_path: Path) -> None:
    """640 MiB of logits and labels, against 15 MiB."""
    for name, size in (("small", 3 << 20), ("big", 1 << 27)):
        for kind, dtype in (("x", "f4"), ("t", "?")):
            with (tmp_path / f"{name}.{kind}").open("wb") as file:
                npy.write_header(file, np.dtype(dtype), (size // 4, 4), False)
                file.truncate(file.tell() + size * np.dtype(dtype).itemsize)
    small, big = tmp_path / "small", tmp_path / "big"
    assert peak_kib(tmp_path, small, big, "score", "IN.x", "IN.t", *options) < 32 * 1024


def test_without_rich_the_tables_are_plain_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("rich.console", "rich.table", "rich.progress"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(terminal, "PATIENCE", 0)
    x, t = data(np.float32, (100, 2))
    assert main(["score", saved(tmp_path / "x.npy", x), saved(tmp_path / "t.npy", t), "--per-class"]) == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0] == "elements       200"
    assert lines[1] == f"mean           {loss(x, t, 'mean')!r}"
    assert lines[-2].split()[:3] == ["0", "100", f"{loss(x[:, 0], t[:, 0], 'mean'):.6g}"]
    assert said.err == ""
