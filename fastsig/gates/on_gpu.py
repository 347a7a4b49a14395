"""One call of a gate on arrays of a GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fastsig.dispatch import gpu
from fastsig.gates.shapes import of_parts, with_length
from fastsig.ops import Fused


def call(row: Fused, given: Mapping[str, Any], outs: Sequence[Any], axis: Any, device: str, backend: str | None) -> Any:
    """The results, queued on the caller's stream; they may be used there at once."""
    room = gpu.gates(row.name, next(iter(given.values())), device, backend)
    arrays, index = room.read(row.name, given)
    shape, axis = of_parts(row, {argument: array.shape for argument, array in arrays.items()}, axis)
    first = next(iter(arrays.values()))

    def parts(array: Any, count: int) -> list[Any]:
        if array is None:
            array = room.zeros(first, shape, index)
        return [array] if count == 1 else [room.part(array, axis, i * shape[axis], shape[axis]) for i in range(count)]

    results = []
    for i, (out, (_, count)) in enumerate(zip(outs, row.results, strict=True)):
        whole = with_length(shape, axis, shape[axis] * count) if shape else shape
        results.append(room.output(row.name, f"out[{i}]" if len(outs) > 1 else "out", out, first, whole, index))
    inputs = [part for argument, count in row.arguments for part in parts(arrays.get(argument), count)]
    targets = [part for result, (_, count) in zip(results, row.results, strict=True) for part in parts(result, count)]
    room.run(row.name, inputs, targets, shape, index)
    found = tuple(result.given for result in results)
    return found if len(found) > 1 else found[0]
