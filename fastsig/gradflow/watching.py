"""Watching a model while it trains: sampled forward passes are seen function by function, so that nothing in the model must be named.

Only two hooks stay on the model, both on its root. In a sampled forward pass a TorchFunctionMode sees what torch is asked for, in
modules and in functions alike; the gradients come by hooks on the tensors of that pass, which go with its graph.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import warnings
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fastsig.gradflow.arguments import whole
from fastsig.gradflow.seeing import Sample, Seeing, frames, in_a_backward_pass, is_running
from fastsig.gradflow.watched import Report


def watch(model: nn.Module, every: int = 50, callback: Callable[[Report], Any] | None = None) -> Watch:
    """Watch a model of yours while it trains: saturation, inactive units, and how much gradient each layer gets.

    A step is a call of the model in training mode with gradients enabled. Every ``every``-th one, from the first on, is sampled. What is
    reported are shares and ratios, so that a scaled loss changes nothing. Outputs, gradients, ``state_dict``, training mode and random
    numbers are as without it, and copies of the model, pickled or not, are not watched.

    Layers are what torch's functions compute, in the order in which they do, modules or not: a linear map or convolution together with
    the activation that follows it. Of ``nn.LSTM``, ``nn.GRU``, ``nn.RNN`` and attention only the gradient at the output is seen, for
    torch computes the rest at once. What ``torch.compile`` has compiled cannot be seen.

    Parameters
    ----------
    model : torch.nn.Module
    every : int
        Steps from one sampled step to the next.
    callback : callable, optional
        Called with the ``Report`` of a sampled step when the next step begins, or when the watch is closed.

    Returns
    -------
    Watch
        A context manager; ``close`` ends it too.

    Raises
    ------
    TypeError
        Where the model is no torch module, or one that torch.jit has compiled, or the callback is not callable.
    ValueError
        Where the model has no parameters, or none that is trained, or ``every`` is below 1.

    Examples
    --------
    >>> import torch
    >>> from fastsig import gradflow
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Sigmoid(), torch.nn.Linear(8, 1))
    >>> with gradflow.watch(model, every=10) as watched:
    ...     for _ in range(3):
    ...         model(torch.randn(4, 8)).sum().backward()
    >>> [layer["layer"] for layer in watched.report().to_dict()["layers"]]
    ['layer 1 (Linear -> Sigmoid, 0)', 'layer 2 (Linear, 2)']
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, not {type(model).__name__}")
    if isinstance(model, torch.jit.ScriptModule):
        raise TypeError("model is compiled by torch.jit, and nothing can be seen in it; watch the module that it was made from")
    if callback is not None and not callable(callback):
        raise TypeError(f"callback must be callable, not {type(callback).__name__}")
    if next(model.parameters(), None) is None:
        raise ValueError("model has no parameters, so there is nothing that trains")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError("model has only frozen parameters (requires_grad is False), so there is nothing that trains")
    return Watch(model, whole("every", every), callback)


class Call(NamedTuple):
    """A call of the model that has begun, and what sees it where it is sampled."""

    frame: FrameType
    seeing: Seeing | None


class Calls(threading.local):
    """Those of one thread that have not ended, the outermost first."""

    def __init__(self) -> None:
        self.begun: list[Call] = []


