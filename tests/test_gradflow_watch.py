"""Watching a model: what is seen in every way to write one, that nothing of it changes, and that the watch goes away."""

from __future__ import annotations

import copy
import io
import math
import pickle
import re
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from torch.utils.checkpoint import checkpoint  # noqa: E402

from fastsig import gradflow  # noqa: E402
from fastsig.system import terminal  # noqa: E402


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # with small layers more of them wait for each other
    torch.manual_seed(0)
    torch.compiler.reset()  # what was compiled of another model of the same form would be used again, without its warning
    yield
    torch.set_num_threads(threads)
    assert torch.overrides._get_current_function_mode_stack() == []


def stack(depth: int = 4, activation: Callable[[], Any] = nn.Sigmoid) -> Any:
    return nn.Sequential(*[part for _ in range(depth) for part in (nn.Linear(8, 8), activation())], nn.Linear(8, 3))


def step(model: Any, x: Any = None, scale: float = 1.0) -> Any:
    loss = model(torch.randn(16, 8) if x is None else x).pow(2).mean() * scale
    loss.backward()
    return loss


def labels(report: gradflow.Report) -> list[str]:
    return [layer.label.partition(" (")[2].partition(")")[0] for layer in report.layers]


def ratios(report: gradflow.Report) -> list[float | None]:
    return [layer.log10_ratio for layer in report.layers]


def watched_step(model: Any, x: Any = None) -> gradflow.Report:
    with gradflow.watch(model) as watched:
        step(model, x)
    return watched.report()


class Written(nn.Module):  # type: ignore[misc]
    """Three layers whose activations a function of the user's applies."""

    def __init__(self, activation: Callable[[Any], Any]) -> None:
        super().__init__()
        self.first, self.second, self.third = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.activation = activation

    def forward(self, x: Any) -> Any:
        for linear in (self.first, self.second, self.third):
            x = self.activation(linear(x))
        return x


SHARED = nn.Tanh()
WAYS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "torch.sigmoid": (torch.sigmoid, "Sigmoid"),
    "a method": (lambda x: x.sigmoid(), "Sigmoid"),
    "functional": (functional.gelu, "GELU"),
    "functional, in place": (lambda x: functional.relu(x, inplace=True), "ReLU"),
    "in place": (lambda x: x.sigmoid_(), "Sigmoid"),
    "a function in place": (torch.relu_, "ReLU"),
    "silu in place": (lambda x: functional.silu(x, inplace=True), "SiLU"),
    "a shared module": (SHARED, "Tanh"),
    "expit": (torch.special.expit, "Sigmoid"),
    "leaky": (nn.LeakyReLU(inplace=True), "LeakyReLU"),
}


@pytest.mark.parametrize("way", WAYS)
def test_activations_however_they_are_written(way: str) -> None:
    activation, name = WAYS[way]
    model = Written(activation)
    x = torch.randn(16, 8)
    outputs, output = [], x
    for linear in (model.first, model.second, model.third):
        output = activation(linear(output))
        output.retain_grad()
        outputs.append(output)
    output.pow(2).mean().backward()
    report = watched_step(model, x)
    assert labels(report) == [f"Linear -> {name}, {module}" for module in ("first", "second", "third")]
    norms = [math.log10(each.grad.double().norm()) for each in outputs]
    assert ratios(report) == pytest.approx([norm - norms[-1] for norm in norms], abs=1e-5)


@pytest.mark.parametrize("sigmoid", [torch.sigmoid, torch.sigmoid_])
def test_saturation_is_that_of_the_values(sigmoid: Callable[[Any], Any]) -> None:
    model = Written(sigmoid)
    with torch.no_grad():
        model.second.weight.mul_(40)
    x = torch.randn(16, 8)
    before = model.second(torch.sigmoid(model.first(x)))
    report = watched_step(model, x)
    assert report.layers[1].saturated == float((before.abs() > 4.356544).double().mean())
    assert report.layers[1].saturated > 0.5
    assert report.layers[0].inactive is None


@pytest.mark.parametrize("shape", [(16, 8), (4, 3, 8)])
def test_inactive_units_are_0_for_the_whole_batch(shape: tuple[int, ...]) -> None:
    model = Written(torch.relu_)
    with torch.no_grad():
        model.first.bias[:6] = -100
        model.first.bias[6:] = 100
    report = watched_step(model, torch.randn(*shape))
    assert (report.layers[0].inactive, report.layers[0].saturated) == (0.75, None)


def test_units_of_a_convolution_are_its_channels() -> None:
    model = nn.Sequential(nn.Conv1d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 3))
    with torch.no_grad():
        model[0].bias[:3] = -100
    report = watched_step(model, torch.randn(5, 1, 8))
    assert labels(report) == ["Conv1d -> ReLU, 0", "Linear, 3"]
    assert report.layers[0].inactive == 0.75


