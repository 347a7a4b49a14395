"""One call of a loss on arrays of a GPU: outputs in the caller's library, kernels on the caller's stream, nothing waited for."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import numpy as np

from fastsig.arrays import gpu as da
from fastsig.arrays.devices import describe, device_of
from fastsig.arrays.gpu import DeviceArray
from fastsig.kernels.cuda import elementwise as calls
from fastsig.kernels.cuda import launch, loss_kernels, repeats, sums, totals
from fastsig.kernels.cuda.elementwise_kernels import DIMENSIONS
from fastsig.kernels.plan import BLOCK, INPUTS, SUM_WORDS, WITH_GRAD, WITH_HESS, Numbers, elements_shape, reciprocal

_NO_OPTIONS = Numbers()


class DeviceOperands(NamedTuple):
    """The call's arrays, which broadcast to ``shape``; ``dtype`` is the logits' and the results'."""

    name: str
    arguments: tuple[str, ...]
    """What the caller called them, from the logits on."""
    inputs: tuple[DeviceArray | None, ...]
    """In the order of ``plans.INPUTS``."""
    shape: tuple[int, ...]
    size: int
    dtype: str
    device: int
    stream: int

    @property
    def code(self) -> int:
        """The dtype's number in ``plans``."""
        return calls.REALS.index(self.dtype)

    @property
    def first(self) -> DeviceArray:
        assert self.inputs[0] is not None
        return self.inputs[0]

    @property
    def mask(self) -> DeviceArray | None:
        return self.inputs[4]

    @property
    def weight(self) -> DeviceArray | None:
        return self.inputs[2]


def operands(function: str, names: tuple[str, ...], given: Sequence[Any]) -> DeviceOperands:
    """The arrays of a loss by the caller's names, in the order of ``plans.INPUTS``, checked as those of the host are."""
    first = names[0]
    arrays: dict[str, DeviceArray] = {}
    stream = da.DEFAULT_STREAM
    for argument, value in zip(names, given, strict=True):
        if value is None and argument in (first, "targets"):
            raise TypeError(f"{function}: {argument} is None; give an array")
        if value is None:
            continue
        if device_of(value) == "cpu":
            raise TypeError(f"{function}: {argument} is {describe(value)}; give an array on the device of {first}")
        arrays[argument] = da.read(value, stream)
        if argument == first:
            stream = da.stream_of(arrays[argument])
    dtype = calls.loop_type(function, [arrays[first]], None, "same_kind")
    calls.loop_type(function, list(arrays.values()), "float64", "same_kind")  # that each has a type which kernels read
    if "mask" in arrays and arrays["mask"].dtype != "b1":
        raise TypeError(f"{function}: mask has dtype {arrays['mask'].dtype}; give booleans, such as mask.astype(bool) or mask != 0")
    shape = elements_shape(function, {argument: array.shape for argument, array in arrays.items()})
    device = calls.one_device(function, arrays)
    size = int(np.prod(shape, dtype=np.int64))
    return DeviceOperands(function, names, tuple(arrays.get(name) for name in names), shape, size, dtype, device, stream)


def output(ops: DeviceOperands, argument: str, out: Any, others: Sequence[DeviceArray] = ()) -> DeviceArray:
    """A new array, or the caller's, checked; others are the call's outputs that it must not overlap."""
    if out is None:
        return da.new(ops.name, argument, ops.first, ops.shape, ops.dtype, "C", ops.device)
    target = _given(ops, argument, out, ops.shape)
    if target.dtype != ops.dtype:
        raise TypeError(
            f"{ops.name}: {argument} has dtype {target.dtype}; the result has dtype {da.NAMES[ops.dtype]}, that of {ops.arguments[0]}"
        )
    for other in others:
        if calls.corrupts(target, other) or target.address == other.address:
            raise ValueError(f"{ops.name}: {argument} shares memory with another output; give each result an array of its own")
    for name, array in zip(ops.arguments, ops.inputs, strict=True):
        if array is not None and calls.corrupts(target, array):
            raise ValueError(f"{ops.name}: {argument} overlaps {name} but is not the same elements; give an array of its own")
    return target


def _given(ops: DeviceOperands, argument: str, out: Any, shape: tuple[int, ...]) -> DeviceArray:
    target = da.read_output(ops.name, argument, out, ops.stream)
    if target.shape != shape:
        raise ValueError(f"{ops.name}: {argument} has shape {target.shape}; the result has shape {shape}")
    calls.one_device(ops.name, {ops.arguments[0]: ops.first, argument: target})
    return target


def _scalar(ops: DeviceOperands, out: Any) -> DeviceArray:
    """The array of a reduced loss: of no dimensions, and of any float type, to which the exact sum is then rounded once."""
    if out is None:
        return da.new(ops.name, "out", ops.first, (), ops.dtype, "C", ops.device)
    target = _given(ops, "out", out, ())
    if target.dtype not in calls.REALS:
        raise TypeError(f"{ops.name}: out has dtype {target.dtype}; give an array of float16, bfloat16, float32 or float64")
    return target


