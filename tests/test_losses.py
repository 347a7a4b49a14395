"""Losses against their defining formulas in mpmath, in ULP, and their values at the edges where libraries differ."""

from __future__ import annotations

import warnings

import loss_reference as reference
import mpmath
import numpy as np
import pytest

import fastsig as fs

DTYPES = ["float32", "float64"]
OPTIONS = [(w, p, s) for w in (False, True) for p in (False, True) for s in (0.0, 0.1)]
inf, nan = np.inf, np.nan


@pytest.fixture(autouse=True)
def precision():
    with mpmath.workprec(200):
        yield


def sample(dtype, count=300, soft=True):
    rng = np.random.default_rng(7)
    x = reference.logits(dtype, count)
    t = rng.random(x.size)
    hard = rng.random(x.size) < (0.6 if soft else 2)
    t = np.where(hard, t > 0.5, t).astype(dtype)
    return x, t, rng.uniform(0.1, 3, x.size).astype(dtype), rng.uniform(0.1, 9, x.size).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("with_weight", "with_pos", "smoothing"), OPTIONS)
def test_elements_and_derivatives_in_ulp(dtype, with_weight, with_pos, smoothing):
    x, t, w, p = sample(dtype)
    given = {"label_smoothing": smoothing}
    given |= {"weight": w} if with_weight else {}
    given |= {"pos_weight": p} if with_pos else {}
    loss, grad = fs.bce_with_logits_value_and_grad(x, t, reduction="none", **given)
    grad2, hess = fs.bce_with_logits_grad_hess(x, t, **given)
    assert loss.tobytes() == fs.bce_with_logits(x, t, reduction="none", **given).tobytes()
    assert grad.tobytes() == grad2.tobytes()
    options = with_weight + with_pos + (smoothing > 0)
    for i in range(x.size):
        inputs = (float(x[i]), float(t[i]), float(w[i]) if with_weight else 1, float(p[i]) if with_pos else 1, smoothing)
        exact = reference.bce_logits(*inputs)
        cancels = bool(smoothing) or t[i] not in (0, 1)
        scale = reference.gradient_scale(*inputs) if cancels else None
        allowed = 4 + options if cancels and options else (3 if cancels else 2.5) + options
        of_hessian = 2 + (options and 0.25 + options + 1.25 * (cancels and with_pos))
        errors = (
            reference.ulps(loss[i], exact[0], dtype),
            reference.ulps(grad[i], exact[1], dtype, scale),
        )
        assert max(errors) <= allowed, (inputs, errors)
        assert reference.ulps(hess[i], exact[2], dtype) <= of_hessian, inputs


@pytest.mark.parametrize(("dtype", "at"), [("float32", -4.1412444), ("float32", 6.23536968), ("float64", -5.538182555658811)])
def test_hessian_is_the_derivative_of_the_sigmoid_to_2_ulp(dtype, at):
    """Just below a power of two, where an error of the sigmoid counts twice."""
    x = np.array([at], dtype)
    hess = fs.bce_with_logits_grad_hess(x, np.zeros(1, dtype))[1]
    assert reference.ulps(hess[0], reference.bce_logits(float(x[0]), 0)[2], dtype) <= 2


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("t", [0, 1])
def test_a_weight_lifts_a_tail_that_is_no_number_without_it(dtype, t):
    """From -log of the least number on."""
    x = np.linspace(104, 125, 40) if dtype == "float32" else np.linspace(745, 766, 40)
    x = (x if t else -x).astype(dtype)
    loss, grad = fs.bce_with_logits_value_and_grad(x, np.full(40, t, dtype), weight=2.0**30, reduction="none")
    hess = fs.bce_with_logits_grad_hess(x, np.full(40, t, dtype), weight=2.0**30)[1]
    assert loss[:10].all()
    for i, at in enumerate(x):
        exact = reference.bce_logits(float(at), t, 2.0**30)
        for got, right in zip((loss[i], grad[i], hess[i]), exact, strict=True):
            assert reference.ulps(got, right, dtype) <= 2, (at, got)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("weight", "positive"), [(1e37, 1), (1e-30, 1), (1e20, 1e17), (1e-37, 1)])
