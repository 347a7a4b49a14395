"""Calls that are like an earlier one: only launched, with the bits and the refusals of the first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import fake_gpu
import numpy as np
import pytest
from cuda_here import need_compiler, same_but_nan
from fake_gpu import Tensor

import fastsig as fs

pytestmark = need_compiler


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    return fake_gpu.installed(monkeypatch)


@pytest.fixture
def decisions(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """One entry for each call that is decided, not repeated."""
    from fastsig.kernels.cuda import repeats

    made: list[Any] = []
    decided = repeats.decided

    def counted(*arguments: Any) -> Any:
        made.append(arguments[0].key)
        return decided(*arguments)

    monkeypatch.setattr(repeats, "decided", counted)
    return made


def logits(seed: int, n: int = 2500) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(0, 5, n).astype("f4")


def targets(seed: int, n: int = 2500) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed + 100).random(n).astype("f4")


def same(got: Any, want: Any) -> bool:
    if isinstance(want, tuple):
        return all(map(same, got, want))
    return same_but_nan(got.host, np.asarray(want))


LOSSES: dict[str, Callable[[Any, Any, Any], Any]] = {
    "mean": lambda x, t, of: fs.bce_with_logits(x, t),
    "sum of some": lambda x, t, of: fs.bce_with_logits(x, t, mask=of(t_mask(t)), reduction="sum"),
    "mean of some with gradient": lambda x, t, of: fs.bce_with_logits_value_and_grad(x, t, mask=of(t_mask(t))),
    "none, weighted": lambda x, t, of: fs.bce_with_logits_value_and_grad(x, t, weight=t, reduction="none"),
    "grad_hess": lambda x, t, of: fs.bce_with_logits_grad_hess(x, t, check=False),
    "bce": lambda x, t, of: fs.bce(t, t),
}


def t_mask(t: Any) -> Any:
    return (t.host if isinstance(t, Tensor) else t) > 0.3


@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_other_numbers_elsewhere(name: str, decisions: list[Any]) -> None:
    call = LOSSES[name]
    for seed in range(3):
        x, t = logits(seed), targets(seed)
        assert same(call(Tensor(x), Tensor(t), Tensor), call(x, t, np.asarray))
    assert len(decisions) == 1


def test_an_operation_on_every_second_element(decisions: list[Any]) -> None:
    for seed in range(3):
        x = logits(seed)
        assert same(fs.sigmoid(Tensor(x[::2])), fs.sigmoid(x[::2]))
    assert len(decisions) == 1


def test_outputs_that_are_given(decisions: list[Any]) -> None:
    for seed in range(3):
        x, t = logits(seed), targets(seed)
        value, grad = Tensor(np.zeros((), "f4")), Tensor(np.zeros(2500, "f4"))
        found = fs.bce_with_logits_value_and_grad(Tensor(x), Tensor(t), out=value, grad_out=grad)
        assert found == (value, grad)
        assert same((value, grad), fs.bce_with_logits_value_and_grad(x, t))
        assert (value._version, grad._version) == (1, 1)
    assert len(decisions) == 1


def test_in_place_is_another_call(decisions: list[Any]) -> None:
    for seed in range(2):
        x, t = logits(seed), targets(seed)
        want = fs.bce_with_logits_value_and_grad(x, t)
        given = Tensor(x.copy())
        assert same(fs.bce_with_logits_value_and_grad(given, Tensor(t), grad_out=Tensor(np.zeros_like(x))), want)
        assert same(fs.bce_with_logits_value_and_grad(given, Tensor(t), grad_out=given), want)
    assert len(decisions) == 2


@pytest.mark.parametrize("change", ["shape", "strides", "dtype", "address", "device", "target", "reduction", "check", "output"])
def test_what_makes_another_call(change: str, decisions: list[Any]) -> None:
    x, t = logits(0), targets(0)
    fs.bce_with_logits_value_and_grad(Tensor(x), Tensor(t))
    others: dict[str, tuple[Any, Any, dict[str, Any]]] = {
        "shape": (Tensor(x[:2000]), Tensor(t[:2000]), {}),
        "strides": (Tensor(np.repeat(x, 2)[::2]), Tensor(t), {}),
        "dtype": (Tensor(x.astype("f8")), Tensor(t), {}),
        "address": (Tensor(np.append(x[:1], x)[1:]), Tensor(t), {}),
        "device": (Tensor(x, device=1), Tensor(t, device=1), {}),
        "target": (Tensor(x), Tensor(t.astype("f8")), {}),
        "reduction": (Tensor(x), Tensor(t), {"reduction": "sum"}),
        "check": (Tensor(x), Tensor(t), {"check": False}),
        "output": (Tensor(x), Tensor(t), {"grad_out": Tensor(np.zeros_like(x))}),
    }
    given, goals, options = others[change]
    for _ in range(2):
        got = fs.bce_with_logits_value_and_grad(given, goals, **options)
        host = {key: value for key, value in options.items() if key != "grad_out"}
        assert same(got, fs.bce_with_logits_value_and_grad(given.host, goals.host, **host))
    assert len(decisions) == 2


def test_refusals_after_a_call_that_was_taken(gpu: Any, decisions: list[Any]) -> None:
    x, t = logits(0), targets(0)
    fs.bce_with_logits(Tensor(x), Tensor(t))
    with pytest.raises(ValueError, match="reduction='median' is unknown"):
        fs.bce_with_logits(Tensor(x), Tensor(t), reduction="median")
    with pytest.raises(TypeError, match=r"x\.detach\(\)"):
        fs.bce_with_logits(Tensor(x, requires_grad=True), Tensor(t))
    with pytest.raises(RuntimeError, match="computes in host memory"):
        fs.bce_with_logits(Tensor(x), Tensor(t), backend="c")
    memory = np.zeros(5000, "f4")
    apart, near = Tensor(memory[:2500]), Tensor(memory[4:2504])
    fs.bce_with_logits_value_and_grad(apart, Tensor(t), grad_out=Tensor(memory[2500:]))
    with pytest.raises(ValueError, match="grad_out overlaps logits"):
        fs.bce_with_logits_value_and_grad(apart, Tensor(t), grad_out=near)
    strided = Tensor(memory[:2500:2])
    fs.sigmoid(strided, out=Tensor(np.zeros(1250, "f4")))
    with pytest.raises(ValueError, match="out overlaps x"):
        fs.sigmoid(strided, out=Tensor(memory[2:1252]))


def test_a_negative_view_is_read_by_its_values(decisions: list[Any]) -> None:
    x = logits(0)
    for _ in range(2):
        assert same(fs.sigmoid(Tensor(x[::2])), fs.sigmoid(x[::2]))
        assert same(fs.sigmoid(Tensor(x[::2], negative=True)), fs.sigmoid(-x[::2]))


def test_a_bad_target_is_nan_at_every_call(decisions: list[Any]) -> None:
    x, t = logits(0), targets(0)
    for bad in (0.5, 2.0, 0.5):
        t[7] = bad
        got = fs.bce_with_logits(Tensor(x), Tensor(t))
        assert np.isnan(got.host) == (bad == 2)
    assert len(decisions) == 1


def test_kept_calls_do_not_grow_without_end(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastsig.kernels.cuda import repeats

    monkeypatch.setattr(repeats, "_MOST", 3)
    for n in range(2, 14, 2):
        fs.sigmoid(Tensor(logits(0)[:n:2]))
        assert len(repeats._plans) <= 3


def columns(seed: int) -> np.ndarray[Any, Any]:
    return logits(seed, 5000).reshape(2500, 2)


def test_tensors_that_lie_among_one_another_are_no_pattern_for_others(decisions: list[Any]) -> None:
    """Nor is a window that moved on, or a result within an operand's extent: their places are not those of other tensors."""
    a, b = columns(0), columns(1)
    t = targets(0)
    fs.bce_with_logits(Tensor(a[:, 0]), Tensor(np.abs(a[:, 1])))
    pair = np.abs(columns(2)) / 30
    assert same(fs.bce_with_logits(Tensor(pair[:, 0]), Tensor(pair[:, 1])), fs.bce_with_logits(pair[:, 0], pair[:, 1]))
    far = np.abs(b) / 30
    assert same(fs.bce_with_logits(Tensor(pair[:, 0]), Tensor(far[:, 1])), fs.bce_with_logits(pair[:, 0], far[:, 1]))

    y, z, w = columns(3), columns(4), columns(5)
    fs.sigmoid(Tensor(y[:, 0]), out=Tensor(y[:, 1]))
    before = z.copy()
    fs.sigmoid(Tensor(z[:, 0]), out=Tensor(w[:, 1]))
    assert np.array_equal(z, before)
    assert same_but_nan(w[:, 1].copy(), fs.sigmoid(z[:, 0]))

    window = np.abs(logits(6, 1004)) / 30
    fs.bce_with_logits(Tensor(window[:1000]), Tensor(window[4:]))
    assert same(fs.bce_with_logits(Tensor(window[:1000]), Tensor(t[:1000])), fs.bce_with_logits(window[:1000], t[:1000]))


