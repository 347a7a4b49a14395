"""What the losses refuse, in which words, and that nothing was written then; outputs and in-place use."""

from __future__ import annotations

import numpy as np
import pytest

import fastsig as fs

X = np.array([0.5, -1.0, 2.0, 0.0], np.float32)
T = np.array([1.0, 0.0, 0.25, 1.0], np.float32)


@pytest.mark.parametrize(
    ("arguments", "options", "error", "match"),
    [
        ((X, T[:3]), {}, ValueError, r"targets of shape \(3,\).*logits of shape \(4,\).*give targets"),
        ((X, T + 1), {}, ValueError, r"targets must lie in \[0, 1\].*check=False"),
        ((X, T - 1), {}, ValueError, "targets"),
        ((X, np.array([0, 1, 2, 0])), {}, ValueError, "targets"),
        ((X, np.full(4, np.nan)), {}, ValueError, "targets.*NaN.*mask"),
        ((X.astype(complex), T), {}, TypeError, "logits.*complex128.*convert"),
        ((X, np.array(["a"] * 4)), {}, TypeError, "targets"),
        ((X, T.astype(np.longdouble)), {}, TypeError, "targets.*longdouble|targets.*float128"),
        ((X, T), {"weight": [1, -1, 1, 1]}, ValueError, "weight must be finite and not negative"),
        ((X, T), {"weight": np.inf}, ValueError, "weight"),
        ((X, T), {"weight": np.ones(5)}, ValueError, r"weight of shape \(5,\).*\(4,\)"),
        ((X, T), {"weight": np.ones((2, 4))}, ValueError, r"weight of shape \(2, 4\)"),
        ((X, T), {"weight": "heavy"}, TypeError, "weight"),
        ((X, T), {"pos_weight": -1.0}, ValueError, "pos_weight"),
        ((X, T), {"pos_weight": np.nan}, ValueError, "pos_weight"),
        ((X, T), {"mask": np.ones(4)}, TypeError, r"mask has dtype float64.*astype\(bool\)"),
        ((X, T), {"mask": np.ones(3, bool)}, ValueError, "mask of shape"),
        ((np.ma.array(X, mask=T > 0), T), {}, ValueError, "logits has missing values.*the first at 0.*mask="),
        ((X, np.ma.array(T, mask=T > 0)), {}, ValueError, "targets has missing values"),
        ((None, T), {}, TypeError, "logits is None"),
        (([[0.5], [1.0, 2.0]], T), {}, ValueError, "logits .list. cannot be read as an array"),
        ((X, T), {"label_smoothing": 1.0}, ValueError, r"label_smoothing=1.0.*\[0, 1\)"),
        ((X, T), {"label_smoothing": -0.1}, ValueError, "label_smoothing"),
        ((X, T), {"label_smoothing": np.nan}, ValueError, "label_smoothing"),
        ((X, T), {"reduction": "average"}, ValueError, "reduction='average'.*'mean'"),
        ((X, T), {"reduction": ["mean"]}, ValueError, "reduction"),
        ((X, T), {"threads": 0}, ValueError, "threads"),
        ((X, T), {"backend": "gpu"}, ValueError, "backend='gpu'"),
        ((X, T), {"out": np.empty(4, np.float32)}, ValueError, r"out has shape \(4,\).*shape \(\)"),
        ((X, T), {"out": np.empty((), np.int32)}, TypeError, "out has dtype int32"),
        ((X, T), {"out": [0.0]}, TypeError, "out is list"),
    ],
)
def test_bad_input_is_refused_in_words_about_the_argument(arguments, options, error, match):
    for function in (fs.bce_with_logits, fs.bce_with_logits_value_and_grad):
        with pytest.raises(error, match=match):
            function(*arguments, **options)


