"""Every float32 there is: 2,048 chunks of 2^20 magnitudes, each with both signs, shared among threads."""

from __future__ import annotations

import os
import threading
import time
import zlib
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

import numpy as np

from ..ops import BY_NAME, Op
from .engines import Engine
from .exact import Rounder
from .formats import FORMATS, Array
from .properties import merge_ends, scan
from .reference import pair
from .state import State
from .ulp import Tally, tally

F32 = FORMATS["float32"]
CHUNK = 1 << 20
CHUNKS = (1 << 31) // CHUNK
BLOCK = 1 << 13
"""elements at a time, so that a thread's intermediate arrays stay in its second-level cache"""
SAVE_SECONDS = 5.0


def _work(op: Op, ufunc: np.ufunc, index: int, measure: bool) -> dict[str, Any]:
    """One chunk: the worst error, wrong roundings, properties, and a checksum of the output's bits."""
    total = Tally()
    found: dict[str, Any] = {}
    crc = [0, 0]
    rounder = Rounder(op, F32)
    with np.errstate(all="ignore"):
        for start in range(index * CHUNK, (index + 1) * CHUNK, BLOCK):
            bits = np.arange(start, start + BLOCK, dtype=np.uint32)
            x = (bits.view(np.float32), (bits | np.uint32(F32.sign)).view(np.float32))
            got = tuple(ufunc(side) for side in x)
            crc = [zlib.crc32(side, value) for side, value in zip(got, crc)]
            if not measure:
                continue
            for side, want, have in zip(x, pair(op.name, x[0].astype(np.float64)), got):
                total.merge(tally(want, have, (side,), F32, scale=op.scale_floor or None, rounded=rounder))
            scan(op.name, x, got, found)
    record: dict[str, Any] = {"crc": crc}
    if measure:
        record |= {"worst": total.worst, "at": total.at[0], "got": total.got, "wrong": total.wrong, "properties": found}
    return record


def run(op: Op, engine: Engine, *, measure: bool = True, restart: bool = False, advance: Any = None, order: Array | None = None) -> State:
    """Finish every chunk that the state file does not have; ``advance(n)`` hears of n finished chunks. Ctrl-C keeps what is done."""
    state = State(op.name, "float32" if measure else "float32-bits", engine, restart)
    engine.activate()
    ufunc = engine.ufunc(op.name, F32)
    todo = [i for i in range(CHUNKS) if i not in state.chunks]
    if advance:
        advance(CHUNKS - len(todo))
    stop = threading.Event()

    def work(index: int) -> tuple[int, dict[str, Any] | None]:
        return index, None if stop.is_set() else _work(op, ufunc, index, measure)

    saved = time.monotonic()
    with ThreadPoolExecutor(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1) as pool:
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
        total.merge(Tally(c["worst"], (c["at"],), c["got"], c["wrong"], 2 * CHUNK))
        merge_ends(op.name, properties, c["properties"])
    return total, properties


def first_difference(op: Op, index: int, one: Engine, other: Engine) -> tuple[int, int, int] | None:
    """In a chunk whose checksums differ: the bits of the input and of both results."""
    bits = np.arange(index * CHUNK, (index + 1) * CHUNK, dtype=np.uint32)
    for sign in (0, F32.sign):
        x = (bits | np.uint32(sign)).view(np.float32)
        results = []
        for engine in (one, other):
            engine.activate()
            results.append(F32.bits(engine.ufunc(op.name, F32)(x)))
        different = np.flatnonzero(results[0] != results[1])
        if len(different):
            i = int(different[0])
            return int(x.view(np.uint32)[i]), int(results[0][i]), int(results[1][i])
    return None


def differing_chunks(measured: State, other: State) -> list[int]:
    return [i for i in sorted(measured.chunks) if measured.chunks[i]["crc"] != other.chunks.get(i, {}).get("crc")]


__all__ = ["BY_NAME", "CHUNKS", "differing_chunks", "first_difference", "run", "summary"]
