"""fastsig in torch: functions and modules with torch's names and meaning, and fastsig's kernels.

Every function has gradients of any order, tangents, and rules for ``torch.func``, ``torch.compile`` and ``torch.export``; docs/torch.md.

Examples
--------
>>> import torch
>>> import fastsig.interop.torch as ft
>>> x = torch.tensor([-100.0, 0.0, 2.0], requires_grad=True)
>>> ft.sigmoid(x).sum().backward()
>>> x.grad
tensor([3.7835e-44, 2.5000e-01, 1.0499e-01])
"""

from __future__ import annotations

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError("fastsig.interop.torch needs torch 2.4 or newer: pip install 'fastsig-kernels[torch]'") from error

from fastsig.interop.torch.elementwise import logit, logsigmoid, sigmoid, silu, softplus, tanh
from fastsig.interop.torch.elementwise import of_tensor as elementwise_of_tensor  # noqa: F401  # where fastsig's own functions send one
from fastsig.interop.torch.gates import glu, gru_cell, lstm_cell
from fastsig.interop.torch.gates import of_tensors as gate_of_tensors  # noqa: F401  # where fastsig's own gates send tensors
from fastsig.interop.torch.loss_calls import of_tensors as loss_of_tensors  # noqa: F401  # and its losses
from fastsig.interop.torch.losses import binary_cross_entropy, binary_cross_entropy_with_logits, sigmoid_focal_loss
from fastsig.interop.torch.modules import (
    GLU,
    BCELoss,
    BCEWithLogitsLoss,
    GRUCell,
    LogSigmoid,
    LSTMCell,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
    replace,
    restore,
)

__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "GLU",
    "GRUCell",
    "LSTMCell",
    "LogSigmoid",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "Tanh",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "glu",
    "gru_cell",
    "logit",
    "logsigmoid",
    "lstm_cell",
    "replace",
    "restore",
    "sigmoid",
    "sigmoid_focal_loss",
    "silu",
    "softplus",
    "tanh",
]
