"""Gated units and recurrent cells in torch: fastsig's bits, torch's meaning, derivatives by every way."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import fastsig as fs

torch = pytest.importorskip("torch")

from torch.autograd import gradcheck, gradgradcheck  # noqa: E402
from torch_functions import DTYPES, F, array, ft, near, same_bits  # noqa: E402

from fastsig.interop.torch.gate_operations import GATES  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::UserWarning")
SHAPES = {"glu": ((2, 4, 3),), "swiglu": ((2, 3), (2, 3)), "lstm_cell": ((2, 8), (2, 2)), "gru_cell": ((2, 6), (2, 6), (2, 2))}
AXIS = {"glu": (-2,)}
EACH = pytest.mark.parametrize("name", SHAPES)


def drawn(shapes, dtype=torch.float64, seed=5):
    rng = np.random.default_rng(seed)
    return tuple(torch.tensor(rng.normal(size=shape)).to(dtype) for shape in shapes)


def leaves(*tensors):
    return tuple(x.clone().requires_grad_() for x in tensors)


def each(found):
    return found if isinstance(found, tuple) else (found,)


def on_arrays(name, *tensors):
    return each(getattr(fs, name)(*map(array, tensors), *AXIS.get(name.removesuffix("_backward"), ())))


@EACH
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_values_and_gradients_have_fastsigs_bits(name, dtype):
    given = drawn(SHAPES[name], dtype)
    expected = on_arrays(name, *given)
    for asked in (given, leaves(*given)):
        results = each(getattr(fs, name)(*asked, *AXIS.get(name, ())))
        assert all(map(same_bits, results, expected))
        assert all(result.requires_grad is asked[0].requires_grad for result in results)
    came = drawn([result.shape for result in results], dtype, 6)
    torch.autograd.backward(results, came)
    assert all(map(same_bits, (x.grad for x in asked), on_arrays(f"{name}_backward", *came, *given)))


@EACH
def test_gradients_of_two_orders_backward_forward_and_batched(name):
    given, axis = leaves(*drawn(SHAPES[name])), AXIS.get(name, ())
    gate = GATES[name]
    for call in (gate, gate.operation):
        assert gradcheck(lambda *x: call(*x, *axis), given, check_forward_ad=True, check_batched_grad=True)  # noqa: B023
        assert gradgradcheck(lambda *x: call(*x, *axis), given, check_fwd_over_rev=True, check_rev_over_rev=True)  # noqa: B023
    came = leaves(*drawn([x.shape for x in each(gate(*given, *axis))], seed=7))
    assert gradcheck(lambda *x: gate.gradient(*x, *axis), came + given, check_forward_ad=True)
    assert gradgradcheck(lambda *x: gate.gradient(*x, *axis), came + given)


@EACH
def test_the_operations_are_what_torch_takes_them_for(name):
    given, axis = leaves(*drawn(SHAPES[name])), AXIS.get(name, ())
    came = leaves(*drawn([x.shape for x in each(GATES[name](*given, *axis))], seed=7))
    torch.library.opcheck(GATES[name].operation, given + axis)
    torch.library.opcheck(GATES[name].gradient, came + given + axis)


@EACH
def test_transformations_and_the_compiler(name):
    given, axis = drawn(SHAPES[name]), AXIS.get(name, ())

    def of(*x):
        return sum(y.sum() for y in each(GATES[name](*x, *axis)))

    asked = leaves(*given)
    of(*asked).backward()
    torch._dynamo.reset()
    compiled = torch.compile(of, backend="aot_eager", fullgraph=True)
    other = leaves(*given)
    compiled(*other).backward()
    everything = tuple(range(len(given)))
    assert all(map(torch.equal, (x.grad for x in other), (x.grad for x in asked)))
    assert all(map(torch.equal, torch.func.grad(of, everything)(*given), (x.grad for x in asked)))
    tangent = torch.func.jvp(of, given, given)[1]
    assert near(tangent, sum((x * y.grad).sum() for x, y in zip(given, asked, strict=True)), ulps=64, scale=1)
    mapped = torch.func.vmap(lambda *x: each(GATES[name](*x, *axis)))(*(torch.stack([x, 2 * x]) for x in given))
    assert all(map(torch.equal, (x[1] for x in mapped), each(GATES[name](*(2 * x for x in given), *axis))))
    assert torch.func.hessian(of)(*given).isfinite().all()


@pytest.mark.parametrize("dim", [-1, 0, 1, -3])
def test_glu_as_torch(dim):
    (x,) = drawn([(4, 6, 2)])
    assert near(ft.glu(x, dim), F.glu(x, dim), ulps=4, scale=1)
    assert near(ft.glu(x.transpose(0, 1), dim), F.glu(x.transpose(0, 1), dim), ulps=4, scale=1)
    meta = ft.glu(x.to("meta"), dim)
    assert meta.device.type == "meta"
    assert meta.shape == F.glu(x, dim).shape


CELLS = {"LSTMCell": ft.LSTMCell, "GRUCell": ft.GRUCell}
EACH_CELL = pytest.mark.parametrize("name", CELLS)


def states(name, *shape):
    h, c = drawn([shape, shape], torch.float32, 9)
    return (h, c) if name == "LSTMCell" else h


@EACH_CELL
@pytest.mark.parametrize("keywords", [{}, {"bias": False}, {"dtype": torch.float64}], ids=str)
@pytest.mark.parametrize("batch", [(), (5,)], ids=["one", "batch"])
@pytest.mark.parametrize("with_state", [False, True])
def test_cells_are_drop_in(name, keywords, batch, with_state):
    ours, torchs = CELLS[name], getattr(torch.nn, name)
    torch.manual_seed(1)
    a = ours(3, 4, **keywords)
    torch.manual_seed(1)
    b = torchs(3, 4, **keywords)
    assert inspect.signature(ours) == inspect.signature(torchs)
    assert repr(a) == repr(b)
    assert a.state_dict().keys() == b.state_dict().keys()
    assert all(map(torch.equal, a.parameters(), b.parameters()))
    x = drawn([(*batch, 3)])[0].to(keywords.get("dtype", torch.float32))
    more = (states(name, *batch, 4),) if with_state and "dtype" not in keywords else ()
    got, expected = each(a(x, *more)), each(b(x, *more))
    torch.testing.assert_close(got, expected)
    for results in (got, expected):
        sum(y.sum() for y in results).backward()
    torch.testing.assert_close([p.grad for p in a.parameters()], [p.grad for p in b.parameters()])


@EACH_CELL
def test_cells_under_autocast_have_torchs_types(name):
    a, b, x = CELLS[name](3, 4), getattr(torch.nn, name)(3, 4), torch.zeros(2, 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert [y.dtype for y in each(a(x))] == [y.dtype for y in each(b(x))]


def test_cells_are_replaced_and_restored():
    model = torch.nn.ModuleList([torch.nn.LSTMCell(2, 3), torch.nn.GRUCell(2, 3), torch.nn.GLU(0)])
    ft.replace(model)
    assert [type(m) for m in model] == [ft.LSTMCell, ft.GRUCell, ft.GLU]
    ft.restore(model)
    assert [type(m) for m in model] == [torch.nn.LSTMCell, torch.nn.GRUCell, torch.nn.GLU]


def test_fastsigs_functions_take_what_they_take_of_arrays():
    (x,) = drawn([(4, 6)], torch.float32)
    out = torch.empty(4, 3)
    version = out._version
    assert fs.glu(x, out=out) is out
    assert out._version > version
    assert same_bits(out, fs.glu(array(x)))
    assert same_bits(fs.glu(x, 0, threads=1), fs.glu(array(x), 0))
    assert same_bits(fs.swiglu(x, 2.0), fs.swiglu(array(x), np.float32(2)))
    assert fs.swiglu(x.clone().requires_grad_(), 2.0).dtype == torch.float32
    h, c = fs.lstm_cell(x[:, :4], np.zeros((4, 1), np.float32))
    assert isinstance(c, torch.Tensor)
    dgates, dc = fs.lstm_cell_backward(None, h, x[:, :4], c)
    assert same_bits(dgates, fs.lstm_cell_backward(None, array(h), array(x[:, :4]), array(c))[0])
    leaf = x[:, :4].clone().requires_grad_()
    assert same_bits(fs.lstm_cell_backward(None, h, leaf, c)[0], dgates)


def test_a_stretched_operand_has_the_sum_of_the_gradients():
    a, b = leaves(*drawn([(4, 3), (3,)]))
    assert gradcheck(fs.swiglu, (a, b))


LEAF = torch.zeros(2, 4, requires_grad=True)
REFUSED = {
    "odd": (lambda: ft.glu(torch.zeros(3)), RuntimeError, "does not halve"),
    "no dimensions": (lambda: ft.glu(torch.zeros(())), RuntimeError, "no dimensions"),
    "no such dimension": (lambda: ft.glu(torch.zeros(4), 1), IndexError, "dim=1"),
    "no tensor": (lambda: ft.glu([0.0, 1.0]), TypeError, "list.*torch.Tensor"),
    "features": (lambda: ft.LSTMCell(3, 2)(torch.zeros(4, 5)), RuntimeError, "input has shape"),
    "a state": (lambda: ft.GRUCell(3, 2)(torch.zeros(4, 3), torch.zeros(3, 2)), RuntimeError, r"hx has shape \(3, 2\)"),
    "dimensions": (lambda: ft.GRUCell(3, 2)(torch.zeros(1, 4, 3)), ValueError, "input has 3 dimensions"),
    "types": (lambda: fs.lstm_cell(LEAF, torch.zeros(2, 1, dtype=torch.float64)), TypeError, "c has dtype torch.float64"),
    "shapes": (lambda: fs.lstm_cell(LEAF, torch.zeros(3, 1)), ValueError, r"c has shape \(3, 1\)"),
    "threads and a gradient": (lambda: fs.glu(LEAF, threads=1), RuntimeError, "threads takes no part"),
    "an array as out": (lambda: fs.glu(torch.zeros(2), out=np.zeros(1)), TypeError, "out is numpy.ndarray"),
    "the GPU's backend": (lambda: fs.glu(LEAF, backend="cuda"), RuntimeError, "the tensor is on cpu"),
}


@pytest.mark.parametrize(("call", "kind", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(call, kind, words):
    with pytest.raises(kind, match=words):
        call()
