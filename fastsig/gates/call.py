"""One call of a gate on arrays of the host: arguments read and checked, outputs made or checked, and the pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fastsig.arrays import arraylikes, dtypes
from fastsig.arrays.devices import common_device, describe, interop_of_host_tensor
from fastsig.arrays.dtypes import TAKEN, Array
from fastsig.dispatch import choice, sharing
from fastsig.dispatch.availability import named, numba, straight
from fastsig.dispatch.thresholds import LEAST_BYTES
from fastsig.gates import on_gpu
from fastsig.gates.shapes import Shape, of_parts, with_length
from fastsig.kernels import rows
from fastsig.kernels.c.status import library as c
from fastsig.ops import BROADCASTING, FUSED, FUSED_BY_NAME, Fused
from fastsig.system.float_environment import in_default_environment

_NUMBERS = (bool, int, float)


_quick_fused = straight("quick_fused")
_PARTS = {
    row.name: (i, bytes(count for _, count in row.arguments), bytes(count for _, count in row.results)) for i, row in enumerate(FUSED)
}
"""Of each gate its number in the C library, and how many parts the arrays have."""


def call(
    name: str, given: Mapping[str, Any], out: Any, axis: Any, backend: str | None, threads: int | None, may_lack: Sequence[str] = ()
) -> Any:
    """The results of a gate, one or a tuple; those of the arguments that may lack and are None are zeros."""
    found = _quick(name, tuple(given.values()), out, axis, backend, threads)
    return general(name, given, out, axis, backend, threads, may_lack) if found is NotImplemented else found


def _quick(name: str, arrays: tuple[Any, ...], out: Any, axis: Any, backend: str | None, threads: int | None) -> Any:
    """The results in one step, or NotImplemented: the general way computes the same bits, or says what is wrong, ten times as long."""
    first = arrays[0]
    if _quick_fused is None or type(first) is not np.ndarray or type(axis) is not int or axis != -1:
        return NotImplemented
    if not ((backend is None or backend == "c") and (threads is None or (type(threads) is int and threads > 0))):
        return NotImplemented
    number, in_parts, out_parts = _PARTS[name]
    outs = (out,) if type(out) is np.ndarray else out
    if outs is not None and (type(outs) is not tuple or len(outs) != len(out_parts)):
        return NotImplemented
    alone = first.nbytes < LEAST_BYTES
    count = 1 if alone else choice.of_loss(name, first.dtype, first.size // in_parts[0], backend=None, threads=threads).threads
    return _quick_fused(number, count, in_parts, out_parts, arrays, outs)


@in_default_environment
def general(
    name: str, given: Mapping[str, Any], out: Any, axis: Any, backend: str | None, threads: int | None, may_lack: Sequence[str]
) -> Any:
    first = next((value for value in given.values() if value is not None), None)
    tensors = interop_of_host_tensor(first)
    if tensors is not None:
        return tensors.gate_of_tensors(name, given, out, axis, backend, threads)
    row = FUSED_BY_NAME[name]
    outs = _outs(row, out)
    present = {argument: value for argument, value in given.items() if value is not None or argument not in may_lack}
    for argument, value in present.items():
        if value is None:
            raise TypeError(f"{name}: {argument} is None; give an array")
    chosen = named(backend)
    device = common_device(**present, **{f"out[{i}]" if len(outs) > 1 else "out": o for i, o in enumerate(outs)})
    if device != "cpu" or chosen == "cuda":
        return on_gpu.call(row, present, outs, axis, device, chosen)
    read = {argument: _read(name, argument, value) for argument, value in present.items()}
    arrays = _of_one_type(name, present, read)
    shape, axis = of_parts(row, {argument: array.shape for argument, array in arrays.items()}, axis)
    dtype = next(iter(arrays.values())).dtype
    order: Any = "F" if all(array.flags.fnc for array in arrays.values()) else "C"
    results = [
        _output(name, argument, o, with_length(shape, axis, shape[axis] * count) if shape else shape, dtype, order)
        for o, (argument, count) in zip(outs, _called(row, outs), strict=True)
    ]
    _refuse_shared(name, row, results)
    inputs = [part for argument, count in row.arguments for part in _parts(arrays.get(argument), shape, dtype, count, axis)]
    targets = [part for result, (_, count) in zip(results, row.results, strict=True) for part in _parts(result, shape, dtype, count, axis)]
    if any(o is not None for o in outs):
        inputs = [_apart(given, targets) for given in inputs]
    if targets[0].size:
        how = choice.of_loss(name, dtype, targets[0].size, backend=chosen, threads=threads)
        _pass(name, inputs, targets, how.backend, how.threads)
    finished = tuple(result if o is None else o for result, o in zip(results, outs, strict=True))
    if len(finished) > 1:
        return tuple(_scalar(result) if o is None else result for result, o in zip(finished, outs, strict=True))
    return _scalar(finished[0]) if outs[0] is None else finished[0]


def _scalar(result: Array) -> Any:
    """A result of no dimensions, as NumPy's ufuncs give it."""
    return result[()] if result.ndim == 0 else result


# ---- arguments ----


def _read(name: str, argument: str, value: Any) -> Array:
    sharing.notice_bfloat16(value)
    try:
        found = arraylikes.values(value)
    except (TypeError, ValueError, RuntimeError) as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"{name}: {argument} ({describe(value)}) cannot be read as an array: {error}") from error
    if found.missing is not None:
        raise ValueError(f"{name}: {argument} has missing values; fill them first")
    array = found.array
    if dtypes.type_code(array.dtype) is None:
        raise TypeError(f"{name}: {argument} ({describe(value)}) has dtype {array.dtype}; convert it to one of {TAKEN}")
    return dtypes.readable(array)


