"""On an NVIDIA GPU: the bits of the host for all inputs, the caller's stream, graphs. ``pytest -m gpu``; skipped where there is none."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from cuda_here import same_but_nan, storage
from processes import printed
from samples import anything

import fastsig as fs
from fastsig.ops import OPS

STATUS = fs.backends()["cuda"]
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(STATUS != "available", reason=f"no CUDA here: {STATUS}"),
    pytest.mark.filterwarnings("default"),  # of torch, CuPy, Numba and NVIDIA's packages, in whatever versions a machine has
]
UNARY = [op for op in OPS if op.nin == 1]
EACH_UNARY = pytest.mark.parametrize("op", UNARY, ids=lambda op: op.name)
BLOCK = 1 << 26


@pytest.fixture
def torch() -> Any:
    module = pytest.importorskip("torch")
    if not module.cuda.is_available():
        pytest.skip("this torch has no CUDA")
    return module


def to_host(tensor: Any, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """By bits, as NumPy has no bfloat16 of torch's."""
    import torch

    word = {2: torch.int16, 4: torch.int32, 8: torch.int64}[dtype.itemsize]
    return np.asarray(tensor.contiguous().view(word).cpu()).view(dtype)


def to_gpu(array: np.ndarray[Any, Any], torch: Any) -> Any:
    word = np.ascontiguousarray(array).view(f"i{array.dtype.itemsize}")
    return torch.from_numpy(word).cuda().view(getattr(torch, array.dtype.name))


@pytest.mark.slow
@EACH_UNARY
def test_all_float32(op: Any, torch: Any) -> None:
    """2^32 inputs, block by block, by way of memory that the device reads itself."""
    x, want = (torch.empty(BLOCK, dtype=torch.float32, pin_memory=True) for _ in range(2))
    for start in range(-1 << 31, 1 << 31, BLOCK):
        on_gpu = torch.arange(start, start + BLOCK, device="cuda").to(torch.int32).view(torch.float32)
        x.copy_(on_gpu)
        getattr(fs, op.name)(x.numpy(), out=want.numpy())
        got, expected = getattr(fs, op.name)(on_gpu), want.cuda()
        same = (got.view(torch.int32) == expected.view(torch.int32)) | (got.isnan() & expected.isnan())
        assert bool(same.all()), hex(start)


@pytest.mark.parametrize("dtype", ["f16", "bf16"])
@EACH_UNARY
def test_all_halves(op: Any, dtype: str, torch: Any) -> None:
    pytest.importorskip("ml_dtypes")
    x = np.arange(1 << 16, dtype=np.uint16).view(storage(dtype))
    assert same_but_nan(to_host(getattr(fs, op.name)(to_gpu(x, torch)), x.dtype), getattr(fs, op.name)(x))


@EACH_UNARY
def test_sampled_float64(op: Any, torch: Any) -> None:
    (x,) = anything(op, np.float64, 1 << 22)
    assert same_but_nan(to_host(getattr(fs, op.name)(to_gpu(x, torch)), x.dtype), getattr(fs, op.name)(x))


@pytest.mark.parametrize("dtype", ["f32", "f64", "f16", "bf16"])
@pytest.mark.parametrize("n", [1, 1023, 1024, 1 << 20, 3_000_001])
def test_losses(n: int, dtype: str, torch: Any) -> None:
    pytest.importorskip("ml_dtypes")
    random = np.random.default_rng(n)
    kind = storage(dtype)
    x, t, w = (a.astype(kind) for a in (random.normal(0, 5, n), random.random(n), random.random(n)))
    mask = random.random(n) < 0.8
    on_gpu = [to_gpu(a, torch) for a in (x, t, w)]
    options = [({}, {}), ({"weight": w, "mask": mask}, {"weight": on_gpu[2], "mask": torch.from_numpy(mask).cuda()})]
    for host, device in options:
        for reduction in ("mean", "sum"):
            want, want_grad = fs.bce_with_logits_value_and_grad(x, t, reduction=reduction, **host)
            got, grad = fs.bce_with_logits_value_and_grad(*on_gpu[:2], reduction=reduction, **device)
            assert same_but_nan(to_host(got, kind), np.asarray(want))
            assert same_but_nan(to_host(grad, kind), want_grad)
    for seed in range(3):  # calls like the first one, on other tensors
        others = [a.astype(kind) for a in (np.random.default_rng(seed).normal(0, 5, n), np.random.default_rng(seed + 9).random(n))]
        got, grad = fs.bce_with_logits_value_and_grad(*(to_gpu(a, torch) for a in others))
        want, want_grad = fs.bce_with_logits_value_and_grad(*others)
        assert same_but_nan(to_host(got, kind), np.asarray(want))
        assert same_but_nan(to_host(grad, kind), want_grad)
    again = [fs.bce_with_logits(*on_gpu[:2]) for _ in range(20)]
    assert len({to_host(a, kind).tobytes() for a in again}) == 1


