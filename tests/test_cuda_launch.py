"""Launches, with the driver played by the tests: loaded once, on the array's device, and the caller's device restored."""

from __future__ import annotations

import ctypes
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cuda_here import need_compiler

pytestmark = need_compiler


class Context:
    """The thread's current device, as the driver has it."""

    def __init__(self, current: int | None) -> None:
        self.current = current
        self.log: list[Any] = []

    def cuCtxGetDevice(self) -> tuple[Any, ...]:
        return (201, None) if self.current is None else (0, self.current)

    def cuCtxGetCurrent(self) -> tuple[Any, ...]:
        return 0, self.current

    def cuCtxSetCurrent(self, context: Any) -> tuple[Any, ...]:
        self.current = context
        self.log.append(("back to", context))
        return (0,)

    def cuMemsetD8Async(self, address: int, value: int, count: int, stream: int) -> tuple[Any, ...]:
        self.log.append(("clear", address, value, count, stream, self.current))
        return (0,)

    CUevent_flags = SimpleNamespace(CU_EVENT_DISABLE_TIMING=2)
    CUstreamCaptureStatus = SimpleNamespace(CU_STREAM_CAPTURE_STATUS_ACTIVE=1)

    def cuStreamGetCaptureInfo(self, stream: int) -> tuple[Any, ...]:
        return 0, 0, 0

    def cuEventCreate(self, flags: int) -> tuple[Any, ...]:
        assert flags == 2
        self.log.append("create")
        return 0, "event"

    def cuEventRecord(self, event: str, stream: int) -> tuple[Any, ...]:
        self.log.append(("record", event, stream, self.current))
        return (0,)

    def cuStreamWaitEvent(self, stream: int, event: str, flags: int) -> tuple[Any, ...]:
        self.log.append(("wait", stream, event))
        return (0,)

    def cuEventDestroy(self, event: str) -> tuple[Any, ...]:
        self.log.append("destroy")
        return (0,)

    def cuMemAllocAsync(self, count: int, stream: int) -> tuple[Any, ...]:
        self.log.append(("allocate", count, stream, self.current))
        return 0, 4096

    def cuMemFreeAsync(self, address: int, stream: int) -> tuple[Any, ...]:
        self.log.append(("free", address, stream, self.current))
        return (0,)


@pytest.fixture
def launch(monkeypatch: pytest.MonkeyPatch) -> Any:
    from fastsig.kernels.cuda import launch as cuda_launch

    context = Context(0)

    def device(index: int) -> Any:
        def set_current() -> None:
            context.current = index

        return SimpleNamespace(set_current=set_current, compute_capability=SimpleNamespace(major=9, minor=0))

    monkeypatch.setattr(cuda_launch, "c", None)
    monkeypatch.setattr(cuda_launch, "driver", context)
    monkeypatch.setattr(cuda_launch, "Device", device)
    monkeypatch.setattr(cuda_launch, "_stream", lambda device, handle: ("stream", device, handle))
    monkeypatch.setattr(cuda_launch, "_loaded", {})
    monkeypatch.setattr(cuda_launch, "launch", lambda *arguments: context.log.append((*arguments, context.current)))
    cuda_launch.capability.cache_clear()
    return SimpleNamespace(context=context, module=cuda_launch, kernel=cuda_launch.Loaded("kernel", 7))


def test_on_the_current_device(launch: Any) -> None:
    launch.module.start(launch.kernel, 0, 5, 1000, (1, 2))
    (stream, config, kernel, *rest), _ = launch.context.log
    assert (stream, kernel, rest) == (("stream", 0, 5), "kernel", [1, 2, 0])
    assert (config.grid, config.block) == ((4, 1, 1), (256, 1, 1))


@pytest.mark.parametrize("before", [0, None])
def test_on_another_device(before: int | None, launch: Any) -> None:
    launch.context.current = before
    launch.module.start(launch.kernel, 1, 5, 1, (7,))
    launched, restored = launch.context.log
    assert launched[-2:] == (7, 1)
    assert restored == ("back to", before)
    assert launch.context.current == before


def test_a_failed_launch_restores_the_device(launch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*arguments: Any) -> None:
        raise RuntimeError("CUDA_ERROR_INVALID_VALUE")

    monkeypatch.setattr(launch.module, "launch", failing)
    with pytest.raises(RuntimeError, match="INVALID_VALUE"):
        launch.module.start(launch.kernel, 1, 5, 1, ())
    assert launch.context.current == 0


