"""What the CUDA backend reads of torch's own tensors, which on the CPU are described as on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fastsig.arrays import gpu as da

torch: Any = pytest.importorskip("torch")


def values(array: da.DeviceArray) -> np.ndarray[Any, Any]:
    """What stands in the described memory."""

    class Described:
        __array_interface__ = {
            "data": (array.address, False), "shape": array.shape, "strides": array.strides, "typestr": "<f4", "version": 3,
        }  # fmt: skip

    return np.array(Described())


def negated() -> Any:
    """A view whose memory holds the negatives of its values."""
    view = torch.complex(torch.arange(6.0), torch.arange(6.0) - 2).conj().imag
    assert view.is_neg()
    return view


def test_a_negated_view_is_read_as_its_values() -> None:
    view = negated()
    array = da.read(view)
    assert list(values(array)) == view.tolist() == [2, 1, 0, -1, -2, -3]


def test_a_plain_tensor_is_not_copied() -> None:
    x = torch.arange(6.0)
    assert da.read(x).address == x.data_ptr()


def test_nothing_is_written_into_a_negated_view() -> None:
    with pytest.raises(
        ValueError, match=r"sigmoid: out is a view whose memory holds the negatives of its values .*give a tensor of its own"
    ):
        da.read_output("sigmoid", "out", negated(), 0)


def test_autograd_refuses_a_graph_whose_saved_tensor_was_written() -> None:
    x = torch.ones(3, requires_grad=True)
    saved = torch.full((3,), 2.0)
    y = (x * saved).sum()
    da.TORCH.written(saved)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.backward()
    with torch.inference_mode():
        da.TORCH.written(torch.ones(3))


def test_complex_numbers_are_of_no_type_that_is_read() -> None:
    """So their conjugate bit is never met."""
    assert da.read(torch.zeros(3, dtype=torch.complex64).conj()).dtype not in da.SIZES