def test_no_weight_lets_derivatives_overflow_or_loses_a_tail(dtype, weight, positive):
    """Tails down to e^-100, which a large weight lifts, and a small one makes subnormal."""
    x = np.linspace(-100, 100, 401).astype(dtype)
    w, p = np.asarray(weight, dtype), np.asarray(positive, dtype)
    for t in (0, 1):
        loss, grad = fs.bce_with_logits_value_and_grad(x, t, weight=w, pos_weight=p, reduction="none")
        hess = fs.bce_with_logits_grad_hess(x, t, weight=w, pos_weight=p)[1]
        for i, at in enumerate(x):
            exact = reference.bce_logits(float(at), t, float(w), float(p))
            for got, right in zip((loss[i], grad[i], hess[i]), exact, strict=True):
                if abs(right) < np.finfo(dtype).max:
                    assert reference.ulps(got, right, dtype) <= 5, (at, t)


@pytest.mark.parametrize("dtype", DTYPES)
def test_mean_gradient_is_the_gradient_over_the_count_in_ulp(dtype):
    x, t, _, _ = sample(dtype, soft=False)
    _, grad = fs.bce_with_logits_value_and_grad(x, t)
    for i in range(x.size):
        exact = reference.bce_logits(float(x[i]), float(t[i]))[1] / x.size
        assert reference.ulps(grad[i], exact, dtype) <= 3, (x[i], t[i])


GAMMAS = [0, 0.5, 1, 1.5, 2.0, 3.7]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("alpha", [0.25, None])
def test_focal_in_ulp(dtype, gamma, alpha):
    x, t, _, _ = sample(dtype, 200, soft=False)
    loss, grad = fs.sigmoid_focal_loss_value_and_grad(x, t, alpha=alpha, gamma=gamma, reduction="none")
    assert loss.tobytes() == fs.sigmoid_focal_loss(x, t, alpha=alpha, gamma=gamma, reduction="none").tobytes()
    for i in range(x.size):
        exact = reference.focal(float(x[i]), float(t[i]), alpha, gamma)
        errors = reference.ulps(loss[i], exact[0], dtype), reference.ulps(grad[i], exact[1], dtype)
        assert max(errors) <= (4 if gamma in (0, 1, 2) else 4 + 2 * gamma), (x[i], t[i], errors)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gamma", GAMMAS)
def test_focal_of_soft_targets_in_ulp(dtype, gamma):
    """Targets near 0 and 1 too, where the logarithm of what is missed is large, and an error in it a larger one in the power."""
    x, t, _, _ = sample(dtype, 200)
    t[::3] = 10.0 ** np.random.default_rng(1).uniform(-30, 0, t[::3].size)
    loss = fs.sigmoid_focal_loss(x, t, gamma=gamma, reduction="none")
    for i in range(x.size):
        exact = reference.focal(float(x[i]), float(t[i]), 0.25, gamma)[0]
        assert reference.ulps(loss[i], exact, dtype) <= 5 + 2.5 * gamma, (x[i], t[i])


@pytest.mark.parametrize("gamma", [1.5, 2])
def test_focal_of_halves_is_that_of_float32_rounded(gamma):
    x, t, _, _ = sample("float32", 200, soft=False)
    x, t = np.clip(x, -60000, 60000).astype(np.float16), t.astype(np.float16)
    wide = fs.sigmoid_focal_loss_value_and_grad(x.astype(np.float32), t.astype(np.float32), gamma=gamma, reduction="none")
    for got, expected in zip(fs.sigmoid_focal_loss_value_and_grad(x, t, gamma=gamma, reduction="none"), wide, strict=True):
        assert got.tobytes() == expected.astype(np.float16).tobytes()


HESSIAN_GAMMAS = [0, 0.001, *GAMMAS[1:]]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("gamma", HESSIAN_GAMMAS)
@pytest.mark.parametrize("soft", [False, True])
def test_focal_hessian_in_ulp(dtype, gamma, soft):
    """Of the largest of the terms, which cancel where it changes its sign; the gradient is that of the other functions."""
    x, t, _, _ = sample(dtype, 200, soft)
    if soft:
        t[::3] = 10.0 ** np.random.default_rng(1).uniform(-30, 0, t[::3].size)
    grad, hess = fs.sigmoid_focal_loss_grad_hess(x, t, gamma=gamma)
    assert grad.tobytes() == fs.sigmoid_focal_loss_value_and_grad(x, t, gamma=gamma, reduction="none")[1].tobytes()
    allowed = 5 + (2.5 if soft else 2) * gamma
    for i in range(x.size):
        exact, largest = reference.focal_hessian(float(x[i]), float(t[i]), 0.25, gamma)
        assert reference.ulps(hess[i], exact, dtype, max(largest, abs(exact))) <= allowed, (x[i], t[i])


