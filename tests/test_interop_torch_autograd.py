"""Derivatives of the functions of one tensor by every way of torch, and what torch's compiler makes of them."""

from __future__ import annotations

import itertools

import pytest

torch = pytest.importorskip("torch")

from torch.autograd import forward_ad, gradcheck, gradgradcheck  # noqa: E402
from torch_functions import EACH, array, ft, inputs, near, same_bits  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
"""What torch's compiler and its forward mode warn of is torch's own."""
BACKEND = "aot_eager"
"""All of the compiler but the making of C++ code, which takes seconds and a C++ compiler."""


def narrow(function, *shape):
    return inputs(function._replace(low=max(function.low, -3), high=min(function.high, 3)), *shape, dtype=torch.float64)


def second(function, x):
    """The second derivative by torch's own function."""
    x = x.clone().requires_grad_()
    (first,) = torch.autograd.grad(function.torchs(x).sum(), x, create_graph=True)
    return torch.autograd.grad(first.sum(), x)[0]


@EACH
def test_gradients_of_two_orders_backward_forward_and_batched(function):
    x = narrow(function, 3, 4).requires_grad_()
    assert gradcheck(function.ours, (x,), check_forward_ad=True, check_batched_grad=True, check_batched_forward_grad=True)
    assert gradgradcheck(function.ours, (x,), check_fwd_over_rev=True, check_rev_over_rev=True, check_batched_grad=True)


def derivative(f, way):
    if way == "backward":
        return torch.func.grad(lambda v: f(v).sum())
    return lambda v: torch.func.jvp(f, (v,), (torch.ones_like(v),))[1]


def derivative_of_order(f, ways):
    for way in ways:
        f = derivative(f, way)
    return f


NESTINGS = [ways for order in (2, 3) for ways in itertools.product(["backward", "forward"], repeat=order)]


@EACH
@pytest.mark.parametrize("ways", NESTINGS, ids="-".join)
def test_derivatives_within_derivatives(function, ways):
    x = narrow(function, 5)
    expected = derivative_of_order(function.torchs, ["backward"] * len(ways))(x)
    assert near(derivative_of_order(function.ours, ways)(x), expected, ulps=64, scale=1)


@pytest.mark.parametrize("ways", NESTINGS, ids="-".join)
def test_compiled_derivatives_within_derivatives(ways):
    """Where two levels of forward mode stand around another, torch's compiler refuses."""
    x = torch.linspace(-2, 2, 5, dtype=torch.float64)
    torch._dynamo.reset()
    compiled = torch.compile(derivative_of_order(ft.sigmoid, ways), backend=BACKEND, fullgraph=True)
    if ways[1:] == ("forward", "forward"):
        with pytest.raises(torch._dynamo.exc.TorchRuntimeError):
            compiled(x)
    else:
        assert torch.equal(compiled(x), derivative_of_order(ft.sigmoid, ways)(x))


def test_no_grad_inside_is_a_constant_to_every_level():
    x = torch.linspace(-2, 2, 5, dtype=torch.float64)

    def f(v, sigmoid):
        with torch.no_grad():
            y = sigmoid(v)
        return (y * sigmoid(v)).sum()

    for nested in (torch.func.grad, lambda g, **k: torch.func.grad(lambda v: torch.func.grad(g, **k)(v).sum())):
        assert near(nested(lambda v: f(v, ft.sigmoid))(x), nested(lambda v: f(v, torch.sigmoid))(x), ulps=8, scale=1)


@pytest.mark.parametrize("keywords", [{"beta": 0.7}, {"beta": 2.0, "threshold": 1.0}], ids=str)
def test_gradients_of_a_softplus_that_bends_otherwise(keywords):
    x = torch.linspace(-3, 3, 11, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda v: ft.softplus(v, **keywords), (x,), check_forward_ad=True)
    assert gradgradcheck(lambda v: ft.softplus(v, **keywords), (x,), check_fwd_over_rev=True)


def test_gradients_of_a_clamped_logit():
    x = torch.linspace(0.05, 0.95, 11, dtype=torch.float64, requires_grad=True)
    assert gradcheck(lambda v: ft.logit(v, 0.21), (x,), check_forward_ad=True)
    assert gradgradcheck(lambda v: ft.logit(v, 0.21), (x,), check_fwd_over_rev=True)


@EACH
def test_transformations(function):
    f, x = function.ours, narrow(function, 6)
    slope = torch.from_numpy(function.slope(array(x)))
    assert same_bits(torch.func.grad(lambda v: f(v).sum())(x), slope)
    assert same_bits(torch.func.jvp(f, (x,), (torch.ones_like(x),))[1], slope)
    assert same_bits(torch.func.vmap(f)(x), f(x))
    assert same_bits(torch.func.vmap(torch.func.grad(f))(x), slope)
    assert same_bits(torch.func.jacrev(f)(x).diagonal(), slope)
    assert same_bits(torch.func.jacfwd(f)(x).diagonal(), slope)
    assert near(torch.func.hessian(lambda v: f(v).sum())(x).diagonal(), second(function, x), ulps=16, scale=1)


