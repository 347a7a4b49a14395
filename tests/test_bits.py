"""One answer to each input: whatever the backend, instruction set, alignment, length, stride, or the array that it stands in."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from reference import Array, assert_same_bits
from samples import anything, inputs

import fastsig as fs
from fastsig.dispatch import availability
from fastsig.formulas import bce, logistic
from fastsig.ops import BY_NAME, OPS, Op

try:
    from ml_dtypes import bfloat16
except ImportError:
    bfloat16 = None

FLOATS = ("float16", "float32", "float64")
ALL = [*FLOATS, pytest.param("bfloat16", marks=pytest.mark.skipif(bfloat16 is None, reason="ml_dtypes is not installed"))]
ISAS = ("baseline", "v3", "v4")
EACH_OP = pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
EACH_FLOAT = pytest.mark.parametrize("dtype", FLOATS)
EACH_DTYPE = pytest.mark.parametrize("dtype", ALL)


def real(dtype: str) -> np.dtype[Any]:
    return np.dtype(bfloat16 if dtype == "bfloat16" else dtype)


def serving(backend: str, op: Op, dtype: str) -> np.ufunc:
    """The ufunc, which for bfloat16 has to be introduced to that type."""
    if dtype == "bfloat16":
        if backend != "c":
            pytest.skip("bfloat16 arrays of ml_dtypes are served by the C backend")
        fs.sigmoid(np.zeros(1, bfloat16))
    return availability.ufunc_of(backend, op.name)


@cache
def operands_of(name: str, dtype: str, size: int) -> tuple[Array, ...]:
    found = anything(BY_NAME[name], real(dtype), size)
    for array in found:
        array.flags.writeable = False
    return found


@EACH_FLOAT
@EACH_OP
def test_numba_has_the_bits_of_c(op: Op, dtype: str, need_c: None, need_numba: None) -> None:
    in_c, in_numba = availability.ufunc_of("c", op.name), availability.ufunc_of("numba", op.name)
    assert in_c is not in_numba
    samples = [operands_of(op.name, dtype, 20_000)]
    if dtype != "float16":
        samples.append(inputs(op.name, dtype, 5_000))
    for operands in samples:
        assert_same_bits(in_numba(*operands), in_c(*operands), operands, f"{op.name} {dtype}")


@pytest.mark.parametrize("isa", ISAS)
@EACH_DTYPE
@EACH_OP
def test_instruction_sets_have_the_same_bits(op: Op, dtype: str, isa: str, default_isa: None) -> None:
    from fastsig.kernels.c import library as c

    if isa not in c.isas():
        pytest.skip(f"this machine or build has no {isa}")
    ufunc = serving("c", op, dtype)
    operands = operands_of(op.name, dtype, 20_000)
    want = ufunc(*operands)
    c.set_isa(isa)
    assert c.isa() == isa
    assert_same_bits(ufunc(*operands), want, operands, f"{op.name} {dtype} {isa}")
    some = tuple(a[:100] for a in operands)
    for count in range(70):
        part = tuple(a[:count] for a in some)
        assert_same_bits(ufunc(*part), want[:count], part, f"{op.name} {dtype} {isa}, {count} elements")


def test_an_unknown_instruction_set_is_refused(default_isa: None) -> None:
    from fastsig.kernels.c import library as c

    before = c.isa()
    with pytest.raises(ValueError, match="isa='v9' is not available here; this machine and build have baseline"):
        c.set_isa("v9")
    assert c.isa() == before


@EACH_DTYPE
@EACH_OP
def test_alignment_and_length(op: Op, dtype: str, backend: str) -> None:
    """Every offset of the inputs, another of the output, every length to 70; and nothing is written beside the output."""
    ufunc = serving(backend, op, dtype)
    operands = operands_of(op.name, dtype, 100)
    whole = ufunc(*operands)
    mark = real(dtype).type(-77)
    for offset in range(16):
        for length in range(71):
            out = np.full(100, mark)
            at = slice(offset, offset + length)
            to = slice(15 - offset, 15 - offset + length)
            ufunc(*(a[at] for a in operands), out[to])
            want = np.full(100, mark)
            want[to] = whole[at]
            if out.tobytes() != want.tobytes():  # many times faster than what follows, and stricter about NaN
                assert_same_bits(out, want, label=f"{op.name} {dtype}, offset {offset}, length {length}")


STEPS = (1, 2, 3, 5, -1, -2, -7)


@EACH_DTYPE
@EACH_OP
def test_strides(op: Op, dtype: str, backend: str) -> None:
    """Positive, negative and zero steps of inputs and output, over lengths on both sides of the blocks of 512 and 1,024."""
    ufunc = serving(backend, op, dtype)
    operands = operands_of(op.name, dtype, 9_000)
    whole = ufunc(*operands)
    for length in (1, 7, 33, 511, 513, 1025, 1280):
        for step in STEPS:
            out_step = STEPS[(STEPS.index(step) + length) % len(STEPS)]
            views = tuple(a[::step][:length] for a in operands)
            out = np.full(9_000, 5, real(dtype))
            ufunc(*views, out=out[::out_step][:length])
            label = f"{op.name} {dtype}, step {step} to step {out_step}, length {length}"
            assert_same_bits(out[::out_step][:length], whole[::step][:length], views, label)
            out[::out_step][:length] = 5
            assert (out == 5).all(), f"{label}: wrote beside the output"


@EACH_DTYPE
@EACH_OP
def test_zero_strides(op: Op, dtype: str, backend: str) -> None:
    """A number repeated, as broadcasting does it, alone and beside an array."""
    ufunc = serving(backend, op, dtype)
    operands = operands_of(op.name, dtype, 1_300)
    for i in range(40):
        repeated = [np.broadcast_to(a[i], 1_300) for a in operands]
        single = ufunc(*(a[i : i + 1] for a in operands))
        assert_same_bits(ufunc(*repeated), np.broadcast_to(single, 1_300), repeated, f"{op.name} {dtype}")
        for place in range(op.nin if op.nin > 1 else 0):
            mixed, full = list(operands), [a.copy() for a in operands]
            mixed[place], full[place] = repeated[place], np.array(repeated[place])
            assert_same_bits(ufunc(*mixed), ufunc(*full), full, f"{op.name} {dtype}, operand {place} repeated")


@EACH_DTYPE
@EACH_OP
def test_fortran_order(op: Op, dtype: str, backend: str) -> None:
    """All operands in it: elements are visited as they stand in memory, and so does the result."""
    ufunc = serving(backend, op, dtype)
    operands = tuple(a.reshape(29, 31) for a in operands_of(op.name, dtype, 29 * 31))
    want = ufunc(*operands)
    for arrange in (np.asfortranarray, lambda a: np.ascontiguousarray(a.T).T):
        arranged = tuple(map(arrange, operands))
        got = ufunc(*arranged)
        assert got.flags.f_contiguous
        assert_same_bits(got, want, operands, f"{op.name} {dtype}")
        out = np.empty_like(want)
        assert_same_bits(ufunc(*arranged, out=out), want, operands, f"{op.name} {dtype} to C order")
    mixed = (np.asfortranarray(operands[0]), *operands[1:])
    assert_same_bits(ufunc(*mixed), want, operands, f"{op.name} {dtype}, one of two")


@EACH_DTYPE
@EACH_OP
def test_in_place(op: Op, dtype: str, backend: str) -> None:
    ufunc = serving(backend, op, dtype)
    for size in (3, 64, 1_000, 5_000):
        operands = tuple(a[:size] for a in operands_of(op.name, dtype, 5_000))
        want = ufunc(*operands)
        for place in range(op.nin):
            for step in (1, 2, -1):
                ours = [a.copy() for a in operands]
                holder = np.zeros(2 * size, real(dtype))
                ours[place] = holder[::step][:size]
                ours[place][...] = operands[place]
                assert ufunc(*ours, out=ours[place]) is ours[place]
                assert_same_bits(ours[place], want, operands, f"{op.name} {dtype}, into operand {place}, step {step}")


@EACH_DTYPE
@EACH_OP
def test_unaligned_and_swapped(op: Op, dtype: str, backend: str) -> None:
    """Elements at odd addresses, and of the other byte order: NumPy hands those over in buffers."""
    ufunc = serving(backend, op, dtype)
    operands = operands_of(op.name, dtype, 300)
    want = ufunc(*operands)
    odd = tuple(np.frombuffer(b"\0" + a.tobytes(), a.dtype, offset=1) for a in operands)
    assert not odd[0].flags.aligned
    assert_same_bits(ufunc(*odd), want, operands, f"{op.name} {dtype} unaligned")
    if dtype != "bfloat16":
        swapped = tuple(a.astype(a.dtype.newbyteorder()) for a in operands)
        assert_same_bits(ufunc(*swapped), want, operands, f"{op.name} {dtype} byte-swapped")


@pytest.mark.parametrize("isa", ISAS)
@EACH_DTYPE
@EACH_OP
def test_streaming_stores(op: Op, dtype: str, isa: str, default_isa: None) -> None:
    """The stores for large outputs, forced onto small ones: offsets to both sides of a cache line."""
    from fastsig.kernels.c import library as c

    if isa not in c.isas():
        pytest.skip(f"this machine or build has no {isa}")
    ufunc = serving("c", op, dtype)
    operands = operands_of(op.name, dtype, 1_300)
    whole, before = ufunc(*operands), c.stream_bytes()
    c.set_isa(isa)
    try:
        c.set_stream_bytes(0)
        assert c.stream_bytes() == 0
        for start in range(9):
            for length in (0, 1, 15, 16, 17, 40, 129, 1_100):
                out = np.full(1_300, 5, real(dtype))
                to = slice(2 * start, 2 * start + length)
                ufunc(*(a[start : start + length] for a in operands), out=out[to])
                assert_same_bits(out[to], whole[start : start + length], label=f"{op.name} {dtype} {isa}, {length} from {start}")
                out[to] = 5
                assert (out == 5).all()
    finally:
        c.set_stream_bytes(before)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@EACH_OP
def test_formulas_as_plain_python_have_the_same_bits(op: Op, dtype: str, backend: str) -> None:
    """What one reads is what is computed."""
    formula = getattr(bce if hasattr(bce, op.name) else logistic, op.name)
    operands = tuple(np.concatenate(pair) for pair in zip(inputs(op.name, dtype, 60), operands_of(op.name, dtype, 150), strict=True))
    with np.errstate(all="ignore"):
        got = np.array([formula(*point) for point in zip(*operands, strict=True)])
    assert_same_bits(got, availability.ufunc_of(backend, op.name)(*operands), operands, f"{op.name} {dtype} in Python")
