"""What a watch has seen in a step, and what it says of it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from fastsig.gradflow import words
from fastsig.gradflow.activations import ACTIVATIONS
from fastsig.system.terminal import columns, table_text

_NAMES = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "ReLU", "leaky_relu": "LeakyReLU", "gelu": "GELU", "silu": "SiLU"}
"""As torch's modules are called."""
_SATURATING = ("sigmoid", "tanh")


def measurable(values: Any) -> bool:
    """Whether it is a tensor with values of its own: no nested one, no other layout, none of the meta device, none inside torch.func."""
    return (
        isinstance(values, Tensor)
        and not values.is_nested
        and values.layout is torch.strided
        and not values.is_meta
        and not torch._C._functorch.is_functorch_wrapped_tensor(values)
    )


class Counted(NamedTuple):
    """How many values are in the tail, or units of a ReLU alive, and of how many; and the sum, which shows whether all are finite.

    What is counted stays a tensor until somebody asks for the report, so that nothing waits for a device.
    """

    some: Tensor | None
    of: int
    sum: Tensor

    @classmethod
    def of_input(cls, activation: str, given: Tensor, unit: int) -> Counted | None:
        """Of what an activation is given, whose units are along that axis; None where there is nothing to count."""
        if not (measurable(given) and given.is_floating_point() and given.ndim and given.numel()):
            return None
        given = given.detach()
        in_tail = ACTIVATIONS[activation].in_tail
        total = given.sum(dtype=torch.float32 if given.itemsize < 4 else None)
        if activation == "relu":
            by_unit = given.movedim(unit, -1).flatten(0, -2) if given.ndim > 1 else given[None]
            return cls(torch.count_nonzero(~(by_unit.amax(0) <= 0)), by_unit.shape[-1], total)
        return cls(None if in_tail is None else torch.count_nonzero(in_tail(given)), given.numel(), total)


class Seen:
    """A layer in one step: what it is, how many of its units are saturated or alive, and the norm of its gradient when that has come."""

    def __init__(self, kind: str | None, module: str | None, opaque: bool, activation: str | None = None) -> None:
        self.kind, self.module, self.opaque, self.activation = kind, module, opaque, activation
        self.counted: Counted | None = None
        self.recomputed = False
        """Hidden from autograd by a reentrant checkpoint, which computes it again in the backward pass."""
        self.unmeasurable = False
        """Its outputs are of a kind that has no values to measure."""
        self.trouble: Exception | None = None
        self._norms: dict[int, Tensor] = {}
        self._outputs = 0
        """How often its outputs were named: the gradient of the last ones counts."""

    def is_like(self, other: Seen) -> bool:
        """The same layer, computed again."""
        return (self.kind, self.module) == (other.kind, other.module) and (self.kind is not None or self.activation == other.activation)

    def has_gradient(self) -> bool:
        return bool(self._norms)

    def norm(self) -> float | None:
        """Of the gradient at its outputs, fetched from their device."""
        return math.hypot(*(float(norm) for norm in self._norms.values())) if self._norms else None

    def has_outputs(self, outputs: Sequence[Tensor]) -> None:
        """These are its outputs, not those that were named before."""
        self._outputs += 1
        self._norms = {}
        self.unmeasurable = not any(measurable(output) for output in outputs)

    def take_gradients_of(self, outputs: Sequence[Tensor]) -> None:
        """Of its outputs."""
        self.has_outputs(outputs)
        for part, output in enumerate(outputs):
            if output.requires_grad and measurable(output):
                output.register_hook(partial(self._take, self._outputs, part))

    def take_gradient_before(self, node: Any, place: int) -> None:
        """Of the output that this node of the graph made in that place, whatever was done to it in place since."""
        if not self.unmeasurable:
            node.register_prehook(partial(self._take_one, self._outputs, place))

    def _take_one(self, outputs: int, place: int, gradients: Sequence[Tensor | None]) -> None:
        self._take(outputs, 0, gradients[place])

    def _take(self, outputs: int, part: int, gradient: Tensor | None) -> None:
        if gradient is None or outputs != self._outputs:  # None: torch has an output that nobody used
            return
        try:
            gradient = gradient.detach()
            if gradient.is_complex():
                gradient = torch.view_as_real(gradient.resolve_conj())
            wide = torch.float32 if gradient.device.type == "mps" else torch.float64
            self._norms[part] = torch.linalg.vector_norm(gradient, dtype=wide)
        except Exception as error:  # noqa: BLE001  # the backward pass goes on, whatever it was
            self.trouble = error


