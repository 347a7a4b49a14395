"""fastsig: the logistic family, with exact tails, published ULP, the same bits from every backend, and fast."""

from . import ufuncs
from .accumulate import BCEAccumulator
from .api import log_sigmoid, logit, sigmoid, sigmoid_grad, silu, silu_grad, softplus
from .backends.limits import get_num_threads, set_num_threads
from .dispatch import backends
from .focal import sigmoid_focal_loss, sigmoid_focal_loss_value_and_grad
from .introspection import explain, get_include, get_library
from .losses import (
    bce,
    bce_with_logits,
    bce_with_logits_grad_hess,
    bce_with_logits_value_and_grad,
)

__all__ = [
    "BCEAccumulator",
    "backends",
    "bce",
    "bce_with_logits",
    "bce_with_logits_grad_hess",
    "bce_with_logits_value_and_grad",
    "explain",
    "get_include",
    "get_library",
    "get_num_threads",
    "log_sigmoid",
    "logit",
    "set_num_threads",
    "sigmoid",
    "sigmoid_focal_loss",
    "sigmoid_focal_loss_value_and_grad",
    "sigmoid_grad",
    "silu",
    "silu_grad",
    "softplus",
    "ufuncs",
]


__version__ = "0.1.0"
