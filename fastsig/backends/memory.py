"""Loads, stores, half conversions, stack buffers and the floating-point flags as Numba intrinsics for the CPU loops."""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from .half_patches import patched

BLOCK = 512
_I32, _I64, _F32 = ir.IntType(32), ir.IntType(64), ir.FloatType()
_X86 = platform.machine().lower() in ("x86_64", "amd64")
_ARM = platform.machine().lower() in ("aarch64", "arm64")


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


@intrinsic
def save_flags(typingctx: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if _X86:
            slot = cgutils.alloca_once(builder, _I32)
            kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()])
            function = builder.module.declare_intrinsic("llvm.x86.sse.stmxcsr", (), kind)
            builder.call(function, [builder.bitcast(slot, ir.IntType(8).as_pointer())])
            return builder.zext(builder.load(slot), _I64)
        if _ARM:
            return builder.asm(ir.FunctionType(_I64, []), "mrs $0, fpsr", "=r", [], True)
        return _I64(0)

    return types.int64(), codegen


@intrinsic
def restore_flags(typingctx: Any, flags: Any) -> Any:
    """A kernel leaves the floating-point flags as it found them, so NumPy raises nothing where a result underflows."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if _X86:
            slot = cgutils.alloca_once(builder, _I32)
            builder.store(builder.trunc(values[0], _I32), slot)
            kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer()])
            function = builder.module.declare_intrinsic("llvm.x86.sse.ldmxcsr", (), kind)
            builder.call(function, [builder.bitcast(slot, ir.IntType(8).as_pointer())])
        if _ARM:
            builder.asm(ir.FunctionType(ir.VoidType(), [_I64]), "msr fpsr, $0", "r", [values[0]], True)
        return context.get_dummy_value()

    return types.void(types.int64), codegen
