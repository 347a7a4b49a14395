"""Every float32 there is: 2,048 chunks of 2^20 magnitudes, each with both signs (and both targets 0 and 1), shared among threads."""

from __future__ import annotations

import threading
import time
import zlib
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np

from fastsig.measure.accuracy.engines import Engine
from fastsig.measure.accuracy.exact import Rounder
from fastsig.measure.accuracy.properties import merge_ends, scan
from fastsig.measure.accuracy.state import State
from fastsig.measure.formats import FORMATS
from fastsig.measure.reference import hard, pair
from fastsig.measure.ulp import Tally, tally
from fastsig.ops import Op
from fastsig.system.cpu import available_cpus

F32 = FORMATS["float32"]
CHUNK = 1 << 20
CHUNKS = (1 << 31) // CHUNK
BLOCK = 1 << 13
"""elements at a time, so that a thread's intermediate arrays stay in its second-level cache"""
SAVE_SECONDS = 5.0


CASES: dict[int, tuple[tuple[float, ...], ...]] = {1: ((0,), (1,)), 2: ((0, 0.0), (1, 0.0), (0, 1.0), (1, 1.0))}
"""for each number of inputs, what is computed of a block of magnitudes: the sign, and the target"""


SLICES = 64
EXPONENT = (1 << 23) // CHUNK
"""chunks with one exponent"""


def slice_of(commit: str) -> int:
    """The slice that a commit's hash picks."""
    return int(commit, 16) % SLICES


def starts(index: int, part: int | None) -> list[int]:
    """Where the blocks of a chunk begin; with a part, of one slice of SLICES, which has its share of every chunk."""
    every = range(index * CHUNK, (index + 1) * CHUNK, BLOCK)
    moved = 37 * index + index // EXPONENT  # both odd: from exponent to exponent it is elsewhere in the mantissa
    return [start for i, start in enumerate(every) if part is None or (i + moved) % SLICES == part]


def _work(op: Op, ufunc: np.ufunc, index: int, measure: bool, part: int | None) -> dict[str, Any]:
    """One chunk: the worst error, wrong roundings, properties, and a checksum of the output's bits."""
    total = Tally()
    found: dict[str, Any] = {}
    cases = CASES[op.nin]
    crc = [0] * len(cases)
    rounder = Rounder(op, F32)
    with np.errstate(all="ignore"):
        for start in starts(index, part):
            bits = np.arange(start, start + BLOCK, dtype=np.uint32)
            x = (bits.view(np.float32), (bits | np.uint32(F32.sign)).view(np.float32))
            columns = [(x[int(case[0])], *(np.full(BLOCK, t, np.float32) for t in case[1:])) for case in cases]
            got = tuple(ufunc(*c) for c in columns)
            crc = [zlib.crc32(side, value) for side, value in zip(got, crc, strict=True)]
            if not measure:
                continue
            wants = (pair if op.nin == 1 else hard)(op.name, x[0].astype(np.float64))
            for column, want, have in zip(columns, wants, got, strict=True):
                total.merge(tally(want, have, column, F32, scale=op.scale_floor or None, rounded=rounder))
            scan(op.name, x, got, found)
    record: dict[str, Any] = {"crc": crc}
    if measure:
        record |= {"worst": total.worst, "at": total.at, "got": total.got, "wrong": total.wrong, "count": total.count, "properties": found}
    return record


def run(op: Op, engine: Engine, *, measure: bool = True, part: int | None = None, restart: bool = False, advance: Any = None) -> State:
    """Finish every chunk (or one slice of it) that the state file does not have; ``advance(n)`` hears of n finished chunks.
    Ctrl-C keeps what is done."""
    what = "float32" + ("" if measure else "-bits") + ("" if part is None else f"-slice{part}")
    state = State(op.name, what, engine, restart)
    engine.activate()
    ufunc = engine.ufunc(op.name, F32)
    todo = [i for i in range(CHUNKS) if i not in state.chunks]
    if advance:
        advance(CHUNKS - len(todo))
    stop = threading.Event()

    def work(index: int) -> tuple[int, dict[str, Any] | None]:
        return index, None if stop.is_set() else _work(op, ufunc, index, measure, part)

    saved = time.monotonic()
    with ThreadPoolExecutor(available_cpus()) as pool:
        pending: set[Future[Any]] = {pool.submit(work, i) for i in todo}
        try:
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    index, record = future.result()
                    state.chunks[index] = record
                if advance:
                    advance(len(done))
                if time.monotonic() - saved > SAVE_SECONDS:
                    state.save()
                    saved = time.monotonic()
        finally:
            stop.set()
            for future in pending:
                future.cancel()
            state.save()
    return state


def summary(op: Op, state: State) -> tuple[Tally, dict[str, Any]]:
    """The whole from its chunks."""
    total = Tally()
    properties: dict[str, Any] = {}
    for i in sorted(state.chunks):
        c = state.chunks[i]
        total.merge(Tally(c["worst"], tuple(c["at"]), c["got"], c["wrong"], c["count"]))
        merge_ends(op.name, properties, c["properties"])
    return total, properties


def first_difference(op: Op, index: int, one: Engine, other: Engine) -> str:
    """In a chunk whose checksums differ: the input and both results, in words; nothing where only the kind of NaN differs."""
    only_nan = False
    bits = np.arange(index * CHUNK, (index + 1) * CHUNK, dtype=np.uint32)
    for sign, *target in CASES[op.nin]:
        x = (bits | np.uint32(F32.sign if sign else 0)).view(np.float32)
        results = []
        for engine in (one, other):
            engine.activate()
            results.append(F32.bits(engine.ufunc(op.name, F32)(x, *(np.full(CHUNK, t, np.float32) for t in target))))
        different = results[0] != results[1]
        both_nan = np.isnan(results[0].view(np.float32)) & np.isnan(results[1].view(np.float32))
        only_nan |= bool((different & both_nan).any())
        different &= ~both_nan
        if different.any():
            i = int(np.argmax(different))
            given = ", ".join([F32.text(int(F32.bits(x[i : i + 1])[0])), *map(str, target)])
            return f"first at {given}: {F32.text(int(results[1][i]))} against {F32.text(int(results[0][i]))}"
    return "" if only_nan else "but not when computed again"


def differing_chunks(measured: State, other: State) -> list[int]:
    return [i for i in sorted(measured.chunks) if measured.chunks[i]["crc"] != other.chunks.get(i, {}).get("crc")]
