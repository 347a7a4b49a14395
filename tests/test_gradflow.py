"""Flows of gradients: against torch's own backward pass, against derivatives by autograd, and what is said of them."""

from __future__ import annotations

import contextlib
import doctest
import functools
import inspect
import json
import math
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from fastsig import gradflow  # noqa: E402
from fastsig.cli.gradflow import main  # noqa: E402
from fastsig.gradflow import backward, drawing, experiment, lesson, recurrent, words  # noqa: E402
from fastsig.gradflow.activations import ACTIVATIONS, SATURATED_BELOW  # noqa: E402
from fastsig.system import terminal  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small layers wait for each other's threads longer than they compute, above all on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


# ---- the figures ----


def norms_of_a_float64_backward_pass(network: Any, x: Any, y: Any) -> list[float]:
    """log10 of the gradients' norms at the outputs of the layers, with nothing renormalised: float64 holds 1e-300."""
    outputs, output = [], x.double()
    for block in network.double().blocks:
        output = block(output)
        output.retain_grad()
        outputs.append(output)
    torch.nn.functional.cross_entropy(network.head(output), y).backward()
    return [math.log10(output.grad.norm()) for output in outputs]


@pytest.mark.parametrize(
    "options",
    [{}, {"norm": "batch"}, {"norm": "layer", "activation": "gelu"}, {"residual": True, "activation": "relu", "init": "he"}, {"gain": 4.0}],
    ids=str,
)
def test_gradients_are_those_of_an_ordinary_backward_pass_that_has_the_range(options: dict[str, Any]) -> None:
    flow = gradflow.measure(depth=50, seed=3, **options)
    with backward.reproducibly(3):
        network = experiment.Network(dict(flow.settings), 64)
        x, y = torch.randn(128, 64), torch.randint(10, (128,))
    want = norms_of_a_float64_backward_pass(network, x, y)
    assert [layer.log10_gradient for layer in flow.layers] == pytest.approx(want, abs=2e-3)
    assert flow.layers[-1].gradient_norm == pytest.approx(10 ** want[-1], rel=1e-4)
    assert flow.log10_ratio == pytest.approx(want[0] - want[-1], abs=4e-3)


@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_gradients_over_time_are_those_of_an_ordinary_backward_pass(cell: str) -> None:
    flow = gradflow.measure_recurrent(cell, steps=30, hidden=16, init="orthogonal", seed=5)
    with backward.reproducibly(5):
        step, head = recurrent._cell(dict(flow.settings)).double(), torch.nn.Linear(16, 10).double()
        x, y = torch.randn(30, 128, 64), torch.randint(10, (128,))
    states: list[Any] = [torch.zeros(128, 16).double()] * (2 if cell == "lstm" else 1)
    seen = []
    for now in x.double():
        given = step(now, tuple(states) if cell == "lstm" else states[0])
        states = [state.clone() for state in (given if cell == "lstm" else [given])]  # what the next step gets, without h from c
        for state in states:
            state.retain_grad()
        seen.append(states)
    torch.nn.functional.cross_entropy(head(states[0]), y).backward()
    norms = [math.hypot(*(0 if state.grad is None else float(state.grad.norm()) for state in states)) for states in seen]
    assert [layer.log10_gradient for layer in flow.layers] == pytest.approx(np.log10(norms), abs=2e-3)
    assert flow.part == "time step"


