"""What a checker of types is told of the public names: what goes in, and what comes back for it.

No library is needed for it: an object of pandas, xarray, dask or CuPy is known by the method that NumPy's ufuncs ask, and a tensor of
torch by what it says of its gradient.
"""

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypedDict, TypeVar, overload

import numpy as np
from numpy.typing import DTypeLike, NDArray
from typing_extensions import Unpack

from . import correctly_rounded as correctly_rounded
from . import ufuncs as ufuncs
from ._version import __version__ as __version__
from .dispatch.availability import backends as backends
from .dispatch.explanation import explain as explain
from .dispatch.explanation import get_include as get_include
from .dispatch.explanation import get_library as get_library
from .losses.accumulator import BCEAccumulator as BCEAccumulator
from .system.num_threads import get_num_threads as get_num_threads
from .system.num_threads import set_num_threads as set_num_threads

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

class _AsksForUfuncs(Protocol):
    def __array_ufunc__(self, ufunc: Any, method: Any, /, *inputs: Any, **kwargs: Any) -> Any: ...

class _IsTensor(Protocol):
    @property
    def is_cuda(self) -> bool: ...
    def requires_grad_(self, requires_grad: bool = ..., /) -> Any: ...

_Array = TypeVar("_Array", bound=_AsksForUfuncs | _IsTensor)
"""What comes back as what it was."""
_Tensor = TypeVar("_Tensor", bound=_IsTensor)
_F = TypeVar("_F", bound=np.floating[Any])
_G = TypeVar("_G", bound=np.floating[Any])
_Integers = NDArray[np.integer[Any] | np.bool_]
_Numbers = Sequence[float] | Sequence[Sequence[float]] | Sequence[Sequence[Sequence[float]]]
_Reduced = Literal["mean", "sum", "weighted_mean"]

class _Options(TypedDict, total=False):
    backend: str | None
    threads: int | None

class _UfuncOptions(_Options, total=False):
    where: Any
    casting: str
    order: str
    subok: bool

class _GateOptions(_Options, total=False):
    out: Any

class _LossOptions(_Options, total=False):
    weight: Any
    mask: Any
    check: bool
    out: Any

class _LogitsOptions(_LossOptions, total=False):
    pos_weight: Any
    label_smoothing: float

class _FocalOptions(_LossOptions, total=False):
    alpha: Any
    gamma: float

class _GradOptions(_LogitsOptions, total=False):
    grad_out: Any

class _FocalGradOptions(_FocalOptions, total=False):
    grad_out: Any

class _GradHessOptions(_Options, total=False):
    weight: Any
    mask: Any
    check: bool
    pos_weight: Any
    label_smoothing: float
    grad_out: Any
    hess_out: Any

class _FocalGradHessOptions(_Options, total=False):
    weight: Any
    mask: Any
    check: bool
    alpha: Any
    gamma: float
    grad_out: Any
    hess_out: Any

