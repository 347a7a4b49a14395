"""The CUDA kernels' PTX, run on the CPU instruction by instruction: the bits of the C library or of Numba, at every size and address."""

from __future__ import annotations

import ctypes
from itertools import product
from typing import Any

import numpy as np
import pytest
from cuda_here import DIALECTS, Guarded, inputs_of, need_compiler, of_host, on_cpu, run, same_but_nan, storage
from samples import anything

from fastsig.ops import BY_NAME, OPS

pytestmark = need_compiler
pytest.importorskip("ml_dtypes")
REALS = ("f16", "bf16", "f32", "f64")
EACH_DIALECT = pytest.mark.parametrize("capability", DIALECTS, ids=lambda c: "sm_{}{}".format(*c))


def flat_arguments(arrays: list[Any]) -> tuple[int, ...]:
    from fastsig.kernels.cuda import elementwise

    head, _ = elementwise.flat_shares([a.ctypes.data for a in arrays], arrays[0].size, arrays[0].itemsize)
    return (*(a.ctypes.data for a in arrays), arrays[0].size, head)


@pytest.fixture(scope="module", params=DIALECTS, ids=lambda c: "sm_{}{}".format(*c))
def flat_kernels(request: pytest.FixtureRequest) -> tuple[Any, Any]:
    """All contiguous kernels of one dialect, compiled in one go."""
    from fastsig.kernels.cuda import elementwise_kernels

    kernels = {(op.name, dtype): elementwise_kernels.flat(op.name, dtype) for op in OPS for dtype in REALS}
    return kernels, on_cpu(list(kernels.values()), request.param)


@pytest.mark.parametrize("dtype", REALS)
@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_bits_of_every_kernel(op: Any, dtype: str, flat_kernels: tuple[Any, Any]) -> None:
    import ptx_in_c

    kernels, library = flat_kernels
    inputs = inputs_of(op, dtype)
    out = np.zeros_like(inputs[0])
    kernel = kernels[op.name, dtype]
    ptx_in_c.launch(library, kernel.name, 5, 256, *flat_arguments([*inputs, out]))
    assert same_but_nan(out, of_host(op.name, *inputs))


@pytest.mark.parametrize("error", [-2, -1, 1, 2])
@pytest.mark.parametrize("dtype", ["f16", "bf16", "f32"])
def test_bits_whatever_the_hardwares_reciprocal(dtype: str, error: int, flat_kernels: tuple[Any, Any]) -> None:
    """It may be an ULP off: all halves, and what ``anything`` has of float32, by reciprocals that are one and two ULP off."""
    import ptx_in_c

    kernels, library = flat_kernels
    kind = storage(dtype)
    off = ctypes.c_int.in_dll(library, "reciprocal_error")
    off.value = error
    try:
        for op in (op for op in OPS if op.nin == 1):
            x = np.arange(1 << 16, dtype=np.uint16).view(kind) if dtype != "f32" else np.ascontiguousarray(anything(op, kind, 20_001)[0])
            out = np.zeros(x.shape, kind)
            ptx_in_c.launch(library, kernels[op.name, dtype].name, 5, 256, *flat_arguments([x, out]))
            assert same_but_nan(out, of_host(op.name, x)), op.name
    finally:
        off.value = 0


@pytest.mark.slow
@pytest.mark.parametrize("op", [op for op in OPS if op.nin == 1], ids=lambda op: op.name)
def test_bits_of_many_numbers(op: Any, flat_kernels: tuple[Any, Any]) -> None:
    """One float32 in 251, of all of them."""
    import ptx_in_c

    kernels, library = flat_kernels
    x = np.arange(0, 1 << 32, 251, dtype=np.uint64).astype(np.uint32).view(np.float32)
    out = np.zeros_like(x)
    ptx_in_c.launch(library, kernels[op.name, "f32"].name, 100, 256, *flat_arguments([x, out]))
    assert same_but_nan(out, of_host(op.name, x))


