"""What commands print: tables and progress, with rich where it is installed."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

PATIENCE = 2.0
"""Seconds before a progress bar appears: what is over by then needs none."""


def show(rows: Sequence[Sequence[str]], header: Sequence[str] = ()) -> None:
    """Print the rows: as a table where rich is installed, else as plain text."""
    try:
        from rich.console import Console
        from rich.table import Table
    except ImportError:
        lines = [*([header] if header else []), *rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        print("\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines))
        return
    table = Table(show_header=bool(header))
    for i in range(len(rows[0]) if rows else len(header)):
        table.add_column(header[i] if header else "", no_wrap=bool(header) or i == 0, overflow="fold")
    for row in rows:
        table.add_row(*row)
    Console(highlight=False, markup=False, width=None if sys.stdout.isatty() else 120).print(table)


class Progress:
    """How much of a total is done."""

    def __init__(self, total: int, title: str, console: Any = None) -> None:
        self._total, self._title, self._console = total, title, console
        self._done, self._start = 0, time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def advance(self, amount: int) -> None:
        self._done += amount
        if self._bar is None and time.monotonic() - self._start >= PATIENCE:
            self._bar = self._shown()
        if self._bar:
            self._bar.update(self._task, completed=self._done)

    def _shown(self) -> Any:
        """The bar on a terminal's standard error; False where there is no terminal or no rich."""
        try:
            from rich.console import Console
            from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar
        except ImportError:
            return False
        console = self._console or Console(stderr=True)
        if not console.is_terminal:
            return False
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        bar = Bar(*columns, console=console, transient=True)
        self._task = bar.add_task(self._title, total=self._total)
        bar.start()
        return bar

    def stop(self) -> None:
        if self._bar:
            self._bar.stop()


@contextmanager
def progress(total: int, title: str) -> Iterator[Progress]:
    """A bar on the terminal once PATIENCE has passed."""
    shown = Progress(total, title)
    try:
        yield shown
    finally:
        shown.stop()
