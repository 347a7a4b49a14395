"""``python -m fastsig bench``: what it compares with what, and how it says so. No figure of a clock is tested."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastsig as fs
from fastsig.measure import speed as bench
from fastsig.measure.peers import PEERS, UNARY, dtype_of, installed
from fastsig.measure.speed import Row, faster_elsewhere, main, run
from fastsig.measure.speed.sweep import grid, hopeless, summary

NUMPY = [peer for peer in PEERS if peer.module in ("fastsig", "numpy")]


def row(peer: str, ns: float, *, threads: int = 1, iqr: float = 0.1, size: int = 100, mode: str = "out", op: str = "sigmoid") -> Row:
    return Row(op, "float32", size, peer, mode, threads, ns, iqr, 1.0)


# ---- which library is faster where ----


def test_one_thread_is_held_against_one_and_all_against_all() -> None:
    rows = [
        row("fastsig c", 10), row("fastsig", 5, threads=0), row("fastsig numba", 1),
        row("torch, 1 thread", 8), row("torch", 6, threads=0), row("numpy", 20),
    ]  # fmt: skip
    (case,) = faster_elsewhere(rows)
    assert case == ("sigmoid", "float32", 100, "out", "1", "torch, 1 thread", 1.25, True)
    rows[4] = row("torch", 4, threads=0)
    assert [(c.library, c.threads, c.ratio) for c in faster_elsewhere(rows)] == [("torch, 1 thread", "1", 1.25), ("torch", "all", 1.25)]


def test_modes_sizes_and_operations_are_not_mixed() -> None:
    rows = [row("fastsig c", 10), row("scipy", 1, mode="alloc"), row("scipy", 1, size=10), row("scipy", 1, op="logit")]
    assert faster_elsewhere(rows) == []
    assert len(faster_elsewhere([*rows, row("fastsig c", 2, size=10)])) == 1


def test_equal_is_not_faster_and_a_noisy_win_is_not_clear() -> None:
    assert faster_elsewhere([row("fastsig c", 10), row("scipy", 10)]) == []
    (case,) = faster_elsewhere([row("fastsig c", 10, iqr=3), row("scipy", 9, iqr=1)])
    assert not case.clear
    (case,) = faster_elsewhere([row("fastsig c", 10, iqr=0.5), row("scipy", 9, iqr=1)])
    assert case.clear


def test_the_list_names_the_worst_first() -> None:
    rows = [row("fastsig c", 10), row("scipy", 8), row("jax", 5), row("numpy", 30)]
    text = summary(rows)
    assert text.index("| jax | 2.00 | yes |") < text.index("| scipy | 1.25 | yes |")
    assert "2 measurements, in 1 cases" in text
    assert "numpy" not in text
    assert "No other library was faster in any of 1 cases" in summary(rows[:1])


def test_hopeless() -> None:
    rows = [
        row("fastsig c", 10),
        row("a", 29),
        row("b", 31),
        row("fastsig", 100),
        row("c", 90),
        row("c", 29, mode="alloc"),
        row("d", 10, mode="alloc"),
    ]
    assert hopeless(rows) == {"b"}


@pytest.mark.parametrize(
    ("arguments", "want"),
    [((1, 100), [1, 3, 10, 32, 100]), ((1, 1), [1]), ((10, 1000, 1), [10, 100, 1000]), ((1, 5, 8), [1, 2, 3, 4, 5]), ((1, 1e8), None)],
)
def test_grid(arguments: tuple[float, ...], want: list[int] | None) -> None:
    sizes = grid(*arguments)  # type: ignore[arg-type]
    assert sizes[0] == arguments[0]
    assert sizes[-1] == arguments[1]
    assert want in (None, sizes)
    assert all(1 < b / a < 11 for a, b in zip(sizes, sizes[1:], strict=False))


# ---- measuring ----


def test_a_small_run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, need_c: None) -> None:
    monkeypatch.setattr(bench, "installed", lambda: NUMPY)
    out = tmp_path / "rows.json"
    arguments = ["--ops", "sigmoid,logit", "--dtypes", "float32", "--sizes", "1,1e3:1e4:1", "--quick", "--json", str(out)]
    assert main([*arguments, "--sweep", "--list", str(tmp_path / "list.md"), "--plot", str(tmp_path / "a.png")]) == 0
    found = json.loads(out.read_text())
    rows = found["rows"]
    assert {r["size"] for r in rows} == {1, 1000, 10_000}
    assert {(r["op"], r["mode"]) for r in rows} == {(op, mode) for op in ("sigmoid", "logit") for mode in ("out", "alloc")}
    assert {"fastsig c", "fastsig", "numpy"} <= {r["peer"] for r in rows}
    assert {r["threads"] for r in rows} == {0, 1}
    assert all(r["ns"] > 0 and r["ns_iqr"] >= 0 and r["copy_share"] > 0 for r in rows)
    assert all(r["ulp"] <= 2.5 for r in rows if r["peer"].startswith("fastsig"))
    assert found["machine"]["versions"]["numpy"] == np.__version__
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    text = capsys.readouterr().out
    assert "max ULP" in text
    assert (tmp_path / "list.md").read_text().splitlines()[0] in text


def test_peers_that_fall_behind_are_left_out_above(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, list[str]]] = []

    def cell(op: str, dtype: Any, size: int, peers: Any, **_: Any) -> list[Row]:
        seen.append((size, [peer.name for peer in peers]))
        return [row(peer.name, 99 if peer.name == "numpy" and size > 10 else 1, size=size) for peer in peers]

    monkeypatch.setattr(bench, "cell", cell)
    monkeypatch.setattr(bench, "accuracy", lambda *_: {})
    for prune, without in ((True, [False, False, True]), (False, [False] * 3)):
        seen.clear()
        run(["sigmoid"], ["float32"], [10, 10**5, 10**6], peers=NUMPY, prune=prune, progress=False)
        assert [("numpy" not in names) for _, names in seen] == without
    seen.clear()
    run(["sigmoid"], ["float32"], [10, 1000, 10**4], peers=NUMPY, prune=True, progress=False)
    assert all("numpy" in names for _, names in seen), "at small sizes a call's overhead says nothing of large ones"


@pytest.mark.parametrize("peer", [p for p in PEERS if p.module not in ("jax", "torch")], ids=lambda p: p.name)
def test_peers_compute_what_they_are_compared_in(peer: Any) -> None:
    """Each within 1e-5 of our own values where nothing overflows: a peer that computes another function makes a wrong table."""
    if peer not in installed():
        pytest.skip(f"{peer.module} is not installed")
    for op in UNARY:
        x = np.linspace(0.01, 0.99, 1000) if op == "logit" else np.linspace(-8, 8, 1000)
        out = np.empty_like(x)
        calls = peer.prepare(op, x, out)
        if calls is None:
            continue
        want = getattr(fs, op)(x)
        scale = np.maximum(np.abs(want), 1e-3)
        assert np.max(np.abs(calls.alloc() - want) / scale) < 1e-5, op
        if calls.out:
            out[:] = math.nan
            calls.out()
            assert np.max(np.abs(out - want) / scale) < 1e-5, f"{op}, out="


def test_dtypes() -> None:
    pytest.importorskip("ml_dtypes")
    for name in ("float16", "bfloat16", "float32", "float64"):
        assert dtype_of(name).name == name


@pytest.mark.parametrize(
    ("option", "text", "complaint"),
    [
        ("--ops", "sigmoids", "choose among sigmoid"),
        ("--dtypes", "float8", "choose among float16"),
        ("--sizes", "ten", "numbers of elements"),
        ("--sizes", "0", "at least 1"),
        ("--sizes", "100:1", "or a range such as 1:1e8"),
        ("--sizes", "1:10:0", "or a range"),
        ("--sizes", "1:2:3:4", "or a range"),
        ("--sizes", "1e999", "numbers of elements"),
    ],
)
def test_wrong_arguments(option: str, text: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([option, text])
    error = capsys.readouterr().err
    assert complaint in error
    assert repr(text) in error
