"""Arrays of every layout for the property tests: drawn by Hypothesis, filled with random bits, over memory that is looked at afterwards."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from hypothesis import strategies as st
from reference import Array

GUARD = 64
"""bytes before and behind everything"""
FLOATS = ("float16", "float32", "float64", "bfloat16")
EXACT = ("bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
STEPS = (1, 1, 1, 2, 3, -1, -2)
LENGTHS = st.one_of(st.integers(0, 5), st.sampled_from([7, 16, 17, 33]))
LONG = st.sampled_from([63, 511, 512, 513, 1023, 1025, 1300])


def dtype_of(name: str) -> np.dtype[Any]:
    if name == "bfloat16":
        from ml_dtypes import bfloat16

        return np.dtype(bfloat16)
    return np.dtype(name)


class Layout(NamedTuple):
    """Where the elements of an array stand in memory; no two at one place, but along axes that are repeated."""

    shape: tuple[int, ...]
    steps: tuple[int, ...]
    """0 for an axis that is repeated"""
    order: tuple[int, ...]
    """the axes, the slowest first"""
    offset: int
    """bytes, of any alignment"""

    def size(self, itemsize: int) -> int:
        """The bytes needed."""
        return self.offset + itemsize * int(np.prod(self.spans)) + 2 * GUARD

    @property
    def spans(self) -> list[int]:
        """How long each axis is with what its step leaves out."""
        return [max(n, 1) * abs(s) if s else 1 for n, s in zip(self.shape, self.steps, strict=True)]

    def over(self, memory: Array, dtype: np.dtype[Any]) -> Array:
        """The array at this place of the memory."""
        base: Array = np.ndarray([self.spans[axis] for axis in self.order], dtype, memory.data, GUARD + self.offset)
        base = base.transpose(np.argsort(self.order))
        view = base[(*(slice(None, None, s or 1) for s in self.steps), ...)]
        view = view[(*(slice(n) if s else slice(None) for n, s in zip(self.shape, self.steps, strict=True)), ...)]
        return np.broadcast_to(view, self.shape) if 0 in self.steps else view


@st.composite
def shapes(draw: st.DrawFn) -> tuple[int, ...]:
    """Of 0 to 4 axes, with empty ones and single ones, now and then with a long one."""
    shape = draw(st.lists(LENGTHS, max_size=4))
    while int(np.prod(shape)) > 2000:
        shape[int(np.argmax(shape))] //= 2
    if shape and draw(st.integers(0, 3)) == 0 and int(np.prod(shape)) < 40:
        axis = draw(st.integers(0, len(shape) - 1))
        others = max(1, int(np.prod(shape[:axis] + shape[axis + 1 :])))
        shape[axis] = draw(LONG) // others
    return tuple(shape)


@st.composite
def layouts(draw: st.DrawFn, shape: tuple[int, ...], itemsize: int, repeat: bool = True) -> Layout:
    """A layout for this shape: steps of either sign and of 0, transposed axes, and any offset, mostly an aligned one."""
    zero = (0,) if repeat else ()
    steps = tuple(draw(st.sampled_from(STEPS + zero)) for _ in shape)
    order = tuple(draw(st.permutations(range(len(shape)))))
    offset = draw(st.one_of(st.integers(0, 9).map(lambda n: n * itemsize), st.integers(0, 40)))
    return Layout(shape, steps, order, offset)


@st.composite
def broadcast_shapes(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that NumPy broadcasts to this one."""
    start = draw(st.integers(0, len(shape))) if draw(st.booleans()) else 0
    return tuple(1 if draw(st.integers(0, 3)) == 0 else n for n in shape[start:])


def lively(dtype: np.dtype[Any], count: int, random: np.random.Generator) -> Array:
    """Numbers: a third any bits at all, a third where the operations have their shape, a third in [0, 1] with its ends."""
    any_bits = np.frombuffer(random.bytes(count * dtype.itemsize), dtype)
    if dtype.kind in "iu":
        return any_bits.copy()
    if dtype.kind == "b":
        return random.random(count) < 0.5
    widest = {2: 30.0, 4: 110.0, 8: 760.0}[dtype.itemsize]
    found = any_bits.copy()
    kind = random.integers(0, 3, count)
    unit = np.where(random.random(count) < 0.7, random.random(count), random.choice([0.0, 1.0, 0.5], count))
    found[kind == 1] = random.normal(0, widest / 3, count).astype(dtype)[kind == 1]
    found[kind == 2] = unit.astype(dtype)[kind == 2]
    return found


def memory_for(layout: Layout, dtype: np.dtype[Any], seed: int) -> Array:
    """Bytes with room for the layout, and for another of three times its size: numbers from the layout's offset on."""
    random = np.random.default_rng(seed)
    memory = np.frombuffer(random.bytes(3 * layout.size(dtype.itemsize)), np.uint8).copy()
    start = GUARD + layout.offset
    count = (memory.size - start) // dtype.itemsize
    memory[start : start + count * dtype.itemsize] = np.frombuffer(lively(dtype, count, random).tobytes(), np.uint8)
    return memory