def test_words_that_one_can_act_on() -> None:
    model = stack(8)
    with torch.no_grad():
        model[4].weight.mul_(500)
    report = watched_step(model)
    (line,) = [line for line in report.findings if line.startswith("layer 3 ")]
    assert line.startswith("layer 3 (Linear -> Sigmoid, 4): ")
    assert "% of units saturated" in line
    assert "times the last layer's" in line
    assert "; try a norm before the activation" in line
    assert line in str(report)
    assert report.to_dict()["findings"] == report.findings
    scalars = report.scalars()
    assert scalars["saturated/layer 3 (Linear -> Sigmoid, 4)"] > 0.5
    assert scalars["log10_ratio/layer 9 (Linear, 16)"] == 0.0
    assert all(math.isfinite(value) for value in scalars.values())
    dead = Written(torch.relu)
    with torch.no_grad():
        dead.first.bias.fill_(-100)
    (line,) = [line for line in watched_step(dead).findings if line.startswith("layer 1 ")]
    assert "100% of units are 0 for the whole batch" in line
    assert "leaky_relu" in line
    assert "Nothing to act on" in str(watched_step(stack(1)))


def test_an_exploding_gradient_is_named() -> None:
    model = Written(lambda x: x * 1e3)
    assert "smaller initial weights, a norm on each residual branch, or clipped gradients" in watched_step(model).findings[0]


def test_a_report_is_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Outer(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.an_encoder_with_a_rather_long_name_for_a_module = stack(1)

        def forward(self, x: Any) -> Any:
            return self.an_encoder_with_a_rather_long_name_for_a_module(x)

    report = watched_step(Outer())
    for width in (80, 60):
        monkeypatch.setattr(terminal, "width_of_output", lambda width=width: width)
        table = [line for line in str(report).splitlines() if line[0] in "┏┃┡│└"]
        assert max(map(len, table)) <= width
        first = "".join(line.split("│")[1].strip() for line in table if line.startswith("│")).replace(" ", "")
        assert first == "".join(layer.label for layer in report.layers).replace(" ", "")
        assert "…" not in "".join(table)


def test_ratios_do_not_change_with_the_scale_of_the_loss() -> None:
    model, x = stack(), torch.randn(16, 8)
    seen = []
    for scale in (1.0, 65536.0):
        with gradflow.watch(model) as watched:
            step(model, x, scale)
        seen.append(ratios(watched.report()))
    assert seen[0] == pytest.approx(seen[1], abs=1e-6)


def test_every_nth_step_is_sampled_and_the_callback_has_each_once() -> None:
    model, reports = stack(1), []
    with gradflow.watch(model, every=3, callback=reports.append) as watched:
        for number in range(8):
            step(model)
            assert watched.report().step == number // 3 * 3
    assert [report.step for report in reports] == [0, 3, 6]
    assert watched.step == 8


# ---- nothing changes ----


def state_of(model: Any) -> dict[str, Any]:
    return {
        "output": (torch.manual_seed(1), model(torch.ones(4, 8)))[1],
        "random": torch.get_rng_state(),
        **{f"gradient of {name}": parameter.grad for name, parameter in model.named_parameters()},
        **model.state_dict(),
    }


def test_outputs_gradients_state_and_random_numbers_are_as_without() -> None:
    alone = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Sigmoid(), nn.Dropout(0.5), nn.Linear(8, 8), nn.GELU())
    observed = copy.deepcopy(alone)
    watched = gradflow.watch(observed, every=1)
    for model in (alone, observed):
        torch.manual_seed(2)
        for _ in range(3):
            step(model)
    found = [state_of(model) for model in (alone, observed)]
    assert found[0].keys() == found[1].keys()
    for key in found[0]:
        assert torch.equal(found[0][key], found[1][key]), key
    assert observed.training
    assert not watched.report().findings


def test_eval_and_no_grad_are_no_steps() -> None:
    model = stack(1)
    with gradflow.watch(model, every=2) as watched:
        step(model)
        model.eval()
        model(torch.ones(2, 8))
        assert not model.training
        model.train()
        with torch.no_grad():
            model(torch.ones(2, 8))
        assert (watched.step, watched.report().step) == (1, 0)
        step(model)
    assert watched.step == 2


def test_accumulation_and_a_backward_pass_that_comes_later() -> None:
    model = stack(1)
    with gradflow.watch(model, every=2) as watched:
        losses = [model(torch.randn(4, 8)).sum() for _ in range(2)]
        with pytest.raises(ValueError, match="no sampled step has had a backward pass yet; of 2 steps each 2th is sampled"):
            watched.report()
        sum(losses).backward()
        assert watched.report().step == 0
        for _ in range(2):
            step(model)
    assert watched.report().step == 2


