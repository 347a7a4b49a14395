"""The measures that take seconds: samples of float32 and float64, all of the 16-bit formats, and both arguments of the losses."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from fastsig.measure.accuracy import exact, inputs, properties, records
from fastsig.measure.accuracy.engines import Engine, run
from fastsig.measure.accuracy.result import Result
from fastsig.measure.formats import Array, Format
from fastsig.measure.reference import binary, unary
from fastsig.measure.ulp import DOUBT, errors, tally
from fastsig.ops import Op

COUNT = {"float32": 1 << 22, "float64": 1 << 20}
SMALL_COUNT = {"float32": 1 << 19, "float64": 1 << 18}
"""of the two-argument operations"""
VERIFIED = 150
"""inputs on which the wide reference is held against mpmath in every run"""
REFERENCE_ERROR = {"float16": DOUBT, "bfloat16": DOUBT, "float32": DOUBT, "float64": 0.02}
"""what the reference may be off by, in ULP of the narrow format; for float64 the worst inputs are measured again in mpmath"""
BLOCK = 1 << 18


def reference(op: Op, fmt: Format, columns: tuple[Array, ...]) -> tuple[Array, Any]:
    """The wide reference and the magnitude whose last place counts."""
    wide = tuple(fmt.widened(c) for c in columns)
    with np.errstate(all="ignore"):
        if op.nin == 1:
            return unary(op.name, wide[0]), op.scale_floor or None
        return binary(op.name, wide[0], wide[1])


def columns_of(op: Op, fmt: Format, kind: str, scale: float) -> tuple[Array, ...]:
    """The inputs of a sampled measure."""
    known = np.array(records.worst_known(op.name, fmt.name, kind), fmt.integer).reshape(-1, op.nin).T
    if op.nin == 1:
        return (np.concatenate([inputs.sample(op, fmt, int(COUNT.get(fmt.name, 0) * scale)), fmt.values(known[0])]),)
    x = inputs.sample(op, fmt, int(SMALL_COUNT.get(fmt.name, 0) * scale))
    if fmt.width == 16:
        x = np.tile(x, 8)
    columns = (x, inputs.targets(fmt, kind, len(x)))
    return tuple(np.concatenate([column, fmt.values(bits)]) for column, bits in zip(columns, known, strict=True))


def measure(op: Op, fmt: Format, kind: str, engine: Engine, scale: float = 1.0) -> Result:
    """Measure one operation in one format on one backend."""
    began = time.perf_counter()
    engine.activate()
    ufunc = engine.ufunc(op.name, fmt)
    columns = columns_of(op, fmt, kind, scale)
    result = Result(op.name, fmt.name, kind, engine.name, "all" if fmt.width == 16 and op.nin == 1 else "sample", -1.0, [], 0, 0, 0)
    rounder = exact.Rounder(op, fmt) if fmt.width < 64 and op.nin == 1 else None
    worst_few: list[tuple[float, tuple[int, ...], int]] = []
    for start in range(0, len(columns[0]), BLOCK):
        part = tuple(c[start : start + BLOCK] for c in columns)
        got = _without_flags(ufunc, part, op, fmt, result)
        y, size = reference(op, fmt, part)
        with np.errstate(all="ignore"):
            t = tally(y, got, part, fmt, scale=size, rounded=rounder)
            if fmt.width == 64:
                worst_few += _worst(y, got, part, fmt, size, int(12 * scale) + 4)
        if t.worst > result.worst:
            result.worst, result.at, result.got = t.worst, list(t.at), t.got
        result.wrong += t.wrong
        result.count += t.count
        _zeros(result, fmt, y, got, part)
    if worst_few:
        _again(op, fmt, kind, worst_few, result)
    off = _verify(op, fmt, columns)
    if not off <= REFERENCE_ERROR[fmt.name]:
        result.failures.append(f"the reference itself is off by {off:.3g} ULP from mpmath: its numbers mean nothing")
    _properties(op, fmt, ufunc, result)
    judge(op, fmt, result)
    result.seconds = time.perf_counter() - began
    return result


def _without_flags(ufunc: np.ufunc, part: tuple[Array, ...], op: Op, fmt: Format, result: Result) -> Array:
    """The results; a floating-point flag that the kernels leave behind is a failure, told with the first input that does."""
    try:
        return run(ufunc, *part)
    except FloatingPointError as error:
        one = part
        while len(one[0]) > 1:
            half = len(one[0]) // 2
            first = tuple(c[:half] for c in one)
            one = first if _raises(ufunc, first) else tuple(c[half:] for c in one)
        at = ", ".join(f"{name} = {fmt.text(int(fmt.bits(c)[0]))}" for name, c in zip(op.inputs, one, strict=True))
        result.failures.append(f"NumPy saw a floating-point flag ({error}) at {at}")
    with np.errstate(all="ignore"):
        return ufunc(*part)


def _raises(ufunc: np.ufunc, part: tuple[Array, ...]) -> bool:
    try:
        run(ufunc, *part)
    except FloatingPointError:
        return True
    return False


def _worst(y: Array, got: Array, part: tuple[Array, ...], fmt: Format, size: Any, count: int) -> list[tuple[float, tuple[int, ...], int]]:
    e = np.nan_to_num(errors(y, got, fmt, size), nan=-1.0, posinf=-1.0)
    few = np.argpartition(e, -count)[-count:] if len(e) > count else np.arange(len(e))
    return [(float(e[i]), tuple(int(fmt.bits(c[i : i + 1])[0]) for c in part), int(fmt.bits(got[i : i + 1])[0])) for i in few]


def _again(op: Op, fmt: Format, kind: str, few: list[tuple[float, tuple[int, ...], int]], result: Result) -> None:
    """The worst inputs once more in mpmath, which then has the say."""
    if not np.isfinite(result.worst):
        return
    result.worst = -1.0
    for _, at, got in sorted(few, reverse=True)[: max(64, len(few) // 8)]:
        error = precise(op, fmt, at, got, kind)
        if error > result.worst:
            result.worst, result.at, result.got = error, list(at), got


def precise(op: Op, fmt: Format, at: tuple[int, ...], got: int, kind: str = "") -> float:
    """The error at one input, in mpmath."""
    args = tuple(float(fmt.values(np.array([b]))[0]) for b in at)
    scale = op.scale_floor
    if op.name == "bce_with_logits_grad" and kind == "soft":
        scale = max(args[1], float(unary("sigmoid", np.array([args[0]], np.longdouble))[0]))
    return exact.error(op, fmt, args, float(fmt.values(np.array([got]))[0]), scale)


def _verify(op: Op, fmt: Format, columns: tuple[Array, ...]) -> float:
    random = np.random.default_rng(1)
    x = fmt.widened(columns[0])
    finite = np.isfinite(x)
    if op.domain == "unit":
        finite &= (x > 0) & (x < 1)
    chosen = random.choice(np.flatnonzero(finite), VERIFIED // (2 if fmt.width == 64 else 1))
    return exact.verify(op, fmt, tuple(c[chosen] for c in columns))


def _zeros(result: Result, fmt: Format, y: Array, got: Array, part: tuple[Array, ...]) -> None:
    """In the 16-bit formats correctly rounded means the bits, so the sign of a zero too."""
    if fmt.width != 16 or len(part) > 1:
        return
    have = fmt.widened(got)
    bad = (have == 0) & (np.signbit(have) != np.signbit(y))
    if bad.any():
        i = int(np.argmax(bad))
        result.wrong += int(np.count_nonzero(bad))
        result.failures.append(
            f"the wrong sign of zero at {fmt.text(int(fmt.bits(part[0][i : i + 1])[0]))}, and {np.count_nonzero(bad)} in all"
        )


def _properties(op: Op, fmt: Format, ufunc: np.ufunc, result: Result) -> None:
    """On consecutive magnitudes: all of the 16-bit formats, and around the hard places of the wider ones."""
    found: dict[str, Any] = {}
    for bits in _runs(op, fmt):
        x = (fmt.values(bits), fmt.values(bits | fmt.integer.type(fmt.sign)))
        with np.errstate(all="ignore"):
            block: dict[str, Any] = {}
            targets = [()] if op.nin == 1 else [(np.zeros(len(bits), fmt.dtype),), (np.ones(len(bits), fmt.dtype),)]
            properties.scan(op.name, x, tuple(ufunc(side, *t) for t in targets for side in x), block)
        for name, entry in block.items():
            if name != "ends":
                total = found.setdefault(name, {"broken": 0})
                total["broken"] += entry["broken"]
                if "at" in entry:
                    total.setdefault("at", entry["at"])
    result.failures += describe(op.name, fmt, found)


def describe(op: str, fmt: Format, found: dict[str, Any]) -> list[str]:
    """A line for each promised property that is broken."""
    return [
        f"{name} is broken at {fmt.text(found[name].get('at', 0))}, and at {found[name]['broken']} inputs in all"
        for name in properties.broken_promises(op, found)
    ]


def _runs(op: Op, fmt: Format) -> Iterator[Array]:
    if fmt.width == 16:
        yield np.arange(1 << 15, dtype=np.uint16)
        return
    for place in (*inputs.places(op), 1e-5, 3.0, 30.0, np.inf):
        centre = int(fmt.bits(np.array([place]).astype(fmt.dtype))[0])
        yield np.arange(max(0, centre - 4096), centre + 4096).astype(fmt.integer)


def judge(op: Op, fmt: Format, result: Result) -> None:
    """Add the failure, if the ceiling is passed, in full: input, exact value, what came out."""
    if fmt.width == 16 and op.nin == 1 and result.wrong:
        reason = f"{result.wrong} of {result.count} results are not correctly rounded"
    elif result.worst > result.ceiling:
        reason = f"{result.worst:.4f} ULP, and {result.ceiling} are allowed"
    else:
        return
    result.failures.append(f"{reason}; {where(op, fmt, result)}")


def where(op: Op, fmt: Format, result: Result) -> str:
    args = tuple(float(fmt.values(np.array([b]))[0]) for b in result.at)
    at = ", ".join(f"{name} = {fmt.text(b)}" for name, b in zip(op.inputs, result.at, strict=True))
    return f"at {at} exact {exact.text(op, fmt, args)}, came out {fmt.text(result.got)}"


def same_bits(op: Op, fmt: Format, kind: str, engines: list[Engine], scale: float = 1.0) -> list[str]:
    """Whether all engines give the bits of the first, on the sample; a line for each that does not."""
    columns = columns_of(op, fmt, kind, scale)
    wanted = None
    lines = []
    for engine in engines:
        if not engine.serves(fmt):
            continue
        engine.activate()
        slow = engine.isa == "baseline" and fmt.width > 16
        part = tuple(c[:: 41 if slow else 1] for c in columns)
        got = fmt.bits(run(engine.ufunc(op.name, fmt), *part))
        if wanted is None:
            wanted = got
            continue
        want = wanted[::41] if slow else wanted
        bad = (got != want) & ~(_is_nan(fmt, got) & _is_nan(fmt, want))
        if bad.any():
            i = int(np.argmax(bad))
            at = ", ".join(fmt.text(int(fmt.bits(c[i : i + 1])[0])) for c in part)
            lines.append(
                f"{engine.name} differs from {engines[0].name} at {np.count_nonzero(bad)} of {len(bad)} inputs, first at {at}: "
                f"{fmt.text(int(got[i]))} against {fmt.text(int(want[i]))}"
            )
    engines[0].activate()
    return lines


def _is_nan(fmt: Format, bits: Array) -> Array:
    return (bits & fmt.integer.type(fmt.sign - 1)) > fmt.integer.type(fmt.inf_bits)
