"""Watching unusual models: outputs that nobody used, tensors without values, threads, interrupts, compilers, checkpoints, recursion."""

from __future__ import annotations

import contextlib
import copy
import math
import re
import threading
import warnings
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from test_gradflow_watch import Written, labels, ratios, seeded, stack, step, watched_step  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional  # noqa: E402
from torch.utils.checkpoint import checkpoint, checkpoint_sequential  # noqa: E402

from fastsig import gradflow  # noqa: E402
from fastsig.gradflow import seeing, watching  # noqa: E402

__all__ = ["seeded"]  # a fixture for every test here too


def modes() -> list[Any]:
    return torch.overrides._get_current_function_mode_stack()


class Lambda(nn.Module):  # type: ignore[misc]
    """A model with three linear layers and a function of the user's as its forward pass."""

    def __init__(self, function: Callable[..., Any], width: int = 8) -> None:
        super().__init__()
        self.linears = nn.ModuleList([nn.Linear(width, 8), nn.Linear(8, 8), nn.Linear(8, 8)])
        self.function = function

    def forward(self, *x: Any) -> Any:
        return self.function(self.linears, *x)


# ---- layers that torch computes at once ----


class Read(nn.Module):  # type: ignore[misc]
    """A recurrent layer or attention, of whose outputs a function reads some."""

    def __init__(self, layer: Any, read: Callable[[Any], Any], width: int = 6) -> None:
        super().__init__()
        self.layer, self.read, self.head = layer, read, nn.Linear(width, 2)

    def forward(self, x: Any) -> Any:
        return self.head(self.read(self.layer(x, x, x) if isinstance(self.layer, nn.MultiheadAttention) else self.layer(x)))


READ: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], int]] = {
    "h_n of an LSTM": (lambda: nn.LSTM(8, 6), lambda out: out[1][0][-1], 6),
    "c_n of an LSTM": (lambda: nn.LSTM(8, 6), lambda out: out[1][1][-1], 6),
    "output and c_n": (lambda: nn.LSTM(8, 6), lambda out: out[0].mean(0) + out[1][1][-1], 6),
    "h_n of an RNN": (lambda: nn.RNN(8, 6), lambda out: out[1][-1], 6),
    "h_n of a GRU of two directions": (lambda: nn.GRU(8, 3, 2, bidirectional=True), lambda out: torch.cat([out[1][-1], out[1][-2]], 1), 6),
    "attention weights": (lambda: nn.MultiheadAttention(8, 2), lambda out: out[1], 5),
}


def tensors_of(output: Any) -> list[Any]:
    return [output] if isinstance(output, torch.Tensor) else [tensor for part in output for tensor in tensors_of(part)]


@pytest.mark.parametrize("name", READ)
def test_whatever_is_read_of_a_layer_that_torch_computes_at_once(name: str) -> None:
    make, read, width = READ[name]
    outputs: list[Any] = []

    def kept(output: Any) -> Any:
        outputs[:] = [tensor for tensor in tensors_of(output) if tensor.requires_grad]
        for tensor in outputs:
            tensor.retain_grad()
        return read(output)

    model, x = Read(make(), kept, width), torch.randn(5, 5, 8)
    model.head(kept(model.layer(*[x] * (3 if isinstance(model.layer, nn.MultiheadAttention) else 1)))).pow(2).mean().backward()
    norm = math.hypot(*(float(tensor.grad.double().norm()) for tensor in outputs if tensor.grad is not None))
    report = watched_step(model, x)
    assert report.layers[0].gradient == pytest.approx(norm, rel=1e-5)
    assert "computes it at once" in str(report)