def test_torch_on_a_stream_of_its_own(torch: Any) -> None:
    """The input is written on that stream after long work: a launch on another one would read what was there before."""
    stream = torch.cuda.Stream()
    x = torch.zeros(1 << 20, device="cuda")
    out = torch.empty_like(x)
    fs.sigmoid(x, out=out)
    torch.cuda.synchronize()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(100_000_000)
        x.fill_(2.0)
        got = fs.sigmoid(x)
        fs.sigmoid(x, out=out)
    stream.synchronize()
    want = fs.sigmoid(np.float32(2))
    assert (got == float(want)).all()
    assert (out == float(want)).all()


def test_a_cuda_graph(torch: Any) -> None:
    x, t = torch.zeros(5000, device="cuda"), torch.ones(5000, device="cuda")
    out, grad, loss = torch.empty_like(x), torch.empty_like(x), torch.empty((), device="cuda")

    def work() -> None:
        fs.sigmoid(x, out=out)
        fs.bce_with_logits_value_and_grad(x, t, out=loss, grad_out=grad)

    work()  # what is compiled and loaded at the first call is not captured
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    host = np.random.default_rng(0).normal(0, 3, 5000).astype("f4")
    x.copy_(torch.from_numpy(host))
    graph.replay()
    torch.cuda.synchronize()
    assert same_but_nan(to_host(out, host.dtype), fs.sigmoid(host))
    want, want_grad = fs.bce_with_logits_value_and_grad(host, np.ones(5000, "f4"))
    assert same_but_nan(to_host(loss, host.dtype), np.asarray(want))
    assert same_but_nan(to_host(grad, host.dtype), want_grad)


def test_cupy() -> None:
    cupy = pytest.importorskip("cupy")
    x = np.linspace(-100, 100, 10_007, dtype=np.float32)
    with cupy.cuda.Stream(non_blocking=True) as stream:
        got = fs.sigmoid(cupy.asarray(x)[::3])
        stream.synchronize()
    assert isinstance(got, cupy.ndarray)
    assert same_but_nan(cupy.asnumpy(got), fs.sigmoid(x[::3]))


def test_numba() -> None:
    cuda = pytest.importorskip("numba.cuda")
    x = np.linspace(-100, 100, 10_007, dtype=np.float32)
    got = fs.sigmoid(cuda.to_device(x))
    assert same_but_nan(got.copy_to_host(), fs.sigmoid(x))


def test_a_second_device(torch: Any) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("one GPU")
    x = torch.linspace(-9, 9, 1001, device="cuda:1")
    with torch.cuda.device(0):
        got = fs.sigmoid(x)
        assert torch.cuda.current_device() == 0
    assert got.device == x.device
    assert same_but_nan(to_host(got, np.dtype("f4")), fs.sigmoid(to_host(x, np.dtype("f4"))))
    with pytest.raises(ValueError, match=r"x is on cuda:1, out is on cuda:0"):
        fs.sigmoid(x, out=torch.empty(1001, device="cuda:0"))


def test_what_is_refused(torch: Any) -> None:
    """And the context is usable afterwards."""
    x = torch.ones(10, device="cuda", requires_grad=True)
    with pytest.raises(TypeError, match=r"x\.detach\(\)"):
        fs.sigmoid(x)
    with pytest.raises(RuntimeError, match="computes in host memory"):
        fs.sigmoid(x.detach(), backend="c")
    with pytest.raises(ValueError, match="out has shape"):
        fs.sigmoid(x.detach(), out=torch.empty(3, device="cuda"))
    assert (fs.sigmoid(x.detach()) == float(fs.sigmoid(np.float32(1)))).all()


def test_a_negated_view(torch: Any) -> None:
    """``z.conj().imag`` is a view of raw memory that holds the negatives of its values."""
    view = torch.complex(torch.ones(1000, device="cuda"), torch.linspace(-9, 9, 1000, device="cuda")).conj().imag
    assert view.is_neg()
    want = fs.sigmoid(to_host(view.resolve_neg(), np.dtype("f4")))
    assert same_but_nan(to_host(fs.sigmoid(view), want.dtype), want)
    with pytest.raises(ValueError, match="out is a view whose memory holds the negatives of its values"):
        fs.sigmoid(view, out=view)


def test_autograd_hears_of_what_was_written(torch: Any) -> None:
    x, out, grad = (torch.ones(1000, device="cuda") for _ in range(3))
    loss = torch.ones((), device="cuda")
    fs.sigmoid(x, out=out)
    fs.bce_with_logits_value_and_grad(x, x, out=loss, grad_out=grad)
    assert all(tensor._version == 1 for tensor in (out, loss, grad))
    assert x._version == 0


class OnlyInterface:
    """A ``__cuda_array_interface__`` and nothing else."""

    def __init__(self, array: Any, stream: int | None = None) -> None:
        self.array = array
        self.__cuda_array_interface__ = {**array.__cuda_array_interface__, "stream": stream}


