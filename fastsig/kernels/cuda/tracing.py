"""The formulas as NVVM code: each is run once on traced values, and what it does to them is written down as LLVM instructions.

A formula is straight-line code over the primitives of ``fastsig.formulas.prims``, so running it with other primitives is all it
takes: Numba, which needs a GPU to compile functions that call each other, sees one instruction sequence per formula.
"""

from __future__ import annotations

import builtins
import inspect
from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

from llvmlite import ir

from fastsig.formulas import bce, core, gates, logistic, losses, prims

_INTEGER_OF = {"float": ir.IntType(32), "double": ir.IntType(64)}
_REAL_OF = {32: ir.FloatType(), 64: ir.DoubleType()}


class Traced:
    """A value of the kernel that is being built; comparisons are ordered, so false for NaN."""

    __slots__ = ("builder", "code")

    def __init__(self, builder: Any, code: Any) -> None:
        self.builder = builder
        self.code = code

    def compared(self, sign: str, other: Any) -> Traced:
        return Traced(self.builder, self.builder.fcmp_ordered(sign, self.code, _code(other, self.code.type)))

    def __ge__(self, other: Any) -> Traced:
        return self.compared(">=", other)

    def __gt__(self, other: Any) -> Traced:
        return self.compared(">", other)

    def __le__(self, other: Any) -> Traced:
        return self.compared("<=", other)

    def __lt__(self, other: Any) -> Traced:
        return self.compared("<", other)

    def __eq__(self, other: Any) -> Traced:  # type: ignore[override]
        return self.compared("==", other)

    __hash__ = None  # type: ignore[assignment]


def _code(value: Any, kind: Any) -> Any:
    """The LLVM value of an operand; numbers beside traced values take their type."""
    if isinstance(value, Traced):
        return value.code
    number = value.item() if hasattr(value, "item") else value
    return ir.Constant(kind, int(number) if isinstance(kind, ir.IntType) else float(number))


def _kind(value: Any) -> Any:
    """The LLVM type of an operand; None for a Python number, which has none of its own."""
    if isinstance(value, Traced):
        return value.code.type
    return _REAL_OF[8 * value.itemsize] if hasattr(value, "itemsize") else None


def _emit(arguments: tuple[Any, ...], instruction: Callable[..., Any]) -> Traced:
    """One instruction on operands of one type, that of the first which is traced."""
    first = next(a for a in arguments if isinstance(a, Traced))
    return Traced(first.builder, instruction(first.builder, *(_code(a, first.code.type) for a in arguments)))


def _nearest(operation: str) -> Callable[..., Any]:
    """Rounded to nearest by name: a plain fadd and fmul would be contracted to an fma."""

    def instruction(builder: Any, a: Any, b: Any) -> Any:
        suffix = "f" if isinstance(a.type, ir.FloatType) else "d"
        kind = ir.FunctionType(a.type, [a.type, a.type])
        return builder.call(builder.module.declare_intrinsic(f"llvm.nvvm.{operation}.rn.{suffix}", (), kind), [a, b])

    return instruction


_add, _mul, _div = map(_nearest, ("add", "mul", "div"))


def _reciprocal(builder: Any, d: Any, one: float) -> Any:
    """About one/d: the hardware's, which may be an ULP off, after one step of Newton's."""
    rough = builder.asm(ir.FunctionType(d.type, [d.type]), "rcp.approx.ftz.f32 $0, $1;", "=f,f", [d], False)
    return builder.fma(rough, builder.fma(_negative(builder, d), rough, ir.Constant(d.type, one)), rough)


def _quotient(builder: Any, n: Any, d: Any) -> Any:
    """n/d rounded to nearest, without the branch of a division for operands and quotients out of the way."""
    if not isinstance(d.type, ir.FloatType):
        return _div(builder, n, d)
    r = _reciprocal(builder, d, 1.0)
    q = _mul(builder, n, r)
    return builder.fma(builder.fma(_negative(builder, d), q, n), r, q)


