"""What a correctly rounded ufunc of Numba says of types that it has no loop for, in the words of ``cext/python/rounded.c``.

NumPy asks a function in C of the ufunc for the types of a call; here that is compiled around NumPy's own, whose words it replaces.
"""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba.core import types
from numba.extending import intrinsic

from fastsig.kernels.numba.cache import c_callback

_P, _INT = ctypes.c_void_p, ctypes.c_int


class _Ufunc(ctypes.Structure):
    """PyUFuncObject of numpy/ufuncobject.h, as far as its type resolver."""

    _fields_ = (
        ("head", ctypes.c_char * object.__basicsize__), ("nin", _INT), ("nout", _INT), ("nargs", _INT), ("identity", _INT),
        ("functions", _P), ("data", _P), ("ntypes", _INT), ("reserved1", _INT), ("name", ctypes.c_char_p), ("types", _P), ("doc", _P),
        ("ptr", _P), ("obj", _P), ("userloops", _P), ("core_enabled", _INT), ("core_num_dim_ix", _INT), ("core_num_dims", _P),
        ("core_dim_ixs", _P), ("core_offsets", _P), ("core_signature", _P), ("type_resolver", _P),
    )  # fmt: skip


def _words(ufunc: int, operands: int, signature: int) -> str:
    name = _Ufunc.from_address(ufunc).name.decode()
    x = ctypes.cast(operands, ctypes.POINTER(ctypes.py_object))[0]
    there = f"x is {x.dtype}"
    if x.dtype == object and x.ndim == 0:
        there = f"x is an object of {type(x.item())}"
    asked = ctypes.cast(signature, ctypes.py_object).value if signature else None
    if asked is not None:
        there = f"the type asked for is {asked}"
    return (
        f"correctly_rounded.{name}: {there}; it computes in float32, float16 and bfloat16, on the host. dtype=np.float32 "
        f"converts numbers to float32 first, and fastsig.{name} takes other types and arrays of a GPU"
    )


_BYTE = ir.IntType(8).as_pointer()
_I32 = ir.IntType(32)


@intrinsic
def _resolved(typingctx: Any, ufunc: Any, casting: Any, operands: Any, signature: Any, dtypes: Any) -> Any:
    """Of what NumPy's resolver answers; the symbols are those of this process, in code of the cache too."""

    def codegen(context: Any, builder: Any, _: Any, values: Any) -> Any:
        def function(name: str, result: Any, *arguments: Any) -> Any:
            kind = ir.FunctionType(result, arguments)
            found = builder.module.globals.get(name)
            return found if found is not None else ir.Function(builder.module, kind, name)

        answer = builder.call(function("fastsig_numpys_resolver", _I32, _BYTE, _I32, _BYTE, _BYTE, _BYTE), values)
        with builder.if_then(builder.icmp_signed("==", answer, _I32(-1)), likely=False):
            kind = ir.GlobalVariable(builder.module, ir.IntType(8), "fastsig_type_error")
            refused = builder.call(function("PyErr_ExceptionMatches", _I32, _BYTE), [kind])
            with builder.if_then(builder.icmp_signed("!=", refused, _I32(0))):
                builder.call(function("PyErr_Clear", ir.VoidType()), [])
                in_words = ir.GlobalVariable(builder.module, ir.IntType(8), "fastsig_resolver_words")
                called = ir.Function(builder.module, ir.FunctionType(_BYTE, [_BYTE, _BYTE], var_arg=True), "PyObject_CallFunction")
                three_addresses = context.insert_const_string(builder.module, "nnn")
                words = builder.call(called, [in_words, three_addresses, values[0], values[2], values[3]])
                with builder.if_then(builder.icmp_unsigned("!=", words, _BYTE(None))):  # else it raised, and that stays
                    builder.call(function("PyErr_SetObject", ir.VoidType(), _BYTE, _BYTE), [kind, words])
                    builder.call(function("Py_DecRef", ir.VoidType(), _BYTE), [words])
        return answer

    return types.int32(ufunc, casting, operands, signature, dtypes), codegen


@cache
def _compiled(numpys: int) -> Any:
    binding.add_symbol("fastsig_numpys_resolver", numpys)
    binding.add_symbol("fastsig_resolver_words", id(_words))
    binding.add_symbol("fastsig_type_error", id(TypeError))

    def resolver(ufunc, casting, operands, signature, dtypes):  # type: ignore[no-untyped-def]
        return _resolved(ufunc, casting, operands, signature, dtypes)

    pointer = types.voidptr
    return c_callback(resolver, ((pointer, types.int32, pointer, pointer, pointer), types.int32), "rounded")


def explain_refusals(ufunc: np.ufunc) -> None:
    """Let this ufunc say which types it has, where it refuses others."""
    inside = _Ufunc.from_address(id(ufunc))
    inside.type_resolver = _compiled(inside.type_resolver).address
