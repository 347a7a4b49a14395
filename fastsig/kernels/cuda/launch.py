"""Kernels on their device: loaded once, held, and launched on the caller's stream. The only importer of the CUDA driver.

Nothing here waits for the device. The caller's current device is what it was when a launch returns, also where it fails.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any, NamedTuple

from cuda.bindings import driver
from cuda.core import Device, LaunchConfig, ObjectCode, Stream, launch
from cuda.core.utils import StridedMemoryView

from fastsig.arrays import gpu
from fastsig.kernels.cuda import compiler
from fastsig.kernels.cuda.elementwise_kernels import Kernel
from fastsig.system import first_calls

MOST_BLOCKS = 1 << 30
c: Any = None
"""The C library, whose launches are quicker; the dispatcher sets it where there is one."""


class Loaded(NamedTuple):
    """A kernel on its device: as cuda.core has it, and the driver's handle."""

    kernel: Any
    handle: int


_loaded: dict[tuple[Any, ...], Loaded] = {}
_config = lru_cache(maxsize=4096)(lambda blocks: LaunchConfig(grid=blocks, block=compiler.BLOCK))
_stream = lru_cache(maxsize=256)(lambda device, handle: Stream.from_handle(handle))


def _checked(result: tuple[Any, ...]) -> Any:
    error, *values = result
    if int(error):
        raise RuntimeError(f"the CUDA driver said {error!r}")
    return values[0] if values else None


@cache
def capability(device: int) -> tuple[int, int]:
    found = Device(device).compute_capability
    return int(found.major), int(found.minor)


@cache
def multiprocessors(device: int) -> int:
    return int(Device(device).properties.multiprocessor_count)


def device_at(address: int) -> int:
    """The device that this memory belongs to.

    Raises
    ------
    RuntimeError
        The driver knows no such memory: it was freed, or its device is gone.
    """
    return int(_checked(driver.cuPointerGetAttribute(driver.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL, address)))


def view(x: Any, stream: int) -> tuple[int, tuple[int, ...], tuple[int, ...] | None, Any, bool, Any]:
    """Address, shape, strides in elements, dtype and whether it may be written, of what exports DLPack for use on this stream (1 is the
    default one); and what holds the export."""
    seen = StridedMemoryView.from_dlpack(x, stream_ptr=stream)
    return seen.ptr, seen.shape, seen.strides, seen.dtype, not seen.readonly, seen


gpu.DLPACK.view = view


class _On:
    """The device is the current one inside, and the caller's is again afterwards."""

    __slots__ = ("before", "device")

    def __init__(self, device: int) -> None:
        self.device = device

    def __enter__(self) -> None:
        self.before = _checked(driver.cuCtxGetCurrent())
        Device(self.device).set_current()

    def __exit__(self, *_: Any) -> None:
        _checked(driver.cuCtxSetCurrent(self.before))


class Ordered:
    """What is put on the stream inside comes after all that the arrays' other streams hold by now, and before what they get later.

    Nothing is done where there are no others, and nothing waits but the streams. A stream that is being captured into a graph can only
    be ordered with others of the same capture.
    """

    __slots__ = ("device", "others", "stream")

    def __init__(self, device: int, stream: int, arrays: Sequence[gpu.DeviceArray]) -> None:
        self.device, self.stream, self.others = device, stream, gpu.other_streams(stream, arrays)

    def __enter__(self) -> None:
        if self.others:
            with _On(self.device):
                capture = _capture(self.stream)
                self.others = [other for other in self.others if _capture(other) == capture]
                for other in self.others:
                    _let_wait(self.stream, other)

    def __exit__(self, *_: Any) -> None:
        if self.others:
            with _On(self.device):
                for other in self.others:
                    _let_wait(other, self.stream)


def _capture(stream: int) -> int:
    """The number of the capture that the stream takes part in; 0 for none, -1 where the driver must not be asked for one elsewhere."""
    said = driver.cuStreamGetCaptureInfo(stream)
    if int(said[0]):
        return -1
    return int(said[2]) if said[1] == driver.CUstreamCaptureStatus.CU_STREAM_CAPTURE_STATUS_ACTIVE else 0


def _let_wait(later: int, earlier: int) -> None:
    """What is put on one stream from now on waits for what the other holds by now."""
    event = _checked(driver.cuEventCreate(driver.CUevent_flags.CU_EVENT_DISABLE_TIMING))
    try:
        _checked(driver.cuEventRecord(event, earlier))
        _checked(driver.cuStreamWaitEvent(later, event, 0))
    finally:
        _checked(driver.cuEventDestroy(event))


_seconds: dict[tuple[Any, ...], float] = {}
"""How long a kernel took to be compiled, or to be read from the cache, and loaded."""


