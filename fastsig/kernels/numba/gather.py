"""What the Numba backend reads a pass's operands with: any type and stride, a block at a time. Twin of ``cext/reduce_real.h``.

Each function is compiled for one real type. Those that load and store through ``load_store`` are kept from being inlined: the
promise that a loop's loads and stores touch different memory holds within one loop only.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fastsig.arrays.dtypes import BF16, F16, F32, F64
from fastsig.formulas.prims import bits
from fastsig.kernels.numba import memory
from fastsig.kernels.numba.cache import part

REAL = {"f32": types.float32, "f64": types.float64}
_STORED = {
    F16: ("f16", types.uint16), BF16: ("bf16", types.uint16), F32: ("f32", types.float32), F64: ("f64", types.float64),
    4: ("", types.uint8), 5: ("", types.int8), 6: ("", types.uint16), 7: ("", types.int16), 8: ("", types.uint32), 9: ("", types.int32),
    10: ("", types.uint64), 11: ("", types.int64),
}  # fmt: skip


def load_store(dtype: str) -> tuple[Any, Any]:
    """load(pointer, i) and store(pointer, i, value) for one storage type, of a loop whose iterations touch one index only.

    Halves are uint16 in memory and float32 outside.
    """
    real = types.float64 if dtype == "f64" else types.float32
    widen, narrow = memory._WIDEN.get(dtype), memory._NARROW.get(dtype)

    @intrinsic
    def load(typingctx: Any, pointer: Any, i: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            memory._prefer_wide_vectors(builder)
            value = builder.load(builder.gep(values[0], [values[1]]))
            value.set_metadata("alias.scope", memory._scope(builder))
            return widen(builder, value) if widen else value

        return real(pointer, types.intp), codegen

    @intrinsic
    def store(typingctx: Any, pointer: Any, i: Any, value: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            value = narrow(builder, values[2]) if narrow else values[2]
            builder.store(value, builder.gep(values[0], [values[1]])).set_metadata("noalias", memory._scope(builder))
            return context.get_dummy_value()

        return types.void(pointer, types.intp, real), codegen

    return load, store


def pointer_to(element: Any) -> Any:
    """A pointer to elements of this type, from an address."""

    @intrinsic
    def pointer(typingctx: Any, address: Any) -> Any:
        kind = types.CPointer(element)

        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            return builder.inttoptr(values[0], context.get_value_type(kind))

        return kind(types.int64), codegen

    return pointer


@intrinsic
def alone(typingctx: Any) -> Any:
    """Keeps the function it stands in from being inlined."""

    def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        builder.function.attributes.add("noinline")
        return context.get_dummy_value()

    return types.void(), codegen


def _load_integer(real: Any) -> Any:
    @intrinsic
    def load(typingctx: Any, pointer: Any, i: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            value = builder.load(cgutils.gep(builder, values[0], values[1]))
            convert = builder.sitofp if pointer.dtype.signed else builder.uitofp
            return convert(value, context.get_value_type(real))

        return real(pointer, types.intp), codegen

    return load


@cache
def _convert_one(code: int, real: Any) -> Any:
    name, stored = _STORED[code]
    load = load_store(name)[0] if name else _load_integer(real)
    pointer, size = pointer_to(stored), stored.bitwidth // 8
    cast = np.float32 if real == types.float32 else np.float64

    @part(code, real)
    def convert(address, stride, to, n):  # type: ignore[no-untyped-def]
        alone()
        if stride == size:
            for i in range(n):
                to[i] = cast(load(pointer(address), i))
        else:
            for i in range(n):
                to[i] = cast(load(pointer(address + i * stride), 0))

    return convert


@cache
def gather_of(name: str) -> Any:
    """gather(plan, at, start, count, to): elements of the source at that word of the plan, as the computing type."""
    real = REAL[name]
    c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11 = (_convert_one(code, real) for code in range(12))

    @part(name)
    def convert(code, address, stride, to, n):  # type: ignore[no-untyped-def]
        if code == 0:
            c0(address, stride, to, n)
        elif code == 1:
            c1(address, stride, to, n)
        elif code == 2:
            c2(address, stride, to, n)
        elif code == 3:
            c3(address, stride, to, n)
        elif code == 4:
            c4(address, stride, to, n)
        elif code == 5:
            c5(address, stride, to, n)
        elif code == 6:
            c6(address, stride, to, n)
        elif code == 7:
            c7(address, stride, to, n)
        elif code == 8:
            c8(address, stride, to, n)
        elif code == 9:
            c9(address, stride, to, n)
        elif code == 10:
            c10(address, stride, to, n)
        else:
            c11(address, stride, to, n)

    pointer, size = pointer_to(real), real.bitwidth // 8

    @part(name)
    def gather(plan, at, start, count, to):  # type: ignore[no-untyped-def]
        data, code, period, ndim = plan[at], plan[at + 1], plan[at + 3], plan[at + 4]
        first = plan[at + 5]
        shape, strides = plan[first : first + ndim], plan[first + ndim : first + 2 * ndim]
        index = np.empty(64, np.int64)
        last = ndim - 1
        rest, offset, take = start, 0, min(count, period)
        for d in range(last, -1, -1):
            index[d] = rest % shape[d]
            rest //= shape[d]
            offset += index[d] * strides[d]
        done = 0
        while done < take:
            run = min(shape[last] - index[last], take - done)
            convert(code, data + offset, strides[last], pointer(to + done * size), run)
            done += run
            index[last] += run
            offset += run * strides[last]
            d = last
            while d > 0 and index[d] == shape[d]:
                offset += strides[d - 1] - index[d] * strides[d]
                index[d] = 0
                index[d - 1] += 1
                d -= 1
        values = pointer(to)
        for i in range(take, count):
            values[i] = values[i - take]

    return gather


@cache
def outside_of(name: str) -> Any:
    """outside(v, n, greatest): whether any is not in [0, greatest]."""
    load = load_store(name)[0]

    @part(name)
    def outside(v, n, greatest):  # type: ignore[no-untyped-def]
        alone()
        most, least = bits(greatest), bits(greatest)
        for i in range(n):
            u = bits(load(v, i))
            most, least = max(most, u), min(least, u)
        if most <= bits(greatest) and least >= 0:
            return False
        for i in range(n):
            value = load(v, i)
            if not (value >= 0 and value <= greatest):
                return True
        return False

    return outside
