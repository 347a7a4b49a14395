"""Gated linear units and recurrent cells: error in ULP, one answer from every backend and layout, torch's results, refusals."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from float_environments import ALL as ENVIRONMENTS
from float_environments import needed, under
from processes import printed
from reference import Array, assert_same_bits

import fastsig as fs
from fastsig.formulas import gates as formulas
from fastsig.formulas.prims import constants
from fastsig.gates import call as gates
from fastsig.ops import FUSED, FUSED_BY_NAME, Fused

try:
    from ml_dtypes import bfloat16
except ImportError:
    bfloat16 = None

inf, nan = np.inf, np.nan
EACH = pytest.mark.parametrize("row", FUSED, ids=lambda row: row.name)
REALS = ("float32", "float64")
ALL = ["float16", *REALS, pytest.param("bfloat16", marks=pytest.mark.skipif(bfloat16 is None, reason="ml_dtypes is not installed"))]
EACH_DTYPE = pytest.mark.parametrize("dtype", ALL)


def real(dtype: str) -> np.dtype[Any]:
    return np.dtype(bfloat16 if dtype == "bfloat16" else dtype)


def results(row: Fused, arguments: tuple[Array, ...], **options: Any) -> tuple[Array, ...]:
    found = getattr(fs, row.name)(*arguments, **options)
    return found if isinstance(found, tuple) else (found,)


@cache
def parts_of(name: str, dtype: str, n: int, wild: bool, seed: int = 0) -> tuple[Array, ...]:
    """The inputs of a formula: ordinary ones; or of all magnitudes, with infinities, NaN, zeros and the limits of the near formula."""
    random = np.random.default_rng(seed)
    kind, found = real(dtype), []
    reach = {2: 4, 4: 38, 8: 307}[kind.itemsize]
    for limit in FUSED_BY_NAME[name].near:
        x = random.normal(size=n) * random.choice([1, 3, 10], size=n)
        if wild:
            near = float(getattr(constants(np.float64(0) if dtype == "float64" else np.float32(0)), limit))
            x = np.where(random.random(n) < 0.3, random.normal(size=n) * 10.0 ** random.integers(-reach, reach, size=n), x * 20)
            x = np.where(random.random(n) < 0.1, random.choice([inf, -inf, nan, 0.0, -0.0, near, -near, near * 1.001], size=n), x)
        with np.errstate(over="ignore"):
            found.append(x.astype(kind))
    return tuple(found)


def together(row: Fused, parts: tuple[Array, ...], shape: tuple[int, ...]) -> tuple[Array, ...]:
    """The arguments of a call whose parts, of this shape each, are these."""
    left = list(parts)
    return tuple(np.concatenate([left.pop(0).reshape(shape) for _ in range(count)], axis=-1) for _, count in row.arguments)


# ---- accuracy ----


@pytest.mark.parametrize("dtype", REALS)
@EACH
def test_error_in_ulp(row: Fused, dtype: str, backend: str) -> None:
    """Against hundreds of digits, from subnormal to overflowing results; products of huge numbers and tails that alone are 0."""
    mpmath = pytest.importorskip("mpmath")
    info, kind = np.finfo(dtype), np.dtype(dtype).type
    random = np.random.default_rng(7)
    n, far = 500, 30 if dtype == "float32" else 250
    parts = []
    for limit in row.near:
        if limit == "factor_near":
            x = np.where(random.random(n) < 0.6, random.normal(size=n), random.normal(size=n) * 10.0 ** random.integers(-far, far, size=n))
        else:
            x = random.normal(size=n) * random.choice([1, 3, 10, 40, 3 * far], size=n, p=[0.4, 0.3, 0.2, 0.05, 0.05])
        parts.append(x.astype(kind))
    got = np.concatenate(results(row, together(row, tuple(parts), (n, 1)), backend=backend), axis=1)
    bound = row.ulp_f32 if dtype == "float32" else row.ulp_f64
    with mpmath.workprec(400):
        mp = mpmath.mp
        least = mp.mpf(float(info.smallest_normal))
        for j in range(n):
            point = [mp.mpf(float(x[j])) for x in parts]
            for k, (exact, scale) in enumerate(zip(row.exact(mp, *point), row.scale(mp, least, *point), strict=True)):
                scale = abs(scale)
                if scale >= float(info.max) / 4:
                    continue
                exponent = int(mp.floor(mp.log(scale, 2))) if scale else -10_000
                unit = mp.mpf(2) ** (max(exponent, int(info.minexp)) - int(info.nmant))
                error = abs(mp.mpf(float(got[j, k])) - exact) / unit
                assert error <= bound, f"{row.name} {dtype}, result {k}: {float(error)} ULP at {[float(x[j]) for x in parts]}"


def test_tails_are_kept(backend: str) -> None:
    """Where the sigmoid alone is subnormal, or 0."""
    big = np.float32(1e38)
    assert fs.glu(np.array([big, -150], np.float32), backend=backend)[0] == pytest.approx(1e38 * np.exp(-150.0), rel=1e-6)
    assert fs.swiglu(np.float32(-120), big, backend=backend) == pytest.approx(-120e38 * np.exp(-120.0), rel=1e-6)
    assert fs.glu(np.array([1e300, -1000.0]), backend=backend)[0] == pytest.approx(float(np.exp(300 * np.log(10.0) - 1000.0)), rel=1e-12)
    _, c = fs.lstm_cell(np.array([[-200, -110, 0, 0]], np.float32), np.array([[big]]), backend=backend)
    assert c[0, 0] == pytest.approx(1e38 * np.exp(-110.0), rel=1e-6)


@EACH
@pytest.mark.parametrize("dtype", ["float16", ALL[-1]])
def test_halves_are_rounded_once(row: Fused, dtype: str, backend: str) -> None:
    parts = parts_of(row.name, dtype, 1000, False)
    got = results(row, together(row, parts, (10, 100)), backend=backend)
    wide = results(row, together(row, tuple(p.astype(np.float32) for p in parts), (10, 100)), backend=backend)
    for a, b in zip(got, wide, strict=True):
        assert_same_bits(a, b.astype(real(dtype)), label=row.name)


def test_edges(backend: str) -> None:
    def glu(*x: float) -> float:
        return float(fs.glu(np.array(x), backend=backend)[0])

    assert glu(3.0, inf) == 3.0
    assert glu(-3.0, -inf) == 0.0
    assert np.signbit(glu(-3.0, -inf))
    assert glu(inf, -1000.0) == inf
    assert np.isnan(glu(inf, -inf))
    assert np.isnan(glu(nan, 1.0))
    assert np.isnan(glu(1.0, nan))
    assert fs.swiglu(-inf, 2.0, backend=backend) == 0
    assert np.isnan(fs.swiglu(-inf, inf, backend=backend))
    assert fs.swiglu(inf, -2.0, backend=backend) == -inf
    h, c = fs.lstm_cell([[inf, -inf, inf, inf]], [[5.0]], backend=backend)
    assert c[0, 0] == 1
    assert h[0, 0] == np.tanh(1.0)
    assert fs.gru_cell([[0.0, inf, 0.0]], [[0.0, 0.0, 0.0]], [[7.0]], backend=backend)[0, 0] == 7
    assert fs.gru_cell([[0.0, -inf, inf]], [[0.0, 0.0, 0.0]], [[7.0]], backend=backend)[0, 0] == 1


# ---- one answer ----


def test_what_others_add_to_the_builtins_is_not_kept_with_a_kernel(tmp_path: Path, need_numba: None) -> None:
    """Libraries that pybind11 made add an object that cannot be pickled."""
    code = """
