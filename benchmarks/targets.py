"""What fastsig promises about speed, and what it reaches on this machine: ``python benchmarks/targets.py``.

Both sides of every ratio are measured in one process, round robin, medians, on one thread unless a line says otherwise.
``--cpu-time`` is for a machine that others use too: it counts the time of this thread (of the process, where there are more)
and so leaves out the moments when another process had the core. Lines with several threads keep the wall clock.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

import fastsig as fs
from fastsig.measure.peers import PEERS, dtype_of
from fastsig.measure.speed.report import machine
from fastsig.measure.timing import Spread, Timed, inputs, interleave, timer

CPU_TIME = False
"""--cpu-time sets it."""

BY_NAME = {peer.name: peer for peer in PEERS}
OURS = ("fastsig c", "fastsig numba")


@dataclass(frozen=True)
class Result:
    """A ratio, and what it should be at least (or at most)."""

    what: str
    at_least: float | None
    at_most: float | None
    reached: float
    detail: str

    @property
    def target(self) -> str:
        return f">= {self.at_least:g}" if self.at_least is not None else f"<= {self.at_most:g}"

    @property
    def ok(self) -> bool:
        return (self.at_least is None or self.reached >= self.at_least) and (self.at_most is None or self.reached <= self.at_most)


def peers(dtype: str, size: int, names: Sequence[str], rounds: int, copy: bool = False) -> dict[str, Spread]:
    """sigmoid with out= by these peers, and np.copyto; the same two arrays for all."""
    x = inputs("sigmoid", dtype_of(dtype), size)
    out = np.zeros_like(x)
    entries = {}
    if copy:
        entries = {f"np.copyto {threads}": Timed(timer(lambda: np.copyto(out, x), CPU_TIME, threads)) for threads in (0, 1)}
    for name in names:
        peer = BY_NAME[name]
        calls = peer.prepare("sigmoid", x, out) if peer.installed else None
        if calls is not None and calls.out is not None:
            entries[name] = Timed(timer(calls.out, CPU_TIME, peer.threads), calls.before, peer.threads)
    return interleave(entries, rounds)


def ns(spread: Spread, size: int) -> str:
    return f"{spread.median / size * 1e9:.3f} ± {spread.iqr / size * 5e8:.3f}"


def against_torch(dtype: str, size: int, at_least: float, rounds: int) -> list[Result]:
    found = peers(dtype, size, (*OURS, "torch, 1 thread"), rounds)
    theirs = found.get("torch, 1 thread")
    return [
        Result(
            f"sigmoid {dtype} {size:,}, out=: torch / {name}", at_least, None, theirs.median / found[name].median,
            f"{ns(found[name], size)} against {ns(theirs, size)} ns/element",
        )
        for name in OURS
        if theirs and name in found
    ]  # fmt: skip


def in_cache(rounds: int) -> list[Result]:
    return against_torch("float32", 10**5, 1.5, rounds) + against_torch("float64", 5 * 10**4, 1.4, rounds)


def halves(rounds: int) -> list[Result]:
    return against_torch("float16", 10**5, 1.2, rounds) + against_torch("bfloat16", 10**5, 1.2, rounds)


def memory(rounds: int) -> list[Result]:
    size = 3 * 10**7
    found = peers("float32", size, ("fastsig c", "fastsig"), max(9, rounds // 3), copy=True)
    titles = {"fastsig c": "one thread", "fastsig": f"{fs.get_num_threads()} threads"}
    copies = {"fastsig c": found["np.copyto 1"], "fastsig": found["np.copyto 0"]}
    return [
        Result(
            f"sigmoid float32 {size:,}, out=, {title}: time / np.copyto", None, 1.0, found[name].median / copies[name].median,
            f"{ns(found[name], size)} against {ns(copies[name], size)} ns/element",
        )
        for name, title in titles.items()
        if name in found
    ]  # fmt: skip


def small_calls(rounds: int) -> list[Result]:
    """The call as users write it: no closure around it, unlike in the table of peers."""
    hundred, one = inputs("sigmoid", np.dtype(np.float32), 100), inputs("sigmoid", np.dtype(np.float32), 1)
    ours: dict[str, Any] = {"0.5": 0.5, "1 float32": one, "100 float32": hundred}
    others: list[tuple[str, str, Callable[..., Any], Any, float]] = [
        ("0.5", "np.exp", np.exp, 0.5, 1.5),
        ("100 float32", "np.negative", np.negative, hundred, 1.5),
    ]
    if importlib.util.find_spec("torch"):
        import torch

        torch.set_num_threads(1)
        for name, x in ours.items():
            others.append((name, "torch.sigmoid", torch.sigmoid, torch.tensor(x), 0.5))
    entries = {name: Timed(timer("f(x)", CPU_TIME, f=fs.sigmoid, x=x)) for name, x in ours.items()}
    entries |= {f"{what} {name}": Timed(timer("f(x)", CPU_TIME, f=f, x=x)) for what, name, f, x, _ in others}
    found = interleave(entries, rounds * 2)
    return [
        Result(
            f"call on {what}: fs.sigmoid / {name}", None, at_most, found[what].median / found[f"{what} {name}"].median,
            f"{found[what].median * 1e9:.0f} against {found[f'{what} {name}'].median * 1e9:.0f} ns a call",
        )
        for what, name, _, _, at_most in others
    ]  # fmt: skip


def imports(rounds: int) -> list[Result]:
    seconds: dict[str, list[float]] = {"numpy": [], "fastsig": []}
    for turn in range(max(15, rounds // 2) + 1):
        for name, times in seconds.items():
            clock = "process_time" if CPU_TIME else "perf_counter"
            code = f"import time; t = time.{clock}(); import {name}; print(time.{clock}() - t)"
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
            if turn:  # the first fills the disk cache
                times.append(float(done.stdout))
    ours, theirs = median(seconds["fastsig"]), median(seconds["numpy"])
    detail = f"{ours * 1e3:.0f} against {theirs * 1e3:.0f} ms"
    return [Result("import fastsig / import numpy, fresh processes", None, 1.5, ours / theirs, detail)]


GROUPS: dict[str, Callable[[int], list[Result]]] = {
    "cache": in_cache,
    "memory": memory,
    "calls": small_calls,
    "import": imports,
    "halves": halves,
}


def show(results: Sequence[Result]) -> None:
    width = max(len(result.what) for result in results)
    print(f"{'':{width}}  target  reached")
    for result in results:
        print(f"{result.what:{width}}  {result.target:>6}  {result.reached:7.2f}  {'yes' if result.ok else 'NO '}  {result.detail}")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=GROUPS, default=list(GROUPS))
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--cpu-time", action="store_true", help="count processor time, not wall time, where one thread computes")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args(argv)
    global CPU_TIME
    CPU_TIME = arguments.cpu_time
    results = [result for name in arguments.only for result in GROUPS[name](arguments.rounds)]
    show(results)
    if arguments.json:
        rows = [asdict(result) | {"target": result.target, "ok": result.ok} for result in results]
        arguments.json.write_text(json.dumps({"machine": machine(), "targets": rows}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
