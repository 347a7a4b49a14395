"""What the losses share: operands made readable and checked, outputs made or checked, and a pass run on a backend's threads."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from . import arrays, dispatch, gpu, plans
from .backends import threads as sharing
from .backends.limits import thread_limit
from .exact import Total
from .plans import Array
from .thresholds import HAND_OVER, LOSS_ELEMENTS

NOTHING = (None, None, None)
_TAKEN = "float16, bfloat16, float32, float64, bool and integers"
_OUTSIDE = {
    plans.BAD_TARGET: "targets must lie in [0, 1] and not be NaN; clip them, mask them out with mask=, or skip this look with check=False",
    plans.BAD_PROBABILITY: "probs must lie in [0, 1] and not be NaN; for logits call bce_with_logits, or skip this look with check=False",
    plans.BAD_WEIGHT: "weight must be finite and not negative; use 0 (or mask=) for elements that shall not count",
    plans.BAD_POS_WEIGHT: "pos_weight must be finite and not negative; 1 leaves the positive term as it is",
}


class Operands(NamedTuple):
    """Readable arrays that broadcast to ``shape``; ``dtype`` is the logits' and the results', ``code`` its number in a plan."""

    name: str
    inputs: tuple[Array | None, Array | None, Array | None, Array | None, Array | None]
    """In the order of ``plans.INPUTS``."""
    shape: tuple[int, ...]
    size: int
    dtype: np.dtype[Any]
    code: int

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

    def looks(self, formula: int, check: bool) -> int:
        if not check:
            return 0
        _, _, weight, pos_weight, _ = self.inputs
        looks = plans.BAD_TARGET | (plans.BAD_PROBABILITY if formula == plans.PROBABILITIES else 0)
        return looks | (0 if weight is None else plans.BAD_WEIGHT) | (0 if pos_weight is None else plans.BAD_POS_WEIGHT)


def _readable(function: str, argument: str, value: Any) -> Array:
    array = value if type(value) is np.ndarray else np.asarray(value)
    if "numpy.ma" in sys.modules and np.ma.is_masked(value):
        raise TypeError(f"{function}: {argument} is a masked array; give its .data, and mask=~np.ma.getmaskarray({argument})")
    if plans.type_code(array.dtype) is None:
        raise TypeError(f"{function}: {argument} ({arrays.describe(value)}) has dtype {array.dtype}; convert it to one of {_TAKEN}")
    return plans.readable(array)


def operands(function: str, first: str, x: Any, targets: Any, weight: Any, pos_weight: Any, mask: Any) -> Any:
    """The call's arrays, converted only where no kernel can read them in place; those of a GPU as its backend describes them."""
    given = {first: x, "targets": targets, "weight": weight, "pos_weight": pos_weight, "mask": mask}
    device = arrays.common_device(**given)
    if device != "cpu":
        return gpu.losses(function, x, device, None).operands(function, first, tuple(given.values()))
    xs = _readable(function, first, x)
    if xs.dtype.kind in "bui":
        xs = xs.astype(np.exp(np.zeros((), xs.dtype)).dtype)
    ts = _readable(function, "targets", targets)
    shapes = {first: xs.shape, "targets": ts.shape}
    extras: list[Array | None] = []
    for argument, value in (("weight", weight), ("pos_weight", pos_weight), ("mask", mask)):
        extra = None if value is None else _readable(function, argument, value)
        if extra is not None and argument == "mask" and extra.dtype != np.bool_:
            raise TypeError(f"{function}: mask has dtype {extra.dtype}; give booleans, such as mask.astype(bool) or mask != 0")
        if extra is not None:
            shapes[argument] = extra.shape
        extras.append(extra)
    shape = plans.elements_shape(function, shapes)
    code = plans.type_code(xs.dtype)
    assert code is not None
    size = 1
    for length in shape:
        size *= length
    return Operands(function, (xs, ts, extras[0], extras[1], extras[2]), shape, size, xs.dtype, code)


def on_gpu(ops: Any, backend: str | None) -> Any:
    """The backend's losses for arrays of a GPU, None for arrays of the host."""
    if isinstance(ops, Operands):
        return None
    return gpu.losses(ops.name, ops.first.given, f"cuda:{ops.device}", dispatch.named(backend))


class Output(NamedTuple):
    """Where a pass writes (C-contiguous), and the caller's array where that is another one."""

    array: Array
    given: Array | None

    def finish(self) -> Any:
        """The result for the caller: written only now where a pass could not write into the caller's array itself."""
        if self.given is not None and self.given is not self.array:
            self.given[...] = self.array
        result = self.array if self.given is None else self.given
        return result[()] if result.ndim == 0 and self.given is None else result


def output(ops: Operands, argument: str, out: Any, others: tuple[Any, ...] = ()) -> Output:
    """A new array, or the caller's, checked; others are the call's outputs that it must not overlap."""
    if out is None:
        return Output(np.empty(ops.shape, ops.dtype), None)
    _check_out(ops, argument, out, ops.shape)
    if out.dtype != ops.dtype:
        raise TypeError(f"{ops.name}: {argument} has dtype {out.dtype}; the result has dtype {ops.dtype}, that of the logits")
    for other in others:
        if other is not None and _overlap(out, other):
            raise ValueError(f"{ops.name}: {argument} shares memory with another output; give each result an array of its own")
    if any(stride == 0 and length > 1 for stride, length in zip(out.strides, out.shape, strict=True)):
        raise ValueError(f"{ops.name}: {argument} is a broadcast view, whose elements share memory; give a full array")
    for name, array in zip(plans.INPUTS, ops.inputs, strict=True):
        if array is not None and _corrupts(out, array):
            raise ValueError(f"{ops.name}: {argument} overlaps {name} but is not the same elements; give an array of its own")
    in_place = out.flags.c_contiguous and out.flags.aligned and out.dtype.isnative
    return Output(out if in_place else np.empty(ops.shape, ops.dtype), out)


