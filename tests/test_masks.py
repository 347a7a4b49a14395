"""``where=`` with a mask: the elements where it is True have the bits of a plain call, and all others are as they were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from reference import Array, assert_same_bits
from samples import anything

import fastsig as fs
from fastsig.ops import BY_NAME, OPS

UNARY = [op.name for op in OPS if op.nin == 1]
EACH = pytest.mark.parametrize("name", UNARY)
SIZES = (0, 1, 7, 8, 9, 1023, 1024, 1025, 5000, (1 << 17) + 3)
"""On both sides of eight at once, of a block, and of what threads share."""
DENSITIES = (0.0, 0.02, 0.2, 0.34, 0.5, 0.98, 1.0)
random = np.random.default_rng(7)


def numbers(name: str, dtype: Any, shape: Any) -> Array:
    return np.resize(anything(BY_NAME[name], dtype, 3_001)[0], shape)


def masked_anew(name: str, x: Array, out: Array, mask: Array, **options: Any) -> None:
    """Calls with a mask, and compares with what a whole call gives there, and with what stood in out elsewhere."""
    want = np.where(mask, getattr(fs.ufuncs, name)(np.array(x)), out)
    assert getattr(fs, name)(x, out=out, where=mask, **options) is out
    assert_same_bits(out, want, label=f"{name} {x.dtype} {x.shape} {options}")


@EACH
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("options", [{}, {"threads": 3}, {"backend": "c"}], ids=str)
def test_random_masks(name: str, dtype: Any, options: dict[str, Any], pytestconfig: pytest.Config) -> None:
    if set(options.values()) & set(pytestconfig.getoption("--hide")):
        pytest.skip("--hide: that backend is not there")
    for size in SIZES:
        x = numbers(name, dtype, size)
        for density in DENSITIES:
            masked_anew(name, x, np.full(size, 9, dtype), random.random(size) < density, **options)


@EACH
def test_numbas_loop_takes_masks_too(name: str, need_numba: None) -> None:
    x = numbers(name, np.float32, 70_001)
    masked_anew(name, x, np.full(x.size, 9, np.float32), random.random(x.size) < 0.5, backend="numba")


def test_bfloat16(need_c: None) -> None:
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    for size in (100, 1 << 17):
        x = numbers("silu", np.float32, size).astype(bfloat16)
        fs.silu(x)
        out, mask = np.full(size, 9, bfloat16), random.random(size) < 0.5
        want = np.where(mask, fs.ufuncs.silu(x), out)
        fs.silu(x, out=out, where=mask)
        assert_same_bits(out.view(np.uint16), want.view(np.uint16))


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "C": np.ascontiguousarray,
    "Fortran": np.asfortranarray,
    "every other": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "backwards": lambda a: a[::-1, ::-1],
    "transposed": lambda a: np.ascontiguousarray(a.T).T,
}
MASKS: dict[str, Callable[[Array], Array]] = {
    **LAYOUTS,
    "a row": lambda a: a[0],
    "a column": lambda a: a[:, :1],
    "one": lambda a: a[0, 0],
    "bytes other than 1": lambda a: (a * np.uint8(6)).view(bool),
}


@pytest.mark.parametrize("mask_layout", MASKS)
@pytest.mark.parametrize("out_layout", LAYOUTS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_all_three(layout: str, out_layout: str, mask_layout: str) -> None:
    for shape in ((30, 40), (300, 401)):
        x = LAYOUTS[layout](numbers("softplus", np.float32, shape))
        masked_anew("softplus", x, LAYOUTS[out_layout](np.full(shape, 9, np.float32)), MASKS[mask_layout](random.random(shape) < 0.5))


@pytest.mark.parametrize("size", [100, 5_000, 1 << 17])
def test_in_place_and_overlapping(size: int) -> None:
    """An out that is x, or x moved along: as if x had been copied first."""
    for shift in (0, 1, -1, 33):
        holder = numbers("sigmoid", np.float32, size + 100)
        x, out = holder[40 : 40 + size], holder[40 + shift : 40 + shift + size]
        masked_anew("sigmoid", x, out, random.random(size) < 0.5)
    mask = (random.random(4 * size) < 0.5) * np.uint8(1)
    out = mask.view(np.float32)
    want = np.where(mask[:size].astype(bool), fs.ufuncs.sigmoid(numbers("sigmoid", np.float32, size)), out)
    fs.sigmoid(numbers("sigmoid", np.float32, size), out=out, where=mask[:size].view(bool))
    assert_same_bits(out, want, label="a mask that lies in out")


@pytest.mark.parametrize("size", [100, 1 << 17])
def test_what_numpy_refuses_is_refused(size: int) -> None:
    x, out = numbers("sigmoid", np.float32, size), np.full(size, 9, np.float32)
    with pytest.raises(ValueError, match="broadcast"):
        fs.sigmoid(x, out=out, where=np.ones(3, bool))
    with pytest.raises(ValueError, match="shape"):
        fs.sigmoid(x, out=out, where=np.ones((2, size), bool))
    with pytest.raises(TypeError, match="[Cc]ast"):
        fs.sigmoid(x, out=out, where=np.ones(size, np.float32))
    frozen = out.copy()
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        fs.sigmoid(x, out=frozen, where=np.ones(size, bool))
    assert (out == 9).all()
    assert (frozen == 9).all()


def test_other_outs_are_as_numpys() -> None:
    x, mask = numbers("sigmoid", np.float32, 2_000), random.random(2_000) < 0.5
    want = fs.ufuncs.sigmoid(x)
    wide, grown, in_tuple = np.full(2_000, 9.0), np.full((3, 2_000), 9, np.float32), np.full(2_000, 9, np.float32)
    assert_same_bits(fs.sigmoid(x, out=wide, where=mask), np.where(mask, want.astype(np.float64), 9))
    assert_same_bits(fs.sigmoid(x, out=grown, where=mask), np.broadcast_to(np.where(mask, want, np.float32(9)), (3, 2_000)))
    assert fs.sigmoid(x, out=(in_tuple,), where=mask) is in_tuple
    assert_same_bits(in_tuple, np.where(mask, want, np.float32(9)))
    whole = np.resize(np.arange(-128, 128).astype(np.int8), 2_000)
    out = np.full(2_000, 9, np.float16)
    assert_same_bits(fs.sigmoid(whole, out=out, where=mask), np.where(mask, fs.ufuncs.sigmoid(whole), np.float16(9)))


@EACH
def test_masked_calls_are_silent(name: str) -> None:
    with np.errstate(all="raise"):
        for size in (1_000, 1 << 17):
            x = numbers(name, np.float32, size)
            getattr(fs, name)(x, out=np.empty_like(x), where=random.random(size) < 0.5)
