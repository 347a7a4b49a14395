"""What a call of the command measures, in which order, with a bar for what takes long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from ..ops import Op
from . import engines as room
from . import exhaustive, multiprecision, sampled
from .engines import Engine
from .formats import Format
from .result import Result
from .state import State, formula_hash

FULL = 10.0
"""how much larger the samples of an exhaustive run are"""


@dataclass
class Plan:
    """Operations, formats and backends, and how thoroughly."""

    ops: list[Op]
    formats: list[Format]
    engines: list[Engine]
    exhaustive: bool
    restart: bool
    named: bool
    """the user named the backends: then nothing else is compared"""
    mpmath: int = 0
    """on how many float64 inputs of an operation mpmath is the reference, besides the sample's long double"""

    def run(self, console: Console) -> Iterator[Result]:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=console, transient=True) as bar:
            for op in self.ops:
                for fmt in self.formats:
                    for kind in ("",) if op.nin == 1 else ("hard", "soft"):
                        yield from self._one(op, fmt, kind, bar)

    def _one(self, op: Op, fmt: Format, kind: str, bar: Progress) -> Iterator[Result]:
        serving = [e for e in self.engines if e.serves(fmt)]
        if not serving:
            return
        everything = self.exhaustive and fmt.name == "float32" and kind != "soft"
        first = self._exhaustive(op, kind, serving, bar) if everything else self._sampled(op, fmt, kind, serving, bar)
        if self.mpmath and fmt.name == "float64":
            first = self._mpmath(op, kind, first, serving[0], bar)
        first.formulas = formula_hash()
        others = serving if self.named else [e for e in room.every() if e.serves(fmt)]
        first.failures += sampled.same_bits(op, fmt, kind, others, 0.25 if everything else 0.5)
        if len(others) > 1:
            first.notes.append("same bits: " + ", ".join(e.name for e in others))
        yield first

    def _sampled(self, op: Op, fmt: Format, kind: str, serving: list[Engine], bar: Progress) -> Result:
        task = bar.add_task(f"{op.name} {fmt.name} {kind}", total=1)
        result = sampled.measure(op, fmt, kind, serving[0], FULL if self.exhaustive else 1.0)
        bar.remove_task(task)
        return result

    def _mpmath(self, op: Op, kind: str, sample: Result, engine: Engine, bar: Progress) -> Result:
        """Beside what the sample found, whose worst inputs were measured in mpmath too."""
        task = bar.add_task(f"{op.name} float64 {kind} mpmath", total=-(-self.mpmath // multiprecision.CHUNK))
        result = multiprecision.measure(op, kind, engine, self.mpmath, restart=self.restart, advance=lambda n: bar.advance(task, n))
        bar.remove_task(task)
        sampled.judge(op, multiprecision.F64, result)
        result.failures += sample.failures
        result.seconds += sample.seconds
        result.raise_to(sample.worst, sample.at, sample.got)
        return result

    def _exhaustive(self, op: Op, kind: str, serving: list[Engine], bar: Progress) -> Result:
        """Measure the first backend; of the others, compare checksums of the outputs of each chunk."""
        fmt = exhaustive.F32
        measured, seconds = self._pass(op, serving[0], bar, measure=True)
        total, properties = exhaustive.summary(op, measured)
        result = Result(op.name, fmt.name, kind, serving[0].name, "exhaustive", total.worst, list(total.at), total.got)
        result.wrong, result.count, result.seconds = total.wrong, total.count, seconds
        sampled.judge(op, fmt, result)
        result.failures += sampled.describe(op.name, fmt, properties)
        result.notes += [f"{name}: {p['broken']} broken" for name, p in properties.items() if name != "_ends"]
        for other in serving[1:] if self.named else [e for e in room.every() if e != serving[0] and e.isa != "baseline"]:
            state, _ = self._pass(op, other, bar, measure=False)
            different = exhaustive.differing_chunks(measured, state)
            where = next(filter(None, (exhaustive.first_difference(op, i, serving[0], other) for i in different)), "")
            if where:
                result.failures.append(f"{other.name} differs from {serving[0].name} in {len(different)} chunks, {where}")
            result.notes.append(f"differs on {other.name}" if where else f"all 2^32 results have the same bits on {other.name}")
        serving[0].activate()
        return result

    def _pass(self, op: Op, engine: Engine, bar: Progress, *, measure: bool) -> tuple[State, float]:
        task = bar.add_task(f"{op.name} float32 {engine.name}{'' if measure else ', bits'}", total=exhaustive.CHUNKS)
        began = time.perf_counter()
        state = exhaustive.run(op, engine, measure=measure, restart=self.restart, advance=lambda n: bar.advance(task, n))
        bar.remove_task(task)
        return state, time.perf_counter() - began
