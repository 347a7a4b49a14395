"""What a model asks torch for while it is called: layers and activations are noted as torch computes them.

Nothing that goes wrong here reaches the model: what could not be measured is left out, and the report says so.
"""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import CheckpointFunction

from fastsig.gradflow.activations import ACTIVATIONS
from fastsig.gradflow.watched import Counted, Seen

_CONVOLUTIONS = {f"conv{n}d": f"Conv{n}d" for n in (1, 2, 3)} | {f"conv_transpose{n}d": f"ConvTranspose{n}d" for n in (1, 2, 3)}
LINEAR = {
    "linear": "Linear", "bilinear": "Bilinear", "matmul": "matmul", "__matmul__": "matmul", "mm": "matmul", "addmm": "addmm",
    **_CONVOLUTIONS,
}  # fmt: skip
"""Functions whose output is a layer's, until an activation follows; of the products only those with a parameter of the model."""
OPAQUE = {
    "lstm": "LSTM", "gru": "GRU", "rnn_tanh": "RNN", "rnn_relu": "RNN", "lstm_cell": "LSTMCell", "gru_cell": "GRUCell",
    "rnn_tanh_cell": "RNNCell", "rnn_relu_cell": "RNNCell", "multi_head_attention_forward": "MultiheadAttention",
}  # fmt: skip
"""Functions that compute all of a layer at once: the gradient at what they return is seen, and nothing inside."""
ACTIVATING = {f"{name}{place}": name for name in ACTIVATIONS for place in ("", "_")} | {"special_expit": "sigmoid"}
_WITH_A_PARAMETER = {"matmul", "addmm"}
_LAYERS = LINEAR | OPAQUE
_MOST_NODES = 32
"""Of a graph, to look through for the layer that an activation belongs to: norms, sums, views and dropout are a few."""


