"""What CUDA kernels leave to one warp: the exact sum and its one rounding, and how many elements count. Twin of ``fastsig.exact``."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from fastsig.kernels.cuda import elements as el
from fastsig.kernels.cuda.elementwise_kernels import ADDRESS, WHOLE, Kernel
from fastsig.kernels.cuda.sums import ALL_LANES, COPIES, WARP, add_to_word, sum_of_warp
from fastsig.kernels.plan import SUM_DIGITS, SUM_INF, SUM_NAN, SUM_NEG_INF, SUM_WORDS

_ROUNDING = {"f16": (11, -24, 15), "bf16": (8, -133, 127), "f32": (24, -149, 127), "f64": (53, -1074, 1023)}
"""Significant bits, exponent of the least subnormal number, exponent bias."""


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


COUNTING_THREADS = 1 << 18


def count(dimensions: int) -> Kernel:
    """kernel(mask, counted, n, shape, steps): adds the number of true elements to the word at counted."""

    @intrinsic
    def is_true(typingctx: Any, mask: Any, i: Any, shape: Any, steps: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            axes, walk = (el.members(builder, value, dimensions) for value in values[2:])
            (offset,) = el.byte_offsets(builder, values[1], axes, [walk], False)
            return builder.zext(builder.icmp_unsigned("!=", el.load_at(builder, values[0], offset, "b1"), el.I8(0)), el.I64)

        return WHOLE(mask, WHOLE, shape, steps), codegen

    @intrinsic
    def add_of_warp(typingctx: Any, counted: Any, found: Any, lane: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            found = sum_of_warp(builder, values[1])
            with builder.if_then(builder.icmp_signed("==", values[2], el.I64(0))):
                add_to_word(builder, values[0], el.I64(0), found)
            return context.get_dummy_value()

        return types.void(counted, WHOLE, WHOLE), codegen

    thread, block, threads, blocks = el.thread_in_block, el.block_in_grid, el.threads_of_block, el.blocks_of_grid

    def kernel(mask, counted, n, shape, steps):  # type: ignore[no-untyped-def]
        i, found = block() * threads() + thread(), 0
        while i < n:
            found += is_true(mask, i, shape, steps)
            i += threads() * blocks()
        add_of_warp(counted, found, thread() & (WARP - 1))

    axes = types.UniTuple(WHOLE, dimensions)
    return Kernel(f"fastsig_count_{dimensions}", kernel, (ADDRESS, ADDRESS, WHOLE, axes, axes), resident=1)


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
    """kernel(total, counted, times, known, out), one warp: the exact sum over its copies / (known + times * the word at counted).

    Rounded once: the quotient is built bit by bit to 62 significant ones, and what is left only says on which side of it the rest lies.
    """
    precision, least, bias = _ROUNDING[dtype]
    infinity = ((1 << (8 * el.SIZES[dtype] - precision)) - 1) << (precision - 1)
    not_a_number, sign_bit = infinity | 1 << (precision - 2), -(1 << 63) if dtype == "f64" else 1 << (8 * el.SIZES[dtype] - 1)
    lane, store_bits = el.thread_in_block, _store_bits(dtype)

    def kernel(total, counted, times, known, out):  # type: ignore[no-untyped-def]
        if lane() >= WARP:
            return
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
        divisor = load_word(counted, 0) * times + known
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

    return Kernel(f"fastsig_finish_{dtype}", kernel, (ADDRESS, ADDRESS, WHOLE, WHOLE, ADDRESS))