def test_the_state_of_an_lstm_cell_alone() -> None:
    class Cells(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.cell, self.head = nn.LSTMCell(8, 6), nn.Linear(6, 2)

        def forward(self, x: Any) -> Any:
            state = None
            for now in x:
                state = self.cell(now, state)
            return self.head(state[1])

    report = watched_step(Cells(), torch.randn(3, 4, 8))
    assert labels(report) == ["LSTMCell, cell"] * 3 + ["Linear, head"]
    assert all(ratio is not None for ratio in ratios(report))


# ---- tensors that cannot be counted or measured ----


def jagged() -> Any:
    return torch.nested.nested_tensor([torch.randn(3, 8), torch.randn(5, 8)], layout=torch.jagged)


ODD: dict[str, tuple[Callable[[], tuple[Any, Any]], Callable[[Any], Any]]] = {
    "an empty batch": (lambda: (Lambda(lambda l, x: torch.relu(l[0](x))), torch.zeros(0, 8)), lambda y: y.sum()),
    "a scalar": (lambda: (Lambda(lambda l, x: torch.relu(l[0](x).mean())), torch.randn(4, 8)), lambda y: y),
    "complex numbers": (
        lambda: (nn.Sequential(nn.Linear(8, 8, dtype=torch.cfloat), nn.Tanh()), torch.randn(4, 8, dtype=torch.cfloat)),
        lambda y: y.abs().sum(),
    ),
    "bools": (lambda: (Lambda(lambda l, x: torch.sigmoid(x > 0) * torch.sigmoid(l[0](x))), torch.randn(4, 8)), lambda y: y.sum()),
    "jagged, relu": (lambda: (Lambda(lambda l, x: torch.relu(l[0](x))), jagged()), lambda y: y.values().sum()),
    "jagged, sigmoid": (lambda: (Lambda(lambda l, x: torch.sigmoid(l[0](x))), jagged()), lambda y: y.values().sum()),
    "meta": (lambda: (stack(2).to("meta"), torch.zeros(4, 8, device="meta")), lambda y: y.sum()),
    "a sparse input": (
        lambda: (Lambda(lambda l, x: torch.sigmoid(l[0](torch.sparse.mm(x, torch.ones(8, 8))))), torch.eye(8).to_sparse()),
        lambda y: y.sum(),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_what_cannot_be_counted_is_left_out(name: str) -> None:
    make, loss = ODD[name]
    model, x = make()
    bare = copy.deepcopy(model)
    loss(bare(x)).backward()
    with gradflow.watch(model, every=1) as watched:
        loss(model(x)).backward()
    report = watched.report()
    assert report.layers
    assert all(layer.inactive is None and (layer.saturated is None or name == "bools" or "sparse" in name) for layer in report.layers)
    if x.device.type != "meta":
        for alone, observed in zip(bare.parameters(), model.parameters(), strict=True):
            assert alone.grad is None if observed.grad is None else torch.equal(alone.grad, observed.grad)
    assert ("Without values that could be measured" in str(report)) == (name.startswith("jagged") or name == "meta")


def test_complex_gradients_have_a_norm() -> None:
    model = nn.Sequential(nn.Linear(8, 8, dtype=torch.cfloat), nn.Tanh(), nn.Linear(8, 8, dtype=torch.cfloat))
    x = torch.randn(4, 8, dtype=torch.cfloat)
    with gradflow.watch(model) as watched:
        output = model(x)
        output.retain_grad()
        output.abs().sum().backward()
    assert watched.report().layers[1].gradient == pytest.approx(float(output.grad.abs().double().pow(2).sum().sqrt()), rel=1e-6)


def test_gradients_of_each_sample_by_torch_func() -> None:
    from torch.func import functional_call, grad, vmap

    model, x = Lambda(lambda l, x: torch.sigmoid(l[1](torch.relu(l[0](x))))), torch.randn(4, 8)
    parameters = dict(model.named_parameters())

    def loss(given: Any, sample: Any) -> Any:
        return functional_call(model, given, (sample.unsqueeze(0),)).pow(2).mean()

    want = vmap(grad(loss), (None, 0))(parameters, x)
    with gradflow.watch(model, every=1) as watched:
        got = vmap(grad(loss), (None, 0))(parameters, x)
    assert all(torch.equal(want[key], got[key]) for key in want)
    assert "torch.func" in str(watched.report())


@pytest.mark.parametrize("broken", ["count", "note", "hook", "begin", "end"])
def test_what_goes_wrong_in_observing_does_not_reach_the_model(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> Any:
        raise RuntimeError("this observation fails")

    owner, name = {
        "count": (seeing.Counted, "of_input"),
        "note": (seeing.Seeing, "_layer"),
        "hook": (torch.linalg, "vector_norm"),
        "begin": (watching, "in_a_backward_pass"),
        "end": (watching.Watch, "_end"),
    }[broken]
    model = stack(1)
    alone, x = copy.deepcopy(model), torch.randn(4, 8)
    step(alone, x)
    monkeypatch.setattr(owner, name, fail)
    watched = gradflow.watch(model, every=1)
    step(model, x)
    monkeypatch.undo()
    assert all(torch.equal(a.grad, b.grad) for a, b in zip(alone.parameters(), model.parameters(), strict=True))
    try:
        said = str(watched.report())
    except ValueError as error:
        said = str(error)
    assert broken == "hook" or "RuntimeError: this observation fails" in said
    watched.close()


# ---- threads ----


def test_two_threads_train_one_model() -> None:
    meet = threading.Barrier(2)

    def forward(linears: Any, x: Any) -> Any:
        y = torch.sigmoid(linears[0](x))
        meet.wait(20)
        y = torch.sigmoid(linears[1](y))
        meet.wait(20)
        return y

    model, failed = Lambda(forward), []
    watched = gradflow.watch(model, every=1)

    def train() -> None:
        try:
            for _ in range(4):
                step(model)
            assert modes() == []
        except BaseException as error:  # noqa: BLE001  # whatever it is, it fails the test below
            failed.append(error)
            meet.abort()

    threads = [threading.Thread(target=train) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    watched.close()
    assert failed == []
    assert watched.step == 8
    assert labels(watched.report()) == ["Linear -> Sigmoid, linears.0", "Linear -> Sigmoid, linears.1"]


def test_a_thread_that_goes_on_where_another_trained() -> None:
    model = stack(1)
    watched = gradflow.watch(model, every=2)
    step(model)
    thread = threading.Thread(target=lambda: [step(model) for _ in range(4)])
    thread.start()
    thread.join()
    assert watched.report().step == 4
    watched.close()


def test_replicas_with_the_hooks_of_a_model_are_not_it() -> None:
    model = stack(1)
    watched = gradflow.watch(model, every=1)
    replica = model._replicate_for_data_parallel()
    assert replica._forward_hooks
    replica(torch.randn(2, 8))
    assert watched.step == 0
    watched.close()


# ---- interrupts ----


def interrupted_model(state: dict[str, bool]) -> Any:
    def forward(linears: Any, x: Any) -> Any:
        x = torch.sigmoid(linears[0](x))
        if state["interrupt"]:
            raise KeyboardInterrupt
        return linears[1](x)

    return Lambda(forward)


def test_an_interrupt_inside_a_device_block_leaves_the_default_device() -> None:
    state = {"interrupt": True}
    model, x = interrupted_model(state), torch.randn(4, 8)
    watched = gradflow.watch(model, every=1)
    with pytest.raises(KeyboardInterrupt), torch.device("cpu"), torch.device("cpu"):
        model(x)
    assert all(isinstance(mode, seeing.Seeing) for mode in modes())
    with torch.device("meta"):
        assert torch.zeros(2).device.type == "meta"
    assert torch.zeros(2).device.type == "cpu"
    with torch.device("meta"):
        watched.close()
        assert torch.zeros(2).device.type == "meta"
    assert torch.zeros(2).device.type == "cpu"
    assert modes() == []


def test_an_interrupt_and_the_default_device_of_torch() -> None:
    state = {"interrupt": True}
    model = interrupted_model(state)
    torch.set_default_device("cpu")
    try:
        with gradflow.watch(model) as watched:
            with pytest.raises(KeyboardInterrupt):
                model(torch.randn(4, 8))
            torch.set_default_device("meta")
            assert torch.zeros(2).device.type == "meta"
            torch.set_default_device("cpu")
            state["interrupt"] = False
            model(torch.randn(4, 8))
        assert watched.step == 2
    finally:
        torch.set_default_device(None)
    assert modes() == []


@pytest.mark.parametrize("every", [1, 50])
def test_what_is_trained_after_an_interrupt_is_not_this_model(every: int) -> None:
    state = {"interrupt": True}
    model, reports = interrupted_model(state), []
    watched = gradflow.watch(model, every=every, callback=reports.append)
    with pytest.raises(KeyboardInterrupt):
        model(torch.randn(4, 8))
    step(stack(3, nn.Tanh))
    state["interrupt"] = False
    step(model)
    watched.close()
    assert [(report.step, labels(report)) for report in reports] == (
        [(1, ["Linear -> Sigmoid, linears.0", "Linear, linears.1"])] if every == 1 else []
    )


# ---- compilers ----


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # the compiler's own
def test_a_compiled_function_in_a_watched_model() -> None:
    compilations = []

    def backend(graph: Any, _: Any) -> Any:
        compilations.append(graph)
        return graph.forward

    function = torch.compile(lambda x: torch.sigmoid(x) * 2, backend=backend, fullgraph=True)
    model, x = Lambda(lambda l, x: l[1](function(l[0](x)))), torch.randn(4, 8)
    want = model(x)
    with gradflow.watch(model, every=2) as watched:
        for _ in range(24):  # more than torch compiles anew before it gives up
            output = model(x)
            assert torch.equal(output, want)
            output.sum().backward()
    assert watched.report().step == 22
    assert len(compilations) <= 2


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_trace_of_a_watched_model_is_as_without() -> None:
    model, x = stack(1, nn.Tanh), torch.randn(4, 8)

    def trace() -> str:
        return re.sub(r"___torch_mangle_\d+\.", "", str(torch.jit.trace(model, x).graph))

    want = trace()
    with gradflow.watch(model, every=1) as watched:
        assert trace() == want
        assert watched.step == 0
        step(model, x)
        assert watched.report().step == 0


def test_a_model_that_is_compiled_after_it_is_watched_is_a_warning_and_said() -> None:
    model, x = stack(1), torch.ones(2, 8)
    want = model(x)
    watched = gradflow.watch(model, every=1)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with pytest.warns(UserWarning, match=r"a watched model is compiled by torch\.compile, and nothing is recorded"):
        assert torch.equal(compiled(x), want)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        compiled(torch.ones(3, 8))
    with pytest.raises(ValueError, match=r"a call in training mode .* and not of what torch\.compile made"):
        watched.report()
    step(model, x)
    assert labels(watched.report()) == ["Linear -> Sigmoid, 0", "Linear, 2"]
    watched.close()


# ---- gradients that are no numbers ----


@pytest.mark.parametrize(("factor", "said"), [(math.nan, "No gradient of this step is finite"), (0.0, "exactly 0")])
def test_gradients_of_which_nothing_can_be_said(factor: float, said: str) -> None:
    model = stack(2)
    with gradflow.watch(model) as watched:
        (model(torch.randn(4, 8)).sum() * factor).backward()
    report = watched.report()
    assert said in report.findings[0]
    assert "Nothing to act on" not in str(report)


def test_a_loss_scale_that_overflows_is_said() -> None:
    model = stack(1)
    with gradflow.watch(model) as watched:
        with torch.autocast("cpu", dtype=torch.float16):
            output = model(torch.randn(16, 8))
        torch.amp.GradScaler("cpu", init_scale=2.0**40).scale(output.float().pow(2).sum()).backward()
    assert "a GradScaler skips such a step" in str(watched.report())


def test_a_gradient_that_is_not_finite_somewhere_is_said() -> None:
    class Overflowing(torch.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(_: Any, x: Any) -> Any:
            return x.clone()

        @staticmethod
        def backward(_: Any, gradient: Any) -> Any:
            return gradient * math.inf

    report = watched_step(Lambda(lambda l, x: torch.sigmoid(l[1](Overflowing.apply(torch.sigmoid(l[0](x)))))))
    assert report.findings == [
        "The gradient is NaN or infinite at layer 1 (Linear -> Sigmoid, linears.0); try a lower learning rate or loss scale"
    ]


@pytest.mark.parametrize("activation", [torch.sigmoid, torch.relu])
def test_what_is_not_finite_is_neither_saturated_nor_active(activation: Callable[[Any], Any]) -> None:
    model = Written(activation)
    with torch.no_grad():
        model.first.weight.fill_(math.nan)
    report = watched_step(model)
    assert (report.layers[0].saturated, report.layers[0].inactive, report.layers[0].not_finite) == (None, None, True)
    assert any("values before the activation are NaN or infinite" in line for line in report.findings)


# ---- checkpoints ----


class Parts(nn.Module):  # type: ignore[misc]
    """Layers that are checkpointed in some way, or with ``reentrant=None`` not at all."""

    def __init__(self, way: str, reentrant: bool | None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = stack(4)[:-1]
        self.norms = nn.ModuleList([nn.BatchNorm1d(8) for _ in range(4)])
        self.way, self.reentrant = way, reentrant
        with torch.no_grad():
            for parameter in self.layers.parameters():
                parameter.mul_(6)

    def half(self, x: Any) -> Any:
        return torch.sigmoid(self.layers[0](x)) * torch.tanh(self.layers[2](x))

    def normed(self, x: Any) -> Any:
        for i in range(4):
            x = torch.relu(self.norms[i](self.layers[2 * i](x)))
        return x

    def inner(self, x: Any) -> Any:
        return self.call(self.layers[2:4], self.call(self.layers[:2], x))

    def call(self, function: Any, x: Any) -> Any:
        return function(x) if self.reentrant is None else checkpoint(function, x, use_reentrant=self.reentrant)

    def forward(self, x: Any) -> Any:
        if self.way == "one module often":
            for _ in range(6):
                x = self.call(self.layers[:2], x)
            return self.layers[4](x)
        if self.way == "checkpoint_sequential":
            return self.layers(x) if self.reentrant is None else checkpoint_sequential(self.layers, 4, x, use_reentrant=self.reentrant)
        if self.way == "nested":
            return self.layers[4:](self.call(self.inner, x))
        if self.way == "a method with norms":
            return self.call(self.normed, x)
        return self.layers[4:](self.call(self.half, x))


INNER = pytest.mark.filterwarnings("ignore:None of the inputs have requires_grad:UserWarning")  # said of a checkpoint inside of another


@INNER
@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize("way", ["one module often", "checkpoint_sequential", "a method", "a method with norms", "nested"])
def test_checkpoints_of_all_that_one_can_write(way: str, reentrant: bool) -> None:
    x = torch.randn(16, 8, requires_grad=True)
    want = watched_step(Parts(way, None), x)
    model = Parts(way, reentrant)
    report = watched_step(model, x)
    assert labels(report) == labels(want)
    assert ratios(report) == pytest.approx(ratios(want), abs=1e-5)
    assert report.notes == ()
    assert len({round(ratio, 3) for ratio in ratios(want) if ratio is not None}) > 2
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@INNER
def test_a_checkpoint_through_which_two_backward_passes_go() -> None:
    x = torch.randn(16, 8, requires_grad=True)
    model = Parts("nested", True)
    with gradflow.watch(model) as watched:
        loss = model(x).pow(2).mean()
        loss.backward(retain_graph=True)
        once = ratios(watched.report())
        loss.backward()
    assert ratios(watched.report()) == pytest.approx(once, abs=1e-6)


def test_a_checkpoint_that_computes_something_else_the_second_time_is_said() -> None:
    calls: list[int] = []

    def forward(linears: Any, x: Any) -> Any:
        def part(x: Any) -> Any:
            calls.append(1)
            return linears[len(calls) - 1](x).sigmoid()

        return linears[2](checkpoint(part, x, use_reentrant=True))

    report = watched_step(Lambda(forward), torch.randn(4, 8, requires_grad=True))
    assert report.notes == ("The checkpoint that computes it again did not show the gradient: layer 1 (Linear -> Sigmoid, linears.0).",)


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_whole_model_in_a_checkpoint_is_one_step(reentrant: bool) -> None:
    model, x, reports = Written(torch.sigmoid), torch.randn(16, 8, requires_grad=True), []
    want = watched_step(model, x)
    watched = gradflow.watch(model, every=1, callback=reports.append)
    for _ in range(2):
        checkpoint(model, x, use_reentrant=reentrant).pow(2).mean().backward()
    watched.close()
    assert watched.step == 2
    assert [report.step for report in reports] == [0, 1]
    assert ratios(reports[1]) == pytest.approx(ratios(want), abs=1e-5)


def test_a_part_without_gradients_leaves_no_hooks_and_later_calls_change_nothing() -> None:
    class Frozen(nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.backbone, self.head = nn.Sequential(nn.Linear(8, 8), nn.Sigmoid()), nn.Linear(8, 2)

        def forward(self, x: Any) -> Any:
            with torch.no_grad():
                x = self.backbone(x)
            return self.head(x)

    model = Frozen()
    with gradflow.watch(model, every=50) as watched:
        step(model)
        assert not any(part._forward_hooks or part._forward_pre_hooks for part in model.modules() if part is not model)
        before = watched.report()
        assert ratios(before) == [None, 0.0]
        model.eval()
        model.backbone(torch.randn(4, 8, requires_grad=True)).sum().backward()
        assert watched.report() == before


# ---- which layer an activation belongs to ----

BELONGING: dict[str, tuple[Callable[[Any, Any], Any], list[str]]] = {
    "two side by side": (lambda l, x: (lambda a, b: torch.sigmoid(a) * torch.tanh(b))(l[0](x), l[1](x)), ["Sigmoid", "Tanh"]),
    "in another order": (lambda l, x: (lambda a, b: torch.tanh(b) * torch.sigmoid(a))(l[0](x), l[1](x)), ["Sigmoid", "Tanh"]),
    "behind a norm": (
        lambda l, x: (lambda a, b: torch.sigmoid(functional.layer_norm(a, [8])) + b)(l[0](x), l[1](x)), ["Sigmoid", ""],
    ),
    "a view, changed in place": (lambda l, x: (lambda a, b: a.add_(1).view(-1, 8).sigmoid_() + b)(l[0](x), l[1](x)), ["Sigmoid", ""]),
    "of a product": (lambda l, x: (lambda a, b: torch.sigmoid(a @ b.T).sum() + a)(l[0](x), l[1](x)), ["", "", "alone Sigmoid"]),
    "of what is activated already": (lambda l, x: torch.tanh(torch.relu(l[1](l[0](x))) + 1), ["", "ReLU", "alone Tanh"]),
    "of the input": (lambda l, x: l[1](torch.sigmoid(x) + l[0](x)), ["", "alone Sigmoid", ""]),
}  # fmt: skip


@pytest.mark.parametrize("name", BELONGING)
def test_an_activation_belongs_to_the_layer_that_it_is_given(name: str) -> None:
    function, want = BELONGING[name]
    found = watched_step(Lambda(function))
    linears = iter(range(3))
    expected = [kind[6:] if kind.startswith("alone") else f"Linear{f' -> {kind}' * bool(kind)}, linears.{next(linears)}" for kind in want]
    assert sorted(labels(found)) == sorted(expected)


def test_saturation_is_said_of_the_layer_that_has_it() -> None:
    model = Lambda(lambda l, x: (lambda a, b: torch.sigmoid(a) * torch.tanh(b))(l[0](x), l[1](x)))
    with torch.no_grad():
        model.linears[0].weight.mul_(200)
    report = watched_step(model)
    assert [layer.saturated > 0.5 for layer in report.layers if layer.saturated is not None] == [True, False]


@pytest.mark.parametrize("shape", [(16, 8), (4, 3, 8)])
def test_an_output_that_is_changed_in_place_has_the_gradient_of_what_it_was(shape: tuple[int, ...]) -> None:
    def in_place(linears: Any, x: Any) -> Any:
        y = linears[1](torch.sigmoid(linears[0](x)))
        y.mul_(1e6)
        return linears[2](y)

    changed = Lambda(in_place)
    apart = Lambda(lambda l, x: l[2](l[1](torch.sigmoid(l[0](x))) * 1e6))
    apart.load_state_dict(changed.state_dict())
    x = torch.randn(*shape)
    assert ratios(watched_step(changed, x)) == pytest.approx(ratios(watched_step(apart, x)), abs=1e-5)


# ---- calls inside of calls ----


class Recursive(nn.Module):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, x: Any, depth: int = 2, failing: bool = False) -> Any:
        x = torch.sigmoid(self.down(x))
        if depth:
            with contextlib.suppress(ZeroDivisionError):
                x = self(x, depth - 1, failing)
        elif failing:
            raise ZeroDivisionError
        return torch.sigmoid(self.up(x))


@pytest.mark.parametrize("failing", [False, True])
def test_a_model_that_calls_itself(failing: bool) -> None:
    model, reports = Recursive(), []
    watched = gradflow.watch(model, every=1, callback=reports.append)
    for _ in range(2):
        model(torch.randn(4, 8), failing=failing).sum().backward()
    watched.close()
    assert watched.step == 2
    assert labels(reports[1]) == ["Linear -> Sigmoid, down"] * 3 + ["Linear -> Sigmoid, up"] * (2 if failing else 3)
    assert all(ratio is not None for ratio in ratios(reports[1])[:1])


# ---- what cannot be watched ----


def test_a_model_of_which_nothing_trains() -> None:
    with pytest.raises(ValueError, match=r"model has only frozen parameters \(requires_grad is False\)"):
        gradflow.watch(stack(1).requires_grad_(False))


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_model_that_torch_jit_has_compiled() -> None:
    with pytest.raises(TypeError, match=r"model is compiled by torch\.jit"):
        gradflow.watch(torch.jit.script(stack(1)))
