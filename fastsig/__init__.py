"""fastsig: the logistic family, with exact tails, published ULP, the same bits from every backend, and fast."""

from . import correctly_rounded, ufuncs
from ._version import __version__
from .dispatch.availability import backends
from .dispatch.explanation import explain, get_include, get_library
from .elementwise.functions import log_sigmoid, logit, sigmoid, sigmoid_grad, silu, silu_grad, softplus, tanh, tanh_grad
from .gates.cells import gru_cell, gru_cell_backward, lstm_cell, lstm_cell_backward
from .gates.gated import glu, glu_backward, swiglu, swiglu_backward
from .losses.accumulator import BCEAccumulator
from .losses.cross_entropy import bce, bce_with_logits, bce_with_logits_grad_hess, bce_with_logits_value_and_grad
from .losses.focal import sigmoid_focal_loss, sigmoid_focal_loss_grad_hess, sigmoid_focal_loss_value_and_grad
from .system.num_threads import get_num_threads, set_num_threads

__all__ = [
    "BCEAccumulator",
    "__version__",
    "backends",
    "bce",
    "bce_with_logits",
    "bce_with_logits_grad_hess",
    "bce_with_logits_value_and_grad",
    "correctly_rounded",
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


def __dir__() -> list[str]:
    return __all__