@pytest.mark.parametrize("dtype", DTYPES)
def test_focal_hessian_keeps_its_tails(dtype):
    """In ULP of itself, subnormal results included, which end with both tails."""
    x = np.concatenate([np.linspace(-60, -12, 200), np.linspace(12, 120 if dtype == "float32" else 760, 200)]).astype(dtype)
    for gamma in (0, 0.5, 2):
        for t, logits in ((0, x), (1, -x)):
            hess = fs.sigmoid_focal_loss_grad_hess(logits, t, gamma=gamma)[1]
            for got, at in zip(hess, logits, strict=True):
                exact = reference.focal_hessian(float(at), t, 0.25, gamma)[0]
                assert reference.ulps(got, exact, dtype) <= 5 + 2 * gamma, (at, t, gamma)


def test_focal_hessian_is_negative_far_on_the_wrong_side():
    x = np.linspace(-6, 6, 1001)
    hess = fs.sigmoid_focal_loss_grad_hess(x, 0)[1]
    assert (hess[x < 2.79] > 0).all()
    assert (hess[x > 2.80] < 0).all()
    assert fs.sigmoid_focal_loss_grad_hess(-x, 1, alpha=0.75)[1].tobytes() == hess.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("weight", [1e-30, 3.0, 1e37])
def test_no_weight_makes_the_focal_hessian_overflow(dtype, weight):
    """Nor loses it a tail that a large weight lifts."""
    x = np.linspace(-100, 100, 401).astype(dtype)
    w = np.dtype(dtype).type(weight)
    for t in (0, 1):
        hess = fs.sigmoid_focal_loss_grad_hess(x, t, alpha=None, weight=w)[1]
        for got, at in zip(hess, x, strict=True):
            exact, largest = (float(w) * v for v in reference.focal_hessian(float(at), t, None, 2))
            assert reference.ulps(got, exact, dtype, max(largest, abs(exact))) <= 10, (at, t)


def test_focal_hessian_with_gamma_0_is_that_of_cross_entropy():
    x, t, _, _ = sample("float64", 300)
    hess = fs.sigmoid_focal_loss_grad_hess(x, t, alpha=None, gamma=0)[1]
    for got, at in zip(hess, x, strict=True):
        assert reference.ulps(got, reference.bce_logits(float(at), 0)[2], "float64") <= 5, at


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gamma", [0, 0.001, 0.5, 2, 1000])
def test_focal_derivatives_at_the_edges(dtype, gamma):
    x = np.array([inf, -inf, inf, -inf, 1e30, -1e30, inf, -inf, nan, 0.5], dtype)
    t = np.array([1.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.5, 0.25, 0.0, 0.0], dtype)
    grad, hess = fs.sigmoid_focal_loss_grad_hess(x, t, alpha=None, gamma=gamma)
    assert grad[:6].tolist() == [0, 0, 1, -1, 1, -1]
    assert hess[:8].tolist() == [0] * 8
    assert np.isnan([grad[8], hess[8]]).all()
    mask = np.arange(10) == 9
    grad, hess = fs.sigmoid_focal_loss_grad_hess(x, t, gamma=gamma, mask=mask)
    alone = fs.sigmoid_focal_loss_grad_hess(x[9:], t[9:], gamma=gamma)
    assert (grad.tolist(), hess.tolist()) == ([0] * 9 + alone[0].tolist(), [0] * 9 + alone[1].tolist())


@pytest.mark.parametrize("gamma", [1.5, 2])
def test_focal_hessian_of_halves_is_that_of_float32_rounded(gamma):
    x, t, _, _ = sample("float32", 200, soft=False)
    x, t = np.clip(x, -60000, 60000).astype(np.float16), t.astype(np.float16)
    wide = fs.sigmoid_focal_loss_grad_hess(x.astype(np.float32), t.astype(np.float32), gamma=gamma)
    for got, expected in zip(fs.sigmoid_focal_loss_grad_hess(x, t, gamma=gamma), wide, strict=True):
        assert got.tobytes() == expected.astype(np.float16).tobytes()


