"""torch's modules with fastsig's functions, and their exchange in a model."""

from __future__ import annotations

from typing import Any, TypeVar

from torch import Tensor, nn

from fastsig.interop.torch import elementwise, gates, losses

Model = TypeVar("Model")


class Sigmoid(nn.Sigmoid):  # type: ignore[misc]
    """`torch.nn.Sigmoid` by `sigmoid`.

    Examples
    --------
    >>> import torch
    >>> import fastsig.interop.torch as ft
    >>> ft.Sigmoid()(torch.zeros(2))
    tensor([0.5000, 0.5000])
    """

    def forward(self, input: Tensor) -> Tensor:
        return elementwise.sigmoid(input)


class SiLU(nn.SiLU):  # type: ignore[misc]
    """`torch.nn.SiLU` by `silu`.

    Examples
    --------
    >>> import torch
    >>> import fastsig.interop.torch as ft
    >>> ft.SiLU(inplace=True)
    SiLU(inplace=True)
    """

    def forward(self, input: Tensor) -> Tensor:
        return elementwise.silu(input, self.inplace)


class LogSigmoid(nn.LogSigmoid):  # type: ignore[misc]
    """`torch.nn.LogSigmoid` by `logsigmoid`.

    Examples
    --------
    >>> import torch
    >>> import fastsig.interop.torch as ft
    >>> ft.LogSigmoid()(torch.zeros(2))
    tensor([-0.6931, -0.6931])
    """

    def forward(self, input: Tensor) -> Tensor:
        return elementwise.logsigmoid(input)


class Softplus(nn.Softplus):  # type: ignore[misc]
    """`torch.nn.Softplus` by `softplus`.

    Examples
    --------
    >>> import torch
    >>> import fastsig.interop.torch as ft
    >>> ft.Softplus(beta=2.0)
    Softplus(beta=2.0, threshold=20.0)
    """

    def forward(self, input: Tensor) -> Tensor:
        return elementwise.softplus(input, self.beta, self.threshold)


class Tanh(nn.Tanh):  # type: ignore[misc]
    """`torch.nn.Tanh` by `tanh`.

    Examples
    --------
    >>> import torch
    >>> import fastsig.interop.torch as ft
    >>> ft.Tanh()(torch.zeros(2))
    tensor([0., 0.])
    """

    def forward(self, input: Tensor) -> Tensor:
        return elementwise.tanh(input)


class GLU(nn.GLU):  # type: ignore[misc]
    """`torch.nn.GLU` by `glu`.

    Examples
    --------
    >>> import torch
    >>> import fastsig.interop.torch as ft
    >>> ft.GLU()(torch.tensor([[1.0, 2.0, 0.0, 100.0]]))
    tensor([[0.5000, 2.0000]])
    """

    def forward(self, input: Tensor) -> Tensor:
        return gates.glu(input, self.dim)


def _batch(name: str, **given: Tensor) -> tuple[bool, list[Tensor]]:
    """Whether there is a batch, and all with one."""
    for what, x in given.items():
        if x.dim() not in (1, 2):
            raise ValueError(f"{name}: {what} has {x.dim()} dimensions; give one of (features), or two of (batch, features)")
    batched = given["input"].dim() == 2
    return batched, [x if batched else x.unsqueeze(0) for x in given.values()]