class _Elementwise(Protocol):
    """A function of one input, called as NumPy's ufuncs are."""

    __name__: str
    @overload
    def __call__(self, x: Any, /, out: _Array | tuple[_Array], *, dtype: DTypeLike = ..., **options: Unpack[_UfuncOptions]) -> _Array: ...
    @overload
    def __call__(
        self, x: float | np.number[Any] | np.bool_, /, out: None = ..., *, dtype: type[_G], **options: Unpack[_UfuncOptions]
    ) -> _G: ...
    @overload
    def __call__(
        self, x: NDArray[Any] | _Numbers, /, out: None = ..., *, dtype: type[_G], **options: Unpack[_UfuncOptions]
    ) -> NDArray[_G]: ...
    @overload
    def __call__(self, x: _F, /, out: None = ..., *, dtype: None = ..., **options: Unpack[_UfuncOptions]) -> _F: ...
    @overload
    def __call__(self, x: bool | np.bool_, /, out: None = ..., *, dtype: None = ..., **options: Unpack[_UfuncOptions]) -> np.float16: ...
    @overload
    def __call__(self, x: float, /, out: None = ..., *, dtype: None = ..., **options: Unpack[_UfuncOptions]) -> np.float64: ...
    @overload
    def __call__(
        self, x: np.integer[Any], /, out: None = ..., *, dtype: None = ..., **options: Unpack[_UfuncOptions]
    ) -> np.floating[Any]: ...
    @overload
    def __call__(self, x: NDArray[_F], /, out: None = ..., *, dtype: None = ..., **options: Unpack[_UfuncOptions]) -> NDArray[_F]: ...
    @overload
    def __call__(
        self, x: _Integers, /, out: None = ..., *, dtype: None = ..., **options: Unpack[_UfuncOptions]
    ) -> NDArray[np.floating[Any]]: ...
    @overload
    def __call__(self, x: _Numbers, /, out: None = ..., *, dtype: None = ..., **options: Unpack[_UfuncOptions]) -> NDArray[np.float64]: ...
    @overload
    def __call__(self, x: _Array, /, out: None = ..., *, dtype: None = ..., **options: Unpack[_UfuncOptions]) -> _Array: ...
    @overload
    def __call__(self, x: Any, /, out: Any = ..., *, dtype: Any = ..., **options: Unpack[_UfuncOptions]) -> Any: ...

log_sigmoid: _Elementwise
logit: _Elementwise
sigmoid: _Elementwise
sigmoid_grad: _Elementwise
silu: _Elementwise
silu_grad: _Elementwise
softplus: _Elementwise
tanh: _Elementwise
tanh_grad: _Elementwise

