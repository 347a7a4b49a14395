"""What comes back for NumPy's arrays, scalars and lists: read by mypy and pyright (tests/test_typing.py), never run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import fastsig as fs

if TYPE_CHECKING:
    from typing_extensions import assert_type


def functions_of_one_input(
    half: NDArray[np.float16], single: NDArray[np.float32], double: NDArray[np.float64], whole: NDArray[np.int64], one: np.float32
) -> None:
    for function in (fs.sigmoid, fs.sigmoid_grad, fs.log_sigmoid, fs.softplus, fs.logit, fs.silu, fs.silu_grad, fs.tanh, fs.tanh_grad):
        assert_type(function(half), NDArray[np.float16])
        assert_type(function(single, backend="c", threads=2), NDArray[np.float32])
        assert_type(function(double, where=double > 0), NDArray[np.float64])
        assert_type(function(whole), NDArray[np.floating[Any]])
        assert_type(function(one), np.float32)
        assert_type(function(np.float64(1)), np.float64)
        assert_type(function(0.5), np.float64)
        assert_type(function(2), np.float64)
        assert_type(function(True), np.float16)
        assert_type(function([0.5, 1]), NDArray[np.float64])
        assert_type(function([[0.5], [1.5]]), NDArray[np.float64])
        assert_type(function(single, dtype=np.float64), NDArray[np.float64])
        assert_type(function(one, dtype=np.float64), np.float64)
        assert_type(function(double, single), NDArray[np.float32])
        assert_type(function(double, out=(single,)), NDArray[np.float32])


def gates(x: NDArray[np.float32], y: NDArray[np.float32]) -> None:
    assert_type(fs.glu(x, 0), NDArray[np.float32])
    assert_type(fs.glu_backward(y, x, axis=0), NDArray[np.float32])
    assert_type(fs.swiglu(x, y, threads=1), NDArray[np.float32])
    assert_type(fs.swiglu_backward(y, x, y), tuple[NDArray[np.float32], NDArray[np.float32]])
    assert_type(fs.lstm_cell(x, y), tuple[NDArray[np.float32], NDArray[np.float32]])
    assert_type(fs.lstm_cell_backward(None, y, x, y), tuple[NDArray[np.float32], NDArray[np.float32]])
    assert_type(fs.gru_cell(x, x, y, out=y), NDArray[np.float32])
    assert_type(fs.gru_cell_backward(y, x, x, y), tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]])


def losses(x: NDArray[np.float32], t: NDArray[np.int64], mask: NDArray[np.bool_]) -> None:
    assert_type(fs.bce_with_logits(x, t), np.float32)
    assert_type(fs.bce_with_logits(x, t, reduction="sum", pos_weight=[1.0, 2.0], mask=mask), np.float32)
    assert_type(fs.bce_with_logits(x, t, reduction="none"), NDArray[np.float32])
    assert_type(fs.bce(x, t, check=False), np.float32)
    assert_type(fs.bce(x, t, reduction="none"), NDArray[np.float32])
    assert_type(fs.sigmoid_focal_loss(x, t, alpha=None), np.float32)
    assert_type(fs.bce_with_logits([0.5, 1.5], [0, 1]), np.float64)
    assert_type(fs.bce_with_logits_value_and_grad(x, t), tuple[np.float32, NDArray[np.float32]])
    assert_type(fs.bce_with_logits_value_and_grad(x, t, reduction="none"), tuple[NDArray[np.float32], NDArray[np.float32]])
    assert_type(fs.sigmoid_focal_loss_value_and_grad(x, t, gamma=1.5, grad_out=x), tuple[np.float32, NDArray[np.float32]])
    assert_type(fs.bce_with_logits_grad_hess(x, t), tuple[NDArray[np.float32], NDArray[np.float32]])


class Labelled:
    """As pandas', xarray's, dask's and CuPy's objects say of themselves."""

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return self


class Tensor:
    """As torch's says of itself."""

    is_cuda: bool

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        return self


def others(labelled: Labelled, tensor: Tensor, unknown: Any) -> None:
    assert_type(fs.sigmoid(labelled), Labelled)
    assert_type(fs.bce_with_logits(labelled, labelled, reduction="none"), Labelled)
    assert_type(fs.bce_with_logits_grad_hess(labelled, labelled), tuple[Labelled, Labelled])
    assert_type(fs.sigmoid(tensor), Tensor)
    assert_type(fs.glu(tensor), Tensor)
    assert_type(fs.lstm_cell(tensor, tensor), tuple[Tensor, Tensor])
    assert_type(fs.bce_with_logits(tensor, tensor), Tensor)
    assert_type(fs.bce_with_logits_value_and_grad(tensor, tensor), tuple[Tensor, Tensor])
    assert_type(fs.sigmoid(unknown), Any)
    fs.sigmoid(0.5, backend=1)  # type: ignore[call-overload]  # pyright: ignore
    fs.bce(0.5, 1, pos_weight=2.0)  # type: ignore[call-overload]  # pyright: ignore
