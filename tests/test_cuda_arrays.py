"""Arrays of a GPU through the public functions: recognised, checked, launched where the caller works, and given back in kind."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cuda_here import need_compiler, same_but_nan, storage
from fake_gpu import CuPyArray, DLPackArray, Gpu, InterfaceArray, Tensor

import fastsig as fs
from fastsig.arrays import gpu as da
from fastsig.arrays.devices import common_device, device_of
from fastsig.ops import OPS

pytestmark = [need_compiler, pytest.mark.usefixtures("gpu")]
pytest.importorskip("ml_dtypes")
UNARY = [op.name for op in OPS if op.nin == 1]
X = np.linspace(-110, 90, 1027, dtype=np.float32)
MAKERS = {"cupy": CuPyArray, "torch": Tensor}
EACH_LIBRARY = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


@EACH_LIBRARY
@pytest.mark.parametrize("dtype", ["f16", "bf16", "f32", "f64"])
@pytest.mark.parametrize("name", UNARY)
def test_the_same_kind_with_the_same_bits(make: Any, dtype: str, name: str, gpu: Gpu) -> None:
    x = X.astype(storage(dtype))
    got = getattr(fs, name)(make(x))
    assert type(got) is make
    assert same_but_nan(got.host, getattr(fs, name)(x))
    assert gpu.kernels == [f"{name}_{dtype}_flat"]


@pytest.mark.parametrize(("make", "streams"), [(CuPyArray, (7, 8)), (Tensor, (17, 18))], ids=MAKERS)
def test_the_arrays_device_and_the_callers_stream(make: Any, streams: tuple[int, int], gpu: Gpu) -> None:
    for device in (0, 1):
        got = fs.sigmoid(make(X, device))
        assert (got.device.id if make is CuPyArray else got.device.index) == device
        assert (gpu.launches[-1].device, gpu.launches[-1].stream) == (device, streams[device])
    assert gpu.current == 0


def test_torch_gives_its_raw_stream_where_it_can(gpu: Gpu) -> None:
    import torch

    torch._C._cuda_getCurrentRawStream = lambda device: 99 + device
    fs.sigmoid(Tensor(X, 1))
    assert gpu.launches[-1].stream == 100


LAYOUTS = {
    "transposed": lambda a: a.reshape(13, 79).T,
    "every second": lambda a: a[::2],
    "backwards": lambda a: a[::-1],
    "a corner": lambda a: a.reshape(13, 79)[2:9, 5:40],
    "three axes": lambda a: a[:1020].reshape(5, 12, 17).transpose(2, 0, 1)[:, :, ::3],
    "broadcast": lambda a: np.broadcast_to(a[:79], (13, 79)),
    "no axes": lambda a: a[3:4].reshape(()),
    "empty": lambda a: a[:0].reshape(0, 3),
    "behind": lambda a: a[1:],
    "nine axes": lambda a: a[:1024].reshape((2,) * 10).transpose(3, 0, 7, 1, 9, 5, 2, 8, 4, 6)[..., :1],
    "ten axes": lambda a: a[:1024].reshape((2,) * 10).transpose(3, 0, 7, 1, 9, 5, 2, 8, 4, 6),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("order", ["K", "C", "F", "A"])
def test_any_layout_without_a_copy(layout: str, order: str, gpu: Gpu) -> None:
    x = LAYOUTS[layout](X)
    got = fs.sigmoid(CuPyArray(x), order=order)
    want = fs.sigmoid(x, order=order)
    assert same_but_nan(np.asarray(got.host), np.asarray(want))
    assert got.host.strides == np.asarray(want).strides or layout in (
        "broadcast",
        "no axes",
        "empty",
        "a corner",
        "three axes",
        "nine axes",
    )
    more = {"empty": 0, "ten axes": 4, "nine axes": 2} if order != "K" else {"empty": 0}
    assert len(gpu.launches) == more.get(layout, 1)


@pytest.mark.parametrize("order", ["K", "C", "F"])
def test_torch_layouts(order: str, gpu: Gpu) -> None:
    x = X.reshape(13, 79).T
    got = fs.sigmoid(Tensor(x), order=order)
    assert same_but_nan(np.ascontiguousarray(got.host), np.ascontiguousarray(fs.sigmoid(x)))
    assert got.host.flags.c_contiguous == (order == "C")


@pytest.mark.parametrize("source", ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
def test_integers_become_floats_as_for_exp(source: str) -> None:
    x = np.arange(-60, 60).astype(source)
    got = fs.sigmoid(CuPyArray(x))
    want = fs.sigmoid(x)
    assert same_but_nan(got.host, want)


@pytest.mark.parametrize(
    ("source", "loop", "target"), [("f4", "f8", "f4"), ("f4", "f4", "f8"), ("f8", "f4", "f4"), ("f2", "f8", "f2"), ("i4", "f4", "f8")]
)
def test_dtype_and_out_of_another_type(source: str, loop: str, target: str) -> None:
    """``dtype=float64`` with a float32 out is the accuracy knob."""
    x = X.astype(source)
    out = CuPyArray(np.empty(x.shape, target))
    assert fs.sigmoid(CuPyArray(x), out=out, dtype=loop) is out
    assert same_but_nan(out.host, fs.sigmoid(x, out=np.empty(x.shape, target), dtype=loop))


def test_dtype_as_torch_writes_it() -> None:
    import torch

    got = fs.sigmoid(Tensor(X), dtype=torch.float64)
    assert got.host.dtype == np.float64
    assert same_but_nan(got.host, fs.sigmoid(X.astype("f8")))


def test_where(gpu: Gpu) -> None:
    mask = X > 3
    out = CuPyArray(np.full(X.shape, 7, "f4"))
    fs.sigmoid(CuPyArray(X), out=out, where=CuPyArray(mask))
    assert same_but_nan(out.host, np.where(mask, fs.sigmoid(X), np.float32(7)))
    wide = CuPyArray(np.full((2, X.size), 7, "f4"))
    fs.sigmoid(CuPyArray(X), out=wide, where=CuPyArray(np.array([[True], [False]])))
    assert same_but_nan(wide.host, np.stack([fs.sigmoid(X), np.full(X.shape, 7, "f4")]))


def test_out(gpu: Gpu) -> None:
    for out in (CuPyArray(np.empty_like(X)), Tensor(np.empty_like(X))):
        assert fs.sigmoid(Tensor(X), out=out) is out
        assert fs.sigmoid(Tensor(X), out=(out,)) is out
        assert same_but_nan(out.host, fs.sigmoid(X))
    x = CuPyArray(X.copy())
    fs.sigmoid(x, out=x)
    assert same_but_nan(x.host, fs.sigmoid(X))
    evens, odds = CuPyArray(x.host[::2]), CuPyArray(x.host[1::2])
    fs.sigmoid(CuPyArray(evens.host[:-1]), out=odds)  # the memory between, which no element shares


def test_other_libraries_with_out(gpu: Gpu) -> None:
    out = CuPyArray(np.empty_like(X))
    for x, stream in ((InterfaceArray(X, stream=5), 5), (InterfaceArray(X), 0), (DLPackArray(X), 0), (InterfaceArray(X[::3]), 0)):
        target = CuPyArray(np.empty_like(x.host)) if x.host.size != X.size else out
        assert fs.sigmoid(x, out=target) is target
        assert same_but_nan(target.host, fs.sigmoid(x.host))
        assert gpu.launches[-1].stream == stream
    with pytest.raises(TypeError, match=r"how to make an array like .*InterfaceArray.* is not known; give out="):
        fs.sigmoid(InterfaceArray(X))


def test_a_library_of_the_array_api_standard() -> None:
    class Standard(DLPackArray):
        device = "gpu0"
        dtype = "float32"

        def __array_namespace__(self) -> Any:
            return SimpleNamespace(float32="f4", empty=lambda shape, dtype, device: Standard(np.empty(shape, dtype)))

    got = fs.sigmoid(Standard(X))
    assert type(got) is Standard
    assert same_but_nan(got.host, fs.sigmoid(X))


def test_a_device_that_only_the_driver_knows(gpu: Gpu) -> None:
    x, out = InterfaceArray(X), CuPyArray(np.empty_like(X), 1)
    gpu.on = {X.ctypes.data: 1}
    fs.sigmoid(x, out=out)
    assert gpu.launches[-1].device == 1
    gpu.on = {}
    with pytest.raises(ValueError, match="sigmoid: all arrays of a call must be on one device, but x is on cuda:0, out is on cuda:1"):
        fs.sigmoid(x, out=out)


def test_the_launches_are_the_c_librarys(monkeypatch: pytest.MonkeyPatch, gpu: Gpu) -> None:
    from fastsig.dispatch import gpu as dispatch
    from fastsig.kernels.c.status import library
    from fastsig.kernels.cuda import launch

    monkeypatch.setattr(dispatch, "_rooms", {})
    monkeypatch.setattr(launch, "c", None)
    fs.sigmoid(CuPyArray(X))
    assert launch.c is library is not None


# ---- streams ----


def test_one_stream_needs_no_order(gpu: Gpu) -> None:
    """Nor do arrays that name no stream, or the same one."""
    mask, out = CuPyArray(X > 0), CuPyArray(np.empty_like(X))
    fs.sigmoid(CuPyArray(X), out=out, where=mask)
    fs.sigmoid(Tensor(X))
    fs.bce_with_logits_value_and_grad(Tensor(X), Tensor(X), check=False)
    fs.sigmoid(CuPyArray(X), out=InterfaceArray(np.empty_like(X)))
    fs.sigmoid(CuPyArray(X), out=InterfaceArray(np.empty_like(X), stream=7))
    fs.sigmoid(InterfaceArray(X, stream=1), out=DLPackArray(np.empty_like(X)))
    assert not [line for line in gpu.order if "after" in line]
    assert [launch.stream for launch in gpu.launches] == [7, 17, 17, 17, 7, 7, 0]


def test_the_launch_waits_for_all_other_streams_and_they_for_it(gpu: Gpu) -> None:
    x, out = Tensor(X), CuPyArray(np.empty_like(X))
    fs.sigmoid(x, out=out)
    assert gpu.order == ["17 after 7", "17: sigmoid_f32_flat", "7 after 17"]
    gpu.order.clear()
    fs.sigmoid(InterfaceArray(X, stream=5), out=out, where=InterfaceArray(X > 0, stream=6))
    assert [line for line in gpu.order if "after" in line] == ["5 after 6", "5 after 7", "6 after 5", "7 after 5"]
    assert ": " in gpu.order[2]
    gpu.order.clear()
    fs.swiglu(x, x, out=out)
    assert gpu.order == ["17 after 7", "17: swiglu_f32_1n", "7 after 17"]


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_the_streams_of_a_loss(reduction: str, gpu: Gpu) -> None:
    """Of every operand and output, each once, around all its launches."""
    x, t, w = Tensor(X), CuPyArray(X), InterfaceArray(X, stream=5)
    mask = InterfaceArray(X > 0, stream=5)
    shape = () if reduction == "mean" else X.shape
    out, grad = InterfaceArray(np.empty(shape, "f4"), stream=6), Tensor(np.empty_like(X))
    fs.bce_with_logits_value_and_grad(x, t, weight=w, mask=mask, reduction=reduction, check=False, out=out, grad_out=grad)
    assert gpu.order[:3] == ["17 after 5", "17 after 6", "17 after 7"]
    assert gpu.order[-3:] == ["5 after 17", "6 after 17", "7 after 17"]
    assert all(line.startswith("17: ") for line in gpu.order[3:-3])
    gpu.order.clear()
    fs.bce_with_logits_grad_hess(x, t, check=False)
    assert [line for line in gpu.order if "after" in line] == ["17 after 7", "7 after 17"]


@pytest.mark.parametrize(
    ("captures", "ordered"), [({17: 3, 7: 3}, True), ({17: 3}, False), ({7: 3}, False), ({17: 3, 7: 4}, False), ({17: 3, 7: -1}, False)]
)
def test_streams_of_one_capture_only(captures: dict[int, int], ordered: bool, gpu: Gpu) -> None:
    """A graph holds no wait for what is outside of it; the call itself is captured."""
    gpu.captures = captures
    fs.sigmoid(Tensor(X), out=CuPyArray(np.empty_like(X)))
    assert [line for line in gpu.order if "after" in line] == ["17 after 7", "7 after 17"] * ordered
    assert len(gpu.launches) == 1


def test_dlpack_is_asked_for_the_launchs_stream(gpu: Gpu) -> None:
    """And what holds the export lives until the launch is queued."""
    fs.sigmoid(DLPackArray(X), out=Tensor(np.empty_like(X)))
    fs.sigmoid(Tensor(X), out=DLPackArray(np.empty_like(X)), where=DLPackArray(X > 0))
    fs.bce_with_logits(CuPyArray(X), DLPackArray(X), weight=DLPackArray(X), check=False)
    fs.swiglu(Tensor(X, 1), DLPackArray(X, (2, 1)))
    assert gpu.exports == [1, 17, 17, 7, 7, 18]
    assert [launch.held for launch in gpu.launches] == [1, 2, 2, 2, 1]
    assert not gpu.held
    assert gpu.order[:3] == ["0 after 17", "0: sigmoid_f32_flat", "17 after 0"]


def test_numba_is_given_the_stream_of_its_array(monkeypatch: pytest.MonkeyPatch, gpu: Gpu) -> None:
    made: list[Any] = []

    class DeviceArray(InterfaceArray):
        def __init__(self, host: np.ndarray[Any, Any], stream: Any) -> None:
            super().__init__(host, stream=int(stream) or None)
            self.stream = stream

    def device_array(shape: Any, dtype: Any, order: str, stream: Any) -> DeviceArray:
        made.append(stream)
        return DeviceArray(np.empty(shape, dtype, order), stream)

    DeviceArray.__module__ = "numba.cuda.cudadrv.devicearray"
    monkeypatch.setitem(sys.modules, "numba.cuda", SimpleNamespace(gpus=[nullcontext()], device_array=device_array))
    for stream in (5, 0):
        x = DeviceArray(X, stream)
        assert same_but_nan(fs.sigmoid(x).host, fs.sigmoid(X))
        assert made.pop() is stream
        assert gpu.order == [f"{stream}: sigmoid_f32_flat"]
        gpu.order.clear()


# ---- torch's version counter ----


@pytest.mark.parametrize(
    "call",
    [
        lambda x, out: fs.sigmoid(x, out=out),
        lambda x, out: fs.sigmoid(x, out=out, dtype="f4"),
        lambda x, out: fs.swiglu(x, x, out=out),
        lambda x, out: fs.bce_with_logits(x, x, reduction="none", check=False, out=out),
        lambda x, out: fs.bce_with_logits_value_and_grad(x, x, check=False, grad_out=out),
        lambda x, out: fs.bce_with_logits_grad_hess(x, x, check=False, hess_out=out),
    ],
)
def test_autograd_hears_of_what_was_written(call: Any, gpu: Gpu) -> None:
    """So that a graph which has saved the tensor does not take the new values for the old ones."""
    x, out = Tensor(X), Tensor(np.empty_like(X))
    call(x, out)
    assert out._version > 0
    assert x._version == 0
    with pytest.raises(ValueError, match="shape"):
        call(x, Tensor(np.empty(5, "f4")))


def test_autograd_hears_of_a_reduced_loss() -> None:
    out = Tensor(np.empty((), "f4"))
    fs.bce_with_logits(Tensor(X), Tensor(X), check=False, out=out)
    assert out._version > 0


# ---- torch's negative bit ----


def negated(values: np.ndarray[Any, Any], device: int = 0) -> Tensor:
    """A tensor of these values whose memory holds their negatives, as ``z.conj().imag`` is."""
    return Tensor(-values, device, negative=True)


def test_a_negated_view_counts_by_its_values(gpu: Gpu) -> None:
    """The short way leaves it to the general one."""
    x, out = X.copy(), Tensor(np.empty_like(X))
    assert same_but_nan(fs.sigmoid(negated(x)).host, fs.sigmoid(x))
    assert same_but_nan(fs.sigmoid(negated(x), out=out).host, fs.sigmoid(x))
    assert same_but_nan(fs.sigmoid(negated(x[::3])).host, fs.sigmoid(x[::3]))
    t, w = np.linspace(0, 1, X.size, dtype=np.float32), np.linspace(0, 2, X.size, dtype=np.float32)
    loss, grad = fs.bce_with_logits_value_and_grad(negated(x), negated(t), weight=negated(w), pos_weight=negated(w))
    want, want_grad = fs.bce_with_logits_value_and_grad(x, t, weight=w, pos_weight=w)
    assert same_but_nan(loss.host, np.asarray(want))
    assert same_but_nan(grad.host, want_grad)
    assert same_but_nan(fs.swiglu(negated(x), negated(w)).host, fs.swiglu(x, w))


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda x, view: fs.sigmoid(x, out=view), "sigmoid: out"),
        (lambda x, view: fs.sigmoid(x, out=(view,)), "sigmoid: out"),
        (lambda x, view: fs.bce(x, x, reduction="none", out=view), "bce: out"),
        (lambda x, view: fs.bce_with_logits_value_and_grad(x, x, grad_out=view), "bce_with_logits_value_and_grad: grad_out"),
        (lambda x, view: fs.bce_with_logits_grad_hess(x, x, hess_out=view), "bce_with_logits_grad_hess: hess_out"),
        (lambda x, view: fs.swiglu(x, x, out=view), "swiglu: out"),
    ],
)
def test_nothing_is_written_into_a_negated_view(call: Any, argument: str, gpu: Gpu) -> None:
    with pytest.raises(
        ValueError, match=rf"^{argument} is a view whose memory holds the negatives of its values .*give a tensor of its own"
    ):
        call(Tensor(X), negated(X))
    assert not gpu.launches


# ---- what is refused, and in which words ----


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: fs.sigmoid(CuPyArray(X), out=CuPyArray(X.copy(), 1)), ValueError, "x is on cuda:0, out is on cuda:1"),
        (lambda: fs.sigmoid(CuPyArray(X), out=X.copy()), ValueError, "x is on cuda:0, out is on cpu"),
        (lambda: fs.sigmoid(X, out=Tensor(X.copy())), ValueError, "x is on cpu, out is on cuda:0"),
        (lambda: fs.sigmoid(CuPyArray(X), where=X > 0), ValueError, "x is on cuda:0, where is on cpu"),
        (lambda: fs.sigmoid(CuPyArray(X), where=CuPyArray(X)), TypeError, "where has dtype f32; give booleans"),
        (lambda: fs.sigmoid(CuPyArray(X), where=False), TypeError, "give True, or booleans on the device of x"),
        (lambda: fs.sigmoid(CuPyArray(X), out=CuPyArray(X[:5].copy())), ValueError, r"out has shape .*; the result has shape"),
        (lambda: fs.sigmoid(CuPyArray(X), out=CuPyArray(X.astype("i4"))), TypeError, "out has dtype i4; give an array of float32"),
        (lambda: fs.sigmoid(CuPyArray(X), out=InterfaceArray(X.copy(), read_only=True)), ValueError, "out is read-only"),
        (lambda: fs.sigmoid(CuPyArray(X), out=(CuPyArray(X), CuPyArray(X))), ValueError, "out is a tuple of 2"),
        (lambda: fs.sigmoid(CuPyArray(X[:-1]), out=CuPyArray(X[1:])), ValueError, "out overlaps x but is not the same elements"),
        (lambda: fs.sigmoid(CuPyArray(X[:9]), out=CuPyArray(np.broadcast_to(X[:1], (9,)))), ValueError, "out is a broadcast view"),
        (lambda: fs.sigmoid(CuPyArray(X.astype("c8"))), TypeError, "has dtype complex64; convert it to one of float16"),
        (lambda: fs.sigmoid(CuPyArray(X), dtype="i4"), TypeError, "dtype='i4' is no type of a result"),
        (lambda: fs.sigmoid(CuPyArray(X.astype("f8")), dtype="f4", casting="safe"), TypeError, "cannot be converted to float32 with"),
        (lambda: fs.sigmoid(CuPyArray(X.view("u1")[1:-3].view("f4"))), ValueError, "begins in the middle of an element"),
        (lambda: fs.sigmoid(Tensor(X, requires_grad=True)), TypeError, r"requires a gradient.*x\.detach\(\).*no_grad"),
        (lambda: fs.sigmoid(InterfaceArray(X, mask=1)), TypeError, "has a mask in its __cuda_array_interface__"),
        (lambda: fs.sigmoid(CuPyArray(X), backend="c"), RuntimeError, "x .* is on cuda:0, and backend='c' computes in host memory"),
        (lambda: fs.sigmoid(X, backend="cuda"), RuntimeError, "backend='cuda' computes on arrays.*, and x .* in host memory"),
        (lambda: fs.explain(X, backend="cuda"), RuntimeError, "explain|sigmoid: backend='cuda' computes on arrays of an NVIDIA GPU"),
    ],
)  # fmt: skip
def test_refusals(call: Any, error: type[Exception], words: str, gpu: Gpu) -> None:
    with pytest.raises(error, match=words):
        call()
    assert not gpu.launches


def test_a_gradient_that_nobody_records_is_none(gpu: Gpu) -> None:
    gpu.grad[0] = False  # type: ignore[attr-defined]
    assert same_but_nan(fs.sigmoid(Tensor(X, requires_grad=True)).host, fs.sigmoid(X))


def test_jax_arrays_are_told_where_to_go() -> None:
    array = type("ArrayImpl", (), {"devices": lambda self: [SimpleNamespace(platform="gpu")], "dtype": np.dtype("f4")})
    array.__module__ = "jaxlib._jax"
    with pytest.raises(TypeError, match=r"JAX's.*torch\.from_dlpack\(x\) or cupy\.from_dlpack\(x\)"):
        fs.sigmoid(array())


def test_explain(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("FASTSIG_CACHE_DIR", str(tmp_path))
    words = fs.explain(CuPyArray(X))
    assert words == "sigmoid: cuda: the array is on cuda:0; its kernel for sm_90 will be compiled by the first call"
    from fastsig.kernels.cuda import compiler, elementwise_kernels

    compiler.cubin_of(elementwise_kernels.flat("sigmoid", "f32"), (9, 0))
    assert fs.explain(CuPyArray(X)).endswith("is in the cache on disk")
    with pytest.raises(RuntimeError, match="backend='c' computes in host memory"):
        fs.explain(CuPyArray(X), backend="c")


# ---- two inputs, which only the backend's own function takes ----


@pytest.mark.parametrize("name", [op.name for op in OPS if op.nin == 2])
def test_two_arguments_broadcast(name: str, gpu: Gpu) -> None:
    from fastsig.kernels.cuda import elementwise

    x, t = np.random.default_rng(0).random((17, 40), np.float32), np.random.default_rng(1).random(40, np.float32)
    got = elementwise.elementwise(name, (CuPyArray(x), CuPyArray(t)))
    assert same_but_nan(got.host, getattr(fs.ufuncs, name)(x, t))
    got = elementwise.elementwise(name, (CuPyArray(x), CuPyArray(x)))
    assert same_but_nan(got.host, getattr(fs.ufuncs, name)(x, x))
    assert gpu.kernels == [f"{name}_f32_f32_f32_f32_strided2n", f"{name}_f32_flat"]
    with pytest.raises(ValueError, match=r"x of shape \(17, 40\), t of shape \(17,\) do not broadcast"):
        elementwise.elementwise(name, (CuPyArray(x), CuPyArray(t[:17])))


# ---- recognition ----


def test_devices() -> None:
    assert device_of(CuPyArray(X, 1)) == "cuda:1"
    assert device_of(Tensor(X, 1)) == "cuda:1"
    assert device_of(InterfaceArray(X)) == "cuda"
    assert device_of(DLPackArray(X)) == "cuda:0"
    assert device_of(DLPackArray(X, (1, 0))) == "cpu"
    assert common_device(x=InterfaceArray(X), out=CuPyArray(X, 1)) == "cuda:1"


def test_subclasses_are_their_librarys() -> None:
    class Parameter(Tensor):
        pass

    assert da.library_for(Parameter(X)) is da.TORCH
    assert da.library_for(CuPyArray(X)) is da.CUPY
    assert da.library_for(InterfaceArray(X)) is da.INTERFACE


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 4), (0, 2)])
def test_strides_in_c_order(shape: tuple[int, ...]) -> None:
    if 0 not in shape:
        assert da.c_strides(shape, 4) == np.empty(shape, "f4").strides
    assert len(da.c_strides(shape, 4)) == len(shape)