import builtins, datetime
builtins.added = datetime.datetime_CAPI
import numpy as np, fastsig as fs
fs.glu(np.ones((2, 6), "f4"), backend="numba")
"""
    printed(code, NUMBA_CACHE_DIR=str(tmp_path))
    assert [*tmp_path.rglob("*.nbc")]


@pytest.mark.parametrize("wild", [False, True])
@EACH_DTYPE
@EACH
def test_numba_has_the_bits_of_c(row: Fused, dtype: str, wild: bool, need_c: None, need_numba: None) -> None:
    arguments = together(row, parts_of(row.name, dtype, 3 * 1037, wild), (3, 1037))
    for a, b in zip(results(row, arguments, backend="c"), results(row, arguments, backend="numba"), strict=True):
        assert_same_bits(a, b, label=row.name)


@pytest.mark.parametrize("isa", ["baseline", "v3", "v4"])
@EACH_DTYPE
@EACH
def test_instruction_sets_have_the_same_bits(row: Fused, dtype: str, isa: str, default_isa: None) -> None:
    from fastsig.kernels.c import library as c

    if isa not in c.isas():
        pytest.skip(f"this machine or build has no {isa}")
    arguments = together(row, parts_of(row.name, dtype, 2 * 537, True), (2, 537))
    want = results(row, arguments, backend="c")
    c.set_isa(isa)
    for a, b in zip(results(row, arguments, backend="c"), want, strict=True):
        assert_same_bits(a, b, label=row.name)


@pytest.mark.parametrize("dtype", REALS)
@EACH
def test_formulas_as_plain_python_have_the_same_bits(row: Fused, dtype: str, backend: str) -> None:
    """What one reads is what is computed: the near formula within the table's limits, the far one elsewhere."""
    parts = parts_of(row.name, dtype, 120, True, 3)
    k = constants(parts[0][0])
    got = []
    for point in zip(*parts, strict=True):
        near = all(abs(x) <= getattr(k, limit) for x, limit in zip(point, row.near, strict=True))
        with np.errstate(all="ignore"):
            found = getattr(formulas, f"{row.name}_{'near' if near else 'far'}")(*point)
        got.append([found[place] for place in row.stored] if isinstance(found, tuple) else [found])
    want = np.concatenate(results(row, together(row, parts, (120, 1)), backend=backend), axis=1)
    assert_same_bits(np.array(got), want, label=row.name)


