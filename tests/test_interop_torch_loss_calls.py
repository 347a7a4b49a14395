"""The losses of fastsig itself, given tensors in host memory: fastsig's bits and options, and gradients."""

from __future__ import annotations

import numpy as np
import pytest

import fastsig as fs

torch = pytest.importorskip("torch")

from torch.autograd import gradcheck, gradgradcheck  # noqa: E402
from torch_functions import DTYPES, array, same_bits  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
REDUCTIONS = ("none", "sum", "mean", "weighted_mean")
EACH_REDUCTION = pytest.mark.parametrize("reduction", REDUCTIONS)


def data(dtype=torch.float64):
    rng = np.random.default_rng(8)
    drawn = (rng.normal(size=(4, 3)) * 2, rng.random((4, 3)), rng.uniform(0.5, 2, (4, 3)), rng.uniform(0.5, 2, 3))
    x, t, w, pos = (torch.tensor(a).to(dtype) for a in drawn)
    return x, t, w, pos, torch.tensor(rng.random((4, 3)) < 0.7)


def cases(dtype=torch.float64):
    x, t, w, pos, mask = data(dtype)
    return {
        "bce_with_logits": (x, t, {"weight": w, "pos_weight": pos, "label_smoothing": 0.1, "mask": mask}),
        "bce": (torch.sigmoid(x), t, {"weight": w, "mask": mask}),
        "sigmoid_focal_loss": (x, t, {"weight": w, "mask": mask, "alpha": 0.3, "gamma": 1.5}),
        "bce_with_logits_value_and_grad": (x, t, {"weight": w, "pos_weight": pos}),
        "sigmoid_focal_loss_value_and_grad": (x, t, {"weight": w, "alpha": None}),
    }


EACH = pytest.mark.parametrize("name", cases())


def each(found):
    return found if isinstance(found, tuple) else (found,)


def plain(options):
    return {key: array(v) if isinstance(v, torch.Tensor) else v for key, v in options.items()}


@EACH
@EACH_REDUCTION
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_tensor_gives_a_tensor_of_fastsigs_bits(name, reduction, dtype):
    x, t, options = cases(dtype)[name]
    function = getattr(fs, name)
    expected = each(function(array(x), array(t), reduction=reduction, **plain(options)))
    for asked in (x, x.clone().requires_grad_(), x.t().contiguous().t()):
        results = each(function(asked, t, reduction=reduction, **options))
        assert all(map(same_bits, results, expected))
        assert all(result.requires_grad is asked.requires_grad for result in results)


@pytest.mark.parametrize("name", ["bce_with_logits", "bce", "sigmoid_focal_loss"])
@EACH_REDUCTION
def test_gradients_of_two_orders_of_everything(name, reduction):
    x, t, options = cases()[name]
    tensors = [key for key in ("weight", "pos_weight") if key in options]

    def of(x, t, *more):
        return getattr(fs, name)(x, t, reduction=reduction, **{**options, **dict(zip(tensors, more, strict=True))})

    given = tuple(v.clone().requires_grad_() for v in (x, t, *(options[key] for key in tensors)))
    assert gradcheck(of, given, check_forward_ad=True)
    assert gradgradcheck(of, given, check_fwd_over_rev=True)


@EACH_REDUCTION
def test_the_gradient_has_the_bits_of_the_one_pass(reduction):
    x, t, w, _, _ = data(torch.float32)
    leaf = x.clone().requires_grad_()
    loss = fs.bce_with_logits(leaf, t, weight=w, reduction=reduction)
    loss.backward(torch.ones_like(loss))
    assert same_bits(leaf.grad, fs.bce_with_logits_value_and_grad(array(x), array(t), weight=array(w), reduction=reduction)[1])


def test_beside_a_tensor_arrays_lists_and_numbers_are_taken():
    x, t, *_ = data(torch.float32)
    for asked in (x, x.clone().requires_grad_()):
        assert same_bits(fs.bce_with_logits(asked, array(t)), fs.bce_with_logits(array(x), array(t)))
        assert same_bits(fs.bce_with_logits(asked, [1, 0, 1]), fs.bce_with_logits(array(x), [1, 0, 1]))
        assert same_bits(fs.bce_with_logits(asked, 1), fs.bce_with_logits(array(x), 1))


