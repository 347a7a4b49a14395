"""bool, int8 and uint8: looked up among the results of float16, and otherwise as they were: what NumPy's rules make of them."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from reference import Array, assert_same_bits

import fastsig as fs
from fastsig.ops import OPS

UNARY = [op.name for op in OPS if op.nin == 1]
EACH = pytest.mark.parametrize("name", UNARY)
BYTES = pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint8], ids=lambda t: t.__name__)


def every(dtype: Any) -> Array:
    return np.arange(256).astype(np.uint8).view(dtype)


def as_halves(name: str, x: Array) -> Any:
    return getattr(fs.ufuncs, name)(x.astype(np.float16))


@EACH
@BYTES
def test_every_value_has_the_bits_of_float16(name: str, dtype: Any, backend: str) -> None:
    x = every(dtype)
    assert_same_bits(getattr(fs, name)(x, backend=backend), as_halves(name, x))
    for number in x:
        assert_same_bits(getattr(fs, name)(number), as_halves(name, np.array(number)))


@EACH
@BYTES
def test_layouts(name: str, dtype: Any, backend: str) -> None:
    function, x = getattr(fs, name), np.resize(every(dtype), (60, 70))
    want = as_halves(name, x)
    for view, wanted in ((x[::-1, ::3], want[::-1, ::3]), (x.T, want.T), (np.asfortranarray(x), want), (x[:1, :5], want[:1, :5])):
        assert_same_bits(function(view, backend=backend), wanted)
        out = np.full((*view.shape, 2), 5, np.float16)
        function(view, out=out[..., 0], backend=backend)
        assert_same_bits(out[..., 0], wanted)
        assert (out[..., 1] == 5).all()
    assert function(np.asfortranarray(x), backend=backend).flags.f_contiguous


@EACH
@BYTES
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_large_arrays(name: str, dtype: Any, threads: int, backend: str) -> None:
    x = np.resize(every(dtype), (512, 1_031))
    want = as_halves(name, x)
    assert_same_bits(getattr(fs, name)(x, threads=threads, backend=backend), want)
    assert_same_bits(getattr(fs, name)(x.T, threads=threads, backend=backend), want.T)
    for out in (np.empty(x.shape, np.float16), np.empty(x.shape, np.float32)):
        assert getattr(fs, name)(x, out=out, threads=threads, backend=backend) is out
        assert_same_bits(out, want.astype(out.dtype))


def test_an_output_over_the_input() -> None:
    """The halves are twice as wide: NumPy copies the input first."""
    for size in (100, 1 << 17):
        holder = np.resize(every(np.int8), 2 * size)
        for start in (0, size // 2, size):
            x = holder[start : start + size]
            want = as_halves("silu", x)
            assert_same_bits(fs.silu(x, out=holder.view(np.float16)), want)


def outcome(function: Any, *arguments: Any, **options: Any) -> Any:
    try:
        return function(*arguments, **options).dtype
    except TypeError:
        return TypeError


@pytest.mark.parametrize("casting", ["no", "equiv", "safe", "same_kind", "unsafe"])
@pytest.mark.parametrize("code", "?bBhHiIlLqQefd")
def test_types_are_resolved_as_for_exp(code: str, casting: Any, backend: str) -> None:
    """With every dtype= and every out; but that these three need no cast any more, and so no leave for one."""
    x = np.array([0, 1], code)
    outs: list[Any] = [None, *(np.zeros(2, t) for t in "efdi")]
    for dtype, out in itertools.product([None, np.float16, np.float32, np.float64, np.int8, np.bool_], outs):
        got = outcome(fs.ufuncs.sigmoid, x, out=out, dtype=dtype, casting=casting)
        model = outcome(np.exp, x, out=out, dtype=dtype, casting=casting)
        if code in "?bB" and dtype in (None, np.float16) and casting in ("no", "equiv"):
            model = np.dtype(np.float16) if out is None or out.dtype == np.float16 else TypeError
            if backend == "numba" or got is TypeError:
                continue
        assert got == model, f"{code} to {dtype}, out {None if out is None else out.dtype}"


@EACH
def test_casts_to_bytes_are_never_made(name: str) -> None:
    """The loops of bytes come last: a number that must be cast to fit dtype=float16 is not cut to eight bits."""
    for x in (np.array([3.5, 0.25, -7.0]), np.array([300, -2, 0], np.int16), np.array([70_000, 1], np.int64)):
        for casting in ("same_kind", "unsafe"):
            with np.errstate(over="ignore"):
                got = getattr(fs, name)(x, dtype=np.float16, casting=casting)
                assert_same_bits(got, as_halves(name, x))


@EACH
@pytest.mark.parametrize("size", [10, 1 << 17])
def test_the_asked_for_type_is_computed(name: str, size: int) -> None:
    x = np.resize(every(np.int8), size)
    for dtype in (np.float32, np.float64):
        want = getattr(fs.ufuncs, name)(x.astype(dtype))
        assert_same_bits(getattr(fs.ufuncs, name)(x, dtype=dtype), want)
        assert_same_bits(getattr(fs, name)(x, dtype=dtype), want)
        assert_same_bits(getattr(fs.ufuncs, name)(x, signature=(dtype, None)), want)