def arrangements(a: Array) -> list[Array]:
    """The same elements in other layouts."""
    padded = np.zeros((*a.shape[:-1], 2 * a.shape[-1] + 3), a.dtype)
    padded[..., 1 : 1 + 2 * a.shape[-1] : 2] = a
    odd = np.frombuffer(b"\0" + a.tobytes(), a.dtype, offset=1).reshape(a.shape)
    wide = np.concatenate([a, a], axis=-1)[..., : a.shape[-1]]
    return [np.asfortranarray(a), padded[..., 1 : 1 + 2 * a.shape[-1] : 2], a[::-1].copy()[::-1], odd, wide]


@EACH_DTYPE
@EACH
def test_layouts(row: Fused, dtype: str, backend: str) -> None:
    for length in (1, 3, 16, 37, 130):
        arguments = together(row, parts_of(row.name, dtype, 6 * length, True), (2, 3, length))
        want = results(row, arguments, backend=backend)
        for views in zip(*map(arrangements, arguments), strict=True):
            for a, b in zip(results(row, views, backend=backend), want, strict=True):
                assert_same_bits(a, b, label=f"{row.name}, rows of {length}")
        outs = tuple(np.full((*w.shape[:-1], 2 * w.shape[-1]), 5, w.dtype) for w in want)
        views = tuple(o[..., ::2] for o in outs)
        given = results(row, arguments, backend=backend, out=views if len(views) > 1 else views[0])
        for a, b, o, view in zip(given, want, outs, views, strict=True):
            assert a is view
            assert_same_bits(a, b, label=row.name)
            assert (o[..., 1::2] == 5).all(), "wrote beside the output"