class Sample:
    """One sampled step."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.layers: list[Seen] = []
        self.troubles: dict[str, None] = {}
        """What went wrong in observing it, each once."""
        self.thread = threading.get_ident()
        self.running = True
        """Its forward pass has not ended."""

    def can_be_reported(self) -> bool:
        """Whether gradients have come, or none ever will."""
        if any(layer.has_gradient() for layer in self.layers):
            return True
        return bool(self.layers) and not self.running and all(layer.unmeasurable for layer in self.layers)

    def trouble(self, where: str, error: Exception) -> None:
        self.troubles[f"{where}: {type(error).__name__}: {str(error).partition(chr(10))[0]}"] = None


class _Open(NamedTuple):
    """A layer whose activation may follow, its output, and the node of the graph that made it."""

    layer: Seen
    output: weakref.ref[Tensor]
    node: Any
    place: int
    """Of the output among those of the node."""


class _Activated(NamedTuple):
    """What is known of an activation before it is computed, in place perhaps."""

    layer: Seen | None
    counted: Counted | None


class Seeing(TorchFunctionMode):  # type: ignore[misc]
    """While it is entered and the call that it was entered for runs, layers and activations are noted as torch computes them.

    Where a checkpoint computes a part of the model again, ``again`` has the layers noted the first time, which only lack their gradients.
    """

    def __init__(
        self, sample: Sample, name_of: Callable[[Tensor], str | None], call: FrameType, again: Sequence[Seen] | None = None
    ) -> None:
        super().__init__()
        self.sample = sample
        self._name_of, self._call, self._again = name_of, call, again
        self._place = 0
        """Of the layer among those of ``again`` that is expected next."""
        self._open: list[_Open] = []
        self._ends: dict[int, Any] = {}
        """Nodes of the graph behind which no layer is looked for, by their identity."""
        self._checkpoints: dict[int, Any] = {}

    def enter(self) -> None:
        """Below all other modes, so that a block of the user's that ends takes off its own, whatever has become of this one."""
        default_device = getattr(getattr(torch, "_GLOBAL_DEVICE_CONTEXT", None), "device_context", None)
        with _modes() as modes:
            modes.insert(1 if modes and modes[0] is default_device else 0, self)

    def leave(self) -> None:
        """From wherever it is among the modes of this thread."""
        with _modes() as modes:
            modes[:] = [mode for mode in modes if mode is not self]
        self._quietly("the layers without an activation", self._end)
        self._open, self._ends, self._checkpoints = [], {}, {}

    def _end(self) -> None:
        """What has no activation by now has none: the gradient that counts is that of the layer's own output."""
        for layer, _, node, place in self._open:
            if node is not None and layer.activation is None:
                layer.take_gradient_before(node, place)

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.compiler.is_compiling():
            return function(*args, **kwargs)
        name = getattr(function, "__name__", "")
        if not (name in _LAYERS or name in ACTIVATING) or torch.jit.is_tracing() or not is_running(self._call):
            return function(*args, **kwargs)
        before = self._quietly(name, self._before, name, args, kwargs)
        output = function(*args, **kwargs)
        self._quietly(name, self._after, name, args, kwargs, output, before)
        return output

    def _quietly(self, name: str, call: Callable[..., Any], *args: Any) -> Any:
        try:
            return call(*args)
        except Exception as error:  # noqa: BLE001  # the model goes on, whatever it was
            self.sample.trouble(name, error)
            return None

    def _before(self, name: str, args: Any, kwargs: Any) -> _Activated | None:
        given = args[0] if args else kwargs.get("input")
        if name not in ACTIVATING or not isinstance(given, Tensor):
            return None
        layer = self._layer_of(given)
        if self._again is not None:
            return _Activated(layer, None)
        unit = 1 if layer and layer.kind in _CONVOLUTIONS.values() and given.ndim > 2 else -1
        return _Activated(layer, self._quietly(name, Counted.of_input, ACTIVATING[name], given, unit))

    def _after(self, name: str, args: Any, kwargs: Any, output: Any, before: _Activated | None) -> None:
        if name in ACTIVATING:
            if isinstance(output, Tensor) and before is not None:
                self._activated(ACTIVATING[name], output, before)
            return
        kind = _LAYERS[name]
        parts = [part for part in (output if isinstance(output, tuple) else (output,)) if isinstance(part, Tensor)]
        module = self._module_of((*args, *kwargs.values()))
        if module is None and kind in _WITH_A_PARAMETER:
            self._end_at(parts)
        else:
            self._layer(kind, module, parts, name in OPAQUE)

    def _layer(self, kind: str, module: str | None, parts: list[Tensor], opaque: bool) -> None:
        layer = self._noted(Seen(kind, module, opaque))
        if opaque:
            layer.take_gradients_of(parts)
            self._end_at(parts)
        else:
            layer.has_outputs(parts)
            made = _as_made(parts[0])
            self._open.append(_Open(layer, weakref.ref(parts[0]), made.grad_fn, made.output_nr))

    def _activated(self, activation: str, output: Tensor, before: _Activated) -> None:
        layer = before.layer or self._noted(Seen(None, None, False, activation))
        if self._again is not None and layer.activation != activation:
            return  # the first time, without a graph, it was taken for another layer's
        layer.activation = activation
        if self._again is None:
            layer.counted = before.counted
        layer.take_gradients_of([output])
        for place in [place for place, known in enumerate(self._open) if known.layer is layer]:
            self._ends[id(self._open[place].node)] = self._open[place].node
            del self._open[place]
        self._end_at([output])

    def _end_at(self, outputs: Sequence[Tensor]) -> None:
        self._ends |= {id(node): node for node in (output.grad_fn for output in outputs) if node is not None}

    def _layer_of(self, given: Tensor) -> Seen | None:
        """The layer without an activation yet whose output this is, or was before what lies between."""
        itself = [known.layer for known in self._open if known.output() is given]
        if itself:
            return itself[-1]
        if given.grad_fn is None:
            hidden = [known.layer for known in self._open if known.node is None and not torch.is_grad_enabled()]
            return hidden[-1] if hidden else None
        nodes: list[Any] = [given.grad_fn]
        looked_at = 0
        while nodes and looked_at < _MOST_NODES:
            found: list[Seen] = [known.layer for known in self._open if any(known.node is node for node in nodes)]
            if found:
                return found[-1]
            looked_at += len(nodes)
            nodes = [before for node in nodes if id(node) not in self._ends for before, _ in node.next_functions if before is not None]
        return None

    def _module_of(self, arguments: Sequence[Any]) -> str | None:
        for argument in arguments:
            if isinstance(argument, (list, tuple)):
                name = self._module_of(argument)
            else:
                name = self._name_of(argument) if isinstance(argument, nn.Parameter) else None
            if name is not None:
                return name
        return None

    def _noted(self, layer: Seen) -> Seen:
        if self._again is None:
            self.sample.layers.append(layer)
        else:
            place = next((i for i in range(self._place, len(self._again)) if self._again[i].is_like(layer)), None)
            if place is None:
                return layer
            layer, self._place = self._again[place], place + 1
        if not torch.is_grad_enabled():
            self._see_recomputing(layer)
        return layer

    def _see_recomputing(self, layer: Seen) -> None:
        """Where a reentrant checkpoint hides the layer from autograd, what it calls in the backward pass is seen too."""
        for frame in frames():
            if frame is self._call:
                return
            if frame.f_code is _HIDING:
                layer.recomputed = True
                self._again_by(frame.f_locals["ctx"]).layers.append(layer)

    def _again_by(self, checkpoint: Any) -> Recomputing:
        if id(checkpoint) not in self._checkpoints:
            checkpoint.run_function = Recomputing(checkpoint.run_function, self.sample, self._name_of)
            self._checkpoints[id(checkpoint)] = checkpoint
        return cast(Recomputing, checkpoint.run_function)


