"""How much of the gradient each layer gets: what was measured, and what it says."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from fastsig.gradflow import words
from fastsig.system.terminal import columns, table_text

MOST_ROWS = 50
"""Of a printed table; of more layers, as many are printed, evenly spaced."""
_BARS = (20, 15, 10, 5)
"""Lengths of the longest bar, from which the first is taken that leaves room for all columns."""


@dataclass(frozen=True)
class Layer:
    """One layer, or one time step, of a network on one batch.

    Attributes
    ----------
    gradient_norm : float
        Frobenius norm of the gradient of the loss with respect to the layer's output; 0 where it is below 1e-323.
    log10_gradient : float
        Its decimal logarithm, at any depth.
    mean_derivative : float
        Mean of the absolute derivative of the activation over units and samples.
    saturated : float or None
        Share in the tail of the activation, where its absolute derivative is below 5% of its maximum; None for the ReLUs.
    inactive : float or None
        Share of units that are 0 for the whole batch; only for the ReLUs.
    log10_product : float
        Sum of log10 ``mean_derivative`` from the last layer down to this one: the activations' part alone.
    output_std : float
        Standard deviation of the output over the batch, a mean over units.
    """

    gradient_norm: float
    log10_gradient: float
    mean_derivative: float
    saturated: float | None
    inactive: float | None
    log10_product: float
    output_std: float

    @classmethod
    def of(cls, log10_gradient: float, mean_derivative: float, log10_product: float, output_std: float, **tails: float | None) -> Layer:
        """With the norm that its logarithm says."""
        norm = math.inf if log10_gradient > 308 else 10.0**log10_gradient
        return cls(norm, log10_gradient, mean_derivative, tails["saturated"], tails["inactive"], log10_product, output_std)


@dataclass(frozen=True)
class Flow:
    """The gradient from the last layer to the first, as ``measure`` and ``measure_recurrent`` return it.

    Attributes
    ----------
    layers : tuple of Layer
        First layer first.
    settings : dict
        What was measured.
    loss, accuracy : float
        Of the batch.
    after : Flow or None
        The same network after its training, where it was trained.
    part : str
        What one of ``layers`` is: ``"layer"`` or ``"time step"``.

    Examples
    --------
    >>> from fastsig import gradflow
    >>> flow = gradflow.measure(depth=3, norm="batch")
    >>> len(flow.layers), flow.verdict
    (3, 'flows')
    >>> sorted(flow.to_dict())
    ['accuracy', 'after', 'conclusion', 'layers', 'log10_ratio', 'loss', 'settings']
    """

    layers: tuple[Layer, ...]
    settings: Mapping[str, Any]
    loss: float
    accuracy: float
    after: Flow | None = None
    part: str = field(default="layer")

    @property
    def log10_ratio(self) -> float:
        """log10 of the first layer's gradient over the last one's: 0 where all of it arrives; NaN where the last has none."""
        first, last = self.layers[0].log10_gradient, self.layers[-1].log10_gradient
        return math.nan if math.isinf(last) else first - last

    @property
    def verdict(self) -> str:
        """``"vanishes"``, ``"weak"``, ``"flows"``, ``"explodes"``, or ``"no gradient"`` where the last layer has none that is finite."""
        return words.verdict(self.log10_ratio)

    @property
    def saturated(self) -> float | None:
        """The share of saturated units, over all layers."""
        shares = [layer.saturated for layer in self.layers if layer.saturated is not None]
        return math.fsum(shares) / len(shares) if shares else None

    @property
    def label(self) -> str:
        """What was measured, in few words."""
        return words.label(self.settings)

    @property
    def conclusion(self) -> str:
        """What the figures say, in a sentence or two."""
        return words.conclusion(self.log10_ratio, self.saturated, self.part)

    def to_dict(self) -> dict[str, Any]:
        """The figures as plain values: ``layers`` (first layer first), ``log10_ratio``, ``conclusion`` and what belongs to them."""
        return {
            "settings": dict(self.settings),
            "layers": [asdict(layer) for layer in self.layers],
            "log10_ratio": self.log10_ratio,
            "conclusion": self.conclusion,
            "loss": self.loss,
            "accuracy": self.accuracy,
            "after": self.after.to_dict() if self.after else None,
        }

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw log10 of the gradient against the layer into a file (png, svg, pdf); needs matplotlib.

        Parameters
        ----------
        path : str or path-like
            It has the picture when all of it is drawn, and is left alone otherwise.

        Raises
        ------
        ImportError
            Without matplotlib (``pip install "fastsig-kernels[plot]"``).
        ValueError
            Where matplotlib does not know the format that the name ends with.
        """
        from fastsig.gradflow.drawing import plot

        plot([self], path)

    def __str__(self) -> str:
        text = f"{self.label}\n{self._table()}\n{self.conclusion}"
        if self.after is None:
            return text
        return f"{text}\n\n{self.after}\nLoss {self.loss:.3g} before and {self.after.loss:.3g} after; {self._accuracies()}."

    def __repr__(self) -> str:
        return f"<Flow: {self.label}; log10 ratio {self.log10_ratio:.3g}, {self.verdict}>"

    def _accuracies(self) -> str:
        after = self.after or self
        return f"accuracy on the batch {self.accuracy:.2f} before and {after.accuracy:.2f} after"

    def _table(self) -> str:
        """As wide as the output: first the bars become shorter, then the last columns are left out."""
        header, rows = self._cells()
        logs = [layer.log10_gradient for layer in self.layers]
        ways = [(length, len(header)) for length in _BARS] + [(_BARS[-1], most) for most in range(len(header) - 1, 1, -1)]
        for length, most in ways:
            bars = words.bars(logs, length)
            shown = [[row[0], row[1], bars[int(row[0]) - 1], *row[2:]][: most + 1] for row in rows]
            text = table_text(shown, [header[0], header[1], "", *header[2:]][: most + 1])
            if len(text.partition("\n")[0]) <= columns():
                break
        return text

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        tail = "inactive" if self.layers[0].saturated is None else "saturated"
        rows = []
        for i in words.evenly(len(self.layers), MOST_ROWS):
            layer = self.layers[i]
            share = layer.inactive if layer.saturated is None else layer.saturated
            rows.append(
                [
                    str(i + 1), f"{layer.log10_gradient:.2f}", f"{layer.mean_derivative:.3g}", f"{share:.0%}",
                    f"{layer.log10_product:.2f}", f"{layer.output_std:.2g}",
                ]
            )  # fmt: skip
        header = [self.part.replace(" ", "\n"), "log10\ngradient", "mean\nderivative", tail, "log10\nproduct", "output\nstd"]
        return header, rows