@pytest.mark.parametrize("gamma", [1.5, 2])
def test_alpha_may_be_an_array(gamma):
    """One number a label: the bits of each column alone; and an array of one value has those of the number."""
    x, t, w, _ = sample("float32", 300)
    x, t, w = (a[: a.size // 3 * 3].reshape(-1, 3) for a in (x, t, w))
    alpha = np.array([0.25, 0.5, 1.0])
    for column in range(3):
        at = np.s_[:, column]
        for function in (fs.sigmoid_focal_loss_grad_hess, lambda *a, **o: fs.sigmoid_focal_loss_value_and_grad(*a, reduction="none", **o)):
            whole = function(x, t, alpha=alpha, gamma=gamma, weight=w)
            alone = function(x[at], t[at], alpha=float(alpha[column]), gamma=gamma, weight=w[at])
            assert [part[at].tobytes() for part in whole] == [part.tobytes() for part in alone]
    assert fs.sigmoid_focal_loss(x, t, alpha=np.full(x.shape, 0.25)) == fs.sigmoid_focal_loss(x, t)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bce_of_probabilities_in_ulp(dtype):
    rng = np.random.default_rng(3)
    p = np.concatenate([rng.random(300), 10.0 ** rng.uniform(-38, 0, 100), 1 - 10.0 ** rng.uniform(-7, 0, 100)]).astype(dtype)
    t = np.where(rng.random(p.size) < 0.5, rng.random(p.size) < 0.5, rng.random(p.size)).astype(dtype)
    w = rng.uniform(0.1, 3, p.size).astype(dtype)
    loss = fs.bce(p, t, reduction="none", weight=w)
    for i in range(p.size):
        q, s = mpmath.mpf(float(p[i])), mpmath.mpf(float(t[i]))
        exact = (-s * mpmath.log(q) if s else 0) + (-(1 - s) * mpmath.log(1 - q) if s != 1 else 0)
        assert reference.ulps(loss[i], exact * mpmath.mpf(float(w[i])), dtype) <= 4, (p[i], t[i])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [1, 7, 1024, 4000])
def test_a_sum_is_the_sum_of_its_elements_rounded_once(dtype, n):
    rng = np.random.default_rng(n)
    x, t = (rng.normal(size=n) * 20).astype(dtype), rng.random(n).astype(dtype)
    elements = [mpmath.mpf(float(v)) for v in fs.bce_with_logits(x, t, reduction="none")]
    total = mpmath.fsum(elements)
    assert reference.ulps(fs.bce_with_logits(x, t, reduction="sum"), total, dtype) <= 0.5001
    assert reference.ulps(fs.bce_with_logits(x, t), total / n, dtype) <= 0.5001


def test_edges():
    x = np.array([inf, -inf, inf, -inf, inf, 1000.0, -1000.0])
    t = np.array([1.0, 0.0, 0.0, 1.0, 0.5, 1.0, 0.0])
    loss, grad = fs.bce_with_logits_value_and_grad(x, t, reduction="none")
    assert loss.tolist() == [0, 0, inf, inf, inf, 0, 0]
    assert grad.tolist() == [0, 0, 1, -1, 0.5, 0, 0]
    for gamma in (0.001, 1.5, 2):
        loss, grad = fs.sigmoid_focal_loss_value_and_grad(x, t, alpha=None, gamma=gamma, reduction="none")
        assert loss.tolist() == [0, 0, inf, inf, inf, 0, 0]
        assert grad[:4].tolist() == [0, 0, 1, -1]
    assert fs.bce([0.0, 1.0, 0.0, 1.0], [0, 1, 1, 0], reduction="none").tolist() == [0, 0, inf, inf]
    assert np.isnan(fs.bce_with_logits([nan, 1.0], [0, 1]))
    assert fs.bce_with_logits([inf, 1.0], [0, 1]) == inf


def test_weight_zero_makes_an_infinite_loss_count_as_nothing():
    assert fs.bce_with_logits([inf, 0.0], [0, 0], weight=[0, 1], reduction="sum") == fs.bce_with_logits([0.0], [0], reduction="sum")
    assert fs.bce([0.0, 0.5], [1, 1], weight=[0, 1], reduction="sum") == fs.bce([0.5], [1], reduction="sum")
    assert np.isnan(fs.bce_with_logits([nan], [0], weight=[0.0], reduction="sum"))


def test_masked_elements_add_nothing_whatever_is_in_them():
    x, t = np.array([0.5, nan, inf, -2.0]), np.array([1.0, 1.0, 0.0, nan])
    w = np.array([2.0, nan, -1.0, inf])
    mask = np.array([True, False, False, False])
    for reduction in ("sum", "mean"):
        loss, grad = fs.bce_with_logits_value_and_grad(x, t, weight=w, mask=mask, reduction=reduction)
        alone, alone_grad = fs.bce_with_logits_value_and_grad(x[:1], t[:1], weight=w[:1], reduction=reduction)
        assert loss == alone
        assert grad.tolist() == [*alone_grad.tolist(), 0, 0, 0]
    assert fs.bce_with_logits(x, t, weight=w, mask=mask, reduction="none")[1:].tolist() == [0, 0, 0]


@pytest.mark.parametrize("reduction", ["mean", "weighted_mean"])
def test_a_mean_of_nothing_is_nan_with_a_warning_and_gradients_of_zero(reduction):
    x = np.array([1.0, 2.0])
    with pytest.warns(RuntimeWarning, match="over no elements is NaN") as caught:
        loss, grad = fs.bce_with_logits_value_and_grad(x, [0, 1], mask=[False, False], reduction=reduction)
    assert caught[0].filename == __file__
    assert np.isnan(loss)
    assert grad.tolist() == [0, 0]
    with pytest.warns(RuntimeWarning, match="NaN"):
        assert np.isnan(fs.bce_with_logits([], [], reduction=reduction))
    with pytest.warns(RuntimeWarning, match="over no weight is NaN"):
        assert np.isnan(fs.bce_with_logits(x, [0, 1], weight=0.0, reduction="weighted_mean"))
    assert fs.bce_with_logits(x, [0, 1], mask=[False, False], reduction="sum") == 0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_halves_accumulate_in_float32_or_better_and_round_once(dtype):
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    rng = np.random.default_rng(0)
    x, t = (rng.normal(size=5000) * 3).astype(dtype), (rng.random(5000) < 0.5).astype(dtype)
    wide, wide_grad = fs.bce_with_logits_value_and_grad(x.astype(np.float32), t.astype(np.float32), reduction="mean")
    loss, grad = fs.bce_with_logits_value_and_grad(x, t)
    assert (loss.dtype, grad.dtype) == (x.dtype, x.dtype)
    assert loss == wide.astype(dtype)
    assert grad.tobytes() == wide_grad.astype(dtype).tobytes()
    out = np.empty((), np.float32)
    assert fs.bce_with_logits(x, t, out=out) is out
    assert out == wide


@pytest.mark.parametrize("kind", ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8", ">f4", ">i4"])
def test_targets_of_every_type_give_the_same_bits(kind):
    rng = np.random.default_rng(0)
    x, t = rng.normal(size=3000).astype(np.float32), rng.random(3000) < 0.5
    expected = fs.bce_with_logits_value_and_grad(x, t.astype(np.float32))
    got = fs.bce_with_logits_value_and_grad(x, t.astype(kind))
    assert (got[0], got[1].tobytes()) == (expected[0], expected[1].tobytes())


def test_integer_logits_become_floats_as_for_exp():
    assert fs.bce_with_logits(np.array([1, 2], np.int32), [0, 1]).dtype == np.float64
    assert fs.bce_with_logits(np.array([1, 2], np.int8), [0, 1]).dtype == np.float16
    assert fs.bce_with_logits(2.0, 1) == fs.bce_with_logits([2.0], [1])


def test_no_floating_point_exception_is_raised():
    x, t, w, p = sample("float32")
    with np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        fs.bce_with_logits_value_and_grad(x, t, weight=w, pos_weight=p, label_smoothing=0.1)
        fs.bce_with_logits_value_and_grad(x, t)
        fs.sigmoid_focal_loss(x, t, gamma=1.5)
        fs.sigmoid_focal_loss_grad_hess(x, t, gamma=1.5, weight=w * 1e37)
        fs.bce([0.0, 1.0], [1, 0])
        np.ones(4) / np.float64(3)
