"""float64 against mpmath at 200 bits: a million inputs of every operation, on all cores, in chunks that survive an interruption."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Any

import mpmath  # type: ignore[import-untyped, unused-ignore]
import numpy as np

from fastsig.measure.accuracy import exact, inputs
from fastsig.measure.accuracy.engines import Engine
from fastsig.measure.accuracy.engines import run as compute
from fastsig.measure.accuracy.result import Result
from fastsig.measure.accuracy.state import State
from fastsig.measure.formats import FORMATS, Array
from fastsig.measure.ulp import Tally
from fastsig.ops import BY_NAME, Op
from fastsig.system.cpu import available_cpus

F64 = FORMATS["float64"]
BITS = 200
CHUNK = 1 << 13
CHECKED = 200
"""inputs on which the forms below are held against the table's formulas with exact.BITS bits, in every run"""
FORM_ERROR = 2.0**-90
"""what a form may be off by, in ULP of float64: 200 bits less the 53 of float64 and less what p near 1/2 and s - t cancel"""
SAVE_SECONDS = 5.0
LIMIT = mpmath.ldexp(2 - mpmath.ldexp(1, -F64.mantissa - 1), 1 - F64.emin)
"""From here on the nearest float64 is an infinity"""


def _sigmoid(mp: Any, x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def _softplus(mp: Any, x: Any) -> Any:
    return x + mp.log1p(mp.exp(-x)) if x > 0 else mp.log1p(mp.exp(x))


def _silu_grad(mp: Any, x: Any) -> Any:
    return _sigmoid(mp, x) * (1 + x * _sigmoid(mp, -x))


def _bce_with_logits(mp: Any, x: Any, t: Any) -> Any:
    return (t * _softplus(mp, -x) if t else 0) + ((1 - t) * _softplus(mp, x) if t != 1 else 0)


def _bce_with_logits_grad(mp: Any, x: Any, t: Any) -> Any:
    return (1 - t) * _sigmoid(mp, x) - t * _sigmoid(mp, -x)


def _bce(mp: Any, p: Any, t: Any) -> Any:
    return (-t * mp.log(p) if t else 0) + (-(1 - t) * mp.log1p(-p) if t != 1 else 0)


def _bce_grad(mp: Any, p: Any, t: Any) -> Any:
    return (p - t) / (p * (1 - p)) if 0 < t < 1 else (1 - t) / (1 - p) - t / p


FORMS: dict[str, Callable[..., Any]] = {
    "sigmoid": _sigmoid,
    "sigmoid_grad": lambda mp, x: _sigmoid(mp, x) * _sigmoid(mp, -x),
    "softplus": _softplus,
    "log_sigmoid": lambda mp, x: -_softplus(mp, -x),
    "logit": lambda mp, p: mp.log(p / (1 - p)),
    "silu": lambda mp, x: x * _sigmoid(mp, x),
    "silu_grad": _silu_grad,
    "tanh": lambda mp, x: mp.tanh(x),
    "tanh_grad": lambda mp, x: 4 * _sigmoid(mp, 2 * x) * _sigmoid(mp, -2 * x),
    "bce_with_logits": _bce_with_logits,
    "bce_with_logits_grad": _bce_with_logits_grad,
    "bce": _bce,
    "bce_grad": _bce_grad,
}
"""The operations without the cancellation of their definitions, which need 1,400 bits for the same"""


def _scale(op: Op, args: tuple[Any, ...], y: Any) -> Any:
    """The magnitude whose last place counts."""
    if op.name == "bce_with_logits_grad" and 0 < args[1] < 1:
        return max(_sigmoid(mpmath.mp, args[0]), args[1])
    return max(abs(y), op.scale_floor)


def _place(size: Any) -> int:
    """The exponent of the last place of a number of this magnitude."""
    return max(int(mpmath.mag(size)) - 1 if size else F64.emin, F64.emin) - F64.mantissa


def error(op: Op, args: tuple[float, ...], got: float) -> float:
    """|got - exact| in ULP; inf where a NaN came out, or an infinity for a number."""
    with mpmath.workprec(BITS):
        wide = tuple(mpmath.mpf(a) for a in args)
        y = FORMS[op.name](mpmath.mp, *wide)
        if abs(y) >= LIMIT or not np.isfinite(got):
            return 0.0 if abs(y) >= LIMIT and got == (np.inf if y > 0 else -np.inf) else float("inf")
        return float(mpmath.ldexp(abs(got - y), -_place(_scale(op, wide, y))))


def columns_of(op: Op, kind: str, index: int, count: int) -> tuple[Array, ...]:
    """The inputs of a chunk, which its number decides."""
    x = inputs.spread(op, F64, count, seed=index)
    return (x,) if op.nin == 1 else (x, inputs.spread_targets(op, F64, kind, x, seed=index))


def form_error(op: Op, kind: str) -> float:
    """The largest difference of the 200-bit form from the table's formula, in ULP of float64."""
    worst = 0.0
    for args in zip(*(c.tolist() for c in columns_of(op, kind, 0, CHECKED)), strict=True):
        want = exact.value(op, F64, args)
        with mpmath.workprec(BITS):
            wide = tuple(mpmath.mpf(a) for a in args)
            have = FORMS[op.name](mpmath.mp, *wide)
            place = _place(_scale(op, wide, have))
        with mpmath.workprec(exact.BITS[F64.name]):
            worst = max(worst, float(mpmath.ldexp(abs(have - want), -place)))
    return worst


def _work(name: str, columns: tuple[Array, ...], got: Array) -> dict[str, Any]:
    """One chunk, in a process of its own."""
    op = BY_NAME[name]
    found = [error(op, tuple(args), y) for *args, y in zip(*(c.tolist() for c in columns), got.tolist(), strict=True)]
    i = int(np.argmax(found))
    at = [int(F64.bits(c[i : i + 1])[0]) for c in columns]
    wrong = sum(e > 0.5 for e in found)
    return {"worst": found[i], "at": at, "got": int(F64.bits(got[i : i + 1])[0]), "wrong": wrong, "count": len(found)}


def _leave_ctrl_c_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def run(op: Op, kind: str, engine: Engine, count: int, *, restart: bool = False, advance: Any = None) -> State:
    """Finish every chunk that the state file does not have; ``advance(n)`` hears of n finished chunks. Ctrl-C keeps what is done."""
    state = State(f"{op.name}{kind and '-'}{kind}", "float64-mpmath", engine, restart)
    engine.activate()
    ufunc = engine.ufunc(op.name, F64)
    chunks = -(-count // CHUNK)
    todo = [i for i in range(chunks) if i not in state.chunks]
    if advance:
        advance(chunks - len(todo))
    cores = available_cpus()
    saved = time.monotonic()
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn"), _leave_ctrl_c_to_the_parent) as pool:
        pending: dict[Future[dict[str, Any]], int] = {}
        try:
            while todo or pending:
                while todo and len(pending) < 2 * cores:
                    index = todo.pop(0)
                    columns = columns_of(op, kind, index, CHUNK)
                    pending[pool.submit(_work, op.name, columns, compute(ufunc, *columns))] = index
                for future in wait(pending, return_when=FIRST_COMPLETED).done:
                    state.chunks[pending.pop(future)] = future.result()
                    if advance:
                        advance(1)
                if time.monotonic() - saved > SAVE_SECONDS:
                    state.save()
                    saved = time.monotonic()
        finally:
            for future in pending:
                future.cancel()
            state.save()
    return state


def measure(op: Op, kind: str, engine: Engine, count: int, *, restart: bool = False, advance: Any = None) -> Result:
    """Measure an operation on at least ``count`` inputs."""
    began = time.perf_counter()
    off = form_error(op, kind)
    state = run(op, kind, engine, count, restart=restart, advance=advance)
    total = Tally()
    for i in range(-(-count // CHUNK)):
        c = state.chunks[i]
        total.merge(Tally(c["worst"], tuple(c["at"]), c["got"], c["wrong"], c["count"]))
    result = Result(op.name, F64.name, kind, engine.name, "mpmath", total.worst, list(total.at), total.got, total.wrong, total.count)
    if not off <= FORM_ERROR:
        result.failures.append(f"the 200-bit form itself is off by {off:.3g} ULP from the table's formula: its numbers mean nothing")
    result.seconds = time.perf_counter() - began
    return result