@EACH_DTYPE
@EACH
def test_threads_and_lengths(row: Fused, dtype: str, backend: str) -> None:
    """Rows that end within a line, and pieces that end within a row."""
    arguments = together(row, parts_of(row.name, dtype, 30 * 1009, False), (30, 1009))
    want = results(row, arguments, backend=backend, threads=1)
    for a, b in zip(results(row, arguments, backend=backend, threads=3), want, strict=True):
        assert_same_bits(a, b, label=row.name)
    for length in range(70):
        some = together(row, tuple(p[:length] for p in parts_of(row.name, dtype, 30 * 1009, False)), (length,))
        for a, b in zip(results(row, some, backend=backend), want, strict=True):
            first = [part[:length] for part in np.split(b, b.shape[-1] // 1009, axis=-1) for part in [part.reshape(-1)]]
            assert_same_bits(a, np.concatenate(first), label=f"{row.name}, {length} elements")


@EACH
def test_in_place(row: Fused, backend: str) -> None:
    """Each output in place of the argument of its shape."""
    arguments = together(row, parts_of(row.name, "float32", 5 * 70, True), (5, 70))
    want = results(row, arguments, backend=backend)
    ours = [a.copy() for a in arguments]
    outs: list[Array] = []
    for w in want:
        fitting = [a for a in (ours[0][:, 70:], *ours) if a.shape == w.shape and not any(np.may_share_memory(a, o) for o in outs)]
        outs.append(fitting[0] if fitting else np.empty_like(w))
    got = results(row, tuple(ours), backend=backend, out=tuple(outs) if len(outs) > 1 else outs[0])
    for a, b, o in zip(got, want, outs, strict=True):
        assert a is o
        assert_same_bits(a, b, label=row.name)


def test_an_output_that_overlaps_otherwise(backend: str) -> None:
    """The input is read as if the output were elsewhere, as in a ufunc."""
    memory = np.linspace(-3, 3, 301)
    want = fs.swiglu(memory[:-1].copy(), memory[1:].copy(), backend=backend)
    assert_same_bits(fs.swiglu(memory[:-1], memory[1:], out=memory[1:], backend=backend), want)


def test_axes(backend: str) -> None:
    """The halves along any axis, as along the last one."""
    x = np.random.default_rng(0).normal(size=(4, 6, 8))
    for axis in (-3, -2, -1, 0, 1, 2):
        halves = (np.moveaxis(half, axis, -1) for half in np.split(x, 2, axis=axis))
        last = np.concatenate(list(halves), axis=-1)
        out = fs.glu(x, axis, backend=backend)
        dx = fs.glu_backward(np.ones_like(out), x, axis, backend=backend)
        assert_same_bits(np.moveaxis(out, axis, -1), fs.glu(last, backend=backend))
        want = fs.glu_backward(np.ones(np.moveaxis(out, axis, -1).shape), last, backend=backend)
        assert_same_bits(np.moveaxis(dx, axis, -1), want)


def test_broadcasting_and_types(backend: str) -> None:
    a, b = np.linspace(-4, 4, 12, dtype=np.float32).reshape(3, 4), np.linspace(-1, 1, 4, dtype=np.float32)
    want = fs.swiglu(a, np.broadcast_to(b, (3, 4)).copy(), backend=backend)
    assert_same_bits(fs.swiglu(a, b, backend=backend), want)
    assert fs.swiglu(a[:, :1], b, backend=backend).shape == (3, 4)
    assert fs.swiglu(a, 2.0, backend=backend).dtype == np.float32
    assert fs.swiglu(a, b.astype(np.float64), backend=backend).dtype == np.float64
    assert fs.swiglu(np.arange(3), np.arange(3), backend=backend).dtype == np.float64
    assert isinstance(fs.swiglu(1.0, 2.0, backend=backend), np.float64)
    da, db = fs.swiglu_backward(np.float32(1), a, b, backend=backend)
    assert da.shape == db.shape == (3, 4)
    assert fs.glu(np.zeros((0, 4)), backend=backend).shape == (0, 2)
    assert fs.glu(np.arange(4), backend=backend).dtype == np.float64


def test_a_gradient_that_is_none_is_zeros(backend: str) -> None:
    gates, c = together(FUSED_BY_NAME["lstm_cell"], parts_of("lstm_cell", "float32", 90, False), (3, 30))
    ones, zeros = np.ones_like(c), np.zeros_like(c)
    for given, full in (((None, ones), (zeros, ones)), ((ones, None), (ones, zeros))):
        got, want = (fs.lstm_cell_backward(*grads, gates, c, backend=backend) for grads in (given, full))
        for a, b in zip(got, want, strict=True):
            assert_same_bits(a, b)


@needed
@pytest.mark.parametrize("environment", ENVIRONMENTS)
@EACH
def test_whatever_the_floating_point_environment(row: Fused, environment: str, backend: str) -> None:
    arguments = together(row, parts_of(row.name, "float32", 300, True), (3, 100))
    want = results(row, arguments, backend=backend)
    with under(environment):
        got = results(row, arguments, backend=backend)
    for a, b in zip(got, want, strict=True):
        assert_same_bits(a, b, label=row.name)


# ---- torch ----


def test_as_torch(backend: str) -> None:
    """The functions and the cells of torch, values and gradients, to what its float64 loses."""
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    x, grad = random.normal(size=(5, 14)), random.normal(size=(5, 7))
    tx = torch.tensor(x, requires_grad=True)
    out = torch.nn.functional.glu(tx)
    out.backward(torch.tensor(grad))
    np.testing.assert_array_max_ulp(fs.glu(x, backend=backend), out.detach().numpy(), 8)
    np.testing.assert_array_max_ulp(fs.glu_backward(grad, x, backend=backend), tx.grad.numpy(), 8)
    a, b = (torch.tensor(random.normal(size=(5, 7)), requires_grad=True) for _ in range(2))
    out = torch.nn.functional.silu(a) * b
    out.backward(torch.tensor(grad))
    found = fs.swiglu(a.detach().numpy(), b.detach().numpy(), backend=backend)
    np.testing.assert_array_max_ulp(found, out.detach().numpy(), 8)
    for got, want in zip(fs.swiglu_backward(grad, a.detach().numpy(), b.detach().numpy(), backend=backend), (a, b), strict=True):
        np.testing.assert_allclose(got, want.grad.numpy(), rtol=1e-13)


@pytest.mark.parametrize("kind", ["LSTMCell", "GRUCell"])
def test_as_the_cells_of_torch(kind: str, backend: str) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    cell = getattr(torch.nn, kind)(6, 9, dtype=torch.float64)
    x, h = torch.randn(4, 6, dtype=torch.float64), torch.randn(4, 9, dtype=torch.float64)
    gi = (torch.nn.functional.linear(x, cell.weight_ih, cell.bias_ih)).detach().requires_grad_()
    gh = (torch.nn.functional.linear(h, cell.weight_hh, cell.bias_hh)).detach().requires_grad_()
    c = torch.randn(4, 9, dtype=torch.float64, requires_grad=True)
    if kind == "LSTMCell":
        want = cell(x, (h, c))
        got = fs.lstm_cell((gi + gh).detach().numpy(), c.detach().numpy(), backend=backend)
    else:
        want = (cell(x, h),)
        got = (fs.gru_cell(gi.detach().numpy(), gh.detach().numpy(), h.numpy(), backend=backend),)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b.detach().numpy(), rtol=1e-12)


def lstm_of_torch(torch: Any, gates: Any, c: Any) -> tuple[Any, ...]:
    i, f, g, o = gates.chunk(4, -1)
    c_new = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c_new), c_new


