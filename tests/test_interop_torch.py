"""The functions of one tensor: the values of fastsig, the meaning and the manners of torch."""

from __future__ import annotations

import doctest
import inspect
import re
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import fastsig as fs

torch = pytest.importorskip("torch")

from torch_functions import DTYPES, EACH, EACH_DTYPE, F, array, ft, inputs, near, same_bits  # noqa: E402


@EACH
@EACH_DTYPE
@pytest.mark.parametrize("size", [0, 1, 16, 300_000])
@pytest.mark.parametrize("recorded", [False, True])
def test_the_bits_are_those_of_fastsig(function, dtype, size, recorded):
    x = inputs(function, size, dtype=dtype)
    result = function.ours(x.requires_grad_(recorded))
    assert result.requires_grad is recorded
    assert same_bits(result, function.on_arrays(array(x)))


@EACH
@EACH_DTYPE
def test_the_gradient_is_the_derivative_times_what_comes(function, dtype):
    x = inputs(function, 1000, dtype=dtype).requires_grad_()
    if function.ours is ft.logit and dtype in (torch.float16, torch.bfloat16):
        pytest.skip("NumPy's quotients of halves round as torch's only once")
    function.ours(x).backward(torch.ones_like(x))
    assert same_bits(x.grad, function.slope(array(x)))


@EACH
def test_numbers_without_axes(function):
    x = inputs(function, dtype=torch.float64)
    assert function.ours(x).shape == ()
    assert function.ours(x).item() == function.on_arrays(x.item())


LAYOUTS = {
    "transposed": lambda x: x.t(),
    "with gaps": lambda x: x[:, ::2],
    "backwards in memory order": lambda x: x.flip(0)[1:],
    "expanded": lambda x: x[:1].expand(7, 12),
    "channels last": lambda x: x.reshape(2, 3, 2, 6).contiguous(memory_format=torch.channels_last),
    "offset": lambda x: x.reshape(-1)[5:],
}


@EACH
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_every_layout_gives_the_values_and_the_layout_of_torch(function, layout, dtype):
    x = layout(inputs(function, 6, 12, dtype=dtype))
    result = function.ours(x)
    assert same_bits(result, function.on_arrays(array(x)))
    assert result.stride() == torch.empty_like(x).stride()
    gradient = torch.autograd.grad(function.ours(x.requires_grad_()).sum(), x)[0]
    assert gradient.shape == x.shape


@EACH
def test_signs_that_are_not_in_memory(function):
    """A conjugate's imaginary part and a negative view have the other sign in memory."""
    values = inputs(function, 8, dtype=torch.float64)
    for x in (torch.complex(torch.zeros_like(values), -values).conj().imag, torch._neg_view(-values)):
        assert x.is_neg()
        assert same_bits(function.ours(x), function.on_arrays(array(values)))
        x = x.detach().requires_grad_()
        assert same_bits(function.ours(x), function.on_arrays(array(values)))


@pytest.mark.parametrize("function", [ft.sigmoid, ft.logit, ft.tanh])
@pytest.mark.parametrize("x", [torch.tensor([0, 1]), torch.tensor([False, True])], ids=str)
def test_integers_become_the_default_float_type(function, x):
    result = function(x)
    assert result.dtype == torch.get_default_dtype()
    assert same_bits(result, getattr(fs, function.__name__)(array(x).astype(np.float32)))


@EACH
def test_infinities_and_nan_as_torch(function):
    x = torch.tensor([-torch.inf, torch.inf, torch.nan, 0.0, -0.0])
    if function.ours is ft.silu:  # torch's is NaN at -inf, where the limit is -0
        x = x[1:]
    assert torch.equal(function.ours(x).nan_to_num(), function.torchs(x).nan_to_num())


def test_tails_that_torch_loses():
    x = torch.tensor([-100.0, 40.0], requires_grad=True)
    assert torch.sigmoid(x)[0].item() == 0
    assert ft.sigmoid(x)[0].item() == np.float32(np.exp(-100.0))
    ft.sigmoid(x).sum().backward()
    assert x.grad[1].item() == np.float32(np.exp(-40.0))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("beta", [1.0, 0.5, 3.0, -2.0])
@pytest.mark.parametrize("threshold", [20.0, 5.0, -1.0])
def test_softplus_bends_and_stops_where_torch_does(dtype, beta, threshold):
    x = torch.linspace(-45, 45, 2001, dtype=torch.float64).to(dtype).requires_grad_()
    y = x.detach().clone().requires_grad_()
    ours, torchs = ft.softplus(x, beta, threshold), F.softplus(y, beta, threshold)
    straight = (y * beta > threshold).detach()
    assert torch.equal(ours[straight], x[straight])
    assert near(ours, torchs, ulps=8, scale=1)  # torch has no tail
    ours.sum().backward()
    torchs.sum().backward()
    assert near(x.grad, y.grad, ulps=8, scale=1)


@pytest.mark.slow
def test_all_numbers_of_which_softplus_is_itself():
    """So the threshold of 20 asks nothing of float32; of halves all are looked at below."""
    first, last = (int(np.float32(v).view(np.uint32)) for v in (20, np.inf))
    for start in range(first, last + 1, 1 << 24):
        x = np.arange(start, min(start + (1 << 24), last + 1), dtype=np.uint32).view(np.float32)
        assert np.array_equal(fs.softplus(x), x)
        assert (fs.sigmoid(x) == 1).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_all_halves_of_which_softplus_is_itself(dtype):
    x = torch.arange(-(1 << 15), 1 << 15, dtype=torch.int32).to(torch.int16).view(dtype)
    x = x[x >= 20]
    assert len(x) > 10_000
    assert torch.equal(ft.softplus(x, threshold=1e9), x)
    assert (ft.sigmoid(x) == 1).all()