@pytest.mark.parametrize(("cell", "gate", "place"), [("lstm", "forget", 1), ("gru", "update", 1)])
def test_the_bias_of_a_gate_is_what_is_asked_for(cell: str, gate: str, place: int) -> None:
    """By torch's order of the gates, and in sum: torch adds two biases."""
    settings = dict(gradflow.measure_recurrent(cell, steps=1, hidden=4, **{f"{gate}_bias": 3.0}).settings)
    made = recurrent._cell(settings)
    biases = (made.bias_ih + made.bias_hh).reshape(-1, 4)
    assert [bool((bias == 3).all()) for bias in biases] == [number == place for number in range(len(biases))]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivatives_and_tails(name: str) -> None:
    activation = ACTIVATIONS[name]
    x = torch.linspace(-12, 12, 240_001, dtype=torch.float64, requires_grad=True)
    (want,) = torch.autograd.grad(activation.function(x).sum(), x)
    got, x = activation.derivative(x).detach(), x.detach()
    assert torch.allclose(got, want, rtol=1e-12, atol=1e-15)
    if activation.in_tail is None:
        return
    low = want.abs() < SATURATED_BELOW * want.abs().max()
    crossing = (x > -1.1) & (x < -0.5)  # GELU and SiLU have a minimum and a slope of 0 there, which is no tail
    crossing |= (x > -1.6) & (x < -1) if name == "silu" else crossing
    assert bool((activation.in_tail(x) == (low & ~crossing)).all())


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "gelu", "silu"])
def test_derivatives_keep_their_tails(name: str) -> None:
    """Against mpmath, and relative to the derivative itself, or to 0.1 where it crosses zero; torch's own lose theirs."""
    mpmath = pytest.importorskip("mpmath")

    def sigmoid(x: Any) -> Any:
        return 1 / (1 + mpmath.exp(-x))

    exact = {
        "sigmoid": lambda x: sigmoid(x) * sigmoid(-x),
        "tanh": lambda x: mpmath.sech(x) ** 2,
        "gelu": lambda x: mpmath.ncdf(x) + x * mpmath.npdf(x),
        "silu": lambda x: sigmoid(x) * (1 + x * sigmoid(-x)),
    }[name]
    x = torch.linspace(-30, 30, 1201, dtype=torch.float64)
    got = ACTIVATIONS[name].derivative(x).tolist()
    with mpmath.workdps(60):
        want = [exact(mpmath.mpf(value)) for value in x.tolist()]
        sizes = [max(abs(y), mpmath.mpf("0.1") if -1.6 < value < -0.5 else 0) for value, y in zip(x.tolist(), want, strict=True)]
        errors = [float(abs(y - value) / size) for value, y, size in zip(got, want, sizes, strict=True)]
    assert max(errors) < 1e-12


def test_the_tails_are_where_the_documents_say() -> None:
    for name, limit in {"sigmoid": 4.36, "tanh": 2.18, "gelu": 2.28, "silu": 3.93}.items():
        in_tail = ACTIVATIONS[name].in_tail
        assert in_tail is not None
        assert in_tail(torch.tensor([-limit - 0.005, -limit + 0.005])).tolist() == [True, False]


def test_statistics_of_a_layer() -> None:
    before = torch.tensor([[-5.0, 0.0], [5.0, 1.0]])
    found = experiment.statistics(ACTIVATIONS["sigmoid"], before, torch.sigmoid(before), torch.sigmoid(before))
    slope = np.array([0.006648056670790155, 0.25, 0.006648056670790155, 0.19661193324148185])
    assert found["mean_derivative"] == pytest.approx(slope.mean(), rel=1e-12)
    assert (found["saturated"], found["inactive"]) == (0.5, None)
    assert found["output_std"] == pytest.approx((0.4933071490757153 + 0.11552928931500242) / 2, rel=1e-6)
    relu = experiment.statistics(ACTIVATIONS["relu"], torch.tensor([[-1.0, -1.0], [-2.0, 3.0]]), torch.tensor([[0.0, 0], [0, 3]]), before)
    assert (relu["saturated"], relu["inactive"]) == (None, 0.5)


def test_the_product_goes_from_the_last_layer_down_and_bounds_ten_sigmoids() -> None:
    flow = gradflow.measure(depth=10)
    logs = np.log10([layer.mean_derivative for layer in flow.layers])
    assert [layer.log10_product for layer in flow.layers] == pytest.approx(np.cumsum(logs[::-1])[::-1])
    assert 10 ** flow.layers[0].log10_product < 9.54e-7
    assert 10 ** gradflow.log10_product([0.25] * 10) == pytest.approx(9.5367431640625e-7, rel=1e-12)


def test_the_product_predicts_nothing_by_itself() -> None:
    flow = gradflow.measure(depth=50, norm="batch")
    assert flow.layers[0].log10_product < -30
    assert flow.verdict == "flows"


