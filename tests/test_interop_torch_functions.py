"""The functions of fastsig itself, given tensors in host memory."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import fastsig as fs
from fastsig.ops import OPS

torch = pytest.importorskip("torch")

from torch_functions import DTYPES, array, same_bits  # noqa: E402

NAMES = [op.name for op in OPS if op.nin == 1]
EACH = pytest.mark.parametrize("name", NAMES)


def given(dtype=torch.float32):
    return torch.linspace(0.05, 0.95, 12, dtype=torch.float64).to(dtype).reshape(3, 4)


@EACH
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_tensor_gives_a_tensor_with_its_gradient(name, dtype):
    x, function = given(dtype), getattr(fs, name)
    expected = function(array(x))
    for asked in (x, x.t(), x.clone().requires_grad_(), torch.nn.Parameter(x)):
        result = function(asked)
        assert type(result) is torch.Tensor
        assert result.requires_grad is asked.requires_grad
        assert same_bits(result, expected if asked.shape == x.shape else expected.T)
    leaf = x.clone().double().requires_grad_()
    function(leaf).sum().backward()
    step = 1e-6
    around = (function(array(leaf) + step) - function(array(leaf) - step)) / (2 * step)
    np.testing.assert_allclose(leaf.grad.numpy(), around, rtol=1e-5)


@EACH
def test_into_a_tensor_that_is_given(name):
    function, x, out = getattr(fs, name), given(), torch.empty(3, 4)
    version = out._version
    assert function(x, out) is out
    assert out._version > version
    assert same_bits(out, function(array(x)))
    wide = torch.empty(3, 4, dtype=torch.float64)
    assert same_bits(function(x, out=wide), function(array(x)).astype(np.float64))


@EACH
def test_threads_and_backend_by_name(name, backend):
    function, x = getattr(fs, name), given()
    assert same_bits(function(x, threads=1), function(array(x)))
    assert same_bits(function(x, backend=backend), function(array(x)))


X = torch.zeros(3)
LEAF = torch.zeros(3, requires_grad=True)
REFUSED = {
    "where": (lambda: fs.sigmoid(X, where=np.ones(3, bool)), TypeError, "where is for arrays"),
    "dtype": (lambda: fs.sigmoid(X, dtype=np.float64), TypeError, r"dtype is for arrays.*x.to\(dtype\)"),
    "an array as out": (lambda: fs.sigmoid(X, np.zeros(3)), TypeError, "out is numpy.ndarray.*give a tensor"),
    "out of another shape": (lambda: fs.sigmoid(X, torch.zeros(2)), ValueError, r"out has shape \(2,\).*\(3,\)"),
    "out of integers": (lambda: fs.sigmoid(X, torch.zeros(3, dtype=torch.int64)), TypeError, "out has dtype torch.int64"),
    "out and a gradient": (lambda: fs.sigmoid(LEAF, X), RuntimeError, "detach"),
    "threads and a gradient": (lambda: fs.sigmoid(LEAF, threads=1), RuntimeError, "detach"),
    "complex": (lambda: fs.sigmoid(X.to(torch.complex64)), TypeError, "complex64"),
    "the GPU's backend": (lambda: fs.sigmoid(X, backend="cuda"), RuntimeError, "the tensor is on cpu"),
}


@pytest.mark.parametrize(("call", "kind", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(call, kind, words):
    with pytest.raises(kind, match=words):
        call()


def test_the_way_to_torch_is_taken_when_the_first_tensor_comes():
    code = (
        "import sys, fastsig, torch; fastsig.sigmoid([0.0]); assert 'fastsig.interop.torch' not in sys.modules;"
        "assert fastsig.sigmoid(torch.zeros(1)).item() == 0.5; assert 'fastsig.interop.torch' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