def products_from_the_last(mean_derivatives: Sequence[float]) -> list[float]:
    """For each layer the sum of log10 of the derivatives from the last layer down to it."""
    sums, total = [], 0.0
    for derivative in reversed(mean_derivatives):
        total += _log10(derivative)
        sums.append(total)
    return sums[::-1]


def log10_product(derivatives: Any) -> float:
    """log10 of the product of the layers' derivatives, as the sum of their logarithms.

    0.1 to the power of 400 is 0 as a float, and its logarithm is -400: sums of logarithms are neither 0 nor infinite at any depth.

    Parameters
    ----------
    derivatives : array, or sequence of numbers or arrays
        A derivative a layer, of NumPy, torch, CuPy, JAX or any library that NumPy reads, of any device. Where a layer has an array of
        derivatives, the mean of their absolute values counts.

    Returns
    -------
    float
        -inf where a layer's derivatives are all 0; 0.0 of no layers.

    Raises
    ------
    ValueError
        Where a derivative is no finite real number, a layer has none, or there are no layers to go through.

    Examples
    --------
    >>> from fastsig.gradflow import log10_product
    >>> log10_product([0.1] * 400)
    -400.0
    >>> round(log10_product([0.25] * 10), 2)
    -6.02
    """
    try:
        layers = _on_host(derivatives) if hasattr(derivatives, "shape") else derivatives
    except (TypeError, ValueError) as error:
        raise ValueError(f"derivatives: {error}") from None
    if not isinstance(layers, Iterable) or isinstance(layers, (str, bytes, Mapping)) or getattr(layers, "shape", None) == ():
        raise ValueError(f"derivatives must be a sequence with a derivative, or an array of them, for each layer; got {derivatives!r}")
    return math.fsum(_log10_mean(number, layer) for number, layer in enumerate(layers, 1))


def _log10_mean(number: int, layer: Any) -> float:
    """Of the absolute values of one layer, also where their sum, or one of them, is beyond the floats."""
    try:
        values = _on_host(layer)
    except OverflowError:
        if isinstance(layer, int):
            return math.log10(abs(layer))
        values = np.full(1, math.nan)
    except (TypeError, ValueError) as error:
        raise ValueError(f"derivatives: those of layer {number} are no array of numbers: {error}") from None
    values = np.abs(values)
    if not values.size or not np.isfinite(values).all():
        what = "contain NaN or infinite values" if values.size else "are none"
        raise ValueError(f"derivatives: those of layer {number} {what}; each must be a finite number")
    largest = float(values.max())
    return math.log10(largest) + math.log10(float((values / largest).mean())) if largest > 0 else -math.inf


def _on_host(values: Any) -> np.ndarray[Any, np.dtype[np.float64]]:
    if hasattr(values, "detach"):  # torch
        values = values.detach().cpu().resolve_conj().numpy() if values.is_complex() else values.detach().double().cpu().numpy()
    elif hasattr(values, "__cuda_array_interface__") and hasattr(values, "get"):  # CuPy
        values = values.get()
    array = np.asarray(values)
    if array.dtype.kind in "cSUmM":
        raise TypeError(f"they are of dtype {array.dtype}, and must be real numbers")
    if array.dtype.kind == "O" and any(isinstance(value, (str, bytes, complex)) for value in array.flat):
        raise TypeError("they must be real numbers")
    return array.astype(np.float64)


def _log10(value: float) -> float:
    return math.log10(value) if value > 0 else math.nan if math.isnan(value) else -math.inf