@pytest.mark.parametrize(
    ("derivatives", "want"),
    [
        ([0.1] * 10, -10.0),
        ([0.1] * 50, -50.0),
        (np.full(50, 0.1), -50.0),
        (torch.full((50,), 0.1, dtype=torch.float64, requires_grad=True), -50.0),
        (np.full((2000, 3), 0.25), 2000 * math.log10(0.25)),
        ([np.array([0.2, 0.0]), torch.tensor([-0.1, 0.1], dtype=torch.float64)], -2.0),
        (iter([10.0, 0.01]), -1.0),
        ([0.0, 1.0], -math.inf),
        ([], 0.0),
        ([10**400], 400.0),
        ([[1e308] * 3], 308.0),
        ([[5e-324, 0.0]], math.log10(5e-324) - math.log10(2)),
    ],
    ids=[
        "ten",
        "fifty",
        "array",
        "tensor",
        "rows of an array",
        "an array and a tensor",
        "iterator",
        "a zero",
        "nothing",
        "too large",
        "a sum that is too large",
        "subnormal",
    ],
)
def test_log10_product(derivatives: Any, want: float) -> None:
    assert gradflow.log10_product(derivatives) == pytest.approx(want, abs=1e-12)


def test_ten_thousand_layers_are_finite() -> None:
    assert gradflow.log10_product(np.full(10_000, 1e-300)) == pytest.approx(-3e6)


@pytest.mark.parametrize(
    "derivatives",
    [
        0.5, np.float64(0.5), torch.tensor(0.5), [0.1, math.nan], np.array([[math.nan, 1.0]]), [[]], [None], [math.inf, 0.0], [1 + 1j],
        np.array([1j]), torch.tensor([1j]), ["0.1"], "0.1", b"1", {0: 1.0}, np.array(["a"]), [[10**400, 1]], [np.array([1j], object)],
    ],
    ids=lambda value: repr(value)[:40],
)  # fmt: skip
def test_log10_product_of_what_is_none(derivatives: Any) -> None:
    with pytest.raises(ValueError, match="derivatives"):
        gradflow.log10_product(derivatives)


# ---- what is said ----


@pytest.mark.parametrize(
    ("ratio", "verdict"),
    [(-5.01, "vanishes"), (-5, "weak"), (-3.01, "weak"), (-3, "flows"), (3, "flows"), (3.01, "explodes"),
     (-math.inf, "vanishes"), (math.inf, "explodes"), (math.nan, "no gradient")],
)  # fmt: skip
def test_verdicts(ratio: float, verdict: str) -> None:
    assert words.verdict(ratio) == verdict
    said = {"flows": "reaches the first layer", "weak": "is weak", "no gradient": "There is no finite gradient"}.get(verdict, verdict)
    assert said in words.conclusion(ratio, 0.1, "layer")


@pytest.mark.parametrize(
    ("ratio", "saturated", "named"), [(-6, 0.51, True), (-6, 0.5, False), (-3, 0.9, False), (-3.1, 0.9, True), (-9, None, False)]
)
def test_saturation_is_named_where_it_is_the_cause(ratio: float, saturated: float | None, named: bool) -> None:
    assert ("saturation" in words.conclusion(ratio, saturated, "layer")) == named


def test_flow_alone_promises_no_learning() -> None:
    assert "promises no learning" in gradflow.measure(depth=50, activation="tanh").conclusion


@pytest.mark.parametrize(
    ("exponent", "said"),
    [(-41.8, "1.6e-42"), (-400.0, "1.0e-400"), (0.0, "1"), (-1.0, "0.1"), (10.65, "4.5e+10"), (-math.inf, "0"), (2.999, "1.0e+03")],
)
def test_powers_of_ten(exponent: float, said: str) -> None:
    assert words.power_of_ten(exponent) == said


def test_a_flow_prints_a_row_and_a_bar_a_layer() -> None:
    flow = gradflow.measure(depth=12)
    text = str(flow)
    assert text.splitlines()[0] == "sigmoid, glorot, depth 12"
    assert text.splitlines()[-1] == flow.conclusion
    assert text.count("#" * 20) == 1
    for number, layer in enumerate(flow.layers, 1):
        assert any(f"{layer.log10_gradient:.2f}" in line and line.split()[1] == str(number) for line in text.splitlines())
    assert repr(flow).startswith("<Flow: sigmoid, glorot, depth 12; log10 ratio -")


