"""The losses on arrays of a GPU: the bits of the host, gradients and sums included; the kernels' PTX is run on the CPU."""

from __future__ import annotations

import random
import warnings
from typing import Any

import numpy as np
import pytest
from cuda_here import DIALECTS, need_compiler, run, same_but_nan, storage
from fake_gpu import CuPyArray, DLPackArray, Gpu, InterfaceArray, Tensor

import fastsig as fs
from fastsig.kernels import plan
from fastsig.losses import exact_sum as exact

pytestmark = [need_compiler, pytest.mark.usefixtures("gpu")]
pytest.importorskip("ml_dtypes")
REALS = ("f16", "bf16", "f32", "f64")
SIZES = (1, 31, 32, 1023, 1024, 1025, 5000)


def data(n: Any, dtype: str = "f32", seed: int = 0) -> tuple[Any, ...]:
    """Logits of all magnitudes with infinities, targets hard and soft, weights with zeros, and a mask."""
    r = np.random.default_rng(seed)
    x = np.where(r.random(n) < 0.5, r.normal(0, 4, n), r.uniform(-900, 900, n))
    x = np.where(r.random(n) < 0.01, np.inf * r.choice([-1, 1], n), x)
    t = np.where(np.isinf(x), x > 0, np.where(r.random(n) < 0.5, r.random(n) < 0.3, r.random(n)))
    w, p = r.choice([0.0, 0.5, 1.0, 2.5], n), r.uniform(0, 3, n)
    with np.errstate(over="ignore"):
        return (*(a.astype(storage(dtype)) for a in (x, t, w, p)), r.random(n) < 0.7)


def on_gpu(value: Any) -> Any:
    return CuPyArray(value) if isinstance(value, np.ndarray) else value


