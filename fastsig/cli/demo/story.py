"""What the demo shows, in order. The only part of it that prints."""

from __future__ import annotations

import math
import time

from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

import fastsig as fs
from fastsig.cli.demo import comparison, regression

AGREEMENT = 1e-4
"""The largest difference from scikit-learn's coefficients that counts as the same optimum."""


NEXT = (
    ("python -m fastsig demo --plot demo.png", "the fit, the errors and the speed as a picture"),
    ("python -m fastsig info", "what is installed here, and what serves"),
    ("python -m fastsig bench --ops all", "every operation beside the libraries that are installed"),
    ("python -m fastsig gradflow", "where deep networks lose their gradient (needs torch)"),
    ('python -c "import fastsig; help(fastsig.bce_with_logits_value_and_grad)"', "a loss and its gradient in one call"),
)
"""What is worth trying after the demo, and what it shows."""


def tell(plot: str | None = None) -> int:
    """Run the demo and print it; with ``plot`` also draw it into that file. 0 if the fit agrees with scikit-learn's, else 1."""
    began = time.perf_counter()
    console = Console(highlight=False, markup=False)
    console.print(f"fastsig {fs.__version__}, backends: " + ", ".join(n for n, status in fs.backends().items() if status == "available"))
    fit = _regression(console)
    rows = _peers(console)
    console.print(f"\n{time.perf_counter() - began:.1f} s in all.")
    if plot:
        from fastsig.cli.demo.picture import draw

        draw(fit, rows, plot)
        console.print(f"The picture is in {plot}.", soft_wrap=True)
    _what_next(console, plot)
    return 0 if fit.agrees else 1


def _what_next(console: Console, plot: str | None) -> None:
    console.print("\nWhat to try next:")
    for command, shows in NEXT:
        if not (plot and "--plot" in command):
            console.print(f"  {command}\n      {shows}", soft_wrap=True)


def _regression(console: Console) -> regression.Fit:
    data = regression.load()
    rows = len(data.train_y)
    console.print(f"\n1. Logistic regression on the breast-cancer table: {rows} rows, {len(data.held_y)} held out")
    losses, model, calls = _fit(console, data)
    theirs = regression.fit_by_sklearn(data)
    difference = model.furthest_from(theirs)
    console.print(
        f"accuracy on held-out rows: {model.accuracy(data.held_x, data.held_y):.4f} "
        f"(scikit-learn {theirs.accuracy(data.held_x, data.held_y):.4f})"
    )
    agrees = difference < AGREEMENT
    console.print(f"largest difference from scikit-learn's coefficients: {difference:.1e}, {'agrees' if agrees else 'DOES NOT AGREE'}")
    if not agrees:
        console.print(f"The demo failed: the difference must be below {AGREEMENT:.0e}.")
    logits = model.logits(data.train_x)
    served = Table.grid(padding=(0, 1))
    for op in ("bce_with_logits", "bce_with_logits_grad"):
        served.add_row(f" {calls} x", fs.explain(logits, data.train_y, op=op))
    served.add_row("  1 x", fs.explain(model.logits(data.held_x), op="sigmoid"))
    console.print("calls, and what served them:", served, sep="\n")
    return regression.Fit(losses, regression.loss_of(theirs, data), agrees)


def _fit(console: Console, data: regression.Data) -> tuple[list[float], regression.Model, int]:
    """The losses, the model and the number of calls.

    Every loss is shown on a bar where there is a terminal, and some on lines of their own everywhere.
    """
    columns = (TextColumn("  L-BFGS-B"), BarColumn(20), TextColumn("iteration {task.fields[number]}  loss {task.fields[loss]}"))
    target = regression.OPTIONS["gtol"]
    history: list[tuple[float, float]] = []
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("fit", total=1.0, number=0, loss="")

        def say() -> None:
            loss, gradient = history[-1]
            console.print(f"  iteration {len(history):3d}   loss {loss:12.8f}   largest gradient entry {gradient:.1e}")

        def each(loss: float, gradient: float) -> None:
            history.append((loss, gradient))
            first = max(history[0][1], 2 * target)
            done = math.log(first / max(gradient, target), first / target)
            progress.update(task, completed=done, number=len(history), loss=f"{loss:.6f}", refresh=True)
            if _power_of_two(len(history)):
                say()

        model, calls = regression.fit(data, each)
        if history and not _power_of_two(len(history)):
            say()
    return [loss for loss, _ in history], model, calls


def _power_of_two(n: int) -> bool:
    return n & (n - 1) == 0


def _peers(console: Console) -> list[comparison.Row]:
    console.print(f"\n2. Sigmoid of {comparison.SIZE:,} elements, beside the peers that are installed")
    rows = comparison.compare()
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("", no_wrap=True)
    for heading in ("ns\nf32", "ns\nf64", "ULP\nf32", "ULP f32\ntail", "ULP\nf64", "ULP f64\ntail", "f32\nof -100"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        errors = [row.ulp.get((dtype, where)) for dtype in ("float32", "float64") for where in ("normal", "tail")]
        table.add_row(
            row.name,
            *(f"{ns:.2f}" if (ns := row.nanoseconds[dtype]) < 10 else f"{ns:.0f}" for dtype in ("float32", "float64")),
            *("?" if error is None else f"{error:.2f}" if error < 1000 else f"{error:.0e}" for error in errors),
            f"{row.at_minus_100:.3g}",
        )
    console.print(table)
    console.print(
        f"ns: one element, one thread, output reused, median of {comparison.ROUNDS} interleaved rounds.\n"
        f"ULP: largest error over {comparison.SAMPLES:,} inputs; tail: where the true value is subnormal.\n"
        "f32 of -100: sigmoid(-100) in float32; the true value is 3.78e-44."
    )
    if any(not row.ulp.get(("float64", "normal")) for row in rows):
        console.print("?: longdouble has no more digits than float64 on this platform, so float64 cannot be judged.")
    return rows