def gru_of_torch(torch: Any, gi: Any, gh: Any, h: Any) -> tuple[Any, ...]:
    (ir, iz, i_n), (hr, hz, hn) = gi.chunk(3, -1), gh.chunk(3, -1)
    z = torch.sigmoid(iz + hz)
    n = torch.tanh(i_n + torch.sigmoid(ir + hr) * hn)
    return ((1 - z) * n + z * h,)


@pytest.mark.parametrize(("name", "theirs"), [("lstm_cell", lstm_of_torch), ("gru_cell", gru_of_torch)])
def test_gradients_of_cells_as_torch(name: str, theirs: Callable[..., Any], backend: str) -> None:
    """At small inputs: at others torch's 1 - tanh(x)**2 loses its digits."""
    torch = pytest.importorskip("torch")
    row = FUSED_BY_NAME[name]
    arguments = tuple(np.clip(a, -2, 2) for a in together(row, parts_of(name, "float64", 60, False), (3, 20)))
    tensors = [torch.tensor(a, requires_grad=True) for a in arguments]
    outputs = theirs(torch, *tensors)
    grads = [torch.randn_like(o) for o in outputs]
    want = torch.autograd.grad(outputs, tensors, grads)
    got = getattr(fs, f"{name}_backward")(*(g.numpy() for g in grads), *arguments, backend=backend)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a, b.numpy(), rtol=1e-9)


# ---- refusals ----