def agree(name: str, *operands: Any, **options: Any) -> None:
    """The same call on the host and on the GPU, bit for bit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        want = getattr(fs, name)(*operands, **options)
        got = getattr(fs, name)(*map(on_gpu, operands), **{key: on_gpu(value) for key, value in options.items()})
    for g, w in zip(got if isinstance(got, tuple) else (got,), want if isinstance(want, tuple) else (want,), strict=True):
        assert type(g) is CuPyArray
        assert same_but_nan(np.ascontiguousarray(g.host), np.ascontiguousarray(w)), (g.host, w)


@pytest.mark.parametrize("dtype", REALS)
@pytest.mark.parametrize("n", SIZES)
def test_plain(n: int, dtype: str) -> None:
    x, t, *_ = data(n, dtype)
    agree("bce_with_logits", x, t)
    agree("bce_with_logits_value_and_grad", x, t)


@pytest.mark.parametrize("reduction", ["none", "sum", "mean", "weighted_mean"])
@pytest.mark.parametrize("dtype", REALS)
def test_reductions(reduction: str, dtype: str) -> None:
    x, t, *_ = data(3000, dtype)
    agree("bce_with_logits", x, t, reduction=reduction)
    agree("bce_with_logits_value_and_grad", x, t, reduction=reduction)
    agree("sigmoid_focal_loss_value_and_grad", x, t, reduction=reduction)
    p = np.abs(np.nan_to_num(np.tanh(x.astype("f8")))).astype(x.dtype)
    agree("bce", p, t, reduction=reduction)


@pytest.mark.parametrize("dtype", REALS)
def test_gradient_and_hessian(dtype: str) -> None:
    x, t, w, p, mask = data(2500, dtype)
    agree("bce_with_logits_grad_hess", x, t)
    agree("bce_with_logits_grad_hess", x, t, weight=w, pos_weight=p, label_smoothing=0.1, mask=mask)


OPTIONS: dict[str, Any] = {
    "weight": lambda w, p, m: {"weight": w},
    "pos_weight": lambda w, p, m: {"pos_weight": p},
    "smoothing": lambda w, p, m: {"label_smoothing": 0.2},
    "mask": lambda w, p, m: {"mask": m},
    "all": lambda w, p, m: {"weight": w, "pos_weight": p, "label_smoothing": 0.05, "mask": m},
}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("dtype", ["f32", "f64", "f16"])
def test_options(option: str, dtype: str) -> None:
    x, t, *extras = data(2049, dtype)
    for reduction in ("mean", "sum", "none"):
        agree("bce_with_logits_value_and_grad", x, t, reduction=reduction, **OPTIONS[option](*extras))
    agree("bce_with_logits", x, t, **OPTIONS[option](*extras))


@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2, 3.25])
@pytest.mark.parametrize("alpha", [None, 0.25])
def test_focal(gamma: float, alpha: float | None) -> None:
    x, t, w, _, mask = data(2049)
    agree("sigmoid_focal_loss", x, t, alpha=alpha, gamma=gamma)
    agree("sigmoid_focal_loss_value_and_grad", x, t, alpha=alpha, gamma=gamma, weight=w, mask=mask)


@pytest.mark.parametrize("gamma", [0, 0.5, 2])
@pytest.mark.parametrize("dtype", REALS)
def test_focal_gradient_and_hessian(gamma: float, dtype: str) -> None:
    x, t, w, p, mask = data(2049, dtype)
    agree("sigmoid_focal_loss_grad_hess", x, t, gamma=gamma)
    agree("sigmoid_focal_loss_grad_hess", x, t, gamma=gamma, alpha=p / 16, weight=w, mask=mask)


@pytest.mark.parametrize("kind", ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float64"])
def test_targets_of_any_type(kind: str) -> None:
    x, t, *_ = data(1500)
    agree("bce_with_logits_value_and_grad", x, (t > 0.5).astype(kind))


@pytest.mark.parametrize("kind", ["bool", "int8", "int16", "int64"])
def test_integer_logits(kind: str) -> None:
    x = np.random.default_rng(0).integers(-9, 9, 1100).astype(kind)
    agree("bce_with_logits_value_and_grad", x, np.ones(1100, "f4"))


def test_shapes_and_strides() -> None:
    x, t, w, p, mask = data((40, 37))
    agree("bce_with_logits_value_and_grad", x, t, pos_weight=p[0], weight=w[:, :1], mask=mask[:1])
    agree("bce_with_logits_value_and_grad", x.T, t.T, pos_weight=p[:, 0])
    agree("bce_with_logits_value_and_grad", x[::2, ::3], t[::2, ::3])
    agree("bce_with_logits", x, t[0])
    agree("bce_with_logits", x.ravel()[1:], t.ravel()[1:])
    agree("bce_with_logits_value_and_grad", x[3:4, 4].reshape(()), t[3:4, 4].reshape(()))


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_nothing_counts(reduction: str) -> None:
    x, t, *_ = data(1100)
    agree("bce_with_logits_value_and_grad", x, t, mask=np.zeros(1100, bool), reduction=reduction)
    agree("bce_with_logits_value_and_grad", x[:0], t[:0], reduction=reduction)


def test_a_mean_of_nothing_warns() -> None:
    with pytest.warns(RuntimeWarning, match="mean loss over no elements is NaN"):
        got = fs.bce_with_logits(CuPyArray(np.zeros(0, "f4")), CuPyArray(np.zeros(0, "f4")))
    assert np.isnan(got.host)


def test_infinite_and_nan_losses() -> None:
    x, t = np.zeros(3000, "f4"), np.zeros(3000, "f4")
    x[1500] = np.inf
    agree("bce_with_logits", x, t)
    x[2999] = np.nan
    agree("bce_with_logits", x, t)
    agree("bce_with_logits_value_and_grad", x, t, mask=~np.isnan(x))


def test_what_the_host_would_refuse_is_nan() -> None:
    """An error would have to wait for the device; with check=False the formula's own value."""
    x, t, w, p, _ = data(2000)
    bad = t.copy()
    bad[77] = 1.5
    assert np.isnan(fs.bce_with_logits(CuPyArray(x), CuPyArray(bad)).host)
    loss, grad = fs.bce_with_logits_value_and_grad(CuPyArray(x), CuPyArray(bad), reduction="none")
    assert list(np.flatnonzero(np.isnan(loss.host))) == list(np.flatnonzero(np.isnan(grad.host))) == [77]
    agree("bce_with_logits", x, bad, check=False)
    for name, good in (("weight", w), ("pos_weight", p)):
        wrong = good.copy()
        wrong[5] = -1
        assert np.isnan(fs.bce_with_logits(CuPyArray(x), CuPyArray(t), **{name: CuPyArray(wrong)}).host)
    probs = np.full(2000, 1.25, "f4")
    assert np.isnan(fs.bce(CuPyArray(probs), CuPyArray(t)).host)