@pytest.mark.parametrize("rich", [True, False])
@pytest.mark.parametrize("width", [80, 50])
def test_a_flow_is_as_wide_as_the_terminal(width: int, rich: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "width_of_output", lambda: width)
    if not rich:
        monkeypatch.setitem(sys.modules, "rich.console", None)
    for flow in (gradflow.measure(depth=2), gradflow.measure(depth=50, activation="relu"), gradflow.measure_recurrent(steps=3)):
        lines = str(flow).removesuffix(flow.conclusion).splitlines()
        assert max(map(len, lines)) <= width
        assert all(any(f"{layer.log10_gradient:.2f}" in line and "#" in line for line in lines) for layer in flow.layers)
        assert not rich or width < 80 or "output" in str(flow)


def test_the_summary_is_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(terminal, "width_of_output", lambda: 80)
    assert main(["--depth", "3", "--norm", "none", "batch", "--residual", "--optimizer", "adam", "--steps", "1", "--width", "8"]) == 0
    table = [line for line in capsys.readouterr().out.splitlines() if line[0] in "┏┃┡│└"]
    assert max(map(len, table)) <= 80
    words_of_labels = " ".join(line.split("│")[1] for line in table if line.startswith("│")).split()
    labels = [gradflow.measure(depth=3, norm=norm, residual=True, optimizer="adam", steps=1).label for norm in ("none", "batch")]
    assert words_of_labels == " ".join(labels).split()
    assert "…" not in "".join(table)


def test_a_flow_as_a_dict() -> None:
    found = json.loads(json.dumps(gradflow.measure(depth=2).to_dict()))
    assert set(found) >= {"layers", "log10_ratio", "conclusion"}
    assert set(found["layers"][0]) == {
        "gradient_norm", "log10_gradient", "mean_derivative", "saturated", "inactive", "log10_product", "output_std",
    }  # fmt: skip


# ---- what is measured ----


@functools.cache
def of_seed_0(measurement: lesson.Measurement) -> gradflow.Flow:
    return measurement(seed=0)


@pytest.mark.parametrize(("measurement", "ratio", "slack"), [
    (lesson.REMEDIES[0], -41.7, 1), (lesson.REMEDIES[1], -30.9, 1), (lesson.REMEDIES[2], -24.5, 1), (lesson.REMEDIES[3], -10.0, 1.5),
    (lesson.REMEDIES[4], -19.9, 1), (lesson.REMEDIES[5], 0.7, 0.5), (lesson.REMEDIES[6], 0.1, 0.5), (lesson.REMEDIES[7], -0.8, 1),
    (lesson.REMEDIES[8], -0.3, 1.5), (lesson.REMEDIES[11], 4.2, 0.5), (lesson.REMEDIES[12], 10.5, 1.5),
    (lesson.RECURRENT[0], -33.9, 1), (lesson.RECURRENT[2], -13.1, 1), (lesson.RECURRENT[3], -21.2, 1.5), (lesson.RECURRENT[5], -0.3, 1),
    (lesson.RECURRENT[6], -21.0, 1.5), (lesson.RECURRENT[7], -2.1, 0.5),
], ids=lambda value: str(getattr(value, "keywords", value)))  # fmt: skip
def test_ratios_as_in_another_study(measurement: lesson.Measurement, ratio: float, slack: float) -> None:
    assert of_seed_0(measurement).log10_ratio == pytest.approx(ratio, abs=slack)


def test_inputs_become_indistinguishable_in_a_deep_stack_of_sigmoids() -> None:
    assert gradflow.measure(depth=50).layers[-1].output_std < 1e-7


def test_weight_scale_alone_can_cause_it() -> None:
    small, right = (gradflow.measure(depth=50, activation="tanh", gain=gain) for gain in (0.5, 1.0))
    assert (small.verdict, right.verdict) == ("vanishes", "flows")


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_no_optimizer_cures_it_and_batch_norm_does(optimizer: str) -> None:
    stuck = gradflow.measure(depth=10, optimizer=optimizer, steps=40)
    cured = gradflow.measure(depth=10, norm="batch", optimizer=optimizer, steps=40)
    assert stuck.after is not None
    assert cured.after is not None
    assert stuck.after.accuracy < 0.25
    assert cured.after.accuracy > 0.7
    assert stuck.after.loss <= stuck.loss + 0.01
    assert "accuracy on the batch" in str(cured)
    assert stuck.to_dict()["after"]["layers"] != stuck.to_dict()["layers"]


