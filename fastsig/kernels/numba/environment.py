"""The floating-point environment as Numba intrinsics: a kernel enters the default one, and gives the caller's back, flags included.

Twin of ``cext/environment.h``, which says who sets another. The memory clobbers keep LLVM, which does not know that arithmetic depends on
the environment, from moving the loads that it needs before the entry, and the stores of its results behind the end.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.extending import intrinsic

binding.initialize_native_asmparser()  # numba leaves LLVM without one
_I32, _I64 = ir.IntType(32), ir.IntType(64)
_MXCSR_FLAGS, _MXCSR_DEFAULT = 0x3F, 0x1F80


def _move(builder: Any, instruction: str, word: Any) -> None:
    """stmxcsr or ldmxcsr of the memory that a pointer points to."""
    kind = ir.FunctionType(ir.VoidType(), [word.type])
    builder.asm(kind, f"{instruction} ($0)", "r,~{memory}", [word], True)


def _enter_x86(builder: Any) -> Any:
    word = cgutils.alloca_once(builder, _I32)
    _move(builder, "stmxcsr", word)
    callers = builder.load(word)
    with builder.if_then(builder.icmp_unsigned("!=", builder.and_(callers, _I32(0xFFFFFFFF ^ _MXCSR_FLAGS)), _I32(_MXCSR_DEFAULT))):
        builder.store(_I32(_MXCSR_DEFAULT), word)
        _move(builder, "ldmxcsr", word)
    return builder.zext(callers, _I64)


def _leave_x86(builder: Any, callers: Any) -> None:
    word = cgutils.alloca_once(builder, _I32)
    builder.store(builder.trunc(callers, _I32), word)
    _move(builder, "ldmxcsr", word)


def _read(builder: Any, register: str) -> Any:
    return builder.asm(ir.FunctionType(_I64, []), f"mrs $0, {register}", "=r,~{memory}", [], True)


def _write(builder: Any, register: str, value: Any) -> None:
    builder.asm(ir.FunctionType(ir.VoidType(), [_I64]), f"msr {register}, $0", "r,~{memory}", [value], True)


def _enter_arm(builder: Any) -> Any:
    control, status = _read(builder, "fpcr"), _read(builder, "fpsr")
    with builder.if_then(builder.icmp_unsigned("!=", control, _I64(0))):
        _write(builder, "fpcr", _I64(0))
    return builder.or_(builder.shl(control, _I64(32)), status)


def _leave_arm(builder: Any, callers: Any) -> None:
    _write(builder, "fpcr", builder.lshr(callers, _I64(32)))
    _write(builder, "fpsr", builder.and_(callers, _I64(0xFFFFFFFF)))


_BY_MACHINE: dict[str, tuple[Callable[..., Any], Callable[..., None]]] = {
    "x86_64": (_enter_x86, _leave_x86), "amd64": (_enter_x86, _leave_x86),
    "aarch64": (_enter_arm, _leave_arm), "arm64": (_enter_arm, _leave_arm),
}  # fmt: skip
_HERE = _BY_MACHINE.get(platform.machine().lower())
"""Elsewhere a kernel computes under the caller's."""


@intrinsic
def enter_default(typingctx: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return _HERE[0](builder) if _HERE else _I64(0)

    return types.int64(), codegen


@intrinsic
def leave_default(typingctx: Any, callers: Any) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        if _HERE:
            _HERE[1](builder, values[0])
        return context.get_dummy_value()

    return types.void(types.int64), codegen