class Work(NamedTuple):
    """Words on the device that a reduction needs."""

    total: int
    """The accumulators' address."""
    counted: int
    """That of the number of true elements of the mask; 0 where there is none."""


def _ordered(ops: DeviceOperands, *outputs: DeviceArray) -> launch.Ordered:
    return launch.Ordered(ops.device, ops.stream, [*(array for array in ops.inputs if array is not None), *outputs])


@contextmanager
def _work(ops: DeviceOperands) -> Iterator[Work]:
    """Zeroed on the call's stream, in memory of the caller's library, or where that makes no arrays, of the driver; it is free again when
    the stream has passed."""
    words = sums.COPIES * SUM_WORDS
    with ExitStack() as stack:
        if ops.first.library.makes(ops.first):
            array = da.new(ops.name, "out", ops.first, (words + 1,), "i8", "C", ops.device)
            address = array.address
        else:
            address = stack.enter_context(launch.memory(8 * (words + 1), ops.device, ops.stream))
        launch.clear(address, 8 * (words + 1), ops.device, ops.stream)
        yield Work(address, address + 8 * words)


def run(
    ops: DeviceOperands, formula: int, numbers: Numbers, outputs: dict[str, DeviceArray], work: Work | None, *, check: bool, scale: str
) -> None:
    """One pass; the losses are added to the work's total where there is one."""
    present = [(name, array) for name, array in zip(INPUTS, ops.inputs, strict=True) if array is not None]
    arrays = [array for _, array in present] + list(outputs.values())
    layout = calls.joined(ops.shape, [calls.broadcast(array, ops.shape) for array in arrays], in_order=True)
    if len(layout.shape) > DIMENSIONS[-1]:
        raise ValueError(f"{ops.name}: the operands have more than {DIMENSIONS[-1]} axes that no stride joins; pass contiguous copies")
    sources = tuple(array.dtype for _, array in present)
    size, total = da.SIZES[ops.dtype], 0 if work is None else work.total
    contiguous = all(step == (size,) for step in layout.steps) and all(array.dtype == ops.dtype for array in arrays)
    rank = next(d for d in DIMENSIONS if d >= len(layout.shape))
    variant = loss_kernels.Variant(
        formula=formula, sources=sources, extras=tuple(name for name, _ in present[2:]), smooth=numbers.floor != 0, outputs=tuple(outputs),
        out=ops.dtype, summed=work is not None, scale=scale, check=check,
        wide=contiguous and not any(array.address % 16 for array in arrays), dimensions=rank, narrow=ops.size < 1 << 31,
    )  # fmt: skip
    loaded = launch.kernel(("loss", variant), lambda: loss_kernels.loss(variant), ops.device)
    padding = rank - len(layout.shape)
    steps = [(0,) * padding + step for step in layout.steps]
    values = [float(getattr(numbers, name)) for name in loss_kernels.NUMBERS]
    counted, times = (0, 1) if work is None else (work.counted, _times(ops))
    before = (*(array.address for array in arrays), *values, int(numbers.gamma) if numbers.whole else -1)
    arguments = (
        *before, counted, times, total, ops.size, *(1,) * padding, *layout.shape, *(s for step in steps for s in step),
    )  # fmt: skip
    pointers = (*range(len(arrays)), len(before), len(before) + 2)
    launch.start(loaded, ops.device, ops.stream, -(-ops.size // BLOCK) * sums.WARP, arguments, pointers, loss_kernels.SHARE)
    for target in outputs.values():
        target.library.written(target.given)


def _times(ops: DeviceOperands) -> int:
    """How often each element of the mask stands for one of the loss."""
    return 1 if ops.mask is None or not ops.mask.size else ops.size // ops.mask.size


def _count(ops: DeviceOperands, work: Work) -> None:
    """How many elements of the mask are true, into the work."""
    if ops.mask is None:
        return
    layout = calls.joined(ops.mask.shape, [ops.mask.strides])
    for part, moved in calls.parts(layout, [ops.mask.address]):
        n = int(np.prod(part.shape, dtype=np.int64))
        rank = next(d for d in DIMENSIONS if d >= len(part.shape))
        loaded = launch.kernel(("count", rank), lambda rank=rank: totals.count(rank), ops.device)  # type: ignore[misc]
        padding = rank - len(part.shape)
        arguments = (*moved, work.counted, n, *(1,) * padding, *part.shape, *(0,) * padding, *part.steps[0])
        launch.start(loaded, ops.device, ops.stream, min(n, totals.COUNTING_THREADS), arguments, (0, 1))


def _finish(ops: DeviceOperands, work: Work, reduction: str, out: DeviceArray) -> None:
    known = 1 if reduction == "sum" else ops.size if ops.mask is None else 0
    loaded = launch.kernel(("finish", out.dtype), lambda: totals.finish(out.dtype), ops.device)
    arguments = (work.total, work.counted, _times(ops), known, out.address)
    launch.start(loaded, ops.device, ops.stream, sums.WARP, arguments, (0, 1, 4))
    out.library.written(out.given)


def _refuse(ops: DeviceOperands, reduction: str) -> None:
    if reduction == "weighted_mean" and ops.weight is not None:
        raise ValueError(
            f"{ops.name}: reduction='weighted_mean' with weights is not computed on a GPU; give reduction='sum' and divide by weight.sum()"
        )
    if reduction in ("mean", "weighted_mean") and ops.size == 0:
        warnings.warn(f"{reduction} loss over no elements is NaN", RuntimeWarning, stacklevel=5)


def _decided(ops: DeviceOperands, options: tuple[Any, ...], outputs: tuple[Any, ...], decide: Callable[[], Any]) -> Any:
    """What ``decide`` returns; kept for calls like this one where the arrays are torch's and plain."""
    given = [None if array is None else array.given for array in ops.inputs]
    call = repeats.of_torch(options, (*given, *outputs)) if ops.size else None
    if call is None:
        return decide()
    found = repeats.again(call)
    if found is not NotImplemented:
        return found
    return repeats.decided(call, range(len(given), len(given) + len(outputs)), decide)


def again(formula: int, reduction: str, check: bool, tensors: tuple[Any, ...], wanted: int) -> Any:
    """The results of a call without options whose like there was before, or NotImplemented; ``wanted`` as in ``fast_path``."""
    call = repeats.of_torch((wanted, formula, _NO_OPTIONS, reduction, check), tensors)
    return NotImplemented if call is None else repeats.again(call)


def value(ops: DeviceOperands, formula: int, numbers: Numbers, reduction: str, check: bool, out: Any) -> Any:
    _refuse(ops, reduction)
    check = bool(check)
    options = (0, formula, numbers, reduction, check)
    return _decided(ops, options, (out,), lambda: _value(ops, formula, numbers, reduction, check, out))


def _value(ops: DeviceOperands, formula: int, numbers: Numbers, reduction: str, check: bool, out: Any) -> Any:
    if reduction == "none":
        loss = output(ops, "out", out)
        if ops.size:
            with _ordered(ops, loss):
                run(ops, formula, numbers, {"loss": loss}, None, check=check, scale="")
        return loss.given
    target = _scalar(ops, out)
    with _ordered(ops, target), _work(ops) as work:
        if reduction != "sum":
            _count(ops, work)
        if ops.size:
            run(ops, formula, numbers, {}, work, check=check, scale="")
        _finish(ops, work, reduction, target)
    return target.given


def value_and_grad(
    ops: DeviceOperands, formula: int, numbers: Numbers, reduction: str, check: bool, out: Any, grad_out: Any
) -> tuple[Any, Any]:
    _refuse(ops, reduction)
    check = bool(check)
    options = (WITH_GRAD, formula, numbers, reduction, check)
    found = _decided(ops, options, (out, grad_out), lambda: _value_and_grad(ops, formula, numbers, reduction, check, out, grad_out))
    return found  # type: ignore[no-any-return]


def _value_and_grad(
    ops: DeviceOperands, formula: int, numbers: Numbers, reduction: str, check: bool, out: Any, grad_out: Any
) -> tuple[Any, Any]:
    if reduction == "none":
        loss = output(ops, "out", out)
        grad = output(ops, "grad_out", grad_out, (loss,))
        if ops.size:
            with _ordered(ops, loss, grad):
                run(ops, formula, numbers, {"loss": loss, "grad": grad}, None, check=check, scale="")
        return loss.given, grad.given
    target = _scalar(ops, out)
    grad = output(ops, "grad_out", grad_out, (target,))
    scale = ""
    if reduction != "sum":
        scale = "count" if ops.mask is not None else "number"
        head, rest = reciprocal(max(ops.size, 1), 1, ops.dtype == "f64")
        numbers = numbers._replace(scale=head, scale_lo=rest)
        if numbers.scale == 1:
            scale = "count" if ops.mask is not None else ""
    with _ordered(ops, target, grad), _work(ops) as work:
        if reduction != "sum":
            _count(ops, work)
        if ops.size:
            run(ops, formula, numbers, {"grad": grad}, work, check=check, scale=scale)
        _finish(ops, work, reduction, target)
    return target.given, grad.given


def grad_hess(ops: DeviceOperands, formula: int, numbers: Numbers, check: bool, grad_out: Any, hess_out: Any) -> tuple[Any, Any]:
    check = bool(check)
    options = (WITH_GRAD + WITH_HESS, formula, numbers, "none", check)
    found = _decided(ops, options, (grad_out, hess_out), lambda: _grad_hess(ops, formula, numbers, check, grad_out, hess_out))
    return found  # type: ignore[no-any-return]


def _grad_hess(ops: DeviceOperands, formula: int, numbers: Numbers, check: bool, grad_out: Any, hess_out: Any) -> tuple[Any, Any]:
    grad = output(ops, "grad_out", grad_out)
    hess = output(ops, "hess_out", hess_out, (grad,))
    if ops.size:
        with _ordered(ops, grad, hess):
            run(ops, formula, numbers, {"grad": grad, "hess": hess}, None, check=check, scale="")
    return grad.given, hess.given