def _near_quotient(one: float) -> Callable[..., Any]:
    """one n/d with an error of an ULP or two."""
    return lambda builder, n, d: _mul(builder, n, _reciprocal(builder, d, one))


def _negative(builder: Any, a: Any) -> Any:
    """As the one PTX instruction: the older IR dialect of NVVM has no fneg, and makes of -0 - a a subtraction of halves."""
    text, constraint = ("neg.f32 $0, $1;", "=f,f") if isinstance(a.type, ir.FloatType) else ("neg.f64 $0, $1;", "=d,d")
    return builder.asm(ir.FunctionType(a.type, [a.type]), text, constraint, [a], False)


def _magnitude(builder: Any, a: Any) -> Any:
    name = "llvm.nvvm.fabs.f" if isinstance(a.type, ir.FloatType) else "llvm.nvvm.fabs.d"
    return builder.call(builder.module.declare_intrinsic(name, (), ir.FunctionType(a.type, [a.type])), [a])


_INSTRUCTIONS: dict[str, Callable[..., Any]] = {
    "fma": lambda builder, a, b, c: builder.fma(a, b, c),
    "add": _add,
    "sub": lambda builder, a, b: _add(builder, a, _negative(builder, b)),
    "mul": _mul,
    "div": _div,
    "neg": _negative,
    "absolute": _magnitude,
    "at_most": lambda builder, a, b: builder.select(builder.fcmp_ordered(">", a, b), b, a),
    "bits": lambda builder, x: builder.bitcast(x, _INTEGER_OF[str(x.type)]),
    "unbits": lambda builder, i: builder.bitcast(i, _REAL_OF[i.type.width]),
    "shl": lambda builder, i, n: builder.shl(i, n),
    "shr": lambda builder, i, n: builder.ashr(i, n),
    "iadd": lambda builder, i, j: builder.add(i, j),
    "isub": lambda builder, i, j: builder.sub(i, j),
    "iand": lambda builder, i, j: builder.and_(i, j),
    "to_real": lambda builder, i: builder.sitofp(i, _REAL_OF[i.type.width]),
}


def _primitive(name: str, instruction: Callable[..., Any]) -> Callable[..., Any]:
    on_numbers = getattr(prims, name)

    def primitive(*arguments: Any) -> Any:
        if any(isinstance(a, Traced) for a in arguments):
            return _emit(arguments, instruction)
        return on_numbers(*arguments)

    return primitive


def select(condition: Traced, a: Any, b: Any) -> Traced:
    kind = next(filter(None, map(_kind, (a, b))))
    return Traced(condition.builder, condition.builder.select(condition.code, _code(a, kind), _code(b, kind)))


def constants(x: Any) -> Any:
    if isinstance(x, Traced):
        return prims.CONSTANTS_F32 if isinstance(x.code.type, ir.FloatType) else prims.CONSTANTS_F64
    return prims.constants(x)


def _names(division: Callable[..., Any]) -> dict[str, Any]:
    """The primitives and the formulas on traced values, by name, with this division."""
    names: dict[str, Any] = {name: _primitive(name, instruction) for name, instruction in {**_INSTRUCTIONS, "div": division}.items()}

    def horner(c: tuple[Any, ...], x: Any) -> Any:
        p = c[-1]
        for coefficient in reversed(c[:-1]):
            p = names["fma"](p, x, coefficient)
        return p

    names |= {"select": select, "constants": constants, "horner": horner, "__builtins__": builtins}
    for module in (core, logistic, bce, losses, gates):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__:
                names[name] = FunctionType(function.__code__, names, name)
    return names


NAMES = _names(_div)
"""With divisions that are right for all operands."""

UNGUARDED = _names(_quotient)
"""With float32 divisions that give the same bits where the quotient and all between are normal numbers. A formula may be taken from
here only if that has been tried with all of its arguments, and with reciprocals an ULP off: ``tools/quotients.c``."""


@cache
def near(one: float) -> dict[str, Any]:
    """With quotients as good as halves need, multiplied by ``one``, which is 1 or a neighbour of it."""
    return _names(_near_quotient(one))
