"""The measures of the losses: all float32 logits where one decides, a sample and a climb from its worst elsewhere, and sums."""

from __future__ import annotations

import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any

import numpy as np

import fastsig as fs
from fastsig.measure.accuracy import exact, exhaustive, inputs, records, sources
from fastsig.measure.accuracy.engines import Engine
from fastsig.measure.accuracy.losses import LOSSES, SUMS, Loss, exact_error, sides
from fastsig.measure.accuracy.result import Result
from fastsig.measure.accuracy.search import moved
from fastsig.measure.accuracy.state import State
from fastsig.measure.formats import Array, Format
from fastsig.measure.ulp import Tally, errors, tally
from fastsig.ops import BY_NAME
from fastsig.system.cpu import available_cpus

EXHAUSTIVE = tuple(loss for loss in LOSSES if loss.exhaustive)
COUNT = 1 << 17
GENERATIONS = 8
THOROUGH = 3.0
"""how much larger samples, and how much longer climbs are in an exhaustive run"""
PARENTS, CHILDREN, SETTLED = 192, 24, 12
LARGEST_WEIGHT = 2.0**10
"""and 2^-10 the least: the bounds hold for products of weights up to 2^30, beyond which a tail may be lost"""
FARTHEST = 1e4
"""of logits that are sampled"""
SUMMED = (1, 2, 7, 1023, 1024, 1025, 5000)


def run(formats: list[Format], serving: list[Engine], thorough: bool, part: Any, restart: bool, bar: Any) -> Iterator[Result]:
    """All losses in these formats by the first engine; ``part()`` names the slice of an exhaustive measure, None for all of it."""
    for fmt in formats:
        if fmt.width == 16:
            continue
        found: list[Result] = []
        everything = thorough and fmt.name == "float32"
        if everything:
            found += _every(serving, part(), restart, bar)
        for loss in LOSSES:
            for kind in ("hard", "soft"):
                if kind == "soft" or not (everything and loss.exhaustive):
                    bar.begin(1, f"{loss.name} {fmt.name} {kind}")
                    found += sampled(loss, fmt, kind, serving, THOROUGH if thorough else 1.0)
        found += sums(fmt, serving[0])
        for result in found:
            result.formulas, result.commit = sources.here().formula_hash(result.op, fmt.name), records.commit()
            if not result.worst <= result.ceiling:
                at = ", ".join(fmt.text(b) for b in result.at)
                result.failures.append(f"{result.worst:.4f} ULP, and {result.ceiling} are allowed; at {at} came out {fmt.text(result.got)}")
        yield from found
        serving[0].activate()


# ---- where a logit alone decides ----


def _block(bits: Array) -> tuple[Array, Array]:
    return bits.view(np.float32), (bits | np.uint32(exhaustive.F32.sign)).view(np.float32)


def _chunk(index: int, backend: str, measure: bool, part: int | None) -> dict[str, Any]:
    """Of one chunk the worst of each result, for each the checksum of its bits, and whether t = 1 mirrors t = 0."""
    found: dict[str, Tally] = {loss.op(output): Tally() for loss in EXHAUSTIVE for output in loss.outputs}
    crc, mirrored = 0, 0
    with np.errstate(all="ignore"):
        for start in exhaustive.starts(index, part):
            both = _block(np.arange(start, start + exhaustive.BLOCK, dtype=np.uint32))
            down, up, s, r = sides(both[0].astype(np.float64)) if measure else (None,) * 4
            four = (down, up, s, r), (up, down, r, s)
            for loss in EXHAUSTIVE:
                kept = {}
                for side, x in enumerate(both):
                    for target in (0, 1):
                        columns = x, np.full(len(x), target, np.float32)
                        got = loss.compute(columns, backend)
                        kept[side, target] = got
                        for value in got:
                            crc = zlib.crc32(value, crc)
                        if not measure:
                            continue
                        for output, value, (want, scale) in zip(
                            loss.outputs, got, loss.reference(tuple(c.astype(np.float64) for c in columns), four[side]), strict=True
                        ):
                            found[loss.op(output)].merge(_tally(want, value, columns, scale))
                if loss.gamma is None and measure:
                    mirrored += sum(_unlike(kept[side, 1], kept[1 - side, 0]) for side in (0, 1))
    record: dict[str, Any] = {"crc": crc}
    if measure:
        record["mirrored"] = mirrored
        record["found"] = {name: (t.worst, t.at, t.got, t.wrong, t.count) for name, t in found.items()}
    return record


def _tally(want: Array, value: Array, columns: tuple[Array, ...], scale: Any) -> Tally:
    """Of what is correctly rounded, as most of the numbers near 0 and far from it are, only the count."""
    if (want.astype(np.float32) == value).all():
        return Tally(0.5, tuple(int(exhaustive.F32.bits(c[:1])[0]) for c in columns), int(exhaustive.F32.bits(value[:1])[0]), 0, len(value))
    return tally(want, value, columns, exhaustive.F32, scale=scale)


