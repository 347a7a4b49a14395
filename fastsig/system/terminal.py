"""What commands print: tables and progress, with rich where it is installed."""

from __future__ import annotations

import io
import math
import shutil
import sys
import time
from collections.abc import Sequence
from typing import Any

PATIENCE = 2.0
"""Seconds before a progress bar appears: what is over by then needs none."""


def show(rows: Sequence[Sequence[str]], header: Sequence[str] = (), folded: int | None = None) -> None:
    """Print the rows: as a table where rich is installed, else as plain text; that column is folded where they are too wide."""
    try:
        from rich.console import Console
    except ImportError:
        print(_plain(rows, header))
        return
    Console(highlight=False, markup=False, width=width_of_output()).print(_ruled(rows, header, folded))


def table_text(rows: Sequence[Sequence[str]], header: Sequence[str] = (), width: int = 1000, folded: int | None = None) -> str:
    """What ``show`` prints, without colours, and as wide as it needs where no width is named."""
    try:
        from rich.console import Console
    except ImportError:
        return _plain(rows, header)
    text = io.StringIO()
    Console(file=text, highlight=False, markup=False, color_system=None, width=width).print(_ruled(rows, header, folded))
    return text.getvalue().rstrip("\n")


def _plain(rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
    lines = [*([[name.replace("\n", " ") for name in header]] if header else []), *rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def _ruled(rows: Sequence[Sequence[str]], header: Sequence[str], folded: int | None) -> Any:
    from rich.table import Table

    table = Table(show_header=bool(header))
    for i in range(len(rows[0]) if rows else len(header)):
        table.add_column(header[i] if header else "", no_wrap=(bool(header) or i == 0) and i != folded, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def complain(text: str) -> None:
    """One line on standard error, whatever is in the names of files."""
    if sys.stderr is not None:  # where it is closed, print would take standard output
        print("".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text), file=sys.stderr)


def width_of_output() -> int | None:
    """Columns for a table where standard output is no terminal that has its own."""
    return None if sys.stdout is not None and sys.stdout.isatty() else 120


def columns() -> int:
    """How wide a text may be that is printed."""
    return width_of_output() or shutil.get_terminal_size().columns


class Progress:
    """How much of a total is done: a bar on a terminal's standard error, once ``patience`` seconds have passed."""

    def __init__(
        self,
        total: int,
        title: str,
        console: Any = None,
        *,
        patience: float | None = None,
        counted: bool = False,
        ticking: bool = True,
    ) -> None:
        """Without ``patience`` it is PATIENCE; infinite patience shows nothing.

        ``counted`` shows how many of how many, not percents. ``ticking`` keeps the clock going between two calls, on a thread;
        what measures times does without, for the thread would take the core from it.
        """
        self._total, self._title, self._console = total, title, console
        self._patience = PATIENCE if patience is None else patience
        self._counted, self._ticking = counted, ticking
        self._done, self._start = 0, time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def advance(self, amount: int = 1) -> None:
        """So much more is done."""
        self._done += amount
        self._show()

    def step(self, text: str) -> None:
        """About to do the one thing that ``text`` names."""
        self._show(f"{self._title} {text}")
        self._done += 1

    def begin(self, total: int, title: str) -> None:
        """Go on with another thing, of which nothing is done."""
        self._total, self._title, self._done = total, title, 0
        if self._bar:
            self._bar.reset(self._task, total=total, description=title)
        self._show()

    def _show(self, title: str | None = None) -> None:
        if self._bar is None and time.monotonic() - self._start >= self._patience:
            self._bar = self._shown()
        if self._bar:
            self._bar.update(self._task, completed=self._done, description=title or self._title, refresh=not self._ticking)

    def _shown(self) -> Any:
        """The bar; False where there is no terminal or no rich."""
        try:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar
        except ImportError:
            return False
        console = self._console or Console(stderr=True)
        if not console.is_terminal:
            return False
        share = MofNCompleteColumn() if self._counted else TaskProgressColumn()
        columns = (TextColumn("{task.description}"), BarColumn(), share, TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn())
        bar = Bar(*columns, console=console, transient=True, auto_refresh=self._ticking)
        self._task = bar.add_task(self._title, total=self._total)
        bar.start()
        return bar

    def stop(self) -> None:
        if self._bar:
            self._bar.stop()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def measuring(total: int, title: str, show: bool = True) -> Progress:
    """A bar for so many measurements of time."""
    return Progress(total, title, patience=None if show else math.inf, counted=True, ticking=False)
