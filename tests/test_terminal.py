"""The one progress bar: when it comes, what it says, and that it takes no core from what measures."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from fastsig.system import terminal as console
from fastsig.system.terminal import Progress, measuring

rich_console = pytest.importorskip("rich.console")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A terminal that remembers; also the one that a bar finds by itself."""
    shown = rich_console.Console(force_terminal=True, width=120, file=io.StringIO())
    monkeypatch.setattr(rich_console, "Console", lambda **_: shown)
    yield shown


def said(terminal: Any) -> str:
    return str(terminal.file.getvalue())


def test_a_bar_comes_after_two_seconds_and_says_the_share(clock: list[float], terminal: Any) -> None:
    with Progress(100, "sigmoid x.npy") as bar:
        bar.advance(10)
        clock[0] += 1.9
        bar.advance(10)
        assert said(terminal) == ""
        clock[0] += 0.2
        bar.advance(20)
        bar._bar.refresh()
    assert "sigmoid x.npy" in said(terminal)
    assert "40%" in said(terminal)


def test_a_bar_of_steps_names_each_and_starts_no_thread(clock: list[float], terminal: Any) -> None:
    before = set(threading.enumerate())
    with measuring(3, "measuring") as bar:
        bar.step("sigmoid")
        assert said(terminal) == ""
        clock[0] += 2
        bar.step("logit")
        assert set(threading.enumerate()) <= before, "a thread that draws takes the core from what is measured"
        assert "measuring logit" in said(terminal)
        assert "1/3" in said(terminal)
        bar.step("silu")
        assert "measuring silu" in said(terminal)
        assert "2/3" in said(terminal)


def test_a_bar_that_nobody_wants_never_comes(clock: list[float], terminal: Any) -> None:
    with measuring(3, "measuring", show=False) as bar:
        clock[0] += 1e9
        bar.step("sigmoid")
    assert said(terminal) == ""


def test_a_bar_goes_on_with_another_thing(terminal: Any) -> None:
    with Progress(1, "check", terminal, patience=0, counted=True, ticking=False) as bar:
        bar.begin(4, "sigmoid float32")
        bar.advance(3)
        bar.begin(8, "logit float32")
        bar.advance()
    shown = said(terminal)
    assert "check" not in shown
    assert "3/4" in shown
    assert "logit float32" in shown.split("3/4")[-1]
    assert "1/8" in shown


def test_nothing_where_there_is_no_terminal() -> None:
    plain = rich_console.Console(file=io.StringIO(), force_terminal=False)
    with Progress(2, "x", plain, patience=0) as bar:
        bar.advance()
    assert said(plain) == ""