def test_a_loss_within_the_logits_extent(decisions: list[Any]) -> None:
    t = targets(0, 100)
    for _ in range(2):
        x, kept = columns(1)[:100], np.zeros(8, "f4")
        before = x.copy()
        fs.bce_with_logits(Tensor(x[:, 0]), Tensor(t), out=Tensor(x[50:51, 1].reshape(())))
        assert x[50, 1] == fs.bce_with_logits(before[:, 0], t)
        fs.bce_with_logits(Tensor(before[:, 0]), Tensor(t), out=Tensor(kept[4:5].reshape(())))
        assert kept[4] == fs.bce_with_logits(before[:, 0], t)
        x[50, 1] = before[50, 1]
        assert np.array_equal(x, before)


def test_an_empty_mean_warns_where_the_caller_stands_at_every_call(gpu: Any) -> None:
    nothing = Tensor(np.zeros(0, "f4"))
    for _ in range(2):
        with pytest.warns(RuntimeWarning, match="mean loss over no elements is NaN") as heard:
            fs.bce_with_logits(nothing, nothing)
            fs.bce_with_logits_value_and_grad(nothing, nothing)
        assert [warning.filename for warning in heard] == [__file__] * 2


def test_a_loss_within_its_own_gradient_is_refused(gpu: Any) -> None:
    x, t, grad = logits(0), targets(0), np.zeros(2500, "f4")
    with pytest.raises(ValueError, match="grad_out shares memory with another output"):
        fs.bce_with_logits_value_and_grad(Tensor(x), Tensor(t), out=Tensor(grad[4:5].reshape(())), grad_out=Tensor(grad))