def state(key: tuple[Any, ...], make: Callable[[], Kernel], device: int) -> str:
    """In words, whether a call of this kernel has to wait for the compiler."""
    architecture = "sm_{}{}".format(*capability(device))
    if (device, key) in _seconds:
        return f"its kernel for {architecture} is loaded, which took {_seconds[device, key]:.2f} s"
    if compiler.is_cached(make(), capability(device)):
        return f"its kernel for {architecture} is in the cache on disk"
    return f"its kernel for {architecture} will be compiled by the first call"


def kernel(key: tuple[Any, ...], make: Callable[[], Kernel], device: int) -> Loaded:
    """The loaded kernel of this key on this device; compiled at its first use, or taken from the cache on disk."""
    found = _loaded.get((device, key))
    if found is None:
        with first_calls.LOCK:
            found = _loaded.get((device, key))
            if found is None:
                since, made = time.perf_counter(), make()
                with _On(device):
                    found = _loaded[device, key] = _load(made, device)
                _seconds[device, key] = time.perf_counter() - since
    return found


_REFUSALS = ("INVALID_IMAGE", "INVALID_SOURCE", "NO_BINARY_FOR_GPU", "NOT_FOUND")
"""Of the driver: it does not load this machine code, or finds no such kernel in it."""


def _load(made: Kernel, device: int) -> Loaded:
    """The kernel as the driver has it. What it refuses of the cache is compiled again, and replaced there."""
    try:
        return _given_to_driver(made, compiler.cubin_of(made, capability(device)))
    except Exception as error:
        if not any(f"CUDA_ERROR_{refusal}" in str(error) for refusal in _REFUSALS):
            raise
        return _given_to_driver(made, compiler.cubin_of(made, capability(device), anew=True))


def _given_to_driver(made: Kernel, code: bytes) -> Loaded:
    found = ObjectCode.from_cubin(code, name=made.name).get_kernel(made.name)
    return Loaded(found, int(found.handle))


@contextmanager
def memory(count: int, device: int, stream: int) -> Iterator[int]:
    """The address of so many bytes for what is put on the stream inside; the driver takes them back when the stream has passed."""
    with _On(device):
        address = int(_checked(driver.cuMemAllocAsync(count, stream)))
    try:
        yield address
    finally:
        with _On(device):
            _checked(driver.cuMemFreeAsync(address, stream))


class Launched(NamedTuple):
    """A launch, to be done again with other addresses."""

    kernel: Loaded
    blocks: int
    arguments: tuple[int | float, ...]
    pointers: Sequence[int]
    """Which arguments are addresses."""


class Cleared(NamedTuple):
    address: int
    length: int


class Log(NamedTuple):
    entries: list[Launched | Cleared]
    made: list[Any]
    """The arrays that were made for the call."""


class _Recorder(threading.local):
    log: Log | None = None


_recorder = _Recorder()


@contextmanager
def recording() -> Iterator[Log]:
    """What this thread puts on a stream inside."""
    with gpu.noting_new_arrays() as made:
        _recorder.log = Log([], made)
        try:
            yield _recorder.log
        finally:
            _recorder.log = None


def clear(address: int, length: int, device: int, stream: int) -> None:
    """Zero so many bytes, on the stream."""
    if _recorder.log is not None:
        _recorder.log.entries.append(Cleared(address, length))
    put_zeros(address, length, device, stream)


def put_zeros(address: int, length: int, device: int, stream: int) -> None:
    """As ``clear``, and not recorded."""
    if c is not None and c.gpu_clear(address, length, device, stream):
        return
    with _On(device):
        _checked(driver.cuMemsetD8Async(address, 0, length, stream))


def start(
    loaded: Loaded, device: int, stream: int, threads: int, arguments: tuple[int | float, ...], pointers: Sequence[int] = (), share: int = 0
) -> None:
    """Put the kernel on the stream, with at least this many threads, or with as many blocks for each multiprocessor as ``share`` says;
    ``pointers`` says which arguments are addresses."""
    blocks = min(-(-threads // compiler.BLOCK), share * multiprocessors(device) if share else MOST_BLOCKS)
    if _recorder.log is not None:
        _recorder.log.entries.append(Launched(loaded, blocks, arguments, pointers))
    put(loaded, device, stream, blocks, arguments)


def put(loaded: Loaded, device: int, stream: int, blocks: int, arguments: tuple[int | float, ...]) -> None:
    """As ``start``, with so many blocks, and not recorded."""
    if c is not None and c.gpu_launch(loaded.handle, device, stream, blocks, compiler.BLOCK, arguments):
        return
    with _On(device):
        launch(_stream(device, stream), _config(blocks), loaded.kernel, *arguments)
