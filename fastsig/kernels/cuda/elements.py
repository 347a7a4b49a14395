"""Elements of CUDA kernels: indices, loads, stores and conversions as LLVM instructions, and Numba intrinsics made of them."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

I8, I16, I32, I64 = (ir.IntType(n) for n in (8, 16, 32, 64))
F16, F32, F64 = ir.HalfType(), ir.FloatType(), ir.DoubleType()
VECTOR_BYTES = 16

CAPABILITY: ContextVar[tuple[int, int]] = ContextVar("CAPABILITY")
"""The compute capability that is being compiled for."""
_CONVERTS_PAIRS = (8, 0)
"""Since then an instruction rounds two float32 to a pair of halves, and knows bfloat16."""

HALVES = ("f16", "bf16")
SIZES = {
    "f16": 2, "bf16": 2, "f32": 4, "f64": 8,
    "b1": 1, "u1": 1, "i1": 1, "u2": 2, "i2": 2, "u4": 4, "i4": 4, "u8": 8, "i8": 8,
}  # fmt: skip
"""Bytes of each element type that a kernel reads."""


def word_type(name: str) -> Any:
    """What an element is in memory: halves are 16-bit words."""
    return {"f32": F32, "f64": F64}.get(name) or ir.IntType(8 * SIZES[name])


def real_type(name: str) -> Any:
    """What an element type computes in."""
    return F64 if name == "f64" else F32


def _special_register(name: str) -> Any:
    @intrinsic
    def read(typingctx: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            function = builder.module.declare_intrinsic(f"llvm.nvvm.read.ptx.sreg.{name}", (), ir.FunctionType(I32, []))
            return builder.zext(builder.call(function, []), I64)

        return types.int64(), codegen

    return read


thread_in_block, block_in_grid = _special_register("tid.x"), _special_register("ctaid.x")
threads_of_block, blocks_of_grid = _special_register("ntid.x"), _special_register("nctaid.x")


def pointer_at(builder: Any, base: Any, byte_offset: Any, kind: Any) -> Any:
    raw = builder.bitcast(base, I8.as_pointer())
    return builder.bitcast(builder.gep(raw, [byte_offset]), kind.as_pointer())


def _lane_type(name: str) -> Any:
    """NVVM splits a vector of eight halves into two accesses, so halves travel in pairs."""
    return I32 if name in HALVES else word_type(name)


def _loaded(builder: Any, base: Any, byte_offset: Any, name: str) -> list[Any]:
    """What 16 aligned bytes are read as, by one load."""
    lane = _lane_type(name)
    lanes = VECTOR_BYTES // (4 if lane == I32 else SIZES[name])
    loaded = builder.load(pointer_at(builder, base, byte_offset, ir.VectorType(lane, lanes)), align=VECTOR_BYTES)
    return [builder.extract_element(loaded, I32(k)) for k in range(lanes)]


def _words(builder: Any, lanes: list[Any], name: str) -> list[Any]:
    if name not in HALVES:
        return lanes
    return [builder.trunc(builder.lshr(pair, I32(shift)), I16) for pair in lanes for shift in (0, 16)]


def load_vector(builder: Any, base: Any, byte_offset: Any, name: str) -> list[Any]:
    """The words of 16 aligned bytes, by one load."""
    return _words(builder, _loaded(builder, base, byte_offset, name), name)


class Waiting:
    """16 bytes of each operand, read before they are computed with."""

    def __init__(self, builder: Any, bases: list[Any], name: str) -> None:
        self.bases, self.name = bases, name
        lane = _lane_type(name)
        count = VECTOR_BYTES // (4 if lane == I32 else SIZES[name])
        self.slots = [[cgutils.alloca_once(builder, lane) for _ in range(count)] for _ in bases]

    def fetch(self, builder: Any, byte_offset: Any) -> None:
        for base, slots in zip(self.bases, self.slots, strict=True):
            for slot, lane in zip(slots, _loaded(builder, base, byte_offset, self.name), strict=True):
                builder.store(lane, slot)

    def take(self, builder: Any, other: Waiting) -> None:
        for slots, others in zip(self.slots, other.slots, strict=True):
            for slot, source in zip(slots, others, strict=True):
                builder.store(builder.load(source), slot)

    def words(self, builder: Any) -> list[list[Any]]:
        """By operand."""
        return [_words(builder, [builder.load(slot) for slot in slots], self.name) for slots in self.slots]


def _pair(builder: Any, low: Any, high: Any, name: str) -> Any:
    """Two float32 rounded to halves, in one word."""
    if CAPABILITY.get() >= _CONVERTS_PAIRS:
        kind = ir.FunctionType(I32, [F32, F32])
        return builder.asm(kind, f"cvt.rn.{name}x2.f32 $0, $1, $2;", "=r,f,f", [high, low], False)
    low, high = (builder.zext(to_word(builder, value, name), I32) for value in (low, high))
    return builder.or_(low, builder.shl(high, I32(16)))


def store_vector(builder: Any, base: Any, byte_offset: Any, values: list[Any], name: str) -> None:
    """Real numbers to 16 aligned bytes, each rounded at most once, by one store."""
    if name in HALVES:
        words = [_pair(builder, low, high, name) for low, high in zip(values[::2], values[1::2], strict=True)]
    else:
        words = [to_word(builder, value, name) for value in values]
    kind = ir.VectorType(words[0].type, len(words))
    whole = ir.Constant(kind, ir.Undefined)
    for k, word in enumerate(words):
        whole = builder.insert_element(whole, word, I32(k))
    builder.store(whole, pointer_at(builder, base, byte_offset, kind), align=VECTOR_BYTES)


def load_at(builder: Any, base: Any, byte_offset: Any, name: str) -> Any:
    return builder.load(pointer_at(builder, base, byte_offset, word_type(name)), align=SIZES[name])


def store_at(builder: Any, base: Any, byte_offset: Any, word: Any, name: str) -> None:
    builder.store(word, pointer_at(builder, base, byte_offset, word.type), align=SIZES[name])


def as_real(builder: Any, value: Any, real: Any) -> Any:
    """A real number in this type, rounded at most once."""
    if value.type == real:
        return value
    return builder.fpext(value, real) if real == F64 else builder.fptrunc(value, real)


def to_real(builder: Any, word: Any, name: str, real: Any) -> Any:
    """A word of memory as a real number, rounded at most once."""
    if name == "f16":
        return builder.fpext(builder.bitcast(word, F16), real)
    if name == "bf16":
        return as_real(builder, builder.bitcast(builder.shl(builder.zext(word, I32), I32(16)), F32), real)
    if name in ("f32", "f64"):
        return as_real(builder, word, real)
    if name == "b1":
        word = builder.zext(builder.icmp_unsigned("!=", word, I8(0)), I8)
    return builder.sitofp(word, real) if name.startswith("i") else builder.uitofp(word, real)


def _bf16_word(builder: Any, value: Any) -> Any:
    if CAPABILITY.get() >= _CONVERTS_PAIRS:
        return builder.asm(ir.FunctionType(I16, [F32]), "cvt.rn.bf16.f32 $0, $1;", "=h,f", [value], False)
    u = builder.bitcast(value, I32)
    high = builder.lshr(u, I32(16))
    near = builder.lshr(builder.add(builder.add(u, I32(0x7FFF)), builder.and_(high, I32(1))), I32(16))
    is_nan = builder.fcmp_unordered("uno", value, value)
    return builder.trunc(builder.select(is_nan, builder.or_(high, I32(0x40)), near), I16)


def to_word(builder: Any, value: Any, name: str) -> Any:
    """A real number as a word of memory, rounded to nearest even."""
    if name == "f16":
        return builder.bitcast(builder.fptrunc(value, F16), I16)
    if name == "bf16":
        return _bf16_word(builder, as_real(builder, value, F32))
    return as_real(builder, value, word_type(name))


def byte_offsets(builder: Any, index: Any, shape: list[Any], steps: list[list[Any]], narrow: bool) -> list[Any]:
    """Where element ``index`` in C order lies in each operand; narrow: by 32-bit divisions, for fewer than 2^31 elements."""
    kind = I32 if narrow else I64
    rest = builder.trunc(index, kind) if narrow else index
    offsets: list[Any] = [I64(0)] * len(steps)
    for d in reversed(range(len(shape))):
        at = rest
        if d:
            length = builder.trunc(shape[d], kind) if narrow else shape[d]
            quotient = builder.udiv(rest, length)
            at = builder.sub(rest, builder.mul(quotient, length))
            rest = quotient
        wide = builder.zext(at, I64) if narrow else at
        offsets = [builder.add(offset, builder.mul(wide, step[d])) for offset, step in zip(offsets, steps, strict=True)]
    return offsets


def members(builder: Any, value: Any, count: int) -> list[Any]:
    """The elements of a tuple argument."""
    return [builder.extract_value(value, d) for d in range(count)]