def _check_out(ops: Operands, argument: str, out: Any, shape: tuple[int, ...]) -> None:
    if not isinstance(out, np.ndarray):
        raise TypeError(f"{ops.name}: {argument} is {arrays.describe(out)}; give a NumPy array to write into")
    if not out.flags.writeable:
        raise ValueError(f"{ops.name}: {argument} is read-only; give a writable array")
    if out.shape != shape:
        raise ValueError(f"{ops.name}: {argument} has shape {out.shape}; the result has shape {shape}")


def scalar_output(ops: Operands, out: Any) -> None:
    """The array for a reduced loss: of no dimensions, and of any float type, to which the exact sum is then rounded once."""
    _check_out(ops, "out", out, ())
    if plans.type_code(out.dtype) not in (plans.F16, plans.BF16, plans.F32, plans.F64):
        raise TypeError(f"{ops.name}: out has dtype {out.dtype}; give an array of float16, bfloat16, float32 or float64")


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


Pass = Callable[[Array, plans.Numbers, int, int], tuple[int, list[Array]]]


def _on_c(plan: Array, numbers: plans.Numbers, size: int, threads: int) -> tuple[int, list[Array]]:
    from .backends import c

    total = np.zeros(plans.SUM_WORDS, np.int64)
    return c.reduce_all(plan, numbers, threads, total), [total]


def _on_numba(plan: Array, numbers: plans.Numbers, size: int, threads: int) -> tuple[int, list[Array]]:
    from .backends import numba_reduce

    totals: list[Array] = []
    found: list[int] = []

    def work(piece: slice) -> None:
        total = np.zeros(plans.SUM_WORDS, np.int64)
        found.append(numba_reduce.reduce(plan, numbers, piece.start, piece.stop, total))
        totals.append(total)

    sharing.over_pieces(work, size, threads)
    return functools.reduce(int.__or__, found), totals


_PASSES: dict[str, Pass] = {"c": _on_c, "numba": _on_numba}
"""What was bad about the input, and sums whose sum is the pass's."""


def run(
    ops: Operands, formula: int, numbers: plans.Numbers, outputs: tuple[Array | None, ...],
    *, looks: int, summed: bool, backend: str | None, threads: int | None,
) -> Total:  # fmt: skip
    """One pass; the sum of the losses where it was asked for. ValueError where a look found bad input."""
    chosen = dispatch.named(backend)
    if chosen == "cuda":
        raise RuntimeError(f"{ops.name}: backend='cuda' computes on arrays of an NVIDIA GPU; these are in host memory")
    limit = thread_limit(threads)
    serves = chosen or dispatch.host_backend()
    least = LOSS_ELEMENTS * (HAND_OVER if serves == "numba" and threads is None else 1)
    choice = dispatch.choose("cpu", ops.size, ops.dtype, {serves}, limit, least)
    largest = max(0 if out is None else out.nbytes for out in outputs)
    plan = plans.make(
        formula, ops.code, ops.shape, ops.inputs, outputs, check=looks, summed=summed, stream=largest >= dispatch.stream_bytes()
    )  # fmt: skip
    bad = 0
    totals: list[Array] = []
    if ops.size:
        bad, totals = _PASSES[choice.backend](plan, numbers, ops.size, 1 if sharing.inside_worker() else choice.threads)
    for kind, message in _OUTSIDE.items():
        if bad & kind:
            raise ValueError(f"{ops.name}: {message}")
    result = Total()
    if summed:
        for total in totals:
            result += Total.of(total)
    return result


def _seen(ops: Operands, *slots: int) -> Operands:
    """Only these of the inputs, so that a pass for them reads no others."""
    inputs = [array if i in slots else None for i, array in enumerate(ops.inputs)]
    return ops._replace(inputs=tuple(inputs))  # type: ignore[arg-type]


def look_first(ops: Operands, formula: int, check: bool, backend: str | None, threads: int | None) -> None:
    """The looks alone, for a call that writes into the caller's arrays: these must stay as they are where the input is bad."""
    looks = ops.looks(formula, check)
    if looks:
        seen = ops if formula == plans.PROBABILITIES else _seen(ops, 1, 2, 3, 4)
        run(seen, plans.WEIGHTS, plans.Numbers(), NOTHING, looks=looks, summed=False, backend=backend, threads=threads)


def total_weight(ops: Operands, looks: int, backend: str | None, threads: int | None) -> Total:
    """The exact sum of the weights that count."""
    seen = _seen(ops, 2, 4)
    return run(
        seen, plans.WEIGHTS, plans.Numbers(), NOTHING, looks=looks & plans.BAD_WEIGHT, summed=True, backend=backend, threads=threads
    )  # fmt: skip