def test_the_same_seed_gives_the_same_flow_and_leaves_torch_as_it_was() -> None:
    torch.set_num_threads(2)
    state = torch.get_rng_state()
    first = gradflow.measure(depth=3, seed=7, optimizer="adam", steps=2)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == 2
    torch.rand(3)
    assert gradflow.measure(depth=3, seed=7, optimizer="adam", steps=2) == first
    assert gradflow.measure(depth=3, seed=8, optimizer="adam", steps=2) != first


@contextlib.contextmanager
def default_device(name: str) -> Iterator[None]:
    with torch.device(name):
        yield


@pytest.mark.parametrize(
    "around",
    [lambda: torch.autocast("cpu", dtype=torch.bfloat16), torch.inference_mode, torch.no_grad, lambda: default_device("meta")],
    ids=["autocast", "inference_mode", "no_grad", "meta"],
)
def test_what_the_user_has_set_around_it_does_not_count(around: Callable[[], Any]) -> None:
    options: dict[str, Any] = {"depth": 3, "optimizer": "sgd", "steps": 2}
    with torch.inference_mode():
        data = torch.arange(12.0).reshape(4, 3), [0, 1, 2, 3]
    want = gradflow.measure(**options), gradflow.measure(data=data, **options), gradflow.measure_recurrent("lstm", steps=3)
    with around():
        listed = data[0].tolist(), data[1]
        assert gradflow.measure(**options) == want[0]
        assert gradflow.measure(data=data, **options) == want[1]
        assert gradflow.measure(data=listed, **options) == want[1]
        assert gradflow.measure_recurrent("lstm", steps=3) == want[2]


def test_measurements_in_several_threads_are_those_of_one() -> None:
    torch.set_num_threads(2)
    want, state = gradflow.measure(depth=20, seed=1), torch.get_rng_state()
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda seed: gradflow.measure(depth=20, seed=seed), [1] * 12))
    assert all(flow == want for flow in found)
    assert torch.get_num_threads() == 2
    assert torch.equal(torch.get_rng_state(), state)


def test_data_of_the_user() -> None:
    x, y = np.random.default_rng(0).normal(size=(20, 5)), np.arange(20) % 3
    flow = gradflow.measure(depth=2, width=8, classes=3, residual=True, data=(x, y))
    assert (flow.settings["batch"], len(flow.layers)) == (20, 2)
    assert gradflow.measure(depth=2, width=8, classes=3, residual=True, data=(torch.tensor(x), y.astype(float))) == flow


def test_a_gradient_of_zero_and_numbers_that_overflow() -> None:
    nothing = gradflow.measure(depth=4, activation="relu", data=(np.zeros((4, 3)), [0, 1, 2, 3]))
    assert (nothing.log10_ratio, nothing.verdict) == (-math.inf, "vanishes")
    assert "# " not in str(nothing).splitlines()[4]
    assert [layer.inactive for layer in nothing.layers] == [1.0] * 4
    overflow = gradflow.measure(depth=40, activation="relu", gain=1e3)
    assert (overflow.verdict, math.isnan(overflow.log10_ratio)) == ("no gradient", True)
    assert math.isnan(overflow.layers[0].gradient_norm)


