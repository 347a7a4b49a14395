"""One gate on arrays of a GPU: what they are, the outputs, and the launch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fastsig.arrays import gpu as da
from fastsig.arrays.devices import describe, device_of
from fastsig.arrays.gpu import DeviceArray
from fastsig.kernels.cuda import elementwise, fused_kernels, launch
from fastsig.kernels.cuda import elementwise_kernels as kernels
from fastsig.kernels.layout import joined


def read(name: str, given: Mapping[str, Any]) -> tuple[dict[str, DeviceArray], int]:
    """The arguments, which must be arrays of one float type on one device; and the device."""
    for argument, value in given.items():
        if device_of(value) == "cpu":
            raise TypeError(f"{name}: {argument} is {describe(value)}; give an array on the device of the others")
    found, _ = da.read_all(list(given.values()))
    arrays = dict(zip(given, found, strict=True))
    first = next(iter(arrays))
    for argument, array in arrays.items():
        if array.dtype not in elementwise.REALS:
            raise TypeError(f"{name}: {argument} has dtype {array.dtype}; convert it to float16, bfloat16, float32 or float64")
        if array.dtype != arrays[first].dtype:
            kinds = da.NAMES[array.dtype], da.NAMES[arrays[first].dtype]
            raise TypeError(f"{name}: {argument} has dtype {kinds[0]}, and {first} has {kinds[1]}; convert one of them")
        if array.address % da.SIZES[array.dtype]:
            raise ValueError(f"{name}: {argument} begins in the middle of an element; pass an aligned copy")
    return arrays, elementwise.one_device(name, arrays)


def output(name: str, argument: str, out: Any, first: DeviceArray, shape: tuple[int, ...], device: int) -> DeviceArray:
    """A new array like the first argument, or the caller's, checked."""
    if out is None:
        return da.new(name, argument.partition("[")[0], first, shape, first.dtype, "C", device)
    target = da.read_output(name, argument, out, da.stream_of(first))
    if target.shape != shape:
        raise ValueError(f"{name}: {argument} has shape {target.shape}; the result has shape {shape}")
    if target.dtype != first.dtype:
        raise TypeError(f"{name}: {argument} has dtype {target.dtype}; the result has dtype {da.NAMES[first.dtype]}")
    elementwise.one_device(name, {"the arguments": first, argument: target})
    return target


def zeros(first: DeviceArray, shape: tuple[int, ...], device: int) -> DeviceArray:
    if not first.library.makes(first):
        raise TypeError(f"how to make an array like {describe(first.given)} is not known; give zeros where a gradient is None")
    stream = da.stream_of(first)
    made = da.read(first.library.empty(first, shape, first.dtype, "C", device), stream)
    if made.size:
        launch.clear(made.address, made.size * da.SIZES[made.dtype], device, stream)
    return made


def part(array: DeviceArray, axis: int, start: int, length: int) -> DeviceArray:
    """So many elements of an axis from there on."""
    at = len(array.shape) + axis
    shape = (*array.shape[:at], length, *array.shape[at + 1 :])
    return array._replace(shape=shape, address=array.address + start * array.strides[at])


def run(name: str, inputs: Sequence[DeviceArray], outputs: Sequence[DeviceArray], shape: tuple[int, ...], device: int) -> None:
    """The gate over parts that broadcast to this shape, queued on the caller's stream."""
    if not outputs[0].size:
        return
    if len({target.address for target in outputs}) < len(outputs):
        raise ValueError(f"{name}: an output shares memory with another output; give each result an array of its own")
    for i, target in enumerate(outputs):
        if any(elementwise.corrupts(target, other) for other in (*inputs, *outputs[:i])):
            raise ValueError(f"{name}: an output overlaps another array of the call but is not the same elements; give one of its own")
    first = inputs[0]
    operands = [*inputs, *outputs]
    stream = da.stream_of(first)
    with launch.Ordered(device, stream, operands):
        _launch(name, operands, shape, device, stream)
    for target in outputs:
        target.library.written(target.given)


def _launch(name: str, operands: Sequence[DeviceArray], shape: tuple[int, ...], device: int, stream: int) -> None:
    dtype = operands[0].dtype
    layout = joined(shape, [elementwise.broadcast(operand, shape) for operand in operands])
    for piece, moved in elementwise.parts(layout, [operand.address for operand in operands]):
        n = int(np.prod(piece.shape, dtype=np.int64))
        rank, narrow = next(d for d in kernels.DIMENSIONS if d >= len(piece.shape)), n < 1 << 31
        key = (name, dtype, rank, narrow)
        make: Callable[[], kernels.Kernel] = lambda key=key: fused_kernels.fused(*key)  # type: ignore[misc]  # noqa: E731
        padding = rank - len(piece.shape)
        steps = [(0,) * padding + step for step in piece.steps]
        loaded = launch.kernel(("fused", *key), make, device)
        lengths = (1,) * padding + piece.shape
        launch.start(loaded, device, stream, n, (*moved, n, *lengths, *(s for step in steps for s in step)), range(len(moved)))


def first_use(name: str, inputs: Sequence[Any]) -> str:
    """Whether the kernel for two axes of this type is there, for ``fs.explain``."""
    arrays, device = read(name, {f"operand {i}": x for i, x in enumerate(inputs)})
    key = (name, next(iter(arrays.values())).dtype, 2, True)
    return launch.state(("fused", *key), lambda: fused_kernels.fused(*key), device)
