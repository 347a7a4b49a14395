"""What each primitive of ``fastsig.formulas.prims`` becomes in LLVM, for the CPU; ``kernels.cuda.tracing`` has those for CUDA.

Importing this registers the primitives and every formula with Numba, so that compiled code may call them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from numba.core import types
from numba.core.typing.templates import infer_global, make_intrinsic_template
from numba.extending import intrinsic, overload, register_jitable

from fastsig.formulas import bce, core, logistic, losses, prims, rounded
from fastsig.ops import Op

_INT_OF = {types.float32: types.int32, types.float64: types.int64}
_REAL_OF = {integer: real for real, integer in _INT_OF.items()}


def _real_among(arguments: tuple[Any, ...]) -> Any:
    """The float type of these arguments; Python numbers beside it take that type, so it is the narrowest."""
    reals = [a for a in arguments if isinstance(a, types.Float)]
    return min(reals, key=lambda real: real.bitwidth) if reals else None


def _on_reals(name: str, emit: Callable[..., Any]) -> Any:
    """An intrinsic over as many reals as the primitive has parameters."""
    count = len(inspect.signature(getattr(prims, name)).parameters)

    def typed(*arguments: Any) -> Any:
        real = _real_among(arguments)
        if real is None:
            return None

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return emit(context, builder, *values)

        return real(*[real] * count), codegen

    if count == 1:
        return intrinsic(lambda typingctx, a: typed(a))
    if count == 2:
        return intrinsic(lambda typingctx, a, b: typed(a, b))
    return intrinsic(lambda typingctx, a, b, c: typed(a, b, c))


def _emit_absolute(context: Any, builder: Any, a: Any) -> Any:
    return builder.call(builder.module.declare_intrinsic("llvm.fabs", [a.type]), [a])


_fma = _on_reals("fma", lambda context, builder, a, b, c: builder.fma(a, b, c))
_add = _on_reals("add", lambda context, builder, a, b: builder.fadd(a, b))
_sub = _on_reals("sub", lambda context, builder, a, b: builder.fsub(a, b))
_mul = _on_reals("mul", lambda context, builder, a, b: builder.fmul(a, b))
_div = _on_reals("div", lambda context, builder, a, b: builder.fdiv(a, b))
_neg = _on_reals("neg", lambda context, builder, a: builder.fneg(a))
_absolute = _on_reals("absolute", _emit_absolute)


_at_most = _on_reals("at_most", lambda context, builder, a, b: builder.select(builder.fcmp_ordered("<", b, a), b, a))


@intrinsic
def _select(typingctx: Any, condition: Any, a: Any, b: Any) -> Any:
    real = _real_among((a, b))
    if real is None:
        return None
    return real(types.boolean, real, real), lambda context, builder, signature, values: builder.select(*values)


def _reinterpret(pairs: dict[Any, Any]) -> Any:
    @intrinsic
    def view(typingctx: Any, x: Any) -> Any:
        if x not in pairs:
            return None

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return builder.bitcast(values[0], context.get_value_type(signature.return_type))

        return pairs[x](x), codegen

    return view


def on_integers(emit: str) -> Any:
    """Numba's own operators would widen int32 to int64."""

    @intrinsic
    def operation(typingctx: Any, i: Any, j: Any) -> Any:
        if not isinstance(i, types.Integer):
            return None
        return i(i, i), lambda context, builder, signature, values: getattr(builder, emit)(*values)

    return operation


@intrinsic
def _to_real(typingctx: Any, i: Any) -> Any:
    if i not in _REAL_OF:
        return None
    real = _REAL_OF[i]
    return real(i), lambda context, builder, signature, values: builder.sitofp(values[0], context.get_value_type(real))


@intrinsic
def _horner(typingctx: Any, c: Any, x: Any) -> Any:
    if not isinstance(c, types.UniTuple):
        return None

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        coefficients, at = values
        p = builder.extract_value(coefficients, c.count - 1)
        for i in reversed(range(c.count - 1)):
            p = builder.fma(p, at, builder.extract_value(coefficients, i))
        return p

    return x(c, x), codegen


def _register(name: str, operation: Any) -> None:
    """Make a compiled call of ``prims.name`` this intrinsic itself: an ``overload`` of it, which Numba would type, compile and inline
    for each call, takes twice as long."""
    primitive = getattr(prims, name)
    infer_global(primitive, types.Function(make_intrinsic_template(primitive, operation._defn, name)))


_INTRINSICS = {
    "fma": _fma, "add": _add, "sub": _sub, "mul": _mul, "div": _div, "neg": _neg, "absolute": _absolute, "select": _select,
    "at_most": _at_most,
    "bits": _reinterpret(_INT_OF), "unbits": _reinterpret(_REAL_OF), "horner": _horner,
    "shl": on_integers("shl"), "shr": on_integers("ashr"), "iadd": on_integers("add"), "isub": on_integers("sub"),
    "iand": on_integers("and_"), "to_real": _to_real,
}  # fmt: skip

for _name, _operation in _INTRINSICS.items():
    _register(_name, _operation)


@overload(prims.constants, inline="always")
def _constants(x):  # type: ignore[no-untyped-def]  # Numba compares this signature with the one below
    table = prims.CONSTANTS_F32 if x == types.float32 else prims.CONSTANTS_F64
    return lambda x: table


for _module in (core, logistic, bce, losses, rounded):
    for _function in vars(_module).values():
        if inspect.isfunction(_function) and _function.__module__ == _module.__name__:
            register_jitable(_function)


def formula(op: Op) -> Callable[..., Any]:
    """The formula of an operation, which compiled code may call."""
    found: Callable[..., Any] = getattr(bce if hasattr(bce, op.name) else logistic, op.name)
    return found
