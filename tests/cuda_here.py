"""What the tests of the CUDA backend need: kernels in PTX, once a session, and their run on the CPU."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from samples import anything

import fastsig as fs
from fastsig.ops import Op

TOOLS = Path(__file__).parent.parent / "tools"
sys.path.insert(0, str(TOOLS))

WITHOUT = "numba-cuda and NVIDIA's compiler wheels are not installed: pip install 'fastsig-kernels[test-cuda]'"


def _is_there(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ValueError:  # --hide has put a None in its place
        return False


HAS_COMPILER = all(map(_is_there, ("numba", "numba_cuda", "cuda", "nvidia")))
HAS_BITS = fs.backends()["c"] == "available"
need_compiler = pytest.mark.skipif(
    not (HAS_COMPILER and HAS_BITS),
    reason=WITHOUT if HAS_BITS else "the bits to compare with are the C library's: only it has bfloat16",
)
DIALECTS = ((7, 5), (12, 0))
"""One architecture for each of the two IR dialects of NVVM, whose optimisers differ."""


def storage(name: str) -> np.dtype[Any]:
    """The NumPy dtype of an element type of the kernels."""
    if name == "bf16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    from fastsig.arrays.gpu import NAMES

    return np.dtype(NAMES[name])


def of_host(name: str, *arrays: Any) -> Any:
    """The results of the host's ufunc."""
    fs.sigmoid(arrays[0])  # which has the ufuncs take bfloat16
    with np.errstate(all="ignore"):
        return getattr(fs.ufuncs, name)(*arrays)


def inputs_of(op: Op, word: str) -> list[np.ndarray[Any, Any]]:
    """All halves for the unary operations; cliffs, subnormals, infinities, NaN and random numbers otherwise."""
    kind = storage(word)
    if op.nin == 1 and kind.itemsize == 2:
        return [np.arange(1 << 16, dtype=np.uint16).view(kind)]
    return [np.ascontiguousarray(a) for a in anything(op, kind, 20_001)]


@cache
def _folder() -> Path:
    _folder.kept = tempfile.TemporaryDirectory()  # type: ignore[attr-defined]
    return Path(_folder.kept.name)  # type: ignore[attr-defined]


_libraries: dict[tuple[Any, ...], ctypes.CDLL] = {}


def on_cpu(kernels: list[Any], capability: tuple[int, int]) -> ctypes.CDLL:
    """These kernels' PTX for this architecture as a library for the CPU."""
    import ptx_in_c

    from fastsig.kernels.cuda import compiler as numba_cuda

    key = (capability, *(kernel.name for kernel in kernels))
    if key not in _libraries:
        _libraries[key] = ptx_in_c.build({kernel.name: numba_cuda.ptx_of(kernel, capability) for kernel in kernels}, _folder())
    return _libraries[key]


def run(kernel: Any, capability: tuple[int, int], blocks: int, threads: int, *arguments: int) -> None:
    import ptx_in_c

    ptx_in_c.launch(on_cpu([kernel], capability), kernel.name, blocks, threads, *arguments)


def same_but_nan(got: np.ndarray[Any, Any], want: np.ndarray[Any, Any]) -> bool:
    """The same bits, and NaN where NaN is wanted: PTX leaves a NaN's payload open."""
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    word = f"u{got.dtype.itemsize}"
    equal = got.view(word) == want.view(word)
    return bool(np.all(equal | (np.isnan(got) & np.isnan(want))))


class Guarded:
    """An array of n elements between others that must stay as they are, at so many elements behind a multiple of 64 bytes."""

    def __init__(self, n: int, dtype: np.dtype[Any], behind: int = 0) -> None:
        self._whole = np.zeros((n + 160) * dtype.itemsize, np.uint8)
        self._whole[:] = 0xA5
        start = -self._whole.ctypes.data % 64 + (64 + behind) * dtype.itemsize
        stop = start + n * dtype.itemsize
        self.array = self._whole[start:stop].view(dtype)
        self._ends = (self._whole[:start], self._whole[stop:])

    @property
    def intact(self) -> bool:
        return all(bool(np.all(end == 0xA5)) for end in self._ends)
