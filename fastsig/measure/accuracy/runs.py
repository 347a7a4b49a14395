"""What a call of the command measures, in which order, with a bar for what takes long."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf

from rich.console import Console

from fastsig.measure.accuracy import engines as room
from fastsig.measure.accuracy import exhaustive, loss_runs, multiprecision, records, sampled, sources
from fastsig.measure.accuracy.engines import Engine
from fastsig.measure.accuracy.result import Result
from fastsig.measure.accuracy.state import State
from fastsig.measure.formats import Format
from fastsig.ops import Op
from fastsig.system.terminal import Progress

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
    changed: str = ""
    """a commit: of what is on record as measured in full on such a build, an exhaustive run takes the slice that this picks"""
    budget: float = inf
    """with a commit: seconds after which no further operation is measured in full, whatever is on record"""
    began: float = field(init=False, default=0.0)
    losses: bool = False
    """whether to measure what is promised of the losses too"""
    full: list[tuple[Result, list[Engine]]] = field(default_factory=list)
    """what the run has measured in full, and by which engines"""

    def run(self, console: Console) -> Iterator[Result]:
        self.began = time.perf_counter()
        with Progress(1, "check", console, patience=0.0, counted=True) as bar:
            for op in self.ops:
                for fmt in self.formats:
                    for kind in ("",) if op.nin == 1 else ("hard", "soft"):
                        yield from self._one(op, fmt, kind, bar, console)
            if self.losses:
                yield from self._losses(bar, console)

    def _losses(self, bar: Progress, console: Console) -> Iterator[Result]:
        serving = self.engines if self.named else [e for e in room.every() if e.isa != "baseline"]

        def part() -> int | None:
            return self._part(loss_runs.EXHAUSTIVE[0].op("loss"), serving, console)

        for result in loss_runs.run(self.formats, serving, self.exhaustive, part, self.restart, bar):
            if result.mode == "exhaustive":
                self.full.append((result, serving))
            yield result

    def _one(self, op: Op, fmt: Format, kind: str, bar: Progress, console: Console) -> Iterator[Result]:
        serving = [e for e in self.engines if e.serves(fmt)]
        if not serving:
            return
        everything = self.exhaustive and fmt.name == "float32" and kind != "soft"
        if everything:
            first = self._exhaustive(op, kind, serving, self._part(op.name, [serving[0], *self.compared(serving)], console), bar)
        else:
            first = self._sampled(op, fmt, kind, serving, bar)
        if self.mpmath and fmt.name == "float64":
            first = self._mpmath(op, kind, first, serving[0], bar)
        first.formulas, first.commit = sources.here().formula_hash(op.name, fmt.name), records.commit()
        others = serving if self.named else [e for e in room.every() if e.serves(fmt)]
        first.failures += sampled.same_bits(op, fmt, kind, others, 0.25 if everything else 0.5)
        if len(others) > 1:
            first.notes.append("same bits: " + ", ".join(e.name for e in others))
        yield first

    def _sampled(self, op: Op, fmt: Format, kind: str, serving: list[Engine], bar: Progress) -> Result:
        bar.begin(1, f"{op.name} {fmt.name} {kind}")
        return sampled.measure(op, fmt, kind, serving[0], FULL if self.exhaustive else 1.0)

    def _mpmath(self, op: Op, kind: str, sample: Result, engine: Engine, bar: Progress) -> Result:
        """Beside what the sample found, whose worst inputs were measured in mpmath too."""
        bar.begin(-(-self.mpmath // multiprecision.CHUNK), f"{op.name} float64 {kind} mpmath")
        result = multiprecision.measure(op, kind, engine, self.mpmath, restart=self.restart, advance=bar.advance)
        sampled.judge(op, multiprecision.F64, result)
        result.failures += sample.failures
        result.seconds += sample.seconds
        result.raise_to(sample.worst, sample.at, sample.got)
        return result

    def compared(self, serving: list[Engine]) -> list[Engine]:
        """What an exhaustive run holds against the first, bit by bit."""
        return serving[1:] if self.named else [e for e in room.every() if e != serving[0] and e.isa != "baseline"]

    def _part(self, name: str, engines: list[Engine], console: Console) -> int | None:
        """The slice to be measured; none where all has to be."""
        if not self.changed:
            return None
        before = records.measured_in_full(name, engines)
        spent = time.perf_counter() - self.began > self.budget
        part = exhaustive.slice_of(self.changed) if before or spent else None
        why = "not measured in full on such a build; here all 2^32 inputs"
        if spent:
            why = f"NOT measured in full on such a build, and no time is left for it; here slice {part} of {exhaustive.SLICES}"
        if before:
            why = f"measured in full by {before} on such a build; here slice {part} of {exhaustive.SLICES}, which {self.changed} picks"
        console.print(f"{name} float32: {why}", highlight=False)
        return part

    def _exhaustive(self, op: Op, kind: str, serving: list[Engine], part: int | None, bar: Progress) -> Result:
        """Measure the first backend; of the others, compare checksums of the outputs of each chunk."""
        fmt = exhaustive.F32
        measured, seconds = self._pass(op, serving[0], part, bar, measure=True)
        total, properties = exhaustive.summary(op, measured)
        mode = "exhaustive" if part is None else "slice"
        result = Result(op.name, fmt.name, kind, serving[0].name, mode, total.worst, list(total.at), total.got)
        result.wrong, result.count, result.seconds = total.wrong, total.count, seconds
        sampled.judge(op, fmt, result)
        result.failures += sampled.describe(op.name, fmt, properties)
        result.notes += [f"{name}: {p['broken']} broken" for name, p in properties.items() if name != "_ends"]
        for other in self.compared(serving):
            state, _ = self._pass(op, other, part, bar, measure=False)
            different = exhaustive.differing_chunks(measured, state)
            where = next(filter(None, (exhaustive.first_difference(op, i, serving[0], other) for i in different)), "")
            if where:
                result.failures.append(f"{other.name} differs from {serving[0].name} in {len(different)} chunks, {where}")
            share = "all 2^32 results" if part is None else f"the results of slice {part}"
            result.notes.append(f"differs on {other.name}" if where else f"{share} have the same bits on {other.name}")
        serving[0].activate()
        if part is None:
            self.full.append((result, [serving[0], *self.compared(serving)]))
        return result

    def _pass(self, op: Op, engine: Engine, part: int | None, bar: Progress, *, measure: bool) -> tuple[State, float]:
        bar.begin(exhaustive.CHUNKS, f"{op.name} float32 {engine.name}{'' if measure else ', bits'}")
        began = time.perf_counter()
        state = exhaustive.run(op, engine, measure=measure, part=part, restart=self.restart, advance=bar.advance)
        return state, time.perf_counter() - began