def test_outputs(gpu: Gpu) -> None:
    x, t, *_ = data(2000)
    loss, grad = fs.bce_with_logits_value_and_grad(x, t)
    for dtype in REALS:
        out = CuPyArray(np.zeros((), storage(dtype)))
        given = CuPyArray(np.zeros((2, 2000), "f4")[0])
        got = fs.bce_with_logits_value_and_grad(CuPyArray(x), CuPyArray(t), out=out, grad_out=given)
        assert got == (out, given)
        want = np.zeros((), storage(dtype))
        fs.bce_with_logits(x, t, out=want)
        assert same_but_nan(out.host, want)
        assert same_but_nan(given.host, grad)
    strided = CuPyArray(np.zeros((2000, 2), "f4")[:, 1])
    fs.bce_with_logits_value_and_grad(CuPyArray(x), CuPyArray(t), grad_out=strided)
    assert same_but_nan(np.ascontiguousarray(strided.host), grad)
    own = CuPyArray(x.copy())
    fs.bce_with_logits_value_and_grad(own, CuPyArray(t), grad_out=own)
    assert same_but_nan(own.host, grad)


def test_torch_gives_torch(gpu: Gpu) -> None:
    x, t, *_ = data(1100)
    loss, grad = fs.bce_with_logits_value_and_grad(Tensor(x, 1), Tensor(t, 1))
    assert type(loss) is type(grad) is Tensor
    assert loss.shape == ()
    assert {(launch.device, launch.stream) for launch in gpu.launches} == {(1, 18)}
    assert same_but_nan(loss.host, np.asarray(fs.bce_with_logits(x, t)))


@pytest.mark.parametrize("make", [InterfaceArray, DLPackArray])
def test_arrays_that_have_an_interface_and_nothing_else(make: Any, gpu: Gpu) -> None:
    """All that ``sigmoid`` takes with ``out=``, not even a dtype of their own; the sum is taken in memory of the driver."""
    x, t, w, _, mask = data(2000)
    operands = make(x), make(t)
    options = {"weight": make(w), "mask": make(mask)}
    want, want_grad = fs.bce_with_logits_value_and_grad(x, t, weight=w, mask=mask)
    out, grad = make(np.zeros((), "f4")), make(np.zeros(2000, "f4"))
    assert fs.bce_with_logits_value_and_grad(*operands, **options, out=out, grad_out=grad) == (out, grad)
    assert same_but_nan(out.host, np.asarray(want))
    assert same_but_nan(grad.host, want_grad)
    out.host[()] = 0
    assert fs.bce_with_logits(*operands, **options, out=out) is out
    assert same_but_nan(out.host, np.asarray(want))
    loss = make(np.zeros(2000, "f4"))
    assert fs.bce_with_logits(*operands, reduction="none", out=loss) is loss
    assert same_but_nan(loss.host, fs.bce_with_logits(x, t, reduction="none"))
    assert not gpu.memory
    for call, argument in (
        (lambda: fs.bce_with_logits(*operands), "bce_with_logits: .*; give out="),
        (lambda: fs.bce_with_logits_value_and_grad(*operands, out=out), "bce_with_logits_value_and_grad: .*; give grad_out="),
        (lambda: fs.bce_with_logits_grad_hess(*operands, grad_out=grad), "bce_with_logits_grad_hess: .*; give hess_out="),
    ):
        with pytest.raises(TypeError, match=rf"^{argument}$"):
            call()


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x, t: fs.bce_with_logits(x, t.host), ValueError, "logits is on cuda:0, targets is on cpu"),
        (lambda x, t: fs.bce_with_logits(None, t), TypeError, "logits is None; give an array"),
        (lambda x, t: fs.bce_with_logits(x, None), TypeError, "targets is None; give an array"),
        (lambda x, t: fs.bce_with_logits(x, np.float32(1)), TypeError, "targets is .*float32; give an array on the device of logits"),
        (lambda x, t: fs.bce_with_logits(x, 1), TypeError, "targets is int; give an array on the device of logits"),
        (lambda x, t: fs.bce_with_logits(x, CuPyArray(t.host[:5])), ValueError, r"targets of shape \(5,\) .* logits of shape \(1100,\)"),
        (lambda x, t: fs.bce_with_logits(CuPyArray(x.host[:, None]), t), ValueError, r"shape \(1100,\) .* logits of shape \(1100, 1\)"),
        (lambda x, t: fs.bce_with_logits_grad_hess(x, CuPyArray(t.host[:, None])), ValueError, r"targets\[:, 0\], or logits\[:, None\]"),
        (lambda x, t: fs.bce(CuPyArray(x.host[:1]), t), ValueError, r"targets of shape \(1100,\) .* probs of shape \(1,\)"),
        (lambda x, t: fs.sigmoid_focal_loss(x, t, mask=CuPyArray(np.ones((2, 1100), bool))), ValueError, r"mask of shape \(2, 1100\)"),
        (lambda x, t: fs.bce(x, t, out=CuPyArray(np.zeros((), "f4"), 1)), ValueError, "probs is on cuda:0"),
        (lambda x, t: fs.bce_with_logits(x, t, weight=CuPyArray(t.host[:5])), ValueError, r"weight of shape \(5,\) does not broadcast"),
        (lambda x, t: fs.bce_with_logits(x, t, mask=t), TypeError, "mask has dtype f32; give booleans"),
        (lambda x, t: fs.bce_with_logits(x, t, weight=t, reduction="weighted_mean"), ValueError, r"divide by weight\.sum\(\)"),
        (lambda x, t: fs.bce_with_logits(x, t, reduction="avg"), ValueError, "reduction='avg' is unknown"),
        (lambda x, t: fs.bce_with_logits(x, t, backend="c"), RuntimeError, "backend='c' computes in host memory"),
        (lambda x, t: fs.bce_with_logits(CuPyArray(x.host.astype("c8")), t), TypeError, "complex64"),
        (lambda x, t: fs.bce_with_logits(x, t, out=CuPyArray(np.zeros(3, "f4"))), ValueError, r"out has shape \(3,\)"),
        (lambda x, t: fs.bce_with_logits(x, t, out=CuPyArray(np.zeros((), "i4"))), TypeError, "out has dtype i4"),
        (lambda x, t: fs.bce_with_logits(x, t, out=CuPyArray(np.zeros((), "f4"), 1)), ValueError, "out is on cuda:1"),
        (lambda x, t: fs.bce_with_logits_grad_hess(x, t, grad_out=CuPyArray(np.zeros(1100, "f8"))), TypeError, "grad_out has dtype f64"),
        (lambda x, t: fs.bce_with_logits_grad_hess(x, t, grad_out=InterfaceArray(t.host, read_only=True)), ValueError, "read-only"),
        (lambda x, t: fs.bce_with_logits_grad_hess(x, t, grad_out=x, hess_out=x), ValueError, "hess_out shares memory with another output"),
        (lambda x, t: fs.BCEAccumulator().update(x, t), RuntimeError, "the state is the host's"),
    ],
)  # fmt: skip
def test_refusals(call: Any, error: type[Exception], words: str, gpu: Gpu) -> None:
    x, t, *_ = data(1100)
    with pytest.raises(error, match=words):
        call(CuPyArray(x), CuPyArray(t))
    assert not gpu.launches


