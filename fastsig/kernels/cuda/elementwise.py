"""One call of an elementwise operation on arrays of a GPU: what it means for these shapes, strides and types, and its launch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np

from fastsig.arrays import gpu as da
from fastsig.arrays.devices import describe, device_of
from fastsig.arrays.dtypes import TAKEN
from fastsig.arrays.gpu import DeviceArray
from fastsig.kernels.cuda import elementwise_kernels as kernels
from fastsig.kernels.cuda import launch
from fastsig.kernels.layout import Layout, joined

REALS = ("f16", "bf16", "f32", "f64")
_KIND = {"b1": 0, "bf16": 2} | dict.fromkeys(("f16", "f32", "f64"), 2)
"""bool, integer, float; integers are 1."""


def broadcast(array: DeviceArray, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The array's steps over this shape, in bytes."""
    lead = len(shape) - len(array.shape)
    return (0,) * lead + tuple(0 if length == 1 else step for length, step in zip(array.shape, array.strides, strict=True))


def loop_type(name: str, arrays: Sequence[DeviceArray], dtype: Any, casting: str) -> str:
    """The type to compute in: that of ``dtype``, or of the inputs by the rule of ``np.exp``."""
    for array in arrays:
        if array.dtype not in da.SIZES:
            raise TypeError(f"{name}: {describe(array.given)} has dtype {array.dtype}; convert it to one of {TAKEN}")
        if array.address % da.SIZES[array.dtype]:
            raise ValueError(f"{name}: {describe(array.given)} begins in the middle of an element; pass an aligned copy")
    if dtype is not None:
        loop = da.type_of(dtype)
        if loop not in REALS:
            raise TypeError(f"{name}: dtype={dtype!r} is no type of a result; it is one of float16, bfloat16, float32 and float64")
    else:
        loop = _common([array.dtype for array in arrays])
    for array in arrays:
        if not may_cast(array.dtype, loop, casting):
            raise TypeError(f"{name}: {describe(array.given)} cannot be converted to {da.NAMES[loop]} with casting={casting!r}")
    return loop


def _common(types: Sequence[str]) -> str:
    reals = {code if code in REALS else da.TYPES[np.exp(np.zeros((), da.NAMES[code])).dtype.name] for code in types}
    if len(reals) == 1:
        return reals.pop()
    return "f64" if "f64" in reals else "f32"


def may_cast(source: str, target: str, casting: str) -> bool:
    """``np.can_cast``, which knows no bfloat16."""
    if source == target or casting == "unsafe":
        return True
    if casting in ("no", "equiv"):
        return False
    if casting == "same_kind":
        return _KIND.get(source, 1) <= _KIND.get(target, 1)
    if "bf16" in (source, target):
        return target in ("f32", "f64") if source == "bf16" else source in ("b1", "u1", "i1")
    return bool(np.can_cast(da.NAMES[source], da.NAMES[target], casting))  # type: ignore[arg-type]


def _output(
    name: str, first: DeviceArray, shape: tuple[int, ...], loop: str, out: Any, casting: str, order: str, device: int, stream: int
) -> DeviceArray:
    if isinstance(out, tuple):
        if len(out) != 1:
            raise ValueError(f"{name}: out is a tuple of {len(out)}; give one array")
        out = out[0]
    if out is None:
        return da.new(name, "out", first, shape, loop, order, device)
    target = da.read_output(name, "out", out, stream)
    if target.shape != shape:
        raise ValueError(f"{name}: out has shape {target.shape}; the result has shape {shape}")
    if target.dtype not in REALS or not may_cast(loop, target.dtype, casting):
        raise TypeError(f"{name}: out has dtype {target.dtype}; give an array of {da.NAMES[loop]}, or of another float type that holds it")
    return target


def corrupts(out: DeviceArray, array: DeviceArray) -> bool:
    """Whether writing into out could change elements of array that are still to be read."""
    (a, b), (c, d) = out.extent, array.extent
    if a >= d or c >= b:
        return False
    if (out.address, out.shape, out.strides, out.dtype) == (array.address, array.shape, array.strides, array.dtype):
        return False
    try:
        return bool(np.shares_memory(da.shadow(out), da.shadow(array), max_work=1000))  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True


def one_device(name: str, arrays: dict[str, DeviceArray]) -> int:
    """The device of all of them; the driver is asked where an array does not say it."""
    where = {
        argument: array.device if array.device != da.UNKNOWN_DEVICE or not array.size else launch.device_at(array.address)
        for argument, array in arrays.items()
    }
    known = {argument: device for argument, device in where.items() if device != da.UNKNOWN_DEVICE}
    if len(set(known.values())) > 1:
        places = ", ".join(f"{argument} is on cuda:{device}" for argument, device in known.items())
        raise ValueError(f"{name}: all arrays of a call must be on one device, but {places}")
    return next(iter(known.values()), 0)