def _unlike(one: tuple[Array, ...], other: tuple[Array, ...]) -> int:
    """How many results of x and 1 are not those of -x and 0, the gradient's with the other sign."""
    pairs = zip(one, (other[0], -other[1], other[2]), strict=True)
    return sum(int(np.count_nonzero((a != b) & ~(np.isnan(a) & np.isnan(b)))) for a, b in pairs)


def _pass(engine: Engine, measure: bool, part: int | None, restart: bool, bar: Any) -> State:
    what = "float32" + ("" if measure else "-bits") + ("" if part is None else f"-slice{part}")
    bar.begin(exhaustive.CHUNKS, f"losses float32 {engine.name}{'' if measure else ', bits'}")
    state = State("losses", what, engine, restart)
    engine.activate()
    todo = [i for i in range(exhaustive.CHUNKS) if i not in state.chunks]
    bar.advance(exhaustive.CHUNKS - len(todo))
    stop, saved = threading.Event(), time.monotonic()

    def work(index: int) -> tuple[int, dict[str, Any] | None]:
        return index, None if stop.is_set() else _chunk(index, engine.backend, measure, part)

    with ThreadPoolExecutor(available_cpus()) as pool:
        try:
            for index, record in pool.map(work, todo):
                state.chunks[index] = record
                bar.advance(1)
                if time.monotonic() - saved > exhaustive.SAVE_SECONDS:
                    state.save()
                    saved = time.monotonic()
        finally:
            stop.set()
            state.save()
    return state


def _every(serving: list[Engine], part: int | None, restart: bool, bar: Any) -> list[Result]:
    began = time.perf_counter()
    state = _pass(serving[0], True, part, restart, bar)
    mirrored = sum(chunk["mirrored"] for chunk in state.chunks.values())
    found = []
    for loss in EXHAUSTIVE:
        for output in loss.outputs:
            total = Tally()
            for i in sorted(state.chunks):
                worst, at, got, wrong, count = state.chunks[i]["found"][loss.op(output)]
                total.merge(Tally(worst, tuple(at), got, wrong, count))
            mode = "exhaustive" if part is None else "slice"
            result = Result(loss.op(output), "float32", "hard", serving[0].name, mode, total.worst, list(total.at), total.got)
            result.wrong, result.count = total.wrong, total.count
            if loss.gamma is None and mirrored:
                result.failures.append(f"{mirrored} results of x and 1 are not those of -x and 0")
            found.append(result)
    for other in serving[1:]:
        bits = _pass(other, False, part, restart, bar)
        different = exhaustive.differing_chunks(state, bits)
        if different:
            found[0].failures.append(f"{other.name} differs from {serving[0].name} in {len(different)} chunks, the first {different[0]}")
        else:
            found[0].notes.append(f"all results of the losses have the same bits on {other.name}")
    found[0].seconds = time.perf_counter() - began
    return found


# ---- elsewhere ----


def columns_of(loss: Loss, fmt: Format, kind: str, count: int, seed: int = 3) -> tuple[Array, ...]:
    random = np.random.default_rng([seed, loss.nin])
    op = BY_NAME["bce" if loss.probabilities else "bce_with_logits"]
    x = inputs.spread(op, fmt, count, seed) if fmt.width == 64 else inputs.sample(op, fmt, count, seed)
    x = x[(x >= 2.0**fmt.emin) & (x < 1)] if loss.probabilities else x[np.abs(x) <= FARTHEST]
    t = inputs.targets(fmt, kind, len(x), seed)
    if kind == "soft":
        small = np.exp2(random.uniform(-100.0, 0.0, len(x))).astype(fmt.dtype)
        t = np.where(random.random(len(x)) < 0.3, small, t)
    most = np.log2(LARGEST_WEIGHT)
    weights = [np.exp2(random.uniform(-most, most, len(x))).astype(fmt.dtype) for _ in range(loss.nin - 2)]
    return (x, t, *weights)


def _scored(loss: Loss, fmt: Format, columns: tuple[Array, ...], backend: str) -> list[tuple[Array, Array]]:
    """Of each result the values and their errors."""
    with np.errstate(all="ignore"):
        got = loss.compute(columns, backend)
        want = loss.reference(tuple(fmt.widened(c) for c in columns))
        scored = []
        for value, (y, scale) in zip(got, want, strict=True):
            e = errors(y, value, fmt, scale)
            over = ~np.isfinite(value) & (np.abs(y) >= np.finfo(fmt.dtype).max)
            scored.append((value, np.where(over, 0.0, np.nan_to_num(e, nan=np.inf)).astype(np.float64)))
        return scored


