"""A deep network on one batch: how much gradient each of its layers gets, before and after training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fastsig.gradflow.activations import ACTIVATIONS, Activation
from fastsig.gradflow.arguments import LARGEST_SEED, finite, known, labelled_batch, whole
from fastsig.gradflow.backward import Segment, cut, log10_gradients, reproducibly
from fastsig.gradflow.flow import Flow, Layer, products_from_the_last

HOST = {"device": "cpu", "dtype": torch.float32}

NORMS: dict[str, Callable[[int], Any]] = {
    "none": lambda width: nn.Identity(),
    "batch": lambda width: nn.BatchNorm1d(width, **HOST),
    "layer": lambda width: nn.LayerNorm(width, **HOST),
}
INITS: dict[str, Callable[[Tensor], Any] | None] = {
    "plain": None,
    "glorot": nn.init.xavier_uniform_,
    "he": lambda weight: nn.init.kaiming_uniform_(weight, nonlinearity="relu"),
}
"""How the weights of a linear layer are drawn; "plain" is what nn.Linear does by itself, and the others have biases of 0."""
OPTIMIZERS: dict[str, tuple[Any, float]] = {"sgd": (torch.optim.SGD, 0.1), "adam": (torch.optim.Adam, 1e-3)}
"""Each with its learning rate."""


def measure(
    depth: int = 10,
    width: int = 64,
    activation: str = "sigmoid",
    init: str = "glorot",
    gain: float = 1.0,
    norm: str = "none",
    residual: bool = False,
    batch: int = 128,
    classes: int = 10,
    data: tuple[Any, Any] | None = None,
    optimizer: str | None = None,
    steps: int = 0,
    seed: int = 0,
) -> Flow:
    """Measure the gradient at the output of each layer of a deep network.

    A layer is ``nn.Linear``, the norm, the activation, and with ``residual`` its input added to that. After the last one a linear layer
    gives the logits; the loss is the mean cross-entropy. The gradient is that of the loss with respect to a layer's output; it is
    brought back to norm 1 at every layer of the backward pass, and the logarithms are added, so that no depth makes it 0.

    Parameters
    ----------
    depth, width : int
        Layers, and units of each.
    activation : {"sigmoid", "tanh", "relu", "leaky_relu", "gelu", "silu"}
    init : {"plain", "glorot", "he"}
        nn.Linear's own, Glorot's and He's uniform distribution; with the last two the biases are 0.
    gain : float
        The weights of the layers are multiplied by it.
    norm : {"none", "batch", "layer"}
        Before the activation, by the statistics of the batch.
    residual : bool
        Add a layer's input to its output, where both have the same width.
    batch, classes : int
        Samples, which are N(0, 1) in ``width`` features, and labels, which are drawn evenly: to learn them is to memorise them.
    data : (x, y), optional
        Samples by features, and the class of each, in place of those.
    optimizer : {"sgd", "adam"}, optional
        Measure again after ``steps`` of training on the whole batch, with a learning rate of 0.1 for SGD and 0.001 for Adam.
    steps : int
        Of training.
    seed : int
        Of weights and data. torch's own random state stays as it is.

    Returns
    -------
    Flow
        Of float32 weights, on the CPU, with norms, means and deviations accumulated in float64.

    Raises
    ------
    ValueError
        An unknown name, a size or number of steps below 1, a gain that is no finite number above 0, NaN in the data, a batch norm of one
        sample, ``steps`` without ``optimizer``, a seed that is none of 0 to 2**64 - 1.
    TypeError
        A size that is no whole number, a gain that is no number.

    Examples
    --------
    >>> from fastsig import gradflow
    >>> flow = gradflow.measure(depth=50)
    >>> flow
    <Flow: sigmoid, glorot, depth 50; log10 ratio -30.8, vanishes>
    >>> gradflow.measure(depth=50, residual=True)
    <Flow: sigmoid, glorot, residual, depth 50; log10 ratio 0.0865, flows>
    """
    known("activation", activation, ACTIVATIONS)
    known("init", init, INITS)
    known("norm", norm, NORMS)
    sizes = {name: whole(name, value) for name, value in {"depth": depth, "width": width, "batch": batch, "classes": classes}.items()}
    gain = finite("gain", gain, positive=True)
    steps = _steps(optimizer, steps)
    seed = whole("seed", seed, 0, LARGEST_SEED)
    with reproducibly(seed):
        given = None if data is None else labelled_batch(data, sizes["classes"])
    samples = sizes["batch"] if given is None else len(given[0])
    if norm == "batch" and samples < 2:
        raise ValueError("norm='batch' needs two samples or more, for it divides by their deviation")
    settings: dict[str, Any] = {
        **sizes, "batch": samples, "activation": activation, "init": init, "gain": gain, "norm": norm, "residual": bool(residual),
        "optimizer": optimizer, "steps": steps, "seed": seed,
    }  # fmt: skip
    with reproducibly(settings["seed"]):
        features = sizes["width"] if given is None else given[0].shape[1]
        network = Network(settings, features)
        x, y = given or (torch.randn(samples, features, **HOST), torch.randint(classes, (samples,), device="cpu"))
        before = _flow(network, x, y, settings)
        if optimizer is None:
            return before
        _train(network, x, y, optimizer, steps)
        after = _flow(network, x, y, settings)
    return replace(before, after=after)


def _steps(optimizer: str | None, steps: int) -> int:
    """The steps of training, of which there are some where there is an optimizer."""
    if optimizer is None:
        if whole("steps", steps, 0):
            raise ValueError(f"steps={steps} of training need an optimizer: {' or '.join(map(repr, OPTIMIZERS))}")
        return 0
    known("optimizer", optimizer, OPTIMIZERS)
    return whole("steps", steps)


class Block(nn.Module):  # type: ignore[misc]
    """One layer: linear, norm, activation, and with ``residual`` the input added."""

    def __init__(self, features: int, settings: dict[str, Any]) -> None:
        super().__init__()
        width = settings["width"]
        self.linear = nn.Linear(features, width, **HOST)
        self.norm = NORMS[settings["norm"]](width)
        self.function = ACTIVATIONS[settings["activation"]].function
        self.residual = settings["residual"] and features == width
        initialise(self.linear, settings["init"])
        with torch.no_grad():
            self.linear.weight *= settings["gain"]

    def before_activation(self, x: Tensor) -> Any:
        return self.norm(self.linear(x))

    def activated(self, x: Tensor, before: Tensor) -> Any:
        output = self.function(before)
        return output + x if self.residual else output

    def forward(self, x: Tensor) -> Any:
        return self.activated(x, self.before_activation(x))


class Network(nn.Module):  # type: ignore[misc]
    """The layers, and the linear one that gives the logits."""

    def __init__(self, settings: dict[str, Any], features: int) -> None:
        super().__init__()
        widths = [features, *[settings["width"]] * settings["depth"]]
        self.blocks = nn.ModuleList([Block(width, settings) for width in widths[:-1]])
        self.head = nn.Linear(settings["width"], settings["classes"], **HOST)
        initialise(self.head, settings["init"])

    def forward(self, x: Tensor) -> Any:
        for block in self.blocks:
            x = block(x)
        return self.head(x)


def initialise(linear: nn.Linear, init: str) -> None:
    """Draw its weights."""
    draw = INITS[init]
    if draw is not None:
        draw(linear.weight)
        nn.init.zeros_(linear.bias)


def _train(network: Network, x: Tensor, y: Tensor, optimizer: str, steps: int) -> None:
    kind, rate = OPTIMIZERS[optimizer]
    stepping = kind(network.parameters(), lr=rate)
    for _ in range(steps):
        stepping.zero_grad()
        functional.cross_entropy(network(x), y).backward()
        stepping.step()


def _flow(network: Network, x: Tensor, y: Tensor, settings: dict[str, Any]) -> Flow:
    activation = ACTIVATIONS[settings["activation"]]
    segments, seen = [], []
    output = x
    for block in network.blocks:
        (inputs,) = cut(output)
        before = block.before_activation(inputs)
        output = block.activated(inputs, before)
        segments.append(Segment([inputs], [output]))
        seen.append(statistics(activation, before.detach(), block.function(before.detach()), output.detach()))
    (last,) = cut(output)
    logits = network.head(last)
    loss = functional.cross_entropy(logits, y)
    logs = log10_gradients(segments, torch.autograd.grad(loss, last))
    return Flow(described(logs, seen), settings, float(loss.detach()), float((logits.argmax(1) == y).double().mean()))


def statistics(activation: Activation, before: Tensor, activated: Tensor, output: Tensor) -> dict[str, float | None]:
    """What a layer's activation and output look like over the batch."""
    x = before.double()
    tails = None if activation.in_tail is None else float(activation.in_tail(x).double().mean())
    return {
        "mean_derivative": float(activation.derivative(x).abs().mean()),
        "saturated": tails,
        "inactive": float((activated == 0).all(0).double().mean()) if tails is None else None,
        "output_std": float(output.double().std(0, correction=0).mean()),
    }


def described(logs: list[float], seen: list[dict[str, Any]]) -> tuple[Layer, ...]:
    """The layers, first one first."""
    products = products_from_the_last([layer["mean_derivative"] for layer in seen])
    return tuple(Layer.of(log, log10_product=product, **layer) for log, product, layer in zip(logs, products, seen, strict=True))
