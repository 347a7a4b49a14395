"""An element of an operation within a kernel of somebody else, which is compiled with flags of theirs.

Under ``fastmath=True`` NVIDIA's compiler flushes subnormal numbers in every float32 instruction that leaves it the choice. Here each one
says what it does, so the bits are those of fastsig's own kernels.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from fastsig.kernels.cuda import elements as el
from fastsig.kernels.cuda.elementwise_kernels import element

BYTE = el.I8
_OLDEST = (7, 5)
"""What is written for it is right for all."""
_COMPARISONS = {"==": "eq", "<": "lt", "<=": "le", ">": "gt", ">=": "ge"}


class _Explicit:
    """A builder whose instructions on real numbers mean the same under any flags."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._builder, name)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        name = "llvm.nvvm.fma.rn.f" if a.type == el.F32 else "llvm.nvvm.fma.rn.d"
        return self.call(self.module.declare_intrinsic(name, (), ir.FunctionType(a.type, [a.type] * 3)), [a, b, c])

    def fcmp_ordered(self, sign: str, a: Any, b: Any) -> Any:
        return self._compared(_COMPARISONS[sign], a, b) if a.type == el.F32 else self._builder.fcmp_ordered(sign, a, b)

    def fcmp_unordered(self, sign: str, a: Any, b: Any) -> Any:
        assert sign == "uno", sign
        return self._compared("nan", a, b) if a.type == el.F32 else self._builder.fcmp_unordered(sign, a, b)

    def _compared(self, how: str, a: Any, b: Any) -> Any:
        return self.asm(ir.FunctionType(ir.IntType(1), [el.F32, el.F32]), f"setp.{how}.f32 $0, $1, $2;", "=b,f,f", [a, b], False)

    def fpext(self, value: Any, real: Any) -> Any:
        if value.type == el.F16:
            narrow = self.bitcast(value, el.I16)
            wide = self.asm(ir.FunctionType(el.F32, [el.I16]), "cvt.f32.f16 $0, $1;", "=f,h", [narrow], False)
            return wide if real == el.F32 else self.fpext(wide, real)
        return self.asm(ir.FunctionType(el.F64, [el.F32]), "cvt.f64.f32 $0, $1;", "=d,f", [value], False)

    def fptrunc(self, value: Any, real: Any) -> Any:
        kind, letter = ("f64", "d") if value.type == el.F64 else ("f32", "f")
        if real == el.F16:
            code = ir.FunctionType(el.I16, [value.type])
            return self.bitcast(self.asm(code, f"cvt.rn.f16.{kind} $0, $1;", f"=h,{letter}", [value], False), el.F16)
        return self.asm(ir.FunctionType(el.F32, [el.F64]), "cvt.rn.f32.f64 $0, $1;", "=f,d", [value], False)


def value(builder: Any, op: str, loop: str, words: list[Any], sources: tuple[str, ...]) -> Any:
    """The result as a word of the loop's type, of words of the sources' types; a bool is a byte."""
    before = el.CAPABILITY.set(_OLDEST)
    try:
        return element(_Explicit(builder), op, loop, words, sources)
    finally:
        el.CAPABILITY.reset(before)
