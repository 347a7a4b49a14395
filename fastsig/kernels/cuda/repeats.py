"""Calls of torch that are like an earlier one but for their tensors' addresses: what was decided then is kept, and the launches are left.

A call is known by its function, its options, and by what its tensors are: dtype, shape, strides, device, where they begin within 16
bytes, and which of them begin at the same address. One whose tensors share memory in another way is not kept. Deciding anew costs
several times as much as the launches.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

from fastsig.arrays.gpu import TORCH
from fastsig.kernels.cuda import launch

_MOST = 4096
"""Calls that are kept: when there are so many, all are forgotten."""
_plans: dict[Hashable, _Plan] = {}


class Call(NamedTuple):
    """A call whose tensors are all plain ones on a GPU."""

    key: Hashable
    tensors: tuple[Any, ...]
    """None where an optional one is not there."""
    addresses: list[int]
    geometry: tuple[Any, ...]
    """By tensor."""


def of_torch(function: Hashable, tensors: Sequence[Any]) -> Call | None:
    """None where a tensor is not plain: the call is to be looked at each time."""
    torch = sys.modules.get("torch")
    if torch is None:
        return None
    plain, strided = torch.Tensor, torch.strided
    addresses: list[int] = []
    geometry: list[Any] = []
    for x in tensors:
        if x is None:
            addresses.append(0)
            geometry.append(None)
            continue
        if type(x) is not plain or not x.is_cuda or x.requires_grad or x.layout is not strided or x.is_neg():
            return None
        address = x.data_ptr()
        if not address:
            return None
        addresses.append(address)
        geometry.append((x.dtype, x.shape, x.stride(), x.get_device(), address & 15))
    shared = tuple(map(addresses.index, addresses))
    return Call((function, shared, *geometry), tuple(tensors), addresses, tuple(geometry))


def again(call: Call) -> Any:
    """The results of the call, or NotImplemented where there was none like it."""
    plan = _plans.get(call.key)
    return NotImplemented if plan is None else plan.run(call)


def decided(call: Call, outputs: Sequence[int], decide: Callable[[], Any]) -> Any:
    """What ``decide`` returns, a tensor or a tuple of them; its launches are kept for calls like this one. ``outputs`` are the places
    of the tensors that it writes into where they are given."""
    with launch.recording() as log:
        results = decide()
    if log.entries and not _interleaved(call):
        if len(_plans) >= _MOST:
            _plans.clear()
        _plans[call.key] = _Plan(call, log, results, outputs)
    return results


def _interleaved(call: Call) -> bool:
    """Whether two tensors that begin at different addresses reach into each other: an address then does not say which it belongs to."""
    extents = sorted({(address, address + _length(x)) for address, x in zip(call.addresses, call.tensors, strict=True) if x is not None})
    starts = {start for start, _ in extents}
    reach = 0
    for start in sorted(starts):
        if start < reach:
            return True
        reach = max(end for begin, end in extents if begin == start)
    return False


class _Launch(NamedTuple):
    kernel: launch.Loaded
    blocks: int
    arguments: tuple[int | float, ...]
    places: tuple[tuple[int, int, int], ...]
    """Of addresses: which argument, of which array, and how far behind its beginning."""


class _Clearing(NamedTuple):
    array: int
    offset: int
    length: int


def _length(x: Any) -> int:
    """Bytes from the first element to the end of the last."""
    if x is None or not x.numel():
        return 0
    return int(x.element_size() * (1 + sum(step * (n - 1) for step, n in zip(x.stride(), x.shape, strict=True))))


def _place(address: int, extents: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Which array it lies in, and how far behind its beginning."""
    return next((i, address - base) for i, (base, length) in enumerate(extents) if base <= address < base + max(length, 1))


def _step(entry: launch.Launched | launch.Cleared, extents: Sequence[tuple[int, int]]) -> _Launch | _Clearing:
    if isinstance(entry, launch.Cleared):
        return _Clearing(*_place(entry.address, extents), entry.length)
    places = tuple((i, *_place(int(entry.arguments[i]), extents)) for i in entry.pointers if entry.arguments[i])
    return _Launch(entry.kernel, entry.blocks, entry.arguments, places)


class _Plan:
    def __init__(self, call: Call, log: launch.Log, results: Any, outputs: Sequence[int]) -> None:
        self.device = next(x.get_device() for x in call.tensors if x is not None)
        self.outputs = [i for i in outputs if call.tensors[i] is not None]
        self.lengths = [_length(x) for x in call.tensors]
        self.made = [(tuple(x.shape), x.stride(), x.dtype) for x in log.made]
        bases = [*call.addresses, *(x.data_ptr() for x in log.made)]
        extents = list(zip(bases, [*self.lengths, *map(_length, log.made)], strict=True))
        self.steps = [_step(entry, extents) for entry in log.entries]
        places = {id(x): i for i, x in enumerate((*call.tensors, *log.made)) if x is not None}
        self.single = not isinstance(results, tuple)
        self.results = [places[id(x)] for x in ((results,) if self.single else results)]

    def run(self, call: Call) -> Any:
        """NotImplemented where an output shares some of its memory: that is to be looked at."""
        if self._shares(call):
            return NotImplemented
        torch = sys.modules["torch"]
        device, arrays, addresses = self.device, list(call.tensors), list(call.addresses)
        for shape, stride, dtype in self.made:
            new = torch.empty_strided(shape, stride, dtype=dtype, device=f"cuda:{device}")
            arrays.append(new)
            addresses.append(new.data_ptr())
        stream = TORCH.current_stream()(device)
        for step in self.steps:
            if isinstance(step, _Clearing):
                launch.put_zeros(addresses[step.array] + step.offset, step.length, device, stream)
                continue
            arguments = list(step.arguments)
            for i, array, offset in step.places:
                arguments[i] = addresses[array] + offset
            launch.put(step.kernel, device, stream, step.blocks, tuple(arguments))
        for i in self.outputs:
            TORCH.written(arrays[i])
        return arrays[self.results[0]] if self.single else tuple(arrays[i] for i in self.results)

    def _shares(self, call: Call) -> bool:
        for o in self.outputs:
            start = call.addresses[o]
            end = start + self.lengths[o]
            for i, address in enumerate(call.addresses):
                apart = address >= end or address + self.lengths[i] <= start
                if not apart and i != o and (address != start or call.geometry[i] != call.geometry[o]):
                    return True
        return False