def _float(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """As ``np.exp`` does with bool and integers."""
    return np.exp(np.zeros((), dtype)).dtype if dtype.kind in "bui" else dtype


def _of_one_type(name: str, given: Mapping[str, Any], read: Mapping[str, Array]) -> dict[str, Array]:
    """All arrays in the one float type of the call; those that broadcast have that of a ufunc, all others must have one already."""
    if name in BROADCASTING:
        typed = [array.dtype for argument, array in read.items() if type(given[argument]) not in _NUMBERS]
        numbers = [given[argument] for argument in read if type(given[argument]) in _NUMBERS]
        dtype = _float(np.result_type(*typed, *numbers))
    else:
        first = next(iter(read))
        dtype = _float(read[first].dtype)
        for argument, array in read.items():
            if _float(array.dtype) != dtype:
                raise TypeError(f"{name}: {argument} has dtype {array.dtype}, and {first} has {read[first].dtype}; convert one of them")
    return {argument: array.astype(dtype, copy=False) for argument, array in read.items()}


def _parts(array: Array | None, shape: Shape, dtype: np.dtype[Any], count: int, axis: int) -> list[Array]:
    """The array's parts, each of this shape."""
    if array is None:
        return [np.zeros(shape, dtype)] * count
    if count == 1:
        return [np.broadcast_to(array, shape)] if array.shape != shape else [array]
    at, length = len(shape) + axis, shape[axis]
    return [array[(slice(None),) * at + (slice(i * length, (i + 1) * length),)] for i in range(count)]


# ---- outputs ----


def _outs(row: Fused, out: Any) -> tuple[Any, ...]:
    """What the caller gave for each result, None for a new array."""
    count = len(row.results)
    if count == 1:
        if isinstance(out, tuple) and len(out) != 1:
            raise ValueError(f"{row.name}: out is a tuple of {len(out)}; give one array")
        return out if isinstance(out, tuple) else (out,)
    if out is None:
        return (None,) * count
    if not isinstance(out, tuple) or len(out) != count:
        names = ", ".join(result for result, _ in row.results)
        raise (ValueError if isinstance(out, tuple) else TypeError)(f"{row.name}: out must be a tuple of {count} arrays, for {names}")
    return out


def _called(row: Fused, outs: Sequence[Any]) -> list[tuple[str, int]]:
    """The outputs by the names that errors give them, with their parts."""
    return [(f"out[{i}]" if len(outs) > 1 else "out", count) for i, (_, count) in enumerate(row.results)]


def _output(name: str, argument: str, out: Any, shape: Shape, dtype: np.dtype[Any], order: Any) -> Array:
    """A new array, or the caller's, checked."""
    if out is None:
        return np.empty(shape, dtype, order)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{name}: {argument} is {describe(out)}; give a NumPy array to write into")
    if not out.flags.writeable:
        raise ValueError(f"{name}: {argument} is read-only; give a writable array")
    if out.shape != shape:
        raise ValueError(f"{name}: {argument} has shape {out.shape}; the result has shape {shape}")
    if out.dtype != dtype or not out.dtype.isnative:
        raise TypeError(f"{name}: {argument} has dtype {out.dtype}; the result has dtype {dtype}")
    if out.size and any(step == 0 and length > 1 for step, length in zip(out.strides, out.shape, strict=True)):
        raise ValueError(f"{name}: {argument} is a broadcast view, whose elements share memory; give a full array")
    return np.asarray(out)


def _refuse_shared(name: str, row: Fused, results: Sequence[Array]) -> None:
    for i, result in enumerate(results):
        if any(_overlap(result, other) for other in results[:i]):
            raise ValueError(f"{name}: out[{i}] shares memory with another output; give each result an array of its own")


def _overlap(a: Array, b: Array) -> bool:
    """Whether two arrays have a byte in common; True also where it would take long to tell."""
    if not np.may_share_memory(a, b):
        return False
    try:
        return bool(np.shares_memory(a, b, max_work=1000))  # type: ignore[arg-type]  # NumPy takes any limit; its stubs know two
    except np.exceptions.TooHardError:
        return True


def _apart(given: Array, targets: Sequence[Array]) -> Array:
    """The input, or a copy where an output would replace what is still to be read of it."""
    return np.array(given) if any(not _same(given, target) and _overlap(given, target) for target in targets) else given


def _same(a: Array, b: Array) -> bool:
    return a.strides == b.strides and a.__array_interface__["data"][0] == b.__array_interface__["data"][0]


# ---- the pass ----


def _pass(name: str, inputs: Sequence[Array], targets: Sequence[Array], backend: str, threads: int) -> None:
    """Into the targets; by copies where the operands are no rows."""
    operands = [*inputs, *targets]
    words = rows.words(name, _code(targets[0]), operands) if all(target.flags.aligned for target in targets) else None
    if words is None:
        operands = [*map(np.ascontiguousarray, inputs), *(np.empty(target.shape, target.dtype) for target in targets)]
        words = rows.words(name, _code(targets[0]), operands)
        assert words is not None, "contiguous operands are one row"
    if backend == "c":
        c.fused(words, threads)
    else:
        numba("fused").run(name, words, threads, operands)
    for target, computed in zip(targets, operands[len(inputs) :], strict=True):
        if computed is not target:
            np.copyto(target, computed)


def _code(array: Array) -> int:
    code = dtypes.type_code(array.dtype)
    assert code is not None
    return code
