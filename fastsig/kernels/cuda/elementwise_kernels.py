"""The elementwise CUDA kernels: what one thread does with one index, and the loops that share the indices among the threads.

``flat`` walks contiguous operands of one type 16 bytes at a time; ``strided`` takes any shapes, strides and element types, and a
mask. Both are grid-stride loops, so any number of threads covers any number of elements; ``while``, because Numba computes the
number of steps of a ``range`` first, and a 64-bit division costs as much as an element.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from numba.core import types
from numba.extending import intrinsic

from fastsig.kernels.cuda import elements as el
from fastsig.kernels.cuda.tracing import NAMES, Traced
from fastsig.kernels.llvm_halves import patched
from fastsig.ops import BY_NAME

DIMENSIONS = (1, 2, 4, 8)
"""Strided kernels exist for these numbers of axes, after neighbouring axes are joined."""

ADDRESS = types.CPointer(types.uint8)
WHOLE = types.int64


class Kernel(NamedTuple):
    """A function for Numba, the types of its arguments, and the name that its compiled form has."""

    name: str
    function: Callable[..., None]
    arguments: tuple[Any, ...]
    roomy: bool = False
    """Registers as needed: the assembler is told that one block on a multiprocessor will do, and spills none to make room for more."""


def _result(builder: Any, op: str, loop: str, words: list[Any], sources: tuple[str, ...]) -> Any:
    """The operation's value as a word of the loop's type; inputs of other types are converted to it first."""
    real = el.real_type(loop)
    if loop in el.HALVES:
        words = [
            word if source == loop else el.to_word(builder, el.to_real(builder, word, source, real), loop)
            for word, source in zip(words, sources, strict=True)
        ]  # fmt: skip
        sources = (loop,) * len(words)
    values = [Traced(builder, el.to_real(builder, word, source, real)) for word, source in zip(words, sources, strict=True)]
    result = NAMES[op](*values).code
    return patched(builder, op, loop, words[0], el.to_word(builder, result, loop)) if loop in el.HALVES else result


def _converted(builder: Any, word: Any, loop: str, out: str) -> Any:
    if loop == out:
        return word
    return el.to_word(builder, el.to_real(builder, word, loop, el.real_type("f64" if out == "f64" else loop)), out)


def _flat_steps(op: str, dtype: str) -> tuple[Any, Any]:
    """vector(inputs, out, head, i) and scalar(inputs, out, i): 16 bytes that far behind the head, or one element."""
    nin = BY_NAME[op].nin
    sources = (dtype,) * nin
    size = el.I64(el.SIZES[dtype])

    @intrinsic
    def vector(typingctx: Any, inputs: Any, out: Any, head: Any, i: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            at = builder.add(builder.mul(values[2], size), builder.mul(values[3], el.I64(el.VECTOR_BYTES)))
            loaded = [el.load_vector(builder, base, at, dtype) for base in el.members(builder, values[0], nin)]
            words = [_result(builder, op, dtype, list(lane), sources) for lane in zip(*loaded, strict=True)]
            el.store_vector(builder, values[1], at, words, dtype)
            return context.get_dummy_value()

        return types.void(inputs, out, WHOLE, WHOLE), codegen

    @intrinsic
    def scalar(typingctx: Any, inputs: Any, out: Any, i: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            at = builder.mul(values[2], size)
            words = [el.load_at(builder, base, at, dtype) for base in el.members(builder, values[0], nin)]
            el.store_at(builder, values[1], at, _result(builder, op, dtype, words, sources), dtype)
            return context.get_dummy_value()

        return types.void(inputs, out, WHOLE), codegen

    return vector, scalar


def flat(op: str, dtype: str) -> Kernel:
    """kernel(inputs, out, n, head): head elements one at a time, then 16 bytes at a time from there, then the rest.

    The addresses of all operands are ``head`` elements below a multiple of 16 bytes; or head = n, and they may be anything.
    """
    vector, scalar = _flat_steps(op, dtype)
    lanes = el.VECTOR_BYTES // el.SIZES[dtype]
    thread, block, threads, blocks = el.thread_in_block, el.block_in_grid, el.threads_of_block, el.blocks_of_grid

    def kernel(inputs, out, n, head):  # type: ignore[no-untyped-def]
        first, step = block() * threads() + thread(), threads() * blocks()
        whole = (n - head) // lanes
        i = first
        while i < whole:
            vector(inputs, out, head, i)
            i += step
        i = first
        while i < head:
            scalar(inputs, out, i)
            i += step
        i = head + whole * lanes + first
        while i < n:
            scalar(inputs, out, i)
            i += step

    arguments = (types.UniTuple(ADDRESS, BY_NAME[op].nin), ADDRESS, WHOLE, WHOLE)
    return Kernel(f"fastsig_{op}_{dtype}_flat", kernel, arguments)


def strided(op: str, sources: tuple[str, ...], loop: str, out: str, dimensions: int, narrow: bool, masked: bool) -> Kernel:
    """kernel(inputs, out, n, shape, steps): operands of any strides in bytes, inputs first, then a mask if masked, then out.

    Each input is converted to the loop's type, as is the result to the type of ``out``; elements whose mask is false are left alone.
    """
    nin = BY_NAME[op].nin

    @intrinsic
    def element(typingctx: Any, inputs: Any, target: Any, i: Any, shape: Any, steps: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            lengths = el.members(builder, values[3], dimensions)
            strides = [el.members(builder, step, dimensions) for step in el.members(builder, values[4], nin + masked + 1)]
            offsets = el.byte_offsets(builder, values[2], lengths, strides, narrow)
            bases = el.members(builder, values[0], nin + masked)

            def compute() -> None:
                at = zip(bases[:nin], offsets[:nin], sources, strict=True)
                words = [el.load_at(builder, base, offset, source) for base, offset, source in at]
                word = _converted(builder, _result(builder, op, loop, words, sources), loop, out)
                el.store_at(builder, values[1], offsets[-1], word, out)

            if masked:
                counts = builder.icmp_unsigned("!=", el.load_at(builder, bases[nin], offsets[nin], "b1"), el.I8(0))
                with builder.if_then(counts):
                    compute()
            else:
                compute()
            return context.get_dummy_value()

        return types.void(inputs, target, WHOLE, shape, steps), codegen

    thread, block, threads, blocks = el.thread_in_block, el.block_in_grid, el.threads_of_block, el.blocks_of_grid

    def kernel(inputs, target, n, shape, steps):  # type: ignore[no-untyped-def]
        i = block() * threads() + thread()
        while i < n:
            element(inputs, target, i, shape, steps)
            i += threads() * blocks()

    axes = types.UniTuple(WHOLE, dimensions)
    arguments = (types.UniTuple(ADDRESS, nin + masked), ADDRESS, WHOLE, axes, types.UniTuple(axes, nin + masked + 1))
    types_of = "_".join((*sources, loop, out))
    name = f"fastsig_{op}_{types_of}_strided{dimensions}{'n' * narrow}{'m' * masked}"
    return Kernel(name, kernel, arguments)
