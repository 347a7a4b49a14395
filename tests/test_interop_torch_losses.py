"""The losses of fastsig.interop.torch: fastsig's bits, torch's meaning, derivatives by every way."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import fastsig as fs

torch = pytest.importorskip("torch")

from torch.autograd import gradcheck, gradgradcheck  # noqa: E402
from torch_functions import DTYPES, F, array, ft, near, same_bits  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
REDUCTIONS = ("none", "mean", "sum")


def data(n=12, c=3, dtype=torch.float64, seed=2):
    rng = np.random.default_rng(seed)
    draw = [rng.normal(size=(n, c)) * 3, rng.random((n, c)), rng.uniform(-2, 2, (n, c)), rng.uniform(0.5, 3, c)]
    x, t, w, pos = (torch.tensor(a, dtype=torch.float64).to(dtype) for a in draw)
    return x, t, w, pos, torch.tensor(rng.random((n, c)) < 0.7)


def probabilities(dtype=torch.float64):
    x, t, w, _, _ = data(dtype=dtype)
    return torch.sigmoid(x), t, w


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize(("reduction", "weighted", "masked"), list(itertools.product(REDUCTIONS, [False, True], [False, True])))
def test_the_bits_of_value_and_gradient_are_those_of_fastsig(dtype, reduction, weighted, masked):
    x, t, w, pos, mask = data(dtype=dtype)
    w, pos, mask = w if weighted else None, pos if weighted else None, mask if masked else None
    arrays = {k: None if v is None else array(v) for k, v in {"weight": w, "pos_weight": pos, "mask": mask}.items()}
    loss, grad = fs.bce_with_logits_value_and_grad(array(x), array(t), **arrays, label_smoothing=0.1, reduction=reduction, check=False)
    options = {"weight": w, "pos_weight": pos, "mask": mask, "label_smoothing": 0.1, "reduction": reduction}
    assert same_bits(ft.binary_cross_entropy_with_logits(x, t, **options), loss)
    result = ft.binary_cross_entropy_with_logits(x.requires_grad_(), t, **options)
    assert same_bits(result, loss)
    result.backward(torch.ones_like(result))
    assert same_bits(x.grad, grad)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_values_and_all_gradients_as_torch(reduction, weighted):
    def all_of(loss):
        x, t, w, pos, _ = (v.clone() for v in data())
        x.requires_grad_(), t.requires_grad_()
        result = loss(x, t, weight=w if weighted else None, pos_weight=pos if weighted else None, reduction=reduction)
        result.backward(torch.full_like(result, 1.5))
        return [result, x.grad, t.grad]

    for ours, theirs in zip(all_of(ft.binary_cross_entropy_with_logits), all_of(F.binary_cross_entropy_with_logits), strict=True):
        assert near(ours, theirs, ulps=64, scale=1)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
def test_probabilities_as_torch(reduction, weighted):
    def all_of(loss):
        p, t, w = (v.clone() for v in probabilities())
        p[0], p[1], p[2], t[:3, 0], t[:3, 1] = 0, 1, 1e-60, 0, 1
        p.requires_grad_(), t.requires_grad_()
        result = loss(p, t, weight=w if weighted else None, reduction=reduction)
        result.backward(torch.full_like(result, 1.5))
        return [result, p.grad, t.grad]

    for ours, theirs in zip(all_of(ft.binary_cross_entropy), all_of(F.binary_cross_entropy), strict=True):
        assert near(ours, theirs, ulps=64, scale=1)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_probabilities_that_nothing_clamps_have_fastsigs_bits(reduction):
    p, t, w = probabilities(torch.float32)
    expected = fs.bce(array(p), array(t), weight=array(w), reduction=reduction, check=False)
    assert same_bits(ft.binary_cross_entropy(p, t, w, reduction=reduction), expected)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (-1, 1.5), (0.5, 0.0)])
def test_focal_loss_has_fastsigs_bits(reduction, alpha, gamma):
    x, t = data(dtype=torch.float32)[:2]
    keywords = {"alpha": alpha if alpha >= 0 else None, "gamma": gamma, "reduction": reduction}
    loss, grad = fs.sigmoid_focal_loss_value_and_grad(array(x), array(t), **keywords)
    result = ft.sigmoid_focal_loss(x.requires_grad_(), t, alpha, gamma, reduction)
    assert same_bits(result, loss)
    result.backward(torch.ones_like(result))
    assert same_bits(x.grad, grad)


def cases(reduction):
    x, t, w, pos, mask = data(4, 2)
    p = torch.sigmoid(x)
    return {
        "with logits": ((x, t), lambda x, t: ft.binary_cross_entropy_with_logits(x, t, reduction=reduction)),
        "with logits, weights, mask": (
            (x, t, w, pos),
            lambda x, t, w, p: ft.binary_cross_entropy_with_logits(
                x, t, w, pos_weight=p, label_smoothing=0.2, mask=mask, reduction=reduction
            ),
        ),
        "probabilities": ((p, t, w), lambda p, t, w: ft.binary_cross_entropy(p, t, w, reduction=reduction)),
        "focal": ((x, t), lambda x, t: ft.sigmoid_focal_loss(x, t, 0.3, 2.0, reduction)),
    }


EACH = pytest.mark.parametrize("case", cases("none"))
EACH_REDUCTION = pytest.mark.parametrize("reduction", REDUCTIONS)


@EACH
@EACH_REDUCTION
def test_gradients_of_two_orders_backward_forward_and_batched(case, reduction):
    operands, loss = cases(reduction)[case]
    leaves = tuple(v.clone().requires_grad_() for v in operands)
    assert gradcheck(loss, leaves, check_forward_ad=True, check_batched_grad=True)
    assert gradgradcheck(loss, leaves, check_fwd_over_rev=True)


@EACH
@EACH_REDUCTION
def test_transformations_and_the_compiler(case, reduction):
    (x, *others), loss = cases(reduction)[case]

    def of(v):
        return loss(v, *others).sum()

    leaf = x.clone().requires_grad_()
    of(leaf).backward()
    assert near(torch.func.grad(of)(x), leaf.grad, ulps=1)
    assert near(torch.func.jvp(of, (x,), (torch.ones_like(x),))[1], leaf.grad.sum(), ulps=16, scale=1)
    assert torch.func.hessian(of)(x).isfinite().all()
    torch._dynamo.reset()
    compiled = torch.compile(of, backend="aot_eager", fullgraph=True)
    other = x.clone().requires_grad_()
    compiled(other).backward()
    assert near(other.grad, leaf.grad, ulps=1)
    assert near(torch.compile(torch.func.grad(of), backend="aot_eager", fullgraph=True)(x), leaf.grad, ulps=1)


@EACH_REDUCTION
def test_batches_have_the_bits_of_one_at_a_time(reduction):
    x, t = data(5, 7, torch.float32)[:2]

    def of(x, t):
        return ft.binary_cross_entropy_with_logits(x, t, reduction=reduction)

    assert same_bits(torch.func.vmap(of)(x, t), torch.stack([of(a, b) for a, b in zip(x, t, strict=True)]))
    assert same_bits(torch.func.vmap(of, in_dims=(1, None))(x, t[:, 0]), torch.stack([of(a, t[:, 0]) for a in x.t()]))


@EACH_REDUCTION
def test_the_operations_are_what_torch_takes_them_for(reduction):
    x, t, w, pos, mask = data(4, 2)
    for name in ("binary_cross_entropy_with_logits", "binary_cross_entropy_with_logits_grad"):
        operation = getattr(torch.ops.fastsig, name).default
        torch.library.opcheck(operation, (x.requires_grad_(), t, w, pos.expand_as(x), mask, [0.1], reduction))


@pytest.mark.parametrize("target", [torch.tensor([True, False]), torch.tensor([1, 0])], ids=str)
def test_targets_of_other_types(target):
    x = torch.tensor([0.5, -0.25])
    assert same_bits(ft.binary_cross_entropy_with_logits(x, target), ft.binary_cross_entropy_with_logits(x, target.float()))


def test_a_wider_target_widens_the_result_as_in_torch():
    x, t = torch.zeros(2, dtype=torch.bfloat16), torch.ones(2)
    assert ft.binary_cross_entropy_with_logits(x, t).dtype == F.binary_cross_entropy_with_logits(x, t).dtype


def test_autocast_computes_losses_in_float32_as_torch():
    x, p = torch.zeros(3, dtype=torch.bfloat16), torch.full((3,), 0.5, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        for ours, theirs, v in (
            (ft.binary_cross_entropy_with_logits, F.binary_cross_entropy_with_logits, x),
            (ft.binary_cross_entropy, F.binary_cross_entropy, p),
        ):
            assert ours(v, p).dtype == theirs(v, p).dtype == torch.float32


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nothing_at_all_as_torch(reduction):
    x = torch.zeros(0, 3)
    for ours, theirs in (
        (ft.binary_cross_entropy_with_logits, F.binary_cross_entropy_with_logits), (ft.binary_cross_entropy, F.binary_cross_entropy)
    ):  # fmt: skip
        assert torch.equal(ours(x, x, reduction=reduction).nan_to_num(7), theirs(x, x, reduction=reduction).nan_to_num(7))


def test_strides_signs_and_meta_tensors():
    x, t = data(6, 4, torch.float32)[:2]
    expected = ft.binary_cross_entropy_with_logits(x, t)
    assert same_bits(ft.binary_cross_entropy_with_logits(x.t().contiguous().t(), t), expected)
    assert same_bits(ft.binary_cross_entropy_with_logits(torch._neg_view(-x), t), expected)
    assert ft.binary_cross_entropy_with_logits(x.to("meta"), t.to("meta"), reduction="none").shape == x.shape


ZERO = torch.zeros(3)
REFUSED = {
    "unknown reduction": (lambda f: f(ZERO, ZERO, reduction="some"), ValueError, "'some' is unknown.*'mean'"),
    "another shape": (lambda f: f(ZERO, ZERO[:2]), ValueError, r"\(2,\).*\(3,\)"),
    "another device": (lambda f: f(ZERO, ZERO.to("meta")), RuntimeError, "input is on cpu and target on meta"),
    "no tensor": (lambda f: f(ZERO, [0, 0, 0]), TypeError, "target is list"),
}


@pytest.mark.parametrize("loss", [ft.binary_cross_entropy_with_logits, ft.binary_cross_entropy, ft.sigmoid_focal_loss])
@pytest.mark.parametrize(("call", "kind", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(loss, call, kind, words):
    with pytest.raises(kind, match=words):
        call(loss)


@pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
def test_probabilities_outside_are_refused_as_in_torch(bad):
    x = torch.tensor([0.5, bad])
    for p, t in ((x, ZERO[:2]), (ZERO[:2], x)):
        with pytest.raises(RuntimeError, match=r"\[0, 1\]"):
            ft.binary_cross_entropy(p, t)
    with pytest.raises(RuntimeError, match="dtype"):
        ft.binary_cross_entropy(ZERO, ZERO.double())


# ---- the gradient that the forward pass makes is given away once ----


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("factor", [1.0, 3.0])
def test_backward_passes_over_a_kept_graph_have_the_same_bits(weighted, reduction, factor):
    x, t, w, _, _ = data(dtype=torch.float32)
    arrays = {"weight": array(w) if weighted else None, "reduction": reduction, "check": False}
    expected = fs.bce_with_logits_value_and_grad(array(x), array(t), **arrays)[1] * np.float32(factor)
    result = ft.binary_cross_entropy_with_logits(x.requires_grad_(), t, weight=w if weighted else None, reduction=reduction)
    grad = torch.full_like(result, factor)
    first = torch.autograd.grad(result, x, grad, retain_graph=True)[0]
    assert same_bits(first, expected)
    first.fill_(torch.nan)  # which is the caller's own
    for _ in range(2):
        assert same_bits(torch.autograd.grad(result, x, grad, retain_graph=True)[0], expected)
    result.backward(grad)
    assert same_bits(x.grad, expected)
    with pytest.raises(RuntimeError, match="second time"):
        result.backward(grad)


def test_gradients_of_several_losses_add_up():
    x, t, _, _, _ = data(dtype=torch.float32)
    x.requires_grad_()
    losses = [ft.binary_cross_entropy_with_logits(x, t, reduction="sum") for _ in range(3)]
    once = torch.autograd.grad(losses[0], x, retain_graph=True)[0]
    (losses[0] + losses[1]).backward()
    losses[2].backward()
    assert same_bits(x.grad, once + once + once)


def test_a_gradient_of_the_gradient_after_a_plain_pass():
    x, t, _, _, _ = data()
    x.requires_grad_()
    result = ft.binary_cross_entropy_with_logits(x, t, reduction="sum")
    torch.autograd.grad(result, x, retain_graph=True)
    slope = torch.autograd.grad(result, x, create_graph=True)[0]
    second = torch.autograd.grad(slope.sum(), x)[0]
    assert near(second, torch.sigmoid(x) * torch.sigmoid(-x), ulps=16)


@pytest.mark.parametrize("make", [lambda x: x[:, ::2], lambda x: x.T, lambda x: x[:0], lambda x: x[::2].clone()[1]])
def test_views_have_the_way_that_fits_them(make):
    x, t = (make(v) for v in data(dtype=torch.float32)[:2])
    value, slope = fs.bce_with_logits_value_and_grad(array(x), array(t), reduction="sum", check=False)
    leaf = x.detach().requires_grad_()
    result = ft.binary_cross_entropy_with_logits(leaf, t, reduction="sum")
    result.backward()
    assert same_bits(result, value)
    assert same_bits(leaf.grad, slope)


def test_memory_that_no_kernel_reads_in_place():
    raw = bytearray(4 * 9 + 1)
    x = torch.frombuffer(raw, dtype=torch.float32, count=9, offset=1).copy_(torch.linspace(-3, 3, 9))
    t = torch.ones(9)
    value, slope = fs.bce_with_logits_value_and_grad(array(x).copy(), array(t))
    leaf = x.requires_grad_()
    result = ft.binary_cross_entropy_with_logits(leaf, t)
    result.backward()
    assert same_bits(result, value)
    assert same_bits(leaf.grad, slope)
    assert same_bits(ft.binary_cross_entropy_with_logits(x.detach(), t), value)


EVERY_LOSS = {
    "with logits": ft.binary_cross_entropy_with_logits,
    "with options": lambda x, t, **how: ft.binary_cross_entropy_with_logits(x, t, torch.full_like(x, 2), **how),
    "of probabilities": lambda x, t, **how: ft.binary_cross_entropy(torch.sigmoid(x), t, **how),
    "focal": lambda x, t, **how: ft.sigmoid_focal_loss(x, t, **how),
}


@pytest.mark.parametrize("loss", EVERY_LOSS.values(), ids=EVERY_LOSS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_numbers_without_axes(loss, reduction):
    x, t = torch.tensor(0.5, requires_grad=True), torch.tensor(1.0)
    result = loss(x, t, reduction=reduction)
    result.backward()
    alone = x.detach().clone().reshape(1).requires_grad_()
    loss(alone, t.reshape(1), reduction="sum").backward()
    assert same_bits(x.grad, alone.grad[0])


@pytest.mark.parametrize("loss", EVERY_LOSS.values(), ids=EVERY_LOSS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_many_gradients_in_one_backward_pass(loss, reduction):
    """The first pass over the graph is one of batches."""
    x, t, _, _, _ = data(n=4, c=1, dtype=torch.float32)
    x, t = x[:, 0].requires_grad_(), t[:, 0]
    result = loss(x, t, reduction=reduction)
    grads = torch.randn(5, *result.shape)
    together = torch.autograd.grad(result, x, grads, is_grads_batched=True, retain_graph=True)[0]
    one_by_one = torch.stack([torch.autograd.grad(result, x, grad, retain_graph=True)[0] for grad in grads])
    assert near(together, one_by_one, ulps=4)


@pytest.mark.parametrize("changed", [0, 1])
@pytest.mark.parametrize("loss", [EVERY_LOSS["with logits"], EVERY_LOSS["with options"]])
def test_an_operand_changed_before_backward_is_an_error(loss, changed):
    x, t, _, _, _ = data(dtype=torch.float32)
    operands = [x * 1, t * 1]
    operands[0].requires_grad_()
    result = loss(operands[0] * 1 if changed else operands[0], operands[1])
    with torch.no_grad():
        operands[changed].add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        result.backward()


@pytest.mark.parametrize("loss", [EVERY_LOSS["with logits"], EVERY_LOSS["with options"]])
def test_who_decides_what_is_kept_decides_about_the_gradient_too(loss):
    x, t, _, _, _ = data(dtype=torch.float32)
    x.requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda kept: kept, lambda kept: kept):
        within = loss(x, t)
    outside = loss(x, t)
    assert not hasattr(within.grad_fn, "slope")
    assert outside.grad_fn.slope.shape == x.shape
    assert same_bits(torch.autograd.grad(within, x)[0], torch.autograd.grad(outside, x)[0])