class _Figures(NamedTuple):
    norm: float | None = None
    saturated: float | None = None
    inactive: float | None = None
    not_finite: bool | None = None


@dataclass(frozen=True)
class WatchedLayer:
    """The figures of a layer in one step."""

    label: str
    opaque: bool
    activation: str | None
    saturated: float | None
    inactive: float | None
    not_finite: bool | None
    """Whether values before the activation are NaN or infinite."""
    gradient: float | None
    """The norm of the gradient at its output; None where it was not seen."""
    log10_ratio: float | None
    """log10 of the gradient at its output over that of the last layer; None where it was not seen or is not finite."""

    @property
    def verdict(self) -> str | None:
        return None if self.log10_ratio is None else words.verdict(self.log10_ratio)

    def findings(self) -> list[str]:
        """What can be acted on, with what to try."""
        parts, advice = [], []
        if self.not_finite:
            parts.append("values before the activation are NaN or infinite")
            advice.append("a lower learning rate, clipped gradients, or a look at the data")
        if self.saturated is not None and self.saturated > words.MOSTLY:
            parts.append(f"{self.saturated:.0%} of units saturated")
            advice.append("a norm before the activation, smaller initial weights, or another activation")
        if self.inactive is not None and self.inactive > words.MOSTLY:
            parts.append(f"{self.inactive:.0%} of units are 0 for the whole batch")
            advice.append("a lower learning rate, He initialisation, or leaky_relu")
        if self.verdict in ("vanishes", "weak", "explodes"):
            assert self.log10_ratio is not None
            parts.append(f"gradient {words.power_of_ten(self.log10_ratio)} times the last layer's")
        if not advice and self.verdict in ("vanishes", "weak"):
            other = "ReLU with He initialisation, " if self.activation in _SATURATING else ""
            advice.append(f"{other}batch norm before the activation, skip connections, or larger initial weights")
        if self.verdict == "explodes":
            advice.append("smaller initial weights, a norm on each residual branch, or clipped gradients")
        return [f"{self.label}: {', '.join(parts)}; try {'; or '.join(advice)}"] if parts else []


