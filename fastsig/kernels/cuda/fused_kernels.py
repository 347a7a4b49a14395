"""The CUDA kernels of the gates: all inputs of an element are read, the near or the far formula is computed, all outputs are written."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from fastsig.formulas import prims
from fastsig.kernels.cuda import elements as el
from fastsig.kernels.cuda.elementwise_kernels import ADDRESS, WHOLE, Kernel
from fastsig.kernels.cuda.tracing import NAMES, Traced
from fastsig.ops import FUSED_BY_NAME, Fused


def _results(row: Fused, formula: str, values: list[Traced]) -> list[Any]:
    """In the order of the outputs."""
    found = NAMES[f"{row.name}_{formula}"](*values)
    return [found[place].code for place in row.stored] if row.nout > 1 else [found.code]


def _computed(builder: Any, row: Fused, values: list[Traced], real: Any) -> list[Any]:
    """By the near formula where all inputs are within their limits, by the far one elsewhere."""
    table = prims.CONSTANTS_F64 if real == el.F64 else prims.CONSTANTS_F32
    near: Any = ir.Constant(ir.IntType(1), 1)
    for value, limit in zip(values, row.near, strict=True):
        near = builder.and_(near, (NAMES["absolute"](value) <= getattr(table, limit)).code)
    with builder.if_else(near) as (then, otherwise):
        with then:
            here = _results(row, "near", values)
            left = builder.block
        with otherwise:
            there = _results(row, "far", values)
            right = builder.block
    joined = []
    for a, b in zip(here, there, strict=True):
        joined.append(builder.phi(real))
        joined[-1].add_incoming(a, left)
        joined[-1].add_incoming(b, right)
    return joined


def fused(name: str, dtype: str, dimensions: int, narrow: bool) -> Kernel:
    """kernel(inputs, outputs, n, shape, steps): operands of one type and of any strides in bytes, inputs first."""
    row = FUSED_BY_NAME[name]
    real = el.real_type(dtype)
    count = row.nin + row.nout

    @intrinsic
    def element(typingctx: Any, inputs: Any, outputs: Any, i: Any, shape: Any, steps: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            lengths = el.members(builder, values[3], dimensions)
            strides = [el.members(builder, step, dimensions) for step in el.members(builder, values[4], count)]
            offsets = el.byte_offsets(builder, values[2], lengths, strides, narrow)
            bases = el.members(builder, values[0], row.nin) + el.members(builder, values[1], row.nout)
            sources = zip(bases[: row.nin], offsets[: row.nin], strict=True)
            words = [el.load_at(builder, base, offset, dtype) for base, offset in sources]
            read = [Traced(builder, el.to_real(builder, word, dtype, real)) for word in words]
            results = _computed(builder, row, read, real)
            for base, offset, result in zip(bases[row.nin :], offsets[row.nin :], results, strict=True):
                el.store_at(builder, base, offset, el.to_word(builder, result, dtype), dtype)
            return context.get_dummy_value()

        return types.void(inputs, outputs, WHOLE, shape, steps), codegen

    thread, block, threads, blocks = el.thread_in_block, el.block_in_grid, el.threads_of_block, el.blocks_of_grid

    def kernel(inputs, outputs, n, shape, steps):  # type: ignore[no-untyped-def]
        i = block() * threads() + thread()
        while i < n:
            element(inputs, outputs, i, shape, steps)
            i += threads() * blocks()

    axes = types.UniTuple(WHOLE, dimensions)
    arguments = (types.UniTuple(ADDRESS, row.nin), types.UniTuple(ADDRESS, row.nout), WHOLE, axes, types.UniTuple(axes, count))
    return Kernel(f"fastsig_{name}_{dtype}_{dimensions}{'n' * narrow}", kernel, arguments)
