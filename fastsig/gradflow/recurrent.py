"""A recurrent cell over time: how much of the last step's gradient each earlier one gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastsig.gradflow.activations import ACTIVATIONS
from fastsig.gradflow.arguments import LARGEST_SEED, finite, known, whole
from fastsig.gradflow.backward import Segment, cut, log10_gradients, reproducibly
from fastsig.gradflow.experiment import HOST, described
from fastsig.gradflow.flow import Flow


class Cell(NamedTuple):
    """One of torch's cells: its gates in their order, of which the update gate keeps the state in a GRU, as the forget gate in an LSTM."""

    make: Callable[..., Any]
    gates: tuple[str, ...]


CELLS = {
    "rnn": Cell(nn.RNNCell, ("tanh",)),
    "lstm": Cell(nn.LSTMCell, ("input", "forget", "tanh", "output")),
    "gru": Cell(nn.GRUCell, ("reset", "update", "tanh")),
}
RECURRENT_INITS: dict[str, Callable[[Tensor], Any] | None] = {
    "plain": None,
    "glorot": nn.init.xavier_uniform_,
    "orthogonal": nn.init.orthogonal_,
}
"""How the recurrent weights of each gate are drawn; all else is torch's own, as with "plain"."""


def measure_recurrent(
    cell: str = "rnn",
    steps: int = 100,
    hidden: int = 64,
    init: str = "plain",
    forget_bias: float | None = None,
    update_bias: float | None = None,
    batch: int = 128,
    classes: int = 10,
    features: int = 64,
    seed: int = 0,
) -> Flow:
    """Measure the gradient at each time step of a recurrent cell whose last step is classified.

    What a step hands to the next is its output here: the hidden state, and with an LSTM the cell's state as well. The gradient at the
    last step is that of the loss, the one at the first has gone through all steps. ``mean_derivative`` and ``saturated`` count all
    activations in the cell together, gates and candidate. Inputs are N(0, 1) at every step; there is no training.

    Parameters
    ----------
    cell : {"rnn", "lstm", "gru"}
    steps, hidden : int
        Time steps, and units.
    init : {"plain", "glorot", "orthogonal"}
        The distribution of the recurrent weights, each gate's by itself; ``"plain"`` is torch's own. All other weights are torch's own.
    forget_bias : float, optional
        The bias of an LSTM's forget gate, instead of torch's, which is drawn around 0.
    update_bias : float, optional
        The bias of a GRU's update gate, which keeps the state where it is large.
    batch, classes, features : int
        Sequences, classes that are drawn evenly, and features of the input at a step.
    seed : int
        Of weights and data. torch's own random state stays as it is.

    Returns
    -------
    Flow
        With a time step for each of ``layers``, the first one first.

    Raises
    ------
    ValueError
        An unknown name, a size below 1, a bias of a gate that the cell does not have, or that is no finite number.

    Examples
    --------
    >>> from fastsig import gradflow
    >>> gradflow.measure_recurrent("lstm", forget_bias=3).verdict
    'flows'
    """
    known("cell", cell, CELLS)
    known("init", init, RECURRENT_INITS)
    sizes = {
        name: whole(name, value)
        for name, value in {"steps": steps, "hidden": hidden, "batch": batch, "classes": classes, "features": features}.items()
    }
    biases = {
        gate: None if bias is None else finite(f"{gate}_bias", bias) for gate, bias in (("forget", forget_bias), ("update", update_bias))
    }
    for gate, bias in biases.items():
        if bias is not None and gate not in CELLS[cell].gates:
            owner = next(name for name, other in CELLS.items() if gate in other.gates)
            raise ValueError(f"{gate}_bias={bias:g}: cell={cell!r} has no {gate} gate; cell={owner!r} has one")
    settings: dict[str, Any] = {
        "cell": cell,
        **sizes,
        "init": init,
        **{f"{gate}_bias": bias for gate, bias in biases.items()},
        "seed": whole("seed", seed, 0, LARGEST_SEED),
    }
    with reproducibly(settings["seed"]):
        recurrent = _cell(settings)
        head = nn.Linear(sizes["hidden"], sizes["classes"], **HOST)
        x = torch.randn(sizes["steps"], sizes["batch"], sizes["features"], **HOST)
        y = torch.randint(sizes["classes"], (sizes["batch"],), device="cpu")
        return _flow(recurrent, head, x, y, settings)


def _cell(settings: dict[str, Any]) -> Any:
    kind, hidden = CELLS[settings["cell"]], settings["hidden"]
    cell = kind.make(settings["features"], hidden, **HOST)
    draw = RECURRENT_INITS[settings["init"]]
    with torch.no_grad():
        if draw is not None:
            for weights in cell.weight_hh.split(hidden):
                draw(weights)
        for place, gate in enumerate(kind.gates):
            bias = settings.get(f"{gate}_bias")
            if bias is not None:
                cell.bias_ih[place * hidden : (place + 1) * hidden] = bias
                cell.bias_hh[place * hidden : (place + 1) * hidden] = 0
    return cell


def _flow(cell: Any, head: nn.Linear, x: Tensor, y: Tensor, settings: dict[str, Any]) -> Flow:
    zero = torch.zeros(settings["batch"], settings["hidden"], **HOST)
    state: tuple[Tensor, ...] = (zero, zero) if settings["cell"] == "lstm" else (zero,)
    segments, seen = [], []
    for now in x:
        inputs = cut(*state)
        output = cell(now, inputs if len(inputs) > 1 else inputs[0])
        state = tuple(output) if len(inputs) > 1 else (output,)
        segments.append(Segment(inputs, state))
        seen.append(_statistics(cell, settings["cell"], now, inputs[0].detach(), state[0].detach()))
    (last,) = cut(state[0])
    logits = head(last)
    loss = functional.cross_entropy(logits, y)
    gradients = [*torch.autograd.grad(loss, last), *[torch.zeros_like(last) for _ in state[1:]]]
    accuracy = float((logits.argmax(1) == y).double().mean())
    return Flow(described(log10_gradients(segments, gradients), seen), settings, float(loss.detach()), accuracy, part="time step")


def _statistics(cell: Any, name: str, x: Tensor, h: Tensor, output: Tensor) -> dict[str, float | None]:
    derivatives, tails = [], []
    for gate, before in zip(CELLS[name].gates, _before_activation(cell, name, x, h), strict=True):
        activation = ACTIVATIONS["tanh" if gate == "tanh" else "sigmoid"]
        assert activation.in_tail is not None
        derivatives.append(float(activation.derivative(before).mean()))
        tails.append(float(activation.in_tail(before).double().mean()))
    return {
        "mean_derivative": sum(derivatives) / len(derivatives),
        "saturated": sum(tails) / len(tails),
        "inactive": None,
        "output_std": float(output.double().std(0, correction=0).mean()),
    }


@torch.no_grad()  # type: ignore[untyped-decorator]
def _before_activation(cell: Any, name: str, x: Tensor, h: Tensor) -> list[Tensor]:
    """What the cell's gates and candidate are the activations of, in their order, in float64."""
    of_input = functional.linear(x, cell.weight_ih, cell.bias_ih).double()
    of_state = functional.linear(h, cell.weight_hh, cell.bias_hh).double()
    if name != "gru":
        return list((of_input + of_state).chunk(len(CELLS[name].gates), 1))
    (reset_i, update_i, new_i), (reset_h, update_h, new_h) = of_input.chunk(3, 1), of_state.chunk(3, 1)
    reset = reset_i + reset_h
    return [reset, update_i + update_h, new_i + torch.sigmoid(reset) * new_h]
