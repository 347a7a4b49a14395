"""Loads, stores, half conversions and stack buffers as Numba intrinsics for the CPU loops."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from fastsig.kernels.llvm_halves import patched
from fastsig.kernels.numba.settings import converts_halves

BLOCK = 256
"""Three of them stand on the stack."""
_I32, _I64, _F32 = ir.IntType(32), ir.IntType(64), ir.FloatType()


def _scope(builder: Any) -> Any:
    """Loads and stores of one iteration touch one index only, so they may be vectorised without a run-time overlap check."""
    domain = builder.module.add_metadata(["fastsig"])
    return builder.module.add_metadata([builder.module.add_metadata(["loads", domain])])


def _prefer_wide_vectors(builder: Any) -> None:
    """LLVM's own choice on AVX-512 machines is 256 bits; llvmlite's checked add() knows no string attributes."""
    set.add(builder.function.attributes, '"prefer-vector-width"="512"')


def _widen_bf16(builder: Any, word: Any) -> Any:
    return builder.bitcast(builder.shl(builder.zext(word, _I32), _I32(16)), _F32)


def _rounded_bf16(builder: Any, value: Any) -> Any:
    """Of a result computed from bfloat16 alone: the low half of its NaN is 0, so that rounding cannot carry into the exponent."""
    u = builder.bitcast(value, _I32)
    odd = builder.and_(builder.lshr(u, _I32(16)), _I32(1))
    return builder.trunc(builder.lshr(builder.add(builder.add(u, _I32(0x7FFF)), odd), _I32(16)), ir.IntType(16))


def _narrow_bf16(builder: Any, value: Any) -> Any:
    quiet = builder.or_(builder.lshr(builder.bitcast(value, _I32), _I32(16)), _I32(0x40))
    is_nan = builder.fcmp_unordered("uno", value, value)
    return builder.select(is_nan, builder.trunc(quiet, ir.IntType(16)), _rounded_bf16(builder, value))


def _widen_f16(builder: Any, word: Any) -> Any:
    return builder.fpext(builder.bitcast(word, ir.HalfType()), _F32)


def _narrow_f16(builder: Any, value: Any) -> Any:
    return builder.bitcast(builder.fptrunc(value, ir.HalfType()), ir.IntType(16))


def _widen_f16_by_bits(builder: Any, word: Any) -> Any:
    """Twin of float_of_f16 in ``cext/formulas/half.h``."""
    h = builder.zext(word, _I32)
    a = builder.shl(builder.and_(h, _I32(0x7FFF)), _I32(13))
    sign = builder.shl(builder.and_(h, _I32(0x8000)), _I32(16))
    normal = builder.add(a, _I32(112 << 23))
    above = builder.bitcast(builder.add(normal, _I32(1 << 23)), _F32)
    small = builder.bitcast(builder.fsub(above, _F32(2.0**-14)), _I32)
    special = builder.or_(a, _I32(0x7F800000))
    u = builder.select(builder.icmp_unsigned("<", a, _I32(1 << 23)), small, normal)
    u = builder.select(builder.icmp_unsigned(">=", a, _I32(31 << 23)), special, u)
    return builder.bitcast(builder.or_(u, sign), _F32)


def _narrow_f16_by_bits(builder: Any, value: Any) -> Any:
    """Twin of f16_of_float in ``cext/formulas/half.h``."""
    u = builder.bitcast(value, _I32)
    sign = builder.and_(builder.lshr(u, _I32(16)), _I32(0x8000))
    a = builder.and_(u, _I32(0x7FFFFFFF))
    odd = builder.and_(builder.lshr(a, _I32(13)), _I32(1))
    normal = builder.lshr(builder.sub(builder.add(builder.add(a, _I32(0xFFF)), odd), _I32(112 << 23)), _I32(13))
    small = builder.sub(builder.bitcast(builder.fadd(builder.bitcast(a, _F32), _F32(0.5)), _I32), _I32(0x3F000000))
    special = builder.select(builder.icmp_unsigned(">", a, _I32(0x7F800000)), _I32(0x7E00), _I32(0x7C00))
    h = builder.select(builder.icmp_unsigned("<", a, _I32(0x38800000)), small, normal)
    h = builder.select(builder.icmp_unsigned(">=", a, _I32(0x47800000)), special, h)
    return builder.trunc(builder.or_(h, sign), ir.IntType(16))


if not converts_halves():
    _widen_f16, _narrow_f16 = _widen_f16_by_bits, _narrow_f16_by_bits

_WIDEN = {"f16": _widen_f16, "bf16": _widen_bf16}
_NARROW = {"f16": _narrow_f16, "bf16": _narrow_bf16}
_REAL = {"f16": types.float32, "bf16": types.float32, "f32": types.float32, "f64": types.float64}


def load_store(op: str, dtype: str) -> tuple[Any, Any]:
    """load(x, i) and store(out, i, value, x) for one storage type; halves are uint16 in memory and float32 outside."""
    real = _REAL[dtype]
    widen, narrow = _WIDEN.get(dtype), {"f16": _narrow_f16, "bf16": _rounded_bf16}.get(dtype)

    def element(builder: Any, pointer: Any, i: Any) -> Any:
        word = builder.load(builder.gep(pointer, [i]))
        word.set_metadata("alias.scope", _scope(builder))
        return word

    @intrinsic
    def load(typingctx: Any, pointer: Any, i: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            _prefer_wide_vectors(builder)
            word = element(builder, *values)
            return widen(builder, word) if widen else word

        return real(pointer, types.intp), codegen

    @intrinsic
    def store(typingctx: Any, pointer: Any, i: Any, value: Any, x: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            out, at, result, inputs = values
            if narrow:
                result = patched(builder, op, dtype, element(builder, inputs, at), narrow(builder, result))
            builder.store(result, builder.gep(out, [at])).set_metadata("noalias", _scope(builder))
            return context.get_dummy_value()

        return types.void(pointer, types.intp, real, x), codegen

    return load, store


LINE = 64
"""Bytes of a line of the caches."""


def picked_line(places: list[int]) -> Any:
    """pick(to, source): the elements at these places of two lines that begin at source, side by side; LLVM finds no shuffles by itself."""

    @intrinsic
    def pick(typingctx: Any, to: Any, source: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            element, size = context.get_value_type(source).pointee, LINE // len(places)
            both, line = ir.VectorType(element, 2 * len(places)), ir.VectorType(element, len(places))
            loaded = builder.load(builder.bitcast(values[1], both.as_pointer()), align=size)
            mask = ir.Constant(ir.VectorType(_I32, len(places)), places)
            found = builder.shuffle_vector(loaded, ir.Constant(both, ir.Undefined), mask)
            builder.store(found, builder.bitcast(values[0], line.as_pointer()), align=size)
            return context.get_dummy_value()

        return types.void(to, source), codegen

    return pick


@intrinsic
def buffer(typingctx: Any, pointer: Any) -> Any:
    """A block on the stack, of the elements that the pointer points to."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        element = context.get_value_type(pointer).pointee
        return cgutils.alloca_once(builder, element, size=BLOCK)

    return pointer(pointer), codegen


@intrinsic
def offset(typingctx: Any, pointer: Any, step: Any) -> Any:
    """The pointer moved by so many bytes."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        raw = builder.bitcast(values[0], ir.IntType(8).as_pointer())
        return builder.bitcast(builder.gep(raw, [values[1]]), values[0].type)

    return pointer(pointer, types.intp), codegen


@intrinsic
def address(typingctx: Any, pointer: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.ptrtoint(values[0], _I64)

    return types.int64(pointer), codegen