class OnlyDLPack:
    """DLPack and nothing else."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()  # type: ignore[no-any-return]

    def __dlpack__(self, **asked: Any) -> Any:
        return self.array.__dlpack__(**asked)


def long_work(torch: Any, stream: int) -> None:
    with torch.cuda.stream(torch.cuda.ExternalStream(stream)):
        torch.cuda._sleep(200_000_000)


def test_streams_of_two_libraries(torch: Any) -> None:
    """What another stream has still to write is waited for, and it waits for what is read: no stream here blocks the default one."""
    cupy = pytest.importorskip("cupy")
    want = float(fs.sigmoid(np.float32(2)))
    x, out = cupy.zeros(1 << 20, np.float32), torch.zeros(1 << 20, device="cuda")
    fs.sigmoid(x, out=out)
    torch.cuda.synchronize()
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        long_work(torch, stream.ptr)
        x.fill(2)
        fs.sigmoid(x, out=out)
    assert bool((out == want).all()), "torch's stream did not wait for the launch on CuPy's"
    logits, loss = torch.zeros(1 << 20, device="cuda"), torch.zeros(1 << 20, device="cuda")
    targets = cupy.zeros(1 << 20, np.float32)
    with stream:
        long_work(torch, stream.ptr)
        targets.fill(1)
        fs.bce_with_logits(logits, targets, reduction="none", out=loss)
        targets.fill(0)  # after the loss has read it
    assert bool((loss == float(fs.bce_with_logits(np.float32(0), np.float32(1)))).all())
    named = cupy.zeros(1 << 20, np.float32)
    with stream:
        long_work(torch, stream.ptr)
        named.fill(2)
    fs.sigmoid(OnlyInterface(named, stream.ptr), out=out)
    assert bool((out == want).all())
    torch.cuda.synchronize()


def test_dlpack_on_the_launchs_stream(torch: Any) -> None:
    source = torch.cuda.Stream()
    x, out = torch.zeros(1 << 20, device="cuda"), torch.zeros(1 << 20, device="cuda")
    torch.cuda.synchronize()
    with torch.cuda.stream(source):
        torch.cuda._sleep(200_000_000)
        x.fill_(2)
        fs.sigmoid(OnlyDLPack(x), out=out)
        got = out.clone()
    source.synchronize()
    assert bool((got == float(fs.sigmoid(np.float32(2)))).all())


def test_a_graph_with_an_array_of_another_stream(torch: Any) -> None:
    """CuPy's default stream takes no part in torch's capture, and must not break it."""
    cupy = pytest.importorskip("cupy")
    x, out = torch.ones(1000, device="cuda"), cupy.zeros(1000, np.float32)
    fs.sigmoid(x, out=out)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        fs.sigmoid(x, out=out)
    x.fill_(2)
    graph.replay()
    torch.cuda.synchronize()
    assert bool((out == float(fs.sigmoid(np.float32(2)))).all())


@pytest.mark.parametrize("make", [OnlyInterface, OnlyDLPack])
def test_losses_of_arrays_that_have_an_interface_and_nothing_else(make: Any, torch: Any) -> None:
    random = np.random.default_rng(1)
    x, t = random.normal(0, 3, 5000).astype("f4"), random.random(5000).astype("f4")
    loss, grad = torch.zeros((), device="cuda"), torch.zeros(5000, device="cuda")
    operands = [make(to_gpu(a, torch)) for a in (x, t)]
    fs.bce_with_logits_value_and_grad(*operands, out=make(loss), grad_out=make(grad))
    torch.cuda.synchronize()
    want, want_grad = fs.bce_with_logits_value_and_grad(x, t)
    assert same_but_nan(to_host(loss, x.dtype), np.asarray(want))
    assert same_but_nan(to_host(grad, x.dtype), want_grad)


def test_a_cubin_that_the_driver_refuses(torch: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastsig.kernels.cuda import compiler, elementwise_kernels, launch

    monkeypatch.setenv("FASTSIG_CACHE_DIR", str(tmp_path))
    kernel, capability = elementwise_kernels.flat("sigmoid", "f32"), launch.capability(0)
    entry = compiler._entry(kernel.name, capability)
    for bad in (b"no machine code at all", compiler.cubin_of(elementwise_kernels.flat("silu", "f32"), capability)):
        compiler.code_cache.keep(compiler.code_cache.users_directory(), *entry, bad)
        monkeypatch.setattr(launch, "_loaded", {})
        launch.kernel(("flat", "sigmoid", "f32"), lambda: kernel, 0)
        assert compiler._kept(kernel.name, capability) not in (None, bad)


def test_nothing_starts_cuda_before_there_is_an_array(tmp_path: Any) -> None:
    """So a child that is forked then can use it. The first time the packages are tried, the second time that is known."""
    code = """
import ctypes, os
import numpy as np
import fastsig as fs
assert fs.backends()["cuda"] == "available", fs.backends()["cuda"]
fs.explain(np.zeros(3))
assert ctypes.CDLL("libcuda.so.1").cuDeviceGetCount(ctypes.byref(ctypes.c_int())) == 3, "CUDA_ERROR_NOT_INITIALIZED is wanted"
child = os.fork()
if child == 0:
    os._exit(ctypes.CDLL("libcuda.so.1").cuInit(0))
assert os.waitpid(child, 0)[1] == 0
print("nothing did")
"""
    for _ in range(2):
        assert printed(code, FASTSIG_CACHE_DIR=str(tmp_path)) == "nothing did"
