"""fastsig: the logistic family, with exact tails, published ULP, the same bits from every backend, and fast."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from . import ufuncs
from ._version import __version__
from .dispatch.availability import backends
from .system.first_calls import LOCK
from .system.num_threads import get_num_threads, set_num_threads

_LOADED_WHEN_USED = {
    "dispatch.explanation": ("explain", "get_include", "get_library"),
    "elementwise.functions": (
        "log_sigmoid", "logit", "sigmoid", "sigmoid_grad", "silu", "silu_grad", "softplus", "tanh", "tanh_grad",
    ),
    "gates.cells": ("gru_cell", "gru_cell_backward", "lstm_cell", "lstm_cell_backward"),
    "gates.gated": ("glu", "glu_backward", "swiglu", "swiglu_backward"),
    "losses.accumulator": ("BCEAccumulator",),
    "losses.cross_entropy": ("bce", "bce_with_logits", "bce_with_logits_grad_hess", "bce_with_logits_value_and_grad"),
    "losses.focal": ("sigmoid_focal_loss", "sigmoid_focal_loss_grad_hess", "sigmoid_focal_loss_value_and_grad"),
}  # fmt: skip
"""The public names by their module: together they take as long to load as a fifth of NumPy, and few programs use all."""

__all__ = [
    "BCEAccumulator",
    "__version__",
    "backends",
    "bce",
    "bce_with_logits",
    "bce_with_logits_grad_hess",
    "bce_with_logits_value_and_grad",
    "explain",
    "get_include",
    "get_library",
    "get_num_threads",
    "glu",
    "glu_backward",
    "gru_cell",
    "gru_cell_backward",
    "log_sigmoid",
    "logit",
    "lstm_cell",
    "lstm_cell_backward",
    "set_num_threads",
    "sigmoid",
    "sigmoid_focal_loss",
    "sigmoid_focal_loss_grad_hess",
    "sigmoid_focal_loss_value_and_grad",
    "sigmoid_grad",
    "silu",
    "silu_grad",
    "softplus",
    "swiglu",
    "swiglu_backward",
    "tanh",
    "tanh_grad",
    "ufuncs",
]


def __getattr__(name: str) -> Any:
    for room, names in _LOADED_WHEN_USED.items():
        if name in names:
            with LOCK:
                module = import_module(f"{__name__}.{room}")
            globals().update({public: getattr(module, public) for public in names})
            return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