F = np.zeros
REFUSED = [
    (lambda: fs.glu(F(5)), ValueError, r"glu: x has shape \(5,\), and the 5 elements of its last axis are no multiple of 2"),
    (lambda: fs.glu(F((4, 3)), 1), ValueError, "x has shape"),
    (lambda: fs.glu(F((4, 4)), 2), ValueError, "axis=2 is none of x, which has 2 axes; give one from -2 to 1"),
    (lambda: fs.glu(F(4), 1.5), TypeError, "axis=1.5 must be a whole number"),  # type: ignore[arg-type]
    (lambda: fs.glu(1.0), ValueError, "x has no axes"),
    (lambda: fs.glu(None), TypeError, "glu: x is None; give an array"),
    (lambda: fs.glu(F(4, complex)), TypeError, "x .* has dtype complex128; convert it"),
    (lambda: fs.glu_backward(F(4), F(4)), ValueError, r"grad has shape \(4,\), and x of shape \(4,\) asks for \(2,\)"),
    (lambda: fs.glu_backward(F(2, "f4"), F(4)), TypeError, "x has dtype float64, and grad has float32; convert one of them"),
    (lambda: fs.glu(F(4), out=F(3)), ValueError, r"out has shape \(3,\); the result has shape \(2,\)"),
    (lambda: fs.glu(F(4), out=F(2, "f4")), TypeError, "out has dtype float32; the result has dtype float64"),
    (lambda: fs.glu(F(4), out=[0, 0]), TypeError, "out is list; give a NumPy array"),
    (lambda: fs.glu(F(4), out=(F(2), F(2))), ValueError, "out is a tuple of 2; give one array"),
    (lambda: fs.glu(F(4), out=np.broadcast_to(F(1), 2)), ValueError, "out is read-only"),
    (lambda: fs.glu(F(4), backend="metal"), ValueError, "backend='metal' is unknown"),
    (lambda: fs.glu(F(4), threads=0), ValueError, "threads=0 must be a positive whole number"),
    (lambda: fs.swiglu(F(3), F(4)), ValueError, r"a of shape \(3,\), b of shape \(4,\) do not broadcast"),
    (lambda: fs.swiglu_backward(F(3), F(3), F(3), out=F(3)), TypeError, "out must be a tuple of 2 arrays, for da, db"),
    (lambda: fs.lstm_cell(F((2, 6)), F((2, 2))), ValueError, "gates has shape .* the 6 elements of its last axis are no multiple of 4"),
    (lambda: fs.lstm_cell(F((2, 8)), F((2, 3))), ValueError, r"c has shape \(2, 3\), and gates of shape \(2, 8\) asks for \(2, 2\)"),
    (lambda: fs.lstm_cell(F((2, 8)), F((2, 2), "f4")), TypeError, "c has dtype float32, and gates has float64"),
    (lambda: fs.lstm_cell_backward(None, None, F((2, 8)), F((2, 2))), TypeError, "grad_h and grad_c are both None"),
    (lambda: fs.gru_cell(F((2, 8)), F((2, 8)), F((2, 2))), ValueError, "gi has shape .* no multiple of 3"),
    (
        lambda: fs.gru_cell(F((2, 6)), F((2, 9)), F((2, 2))),
        ValueError,
        r"gh has shape \(2, 9\), and gi of shape \(2, 6\) asks for \(2, 6\)",
    ),
]