NAN = (np.array([[1.0, math.nan]]), [0])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"activation": "sigmod"}, "activation='sigmod' is unknown; known are 'sigmoid', 'tanh', 'relu', 'leaky_relu', 'gelu', 'silu'"),
        ({"init": "xavier"}, "init='xavier' is unknown; known are 'plain', 'glorot', 'he'"),
        ({"norm": None}, "norm=None is unknown; known are 'none', 'batch', 'layer'"),
        ({"optimizer": "rmsprop", "steps": 1}, "optimizer='rmsprop' is unknown; known are 'sgd', 'adam'"),
        ({"depth": 0}, "depth=0: it must be at least 1"),
        ({"width": -1}, "width=-1: it must be at least 1"),
        ({"batch": 0}, "batch=0: it must be at least 1"),
        ({"optimizer": "sgd"}, "steps=0: it must be at least 1"),
        ({"steps": -1}, "steps=-1: it must be at least 0"),
        ({"steps": 5}, "steps=5 of training need an optimizer: 'sgd' or 'adam'"),
        ({"gain": math.nan}, "gain=nan: it must be a finite number above 0"),
        ({"batch": 1, "norm": "batch"}, "norm='batch' needs two samples or more"),
        ({"data": NAN}, "data: x contains NaN or infinite values"),
        ({"data": (np.ones((2, 2)), [0, math.nan])}, "data: y contains NaN or fractions"),
        ({"data": (np.ones((2, 2)), [0, 10])}, "data: y has classes from 0 to 10; with classes=10 they go from 0 to 9"),
        ({"data": (np.ones(2), [0, 1])}, "data: x must have the shape (samples, features) and y (samples,); got (2,) and (2,)"),
        ({"data": np.ones(3)}, "data must be a pair (x, y) of arrays"),
        ({"data": (None, [0])}, "data must be a pair (x, y) of arrays: x is none"),
        ({"data": (np.ones((2, 2)), None)}, "data must be a pair (x, y) of arrays: y is none"),
        ({"data": ([[1, 2], [3]], [0, 1])}, "data must be a pair (x, y) of arrays: x is none"),
        ({"data": "ab"}, "data must be a pair (x, y) of arrays: x is none"),
        ({"data": (np.ones((2, 2)), [1e30, 0])}, "data: y has classes from 0 to 1e+30; with classes=10 they go from 0 to 9"),
        ({"data": (np.ones((2, 2)), np.array([0, 2**63], np.uint64))}, "data: y has classes from 0 to 9.22337e+18"),
        ({"data": (np.ones((2, 2), complex), [0, 1])}, "data: x holds complex numbers; it must hold real ones"),
        ({"data": (np.ones((2, 2)), [0, 1j])}, "data: y holds complex numbers; it must hold real ones"),
        ({"activation": ["sigmoid"]}, "activation=['sigmoid'] is unknown; known are 'sigmoid'"),
        ({"gain": 10**400}, "it must be a finite number above 0"),
        ({"seed": 2**70}, "seed=1180591620717411303424: it must be at most 18446744073709551615"),
        ({"seed": -1}, "seed=-1: it must be at least 0"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_bad_input(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as error:
        gradflow.measure(**options)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"cell": "mgu"}, "cell='mgu' is unknown; known are 'rnn', 'lstm', 'gru'"),
        ({"init": "he"}, "init='he' is unknown; known are 'plain', 'glorot', 'orthogonal'"),
        ({"steps": 0}, "steps=0: it must be at least 1"),
        ({"forget_bias": 1.0}, "forget_bias=1: cell='rnn' has no forget gate; cell='lstm' has one"),
        ({"cell": "lstm", "update_bias": 1.0}, "update_bias=1: cell='lstm' has no update gate; cell='gru' has one"),
        ({"cell": "lstm", "forget_bias": math.inf}, "forget_bias=inf: it must be a finite number"),
    ],
    ids=str,
)
def test_bad_input_of_the_recurrent_one(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as error:
        gradflow.measure_recurrent(**options)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"depth": 2.5}, "depth must be a whole number, not 2.5"),
        ({"depth": True}, "depth must be a whole number, not True"),
        ({"gain": "x"}, "gain='x': it must be a finite number above 0"),
        ({"gain": "2"}, "gain='2': it must be a finite number above 0"),
        ({"gain": None}, "gain=None: it must be a finite number above 0"),
    ],
    ids=str,
)
def test_a_number_that_is_none(options: dict[str, Any], said: str) -> None:
    with pytest.raises(TypeError) as error:
        gradflow.measure(**options)
    assert str(error.value) == said


# ---- the command ----


def test_every_combination_that_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words_given = ["--depth", "2", "3", "--activation", "sigmoid", "relu", "--norm", "none", "batch", "--width", "8", "--json"]
    assert main([*words_given, str(tmp_path / "a.json")]) == 0
    out = capsys.readouterr().out
    found = json.loads((tmp_path / "a.json").read_text())["flows"]
    assert len(found) == 8
    assert {(flow["settings"]["depth"], flow["settings"]["activation"], flow["settings"]["norm"]) for flow in found} == {
        (depth, activation, norm) for depth in (2, 3) for activation in ("sigmoid", "relu") for norm in ("none", "batch")
    }
    assert all(flow["conclusion"] in out for flow in found)
    assert main([*words_given, str(tmp_path / "b.json")]) == 0
    assert capsys.readouterr().out == out
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_one_combination_is_a_row_a_layer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--depth", "3", "--residual", "--optimizer", "adam", "--steps", "1"]) == 0
    flow = gradflow.measure(depth=3, residual=True, optimizer="adam", steps=1)
    assert capsys.readouterr().out == f"{flow}\n"


