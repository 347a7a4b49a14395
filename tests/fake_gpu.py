"""A GPU that is not there: host memory plays the device's, array classes like those of CuPy and torch stand on it, and a launch runs
the kernel's PTX on the CPU. Everything between the caller's array and the driver is the real thing."""

from __future__ import annotations

import ctypes
import struct
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cuda_here import run, storage

from fastsig.arrays import gpu as da

GPU = (9, 0)


class Gpu:
    """What the launches were: kernel names, streams, devices."""

    def __init__(self) -> None:
        self.launches: list[SimpleNamespace] = []
        self.current = 0
        self.order: list[str] = []
        """What was put on streams: "17: kernel", and "17 after 7" where one waits for the other."""
        self.captures: dict[int, int] = {}
        """By stream, the graph that it is being captured into."""
        self.exports: list[int] = []
        """The streams that DLPack was asked for."""
        self.held: weakref.WeakSet[Any] = weakref.WeakSet()
        """What holds such an export."""
        self.memory: list[tuple[int, int, int]] = []
        """That the driver has given out: bytes, device, stream."""
        self.on: dict[int, int] = {}
        """Device by address, for arrays whose interface does not say it."""

    @property
    def kernels(self) -> list[str]:
        return [launch.kernel.removeprefix("fastsig_") for launch in self.launches]


def _module(monkeypatch: pytest.MonkeyPatch, name: str, **members: Any) -> ModuleType:
    module = ModuleType(name)
    module.__dict__.update(members)
    monkeypatch.setitem(sys.modules, name, module)
    return module


class CuPyArray:
    """As CuPy's: strides in bytes, ``data.ptr``, ``device.id``."""

    def __init__(self, host: np.ndarray[Any, Any], device: int = 0) -> None:
        self.host = host
        self.device = SimpleNamespace(id=device)

    @property
    def data(self) -> Any:
        return SimpleNamespace(ptr=self.host.ctypes.data)

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        raise AssertionError("a slow conversion was made of an array whose library is known")

    shape = property(lambda self: self.host.shape)
    strides = property(lambda self: self.host.strides)
    dtype = property(lambda self: self.host.dtype)
    ndim = property(lambda self: self.host.ndim)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("implicit conversion to a NumPy array is not allowed")


CuPyArray.__module__ = "cupy"
CuPyArray.__qualname__ = CuPyArray.__name__ = "ndarray"


class TorchType:
    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"


TorchType.__module__ = "torch"
TORCH_TYPES = {name: TorchType(name) for name in da.TYPES}


class TorchDevice:
    def __init__(self, index: int | None) -> None:
        self.type, self.index = "cuda", index

    def __str__(self) -> str:
        return "cuda" if self.index is None else f"cuda:{self.index}"