@pytest.mark.parametrize("smoothing", [None, False, "", [], np.zeros(2)])
def test_a_bad_option_is_refused_also_after_a_call_that_was_taken(smoothing: Any, decisions: list[Any]) -> None:
    x, t = Tensor(logits(0)), Tensor(targets(0))
    fs.bce_with_logits(x, t)
    with pytest.raises(ValueError, match="label_smoothing="):
        fs.bce_with_logits(x, t, label_smoothing=smoothing)


@pytest.mark.parametrize("check", [0, [], np.array(True)])
def test_a_check_that_is_no_bool(check: Any, gpu: Any) -> None:
    x, t = logits(0), targets(0)
    assert same(fs.bce_with_logits(Tensor(x), Tensor(t), check=check), fs.bce_with_logits(x, t))


def test_losses_with_options_are_kept_too(decisions: list[Any]) -> None:
    for seed in range(3):
        x, t = logits(seed), targets(seed)
        got = fs.sigmoid_focal_loss_value_and_grad(Tensor(x), Tensor(t), gamma=2.0)
        assert same(got, fs.sigmoid_focal_loss_value_and_grad(x, t, gamma=2.0))
        got = fs.bce_with_logits_value_and_grad(Tensor(x), Tensor(t), label_smoothing=0.1)
        assert same(got, fs.bce_with_logits_value_and_grad(x, t, label_smoothing=0.1))
    assert len(decisions) == 2


def test_a_tensor_without_memory_is_refused(gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    x = Tensor(logits(0))
    monkeypatch.setattr(x, "data_ptr", lambda: 0)
    for call in (lambda: fs.sigmoid(x), lambda: fs.bce_with_logits(x, Tensor(targets(0)))):
        with pytest.raises(ValueError, match="has no memory"):
            call()