def elementwise(
    name: str, inputs: Sequence[Any], out: Any = None, where: Any = True, dtype: Any = None, casting: str = "same_kind", order: str = "K"
) -> Any:
    """The operation on arrays of one GPU, queued on the caller's stream; the result may be used there at once.

    Raises
    ------
    TypeError, ValueError
        As on the host, in words that name the argument.
    """
    arrays, stream = da.read_all(inputs)
    loop = loop_type(name, arrays, dtype, casting)
    named = dict(zip(("x", "t"), arrays, strict=False))
    mask = None
    if where is not True:
        mask = named["where"] = _mask(name, where, stream)
    try:
        shape = np.broadcast_shapes(*(array.shape for array in named.values()))
    except ValueError:
        shapes = ", ".join(f"{argument} of shape {array.shape}" for argument, array in named.items())
        raise ValueError(f"{name}: {shapes} do not broadcast; give them one shape") from None
    device = one_device(name, named)
    target = _output(name, arrays[0], shape, loop, out, casting, order, device, stream)
    if out is not None:
        one_device(name, {**named, "out": target})
        for argument, array in named.items():
            if corrupts(target, array):
                raise ValueError(f"{name}: out overlaps {argument} but is not the same elements; give an array of its own")
    if target.size:
        operands = [*arrays, *([] if mask is None else [mask]), target]
        with launch.Ordered(device, stream, operands):
            _run(name, operands, mask is not None, shape, loop, device, stream)
        target.library.written(target.given)
    return target.given


def first_use(name: str, inputs: Sequence[Any]) -> str:
    """Whether the kernel for contiguous arrays of this type is there, for ``fs.explain``."""
    arrays, _ = da.read_all(inputs)
    loop = loop_type(name, arrays, None, "same_kind")
    device = one_device(name, {str(i): array for i, array in enumerate(arrays)})
    return launch.state(("flat", name, loop), lambda: kernels.flat(name, loop), device)


def _mask(name: str, where: Any, stream: int) -> DeviceArray:
    if device_of(where) == "cpu":
        raise TypeError(f"{name}: where is {describe(where)}; give True, or booleans on the device of x")
    mask = da.read(where, stream)
    if mask.dtype != "b1":
        raise TypeError(f"{name}: where has dtype {mask.dtype}; give booleans")
    return mask


def _run(name: str, operands: list[DeviceArray], masked: bool, shape: tuple[int, ...], loop: str, device: int, stream: int) -> None:
    """The kernels over inputs, mask and output, in this order."""
    layout = joined(shape, [broadcast(operand, shape) for operand in operands])
    addresses = [operand.address for operand in operands]
    size = da.SIZES[loop]
    contiguous = len(layout.shape) == 1 and all(step == (size,) for step in layout.steps)
    if not masked and contiguous and all(operand.dtype == loop for operand in operands):
        n = layout.shape[0]
        loaded = launch.kernel(("flat", name, loop), lambda: kernels.flat(name, loop), device)
        head, threads = flat_shares(addresses, n, size)
        launch.start(loaded, device, stream, threads, (*addresses, n, head), range(len(addresses)), kernels.SHARES[loop])
        return
    sources = tuple(operand.dtype for operand in operands[: -2 if masked else -1])
    for part, moved in parts(layout, addresses):
        n = int(np.prod(part.shape, dtype=np.int64))
        rank, narrow = next(d for d in kernels.DIMENSIONS if d >= len(part.shape)), n < 1 << 31
        key = ("strided", name, sources, loop, operands[-1].dtype, rank, narrow, masked)
        make: Callable[[], kernels.Kernel] = lambda key=key: kernels.strided(*key[1:])  # type: ignore[misc]  # noqa: E731
        padding = rank - len(part.shape)
        lengths = (1,) * padding + part.shape
        steps = [(0,) * padding + step for step in part.steps]
        loaded = launch.kernel(key, make, device)
        launch.start(loaded, device, stream, n, (*moved, n, *lengths, *(s for step in steps for s in step)), range(len(moved)))


def flat_shares(addresses: Sequence[int], n: int, size: int) -> tuple[int, int]:
    """How many elements go before the first that all operands have at a multiple of 16 bytes (all n, where there is none), and
    for how many threads there is work."""
    vector = 16
    behind = {address % vector for address in addresses}
    if len(behind) > 1 or min(behind) % size:
        return n, n
    head = min(-min(behind) % vector // size, n)
    return head, max((n - head) * size // (vector * kernels.vectors_of_a_thread(len(addresses) - 1)), vector // size)


def parts(layout: Layout, addresses: Sequence[int]) -> list[tuple[Layout, list[int]]]:
    """The layout in pieces of no more axes than a kernel takes; more than one only where there are more than that."""
    over = len(layout.shape) - kernels.DIMENSIONS[-1]
    if over <= 0:
        return [(layout, list(addresses))]
    inner = Layout(layout.shape[over:], tuple(step[over:] for step in layout.steps))
    found = []
    for index in product(*map(range, layout.shape[:over])):
        moves = [sum(i * s for i, s in zip(index, step, strict=False)) for step in layout.steps]
        found.append((inner, [address + move for address, move in zip(addresses, moves, strict=True)]))
    return found