@pytest.mark.parametrize(("wrong", "kind", "message"), REFUSED, ids=[str(i) for i in range(len(REFUSED))])
def test_refusals(wrong: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        wrong()


def test_outputs_must_be_apart() -> None:
    same = F(3)
    with pytest.raises(ValueError, match=r"out\[1\] shares memory with another output"):
        fs.swiglu_backward(F(3), F(3), F(3), out=(same, same))


def test_explain() -> None:
    for row in FUSED:
        said = fs.explain(F((2, 12)), op=row.name)
        assert said.startswith(f"{row.name}: ")
        assert "1 thread" in said


def test_an_empty_output_of_any_strides_is_taken() -> None:
    """An array that torch made has strides of 0 where it has no elements."""
    out = np.lib.stride_tricks.as_strided(np.empty(0), (0, 2), (0, 0))
    assert fs.glu_backward(np.empty((0, 1)), np.empty((0, 2)), out=out) is out


# ---- the straight way ----


def generally(row: Fused, arguments: tuple[Array, ...], **options: Any) -> tuple[Array, ...]:
    given = {"out": None, "backend": None, "threads": None, **options}
    found = gates.general(row.name, dict(zip((name for name, _ in row.arguments), arguments, strict=True)), axis=-1, may_lack=(), **given)
    return found if isinstance(found, tuple) else (found,)


@pytest.mark.parametrize("shape", [(1,), (15,), (16,), (1, 5), (3, 16), (2, 3, 37), (300, 128)], ids=str)
@pytest.mark.parametrize("dtype", ["float16", *REALS])
@EACH
def test_plain_arrays_go_straight_with_the_same_bits(row: Fused, dtype: str, shape: tuple[int, ...], need_c: None) -> None:
    n = int(np.prod(shape))
    arguments = together(row, parts_of(row.name, dtype, n, True), shape)
    expected = generally(row, arguments)
    number, inputs, outputs = gates._PARTS[row.name]
    straight = gates._quick_fused(number, 1, inputs, outputs, arguments, None)
    many_short_rows = shape[-1] < 16 and len(shape) > 1 and shape[0] > 1 and {*inputs, *outputs} != {1}
    assert (straight is NotImplemented) == many_short_rows
    if not many_short_rows:
        for got, wanted in zip(straight if isinstance(straight, tuple) else (straight,), expected, strict=True):
            assert_same_bits(got, wanted)
    given = tuple(np.full_like(wanted, nan) for wanted in expected)
    for got, out, wanted in zip(results(row, arguments, out=given), given, expected, strict=True):
        assert got is out
        assert_same_bits(got, wanted)


@EACH
def test_what_does_not_go_straight_is_left_alone(row: Fused, need_c: None) -> None:
    number, inputs, outputs = gates._PARTS[row.name]
    arguments = together(row, parts_of(row.name, "float32", 3 * 32, False), (3, 32))
    fitting = [np.empty((3, 32 * parts), "f") for parts in outputs]
    read_only = fitting[0].copy()
    read_only.flags.writeable = False
    others = {
        "a subclass": ((arguments[0].view(type("Mine", (np.ndarray,), {})), *arguments[1:]), None),
        "a list": ((arguments[0].tolist(), *arguments[1:]), None),
        "None": ((None, *arguments[1:]), None),
        "backwards": ((arguments[0][:, ::-1], *arguments[1:]), None),
        "the other byte order": ((arguments[0].astype(">f4"), *arguments[1:]), None),
        "integers": (tuple(a.astype(int) for a in arguments), None),
        "no elements": (tuple(a[:0] for a in arguments), None),
        "no axes": (tuple(np.float32(1).reshape(()) for _ in arguments), None),
        "types that differ": ((*arguments[:-1], arguments[-1].astype("d")), None) if len(arguments) > 1 else None,
        "shapes that differ": ((*arguments[:-1], arguments[-1][:2]), None) if len(arguments) > 1 else None,
        "an out of another shape": (arguments, (np.empty((2, 32), "f"), *fitting[1:])),
        "a list for an out": (arguments, ([], *fitting[1:])),
        "an out that is read-only": (arguments, (read_only, *fitting[1:])),
        "outs that share memory": (arguments, (fitting[0],) * len(outputs)) if outputs == b"\1\1" else None,
    }
    for what, case in others.items():
        if case is not None:
            assert gates._quick_fused(number, 1, inputs, outputs, *case) is NotImplemented, what


@EACH
def test_an_output_a_step_behind_an_input(row: Fused, need_c: None) -> None:
    """It lies over what is still to be read, so it does not go straight, and comes out right."""
    (_, parts), *_ = row.results
    arguments = together(row, parts_of(row.name, "float32", 40 * 32, False), (40, 32))
    expected = results(row, arguments)
    at = next(i for i, (_, count) in enumerate(row.arguments) if count >= parts)
    memory = np.empty(arguments[at].size + 1, "f")
    moved = memory[1:].reshape(arguments[at].shape)
    moved[...] = arguments[at]
    out = memory[: expected[0].size].reshape(expected[0].shape)
    given = (*arguments[:at], moved, *arguments[at + 1 :])
    outs = (out, *(np.empty_like(wanted) for wanted in expected[1:]))
    for got, wanted in zip(results(row, given, out=outs), expected, strict=True):
        assert_same_bits(got, wanted)


@EACH
def test_the_straight_way_keeps_no_references(row: Fused, need_c: None) -> None:
    number, inputs, outputs = gates._PARTS[row.name]
    arguments = together(row, parts_of(row.name, "float32", 64, False), (64,))
    outs = tuple(np.empty(64 * parts, "f") for parts in outputs)
    wrong = (*outs[:-1], np.empty(3, "f"))
    before = [sys.getrefcount(a) for a in (*arguments, *outs, *wrong)]
    for given in (outs, wrong, None) * 50:
        gates._quick_fused(number, 1, inputs, outputs, arguments, given)
    assert [sys.getrefcount(a) for a in (*arguments, *outs, *wrong)] == before
