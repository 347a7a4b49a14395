"""The CUDA kernels of the gates: their PTX run on the CPU has the host's bits, whatever the axes; and calls on the fake GPU's arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cuda_here import DIALECTS, Guarded, need_compiler, on_cpu, same_but_nan, storage
from fake_gpu import CuPyArray, Gpu, Tensor
from test_gates import parts_of, results, together

import fastsig as fs
from fastsig.ops import FUSED, FUSED_BY_NAME

pytestmark = need_compiler
pytest.importorskip("ml_dtypes")
REALS = ("f16", "bf16", "f32", "f64")
NAMES = {"f16": "float16", "bf16": "bfloat16", "f32": "float32", "f64": "float64"}


@pytest.fixture(scope="module", params=DIALECTS, ids=lambda c: "sm_{}{}".format(*c))
def kernels(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """All kernels of two axes of one dialect, compiled in one go."""
    from fastsig.kernels.cuda import fused_kernels

    made = {(row.name, dtype): fused_kernels.fused(row.name, dtype, 2, True) for row in FUSED for dtype in REALS}
    return made, on_cpu(list(made.values()), request.param)


@pytest.mark.parametrize("dtype", REALS)
@pytest.mark.parametrize("name", FUSED_BY_NAME)
def test_bits_of_every_kernel(name: str, dtype: str, kernels: tuple[Any, Any]) -> None:
    """Three rows, the parts of an argument side by side as in a call; and nothing is written beside the outputs."""
    import ptx_in_c

    row, (made, library) = FUSED_BY_NAME[name], kernels
    shape = (3, 701)
    arguments = together(row, parts_of(name, NAMES[dtype], 3 * 701, True), shape)
    want = results(row, arguments, backend="c")
    kind = storage(dtype)
    outs = [Guarded(w.size, kind, 1) for w in want]
    whole = [*arguments, *(guarded.array.reshape(w.shape) for guarded, w in zip(outs, want, strict=True))]
    addresses, steps = [], []
    for array, (_, count) in zip(whole, (*row.arguments, *row.results), strict=True):
        for i in range(count):
            addresses.append(array.ctypes.data + i * shape[1] * kind.itemsize)
            steps += array.strides
    ptx_in_c.launch(library, made[name, dtype].name, 5, 256, *addresses, 3 * 701, *shape, *steps)
    for guarded, w in zip(outs, want, strict=True):
        assert guarded.intact
        assert same_but_nan(guarded.array.reshape(w.shape), w)


@pytest.mark.parametrize("make", [CuPyArray, Tensor], ids=["cupy", "torch"])
@pytest.mark.parametrize("name", FUSED_BY_NAME)
def test_the_same_kind_with_the_same_bits(name: str, make: Any, gpu: Gpu) -> None:
    row = FUSED_BY_NAME[name]
    arguments = together(row, parts_of(name, "float32", 6 * 35, True), (2, 3, 35))
    want = results(row, arguments)
    got = results(row, tuple(map(make, arguments)))
    outs = tuple(make(np.full_like(w, 5)) for w in want)
    given = results(row, tuple(map(make, arguments)), out=outs if len(outs) > 1 else outs[0])
    assert {launch.stream for launch in gpu.launches} == {7 if make is CuPyArray else 17}
    for a, b, o, w in zip(got, given, outs, want, strict=True):
        assert type(a) is make
        assert b is o
        assert same_but_nan(a.host, w)
        assert same_but_nan(b.host, w)


def test_axes_broadcasting_and_a_gradient_that_is_none(gpu: Gpu) -> None:
    x = np.random.default_rng(0).normal(size=(4, 6, 8)).astype(np.float32)
    assert same_but_nan(fs.glu(CuPyArray(x), 1).host, fs.glu(x, 1))
    assert same_but_nan(fs.swiglu(CuPyArray(x), CuPyArray(x[0, 0])).host, fs.swiglu(x, x[0, 0]))
    gates, c = x, x[..., :2].copy()
    got = fs.lstm_cell_backward(None, CuPyArray(c), CuPyArray(gates), CuPyArray(c))
    for a, b in zip(got, fs.lstm_cell_backward(None, c, gates, c), strict=True):
        assert same_but_nan(a.host, b)
    assert "its kernel for sm_90" in fs.explain(CuPyArray(x), op="glu")


def test_refusals(gpu: Gpu) -> None:
    x = np.zeros((2, 8), np.float32)
    on_gpu = CuPyArray(x)
    for wrong, kind, message in (
        (lambda: fs.swiglu(on_gpu, 2.0), TypeError, "b is float; give an array on the device of the others"),
        (lambda: fs.swiglu(on_gpu, CuPyArray(x.astype(np.float64))), TypeError, "b has dtype float64, and a has float32"),
        (lambda: fs.glu(CuPyArray(x.astype(np.int32))), TypeError, "x has dtype i4; convert it"),
        (lambda: fs.glu(CuPyArray(x[:, :3])), ValueError, "no multiple of 2"),
        (lambda: fs.glu(on_gpu, out=CuPyArray(x)), ValueError, r"out has shape \(2, 8\); the result has shape \(2, 4\)"),
        (lambda: fs.glu(on_gpu, out=CuPyArray(x[:, 1:5])), ValueError, "an output overlaps another array"),
        (lambda: fs.glu(on_gpu, out=CuPyArray(np.zeros((2, 4)))), TypeError, "out has dtype f64"),
        (lambda: fs.swiglu_backward(on_gpu, on_gpu, on_gpu, out=(on_gpu, on_gpu)), ValueError, "shares memory with another output"),
        (lambda: fs.glu(on_gpu, backend="c"), RuntimeError, "backend='c' computes in host memory"),
        (lambda: fs.glu(x, backend="cuda"), RuntimeError, "backend='cuda' computes on arrays of an NVIDIA GPU"),
    ):
        with pytest.raises(kind, match=message):
            wrong()
