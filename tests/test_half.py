"""float16 and bfloat16: correctly rounded at every one of the 65,536 inputs."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from reference import Array, assert_same_bits, correctly_rounded

import fastsig as fs
from fastsig.ops import OPS, Op

ml_dtypes = pytest.importorskip("ml_dtypes")
UNARY = [op for op in OPS if op.nin == 1]
HALVES = {"float16": np.dtype(np.float16), "bfloat16": np.dtype(ml_dtypes.bfloat16)}


def all_numbers(dtype: str) -> Array:
    return np.arange(1 << 16, dtype=np.uint16).view(HALVES[dtype])


@cache
def wanted(name: str, dtype: str) -> Array:
    with np.errstate(invalid="ignore"):  # ml_dtypes raises that flag for a NaN
        return correctly_rounded(name, all_numbers(dtype).astype(np.float64), dtype).astype(HALVES[dtype])


def of_backend(backend: str, name: str, x: Array) -> Array:
    if x.dtype.name == "bfloat16" and backend != "c":
        pytest.skip("bfloat16 arrays of ml_dtypes are served by the C backend")
    y: Array = getattr(fs, name)(x, backend=backend)
    return y


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("op", UNARY, ids=lambda op: op.name)
def test_correctly_rounded_at_all_inputs(op: Op, dtype: str, backend: str) -> None:
    x = all_numbers(dtype)
    assert_same_bits(of_backend(backend, op.name, x), wanted(op.name, dtype), [x], f"{op.name} {dtype} {backend}")