def test_both_derivatives_and_outputs_that_are_given():
    x, t, *_ = data()
    grad, hess = fs.bce_with_logits_grad_hess(x, t)
    assert all(map(same_bits, (grad, hess), fs.bce_with_logits_grad_hess(array(x), array(t))))
    out, version = torch.empty_like(x), grad._version
    assert fs.bce_with_logits(x, t, reduction="none", out=out) is out
    assert fs.bce_with_logits_grad_hess(x, t, grad_out=grad)[0] is grad
    assert grad._version > version
    assert same_bits(out, fs.bce_with_logits(array(x), array(t), reduction="none"))


def test_transformations_see_the_loss():
    x, t, *_ = data()
    leaf = x.clone().requires_grad_()
    fs.bce_with_logits(leaf, t).backward()
    assert torch.equal(torch.func.grad(lambda v: fs.bce_with_logits(v, t))(x), leaf.grad)


@EACH_REDUCTION
@pytest.mark.parametrize("loss", ["binary_cross_entropy", "bce", "sigmoid_focal_loss"])
def test_the_operations_are_what_torch_takes_them_for(loss, reduction):
    x, t, w, _, mask = data()
    if loss == "binary_cross_entropy" and reduction == "weighted_mean":
        pytest.skip("torch's own function knows no such mean")
    p, numbers = (x, [0.25, 2.0]) if loss == "sigmoid_focal_loss" else (torch.sigmoid(x), [])
    mask = None if loss == "binary_cross_entropy" else mask
    for name in (loss, f"{loss}_grad"):
        for leaves in (1, 3):
            given = [v.clone().requires_grad_(i < leaves) for i, v in enumerate((p, t, w))]
            torch.library.opcheck(getattr(torch.ops.fastsig, name).default, (*given, None, mask, numbers, reduction))


X = torch.zeros(3)
LEAF = torch.zeros(3, requires_grad=True)
REFUSED = {
    "a target": (lambda x: fs.bce_with_logits(x, X + 2), ValueError, "targets must lie in"),
    "a shape": (lambda x: fs.bce_with_logits(x, X[:2]), ValueError, r"targets of shape \(2,\)"),
    "a reduction": (lambda x: fs.bce_with_logits(x, X, reduction="some"), ValueError, "'some' is unknown"),
    "a mask": (lambda x: fs.bce_with_logits(x, X, mask=X), TypeError, "mask has dtype.*give booleans"),
    "complex": (lambda x: fs.bce_with_logits(x.to(torch.complex64), X), TypeError, "complex64"),
    "devices": (lambda x: fs.bce_with_logits(x, X.to("meta")), ValueError, "one device"),
    "an array as out": (lambda x: fs.bce_with_logits(x, X, out=np.zeros(())), TypeError, "out is numpy.ndarray"),
}


@pytest.mark.parametrize(("call", "kind", "words"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("x", [X, LEAF], ids=["plain", "recorded"])
def test_what_is_refused(x, call, kind, words):
    with pytest.raises(kind, match=words):
        call(x)


def test_what_takes_no_part_in_a_gradient_is_refused():
    with pytest.raises(RuntimeError, match="threads takes no part in a gradient"):
        fs.bce_with_logits(LEAF, X, threads=1)
    with pytest.raises(RuntimeError, match="hessian has no gradient"):
        fs.bce_with_logits_grad_hess(LEAF, X)


@pytest.mark.parametrize("name", ["sigmoid_focal_loss", "sigmoid_focal_loss_value_and_grad", "sigmoid_focal_loss_grad_hess"])
def test_alpha_of_each_class_is_a_tensor(name):
    x, t, *_ = data(torch.float32)
    alpha = torch.tensor([0.2, 0.5, 0.9])
    found, wanted = getattr(fs, name)(x, t, alpha=alpha), getattr(fs, name)(array(x), array(t), alpha=array(alpha))
    for part, whole in zip(each(found), each(wanted), strict=True):
        assert array(part).tobytes() == np.asarray(whole).tobytes()


def test_nothing_is_recorded_through_a_tensor_of_alphas():
    x, t, *_ = data()
    with pytest.raises(RuntimeError, match="alpha is a tensor, through which nothing is recorded"):
        fs.sigmoid_focal_loss(x.requires_grad_(), t, alpha=torch.tensor([0.2, 0.5, 0.9]))
