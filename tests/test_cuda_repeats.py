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
