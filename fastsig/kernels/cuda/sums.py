"""Sums in CUDA kernels: exact, by folds into integers as ``cext/exact_block.h`` explains, and with atomics onto the digits of
``cext/exact_sum.h``.

Additions of integers commute, so it leaves no trace which lane or warp adds what, or when. Each warp adds to one of COPIES
accumulators, so that they rarely meet.
"""

from __future__ import annotations

import math
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from fastsig.kernels.cuda import elements as el
from fastsig.kernels.cuda.tracing import NAMES, Traced
from fastsig.kernels.plan import SUM_INF, SUM_NAN, SUM_NEG_INF, UNIT_LOG2

COPIES = 16
WARP = 32
ALL_LANES = -1

LARGEST_LOG2 = 16
"""The folds are for elements up to 2^16 that have no bits below the last grid; all others are added one by one."""
FOLDS = {el.F32: (4, 22), el.F64: (3, 41)}
"""How many, and log2 of the greatest multiple of each: a lane adds the 32 of its block in 32 bits; those of double are so few that
their sums would overflow 64 bits only behind 2^22 elements of one lane, more than any GPU's memory holds for it."""


def shuffled(builder: Any, word: Any, by: int) -> Any:
    """The 64-bit word of the lane so far up."""
    kind = ir.FunctionType(el.I32, [el.I32] * 4)
    shuffle = builder.module.declare_intrinsic("llvm.nvvm.shfl.sync.down.i32", (), kind)
    halves = [builder.trunc(builder.lshr(word, el.I64(shift)), el.I32) for shift in (0, 32)]
    low, high = (builder.zext(builder.call(shuffle, [el.I32(ALL_LANES), h, el.I32(by), el.I32(31)]), el.I64) for h in halves)
    return builder.or_(low, builder.shl(high, el.I64(32)))


def sum_of_warp(builder: Any, word: Any) -> Any:
    """Over all lanes, in lane 0."""
    for by in (16, 8, 4, 2, 1):
        word = builder.add(word, shuffled(builder, word, by))
    return word


def add_to_word(builder: Any, total: Any, word: Any, value: Any) -> None:
    at = el.pointer_at(builder, total, builder.mul(word, el.I64(8)), el.I64)
    builder.atomic_rmw("add", at, value, "monotonic")


def exact_add_integer(builder: Any, total: Any, k: Any, at: Any) -> None:
    """k * 2^(at - 1074) onto the digits of ``cext/exact_sum.h``."""
    digit, shift, mask = builder.lshr(at, el.I64(5)), builder.and_(at, el.I64(31)), el.I64(0xFFFFFFFF)
    low, high = builder.shl(builder.and_(k, mask), shift), builder.shl(builder.ashr(k, el.I64(32)), shift)
    middle = builder.add(builder.lshr(low, el.I64(32)), builder.and_(high, mask))
    for i, part in enumerate((builder.and_(low, mask), middle, builder.ashr(high, el.I64(32)))):
        add_to_word(builder, total, builder.add(digit, el.I64(i)), part)


def exact_add(builder: Any, total: Any, value: Any) -> None:
    """The double likewise."""
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
            k = builder.select(negative, builder.sub(whole(0), m), m)
            exact_add_integer(builder, total, k, builder.select(normal, builder.sub(e, whole(1)), whole(0)))


class FoldedSum:
    """What one lane adds up of terms in this type."""

    def __init__(self, builder: Any, real: Any, total: Any) -> None:
        self.builder, self.real, self.total = builder, real, total
        count, self.multiple = FOLDS[real]
        self.grids = [LARGEST_LOG2 - self.multiple - i * (self.multiple + 1) for i in range(count)]
        self.integer = el.I32 if real == el.F32 else el.I64
        self.of_block = [cgutils.alloca_once_value(builder, self.integer(0)) for _ in self.grids]
        self.of_lane = self.of_block
        if self.integer != el.I64:
            self.of_lane = [cgutils.alloca_once_value(builder, el.I64(0)) for _ in self.grids]

    def add(self, terms: list[Any]) -> None:
        """Terms of one block."""
        builder, rests = self.builder, [self._rest(Traced(self.builder, term)) for term in terms]
        seen = self.integer(0)
        for rest in rests:
            seen = builder.or_(seen, builder.bitcast(rest, self.integer))
        some = builder.icmp_signed("!=", builder.shl(seen, self.integer(1)), self.integer(0))
        with builder.if_then(some, likely=False), cgutils.for_range(builder, el.I64(len(rests)), intp=el.I64) as loop:
            rest = rests[0]
            for i, other in enumerate(rests[1:], 1):
                rest = builder.select(builder.icmp_signed("==", loop.index, el.I64(i)), other, rest)
            exact_add(builder, self.total, el.as_real(builder, rest, el.F64))

    def _rest(self, term: Traced) -> Any:
        """What the folds leave of a term: all of one that they are not for."""
        builder, add, sub = self.builder, NAMES["add"], NAMES["sub"]
        ordinary = (NAMES["absolute"](term) <= math.ldexp(1.0, LARGEST_LOG2)).code
        rest = Traced(builder, builder.select(ordinary, term.code, self.real(0.0)))
        for grid, slot in zip(self.grids, self.of_block, strict=True):
            rounding = math.ldexp(1.5, grid + (23 if self.real == el.F32 else 52))
            rounded = add(rest, rounding)
            rest = sub(rest, sub(rounded, rounding))
            multiple = builder.sub(builder.bitcast(rounded.code, self.integer), builder.bitcast(self.real(rounding), self.integer))
            builder.store(builder.add(builder.load(slot), multiple), slot)
        return builder.select(ordinary, rest.code, term.code)

    def end_block(self) -> None:
        builder = self.builder
        if self.of_lane is self.of_block:
            return
        for of_block, of_lane in zip(self.of_block, self.of_lane, strict=True):
            builder.store(builder.add(builder.load(of_lane), builder.sext(builder.load(of_block), el.I64)), of_lane)
            builder.store(self.integer(0), of_block)

    def finish(self, lane: Any) -> None:
        """The sums of the warp onto the total."""
        builder = self.builder
        for grid, slot in zip(self.grids, self.of_lane, strict=True):
            k = sum_of_warp(builder, builder.load(slot))
            some = builder.and_(builder.icmp_signed("==", lane, el.I64(0)), builder.icmp_signed("!=", k, el.I64(0)))
            with builder.if_then(some):
                exact_add_integer(builder, self.total, k, el.I64(grid + UNIT_LOG2))
