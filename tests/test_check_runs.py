"""``python -m fastsig check``: float64 against mpmath, the search for worse inputs, and that a run which was stopped goes on."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checking import backend, check, keep, small_and_apart

from fastsig.measure.accuracy import engines, inputs, multiprecision, records, sampled, search
from fastsig.measure.formats import FORMATS
from fastsig.ops import BY_NAME, OPS
from tools.accuracy import worst_inputs

F64 = FORMATS["float64"]
Text = pytest.CaptureFixture[str]
__all__ = ["small_and_apart"]


# ---- mpmath and search ----


@pytest.mark.parametrize("name", [op.name for op in OPS])
def test_the_forms_for_200_bits_are_the_operations(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    op = BY_NAME[name]
    for kind in ("",) if op.nin == 1 else ("hard", "soft"):
        assert multiprecision.form_error(op, kind) <= multiprecision.FORM_ERROR
    honest = multiprecision.FORMS[name]
    monkeypatch.setitem(multiprecision.FORMS, name, lambda mp, *args: honest(mp, *args) * (1 + mp.mpf(2) ** -80))
    assert multiprecision.form_error(op, kind) > multiprecision.FORM_ERROR


def test_float64_against_mpmath(monkeypatch: pytest.MonkeyPatch, capsys: Text) -> None:
    monkeypatch.setattr(multiprecision, "CHUNK", 512)
    assert check("--ops", "sigmoid", "--dtypes", "float64", "--mpmath", "1_000", "--json") == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    assert (result["mode"], result["count"]) == ("mpmath", 1024)
    assert 1.5 < result["worst"] <= 2.0
    assert 50 < result["wrong"] < 500


@pytest.mark.parametrize(("got", "error"), [(0.5, 0.0), (0.5 + 2.0**-53, 1.0), (0.5 - 2.0**-54, 0.5), (np.nan, np.inf), (np.inf, np.inf)])
def test_errors_by_hand(got: float, error: float) -> None:
    assert multiprecision.error(BY_NAME["sigmoid"], (0.0,), got) == error


def test_an_overflow_is_right_where_the_exact_value_rounds_to_it() -> None:
    grad = BY_NAME["bce_grad"]
    assert multiprecision.error(grad, (2.0**-1073, 1.0), -np.inf) == 0
    assert multiprecision.error(grad, (2.0**-1073, 1.0), np.inf) == np.inf
    assert multiprecision.error(grad, (2.0**-1020, 1.0), -np.inf) == np.inf


@pytest.mark.parametrize("name", ["silu", "logit"])
def test_inputs_are_spread_by_exponent_and_over_the_hard_places(name: str) -> None:
    op = BY_NAME[name]
    x = inputs.spread(op, F64, 200_000, 0)
    exponents = {*np.frexp(x)[1].tolist()}
    if op.domain == "unit":
        assert ((x > 0) & (x < 1)).all()
        assert exponents >= set(range(-1070, 0))
        near, reach = x - 0.5, range(-50, -3)
    else:
        assert np.isfinite(x).all()
        assert exponents >= set(range(-1070, 1023))
        assert ((x < -708.5) & (x > -745)).sum() > 5_000, "results in the subnormals"
        near, reach = abs(x) - inputs.PLACES["real"][1], range(-50, -3)
    assert {*np.frexp(near[near != 0])[1].tolist()} >= set(reach)


def test_a_search_climbs(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it finds is worse than what it began with, worst first, and inside the domain."""
    monkeypatch.setattr(search, "FRESH", 1024)
    engine = engines.native()[0]
    for name, kind in (("logit", ""), ("bce_with_logits", "hard"), ("bce", "soft")):
        op = BY_NAME[name]
        _, first = search.climb(op, F64, kind, engine, 0.0)
        columns, errors = search.climb(op, F64, kind, engine, 0.3)
        assert errors[0] > first[0]
        assert (np.diff(errors) <= 0).all()
        if kind:
            assert np.isin(columns[1], (0, 1)).all() == (kind == "hard")
            assert ((columns[1] >= 0) & (columns[1] <= 1)).all()