@pytest.mark.parametrize("bad", [-0.1, 1.1, np.nan, np.inf])
def test_probabilities_outside_the_unit_interval_are_refused(bad):
    with pytest.raises(ValueError, match="probs must lie in"):
        fs.bce(np.array([0.5, bad]), [0, 1])
    fs.bce(np.array([0.5, bad]), [0, 1], check=False)
    assert fs.bce(np.array([0.5, bad]), [0, 1], mask=[True, False]) == fs.bce([0.5], [0])


def test_negative_zero_is_zero():
    assert fs.bce(np.array([-0.0, 0.5]), np.array([-0.0, 1.0])) == fs.bce([0.0, 0.5], [0, 1])
    assert fs.bce_with_logits(X, T, weight=np.array(-0.0), reduction="sum") == 0


@pytest.mark.parametrize(("alpha", "gamma"), [(1.5, 2), (-1, 2), ("a", 2), (0.25, -1), (0.25, np.nan), (0.25, np.inf)])
def test_focal_refuses_numbers_out_of_range(alpha, gamma):
    with pytest.raises(ValueError, match="alpha|gamma"):
        fs.sigmoid_focal_loss(X, T, alpha=alpha, gamma=gamma)


@pytest.mark.parametrize("alpha", [[0.25, 1.5, 0, 0], [-0.1] * 4, [np.nan] * 4, np.float64([2])])
def test_focal_refuses_arrays_of_alpha_out_of_range(alpha):
    for function in (fs.sigmoid_focal_loss, fs.sigmoid_focal_loss_value_and_grad, fs.sigmoid_focal_loss_grad_hess):
        with pytest.raises(ValueError, match=rf"^{function.__name__}: alpha must lie in \[0, 1\]"):
            function(X, T, alpha=alpha)
        function(X, T, alpha=alpha, check=False)
    with pytest.raises(ValueError, match=r"alpha of shape \(3,\).*logits of shape \(4,\)"):
        fs.sigmoid_focal_loss(X, T, alpha=[0.1, 0.2, 0.3])
    grad = np.zeros(4, np.float32)
    with pytest.raises(ValueError, match="alpha"):
        fs.sigmoid_focal_loss_grad_hess(X, T, alpha=alpha, grad_out=grad)
    assert not grad.any()


def test_check_false_skips_the_look():
    assert np.isfinite(fs.bce_with_logits(X, T * 3, check=False))


@pytest.mark.parametrize("bad", [{"targets": T + 1}, {"weight": -np.ones(4)}])
def test_nothing_is_written_where_the_input_is_bad(bad):
    grad, hess, loss = (np.full(4, 7, np.float32) for _ in range(3))
    arguments = {"targets": T} | bad
    with pytest.raises(ValueError, match="must"):
        fs.bce_with_logits_value_and_grad(X, **arguments, reduction="none", grad_out=grad, out=loss)
    with pytest.raises(ValueError, match="must"):
        fs.bce_with_logits_grad_hess(X, **arguments, grad_out=grad, hess_out=hess)
    with pytest.raises(ValueError, match="must"):
        fs.bce_with_logits(X, **arguments, reduction="none", out=loss)
    assert {*grad, *hess, *loss} == {7}
    x = X.copy()
    with pytest.raises(ValueError, match="must"):
        fs.bce_with_logits_value_and_grad(x, **arguments, grad_out=x)
    assert (x == X).all()


def test_outputs_are_written_and_returned():
    expected = fs.bce_with_logits_value_and_grad(X, T)
    grad, loss = np.empty_like(X), np.empty((), np.float64)
    result = fs.bce_with_logits_value_and_grad(X, T, grad_out=grad, out=loss)
    assert result[1] is grad
    assert result[0] is loss
    assert (np.float32(loss), grad.tobytes()) == (expected[0], expected[1].tobytes())
    strided = np.zeros((4, 2), np.float32)
    fs.bce_with_logits_value_and_grad(X, T, grad_out=strided[:, 0])
    assert strided[:, 0].tobytes() == expected[1].tobytes()
    assert not strided[:, 1].any()