def _children(parents: tuple[Array, ...], fmt: Format, kind: str, random: np.random.Generator, unit: bool) -> tuple[Array, ...]:
    """Neighbours in one or all of the inputs."""
    repeated = [np.repeat(c, CHILDREN) for c in parents]
    count = len(repeated[0])
    which = random.integers(0, len(repeated) + 1, count)
    found = []
    for i, column in enumerate(repeated):
        other = fmt.values(moved(fmt.bits(column), fmt, random))
        if i == 1 or (i == 0 and unit):
            other = column if kind == "hard" and i == 1 else np.clip(np.abs(other), 2.0**fmt.emin, 1 - 2.0 ** -(fmt.mantissa + 1))
        elif i > 1:
            other = np.clip(np.abs(other), 1 / LARGEST_WEIGHT, LARGEST_WEIGHT)
        good = ((which == i) | (which == len(repeated))) & (np.abs(other) <= FARTHEST)
        found.append(np.where(good, other, column).astype(fmt.dtype))
    return tuple(found)


def sampled(loss: Loss, fmt: Format, kind: str, serving: list[Engine], scale: float) -> list[Result]:
    """A sample, and from the worst of each result to their neighbours; float64's worst again in mpmath."""
    began = time.perf_counter()
    engine = serving[0]
    engine.activate()
    random = np.random.default_rng(11)
    found = []
    columns = columns_of(loss, fmt, kind, int(COUNT * scale))
    first = _scored(loss, fmt, columns, engine.backend)
    for i, output in enumerate(loss.outputs):
        value, e = first[i]
        wrong, count = int(np.count_nonzero(e > 0.5)), len(e)
        at, got, score = columns, value, e
        for _ in range(int(GENERATIONS * scale)):
            best = np.argsort(score)[-PARENTS:]
            parents = tuple(c[best] for c in at)
            new = _children(parents, fmt, kind, random, loss.probabilities)
            fresh, e = _scored(loss, fmt, new, engine.backend)[i]
            at = tuple(np.concatenate(pair) for pair in zip(parents, new, strict=True))
            got, score = np.concatenate([got[best], fresh]), np.concatenate([score[best], e])
        best = np.argsort(score)[-SETTLED:]
        worst = max((_settled(loss, output, fmt, at, got, score, int(j)) for j in best), key=lambda w: w[0])
        result = Result(loss.op(output), fmt.name, kind, engine.name, "sample", worst[0], worst[1], worst[2], wrong, count)
        found.append(result)
    for other in serving[1:]:
        other.activate()
        for result, (value, _), again in zip(found, first, loss.compute(columns, other.backend), strict=True):
            if fmt.bits(value).tobytes() != fmt.bits(again).tobytes():
                result.failures.append(f"{other.name} has not the bits of {engine.name}")
    found[0].seconds = time.perf_counter() - began
    return found


def _settled(loss: Loss, output: str, fmt: Format, at: tuple[Array, ...], got: Array, score: Array, j: int) -> tuple[float, list[int], int]:
    error = exact_error(loss, output, fmt, tuple(float(c[j]) for c in at), float(got[j])) if fmt.width == 64 else float(score[j])
    return error, [int(fmt.bits(c[j : j + 1])[0]) for c in at], int(fmt.bits(got[j : j + 1])[0])


def sums(fmt: Format, engine: Engine) -> Iterator[Result]:
    """Reductions against the exact sum of the elements, of which the worst is told with the number of elements."""
    random = np.random.default_rng(5)
    worst = dict.fromkeys(SUMS, (-1.0, 0, 0))
    count = 0
    engine.activate()
    for n in SUMMED:
        for far in (1.0, 20.0, 100.0):
            x, t = (random.normal(size=n) * far).astype(fmt.dtype), random.random(n).astype(fmt.dtype)
            elements = fs.bce_with_logits(x, t, reduction="none", backend=engine.backend, threads=1)
            total = sum((Fraction(float(v)) for v in elements), Fraction(0))
            count += 1
            for how, want in zip(SUMS, (total, total / n), strict=True):
                got = fs.bce_with_logits(x, t, reduction=how, backend=engine.backend, threads=1)
                error = float(abs(Fraction(float(got)) - want) / exact.ulp(fmt, want))
                bits = int(fmt.bits(np.array([got], fmt.dtype))[0])
                worst[how] = max(worst[how], (error, n, bits))
    for how, (error, n, bits) in worst.items():
        yield Result(
            f"cross-entropy: {how}",
            fmt.name,
            "soft",
            engine.name,
            "sample",
            error,
            [int(fmt.bits(np.array([n], fmt.dtype))[0])],
            bits,
            0,
            count,
        )
