"""What a loss is called with: operands made readable and checked, its numbers, and outputs made or checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from fastsig.arrays import arraylikes, dtypes
from fastsig.arrays.devices import common_device, describe
from fastsig.arrays.dtypes import TAKEN, Array
from fastsig.arrays.library import Values
from fastsig.dispatch import gpu
from fastsig.dispatch.availability import named
from fastsig.kernels import plan
from fastsig.kernels.plan import Numbers
from fastsig.losses import pairing
from fastsig.system.float_environment import in_default_environment


class Operands(NamedTuple):
    """Readable arrays that broadcast to ``shape``; ``dtype`` is the logits' and the results', ``code`` its number in a plan."""

    name: str
    inputs: tuple[Array | None, Array | None, Array | None, Array | None, Array | None]
    """In the order of ``plan.INPUTS``."""
    shape: tuple[int, ...]
    size: int
    dtype: np.dtype[Any]
    code: int
    given: Mapping[str, Any] = MappingProxyType({})
    """By the caller's names, as he gave them; the logits first."""

    @property
    def first(self) -> str:
        """What the function calls its logits or probabilities."""
        return next(iter(self.given))

    @property
    def logits(self) -> Any:
        """As the caller gave them: results are of their kind."""
        return self.given[self.first]

    @property
    def mask(self) -> Array | None:
        return self.inputs[4]

    @property
    def weight(self) -> Array | None:
        return self.inputs[2]

    def counted(self) -> int:
        """How many elements count: all, or those where the mask is true."""
        mask = self.mask
        if mask is None or self.size == 0:
            return self.size
        return int(np.count_nonzero(mask)) * (self.size // mask.size)

    def checks(self, formula: int, check: bool) -> int:
        if not check:
            return 0
        _, _, weight, pos_weight, _ = self.inputs
        checks = plan.BAD_TARGET | (plan.BAD_PROBABILITY if formula == plan.PROBABILITIES else 0)
        bad_fourth = plan.BAD_ALPHA if formula == plan.FOCAL else plan.BAD_POS_WEIGHT
        return checks | (0 if weight is None else plan.BAD_WEIGHT) | (0 if pos_weight is None else bad_fourth)


def read_values(function: str, argument: str, value: Any) -> Values:
    if value is None:
        raise TypeError(f"{function}: {argument} is None; give an array")
    try:
        return arraylikes.values(value)
    except (TypeError, ValueError, RuntimeError) as error:
        kind = ValueError if isinstance(error, ValueError) else TypeError
        raise kind(f"{function}: {argument} ({describe(value)}) cannot be read as an array: {error}") from error


def _readable(function: str, argument: str, value: Any, array: Array) -> Array:
    if dtypes.type_code(array.dtype) is None:
        raise TypeError(f"{function}: {argument} ({describe(value)}) has dtype {array.dtype}; convert it to one of {TAKEN}")
    return dtypes.readable(array)


_FUNCTIONS = {plan.LOGITS: "bce_with_logits", plan.PROBABILITIES: "bce", plan.FOCAL: "sigmoid_focal_loss"}
_SUFFIXES = {0: "", plan.WITH_GRAD: "_value_and_grad", plan.WITH_GRAD + plan.WITH_HESS: "_grad_hess"}


def function_of(formula: int, wanted: int) -> str:
    """The public function that gives what is wanted of a formula."""
    return _FUNCTIONS[formula] + _SUFFIXES[wanted]


def arguments_of(formula: int) -> tuple[str, ...]:
    """What the public functions call the ``plan.INPUTS`` of a formula."""
    first = "probs" if formula == plan.PROBABILITIES else "logits"
    return first, "targets", "weight", "alpha" if formula == plan.FOCAL else "pos_weight", "mask"


@in_default_environment
def operands(function: str, formula: int, x: Any, targets: Any, weight: Any, fourth: Any, mask: Any) -> Any:
    """The call's arrays, converted only where no kernel can read them in place; those of a GPU as its backend describes them."""
    given = dict(zip(arguments_of(formula), (x, targets, weight, fourth, mask), strict=True))
    first = next(iter(given))
    device = common_device(**given)
    if device != "cpu":
        return gpu.losses(function, x, device, None).operands(function, tuple(given), tuple(given.values()))
    present = {argument: value for argument, value in given.items() if value is not None or argument in (first, "targets")}
    read = {argument: read_values(function, argument, value) for argument, value in present.items()}
    if mask is None:
        pairing.refuse_missing(function, read)
    arrays = {argument: _readable(function, argument, present[argument], values.array) for argument, values in read.items()}
    xs = arrays[first] = arraylikes.logits(x, arrays[first])
    if xs.dtype.kind in "bui":
        xs = arrays[first] = xs.astype(np.exp(np.zeros((), xs.dtype)).dtype)
    if mask is not None and arrays["mask"].dtype != np.bool_:
        raise TypeError(f"{function}: mask has dtype {arrays['mask'].dtype}; give booleans, such as mask.astype(bool) or mask != 0")
    try:
        shape = plan.elements_shape(function, {argument: array.shape for argument, array in arrays.items()})
    except ValueError:
        pairing.refuse_other_labels(function, present, of_one_rank=True)
        raise
    pairing.refuse_other_labels(function, present)
    if mask is not None:
        pairing.refuse_missing(function, read)
    code = dtypes.type_code(xs.dtype)
    assert code is not None
    size = 1
    for length in shape:
        size *= length
    ts, ws, ps, ms = (arrays.get(argument) for argument in [*given][1:])
    return Operands(function, (xs, ts, ws, ps, ms), shape, size, xs.dtype, code, given)


def on_gpu(ops: Any, backend: str | None) -> Any:
    """The backend's losses for arrays of a GPU, None for arrays of the host."""
    if isinstance(ops, Operands):
        return None
    return gpu.losses(ops.name, ops.first.given, f"cuda:{ops.device}", named(backend))


@in_default_environment
def smoothing(ops: Operands, label_smoothing: float) -> Numbers:
    if not _is_number(label_smoothing) or not 0 <= label_smoothing < 1:
        raise ValueError(f"{ops.name}: label_smoothing={label_smoothing!r} must be a number in [0, 1)")
    return Numbers(keep=1 - float(label_smoothing), floor=float(label_smoothing) / 2) if label_smoothing else Numbers()


def split_alpha(alpha: Any) -> tuple[Any, Any]:
    """A focal loss's alpha as a number, or as an array that is one of the operands."""
    return (alpha, None) if alpha is None or isinstance(alpha, str) or _is_number(alpha) else (None, alpha)


@in_default_environment
def focal(ops: Operands, alpha: Any, gamma: float) -> Numbers:
    if alpha is not None and (not _is_number(alpha) or not 0 <= alpha <= 1):
        raise ValueError(f"{ops.name}: alpha={alpha!r} must be a number in [0, 1] or an array of such, or None to weigh both classes alike")
    if not _is_number(gamma) or not 0 <= gamma <= 1000:
        raise ValueError(f"{ops.name}: gamma={gamma!r} must be a number in [0, 1000]; 0 is plain cross-entropy")
    head = float(np.float32(gamma)) if ops.code != dtypes.F64 else float(gamma)
    share = (1.0, 1.0) if alpha is None else (float(alpha), 1 - float(alpha))
    return Numbers(alpha=share[0], beta=share[1], gamma=head, gamma_lo=float(gamma) - head, whole=float(gamma == math.floor(gamma)))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


class Output(NamedTuple):
    """Where a pass writes (C-contiguous), what the caller gave for it, whether that is the same memory, and what a new result is like."""

    array: Array
    given: Any
    in_place: bool
    ops: Operands

    def finish(self) -> Any:
        """The result for the caller: written only now where a pass could not write into the caller's array itself. A new one lies in memory
        as the logits do."""
        if self.given is not None:
            if not self.in_place:
                arraylikes.store(self.given, self.array)
            return self.given
        logits = self.ops.inputs[0]
        assert logits is not None
        result = np.empty_like(logits, self.array.dtype, subok=False)
        if result.flags.c_contiguous:
            result = self.array
        else:
            result[...] = self.array
        return arraylikes.like(self.ops.logits, result)


def output(ops: Operands, argument: str, out: Any, others: tuple[Any, ...] = ()) -> Output:
    """A new array, or the caller's, checked; others are the call's outputs that it must not overlap."""
    if out is None:
        return Output(np.empty(ops.shape, ops.dtype), None, False, ops)
    array = _target(ops, argument, out, ops.shape)
    if array.dtype != ops.dtype:
        raise TypeError(f"{ops.name}: {argument} has dtype {array.dtype}; the result has dtype {ops.dtype}, that of {ops.first}")
    for other in others:
        if other is not None and _overlap(array, arraylikes.values(other).array):
            raise ValueError(f"{ops.name}: {argument} shares memory with another output; give each result an array of its own")
    if any(stride == 0 and length > 1 for stride, length in zip(array.strides, array.shape, strict=True)):
        raise ValueError(f"{ops.name}: {argument} is a broadcast view, whose elements share memory; give a full array")
    for name, operand in zip(ops.given, ops.inputs, strict=True):
        if operand is not None and _corrupts(array, operand):
            raise ValueError(f"{ops.name}: {argument} overlaps {name} but is not the same elements; give an array of its own")
    own_memory = arraylikes.library_for(out) in (None, arraylikes.SUBCLASS)
    in_place = own_memory and array.flags.c_contiguous and array.flags.aligned and array.dtype.isnative
    return Output(array if in_place else np.empty(ops.shape, ops.dtype), out, in_place, ops)


def _target(ops: Operands, argument: str, out: Any, shape: tuple[int, ...]) -> Array:
    """The array in which the elements of an output lie; one that is not the output itself is only to be looked at."""
    writable = arraylikes.writable(out)
    if writable is None:
        raise TypeError(f"{ops.name}: {argument} is {describe(out)}; give a NumPy array, Series, DataFrame or DataArray to write into")
    if not writable:
        raise ValueError(f"{ops.name}: {argument} is read-only; give a writable array")
    array = read_values(ops.name, argument, out).array
    if array.shape != shape:
        raise ValueError(f"{ops.name}: {argument} has shape {array.shape}; the result has shape {shape}")
    pairing.refuse_output_of_other_labels(ops.name, ops.given, argument, out)
    return array


def scalar_output(ops: Operands, out: Any) -> np.dtype[Any]:
    """The type of the caller's array for a reduced loss: of no dimensions, and of any float type, to which the exact sum is then
    rounded once."""
    dtype: np.dtype[Any] = _target(ops, "out", out, ()).dtype
    if dtypes.type_code(dtype) not in (dtypes.F16, dtypes.BF16, dtypes.F32, dtypes.F64):
        raise TypeError(f"{ops.name}: out has dtype {dtype}; give an array of float16, bfloat16, float32 or float64")
    return dtype


def _corrupts(out: Array, array: Array) -> bool:
    """Whether writing into out could change elements of array that are still to be read."""
    same = out.shape == array.shape and out.strides == array.strides and out.dtype == array.dtype
    if same and out.__array_interface__["data"][0] == array.__array_interface__["data"][0]:
        return False
    return _overlap(out, array)


def _overlap(a: Array, b: Array) -> bool:
    """Whether two arrays have a byte in common; True also where it would take long to tell."""
    if not np.may_share_memory(a, b):
        return False
    try:
        return bool(np.shares_memory(a, b, max_work=1000))  # type: ignore[arg-type]  # NumPy takes any limit; its stubs know two
    except np.exceptions.TooHardError:
        return True
