"""Sums in CUDA kernels: a block of 1,024 by halving within a warp, and blocks exactly with atomics.

Twin of ``block_sum`` and ``exact_add`` in ``cext/reduce.c`` and ``exact_sum.h``. Atomic additions of integers commute, so it leaves no
trace which warp adds when. Each warp adds to one of COPIES accumulators, so that they rarely meet.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from fastsig.kernels.cuda import elements as el
from fastsig.kernels.cuda.tracing import NAMES, Traced
from fastsig.kernels.plan import SUM_INF, SUM_NAN, SUM_NEG_INF

COPIES = 16
WARP = 32
ALL_LANES = -1
Pair = tuple[Any, Any]
"""A partial sum and the sum of its rounding errors; the second is None where sums in float64 are of float32 terms."""


def _fold_one(builder: Any, a: Any, b: Any, with_errors: bool, errors: Pair) -> Pair:
    add, sub = NAMES["add"], NAMES["sub"]
    a, b = Traced(builder, a), Traced(builder, b)
    s = add(a, b)
    if not with_errors:
        return s.code, None
    t = sub(s, a)
    error = add(sub(a, sub(s, t)), sub(b, t))
    return s.code, add(error, add(Traced(builder, errors[0]), Traced(builder, errors[1]))).code


def fold(builder: Any, low: list[Pair], high: list[Pair]) -> list[Pair]:
    """Each sum of the lower half with the one of the upper half."""
    return [_fold_one(builder, a, b, ea is not None, (ea, eb)) for (a, ea), (b, eb) in zip(low, high, strict=True)]


def shuffled(builder: Any, value: Any, by: int) -> Any:
    """The double of the lane so far up."""
    kind = ir.FunctionType(el.I32, [el.I32] * 4)
    shuffle = builder.module.declare_intrinsic("llvm.nvvm.shfl.sync.down.i32", (), kind)
    word = builder.bitcast(value, el.I64)
    halves = [builder.trunc(builder.lshr(word, el.I64(shift)), el.I32) for shift in (0, 32)]
    low, high = (builder.zext(builder.call(shuffle, [el.I32(ALL_LANES), h, el.I32(by), el.I32(31)]), el.I64) for h in halves)
    return builder.bitcast(builder.or_(low, builder.shl(high, el.I64(32))), el.F64)


def across_lanes(builder: Any, sums: list[Pair]) -> Pair:
    """The halvings between lanes, then those within one; the result is in lane 0."""
    for by in (16, 8, 4, 2, 1):
        above = [(shuffled(builder, s, by), None if e is None else shuffled(builder, e, by)) for s, e in sums]
        sums = fold(builder, sums, above)
    while len(sums) > 1:
        half = len(sums) // 2
        sums = fold(builder, sums[:half], sums[half:])
    return sums[0]


class PairwiseSum:
    """Sums of terms that come in the order of reversed bits: a sum of 2^k terms waits at level k for its other half."""

    def __init__(self, builder: Any, levels: int, lanes: int, with_errors: bool) -> None:
        self.levels, self.with_errors = levels, with_errors
        self.waiting = [
            [[cgutils.alloca_once(builder, el.F64) for _ in range(1 + with_errors)] for _ in range(lanes)] for _ in range(levels + 1)
        ]  # fmt: skip

    def _load(self, builder: Any, level: int) -> list[Pair]:
        return [(builder.load(slots[0]), builder.load(slots[1]) if self.with_errors else None) for slots in self.waiting[level]]

    def _store(self, builder: Any, level: int, sums: list[Pair]) -> None:
        for slots, pair in zip(self.waiting[level], sums, strict=True):
            for slot, value in zip(slots, pair, strict=False):
                builder.store(value, slot)

    def add(self, builder: Any, step: Any, sums: list[Pair], known: Sequence[int] = (), level: int = 0) -> None:
        """The terms of this step of 2^levels, whose lowest bits are ``known`` where they are."""
        if level == self.levels:
            self._store(builder, level, sums)
        elif level < len(known):
            if known[level]:
                self.add(builder, step, fold(builder, self._load(builder, level), sums), known, level + 1)
            else:
                self._store(builder, level, sums)
        else:
            is_second = builder.trunc(builder.lshr(step, el.I64(level)), ir.IntType(1))
            with builder.if_else(is_second) as (second, first):
                with second:
                    self.add(builder, step, fold(builder, self._load(builder, level), sums), known, level + 1)
                with first:
                    self._store(builder, level, sums)

    def result(self, builder: Any) -> list[Pair]:
        return self._load(builder, self.levels)


def reversed_bits(builder: Any, step: Any, levels: int) -> Any:
    result = el.I64(0)
    for i in range(levels):
        bit = builder.and_(builder.lshr(step, el.I64(i)), el.I64(1))
        result = builder.or_(result, builder.shl(bit, el.I64(levels - 1 - i)))
    return result


def add_to_word(builder: Any, total: Any, word: Any, value: Any) -> None:
    at = el.pointer_at(builder, total, builder.mul(word, el.I64(8)), el.I64)
    builder.atomic_rmw("add", at, value, "monotonic")


def exact_add(builder: Any, total: Any, value: Any) -> None:
    """The double onto the digits of ``cext/exact_sum.h``."""
    whole = el.I64
    u = builder.bitcast(value, whole)
    e = builder.and_(builder.lshr(u, whole(52)), whole(0x7FF))
    m = builder.and_(u, whole(0xFFFFFFFFFFFFF))
    negative = builder.icmp_signed("<", u, whole(0))
    with builder.if_else(builder.icmp_signed("==", e, whole(0x7FF))) as (special, finite):
        with special:
            infinite = builder.select(negative, whole(SUM_NEG_INF), whole(SUM_INF))
            add_to_word(builder, total, builder.select(builder.icmp_signed("!=", m, whole(0)), whole(SUM_NAN), infinite), whole(1))
        with finite:
            normal = builder.icmp_signed("!=", e, whole(0))
            m = builder.select(normal, builder.or_(m, whole(1 << 52)), m)
            at = builder.select(normal, builder.sub(e, whole(1)), whole(0))
            digit, shift = builder.lshr(at, whole(5)), builder.and_(at, whole(31))
            mask = whole(0xFFFFFFFF)
            low = builder.shl(builder.and_(m, mask), shift)
            high = builder.shl(builder.lshr(m, whole(32)), shift)
            middle = builder.add(builder.lshr(low, whole(32)), builder.and_(high, mask))
            for i, part in enumerate((builder.and_(low, mask), middle, builder.lshr(high, whole(32)))):
                signed = builder.select(negative, builder.sub(whole(0), part), part)
                add_to_word(builder, total, builder.add(digit, whole(i)), signed)