def test_recurrent_networks_and_seeds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = [
        "--recurrent",
        "lstm",
        "--forget-bias",
        "0",
        "2",
        "--steps",
        "4",
        "--width",
        "5",
        "--seeds",
        "3",
        "--json",
        str(tmp_path / "a"),
    ]
    assert main(given) == 0
    flows = json.loads((tmp_path / "a").read_text())["flows"]
    assert [(flow["settings"]["forget_bias"], flow["settings"]["seed"]) for flow in flows] == [(b, s) for b in (0.0, 2.0) for s in range(3)]
    low, middle, high = sorted(flow["log10_ratio"] for flow in flows[:3])
    assert f"{middle:.1f} ({low:.1f} to {high:.1f})" in capsys.readouterr().out


def test_without_options_it_is_the_comparison_of_the_lesson(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Deep sigmoid by itself, each remedy, what explodes, recurrent cells, both optimizers: here of a hundredth of the size."""
    asked = []

    def small(measurement: lesson.Measurement, seeds: Any) -> lesson.Spread:
        asked.append(measurement)
        recurrent = measurement.func is gradflow.measure_recurrent  # type: ignore[attr-defined]
        size = {"hidden": 4, "steps": 5} if recurrent else {"depth": 3, "width": 4}
        if "optimizer" in measurement.keywords:  # type: ignore[attr-defined]
            size["steps"] = 1
        return lesson.Spread(tuple(functools.partial(measurement, **size, batch=8)(seed=seed) for seed in seeds))

    monkeypatch.setattr(lesson, "spread", small)
    assert main([]) == 0
    assert tuple(asked) == lesson.LESSON
    out = capsys.readouterr().out
    assert out.count("gradient ") > len(asked)
    assert "adam x 1 " in out


def test_without_rich_a_flow_is_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    lines = str(gradflow.measure(depth=2)).splitlines()
    assert lines[1].startswith("layer  log10 gradient")
    assert [line[0] for line in lines[2:4]] == ["1", "2"]


def test_a_drawing_without_matplotlib(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    with pytest.raises(ImportError, match=r"a drawing needs matplotlib: pip install \"fastsig-kernels\[plot\]\""):
        gradflow.measure(depth=1).plot(tmp_path / "a.png")


def test_figures_without_a_number_are_null(tmp_path: Path) -> None:
    assert main(["--activation", "relu", "--gain", "1000", "--depth", "40", "--width", "8", "--json", str(tmp_path / "a")]) == 0
    text = (tmp_path / "a").read_text()
    assert json.loads(text, parse_constant=pytest.fail)["flows"][0]["log10_ratio"] is None


def test_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matplotlib = pytest.importorskip("matplotlib.figure")
    figures = []
    save = matplotlib.Figure.savefig
    monkeypatch.setattr(matplotlib.Figure, "savefig", lambda figure, *a, **k: figures.append(figure) or save(figure, *a, **k))
    assert main(["--depth", "3", "--activation", "sigmoid", "tanh", "--plot", str(tmp_path / "a.svg")]) == 0
    (axis,) = figures[0].axes
    flow = gradflow.measure(depth=3)
    assert list(axis.lines[0].get_ydata()) == [layer.log10_gradient for layer in reversed(flow.layers)]
    assert {text.get_text() for text in axis.texts} == {"sigmoid, glorot, depth 3", "tanh, glorot, depth 3"}
    assert (tmp_path / "a.svg").read_text().startswith("<?xml")


def test_no_two_lines_of_a_picture_look_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matplotlib = pytest.importorskip("matplotlib.figure")
    figures: list[Any] = []
    monkeypatch.setattr(matplotlib.Figure, "savefig", lambda figure, *_, **__: figures.append(figure))
    drawing.plot([gradflow.measure(depth=2, width=4, batch=4, seed=seed) for seed in range(30)], tmp_path / "a.svg")
    (axis,) = figures[0].axes
    looks = [(line.get_color(), str(line._unscaled_dash_pattern)) for line in axis.lines[:30]]  # the names' follow
    assert len(set(looks)) == 30


def test_an_interrupted_drawing_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matplotlib = pytest.importorskip("matplotlib.figure")

    def interrupted(_: Any, file: Any, **__: Any) -> None:
        file.write(b"half")
        file.flush()
        raise KeyboardInterrupt

    monkeypatch.setattr(matplotlib.Figure, "savefig", interrupted)
    flow, path = gradflow.measure(depth=1), tmp_path / "a.png"
    path.write_bytes(b"whole")
    with pytest.raises(KeyboardInterrupt):
        flow.plot(path)
    assert [(found.name, found.read_bytes()) for found in tmp_path.iterdir()] == [("a.png", b"whole")]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--activation", "sigmod"], "activation='sigmod' is unknown; known are 'sigmoid'"),
        (["--depth", "0"], "depth=0: it must be at least 1"),
        (["--recurrent", "lstm", "--depth", "3"], "--depth does not go with --recurrent"),
        (["--forget-bias", "1"], "--forget-bias belongs to --recurrent"),
        (["--recurrent", "rnn", "--residual"], "--residual does not go with --recurrent"),
        (["--seeds", "0"], "seeds=0: it must be at least 1"),
        (["--seed", str(2**70)], "seed=1180591620717411303424: it must be at most 18446744073709551615"),
        (["--plot", "a.picture"], "a.picture: the name must end with a format that can be drawn: "),
    ],
    ids=str,
)
def test_arguments_that_cannot_be_used_are_one_line(given: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(given) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"fastsig gradflow: {said}")
    assert error.count("\n") == 1


# ---- the document ----

PAGE = Path(__file__).parent.parent / "docs" / "gradflow.md"


def table(name: str) -> dict[str, list[str]]:
    """The rows of one of the tables that tools/gradflow_tables.py writes, by their first column."""
    (text,) = re.findall(rf"<!-- {name}:begin -->\n(.*?)<!-- {name}:end -->", PAGE.read_text(), re.DOTALL)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[2:]]
    return {row[0]: row[1:] for row in rows}


@pytest.mark.parametrize(("name", "measurements"), [("deep", lesson.REMEDIES), ("recurrent", lesson.RECURRENT)])
def test_the_tables_of_the_document_are_what_is_measured(name: str, measurements: tuple[lesson.Measurement, ...]) -> None:
    rows = table(name)
    flows = [of_seed_0(measurement) for measurement in measurements]
    assert list(rows) == [flow.label for flow in flows]
    for flow in flows:
        median, least, most, _ = rows[flow.label]
        assert float(least) <= float(median) <= float(most)
        assert float(least) - 0.3 <= flow.log10_ratio <= float(most) + 0.3, flow.label


def test_the_table_of_training_says_what_the_document_says() -> None:
    rows = table("trained")
    assert len(rows) == len(lesson.TRAINING)
    for label, (_, _, _, accuracy) in rows.items():
        assert (float(accuracy) > 0.9) == ("norm" in label or "relu" in label), label


def test_the_examples_of_the_document() -> None:
    examples = doctest.DocTestParser().get_doctest(PAGE.read_text(), {}, "docs/gradflow.md", str(PAGE), 0)
    assert len(examples.examples) == 3
    assert not doctest.DocTestRunner().run(examples).failed
    flow = gradflow.measure(depth=50)
    assert f"```text\n{flow.conclusion}\n```" in PAGE.read_text()


@pytest.mark.parametrize("name", gradflow.__all__)
def test_everything_public_is_documented_and_its_examples_run(name: str) -> None:
    thing = getattr(gradflow, name)
    example = doctest.DocTestParser().get_doctest(inspect.getdoc(thing) or "", {}, name, None, 0)
    assert not doctest.DocTestRunner().run(example).failed
    if not inspect.isclass(thing):
        assert example.examples
        described = (inspect.getdoc(thing) or "").partition("Parameters\n")[2].partition("Returns\n")[0]
        assert [p for p in inspect.signature(thing).parameters if not re.search(rf"^(.*, )?{p}\b", described, re.MULTILINE)] == []


def test_the_example_of_the_module() -> None:
    example = doctest.DocTestParser().get_doctest(gradflow.__doc__ or "", {}, "fastsig.gradflow", None, 0)
    assert len(example.examples) == 4
    assert not doctest.DocTestRunner().run(example).failed