class Tensor:
    """As torch's: strides in elements, ``data_ptr()``, a dtype of its own, and the negative bit: the values of ``host``, negated."""

    layout = "torch.strided"
    is_cuda = True

    def __init__(self, host: np.ndarray[Any, Any], device: int = 0, requires_grad: bool = False, negative: bool = False) -> None:
        self.host = host
        self.negative = negative
        self.device = TorchDevice(device)
        self.requires_grad = requires_grad
        self._version = 0
        self.dtype = TORCH_TYPES[host.dtype.name]

    shape = property(lambda self: self.host.shape)

    def element_size(self) -> int:
        return int(self.host.itemsize)

    def stride(self) -> tuple[int, ...]:
        return tuple(step // self.host.itemsize for step in self.host.strides)

    def data_ptr(self) -> int:
        return int(self.host.ctypes.data)

    def is_contiguous(self) -> bool:
        return bool(self.host.flags.c_contiguous)

    def numel(self) -> int:
        return int(self.host.size)

    def get_device(self) -> int:
        return -1 if self.device.index is None else self.device.index

    def is_neg(self) -> bool:
        return self.negative

    def resolve_neg(self) -> Tensor:
        assert self.negative, "a copy that nobody needs"
        return Tensor(-self.host, self.device.index or 0)

    def permute(self, *axes: int) -> Tensor:
        return Tensor(self.host.transpose(axes), self.device.index or 0)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("can't convert cuda:0 device type tensor to numpy")


Tensor.__module__ = "torch"


class InterfaceArray:
    """A ``__cuda_array_interface__`` and nothing else, not even a device."""

    def __init__(self, host: np.ndarray[Any, Any], stream: int | None = None, read_only: bool = False, mask: Any = None) -> None:
        self.host = host
        strides = None if host.flags.c_contiguous else host.strides
        self.__cuda_array_interface__ = {
            "shape": host.shape, "typestr": host.dtype.str, "data": (host.ctypes.data, read_only), "strides": strides, "version": 3,
            "stream": stream, "mask": mask,
        }  # fmt: skip


class DLPackArray:
    """DLPack and nothing else."""

    def __init__(self, host: np.ndarray[Any, Any], device: tuple[int, int] = (2, 0)) -> None:
        self.host = host
        self._device = device

    def __dlpack__(self, **_: Any) -> Any:
        raise AssertionError("only the backend's reader of capsules may ask for one")

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._device


class _Streams:
    """The driver's events, which are recorded once and waited for once."""

    CUevent_flags = SimpleNamespace(CU_EVENT_DISABLE_TIMING=2)
    CUstreamCaptureStatus = SimpleNamespace(CU_STREAM_CAPTURE_STATUS_ACTIVE=1)

    def __init__(self, gpu: Gpu) -> None:
        self.gpu = gpu
        self.recorded: dict[int, int] = {}

    def cuStreamGetCaptureInfo(self, stream: int) -> tuple[int, ...]:
        graph = self.gpu.captures.get(stream, 0)
        return (0, 1, graph, 0) if graph > 0 else (901,) if graph < 0 else (0, 0, 0, 0)

    def cuEventCreate(self, flags: int) -> tuple[int, int]:
        self.recorded[len(self.recorded)] = -1
        return 0, len(self.recorded) - 1

    def cuEventRecord(self, event: int, stream: int) -> tuple[int]:
        self.recorded[event] = stream
        return (0,)

    def cuStreamWaitEvent(self, stream: int, event: int, flags: int) -> tuple[int]:
        self.gpu.order.append(f"{stream} after {self.recorded[event]}")
        return (0,)

    def cuEventDestroy(self, event: int) -> tuple[int]:
        del self.recorded[event]
        return (0,)


class _Held:
    pass


class _CudaDevice:
    def __init__(self, gpu: Gpu, index: int) -> None:
        self.gpu, self.index = gpu, index

    def __enter__(self) -> None:
        self.before, self.gpu.current = self.gpu.current, self.index

    def __exit__(self, *_: Any) -> None:
        self.gpu.current = self.before


def installed(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    """Two devices; CuPy works on stream 7 of the first and 8 of the second, torch on 17 and 18."""
    from fastsig.dispatch import availability
    from fastsig.kernels.cuda import launch as cuda_launch
    from fastsig.kernels.cuda import status

    gpu = Gpu()
    from fastsig.kernels.cuda import repeats, torch_fast_path

    monkeypatch.setattr(torch_fast_path, "_ready", {})
    monkeypatch.setattr(repeats, "_plans", {})
    monkeypatch.setattr(status, "status", lambda: "available")
    monkeypatch.setitem(availability._STATUS, "cuda", lambda: "available")
    monkeypatch.setattr(cuda_launch, "capability", lambda device: GPU)
    monkeypatch.setattr(cuda_launch, "kernel", lambda key, make, device: make())
    monkeypatch.setattr(cuda_launch, "multiprocessors", lambda device: 2)
    monkeypatch.setattr(cuda_launch, "device_at", lambda address: gpu.on.get(address, 0))

    def put(kernel: Any, device: int, stream: int, blocks: int, arguments: tuple[int, ...]) -> None:
        gpu.launches.append(SimpleNamespace(kernel=kernel.name, device=device, stream=stream, held=len(gpu.held)))
        gpu.order.append(f"{stream}: {gpu.kernels[-1]}")
        words = [struct.unpack("q", struct.pack("d", a))[0] if isinstance(a, float) else a for a in arguments]
        run(kernel, GPU, min(blocks, 3), 256, *words)

    monkeypatch.setattr(cuda_launch, "put", put)

    def put_zeros(address: int, length: int, device: int, stream: int) -> None:
        ctypes.memset(address, 0, length)

    monkeypatch.setattr(cuda_launch, "put_zeros", put_zeros)

    @contextmanager
    def memory(count: int, device: int, stream: int) -> Iterator[int]:
        held = ctypes.create_string_buffer(b"\x55" * count, count)
        gpu.memory.append((count, device, stream))
        yield ctypes.addressof(held)
        gpu.memory.remove((count, device, stream))

    monkeypatch.setattr(cuda_launch, "memory", memory)

    monkeypatch.setattr(cuda_launch, "driver", _Streams(gpu))
    monkeypatch.setattr(cuda_launch, "_On", lambda device: _CudaDevice(gpu, device))

    def view(x: DLPackArray, stream: int) -> Any:
        held = _Held()
        gpu.held.add(held)
        gpu.exports.append(stream)
        return x.host.ctypes.data, x.host.shape, tuple(s // x.host.itemsize for s in x.host.strides), x.host.dtype, True, held

    monkeypatch.setattr(da.DLPACK, "view", view)

    def cupy_empty(shape: Any, dtype: Any, order: str = "C") -> CuPyArray:
        return CuPyArray(np.full(shape, 77, dtype, order=order), gpu.current)

    def cupy_empty_like(x: CuPyArray, dtype: Any, order: str = "K") -> CuPyArray:
        return CuPyArray(np.full_like(x.host, 77, dtype, order=order), gpu.current)

    cupy_cuda = SimpleNamespace(
        Device=lambda index: _CudaDevice(gpu, index), get_current_stream=lambda: SimpleNamespace(ptr=7 + gpu.current)
    )  # fmt: skip
    _module(monkeypatch, "cupy", cuda=cupy_cuda, empty=cupy_empty, empty_like=cupy_empty_like)

    def torch_empty(shape: Any, dtype: Any, device: TorchDevice) -> Tensor:
        return Tensor(np.full(shape, 77, storage(da.TYPES[dtype.name])), device.index or 0)

    def torch_empty_like(x: Tensor, dtype: Any = None, requires_grad: bool = False) -> Tensor:
        kind = x.host.dtype if dtype is None else storage(da.TYPES[dtype.name])
        return Tensor(np.full_like(x.host, 77, kind), x.device.index or 0)

    def torch_empty_strided(shape: tuple[int, ...], strides: tuple[int, ...], dtype: TorchType, device: str) -> Tensor:
        kind = storage(da.TYPES[dtype.name])
        length = 1 + sum(step * (n - 1) for step, n in zip(strides, shape, strict=True))
        steps = tuple(step * kind.itemsize for step in strides)
        host = np.lib.stride_tricks.as_strided(np.full(length, 77, kind), shape, steps)
        return Tensor(host, int(device.removeprefix("cuda:")))

    torch_cuda = SimpleNamespace(current_stream=lambda device: SimpleNamespace(cuda_stream=17 + device))

    def increment_version(x: Tensor) -> None:
        x._version += 1

    graph = SimpleNamespace(increment_version=increment_version)
    _module(
        monkeypatch, "torch", autograd=SimpleNamespace(graph=graph), cuda=torch_cuda,
        empty=torch_empty, empty_like=torch_empty_like, empty_strided=torch_empty_strided, _C=SimpleNamespace(),
        is_grad_enabled=lambda: gpu_grad[0], Tensor=Tensor, strided=Tensor.layout, **TORCH_TYPES,
    )  # fmt: skip
    gpu_grad = [True]
    gpu.grad = gpu_grad  # type: ignore[attr-defined]
    return gpu
