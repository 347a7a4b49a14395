"""The short way for the commonest calls on a GPU: a torch tensor, and no options. The general way costs several launches.

Whatever is not quite that is left to ``elementwise``, which does the same or says what is wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from fastsig.arrays.gpu import TORCH, type_of
from fastsig.kernels.cuda import elementwise_kernels, launch, repeats
from fastsig.kernels.cuda.elementwise import elementwise

_ready: dict[tuple[str, Any, int], tuple[Any, int, int, Callable[[int], int], int]] = {}
"""By operation, torch's dtype and device: the loaded kernel, the bytes of an element, how many elements a thread takes, what gives the
current stream, and the limit of blocks."""


def torch_unary(name: str, x: Any, out: Any) -> Any:
    """The result, or NotImplemented."""
    result = _contiguous(name, x, out)
    if result is not NotImplemented:
        return result
    call = repeats.of_torch(name, (x, out))
    if call is None or not call.addresses[0]:
        return NotImplemented
    result = repeats.again(call)
    return result if result is not NotImplemented else repeats.decided(call, (1,), lambda: elementwise(name, (x,), out))


def _contiguous(name: str, x: Any, out: Any) -> Any:
    torch = sys.modules["torch"]
    if type(x) is not torch.Tensor or x.requires_grad or x.layout is not torch.strided or not x.is_contiguous() or x.is_neg():
        return NotImplemented
    dtype, device = x.dtype, x.get_device()
    ready = _ready.get((name, dtype, device)) or _prepare(name, dtype, device)
    if ready is None:
        return NotImplemented
    loaded, size, lanes, stream, share = ready
    n, source = x.numel(), x.data_ptr()
    given = out
    if out is None:
        out = torch.empty_like(x)
        target = out.data_ptr()
    else:
        if type(out) is not torch.Tensor or out.dtype is not dtype or not out.is_cuda or out.get_device() != device:
            return NotImplemented
        if out.requires_grad or out.shape != x.shape or out.layout is not torch.strided or not out.is_contiguous() or out.is_neg():
            return NotImplemented
        target = out.data_ptr()
        if source != target and abs(source - target) < n * size:
            return NotImplemented
    if (source | target) & 15 or not source:
        return NotImplemented
    if n:
        launch.start(loaded, device, stream(device), max(n // lanes, lanes), (source, target, n, 0), share=share)
        if given is not None:
            torch.autograd.graph.increment_version(given)
    return out


def _prepare(name: str, dtype: Any, device: int) -> tuple[Any, int, int, Callable[[int], int], int] | None:
    code = type_of(dtype)
    size = {"f16": 2, "bf16": 2, "f32": 4, "f64": 8}.get(code)
    if size is None:
        return None
    loaded = launch.kernel(("flat", name, code), lambda: elementwise_kernels.flat(name, code), device)
    found = _ready[name, dtype, device] = (
        loaded, size, elementwise_kernels.vectors_of_a_thread(1) * 16 // size, TORCH.current_stream(), elementwise_kernels.SHARES[code],
    )  # fmt: skip
    return found