def _as_made(output: Tensor) -> Tensor:
    """What an output of more than two axes is a view of: in place changes make another view of it, and the gradient goes past this one."""
    base = output._base
    return output if base is None or base.numel() != output.numel() else base


class Recomputing:
    """The function of a reentrant checkpoint, whose layers are seen when it runs again."""

    def __init__(self, function: Callable[..., Any], sample: Sample, name_of: Callable[[Tensor], str | None]) -> None:
        self._function, self._sample, self._name_of = function, sample, name_of
        self.layers: list[Seen] = []

    def __call__(self, *args: Any) -> Any:
        seeing = Seeing(self._sample, self._name_of, sys._getframe(), self.layers)
        seeing.enter()
        try:
            return self._function(*args)
        finally:
            seeing.leave()


_HIDING = CheckpointFunction.forward.__code__
_RECOMPUTING = CheckpointFunction.backward.__code__


def frames() -> Iterator[FrameType]:
    """Of all calls that run in this thread, the last one first."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def is_running(call: FrameType) -> bool:
    """Whether the call has not ended, in this thread; after KeyboardInterrupt torch tells nobody that it has."""
    return any(frame is call for frame in frames())


def in_a_backward_pass() -> bool:
    """Where what runs was already seen in the forward pass: all but what a reentrant checkpoint runs with gradients for the first time."""
    if torch._C._current_graph_task_id() == -1:
        return False
    return not any(frame.f_code is _RECOMPUTING for frame in frames())


@contextmanager
def _modes() -> Iterator[list[Any]]:
    """torch's function modes of this thread, the outermost first, to be changed."""
    count = torch._C._len_torch_function_stack()
    modes = [torch._C._pop_torch_function_stack() for _ in range(count)][::-1]
    try:
        yield modes
    finally:
        for mode in modes:
            torch._C._push_on_torch_function_stack(mode)