def test_what_a_search_finds_is_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Text) -> None:
    monkeypatch.setattr(records, "worst_path", lambda: tmp_path / "worst.json")
    assert keep("--ops", "sigmoid,bce", "--dtypes", "float64", "--search", "0.1", "--keep", "--json") == 0
    rows = json.loads((tmp_path / "worst.json").read_text())
    counts = {(r["op"], r["targets"]): sum(r["op"] == q["op"] and r["targets"] == q["targets"] for q in rows) for r in rows}
    assert counts == {("sigmoid", ""): worst_inputs.KEPT, ("bce", "hard"): worst_inputs.KEPT, ("bce", "soft"): worst_inputs.KEPT}
    known = sampled.columns_of(BY_NAME["bce"], F64, "soft", 1.0)
    assert [[int(b, 16) for b in r["at"]] for r in rows if r["targets"] == "soft"] == np.stack(
        [c.view(np.uint64)[-6:] for c in known]
    ).T.tolist()


# ---- a run that was stopped ----

RUN = """
import json, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the tests run with it ignored
from fastsig.measure import accuracy
from fastsig.measure.accuracy import exhaustive, runs
exhaustive.CHUNKS, exhaustive.CHUNK, exhaustive.SAVE_SECONDS = 60, 1 << 14, 0.0
work = exhaustive._work

def slowly(op, ufunc, index, *how):
    sys.stderr.write(f"chunk {{index}}\\n")  # in one piece, as there are several threads
    time.sleep(float({pause!r}))
    return work(op, ufunc, index, *how)

exhaustive._work = slowly
sys.exit(accuracy.main(["--ops", {op!r}, "--dtypes", "float32", "--backends", {backend!r}, "--exhaustive", "--json", *{more!r}]))
"""


def start(op: str, cache: Path, pause: float, *more: str) -> subprocess.Popen[str]:
    code = RUN.format(op=op, backend=backend(), pause=pause, more=more)
    environment = {**os.environ, "FASTSIG_CACHE_DIR": str(cache)}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finished(run: subprocess.Popen[str]) -> tuple[dict[str, Any], list[int]]:
    """The result without its time, and the chunks that were computed."""
    out, err = run.communicate(timeout=100)
    assert run.returncode == 0, err
    hard = next(r for r in json.loads(out)["results"] if r["mode"] == "exhaustive")
    hard.pop("seconds")
    return hard, [int(index) for index in re.findall(r"chunk (\d+)\n", err)]


@pytest.mark.skipif(sys.platform == "win32", reason="these signals are POSIX's")
@pytest.mark.parametrize(("op", "stop"), [("sigmoid", signal.SIGINT), ("bce", signal.SIGKILL)])
def test_a_stopped_run_goes_on_where_it_was(op: str, stop: signal.Signals, tmp_path: Path) -> None:
    first = start(op, tmp_path, 0.05)
    states = tmp_path / "check"
    while not (states.exists() and any(len(json.loads(p.read_text())) > 4 for p in states.glob("*.json"))):
        assert first.poll() is None, first.communicate()[1]
        time.sleep(0.02)
    first.send_signal(stop)
    _, said = first.communicate(timeout=60)
    if stop is signal.SIGINT:
        assert first.returncode == 130
        assert "stopped; finished chunks are kept, and the same command goes on from there" in said
        assert "Traceback" not in said
    else:
        assert first.returncode == -stop
    (state,) = states.glob("*.json")
    done = {int(index) for index in json.loads(state.read_text())}
    assert 0 < len(done) < 60
    resumed, chunks = finished(start(op, tmp_path, 0.0))
    assert sorted([*done, *chunks]) == list(range(60)), "all chunks once"
    anew, chunks = finished(start(op, tmp_path, 0.0, "--restart"))
    assert sorted(chunks) == list(range(60))
    assert resumed == anew
    assert resumed["count"] == 60 * (1 << 14) * (2 if op == "sigmoid" else 4)


def test_a_broken_state_file_is_begun_anew(tmp_path: Path) -> None:
    finished(start("sigmoid", tmp_path, 0.0))
    (state,) = (tmp_path / "check").glob("*.json")
    for text in ("", '{"0": ', "[]"):
        state.write_text(text)
        _, chunks = finished(start("sigmoid", tmp_path, 0.0))
        assert sorted(chunks) == list(range(60))


def test_a_stopped_mpmath_run_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(multiprecision, "CHUNK", 64)
    op, engine = BY_NAME["bce"], engines.native()[0]

    def stop(n: int) -> None:
        if n:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        multiprecision.run(op, "soft", engine, 640, advance=stop)
    told: list[int] = []
    resumed = multiprecision.measure(op, "soft", engine, 640, advance=told.append)
    assert told[0] >= 1
    anew = multiprecision.measure(op, "soft", engine, 640, restart=True)
    assert (resumed.worst, resumed.at, resumed.wrong, resumed.count) == (anew.worst, anew.at, anew.wrong, 640)
