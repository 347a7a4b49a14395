"""A tensor's elements as NumPy arrays, and what a call has to know of it first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter

from fastsig.arrays.devices import describe

FLOATS = frozenset((torch.float16, torch.bfloat16, torch.float32, torch.float64))
DEVICES = ("cpu", "cuda", "meta")

_NUMPY_HAS = frozenset((torch.float16, torch.float32, torch.float64))

_dispatch_modes, _function_mode = torch._C._len_torch_dispatch_stack, torch._C._is_torch_function_mode_enabled
_transforms, _trace = torch._C._are_functorch_transforms_active, torch._C._get_tracing_state


def undisturbed() -> bool:
    """Whether nothing looks on that has to see every operation: a mode, a transformation of torch.func, a trace, forward mode."""
    return _dispatch_modes() == 0 and not _function_mode() and not _transforms() and _trace() is None and forward_ad._current_level < 0


def plain_array(x: Tensor) -> np.ndarray[Any, Any] | None:
    """The memory of a tensor on the host in C order, if it is its values and of a type that NumPy has."""
    if not (x.is_cpu and x.dtype in _NUMPY_HAS and x.is_contiguous()):
        return None
    try:
        found: np.ndarray[Any, Any] = x.detach().numpy() if x.requires_grad else x.numpy()
        return found
    except (RuntimeError, TypeError):  # a sign or zeros that are written nowhere, no storage
        return None


def is_plain(x: Any) -> bool:
    """Whether it is a tensor of torch's own, and not of a class that has its own operations."""
    kind = type(x)
    return kind is Tensor or kind is Parameter


def is_array(x: Tensor) -> bool:
    """Whether it is in host memory, with the values that are written there."""
    return is_plain(x) and x.is_cpu and not x.is_neg() and not x._is_zerotensor()


def alike(a: Tensor, b: Tensor) -> bool:
    """Whether both are handled alike: on one device, and neither one of a batch nor of another class where the other is not."""
    return type(a) is type(b) and bool(torch._C._dispatch_keys(a) == torch._C._dispatch_keys(b))


def records(*tensors: Tensor | None) -> bool:
    """Whether a gradient is asked for."""
    return torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in tensors)


def as_array(x: Tensor) -> np.ndarray[Any, Any]:
    """The memory of a detached tensor on the host."""
    if x.dtype == torch.bfloat16:
        return np.asarray(x.view(torch.uint16).numpy().view(_bfloat16()))
    return np.asarray(x.numpy())


def as_tensor(result: Any, like: Tensor) -> Tensor:
    """What a function gave for arrays, or for tensors of a GPU."""
    if isinstance(result, Tensor):
        return result
    array = np.asarray(result)
    return torch.from_numpy(array.view(np.uint16)).view(like.dtype) if like.dtype == torch.bfloat16 else torch.from_numpy(array)


def _bfloat16() -> Any:
    try:
        import ml_dtypes
    except ImportError as error:
        raise ImportError("bfloat16 tensors on the host need ml_dtypes: pip install 'fastsig-kernels[torch]'") from error
    return ml_dtypes.bfloat16


def elementwise(function: Callable[..., Any], x: Tensor, **options: Any) -> Tensor:
    """``function``, of one array and ``out``, of a tensor without gradient; the result lies in memory as that of torch's own would."""
    x = x.detach()
    if x.is_cuda:
        return function(x, **options)
    y = torch.empty_like(x)
    source, target = x, y
    if x.stride() == y.stride():  # side by side in some order, which threads can share
        source, target = (a.as_strided((a.numel(),), (1,)) for a in (x, y))
    function(as_array(source), out=as_array(target), **options)
    return y


def host_tensor(name: str, argument: str, value: Any, like: Tensor) -> Tensor:
    """An argument beside a tensor as one: arrays and lists share their memory where they can, and a plain number has the tensor's type.

    Raises
    ------
    TypeError
        No array can be made of it, or none that torch has.
    """
    if isinstance(value, Tensor):
        return value
    if type(value) in (int, float):
        return torch.tensor(value, dtype=like.dtype if like.dtype.is_floating_point else torch.get_default_dtype(), device=like.device)
    try:
        found = torch.from_numpy(np.array(value, copy=None if getattr(value, "flags", np.empty(0).flags).writeable else True, order="C"))
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name}: {argument} is {describe(value)}; give a tensor like the others") from error
    return found.to(like.device)


def gradient_is_asked_for(name: str, *given: Tensor | None, **options: Any) -> bool:
    """Whether a gradient is, of these tensors or of one to write into.

    Raises
    ------
    TypeError
        What is to be written into is no tensor.
    RuntimeError
        It is, together with an option that takes no part in one; or the GPU's backend for tensors of the host.
    """
    if options.get("backend") == "cuda":
        place = next(x.device for x in given if x is not None)
        raise RuntimeError(f"{name}: backend='cuda' computes on an NVIDIA GPU, and the tensor is on {place}; give x.cuda()")
    outs = {key: value for key, value in options.items() if "out" in key and value is not None}
    for key, out in outs.items():
        if not isinstance(out, Tensor):
            raise TypeError(f"{name}: {key} is {describe(out)}; the arguments are tensors, so give a tensor to write into")
    asked = records(*given, *outs.values())
    named = [key for key, value in options.items() if value is not None]
    if asked and named:
        verb = "take" if len(named) > 1 else "takes"
        instead = "give tensors without one, by x.detach(), or call it under torch.no_grad()"
        raise RuntimeError(f"{name}: {', '.join(named)} {verb} no part in a gradient; {instead}")
    return asked


def array_of(x: Any) -> Any:
    """A tensor on the host as an array of its values; what is no tensor as it is."""
    return as_array(x.detach().resolve_conj().resolve_neg()) if isinstance(x, Tensor) else x


def tensors_of(found: Any, like: Tensor, *outs: Any) -> Any:
    """What arrays gave, as tensors: those to write into, of which torch hears that they were, and new ones."""
    each = found if isinstance(found, tuple) else (found,)
    written = [out for out in outs if out is not None]
    if written:
        torch.autograd.graph.increment_version(written)
    kept = (*outs, *[None] * (len(each) - len(outs)))
    results = tuple(as_tensor(result, like) if out is None else out for result, out in zip(each, kept, strict=True))
    return results if isinstance(found, tuple) else results[0]


def floating(name: str, x: Any, argument: str = "input") -> Tensor:
    """The tensor if the functions are computed for it; bool and integers become torch's default float type, as in torch.

    Raises
    ------
    TypeError
        Not a tensor, not strided, or of another dtype.
    RuntimeError
        On a device where nothing computes.
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}: {argument} is {describe(x)}; give a torch.Tensor; the functions of fastsig itself take arrays")
    if x.layout is not torch.strided:
        raise TypeError(f"{name}: {argument} has the layout {x.layout}; give {argument}.to_dense()")
    if x.device.type not in DEVICES:
        raise RuntimeError(f"{name}: {argument} is on {x.device}; fastsig computes on cpu and cuda: give {argument}.cpu()")
    if x.dtype in FLOATS:
        return x
    if x.dtype.is_floating_point or x.dtype.is_complex:
        raise TypeError(f"{name}: {argument} has dtype {x.dtype}; convert it to one of float16, bfloat16, float32 and float64")
    return x.to(torch.get_default_dtype())