class LSTMCell(nn.LSTMCell):  # type: ignore[misc]
    """`torch.nn.LSTMCell` by `lstm_cell`.

    Examples
    --------
    >>> import torch
    >>> import fastsig.interop.torch as ft
    >>> cell = ft.LSTMCell(2, 3)
    >>> h, c = cell(torch.zeros(5, 2))
    >>> h.shape, c.shape
    (torch.Size([5, 3]), torch.Size([5, 3]))
    """

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        states = {} if hx is None else {"hx[0]": hx[0], "hx[1]": hx[1]}
        batched, (x, *both) = _batch("LSTMCell", input=input, **states)
        h, c = both if both else [x.new_zeros(x.shape[0], self.hidden_size)] * 2
        h, c = gates.lstm_cell(x, (h, c), self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return (h, c) if batched else (h.squeeze(0), c.squeeze(0))


class GRUCell(nn.GRUCell):  # type: ignore[misc]
    """`torch.nn.GRUCell` by `gru_cell`.

    Examples
    --------
    >>> import torch
    >>> import fastsig.interop.torch as ft
    >>> ft.GRUCell(2, 3, bias=False)(torch.zeros(2)).shape
    torch.Size([3])
    """

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        batched, (x, *state) = _batch("GRUCell", input=input, **({} if hx is None else {"hx": hx}))
        h = state[0] if state else x.new_zeros(x.shape[0], self.hidden_size)
        h = gates.gru_cell(x, h, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        return h if batched else h.squeeze(0)


class BCEWithLogitsLoss(nn.BCEWithLogitsLoss):  # type: ignore[misc]
    """`torch.nn.BCEWithLogitsLoss` by `binary_cross_entropy_with_logits`.

    Parameters
    ----------
    *args, **keywords
        As of torch's module.
    label_smoothing : float
        As of `binary_cross_entropy_with_logits`; so is ``mask`` of a call.

    Examples
    --------
    >>> import torch
    >>> import fastsig.interop.torch as ft
    >>> ft.BCEWithLogitsLoss(reduction="sum")(torch.zeros(2), torch.ones(2))
    tensor(1.3863)
    """

    label_smoothing = 0.0

    def __init__(self, *args: Any, label_smoothing: float = 0.0, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.label_smoothing = label_smoothing

    def forward(self, input: Tensor, target: Tensor, mask: Tensor | None = None) -> Tensor:
        return losses.binary_cross_entropy_with_logits(
            input, target, self.weight, reduction=self.reduction, pos_weight=self.pos_weight,
            label_smoothing=self.label_smoothing, mask=mask,
        )  # fmt: skip


class BCELoss(nn.BCELoss):  # type: ignore[misc]
    """`torch.nn.BCELoss` by `binary_cross_entropy`.

    Examples
    --------
    >>> import torch
    >>> import fastsig.interop.torch as ft
    >>> ft.BCELoss()(torch.full((2,), 0.5), torch.ones(2))
    tensor(0.6931)
    """

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return losses.binary_cross_entropy(input, target, self.weight, reduction=self.reduction)


OURS: dict[type, type] = {
    getattr(nn, ours.__name__): ours
    for ours in (Sigmoid, SiLU, LogSigmoid, Softplus, Tanh, GLU, LSTMCell, GRUCell, BCEWithLogitsLoss, BCELoss)
}
"""torch's class and ours, for every module that there is."""


def _exchange(name: str, model: Model, classes: dict[type, type]) -> Model:
    if not isinstance(model, nn.Module):
        raise TypeError(f"{name}: model is {type(model).__name__}; give a torch.nn.Module")
    for module in model.modules():
        found = classes.get(type(module))
        if found is not None:
            module.__class__ = found
    return model


def replace(model: Model) -> Model:
    """Let the modules of a model, and the model itself, compute with fastsig.

    A module keeps its identity, parameters, hooks and state: only its class is another, which is a subclass of torch's. Subclasses of
    torch's modules that others wrote are left alone, and so are functions that a model calls.

    Parameters
    ----------
    model : torch.nn.Module
        Changed where it stands.

    Returns
    -------
    torch.nn.Module
        The model.

    Raises
    ------
    TypeError
        No module.

    See Also
    --------
    restore : gives torch's classes back.

    Examples
    --------
    >>> import torch
    >>> import fastsig.interop.torch as ft
    >>> model = ft.replace(torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Sigmoid()))
    >>> isinstance(model[1], ft.Sigmoid)
    True
    """
    return _exchange("replace", model, OURS)


def restore(model: Model) -> Model:
    """Let the modules of a model compute with torch again, after `replace`.

    Parameters
    ----------
    model : torch.nn.Module
        Changed where it stands.

    Returns
    -------
    torch.nn.Module
        The model.

    Raises
    ------
    TypeError
        No module.

    See Also
    --------
    replace : the other way.

    Examples
    --------
    >>> import torch
    >>> import fastsig.interop.torch as ft
    >>> type(ft.restore(ft.Sigmoid())) is torch.nn.Sigmoid
    True
    """
    return _exchange("restore", model, {ours: torchs for torchs, ours in OURS.items()})