class Watch:
    """What ``watch`` returns.

    Attributes
    ----------
    step : int
        Steps seen so far.
    """

    def __init__(self, model: nn.Module, every: int, callback: Callable[[Report], Any] | None) -> None:
        self.step = 0
        self._model, self._every, self._callback = model, every, callback
        self._names: dict[int, str] = {}
        self._sample: Sample | None = None
        self._whole: Sample | None = None
        self._calls = Calls()
        self._lock = threading.RLock()
        self._trouble: str | None = None
        self._said = False
        self._compiled = any(hasattr(m, "_orig_mod") or getattr(m, "_compiled_call_impl", None) is not None for m in model.modules())
        if self._compiled:
            warnings.warn(f"the model, or a part of it, is {_COMPILED}", stacklevel=3)
        self._handles: list[Any] = [
            model.register_forward_pre_hook(Hook(self._before)),
            model.register_forward_hook(Hook(self._after), always_call=True),
        ]

    def report(self) -> Report:
        """The last sampled step whose backward pass has run.

        Where several backward passes go through one step, or one goes through it twice, the gradient of the last one counts.

        Returns
        -------
        Report
            It prints as text; ``to_dict`` and ``scalars`` give its figures.

        Raises
        ------
        ValueError
            Where there was no such step yet, or where nothing in it could be seen.
        """
        sample = self._sample if self._sample and self._sample.can_be_reported() else self._whole
        if sample is not None:
            return self._report_of(sample)
        if self._compiled:
            raise ValueError(f"the model is {_COMPILED}")
        if self.step == 0 and self._trouble is None:
            raise ValueError(
                "the model has had no step yet: a step is a call in training mode with gradients enabled, "
                "and not of what torch.compile made of it"
            )
        if self._troubles_of(self._sample):
            raise ValueError(f"the sampled step could not be measured: {'; '.join(self._troubles_of(self._sample))}")
        if self._sample is not None and not self._sample.layers:
            raise ValueError("nothing was seen in the model's forward pass: it calls no layers or activations of torch in Python")
        raise ValueError(f"no sampled step has had a backward pass yet; of {self.step} steps each {self._every}th is sampled")

    def close(self) -> None:
        """End the watch: nothing of it is left on the model. The last report stays."""
        for call in self._calls.begun:
            self._cut_off(call)
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self._finish()

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _before(self, model: nn.Module, _: Any) -> None:
        if torch.compiler.is_compiling():
            self._say_that_it_is_compiled()
            return
        if self._compiled or self._is_of_another(model):
            return
        if self._quietly(self._is_a_step, model):
            self._finish(self.step % self._every == 0)
            self._quietly(self._begin)

    def _after(self, model: nn.Module, _: Any, __: Any) -> None:
        if torch.compiler.is_compiling() or self._compiled or self._is_of_another(model):
            return
        self._quietly(self._end_the_call)

    def _quietly(self, call: Callable[..., Any], *args: Any) -> Any:
        """What goes wrong in observing a model is said in the report, and never reaches the model."""
        try:
            return call(*args)
        except Exception as error:  # noqa: BLE001
            self._trouble = f"{type(error).__name__}: {error}"
            return None

    def _is_of_another(self, model: nn.Module) -> bool:
        """A replica that has the hooks of the model, or its trace, in which nothing may be computed that it does not."""
        return model is not self._model or torch.jit.is_tracing()

    @torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
    def _say_that_it_is_compiled(self) -> None:
        """While torch.compile compiles it: calls of what it makes show nothing here."""
        if not self._said:
            warnings.warn(f"a watched model is {_COMPILED}", stacklevel=2)
        self._said = True

    def _those_that_run(self) -> list[Call]:
        """The calls of this thread, without those that KeyboardInterrupt ended: torch calls no hook after it."""
        calls = self._calls.begun
        while calls and not is_running(calls[-1].frame):
            self._cut_off(calls[-1])
            del calls[-1]
        return calls

    def _is_a_step(self, model: nn.Module) -> bool:
        """Whether the call that begins is one: not a call inside of another, nor what a backward pass computes again."""
        outermost = not self._those_that_run()
        self._calls.begun.append(Call(_frame_of_the_call(), None))
        return outermost and model.training and torch.is_grad_enabled() and not in_a_backward_pass()

    def _end_the_call(self) -> None:
        calls = self._those_that_run()
        if calls:
            self._end(calls[-1])
            del calls[-1]

    def _begin(self) -> None:
        with self._lock:
            step, self.step = self.step, self.step + 1
            elsewhere = self._sample is not None and self._sample.running and self._sample.thread != threading.get_ident()
            if step % self._every or elsewhere:
                return
            self._sample = sample = Sample(step)
        frame = self._calls.begun[-1].frame
        seeing = Seeing(sample, self._name_of, frame)
        self._calls.begun[-1] = Call(frame, seeing)
        seeing.enter()

    def _end(self, call: Call) -> None:
        if call.seeing is not None:
            call.seeing.leave()
            call.seeing.sample.running = False

    def _cut_off(self, call: Call) -> None:
        """Of half a forward pass nothing is reported."""
        self._end(call)
        with self._lock:
            if call.seeing is not None and self._sample is call.seeing.sample:
                self._sample = None

    def _finish(self, also_of_other_threads: bool = True) -> None:
        """The sampled step is over: what its backward pass has left is reported once."""
        with self._lock:
            sample = self._sample
            if sample is None or sample.running or not sample.can_be_reported():
                return
            if not also_of_other_threads and sample.thread != threading.get_ident():
                return
            self._whole, self._sample = sample, None
        if self._callback is not None:
            self._callback(self._report_of(sample))

    def _report_of(self, sample: Sample) -> Report:
        return Report.of(sample.step, sample.layers, self._troubles_of(sample))

    def _troubles_of(self, sample: Sample | None) -> list[str]:
        return [*([self._trouble] if self._trouble else []), *(sample.troubles if sample else [])]

    def _name_of(self, parameter: Tensor) -> str | None:
        """The module that a parameter belongs to; names are read again where one is not known."""
        if id(parameter) not in self._names:
            self._names = {id(known): name.rpartition(".")[0] for name, known in self._model.named_parameters()}
        return self._names.get(id(parameter))


_COMPILED = (
    "compiled by torch.compile, and nothing is recorded of what that computes; "
    "while it is watched, train it without torch.compile, by calling the model itself"
)


def _frame_of_the_call() -> FrameType:
    """Of torch's call of the model, whose hook runs."""
    caller = sys._getframe(3)  # of the hook, behind Hook and what it calls
    return next((frame for frame in frames() if frame.f_code is _CALLING), caller)


_CALLING = nn.Module._call_impl.__code__


class Hook:
    """A hook of a watch, which no copy of the model has: a copy gets in its place what does nothing and needs no fastsig to load."""

    def __init__(self, call: Callable[..., None]) -> None:
        self.call = call

    def __call__(self, *arguments: Any) -> None:
        self.call(*arguments)

    def __deepcopy__(self, _: Any) -> Any:
        return _NOTHING

    def __reduce__(self) -> Any:
        return _NOTHING.__reduce__()


_NOTHING: Any = contextlib.nullcontext().__exit__
"""It takes any arguments and returns None."""
