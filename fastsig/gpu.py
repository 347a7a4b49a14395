"""The way from the public functions to the CUDA backend, which is loaded when the first array of a GPU comes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from . import refusals
from .backends import cuda_status

_quick: Any = None


def quick(name: str, x: Any, out: Any) -> Any:
    """The short way for a torch tensor on a GPU, or NotImplemented."""
    global _quick
    if _quick is None:
        if cuda_status.status() != "available":
            return NotImplemented
        from .backends import cuda_quick

        _quick = cuda_quick
    return _quick.torch_unary(name, x, out)


def elementwise(name: str, x: Any, device: str, backend: str | None, out: Any, where: Any, dtype: Any, casting: str, order: str) -> Any:
    """One call on arrays of this device; RuntimeError where they are the host's, or nothing computes there."""
    refusals.check_device(name, x, device, backend, cuda_status.status)
    from .backends import cuda_calls

    return cuda_calls.elementwise(name, (x,), out, where, dtype, casting, order)


def explained(op: str, operands: Sequence[Any], device: str, backend: str | None) -> str:
    """``fs.explain`` for arrays of this device."""
    refusals.check_device(op, operands[0], device, backend, cuda_status.status)
    from .backends import cuda_calls

    return f"{op}: cuda: the array is on {device}; {cuda_calls.first_use(op, operands)}"


def losses(name: str, x: Any, device: str, backend: str | None) -> Any:
    """The backend's losses, for arrays of this device."""
    refusals.check_device(name, x, device, backend, cuda_status.status)
    from .backends import cuda_loss_calls

    return cuda_loss_calls
