"""torch's values for every combination of options on shared inputs, and what fastsig gives where torch loses the value."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import fastsig as fs

torch = pytest.importorskip("torch")
N, C = 50, 4
COMBINATIONS = list(itertools.product([False, True], [False, True], [False, True], ["none", "sum", "mean", "weighted_mean"]))


def near(got, expected, scale=None, *, ulps):
    """Whether all are within so many ULP, of scale where one is given."""
    got, expected = np.asarray(got), np.asarray(expected, dtype=np.asarray(got).dtype)
    return bool((np.abs(got - expected) <= ulps * np.spacing(np.abs(expected if scale is None else scale))).all())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("with_weight", "with_pos", "soft", "reduction"), COMBINATIONS)
def test_values_and_gradients_as_torch(dtype, with_weight, with_pos, soft, reduction):
    rng = np.random.default_rng(5)
    x = (rng.normal(size=(N, C)) * 2).astype(dtype)
    t = (rng.random((N, C)) if soft else rng.random((N, C)) < 0.4).astype(dtype)
    w = rng.uniform(0.5, 2, (N, C)).astype(dtype) if with_weight else None
    p = rng.uniform(0.5, 3, C).astype(dtype) if with_pos else None
    loss, grad = fs.bce_with_logits_value_and_grad(x, t, weight=w, pos_weight=p, reduction=reduction)
    # torch in float64 is the reference for float32; for float64 it is torch as it is
    logits = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    wide = [None if a is None else torch.tensor(a, dtype=torch.float64) for a in (t, w, p)]
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, wide[0], weight=wide[1], pos_weight=wide[2], reduction="mean" if reduction == "mean" else "none"
    )
    if reduction == "sum":
        expected = expected.sum()
    if reduction == "weighted_mean":
        expected = expected.sum() / (wide[1].sum() if with_weight else expected.numel())
    expected.sum().backward()
    allowed = 4 + with_weight + with_pos
    value = expected.detach().numpy()
    lost_by_torch = np.abs(x) if reduction == "none" and dtype == np.float64 else 0  # it takes two terms of this size from each other
    assert near(loss, value, (value + lost_by_torch).astype(dtype), ulps=allowed)
    share = {"none": 1, "sum": 1, "mean": N * C, "weighted_mean": w.sum() if with_weight else N * C}[reduction]
    terms = (1 if w is None else w) * (1 if p is None else np.maximum(p, 1)) / share
    assert near(grad, logits.grad.numpy(), np.broadcast_to(terms, x.shape).astype(dtype), ulps=4)


def test_where_torch_has_lost_the_value_fastsig_has_it():
    x, t = torch.tensor([100.0, 40.0], requires_grad=True), torch.tensor([1.0, 1.0])
    torch.nn.functional.binary_cross_entropy_with_logits(x, t, reduction="sum").backward()
    _, grad = fs.bce_with_logits_value_and_grad(np.float32([100, 40]), np.float32([1, 1]), reduction="sum")
    assert x.grad[0] == 0  # sigmoid(100) - 1 in float32
    assert grad[0] == -np.float32(np.exp(-100.0))
    assert near(grad[1], -np.exp(-40.0), ulps=3)
    _, grad = fs.bce_with_logits_value_and_grad([40.0], [1.0])
    assert near(grad, [-np.exp(-40.0)], ulps=3)


def test_where_torch_clamps_fastsig_has_the_true_value():
    p, t = np.array([0.0, 1e-300]), np.array([1.0, 1.0])
    clamped = torch.nn.functional.binary_cross_entropy(torch.tensor(p), torch.tensor(t), reduction="none").numpy()
    assert clamped.tolist() == [100, 100]
    assert near(fs.bce(p, t, reduction="none")[1], 300 * np.log(10), ulps=4)
    assert fs.bce(p, t, reduction="none")[0] == np.inf


def test_an_infinite_logit_on_the_right_side_costs_nothing_where_torch_has_nan():
    torch_loss = torch.nn.functional.binary_cross_entropy_with_logits(torch.tensor([np.inf]), torch.tensor([1.0]))
    assert torch.isnan(torch_loss)
    assert fs.bce_with_logits([np.inf], [1.0]) == 0