@overload
def glu(x: NDArray[_F], axis: int = ..., **options: Unpack[_GateOptions]) -> NDArray[_F]: ...
@overload
def glu(x: _Tensor, axis: int = ..., **options: Unpack[_GateOptions]) -> _Tensor: ...
@overload
def glu(x: Any, axis: int = ..., **options: Unpack[_GateOptions]) -> Any: ...
@overload
def glu_backward(grad: NDArray[_F], x: NDArray[_F], axis: int = ..., **options: Unpack[_GateOptions]) -> NDArray[_F]: ...
@overload
def glu_backward(grad: _Tensor, x: _Tensor, axis: int = ..., **options: Unpack[_GateOptions]) -> _Tensor: ...
@overload
def glu_backward(grad: Any, x: Any, axis: int = ..., **options: Unpack[_GateOptions]) -> Any: ...
@overload
def swiglu(a: NDArray[_F], b: NDArray[_F], **options: Unpack[_GateOptions]) -> NDArray[_F]: ...
@overload
def swiglu(a: _Tensor, b: _Tensor, **options: Unpack[_GateOptions]) -> _Tensor: ...
@overload
def swiglu(a: Any, b: Any, **options: Unpack[_GateOptions]) -> Any: ...
@overload
def swiglu_backward(
    grad: NDArray[_F], a: NDArray[_F], b: NDArray[_F], **options: Unpack[_GateOptions]
) -> tuple[NDArray[_F], NDArray[_F]]: ...
@overload
def swiglu_backward(grad: _Tensor, a: _Tensor, b: _Tensor, **options: Unpack[_GateOptions]) -> tuple[_Tensor, _Tensor]: ...
@overload
def swiglu_backward(grad: Any, a: Any, b: Any, **options: Unpack[_GateOptions]) -> tuple[Any, Any]: ...
@overload
def lstm_cell(gates: NDArray[_F], c: NDArray[_F], **options: Unpack[_GateOptions]) -> tuple[NDArray[_F], NDArray[_F]]: ...
@overload
def lstm_cell(gates: _Tensor, c: _Tensor, **options: Unpack[_GateOptions]) -> tuple[_Tensor, _Tensor]: ...
@overload
def lstm_cell(gates: Any, c: Any, **options: Unpack[_GateOptions]) -> tuple[Any, Any]: ...
@overload
def lstm_cell_backward(
    grad_h: NDArray[_F] | None, grad_c: NDArray[_F] | None, gates: NDArray[_F], c: NDArray[_F], **options: Unpack[_GateOptions]
) -> tuple[NDArray[_F], NDArray[_F]]: ...
@overload
def lstm_cell_backward(
    grad_h: _Tensor | None, grad_c: _Tensor | None, gates: _Tensor, c: _Tensor, **options: Unpack[_GateOptions]
) -> tuple[_Tensor, _Tensor]: ...
@overload
def lstm_cell_backward(grad_h: Any, grad_c: Any, gates: Any, c: Any, **options: Unpack[_GateOptions]) -> tuple[Any, Any]: ...
@overload
def gru_cell(gi: NDArray[_F], gh: NDArray[_F], h: NDArray[_F], **options: Unpack[_GateOptions]) -> NDArray[_F]: ...
@overload
def gru_cell(gi: _Tensor, gh: _Tensor, h: _Tensor, **options: Unpack[_GateOptions]) -> _Tensor: ...
@overload
def gru_cell(gi: Any, gh: Any, h: Any, **options: Unpack[_GateOptions]) -> Any: ...
@overload
def gru_cell_backward(
    grad_h: NDArray[_F], gi: NDArray[_F], gh: NDArray[_F], h: NDArray[_F], **options: Unpack[_GateOptions]
) -> tuple[NDArray[_F], NDArray[_F], NDArray[_F]]: ...
@overload
def gru_cell_backward(
    grad_h: _Tensor, gi: _Tensor, gh: _Tensor, h: _Tensor, **options: Unpack[_GateOptions]
) -> tuple[_Tensor, _Tensor, _Tensor]: ...
@overload
def gru_cell_backward(grad_h: Any, gi: Any, gh: Any, h: Any, **options: Unpack[_GateOptions]) -> tuple[Any, Any, Any]: ...
@overload
def bce_with_logits(logits: NDArray[_F], targets: Any, *, reduction: Literal["none"], **options: Unpack[_LogitsOptions]) -> NDArray[_F]: ...
@overload
def bce_with_logits(logits: NDArray[_F], targets: Any, *, reduction: _Reduced = ..., **options: Unpack[_LogitsOptions]) -> _F: ...
@overload
def bce_with_logits(logits: _Integers, targets: Any, *, reduction: str = ..., **options: Unpack[_LogitsOptions]) -> Any: ...
@overload
def bce_with_logits(
    logits: _Numbers, targets: Any, *, reduction: Literal["none"], **options: Unpack[_LogitsOptions]
) -> NDArray[np.float64]: ...
@overload
def bce_with_logits(logits: _Numbers, targets: Any, *, reduction: _Reduced = ..., **options: Unpack[_LogitsOptions]) -> np.float64: ...
@overload
def bce_with_logits(logits: _Tensor, targets: Any, *, reduction: str = ..., **options: Unpack[_LogitsOptions]) -> _Tensor: ...
@overload
def bce_with_logits(logits: _Array, targets: Any, *, reduction: Literal["none"], **options: Unpack[_LogitsOptions]) -> _Array: ...
@overload
def bce_with_logits(logits: Any, targets: Any, *, reduction: str = ..., **options: Unpack[_LogitsOptions]) -> Any: ...
@overload
def bce(probs: NDArray[_F], targets: Any, *, reduction: Literal["none"], **options: Unpack[_LossOptions]) -> NDArray[_F]: ...
@overload
def bce(probs: NDArray[_F], targets: Any, *, reduction: _Reduced = ..., **options: Unpack[_LossOptions]) -> _F: ...
@overload
def bce(probs: _Integers, targets: Any, *, reduction: str = ..., **options: Unpack[_LossOptions]) -> Any: ...
@overload
def bce(probs: _Numbers, targets: Any, *, reduction: Literal["none"], **options: Unpack[_LossOptions]) -> NDArray[np.float64]: ...
@overload
def bce(probs: _Numbers, targets: Any, *, reduction: _Reduced = ..., **options: Unpack[_LossOptions]) -> np.float64: ...
@overload
def bce(probs: _Tensor, targets: Any, *, reduction: str = ..., **options: Unpack[_LossOptions]) -> _Tensor: ...
@overload
def bce(probs: _Array, targets: Any, *, reduction: Literal["none"], **options: Unpack[_LossOptions]) -> _Array: ...
@overload
def bce(probs: Any, targets: Any, *, reduction: str = ..., **options: Unpack[_LossOptions]) -> Any: ...
@overload
def sigmoid_focal_loss(
    logits: NDArray[_F], targets: Any, *, reduction: Literal["none"], **options: Unpack[_FocalOptions]
) -> NDArray[_F]: ...
@overload
def sigmoid_focal_loss(logits: NDArray[_F], targets: Any, *, reduction: _Reduced = ..., **options: Unpack[_FocalOptions]) -> _F: ...
@overload
def sigmoid_focal_loss(logits: _Integers, targets: Any, *, reduction: str = ..., **options: Unpack[_FocalOptions]) -> Any: ...
@overload
def sigmoid_focal_loss(
    logits: _Numbers, targets: Any, *, reduction: Literal["none"], **options: Unpack[_FocalOptions]
) -> NDArray[np.float64]: ...
@overload
def sigmoid_focal_loss(logits: _Numbers, targets: Any, *, reduction: _Reduced = ..., **options: Unpack[_FocalOptions]) -> np.float64: ...
@overload
def sigmoid_focal_loss(logits: _Tensor, targets: Any, *, reduction: str = ..., **options: Unpack[_FocalOptions]) -> _Tensor: ...
@overload
def sigmoid_focal_loss(logits: _Array, targets: Any, *, reduction: Literal["none"], **options: Unpack[_FocalOptions]) -> _Array: ...
@overload
def sigmoid_focal_loss(logits: Any, targets: Any, *, reduction: str = ..., **options: Unpack[_FocalOptions]) -> Any: ...
@overload
def bce_with_logits_value_and_grad(
    logits: NDArray[_F], targets: Any, *, reduction: Literal["none"], **options: Unpack[_GradOptions]
) -> tuple[NDArray[_F], NDArray[_F]]: ...
@overload
def bce_with_logits_value_and_grad(
    logits: NDArray[_F], targets: Any, *, reduction: _Reduced = ..., **options: Unpack[_GradOptions]
) -> tuple[_F, NDArray[_F]]: ...
@overload
def bce_with_logits_value_and_grad(
    logits: _Integers, targets: Any, *, reduction: str = ..., **options: Unpack[_GradOptions]
) -> tuple[Any, Any]: ...
@overload
def bce_with_logits_value_and_grad(
    logits: _Numbers, targets: Any, *, reduction: Literal["none"], **options: Unpack[_GradOptions]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
@overload
def bce_with_logits_value_and_grad(
    logits: _Numbers, targets: Any, *, reduction: _Reduced = ..., **options: Unpack[_GradOptions]
) -> tuple[np.float64, NDArray[np.float64]]: ...
@overload
def bce_with_logits_value_and_grad(
    logits: _Tensor, targets: Any, *, reduction: str = ..., **options: Unpack[_GradOptions]
) -> tuple[_Tensor, _Tensor]: ...
@overload
def bce_with_logits_value_and_grad(
    logits: _Array, targets: Any, *, reduction: Literal["none"], **options: Unpack[_GradOptions]
) -> tuple[_Array, _Array]: ...
@overload
def bce_with_logits_value_and_grad(
    logits: _Array, targets: Any, *, reduction: _Reduced = ..., **options: Unpack[_GradOptions]
) -> tuple[Any, _Array]: ...
@overload
def bce_with_logits_value_and_grad(
    logits: Any, targets: Any, *, reduction: str = ..., **options: Unpack[_GradOptions]
) -> tuple[Any, Any]: ...
@overload
def sigmoid_focal_loss_value_and_grad(
    logits: NDArray[_F], targets: Any, *, reduction: Literal["none"], **options: Unpack[_FocalGradOptions]
) -> tuple[NDArray[_F], NDArray[_F]]: ...
@overload
def sigmoid_focal_loss_value_and_grad(
    logits: NDArray[_F], targets: Any, *, reduction: _Reduced = ..., **options: Unpack[_FocalGradOptions]
) -> tuple[_F, NDArray[_F]]: ...
@overload
def sigmoid_focal_loss_value_and_grad(
    logits: _Integers, targets: Any, *, reduction: str = ..., **options: Unpack[_FocalGradOptions]
) -> tuple[Any, Any]: ...
@overload
def sigmoid_focal_loss_value_and_grad(
    logits: _Numbers, targets: Any, *, reduction: Literal["none"], **options: Unpack[_FocalGradOptions]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
@overload
def sigmoid_focal_loss_value_and_grad(
    logits: _Numbers, targets: Any, *, reduction: _Reduced = ..., **options: Unpack[_FocalGradOptions]
) -> tuple[np.float64, NDArray[np.float64]]: ...
@overload
def sigmoid_focal_loss_value_and_grad(
    logits: _Tensor, targets: Any, *, reduction: str = ..., **options: Unpack[_FocalGradOptions]
) -> tuple[_Tensor, _Tensor]: ...
@overload
def sigmoid_focal_loss_value_and_grad(
    logits: _Array, targets: Any, *, reduction: Literal["none"], **options: Unpack[_FocalGradOptions]
) -> tuple[_Array, _Array]: ...
@overload
def sigmoid_focal_loss_value_and_grad(
    logits: _Array, targets: Any, *, reduction: _Reduced = ..., **options: Unpack[_FocalGradOptions]
) -> tuple[Any, _Array]: ...
@overload
def sigmoid_focal_loss_value_and_grad(
    logits: Any, targets: Any, *, reduction: str = ..., **options: Unpack[_FocalGradOptions]
) -> tuple[Any, Any]: ...
@overload
def bce_with_logits_grad_hess(
    logits: NDArray[_F], targets: Any, **options: Unpack[_GradHessOptions]
) -> tuple[NDArray[_F], NDArray[_F]]: ...
@overload
def bce_with_logits_grad_hess(logits: _Integers, targets: Any, **options: Unpack[_GradHessOptions]) -> tuple[Any, Any]: ...
@overload
def bce_with_logits_grad_hess(
    logits: _Numbers, targets: Any, **options: Unpack[_GradHessOptions]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
@overload
def bce_with_logits_grad_hess(logits: _Array, targets: Any, **options: Unpack[_GradHessOptions]) -> tuple[_Array, _Array]: ...
@overload
def bce_with_logits_grad_hess(logits: Any, targets: Any, **options: Unpack[_GradHessOptions]) -> tuple[Any, Any]: ...
@overload
def sigmoid_focal_loss_grad_hess(
    logits: NDArray[_F], targets: Any, **options: Unpack[_FocalGradHessOptions]
) -> tuple[NDArray[_F], NDArray[_F]]: ...
@overload
def sigmoid_focal_loss_grad_hess(logits: _Integers, targets: Any, **options: Unpack[_FocalGradHessOptions]) -> tuple[Any, Any]: ...
@overload
def sigmoid_focal_loss_grad_hess(
    logits: _Numbers, targets: Any, **options: Unpack[_FocalGradHessOptions]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]: ...
@overload
def sigmoid_focal_loss_grad_hess(logits: _Array, targets: Any, **options: Unpack[_FocalGradHessOptions]) -> tuple[_Array, _Array]: ...
@overload
def sigmoid_focal_loss_grad_hess(logits: Any, targets: Any, **options: Unpack[_FocalGradHessOptions]) -> tuple[Any, Any]: ...