def test_both_derivatives_may_be_columns_of_one_array():
    expected = fs.bce_with_logits_grad_hess(X, T)
    table = np.full((4, 2), 7, np.float32)
    fs.bce_with_logits_grad_hess(X, T, grad_out=table[:, 0], hess_out=table[:, 1])
    assert table.tobytes() == np.stack(expected, axis=1).tobytes()


def test_a_gradient_may_replace_its_own_input():
    expected = fs.bce_with_logits_grad_hess(X, T)
    x, t = X.copy(), T.copy()
    fs.bce_with_logits_grad_hess(x, t, grad_out=x, hess_out=t)
    assert (x.tobytes(), t.tobytes()) == (expected[0].tobytes(), expected[1].tobytes())


@pytest.mark.parametrize("gamma", [0, 2, 1.5])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_focal_loss_may_replace_its_own_inputs(dtype, gamma, backend):
    t = (np.arange(3000) % 3 / 2).astype(dtype)
    x = np.linspace(-9, 9, t.size).astype(dtype)
    loss, grad = fs.sigmoid_focal_loss_value_and_grad(x, t, gamma=gamma, reduction="none", backend=backend)
    for given in range(2):
        inputs = [x.copy(), t.copy()]
        result = fs.sigmoid_focal_loss_value_and_grad(*inputs, gamma=gamma, reduction="none", grad_out=inputs[given], backend=backend)
        assert (result[0].tobytes(), inputs[given].tobytes()) == (loss.tobytes(), grad.tobytes())
        inputs = [x.copy(), t.copy()]
        fs.sigmoid_focal_loss(*inputs, gamma=gamma, reduction="none", out=inputs[given], backend=backend)
        assert inputs[given].tobytes() == loss.tobytes()


@pytest.mark.parametrize("gamma", [0, 2, 1.5])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_focal_derivatives_may_replace_their_inputs(dtype, gamma, backend):
    t = (np.arange(3000) % 3 / 2).astype(dtype)
    x = np.linspace(-9, 9, t.size).astype(dtype)
    alpha = (np.arange(t.size) % 5 / 4).astype(dtype)
    expected = fs.sigmoid_focal_loss_grad_hess(x, t, alpha=alpha, gamma=gamma, backend=backend)
    for places in ((0, 1), (1, 0), (1, 2), (2, 0)):
        inputs = [x.copy(), t.copy(), alpha.copy()]
        outs = [inputs[place] for place in places]
        fs.sigmoid_focal_loss_grad_hess(*inputs[:2], alpha=inputs[2], gamma=gamma, grad_out=outs[0], hess_out=outs[1], backend=backend)
        assert [out.tobytes() for out in outs] == [part.tobytes() for part in expected], places


def test_a_gradient_that_would_corrupt_an_input_is_refused():
    memory = np.zeros(10, np.float32)
    x, grad = memory[:8], memory[1:9]
    for options in ({"grad_out": grad}, {"grad_out": memory[7::-1]}):
        with pytest.raises(ValueError, match="grad_out overlaps logits"):
            fs.bce_with_logits_value_and_grad(x, np.ones(8), **options)
    both = np.zeros(4, np.float32)
    with pytest.raises(ValueError, match="hess_out shares memory"):
        fs.bce_with_logits_grad_hess(X, T, grad_out=both, hess_out=both)


@pytest.mark.parametrize(
    ("out", "error", "match"),
    [
        (np.empty(3, np.float32), ValueError, r"grad_out has shape \(3,\)"),
        (np.empty(4), TypeError, "grad_out has dtype float64"),
        (np.broadcast_to(np.float32(0), 4), ValueError, "grad_out is read-only"),
        ([0, 0, 0, 0], TypeError, "grad_out is list"),
    ],
)
def test_a_grad_out_that_cannot_hold_the_gradient_is_refused(out, error, match):
    with pytest.raises(error, match=match):
        fs.bce_with_logits_value_and_grad(X, T, grad_out=out)