def test_mixed_precision() -> None:
    model, x = stack(2), torch.randn(16, 8)
    with gradflow.watch(model) as watched:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            output = model(x)
        assert output.dtype == torch.bfloat16
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**20)
        scaler.scale(output.float().pow(2).mean()).backward()
    want = ratios(watched_step(model, x))
    assert ratios(watched.report()) == pytest.approx(want, abs=0.05)


def test_a_gradient_that_is_not_finite_has_no_ratio() -> None:
    model = stack(1)
    with gradflow.watch(model) as watched:
        (model(torch.ones(2, 8)).sum() * math.inf).backward()
    assert ratios(watched.report()) == [None, None]


# ---- copies, several watches, going away ----


def test_copies_are_not_watched() -> None:
    model = stack(1)
    reports: list[Any] = []
    watched = gradflow.watch(model, every=1, callback=reports.append)
    step(model)
    file = io.BytesIO()
    torch.save(model, file)
    copies = [copy.deepcopy(model), pickle.loads(pickle.dumps(model)), torch.load(io.BytesIO(file.getvalue()), weights_only=False)]
    again = [copy.deepcopy(copies[0]), pickle.loads(pickle.dumps(copies[0]))]
    for other in [*copies, *again]:
        assert torch.equal(other(torch.ones(2, 8)), model(torch.ones(2, 8)))
        step(other)
    assert watched.step == 1 + len([*copies, *again])
    assert b"fastsig" not in pickle.dumps(model)
    step(model)
    last = watched.step - 1
    assert watched.report().step == last
    watched.close()
    assert [report.step for report in reports] == [0, last]  # those in between had no backward pass; the copies' had
    for other in [*copies, *again]:
        step(other)
    assert (watched.step, len(reports)) == (last + 1, 2)


def test_two_watches() -> None:
    model = stack(2)
    first, second = gradflow.watch(model, every=1), gradflow.watch(model, every=2)
    step(model)
    step(model)
    assert (first.report().step, second.report().step) == (1, 0)
    assert len(first.report().layers) == len(second.report().layers) == 3
    first.close()
    step(model)
    assert (first.report().step, second.report().step) == (1, 2)
    second.close()
    assert (model._forward_hooks, model._forward_pre_hooks) == ({}, {})