@pytest.mark.parametrize("taken", [True, False])
def test_from_c(taken: bool, launch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where C says that another device is the current one, the device is changed for the launch."""
    asked: list[Any] = []
    answers = SimpleNamespace(gpu_launch=lambda *given: asked.append(given) or taken, gpu_clear=lambda *given: asked.append(given) or taken)
    monkeypatch.setattr(launch.module, "c", answers)
    launch.module.start(launch.kernel, 1, 5, 1000, (1, 2.5))
    launch.module.clear(4096, 80, 1, 9)
    assert asked == [(7, 1, 5, 4, 256, (1, 2.5)), (4096, 80, 1, 9)]
    assert [entry[0] for entry in launch.context.log] == ([] if taken else [("stream", 1, 5), "back to", "clear", "back to"])


def test_clear(launch: Any) -> None:
    launch.module.clear(4096, 80, 1, 9)
    assert launch.context.log == [("clear", 4096, 0, 80, 9, 1), ("back to", 0)]


@pytest.mark.parametrize("stream", [1, 2, 94372])
def test_an_export_of_dlpack(stream: int, launch: Any) -> None:
    """The exporter is asked for the stream, and what it exports lives as long as what holds it."""
    asked: list[Any] = []

    class Exporter:
        def __init__(self, host: Any) -> None:
            self.host = host

        def __dlpack_device__(self) -> tuple[int, int]:
            return 13, 0  # managed memory, which the host may export

        def __dlpack__(self, *, stream: Any = None, **_: Any) -> Any:
            asked.append(stream)
            return self.host.__dlpack__()

    host = np.zeros((3, 4), np.float32)
    before = sys.getrefcount(host)
    exporter = Exporter(host[:, ::2])
    address, shape, strides, dtype, _, held = launch.module.view(exporter, stream)
    assert (address, shape, strides, dtype) == (host.ctypes.data, (3, 2), (4, 2), host.dtype)
    assert asked == [stream]
    del exporter
    assert sys.getrefcount(host) > before
    del held
    assert sys.getrefcount(host) == before


def test_streams_are_ordered_by_events(launch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the arrays' device, and every event is destroyed, also where the driver refuses one."""
    log, arrays = launch.context.log, [SimpleNamespace(library=SimpleNamespace(has_current_stream=True, stream=lambda array: 5))]
    other = SimpleNamespace(library=SimpleNamespace(stream=lambda array: 6))
    with launch.module.Ordered(1, 5, arrays):
        pass
    assert not log
    with launch.module.Ordered(1, 5, [*arrays, other]):
        assert launch.context.current == 0
        log.append("launch")
    wait = ["create", ("record", "event", 6, 1), ("wait", 5, "event"), "destroy"]
    let_wait = ["create", ("record", "event", 5, 1), ("wait", 6, "event"), "destroy"]
    assert log == [*wait, ("back to", 0), "launch", *let_wait, ("back to", 0)]
    monkeypatch.setattr(launch.context, "cuEventRecord", lambda event, stream: (901,))
    log.clear()
    with pytest.raises(RuntimeError, match="the CUDA driver said 901"), launch.module.Ordered(1, 5, [*arrays, other]):
        raise AssertionError
    assert log == ["create", "destroy", ("back to", 0)]


def test_memory_of_the_driver(launch: Any) -> None:
    """It is put on the stream that it is taken back on, also where what is between fails."""
    with pytest.raises(ZeroDivisionError), launch.module.memory(80, 1, 9) as address:
        assert address == 4096
        1 / 0  # noqa: B018
    assert launch.context.log == [("allocate", 80, 9, 1), ("back to", 0), ("free", 4096, 9, 1), ("back to", 0)]


def test_the_grid_has_an_end(launch: Any) -> None:
    launch.module.start(launch.kernel, 0, 0, 1 << 50, ())
    assert launch.context.log[0][1].grid == (launch.module.MOST_BLOCKS, 1, 1)


def test_no_more_blocks_than_a_share_for_each_multiprocessor(launch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch.module, "multiprocessors", lambda device: 3)
    for threads in (1, 256 * 30, 1 << 40):
        launch.module.start(launch.kernel, 0, 0, threads, (), share=10)
    assert [entry[1].grid[0] for entry in launch.context.log[::2]] == [1, 30, 30]


def test_a_kernel_is_loaded_once(launch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when many threads come at once; once more for another device."""
    made: list[tuple[str, int | None]] = []

    def from_cubin(code: bytes, name: str) -> Any:
        made.append((name, launch.context.current))
        return SimpleNamespace(get_kernel=lambda kernel: SimpleNamespace(handle=7, name=f"loaded {kernel}"))

    monkeypatch.setattr(launch.module, "ObjectCode", SimpleNamespace(from_cubin=from_cubin))
    monkeypatch.setattr(launch.module.compiler, "cubin_of", lambda kernel, capability: b"")
    make = lambda: SimpleNamespace(name="k")  # noqa: E731
    barrier = threading.Barrier(8)
    found = []

    def come() -> None:
        barrier.wait()
        found.append(launch.module.kernel(("k",), make, 1))

    threads = [threading.Thread(target=come) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [loaded.kernel.name for loaded in found] == ["loaded k"] * 8
    assert made == [("k", 1)]
    launch.module.kernel(("k",), make, 0)
    assert made == [("k", 1), ("k", 0)]
    assert "is loaded, which took" in launch.module.state(("k",), make, 1)


class Library:
    """``ObjectCode`` with a driver that loads only some machine code, and says of the rest what the real one does."""

    def __init__(self, good: bytes, error: str) -> None:
        self.good, self.error, self.seen = good, error, []  # type: ignore[var-annotated]

    def from_cubin(self, code: bytes, name: str) -> Any:
        self.seen.append(code)
        if code != self.good:
            raise RuntimeError(self.error)
        return SimpleNamespace(get_kernel=lambda kernel: SimpleNamespace(handle=7, name=f"loaded {kernel}"))


REFUSED = "CUDA_ERROR_INVALID_IMAGE: This indicates that the device kernel image is invalid."


def test_a_cubin_that_the_driver_refuses_is_compiled_again(launch: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Once, and takes the place of the other one in the cache."""
    from fastsig.kernels.cuda import elementwise_kernels

    monkeypatch.setenv("FASTSIG_CACHE_DIR", str(tmp_path))
    compiler, made = launch.module.compiler, elementwise_kernels.flat("sigmoid", "f32")
    good = compiler.cubin_of(made, (9, 0))
    entry = compiler._entry(made.name, (9, 0))
    compiler.code_cache.keep(compiler.code_cache.users_directory(), *entry, b"other machine code")
    library = Library(good, REFUSED)
    monkeypatch.setattr(launch.module, "ObjectCode", library)
    assert launch.module.kernel(("k",), lambda: made, 1).kernel.name == f"loaded {made.name}"
    assert library.seen == [b"other machine code", good]
    assert compiler.cubin_of(made, (9, 0)) == good
    launch.module._loaded.clear()
    launch.module.kernel(("k",), lambda: made, 1)
    assert library.seen[2:] == [good]


@pytest.mark.parametrize(
    ("error", "tries"), [(REFUSED, 2), ("CUDA_ERROR_OUT_OF_MEMORY: The API call failed because it was unable to allocate", 1)]
)
def test_what_compiling_again_does_not_mend_is_raised(error: str, tries: int, launch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library(b"", error)
    monkeypatch.setattr(launch.module, "ObjectCode", library)
    monkeypatch.setattr(launch.module.compiler, "cubin_of", lambda kernel, capability, anew=False: b"anew" if anew else b"kept")
    with pytest.raises(RuntimeError, match=error.partition(":")[0]):
        launch.module.kernel(("k",), lambda: SimpleNamespace(name="k"), 0)
    assert library.seen == [b"kept", b"anew"][:tries]
    assert launch.context.current == 0


def test_an_error_of_the_driver_is_named(launch: Any) -> None:
    with pytest.raises(RuntimeError, match="the CUDA driver said 700"):
        launch.module._checked((700,))
    assert launch.module._checked((0, "value")) == "value"


def test_arguments_are_eight_bytes_each() -> None:
    """Whole numbers and addresses as int64, Python floats as double: as the kernels take them."""
    from cuda.core._kernel_arg_handler import ParamHolder

    held = ParamHolder((1 << 40, -3, 2.5))
    places = (ctypes.c_void_p * 3).from_address(held.ptr)
    assert [ctypes.c_int64.from_address(place).value for place in places[:2]] == [1 << 40, -3]
    assert ctypes.c_double.from_address(places[2]).value == 2.5
