"""The functions of fastsig.interop.torch beside those of torch and of fastsig, for the tests of all of them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest

import fastsig as fs

torch = pytest.importorskip("torch")

import fastsig.interop.torch as ft  # noqa: E402

F = torch.nn.functional


class Function(NamedTuple):
    ours: Any
    torchs: Any
    on_arrays: Any
    slope: Any
    """The derivative by arrays, from the input."""
    low: float = -30.0
    high: float = 30.0


FUNCTIONS = {
    "sigmoid": Function(ft.sigmoid, torch.sigmoid, fs.sigmoid, fs.sigmoid_grad),
    "silu": Function(ft.silu, F.silu, fs.silu, fs.silu_grad),
    "logsigmoid": Function(ft.logsigmoid, F.logsigmoid, fs.log_sigmoid, lambda x: fs.sigmoid(-x)),
    "softplus": Function(ft.softplus, F.softplus, fs.softplus, fs.sigmoid, high=19.0),
    "logit": Function(ft.logit, torch.logit, fs.logit, lambda p: 1 / (p * (1 - p)), low=0.01, high=0.99),
    "tanh": Function(ft.tanh, torch.tanh, fs.tanh, fs.tanh_grad),
}
EACH = pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
EACH_DTYPE = pytest.mark.parametrize("dtype", DTYPES, ids=str)


def inputs(function: Function, *shape: int, dtype: Any = torch.float32, seed: int = 3) -> Any:
    wide = np.random.default_rng(seed).uniform(function.low, function.high, shape)
    return torch.tensor(wide, dtype=torch.float64).to(dtype)


def array(x: Any) -> Any:
    """A copy of the values, without the way that is tested."""
    x = x.detach().clone().contiguous()
    if x.dtype == torch.bfloat16:
        ml_dtypes = pytest.importorskip("ml_dtypes")
        return x.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return x.numpy()


def same_bits(x: Any, y: Any) -> bool:
    """Of a tensor and a tensor, array or scalar: type, shape and bits."""
    a, b = (array(v) if isinstance(v, torch.Tensor) else np.asarray(v) for v in (x, y))
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def near(got: Any, expected: Any, *, ulps: float, scale: float = 0.0) -> bool:
    """Whether all are within so many ULP, in the type of ``got``, of max(|expected|, scale); NaN and infinities where they are expected."""
    assert got.shape == expected.shape
    tiny = torch.finfo(got.dtype).tiny
    ours, theirs = got.detach().double(), expected.detach().double()
    finite = theirs.isfinite()
    size = theirs[finite].abs().clamp(min=max(scale, tiny))
    spacing = torch.finfo(got.dtype).eps * 2.0 ** size.log2().floor()
    others = torch.equal(ours[~finite].nan_to_num(nan=7), theirs[~finite].nan_to_num(nan=7))
    return others and bool(((ours[finite] - theirs[finite]).abs() <= ulps * spacing).all())
