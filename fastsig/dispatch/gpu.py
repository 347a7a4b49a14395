"""The way from the public functions to the CUDA backend, which is loaded when the first array of a GPU comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fastsig.arrays.devices import describe
from fastsig.dispatch.choice import Served
from fastsig.dispatch.thresholds import GATES
from fastsig.kernels.c.status import library as c
from fastsig.kernels.cuda import status as cuda_status
from fastsig.system import first_calls


def check_device(name: str, x: Any, device: str, backend: str | None, status: Callable[[], str]) -> None:
    """RuntimeError unless the CUDA backend is there, x is on an NVIDIA GPU, and nobody named a host backend; status says the first."""
    if device == "cpu":
        raise RuntimeError(f"{name}: backend='cuda' computes on arrays of an NVIDIA GPU, and x ({describe(x)}) is in host memory")
    on_host = "compute on the host instead: torch tensors with x.cpu(), CuPy arrays with x.get()"
    where = f"{name}: x ({describe(x)}) is on {device}"
    if not device.startswith("cuda"):
        raise RuntimeError(f"{where}, and no backend computes there; {on_host}")
    if backend not in (None, "cuda"):
        raise RuntimeError(f"{where}, and backend={backend!r} computes in host memory; leave backend= out, or {on_host}")
    if status() != "available":
        raise RuntimeError(f"{where}, and {status()}; {on_host}")


_rooms: dict[str, Any] = {}


def _room(name: str) -> Any:
    """A module of the CUDA backend, imported at its first use."""
    found = _rooms.get(name)
    if found is None:
        with first_calls.LOCK:
            cuda_status.load("launch").c = c
            found = _rooms[name] = cuda_status.load(name)
    return found


_quick: Any = None


def quick(name: str, x: Any, out: Any) -> Any:
    """The short way for a torch tensor on a GPU, or NotImplemented."""
    global _quick
    if _quick is None:
        if cuda_status.status() != "available":
            return NotImplemented
        _quick = _room("torch_fast_path")
    return _quick.torch_unary(name, x, out)


def elementwise(name: str, x: Any, device: str, backend: str | None, out: Any, where: Any, dtype: Any, casting: str, order: str) -> Any:
    """One call on arrays of this device; RuntimeError where they are the host's, or nothing computes there."""
    check_device(name, x, device, backend, cuda_status.status)
    return _room("elementwise").elementwise(name, (x,), out, where, dtype, casting, order)


def explained(op: str, operands: Sequence[Any], device: str, backend: str | None) -> str:
    """``fs.explain`` for arrays of this device."""
    check_device(op, operands[0], device, backend, cuda_status.status)
    ready = _room("fused" if op in GATES else "elementwise").first_use(op, operands)
    return f"{op}: cuda: {Served.ON_GPU.value.format(device=device)}; {ready}"


def gates(name: str, x: Any, device: str, backend: str | None) -> Any:
    """The backend's gates, for arrays of this device."""
    check_device(name, x, device, backend, cuda_status.status)
    return _room("fused")


def losses(name: str, x: Any, device: str, backend: str | None) -> Any:
    """The backend's losses, for arrays of this device."""
    check_device(name, x, device, backend, cuda_status.status)
    return _room("losses")


def loss_again(formula: int, reduction: str, check: bool, tensors: tuple[Any, ...], wanted: int) -> Any:
    """A loss without further options, of torch's tensors: operands, and outputs or None. NotImplemented where there was no call like it."""
    room = _rooms.get("losses")
    return NotImplemented if room is None else room.again(formula, reduction, check, tensors, wanted)
