"""The losses' straight way into the C library (``cext/python/losses.c``), which takes what needs no refusal and no other backend."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastsig.arrays import arraylikes
from fastsig.arrays.devices import interop_of, interop_of_host_tensor, lazy_library_of, library_of
from fastsig.arrays.dtypes import Array
from fastsig.dispatch import choice, gpu
from fastsig.dispatch.availability import FROM_ENVIRONMENT, straight
from fastsig.dispatch.thresholds import LOSS_ELEMENTS
from fastsig.kernels.plan import FOCAL, LOGITS, WITH_HESS

quick_loss, quick_sums = straight("quick_loss"), straight("quick_sums")

_REDUCTIONS = {"none": 0, "sum": 1, "mean": 2, "weighted_mean": 3}
"""What the C library calls each of these."""

_FEW = -LOSS_ELEMENTS
"""Tells the C library: one thread, and of more elements than this leave the call alone."""


def quick(
    formula: int, reduction: str, wanted: int, check: bool, operands: tuple[Any, Any, Any, Any, Any],
    backend: str | None, threads: int | None, out: Any = None, grad_out: Any = None, hess_out: Any = None,
    *, label_smoothing: float = 0.0, alpha: float | None = None, gamma: float = 0.0,
) -> Any:  # fmt: skip
    """The result in one step, or NotImplemented: then the general way computes the same bits, or says what is wrong. It costs forty
    times as much a call."""
    kind = type(operands[0])
    if kind is not np.ndarray and kind is not list:
        tensors = interop_of_host_tensor(operands[0])
        if tensors is not None:
            numbers: dict[str, Any] = {"label_smoothing": label_smoothing, "alpha": alpha, "gamma": gamma}
            outs = (out, grad_out, hess_out)
            return tensors.loss_of_tensors(formula, wanted, operands, reduction, check, *outs, backend, threads, **numbers)
        if library_of(operands[0]) == "torch" and getattr(operands[0], "is_cuda", False):
            plain = (
                type(label_smoothing) in (int, float)
                and not label_smoothing
                and formula != FOCAL
                and backend is None
                and threads is None
                and FROM_ENVIRONMENT is None
            )
            if not plain or type(reduction) is not str or type(check) is not bool:
                return NotImplemented
            given = (out,) if not wanted else (grad_out, hess_out) if wanted & WITH_HESS else (out, grad_out)
            return gpu.loss_again(formula, reduction, check, (*operands, *given), wanted)
    code = _REDUCTIONS.get(reduction) if quick_loss is not None and type(reduction) is str else None
    if code is not None and (backend is None or backend == "c") and (threads is None or (type(threads) is int and threads > 0)):
        x, t, w, fourth, mask = operands
        count = _FEW if kind is not np.ndarray or x.size < LOSS_ELEMENTS else loss_threads(x, threads)
        result = quick_loss(
            formula, code + wanted, check, count, x, t, w, fourth, mask, label_smoothing, alpha, gamma, out, grad_out, hess_out
        )
        if result is not NotImplemented:
            return result
        arrays = arraylikes.plain_arrays(operands)
        if arrays is not None:
            count = loss_threads(arrays[0], threads)
            result = quick_loss(formula, code + wanted, check, count, *arrays, label_smoothing, alpha, gamma, out, grad_out, hess_out)
            if result is NotImplemented or arrays[0] is operands[0]:
                return result
            given = (grad_out, hess_out) if wanted & WITH_HESS else (out, grad_out)
            return _like(operands[0], result, wanted, code == _REDUCTIONS["none"], given)
    lazy = lazy_library_of(*operands)
    if lazy is None:
        return NotImplemented
    options = {"label_smoothing": label_smoothing, "alpha": alpha, "gamma": gamma}
    results = {"out": out, "grad_out": grad_out, "hess_out": hess_out}
    return interop_of(lazy).loss(formula, wanted, operands, reduction, check, results, backend, threads, options)


def add_sums(
    words: Array, check: bool, operands: tuple[Any, Any, Any, Any, Any], label_smoothing: float, backend: str | None, threads: int | None
) -> Any:
    """Sums of losses and of weights in one step onto the two rows of words: how many elements count, and the type of the losses; or
    NotImplemented, as above."""
    kind = type(operands[0])
    if (
        quick_sums is None
        or (kind is not np.ndarray and kind is not list)
        or (backend is not None and backend != "c")
        or (threads is not None and (type(threads) is not int or threads < 1))
    ):
        return NotImplemented
    count = _FEW if kind is list else loss_threads(operands[0], threads)
    return quick_sums(LOGITS, _REDUCTIONS["sum"], check, count, *operands, label_smoothing, None, 0.0, words, None, None)


def _like(logits: Any, result: Any, wanted: int, elementwise: bool, given: tuple[Any, Any]) -> Any:
    """The results of plain arrays as objects like the logits, but for what the caller gave to write into."""
    parts = result if wanted else (result,)
    reduced = (not elementwise, False)
    made = tuple(
        part if out is not None else arraylikes.scalar(logits, part) if single else arraylikes.like(logits, np.asarray(part))
        for part, single, out in zip(parts, reduced, given, strict=False)
    )
    return made if wanted else made[0]


def loss_threads(logits: Any, threads: int | None) -> int:
    """The threads for a loss of these logits, as the C library is told."""
    if type(logits) is not np.ndarray or logits.size < LOSS_ELEMENTS:
        return _FEW
    return choice.of_loss("bce_with_logits", logits.dtype, logits.size, backend=None, threads=threads).threads