@dataclass(frozen=True)
class Report:
    """One sampled step of a watched model; it prints as text.

    Attributes
    ----------
    step : int
        Which step it was, counted from 0.
    layers : tuple of WatchedLayer
        In the order in which they were computed.
    notes : tuple of str
        What could not be seen or measured, a sentence each.
    """

    step: int
    layers: tuple[WatchedLayer, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, step: int, seen: Sequence[Seen], troubles: Iterable[str] = ()) -> Report:
        """From what was noted; here the figures are fetched from their device."""
        labels = [_label(number, layer) for number, layer in enumerate(seen, 1)]
        went_wrong = list(troubles)
        figures: list[_Figures] = []
        for layer, label in zip(seen, labels, strict=True):
            try:
                figures.append(_Figures(layer.norm(), *_shares(layer)))
            except Exception as error:  # noqa: BLE001  # what can be told of the other layers is
                figures.append(_Figures())
                went_wrong.append(f"{label}: {type(error).__name__}: {error}")
            if layer.trouble is not None:
                went_wrong.append(f"{label}: {type(layer.trouble).__name__}: {layer.trouble}")
        last = next((found.norm for found in reversed(figures) if found.norm is not None and 0 < found.norm < math.inf), None)
        layers = tuple(
            WatchedLayer(
                label, layer.opaque, layer.activation,
                saturated=found.saturated, inactive=found.inactive, not_finite=found.not_finite, gradient=found.norm,
                log10_ratio=_ratio(found.norm, last),
            )
            for layer, label, found in zip(seen, labels, figures, strict=True)
        )  # fmt: skip
        opaque = [label for label, layer in zip(labels, seen, strict=True) if layer.opaque]
        missed = [label for label, layer in zip(labels, seen, strict=True) if layer.recomputed and not layer.has_gradient()]
        unmeasurable = [label for label, layer in zip(labels, seen, strict=True) if layer.unmeasurable]
        notes = (
            "Without values that could be measured (nested tensors, other layouts, the meta device, torch.func): "
            f"{', '.join(unmeasurable)}."
            if unmeasurable
            else None,
            f"Seen at the output only, for torch computes it at once: {', '.join(opaque)}." if opaque else None,
            f"The checkpoint that computes it again did not show the gradient: {', '.join(missed)}." if missed else None,
            f"Could not be measured: {'; '.join(dict.fromkeys(went_wrong))}." if went_wrong else None,
        )
        return cls(step, layers, tuple(note for note in notes if note))

    @property
    def findings(self) -> list[str]:
        """A line for each layer with something to act on, after one on the gradient as a whole where there is none to compare with."""
        return [*self._unusable(), *(line for layer in self.layers for line in layer.findings())]

    def to_dict(self) -> dict[str, Any]:
        """The figures, findings and notes as plain values; None where a figure was not to be had."""
        layers = [
            {
                "layer": layer.label, "saturated": layer.saturated, "inactive": layer.inactive, "not_finite": layer.not_finite,
                "log10_ratio": layer.log10_ratio, "verdict": layer.verdict, "whole_layer_at_once": layer.opaque,
            }
            for layer in self.layers
        ]  # fmt: skip
        return {"step": self.step, "layers": layers, "findings": self.findings, "notes": list(self.notes)}

    def scalars(self) -> dict[str, float]:
        """The finite figures by name, as TensorBoard's ``add_scalar`` takes them."""
        return {
            f"{name}/{layer.label}": value
            for layer in self.layers
            for name, value in (("saturated", layer.saturated), ("inactive", layer.inactive), ("log10_ratio", layer.log10_ratio))
            if value is not None and math.isfinite(value)
        }

    def __str__(self) -> str:
        header = ["layer", "log10\nratio", "saturated", "inactive"]
        rows = [
            [layer.label, _shown(layer.log10_ratio, "{:.1f}"), _shown(layer.saturated), _shown(layer.inactive)] for layer in self.layers
        ]
        said = self.findings or [
            "Nothing to act on: no layer is mostly saturated or inactive, and the gradient neither vanishes nor explodes."
        ]
        return "\n".join([f"Step {self.step}", table_text(rows, header, columns(), folded=0), *said, *self.notes])

    def _unusable(self) -> list[str]:
        """Said where gradients are NaN, infinite, or all of them 0: no ratio tells of these."""
        norms = [layer.gradient for layer in self.layers if layer.gradient is not None]
        not_finite = [layer.label for layer in self.layers if layer.gradient is not None and not math.isfinite(layer.gradient)]
        if not norms:
            return ["No gradient of this step could be measured."]
        if not any(norms):
            return ["Every gradient of this step is exactly 0: look whether the loss depends on the model's output."]
        if len(not_finite) == len(norms):
            return ["No gradient of this step is finite: look for NaN or infinite values in the loss; a GradScaler skips such a step."]
        if not_finite:
            return [f"The gradient is NaN or infinite at {', '.join(not_finite)}; try a lower learning rate or loss scale"]
        return []


def _label(number: int, seen: Seen) -> str:
    parts = [part for part in (seen.kind, seen.activation and _NAMES[seen.activation]) if part]
    return f"layer {number} ({' -> '.join(parts)}{f', {seen.module}' if seen.module else ''})"


def _shares(seen: Seen) -> tuple[float | None, float | None, bool | None]:
    """What is saturated, what is inactive, and whether something is not finite, of which no share can be told."""
    if seen.counted is None:
        return None, None, None
    if not math.isfinite(seen.counted.sum):
        return None, None, True
    if seen.counted.some is None:
        return None, None, False
    share = int(seen.counted.some) / seen.counted.of
    return (None, 1 - share, False) if seen.activation == "relu" else (share, None, False)


def _ratio(norm: float | None, last: float | None) -> float | None:
    if norm is None or last is None or not math.isfinite(norm):
        return None
    return math.log10(norm) - math.log10(last) if norm > 0 else -math.inf


def _shown(value: float | None, how: str = "{:.0%}") -> str:
    return "" if value is None else how.format(value)
