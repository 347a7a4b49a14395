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
from fastsig.kernels.cuda import halves
from fastsig.kernels.cuda.tracing import NAMES, UNGUARDED, Traced
from fastsig.ops import BY_NAME

DIMENSIONS = (1, 2, 4, 8)
"""Strided kernels exist for these numbers of axes, after neighbouring axes are joined."""


def vectors_of_a_thread(nin: int) -> int:
    """How many times 16 bytes of each input it reads before it computes with the first; more of two inputs would spill registers."""
    return 2 if nin == 1 else 1


SHARES = {"f16": 32, "bf16": 32, "f32": 0, "f64": 0}
"""Blocks of threads for each multiprocessor, where fewer are faster than one for every 256 vectors; 0 is no limit."""
WITHOUT_GUARD = frozenset({"silu"})
"""Operations whose float32 division has the same bits without its guard."""

ADDRESS = types.CPointer(types.uint8)
WHOLE = types.int64


class Kernel(NamedTuple):
    """A function for Numba, the types of its arguments, and the name that its compiled form has."""

    name: str
    function: Callable[..., None]
    arguments: tuple[Any, ...]
    resident: int = 0
    """Blocks that fit a multiprocessor at once: the assembler spends the registers that are left then. 0 leaves it the choice."""


def _result(builder: Any, op: str, loop: str, words: list[Any], sources: tuple[str, ...]) -> Any:
    """The operation's value as a real number that is still to be rounded to the loop's type, to which inputs are converted first."""
    real = el.real_type(loop)
    if loop in el.HALVES:
        words = [
            word if source == loop else el.to_word(builder, el.to_real(builder, word, source, real), loop)
            for word, source in zip(words, sources, strict=True)
        ]  # fmt: skip
        sources = (loop,) * len(words)
    values = [el.to_real(builder, word, source, real) for word, source in zip(words, sources, strict=True)]
    if loop in el.HALVES and len(values) == 1:
        return halves.result(builder, op, loop, values[0])
    names = UNGUARDED if op in WITHOUT_GUARD else NAMES
    return names[op](*(Traced(builder, value) for value in values)).code


def element(builder: Any, op: str, loop: str, words: list[Any], sources: tuple[str, ...]) -> Any:
    """The operation's value as a word of the loop's type, to which inputs are converted first."""
    return el.to_word(builder, _result(builder, op, loop, words, sources), loop)


def _converted(builder: Any, value: Any, loop: str, out: str) -> Any:
    """As a word of the type of ``out``, rounded to the loop's type before."""
    word = el.to_word(builder, value, loop)
    if loop == out:
        return word
    return el.to_word(builder, el.to_real(builder, word, loop, el.real_type("f64" if out == "f64" else loop)), out)


def _flat_steps(op: str, dtype: str) -> tuple[Any, Any, Any]:
    """vectors(inputs, out, head, i, step): 16 bytes that far behind the head, and as many more, each a step on, as a thread takes;
    vector(inputs, out, head, i): one of them; scalar(inputs, out, i): one element."""
    nin = BY_NAME[op].nin
    sources = (dtype,) * nin
    size = el.I64(el.SIZES[dtype])

    def compute(builder: Any, inputs: Any, out: Any, places: list[Any]) -> None:
        """All are read before the first is computed with."""
        bases = el.members(builder, inputs, nin)
        loaded = [[el.load_vector(builder, base, at, dtype) for base in bases] for at in places]
        for at, words in zip(places, loaded, strict=True):
            results = [_result(builder, op, dtype, list(lane), sources) for lane in zip(*words, strict=True)]
            el.store_vector(builder, out, at, results, dtype)

    def place(builder: Any, head: Any, i: Any) -> Any:
        return builder.add(builder.mul(head, size), builder.mul(i, el.I64(el.VECTOR_BYTES)))

    @intrinsic
    def vectors(typingctx: Any, inputs: Any, out: Any, head: Any, i: Any, step: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            inputs, out, head, i, step = values
            at = [builder.add(i, builder.mul(step, el.I64(k))) for k in range(vectors_of_a_thread(nin))]
            compute(builder, inputs, out, [place(builder, head, each) for each in at])
            return context.get_dummy_value()

        return types.void(inputs, out, WHOLE, WHOLE, WHOLE), codegen

    @intrinsic
    def vector(typingctx: Any, inputs: Any, out: Any, head: Any, i: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            compute(builder, values[0], values[1], [place(builder, *values[2:])])
            return context.get_dummy_value()

        return types.void(inputs, out, WHOLE, WHOLE), codegen

    @intrinsic
    def scalar(typingctx: Any, inputs: Any, out: Any, i: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            at = builder.mul(values[2], size)
            words = [el.load_at(builder, base, at, dtype) for base in el.members(builder, values[0], nin)]
            word = element(builder, op, dtype, words, sources)
            el.store_at(builder, values[1], at, word, dtype)
            return context.get_dummy_value()

        return types.void(inputs, out, WHOLE), codegen

    return vectors, vector, scalar


def flat(op: str, dtype: str) -> Kernel:
    """kernel(inputs, out, n, head): head elements one at a time, then 16 bytes at a time from there, then the rest.

    The addresses of all operands are ``head`` elements below a multiple of 16 bytes; or head = n, and they may be anything.
    """
    vectors, vector, scalar = _flat_steps(op, dtype)
    lanes, others = el.VECTOR_BYTES // el.SIZES[dtype], vectors_of_a_thread(BY_NAME[op].nin) - 1
    thread, block, threads, blocks = el.thread_in_block, el.block_in_grid, el.threads_of_block, el.blocks_of_grid

    def kernel(inputs, out, n, head):  # type: ignore[no-untyped-def]
        first, step = block() * threads() + thread(), threads() * blocks()
        whole = (n - head) // lanes
        i = first
        while i + others * step < whole:
            vectors(inputs, out, head, i, step)
            i += (others + 1) * step
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
