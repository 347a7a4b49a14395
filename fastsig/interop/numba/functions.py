"""The types that Numba gives the functions and ufuncs of fastsig, and what a call of one becomes in compiled code.

A call is typed and looped over as Numba does it for NumPy's own ufuncs: ranks, layouts, broadcasting, fusion with the expression
around it, and prange. Its element is the formula of ``fastsig.formulas``, compiled apart from its caller: a function keeps the flags
that it was compiled with when it is inlined, so ``fastmath=True`` of the caller says nothing about it.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.core.imputils import lower_builtin
from numba.core.typing.npydecl import Numpy_rules_ufunc
from numba.core.typing.templates import AbstractTemplate
from numba.extending import overload
from numba.np import npyimpl
from numba.np.numpy_support import ufunc_find_matching_loop

import fastsig
from fastsig import ufuncs
from fastsig.interop.numba import cached_code
from fastsig.kernels.numba.primitives import formula
from fastsig.ops import BY_NAME, OPS, Op

_ELEMENT = {"fastmath": False, "error_model": "numpy", "forceinline": True, "no_cfunc_wrapper": True}


class Loops:
    """What Numba asks of a ufunc: its loops over elements."""

    nout = 1

    def __init__(self, op: Op) -> None:
        self.__name__ = op.name
        self.nin = op.nin
        self.nargs = op.nin + 1
        self.types = [f"{letter * op.nin}->{letter}" for letter in "fd"]
        parameters = ", ".join(op.inputs)
        names = {"formula": formula(op)}
        self.element = eval(f"lambda {parameters}: None", names)
        implementation = eval(f"lambda {parameters}: formula({parameters})", names)
        self.element.__name__ = self.element.__qualname__ = implementation.__name__ = implementation.__qualname__ = f"fastsig_{op.name}"
        generic = eval(f"lambda {parameters}: implementation", {"implementation": implementation})
        overload(self.element, jit_options=_ELEMENT)(generic)

    def lower_element(self, context: Any, builder: Any, signature: Any, values: list[Any]) -> Any:
        cached_code.mark(context, builder.module)
        function = context.typing_context.resolve_value_type(self.element)
        signature = function.get_call_type(context.typing_context, signature.args, {})
        return context.get_function(function, signature)(builder, values)


def _lowered_by(loops: Loops) -> type:
    """The class that Numba asks for the code of one element."""

    class Kernel(npyimpl._Kernel):  # type: ignore[misc]
        def __init__(self, context: Any, builder: Any, outer_sig: Any) -> None:
            super().__init__(context, builder, outer_sig)
            like_a_ufunc: Any = loops
            loop: Any = ufunc_find_matching_loop(like_a_ufunc, (*outer_sig.args, outer_sig.return_type))
            self.inner_sig = npyimpl._ufunc_loop_sig(loop.outputs, loop.inputs)

        def generate(self, *values: Any) -> Any:
            inner, outer = self.inner_sig, self.outer_sig
            inputs = [self.cast(value, given, taken) for value, given, taken in zip(values, outer.args, inner.args, strict=True)]
            result = loops.lower_element(self.context, self.builder, inner, inputs)
            return self.cast(result, inner.return_type, outer.return_type)

    return Kernel


def _check_shapes(context: Any, builder: Any, name: str, inputs: list[tuple[Any, Any]], out_type: Any, out: Any) -> None:
    """ValueError where an input does not broadcast to an out that was given: Numba would read beside it."""
    shape = cgutils.unpack_tuple(builder, context.make_array(out_type)(context, builder, out).shape)
    for kind, value in inputs:
        if not isinstance(kind, types.ArrayCompatible):
            continue
        own = cgutils.unpack_tuple(builder, context.make_array(kind)(context, builder, value).shape)
        one = context.get_constant(types.intp, 1)
        for length, wanted in zip(reversed(own), reversed(shape), strict=False):
            fits = builder.or_(builder.icmp_signed("==", length, wanted), builder.icmp_signed("==", length, one))
            with cgutils.if_unlikely(builder, builder.not_(fits)):
                message = f"{name}: out has another shape than the result; make it with np.empty_like(the result)"
                context.call_conv.return_user_exc(builder, ValueError, (message,))


def _lower_with(op: Op, loops: Loops) -> Any:
    kernel = _lowered_by(loops)

    def lowered(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        given = [(kind, value) for kind, value in zip(signature.args, values, strict=True) if kind != types.none]
        if len(given) > op.nin:
            _check_shapes(context, builder, op.name, given[: op.nin], *given[op.nin])
        signature = signature.return_type(*(kind for kind, _ in given))
        return npyimpl.numpy_ufunc_kernel(context, builder, signature, [value for _, value in given], loops, kernel)

    return lowered


_BY_POSITION = inspect.Parameter.POSITIONAL_ONLY


class _Elementwise(Numpy_rules_ufunc):  # type: ignore[misc]
    """How a call is typed; a class of its own for each operation."""

    op: Op
    loops: Loops

    @property
    def ufunc(self) -> Loops:
        return self.loops

    def generic(self, args: Any, kws: Any) -> Any:
        given = self._arguments(args, dict(kws))
        dropped = [kind for kind in given if not isinstance(kind, (types.NoneType, types.Omitted))]
        for name, kind in zip((*self.op.inputs, "out"), dropped, strict=False):
            self._check_dtype(name, kind)
        if len(dropped) > self.op.nin:
            self._check_out(dropped)
        signature = super().generic(dropped, {})
        return signature.return_type(*(types.none if kind not in dropped else kind for kind in given)).replace(
            pysig=self._pysig(len(given))
        )

    def _arguments(self, args: Any, keywords: dict[str, Any]) -> tuple[Any, ...]:
        name, inputs = self.op.name, self.op.inputs
        out = [keywords.pop("out")] if "out" in keywords else []
        if keywords:
            raise TypingError(f"{name}: in compiled code there is no {', '.join(keywords)}=, only {', '.join(inputs)} by position, and out")
        if len(args) < len(inputs) or len(args) + len(out) > len(inputs) + 1:
            count = f"{len(args)} by position" + (" and out=" if out else "")
            raise TypingError(f"{name}: takes {', '.join(inputs)} and may be given out; got {count}")
        return (*args, *out)

    def _pysig(self, count: int) -> inspect.Signature:
        names = (*self.op.inputs, "out")[:count]
        return inspect.Signature([inspect.Parameter(name, _BY_POSITION if name != "out" else _EITHER_WAY) for name in names])

    def _check_dtype(self, name: str, kind: Any) -> None:
        kind = kind.type if isinstance(kind, types.Optional) else kind
        dtype = kind.dtype if isinstance(kind, types.ArrayCompatible) else types.unliteral(kind)
        if dtype == types.float16:
            raise TypingError(
                f"{self.op.name}: {name} is float16, which Numba has not in code for the CPU; convert it to float32, "
                f"or call fastsig.ufuncs.{self.op.name} outside of compiled code"
            )
        if not isinstance(dtype, (types.Float, types.Integer, types.Boolean)):
            raise TypingError(f"{self.op.name}: {name} must be real numbers (float32, float64, integers or bool), not {kind}")

    def _check_out(self, given: list[Any]) -> None:
        *inputs, out = given
        if not isinstance(out, types.ArrayCompatible):
            raise TypingError(f"{self.op.name}: out must be an array, not {out}")
        most = max(kind.ndim if isinstance(kind, types.ArrayCompatible) else 0 for kind in inputs)
        if most > out.ndim:
            raise TypingError(f"{self.op.name}: out has {out.ndim} dimensions, and the result {most}")


_EITHER_WAY = inspect.Parameter.POSITIONAL_OR_KEYWORD


def _elementwise(op: Op) -> tuple[np.ufunc, Any]:
    """The key of an operation within Numba, and its type. Numba fuses and spreads over threads what has a ufunc for a key; fastsig's own
    would have to be compiled first where the C library is missing."""
    key = np.frompyfunc(formula(op), op.nin, 1)
    loops = Loops(op)
    template = type(f"Typing_{op.name}", (_Elementwise,), {"key": key, "op": op, "loops": loops})
    lower_builtin(key, types.VarArg(types.Any))(_lower_with(op, loops))
    return key, types.Function(template)


_ELEMENTS_OF = {
    "bce": ("bce",), "bce_with_logits": ("bce_with_logits",),
    "bce_with_logits_value_and_grad": ("bce_with_logits", "bce_with_logits_grad"),
    "bce_with_logits_grad_hess": ("bce_with_logits_grad", "sigmoid_grad"),
}  # fmt: skip
"""What of a loss there is in compiled code."""


NOT_IN_COMPILED_CODE = frozenset(
    name for name in fastsig.__all__ if inspect.isfunction(getattr(fastsig, name)) and not (name in BY_NAME and BY_NAME[name].nin == 1)
)


def why_not(name: str) -> str:
    """Why compiled code cannot call this public function, and what it can call."""
    parts = _ELEMENTS_OF.get(name, ())
    instead = " and ".join(f"fastsig.ufuncs.{part}" for part in parts)
    if parts:
        return f"fastsig.{name} reduces whole arrays, with options of Python; in compiled code call {instead}, which gives the elements"
    return f"fastsig.{name} cannot be called in compiled code; what can be is fastsig.ufuncs: {', '.join(BY_NAME)}"


def _refused(name: str) -> Any:
    """The type of a public function that compiled code cannot call."""

    def generic(self: Any, args: Any, kws: Any) -> Any:
        raise TypingError(why_not(name))

    return types.Function(type(f"Typing_{name}", (AbstractTemplate,), {"key": getattr(fastsig, name), "generic": generic}))


KEYS, TYPES = {}, {}
for _op in OPS:
    KEYS[_op.name], TYPES[_op.name] = _elementwise(_op)
_REFUSED = {name: _refused(name) for name in NOT_IN_COMPILED_CODE}


def type_of(value: Any) -> Any:
    """The Numba type of a function or a ufunc of fastsig; None for anything else."""
    name = value.__name__.partition(" ")[0]
    if isinstance(value, np.ufunc):
        ours = value is KEYS.get(name) or value is vars(ufuncs).get(name)
        return TYPES.get(name) if ours else None
    if value is not vars(fastsig).get(name):
        return None
    return _REFUSED.get(name) or TYPES.get(name)
