"""Arrays that NumPy's iterator walks slowly, which the C library takes itself: transposed ones, unaligned ones, the other byte order."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from reference import Array, assert_same_bits
from views import Layout, layouts, memory_for, shapes

import fastsig as fs
from fastsig.dispatch import availability
from fastsig.kernels.c.status import library
from fastsig.ops import OPS

pytestmark = pytest.mark.skipif(library is None, reason="the C library is not built")
UNARY = [op for op in OPS if op.nin == 1]
QUICK = settings(max_examples=25, derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow])
THOROUGH = settings(QUICK, max_examples=400)
EACH_PROFILE = pytest.mark.parametrize(
    "profile", [pytest.param(QUICK, id=""), pytest.param(THOROUGH, id="thorough", marks=pytest.mark.slow)]
)
LARGE = st.sampled_from([(200, 150), (33, 300), (300, 33), (700, 9), (9, 700), (130, 3), (5, 7, 90), (40, 3, 70), (2, 1, 150, 41), (1000,)])
"""Shapes of more than one tile along an axis, and of rows that a tile has not filled."""


@pytest.fixture(params=[pytest.param(name, id=name) for name in (library.isas() if library else ["none"])])
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    assert library is not None
    before = library.isa()
    library.set_isa(request.param)
    yield request.param
    library.set_isa(before)


@pytest.fixture(params=[pytest.param(None, id=""), pytest.param(0, id="past the caches")])
def stream(request: pytest.FixtureRequest) -> Iterator[None]:
    assert library is not None
    before = library.stream_bytes()
    if request.param is not None:
        library.set_stream_bytes(request.param)
    yield
    library.set_stream_bytes(before)


def draw_array(data: st.DataObject, shape: tuple[int, ...], name: str, label: str, repeat: bool) -> tuple[Layout, Array, Array]:
    """A layout, the memory around it and the array: in either byte order."""
    dtype = np.dtype(name).newbyteorder(data.draw(st.sampled_from("==S"), label=f"{label}: byte order"))
    layout = data.draw(layouts(shape, dtype.itemsize, repeat), label=label)
    memory = memory_for(layout, np.dtype(name), data.draw(st.integers(0, 2**32 - 1)))
    return layout, memory, layout.over(memory, dtype)


def check(data: st.DataObject, name: str, backend: str) -> None:
    shape = data.draw(st.one_of(shapes(), LARGE), label="shape")
    dtype = data.draw(st.sampled_from(["float16", "float32", "float64"]), label="dtype")
    _, x_memory, x = draw_array(data, shape, dtype, "x", repeat=True)
    function, ufunc = getattr(fs, name), availability.ufunc_of(backend, name)
    want = ufunc(np.array(x, dtype, order="C"))
    order = data.draw(st.sampled_from(["K", "C", "F"]), label="order")
    made = function(x, backend=backend, order=order)
    assert_same_bits(made, want, label=f"{name}, order={order}")
    expected = ufunc(x.astype(dtype, order="K"), order=order)
    assert made.dtype == expected.dtype == np.dtype(dtype)
    assert all(made.flags[flag] == np.array(x, dtype, order=order).flags[flag] for flag in ("C", "F") if order == flag)
    if data.draw(st.integers(0, 3), label="in place") == 0 and x.flags.writeable:
        memory, out = x_memory, x
    else:
        _, memory, out = draw_array(data, shape, dtype, "out", repeat=False)
    kept, before = memory.copy(), out.copy()
    assert function(x, out=out, backend=backend) is out
    assert_same_bits(out.astype(dtype), want, label=f"{name}, out=")
    out[...] = before
    assert memory.tobytes() == kept.tobytes(), f"{name}: wrote beside the output"


@EACH_PROFILE
@pytest.mark.parametrize("name", ["sigmoid", "logit"])
def test_any_layout_is_its_elements(name: str, backend: str, isa: str, stream: None, profile: settings) -> None:
    if backend == "numba" and (library is None or isa != library.isas()[-1]):
        pytest.skip("the instruction sets are the C library's")
    examples = seed(zlib.crc32(f"{name} {backend} {isa}".encode()))(profile(given(st.data())(lambda data: check(data, name, backend))))
    with np.errstate(all="ignore"):
        examples()


def test_each_function_takes_them() -> None:
    for op in UNARY:
        x = np.linspace(0.01, 0.99, 600, dtype=np.float32).reshape(20, 30)
        want = getattr(fs.ufuncs, op.name)(x)
        for like in (np.asfortranarray(x), x.astype(">f4"), x.astype("<f4")):
            assert_same_bits(getattr(fs, op.name)(like, out=np.empty_like(x)), want, label=op.name)


def unaligned(x: Array) -> Array:
    memory = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    memory[...] = x
    return memory


def taken(x: Any, out: Any = None) -> bool:
    assert library is not None
    result = library.compute_awkward(fs.ufuncs.sigmoid, x, out)
    assert result is None or out is None or result is out
    return result is not None


def test_what_is_taken() -> None:
    x, out = np.ones((40, 50), np.float32), np.zeros((40, 50), np.float32)
    assert taken(np.asfortranarray(x), out)
    assert taken(x, np.asfortranarray(out))
    assert taken(x.T, out.T.copy())
    assert taken(x.astype(x.dtype.newbyteorder()))
    assert taken(x.astype(x.dtype.newbyteorder()), out)
    assert taken(unaligned(x), out)
    assert taken(x, unaligned(x))
    swapped = x.astype(x.dtype.newbyteorder())
    assert taken(swapped, swapped)


def test_what_is_left_to_numpy() -> None:
    x, out = np.ones((40, 50), np.float32), np.zeros((40, 50), np.float32)
    across, far = np.asfortranarray(x), np.zeros((40, 50))
    assert not taken(x)
    assert not taken(x, out)
    assert not taken(x[::2, ::2], out[::2, ::2])
    assert not taken(across, far)
    assert not taken(across, out.T)
    assert not taken(across.astype(np.int8), out)
    assert not taken(across, np.broadcast_to(out[:1], (40, 50)))
    assert not taken(unaligned(x)[:, ::2])
    square = np.ones((50, 50), np.float32)
    assert not taken(square.T, square)
    assert not taken(np.zeros((0, 4), np.float32).T, np.zeros((4, 0), np.float32))
    out.flags.writeable = False
    assert not taken(across, out)
    with pytest.raises(ValueError, match="read-only"):
        fs.sigmoid(across, out=out)


def test_a_transpose_onto_itself() -> None:
    x = np.random.default_rng(0).normal(size=(130, 130)).astype(np.float32)
    want = fs.ufuncs.sigmoid(x).T.copy()
    assert_same_bits(fs.sigmoid(x.T, out=x), want)


@pytest.mark.parametrize("dtype", [">f4", ">f8"])
def test_an_array_without_axes_gives_a_number(dtype: str) -> None:
    for order in "KCFA":
        assert type(fs.sigmoid(np.array(1.0, dtype), order=order)) is np.dtype(dtype[1:]).type


@pytest.mark.parametrize(
    "windows", [np.lib.stride_tricks.sliding_window_view, lambda a, n, **_: np.lib.stride_tricks.as_strided(a, (9, n), (0, a.itemsize))]
)
@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8"])
def test_an_output_whose_places_share_memory_is_numpys(windows: Any, dtype: str) -> None:
    """NumPy copies it first, so that no result is computed of another one."""
    a = np.arange(12).astype(dtype)
    want = fs.sigmoid(a.astype(dtype[1:]))
    view = windows(a, 3, writeable=True)
    reached = np.isin(
        np.arange(12) * a.itemsize + a.ctypes.data,
        view.ctypes.data + sum(np.meshgrid(*(np.arange(n) * s for n, s in zip(view.shape, view.strides, strict=True)))),
    )
    fs.sigmoid(view, out=view)
    assert_same_bits(a.astype(dtype[1:])[reached], want[reached])