@EACH
def test_batched_along_any_axis(function):
    x = narrow(function, 3, 4, 5)
    assert same_bits(torch.func.vmap(function.ours, in_dims=1, out_dims=2)(x), function.ours(x).movedim(1, 2))


@EACH
def test_tangents_of_dual_numbers(function):
    x = narrow(function, 6)
    with forward_ad.dual_level():
        value, tangent = forward_ad.unpack_dual(function.ours(forward_ad.make_dual(x, torch.full_like(x, 2))))
    assert same_bits(value, function.ours(x))
    assert same_bits(tangent, 2 * torch.from_numpy(function.slope(array(x))))


@EACH
def test_checkpoints(function):
    from torch.utils.checkpoint import checkpoint

    x, y = narrow(function, 6).requires_grad_(), narrow(function, 6).requires_grad_()
    function.ours(x).sum().backward()
    for reentrant in (False, True):
        y.grad = None
        checkpoint(function.ours, y, use_reentrant=reentrant).sum().backward()
        assert torch.equal(x.grad, y.grad)


def test_an_input_that_was_changed_meanwhile_is_an_error():
    leaf = torch.zeros(3, requires_grad=True)
    x = leaf * 1
    y = ft.sigmoid(x)
    x.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


@EACH
def test_compiled_as_it_is(function):
    f, x = function.ours, narrow(function, 7)
    slope = torch.from_numpy(function.slope(array(x)))

    def of(g):
        torch._dynamo.reset()
        return torch.compile(g, backend=BACKEND, fullgraph=True)

    assert same_bits(of(f)(x), f(x))
    leaf = x.clone().requires_grad_()
    of(lambda v: f(v).sum())(leaf).backward()
    assert same_bits(leaf.grad, slope)
    assert same_bits(of(torch.func.grad(lambda v: f(v).sum()))(x), slope)
    assert same_bits(of(torch.func.vmap(f))(x), f(x))
    assert same_bits(of(lambda v: torch.func.jvp(f, (v,), (torch.ones_like(v),))[1])(x), slope)
    assert near(of(torch.func.hessian(lambda v: f(v).sum()))(x).diagonal(), second(function, x), ulps=16, scale=1)


def test_compiled_for_any_length():
    torch._dynamo.reset()
    f = torch.compile(lambda v: ft.sigmoid(v) * 2, backend=BACKEND, fullgraph=True, dynamic=True)
    for n in (10, 11, 40):
        x = torch.linspace(-5, 5, n)
        assert torch.equal(f(x), ft.sigmoid(x) * 2)


def test_a_second_derivative_of_what_is_compiled_is_refused_by_torch():
    torch._dynamo.reset()
    x = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    with torch._functorch.config.patch(donated_buffer=False):
        y = torch.compile(lambda v: ft.sigmoid(v).sum(), backend=BACKEND, fullgraph=True)(x)
        (first,) = torch.autograd.grad(y, x, create_graph=True)
        with pytest.raises(RuntimeError, match="double backward"):
            first.sum().backward()


@pytest.mark.slow
def test_compiled_by_inductor():
    torch._dynamo.reset()
    x = torch.linspace(-5, 5, 1000, requires_grad=True)
    torch.compile(lambda v: ft.sigmoid(v * 2).sum(), fullgraph=True)(x).backward()
    y = x.detach().clone().requires_grad_()
    ft.sigmoid(y * 2).sum().backward()
    assert torch.equal(x.grad, y.grad)


@EACH
@pytest.mark.parametrize("strict", [False, True])
def test_exported_as_one_operation(function, strict):
    class Model(torch.nn.Module):
        def forward(self, x):
            return function.ours(x) + 1

    x = narrow(function, 3, 4)
    program = torch.export.export(Model(), (x,), strict=strict).run_decompositions({})
    assert any("fastsig" in str(node.target) for node in program.graph.nodes)
    assert torch.equal(program.module()(x), function.ours(x) + 1)


def test_traced_as_one_operation():
    traced = torch.jit.trace(ft.sigmoid, (torch.zeros(3),))
    assert "fastsig::sigmoid" in str(traced.graph)
    assert torch.equal(traced(torch.ones(3)), ft.sigmoid(torch.ones(3)))


@EACH
@pytest.mark.parametrize("layout", ["plain", "transposed", "channels last"])
def test_the_operations_are_what_torch_takes_them_for(function, layout):
    x = narrow(function, 2, 3, 4, 5)
    x = {"plain": x, "transposed": x.movedim(0, 2), "channels last": x.contiguous(memory_format=torch.channels_last)}[layout]
    name = {"logsigmoid": "log_sigmoid"}.get(function.ours.__name__, function.ours.__name__)
    torch.library.opcheck(getattr(torch.ops.fastsig, name).default, (x.requires_grad_(),))


@pytest.mark.parametrize("name", ["sigmoid_grad", "silu_grad", "tanh_grad"])
def test_so_are_the_operations_of_the_derivatives(name):
    x = torch.linspace(-3, 3, 12, dtype=torch.float64).reshape(3, 4).requires_grad_()
    operation = getattr(torch.ops.fastsig, name).default
    torch.library.opcheck(operation, (x,))
    assert gradcheck(operation, (x,), check_forward_ad=True)
    assert gradgradcheck(operation, (x,))
