"""The types that numba-cuda gives the functions of fastsig, and what a call of one becomes in a kernel: one sequence of instructions.

Arguments are single numbers. Each is converted to the type of the result, by the same code as in fastsig's own kernels.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.cuda import types
from numba.cuda.core.errors import TypingError
from numba.cuda.dispatcher import CUDACacheImpl
from numba.cuda.extending import lower_builtin
from numba.cuda.types import bfloat16
from numba.cuda.typing.templates import AbstractTemplate, infer_global, signature

import fastsig
from fastsig import ufuncs
from fastsig.interop.numba.cached_code import Stamped
from fastsig.interop.numba.functions import NOT_IN_COMPILED_CODE, why_not
from fastsig.kernels.cuda import foreign
from fastsig.ops import OPS, Op

_SOURCES = {
    types.boolean: "b1", types.int8: "i1", types.uint8: "u1", types.int16: "i2", types.uint16: "u2",
    types.int32: "i4", types.uint32: "u4", types.int64: "i8", types.uint64: "u8",
    types.float16: "f16", bfloat16: "bf16", types.float32: "f32", types.float64: "f64",
}  # fmt: skip
"""What each type of an argument is to the kernels."""
_REALS = {"f16": types.float16, "bf16": bfloat16, "f32": types.float32, "f64": types.float64}
_SMALL = frozenset({"b1", "i1", "u1", "i2", "u2"})
"""Integers that float32 holds."""


def _loop(sources: tuple[str, ...]) -> str:
    """The type that is computed in: a half where all are that half, else the wider of what each needs."""
    if len(set(sources)) == 1 and sources[0] in _REALS:
        return sources[0]
    in_f32 = _SMALL | {"f16", "bf16", "f32"}
    return "f32" if set(sources) <= in_f32 else "f64"


def _source(op: Op, name: str, kind: Any) -> str:
    if isinstance(kind, types.Array):
        raise TypingError(f"{op.name}: {name} is an array; in a kernel of @cuda.jit call it on one element, {name}[i]")
    if kind not in _SOURCES:
        raise TypingError(
            f"{op.name}: {name} must be a real number (float16, bfloat16, float32, float64, an integer of 8 to 64 bits or bool), not {kind}"
        )
    return _SOURCES[kind]


class _OfOneElement(AbstractTemplate):  # type: ignore[misc]  # Numba has no types
    """How a call is typed; a class of its own for each operation."""

    op: Op

    def generic(self, args: Any, kws: Any) -> Any:
        name, inputs = self.op.name, self.op.inputs
        if kws or len(args) != len(inputs):
            got = f"{len(args)} by position" + "".join(f" and {keyword}=" for keyword in dict(kws))
            raise TypingError(f"{name}: in a kernel of @cuda.jit it takes {', '.join(inputs)} by position and nothing else; got {got}")
        kinds = [types.unliteral(kind) for kind in args]
        sources = tuple(_source(self.op, *each) for each in zip(inputs, kinds, strict=True))
        return signature(_REALS[_loop(sources)], *kinds)


def _lower(op: Op) -> Any:
    def lowered(context: Any, builder: Any, sig: Any, values: Any) -> Any:
        builder.comment(_MARK)
        sources = tuple(_SOURCES[kind] for kind in sig.args)
        words = [builder.zext(value, foreign.BYTE) if source == "b1" else value for value, source in zip(values, sources, strict=True)]
        return foreign.value(builder, op.name, _loop(sources), words, sources)

    return lowered


_TYPES: dict[str, Any] = {}


def register(functions: dict[str, Any]) -> None:
    """Let numba-cuda know these, by the names of their operations."""
    for op in OPS:
        function = functions[op.name]
        _TYPES[op.name] = types.Function(type(f"Typing_{op.name}", (_OfOneElement,), {"key": function, "op": op}))
        infer_global(function, _TYPES[op.name])
        lower_builtin(function, *[types.Any] * op.nin)(_lower(op))


_MARK = "formula of fastsig"
"""A comment in code that has one in it."""


def _stamp_kept_kernels() -> None:
    """``cache=True`` keeps a kernel with our formulas in it: it is compiled again from another source of fastsig."""
    plain = CUDACacheImpl.reduce

    def reduce(self: Any, kernel: Any) -> Any:
        state = plain(self, kernel)
        if any(_MARK in text for text in kernel.library.llvm_strs):
            state["extensions"] = Stamped(state["extensions"])  # any member would do that may be a tuple
        return state

    CUDACacheImpl.reduce = reduce


_stamp_kept_kernels()


def _refused(name: str) -> Any:
    def generic(self: Any, args: Any, kws: Any) -> Any:
        raise TypingError(why_not(name))

    return types.Function(type(f"Typing_{name}", (AbstractTemplate,), {"key": getattr(fastsig, name), "generic": generic}))


def type_of(value: Any) -> Any:
    """The type of a function or a ufunc of fastsig in a kernel; None for anything else."""
    name = value.__name__.partition(" ")[0]
    if isinstance(value, np.ufunc):
        return _TYPES.get(name) if value is vars(ufuncs).get(name) else None
    if value is not vars(fastsig).get(name):
        return None
    return _refused(name) if name in NOT_IN_COMPILED_CODE else _TYPES.get(name)