def test_close_leaves_nothing_on_the_model() -> None:
    model = stack(1)
    before = {key: copy.copy(value) for key, value in vars(model).items()}
    with gradflow.watch(model) as watched:
        step(model)
    watched.close()
    assert vars(model) == before
    assert watched.report().step == 0
    step(model)
    assert watched.step == 1


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_after_an_exception_in_forward(error: type[BaseException]) -> None:
    class Failing(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.failing = nn.Linear(8, 8), True

        def forward(self, x: Any) -> Any:
            x = torch.sigmoid(self.linear(x))
            if self.failing:
                raise error
            return x

    model = Failing()
    with gradflow.watch(model, every=1) as watched:
        with pytest.raises(error):
            model(torch.ones(2, 8))
        if issubclass(error, Exception):  # of others torch tells no hook, and the next call or the close ends what was begun
            assert torch.overrides._get_current_function_mode_stack() == []
        model.failing = False
        step(model)
        model.failing = True
        with pytest.raises(error):
            model(torch.ones(2, 8))
    assert watched.report().step == 1
    assert model._forward_hooks == {}


# ---- what torch computes in its own ways ----


def test_a_transformer_layer() -> None:
    model = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
    report = watched_step(model, torch.randn(3, 5, 8))
    assert labels(report) == ["MultiheadAttention, self_attn", "Linear -> ReLU, linear1", "Linear, linear2"]
    assert all(ratio is not None for ratio in ratios(report))
    assert "Seen at the output only, for torch computes it at once: layer 1 (MultiheadAttention, self_attn)." in str(report)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_a_recurrent_layer_is_seen_at_its_output_and_said_to_be(kind: Any) -> None:
    class Model(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.recurrent, self.head = kind(8, 6), nn.Linear(6, 2)

        def forward(self, x: Any) -> Any:
            return self.head(self.recurrent(x)[0])

    report = watched_step(Model(), torch.randn(4, 3, 8))
    assert labels(report) == [f"{kind.__name__}, recurrent", "Linear, head"]
    assert [layer["whole_layer_at_once"] for layer in report.to_dict()["layers"]] == [True, False]
    assert all(ratio is not None for ratio in ratios(report))
    assert f"at once: layer 1 ({kind.__name__}, recurrent)." in str(report)


class Checkpointed(nn.Module):  # type: ignore[misc]
    def __init__(self, reentrant: bool | None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Written(torch.sigmoid) for _ in range(3)])
        self.reentrant = reentrant

    def forward(self, x: Any) -> Any:
        for block in self.blocks:
            x = block(x) if self.reentrant is None else checkpoint(block, x, use_reentrant=self.reentrant)
        return x


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpoints_of_both_kinds(reentrant: bool) -> None:
    model, x = Checkpointed(reentrant), torch.randn(16, 8, requires_grad=True)
    plain = Checkpointed(None)
    plain.load_state_dict(model.state_dict())
    want = watched_step(plain, x)
    with gradflow.watch(model, every=2) as watched:
        for _ in range(3):
            model.zero_grad()
            step(model, x)
        report = watched.report()
        assert report.step == 2
        assert labels(report) == labels(want)
        assert ratios(report) == pytest.approx(ratios(want), abs=1e-5)
        assert [layer.saturated for layer in report.layers] == [layer.saturated for layer in want.layers]
        assert torch.equal(model.blocks[0].first.weight.grad, plain.blocks[0].first.weight.grad)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_a_compiled_model_is_a_warning() -> None:
    model = stack(1)
    compiled = torch.compile(model, backend="eager")
    with pytest.warns(UserWarning, match=r"compiled by torch\.compile, and nothing is recorded"):
        watched = gradflow.watch(compiled, every=1)
    want = model(torch.ones(2, 8))
    assert torch.equal(compiled(torch.ones(2, 8)), want)
    with pytest.raises(ValueError, match=r"the model is compiled by torch\.compile"):
        watched.report()
    watched.close()


def test_a_model_that_is_compiled_while_it_is_watched_computes_the_same() -> None:
    model = stack(1)
    want = model(torch.ones(2, 8))
    watched = gradflow.watch(model, every=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the compiler says of its own
        assert torch.equal(torch.compile(model, backend="eager")(torch.ones(2, 8)), want)
    watched.close()


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_data_parallel_in_one_process() -> None:
    from torch import distributed

    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        report = watched_step(nn.parallel.DistributedDataParallel(stack(1)))
    finally:
        distributed.destroy_process_group()
    assert labels(report) == ["Linear -> Sigmoid, module.0", "Linear, module.2"]
    assert all(ratio is not None for ratio in ratios(report))


# ---- the document ----


def blocks_about_watching() -> list[str]:
    page = (Path(__file__).parent.parent / "docs" / "gradflow.md").read_text()
    return re.findall(r"```python\n(.*?)```", page.partition("## Watching your own model\n")[2], re.DOTALL)


def test_the_plain_loop_of_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    model = stack(2)
    names = {
        "model": model, "optimizer": torch.optim.SGD(model.parameters(), lr=0.1), "loss_of": functional.cross_entropy,
        "batches": [(torch.randn(16, 8), torch.randint(3, (16,))) for _ in range(3)],
    }  # fmt: skip
    before = copy.deepcopy(model.state_dict())
    exec(blocks_about_watching()[0], names)
    assert capsys.readouterr().out == f"{names['watched'].report()}\n"
    assert (names["watched"].step, names["watched"].report().step) == (3, 0)
    assert not torch.equal(before["0.weight"], model[0].weight)
    assert model._forward_hooks == {}


def test_the_tensorboard_of_the_document(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[tuple[str, float, int]] = []

    class SummaryWriter:
        def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
            written.append((tag, scalar_value, global_step))

    module = types.ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = SummaryWriter  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    model = stack(2)
    names = {"model": model, "gradflow": gradflow}
    exec(blocks_about_watching()[1], names)
    for _ in range(51):
        step(model)
    names["watched"].close()
    assert {number for *_, number in written} == {0, 50}
    assert {tag: value for tag, value, number in written if number == 50} == names["watched"].report().scalars()


# ---- bad input ----


@pytest.mark.parametrize("model", [torch.sigmoid, None, nn.Sigmoid, "model"])
def test_what_is_no_module(model: Any) -> None:
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module, not "):
        gradflow.watch(model)


def test_a_callback_that_cannot_be_called() -> None:
    with pytest.raises(TypeError, match="callback must be callable, not int"):
        gradflow.watch(stack(1), callback=1)  # type: ignore[arg-type]


def test_a_model_without_parameters_and_a_step_of_none() -> None:
    with pytest.raises(ValueError, match="model has no parameters"):
        gradflow.watch(nn.Sequential(nn.Sigmoid()))
    with pytest.raises(ValueError, match="every=0: it must be at least 1"):
        gradflow.watch(stack(1), every=0)


def test_a_report_before_a_step_or_of_nothing() -> None:
    with gradflow.watch(stack(1)) as watched, pytest.raises(ValueError, match="the model has had no step yet"):
        watched.report()

    class Odd(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(8))

        def forward(self, x: Any) -> Any:
            return x * self.scale

    model = Odd()
    with gradflow.watch(model) as watched:
        step(model)
        with pytest.raises(ValueError, match="nothing was seen in the model's forward pass"):
            watched.report()