@EACH_DTYPE
@pytest.mark.parametrize("eps", [None, 1e-3, 0.25])
def test_logit_clamps_as_torch_does(dtype, eps):
    x = torch.tensor([-0.5, 0.0, 1e-3, 0.25, 0.5, 0.75, 0.999, 1.0, 1.5, torch.nan], dtype=dtype).requires_grad_()
    y = x.detach().clone().requires_grad_()
    ours, torchs = ft.logit(x, eps), torch.logit(y, eps)
    assert near(ours, torchs, ulps=4)
    ours.sum().backward()
    torchs.sum().backward()
    assert near(x.grad, y.grad, ulps=4)


def test_silu_in_place():
    x = torch.linspace(-5, 5, 7)
    expected = ft.silu(x)
    version, given = x._version, x.clone()
    assert ft.silu(x, inplace=True) is x
    assert x._version > version
    assert torch.equal(x, expected)
    leaf = given.requires_grad_()
    y = leaf * 1
    ft.silu(y, inplace=True).sum().backward()
    assert same_bits(leaf.grad, fs.silu_grad(array(given)))
    with pytest.raises(RuntimeError, match="leaf"):
        ft.silu(leaf, inplace=True)


@EACH
def test_autocast_changes_nothing_as_in_torch(function):
    x = inputs(function, 9)
    with torch.autocast("cpu", torch.bfloat16):
        assert same_bits(function.ours(x), function.on_arrays(array(x)))
        assert function.torchs(x).dtype == function.ours(x).dtype


@EACH
def test_meta_and_fake_tensors_have_shapes_only(function):
    from torch._subclasses.fake_tensor import FakeTensorMode

    x = inputs(function, 2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    meta = function.ours(x.to("meta"))
    assert meta.device.type == "meta"
    assert (meta.shape, meta.stride(), meta.dtype) == (x.shape, x.stride(), x.dtype)
    with FakeTensorMode() as mode:
        fake = function.ours(mode.from_tensor(x))
    assert type(fake).__name__ == "FakeTensor"
    assert fake.stride() == x.stride()


@EACH
def test_modes_see_the_operation(function):
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode

    seen = []

    class Dispatch(TorchDispatchMode):
        def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
            seen.append(str(operation))
            return operation(*args, **(kwargs or {}))

    class Functions(TorchFunctionMode):
        def __torch_function__(self, operation, types, args=(), kwargs=None):
            seen.append(str(operation))
            return operation(*args, **(kwargs or {}))

    for mode in (Dispatch, Functions):
        seen.clear()
        with mode():
            function.ours(inputs(function, 3))
        assert any("fastsig" in name for name in seen)


def test_a_class_with_operations_of_its_own_is_asked():
    class Counted(torch.Tensor):
        calls = 0

        @classmethod
        def __torch_function__(cls, operation, types, args=(), kwargs=None):
            cls.calls += "fastsig" in str(operation)
            return super().__torch_function__(operation, types, args, kwargs or {})

    result = ft.sigmoid(torch.zeros(3).as_subclass(Counted))
    assert Counted.calls == 1
    assert isinstance(result, Counted)


def test_a_parameter_is_a_tensor():
    weight = torch.nn.Parameter(torch.zeros(3))
    assert type(ft.sigmoid(weight)) is torch.Tensor
    assert ft.sigmoid(weight).requires_grad


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_no_gradient_where_none_is_recorded(context):
    x = torch.zeros(3, requires_grad=True)
    with context():
        assert not ft.sigmoid(x).requires_grad
        assert ft.sigmoid(x).is_inference() == torch.sigmoid(x).is_inference()


def test_threads_of_python_and_of_the_pool():
    x = torch.linspace(-9, 9, 1 << 18)
    expected = [ft.sigmoid(x), None]
    fs.set_num_threads(1)
    expected[1] = ft.sigmoid(x)
    results = []
    threads = [threading.Thread(target=lambda: results.append(ft.sigmoid(x.clone().requires_grad_()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert all(torch.equal(r, expected[0]) for r in [*expected, *results])


REFUSED = {
    "a list": ([0.0], TypeError, "input is list.*torch.Tensor"),
    "an array": (np.zeros(3), TypeError, "input is numpy.ndarray.*torch.Tensor"),
    "complex": (torch.zeros(3, dtype=torch.complex64), TypeError, "complex64.*float32"),
    "float8": (torch.zeros(3).to(torch.float8_e5m2), TypeError, "float8_e5m2.*float32"),
    "sparse": (torch.eye(3).to_sparse(), TypeError, "sparse_coo.*to_dense"),
}


@EACH
@pytest.mark.parametrize(("x", "kind", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(function, x, kind, words):
    with pytest.raises(kind, match=words):
        function.ours(x)


def test_importing_fastsig_does_not_import_torch():
    code = "import sys, fastsig, fastsig.interop; assert 'torch' not in sys.modules; assert 'fastsig.interop.torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_without_torch_the_extra_is_named():
    code = "import sys; sys.modules['torch'] = None; import fastsig.interop.torch"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "fastsig-kernels[torch]" in done.stderr


@pytest.mark.parametrize("name", ft.__all__)
def test_documented_with_examples_that_run(name):
    thing = getattr(ft, name)
    example = doctest.DocTestParser().get_doctest(inspect.getdoc(thing) or "", {}, name, None, 0)
    assert example.examples
    assert not doctest.DocTestRunner().run(example).failed


def test_the_code_of_the_document_runs() -> None:
    text = (Path(__file__).parent.parent / "docs" / "torch.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 2
    for block in blocks:
        exec(block, {})