# ---- the sum's last step ----


@pytest.mark.parametrize("capability", DIALECTS, ids=lambda c: "sm_{}{}".format(*c))
@pytest.mark.parametrize("dtype", REALS)
def test_one_rounding(dtype: str, capability: tuple[int, int]) -> None:
    """Sums of all magnitudes, signs and cancellations over copies, against the host's integers of any length."""
    from fastsig.kernels.cuda import sums, totals
    from fastsig.kernels.numba.blocks import exact_add

    kernel, kind, choose = totals.finish(dtype), storage(dtype), random.Random(7)
    for _ in range(400):
        total = np.zeros((sums.COPIES, plan.SUM_WORDS), np.int64)
        scale = choose.choice([-1074, -1040, -1000, -150, -140, -126, -30, -24, -14, -8, 0, 10, 15, 16, 17, 100, 127, 128, 900, 1015])
        for _ in range(choose.randint(0, 20)):
            v = float(np.ldexp(choose.gauss(0, 1) if choose.random() < 0.6 else choose.randint(-64, 64), scale + choose.randint(-30, 0)))
            exact_add(total[choose.randrange(sums.COPIES)], choose.choice([np.inf, -np.inf, np.nan]) if choose.random() < 0.01 else v)
        count = np.array([choose.choice([0, 1, 2, 3, 7, 1024, 10**8, 2**40 + 1])], np.int64)
        times, known, out = choose.choice([1, 3]), choose.choice([0, 1, 5]), np.zeros((), kind)
        want = np.asarray(exact.Total.of(total.sum(axis=0)).over(int(count[0]) * times + known, kind), kind)
        run(kernel, capability, 1, 256, total.ctypes.data, count.ctypes.data, times, known, out.ctypes.data)
        assert same_but_nan(out, want), (out, want, count, times, known)
