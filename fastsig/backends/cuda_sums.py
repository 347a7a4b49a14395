"""Sums in CUDA kernels: a block of 1,024 by halving within a warp, blocks exactly with atomics, and one rounding at the end.

Twin of ``block_sum`` and ``exact_add`` in ``cext/reduce.c`` and ``exact_sum.h``, and of ``fastsig.exact``. Atomic additions of
integers commute, so it leaves no trace which warp adds when. Each warp adds to one of COPIES accumulators, so that they rarely meet.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from fastsig.plans import SUM_DIGITS, SUM_INF, SUM_NAN, SUM_NEG_INF, SUM_WORDS

from . import cuda_elements as el
from .cuda_elementwise import ADDRESS, WHOLE, Kernel
from .cuda_formulas import NAMES, Traced

COPIES = 16
WARP = 32
ALL_LANES = -1
Pair = tuple[Any, Any]
"""A partial sum and the sum of its rounding errors; the second is None where sums in float64 are of float32 terms."""

_ROUNDING = {"f16": (11, -24, 15), "bf16": (8, -133, 127), "f32": (24, -149, 127), "f64": (53, -1074, 1023)}
"""Significant bits, exponent of the least subnormal number, exponent bias."""


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


def _shuffled(builder: Any, value: Any, by: int) -> Any:
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
        above = [(_shuffled(builder, s, by), None if e is None else _shuffled(builder, e, by)) for s, e in sums]
        sums = fold(builder, sums, above)
    while len(sums) > 1:
        half = len(sums) // 2
        sums = fold(builder, sums[:half], sums[half:])
    return sums[0]


class Climb:
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

    def add(self, builder: Any, step: Any, sums: list[Pair], level: int = 0) -> None:
        """The terms of this step of 2^levels."""
        if level == self.levels:
            self._store(builder, level, sums)
            return
        is_second = builder.trunc(builder.lshr(step, el.I64(level)), ir.IntType(1))
        with builder.if_else(is_second) as (second, first):
            with second:
                self.add(builder, step, fold(builder, self._load(builder, level), sums), level + 1)
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


def _add_to_word(builder: Any, total: Any, word: Any, value: Any) -> None:
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
            _add_to_word(builder, total, builder.select(builder.icmp_signed("!=", m, whole(0)), whole(SUM_NAN), infinite), whole(1))
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
                _add_to_word(builder, total, builder.add(digit, whole(i)), signed)


@intrinsic
def load_word(typingctx: Any, address: Any, i: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return el.load_at(builder, values[0], builder.mul(values[1], el.I64(8)), "i8")

    return WHOLE(address, WHOLE), codegen


@intrinsic
def store_word(typingctx: Any, address: Any, i: Any, value: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        el.store_at(builder, values[0], builder.mul(values[1], el.I64(8)), values[2], "i8")
        return context.get_dummy_value()

    return types.void(address, WHOLE, WHOLE), codegen


@intrinsic
def wait_for_lanes(typingctx: Any) -> Any:
    """What any lane of the warp has stored, all see."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        kind = ir.FunctionType(ir.VoidType(), [el.I32])
        builder.call(builder.module.declare_intrinsic("llvm.nvvm.bar.warp.sync", (), kind), [el.I32(ALL_LANES)])
        return context.get_dummy_value()

    return types.void(), codegen


def _store_bits(dtype: str) -> Any:
    @intrinsic
    def store(typingctx: Any, out: Any, bits: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            word = ir.IntType(8 * el.SIZES[dtype])
            el.store_at(builder, values[0], el.I64(0), values[1] if word == el.I64 else builder.trunc(values[1], word), dtype)
            return context.get_dummy_value()

        return types.void(out, WHOLE), codegen

    return store


def finish(dtype: str) -> Kernel:
    """kernel(total, counted, times, out), one warp: the exact sum over its copies / (the word at counted * times), rounded once.

    The quotient is built bit by bit to 62 significant ones, and what is left only says on which side of it the rest lies.
    """
    precision, least, bias = _ROUNDING[dtype]
    infinity = ((1 << (8 * el.SIZES[dtype] - precision)) - 1) << (precision - 1)
    not_a_number, sign_bit = infinity | 1 << (precision - 2), -(1 << 63) if dtype == "f64" else 1 << (8 * el.SIZES[dtype] - 1)
    lane, store_bits = el.thread_in_block, _store_bits(dtype)

    def kernel(total, counted, times, out):  # type: ignore[no-untyped-def]
        word = lane()
        while word < SUM_WORDS:
            s = load_word(total, word)
            copy = 1
            while copy < COPIES:
                s += load_word(total, copy * SUM_WORDS + word)
                copy += 1
            store_word(total, word, s)
            word += WARP
        wait_for_lanes()
        if lane() > 0:
            return
        divisor = load_word(counted, 0) * times
        nans, infs, negative_infs = load_word(total, SUM_NAN), load_word(total, SUM_INF), load_word(total, SUM_NEG_INF)
        if divisor == 0 or nans > 0 or (infs > 0 and negative_infs > 0):
            store_bits(out, not_a_number)
            return
        if infs > 0 or negative_infs > 0:
            store_bits(out, infinity if infs > 0 else infinity | sign_bit)
            return
        carry = 0
        i = 0
        while i < SUM_DIGITS:
            carry += load_word(total, i)
            store_word(total, i, carry & 0xFFFFFFFF)
            carry >>= 32
            i += 1
        negative = carry < 0
        if negative:
            carry = 1
            i = 0
            while i < SUM_DIGITS:
                carry += load_word(total, i) ^ 0xFFFFFFFF
                store_word(total, i, carry & 0xFFFFFFFF)
                carry >>= 32
                i += 1
        top = SUM_DIGITS - 1
        while top > 0 and load_word(total, top) == 0:
            top -= 1
        at = 32 * top + 31
        digit = load_word(total, top)
        if digit == 0:
            store_bits(out, 0)
            return
        q, r = 0, 0
        while q < 1 << 61:
            r = 2 * r
            if at >= 0:
                if at & 31 == 31:
                    digit = load_word(total, at >> 5)
                r += (digit >> (at & 31)) & 1
            q = 2 * q
            if r >= divisor:
                r -= divisor
                q += 1
            at -= 1
        rest = r != 0
        if at >= 0:
            rest = rest or (load_word(total, at >> 5) & ((2 << (at & 31)) - 1)) != 0
            i = (at >> 5) - 1
            while i >= 0:
                rest = rest or load_word(total, i) != 0
                i -= 1
        exponent = at + 62 - 1074
        keep = min(precision, exponent - least + 1)
        bits = 0
        if keep >= 0:
            drop = 62 - keep
            bits = q >> drop
            behind, half = q & ((1 << drop) - 1), 1 << (drop - 1)
            if behind > half or (behind == half and (rest or bits & 1 == 1)):
                bits += 1
            if keep == precision:
                bits += (exponent + bias - 1) << (precision - 1)
        bits = min(bits, infinity) if exponent < 1024 else infinity
        store_bits(out, bits | sign_bit if negative else bits)

    return Kernel(f"fastsig_finish_{dtype}", kernel, (ADDRESS, ADDRESS, WHOLE, ADDRESS))