def test_every_primitive_has_an_instruction() -> None:
    """A primitive that is new to the formulas is missed here by name."""
    import inspect

    from fastsig.formulas import prims
    from fastsig.kernels.cuda.tracing import NAMES

    public = {name for name, function in inspect.getmembers(prims, inspect.isfunction) if function.__module__ == prims.__name__}
    assert {name for name in public if not name.startswith("_")} <= set(NAMES)


# ---- which thread does what ----

VECTORS = {"f16": 8, "bf16": 8, "f32": 4, "f64": 2}
SIZES = sorted({0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, *(64 * v + d for v in (1, 2, 4, 8) for d in (-1, 0, 1))})


@EACH_DIALECT
@pytest.mark.parametrize(("op", "dtype"), [("sigmoid", "f32"), ("silu", "f64"), ("sigmoid", "f16"), ("bce", "f32"), ("bce_grad", "bf16")])
def test_every_size_and_address(op: str, dtype: str, capability: tuple[int, int]) -> None:
    """Around every vector and block; the same offset for all operands, another for each, and grids too small and too large. Nothing
    beside the output is written, and every 16-byte access is at a multiple of 16 (ptx_in_c stops at another)."""
    from fastsig.kernels.cuda import elementwise_kernels

    kernel, kind = elementwise_kernels.flat(op, dtype), storage(dtype)
    nin, lanes = BY_NAME[op].nin, VECTORS[dtype]
    for n, (blocks, threads), offsets in product(
        SIZES, [(1, 32), (3, 64), (2, 1)], [(0, 0, 0), (1, 1, 1), (lanes - 1,) * 3, (1, 0, 0), (0, 1, 0)]
    ):
        inputs = []
        for source, behind in zip(anything(BY_NAME[op], kind, n, seed=n), offsets, strict=False):
            guarded = Guarded(n, kind, behind)
            guarded.array[:] = source
            inputs.append(guarded)
        out = Guarded(n, kind, offsets[nin])
        arrays = [guarded.array for guarded in (*inputs, out)]
        run(kernel, capability, blocks, threads, *flat_arguments(arrays))
        assert out.intact, (n, offsets)
        assert same_but_nan(out.array, of_host(op, *arrays[:nin])), (n, blocks, threads, offsets)


def test_in_place() -> None:
    from fastsig.kernels.cuda import elementwise_kernels

    x = Guarded(1001, np.dtype("f4"), 1)
    x.array[:] = np.linspace(-100, 100, 1001)
    want = of_host("sigmoid", x.array)
    run(elementwise_kernels.flat("sigmoid", "f32"), (9, 0), 2, 64, *flat_arguments([x.array, x.array]))
    assert x.intact
    assert same_but_nan(x.array, want)


def test_the_runner_stops_at_a_misaligned_access(tmp_path: Any) -> None:
    """So the tests above can fail."""
    from processes import run_python

    code = f"""
sys.path[:0] = {[p for p in __import__("sys").path if p.endswith(("tools", "tests"))]!r}
import numpy as np
from cuda_here import run
from fastsig.kernels.cuda import elementwise_kernels
x = np.zeros(64, np.float32)
run(elementwise_kernels.flat("sigmoid", "f32"), (9, 0), 1, 32, x.ctypes.data + 4, x.ctypes.data, 32, 0)
"""
    done = run_python(code)
    assert done.returncode != 0
    assert "a misaligned 16-byte access" in done.stderr


def test_an_instruction_without_a_meaning_does_not_compile(tmp_path: Any) -> None:
    import subprocess

    import ptx_in_c

    from fastsig.kernels.cuda import compiler, elementwise_kernels

    text = compiler.ptx_of(elementwise_kernels.flat("sigmoid", "f32"), (9, 0)).replace("div.rn.f32", "div.full.f32")
    with pytest.raises(subprocess.CalledProcessError):
        ptx_in_c.build({"k": text}, tmp_path)
