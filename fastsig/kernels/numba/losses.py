"""The losses of the Numba backend: one pass over a plan, compiled when first needed and cached on disk. Twin of ``cext/reduce.c``."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numba import types

from fastsig.arrays.dtypes import F16, F64, Array
from fastsig.kernels import plan as plans
from fastsig.kernels.numba import blocks
from fastsig.kernels.numba import gather as gathering
from fastsig.kernels.numba.cache import kernel, part
from fastsig.kernels.numba.environment import enter_default, leave_default
from fastsig.kernels.plan import BLOCK, FOCAL, LOGITS, PROBABILITIES, SUM_WORDS, Numbers
from fastsig.system import first_calls, thread_pool

_BUFFERS = 9
_HEAD, _STEP = plans.HEADER, plans.SOURCE
_BAD = (plans.BAD_TARGET, plans.BAD_PROBABILITY, plans.BAD_WEIGHT, plans.BAD_POS_WEIGHT, plans.BAD_ALPHA)


def _put(dtype: int, name: str) -> Any:
    """put(out, start, v, n): a block's results into an output of half width."""
    load = gathering.load_store(name)[0]
    store = gathering.load_store("f16" if dtype == F16 else "bf16")[1]
    pointer = gathering.pointer_to(types.uint16)

    @part(dtype)
    def put(out, start, v, n):  # type: ignore[no-untyped-def]
        gathering.alone()
        to = pointer(out + start * 2)
        for j in range(n):
            store(to, j, np.float32(load(v, j)))

    return put


def _build(formula: int, dtype: int, plain: bool, pos_weight: bool, loss: bool, grad: bool, hess: bool, mean: bool) -> Any:
    name = "f64" if dtype == F64 else "f32"
    real = gathering.REAL[name]
    cast = np.float64 if dtype == F64 else np.float32
    size, narrow = real.bitwidth // 8, dtype < plans.F32
    pointer = gathering.pointer_to(real)
    gather, outside, masked = gathering.gather_of(name), gathering.outside_of(name), blocks.masked_of(name)
    terms, times = blocks.terms_of(name)
    logits = blocks.logits_of(name, plain, pos_weight, loss, grad, hess, mean)
    probabilities, alphas = blocks.probabilities_of(name), blocks.alphas_of(name)
    focal, focal_derivatives = blocks.focal_of(name), blocks.focal_derivatives_of(name)
    block_sum, filled, put = blocks.block_sum_of(name), blocks.FILLED, _put(dtype, name)
    one, greatest = cast(1), cast(np.finfo(cast).max)
    is_logits, is_probabilities, is_focal = formula == LOGITS, formula == PROBABILITIES, formula == FOCAL
    bad_target, bad_probability, bad_weight, bad_pos_weight, bad_alpha = _BAD
    key = (formula, dtype, plain, pos_weight, loss, grad, hess, mean)

    @part(name)
    def fetch(plan, i, start, count, to):  # type: ignore[no-untyped-def]
        at = _HEAD + _STEP * i
        if plan[at + 2]:
            return pointer(plan[at] + start * size)
        gather(plan, at, start, count, to)
        return pointer(to)

    @part(name, narrow)
    def target(plan, i, start, buffer):  # type: ignore[no-untyped-def]
        out = plan[6 + i]
        if narrow or out == 0:
            return pointer(buffer)
        return pointer(out + start * size)

    signature = types.int64(types.int64[::1], types.float64[::1], types.int64, types.int64, types.int64[::1], types.int64)

    def reduce(plan, numbers, start, stop, total, scratch):  # type: ignore[no-untyped-def]
        callers = enter_default()
        k = (
            cast(numbers[0]), cast(numbers[1]), cast(numbers[2]), cast(numbers[3]), cast(numbers[4]),
            cast(numbers[5]), cast(numbers[6]), cast(numbers[7]), cast(numbers[8]),
        )  # fmt: skip
        check, summed = plan[2], plan[3]
        has_weight, has_pos, has_mask = plan[_HEAD + 2 * _STEP + 1] >= 0, plan[_HEAD + 3 * _STEP + 1] >= 0, plan[_HEAD + 4 * _STEP + 1] >= 0
        step = BLOCK * 8
        xs, ts, ws, ps, ms = scratch, scratch + step, scratch + 2 * step, scratch + 3 * step, scratch + 4 * step
        ls, gs, hs = scratch + 5 * step, scratch + 6 * step, scratch + 7 * step
        unused = pointer(scratch + 8 * step)
        violations = 0
        for at in range(start, stop, BLOCK):
            n = min(stop - at, BLOCK)
            x, t, weight, pos_weight = pointer(xs), pointer(ts), pointer(ws), pointer(ps)
            if plan[_HEAD + 1] >= 0:
                x = fetch(plan, 0, at, n, xs)
            if plan[_HEAD + _STEP + 1] >= 0:
                t = fetch(plan, 1, at, n, ts)
            if has_weight:
                weight = fetch(plan, 2, at, n, ws)
            elif not plain:
                for j in range(n):
                    weight[j] = one
            if has_pos:
                pos_weight = fetch(plan, 3, at, n, ps)
            if has_mask:
                gather(plan, _HEAD + 4 * _STEP, at, n, ms)
                masked(pointer(ms), x, pointer(xs), n)
                masked(pointer(ms), t, pointer(ts), n)
                masked(pointer(ms), weight, pointer(ws), n)
                x, t, weight = pointer(xs), pointer(ts), pointer(ws)
            if check & bad_target and outside(t, n, one):
                violations |= bad_target
            if check & bad_probability and outside(x, n, one):
                violations |= bad_probability
            if check & bad_weight and outside(weight, n, greatest):
                violations |= bad_weight
            if check & bad_pos_weight and outside(pos_weight, n, greatest):
                violations |= bad_pos_weight
            if check & bad_alpha and outside(pos_weight, n, one):
                violations |= bad_alpha
            l = pointer(ls) if summed else target(plan, 0, at, ls)
            g, h = target(plan, 1, at, gs), target(plan, 2, at, hs)
            if is_logits:
                if plain:
                    logits(x, t, t, t, l, g, h, n, k[2], k[3])
                else:
                    terms(t, weight, pointer(ts), pointer(ms), n, k[0], k[1])
                    if has_pos:
                        times(pointer(ts), pos_weight, n)
                    logits(x, pointer(ts), pointer(ms), weight, l, g, h, n, k[2], k[3])
            elif is_probabilities:
                probabilities(x, t, weight, l, n)
            elif is_focal:
                if not k[8]:  # this formula reads again what its results may have replaced
                    kept_x, kept_t = pointer(xs), pointer(ts)
                    for j in range(n):
                        kept_x[j], kept_t[j] = x[j], t[j]
                    x, t = kept_x, kept_t
                if has_pos:  # alpha of each element
                    alphas(t, weight, pos_weight, pointer(ws), n)
                    weight = pointer(ws)
                if hess:
                    focal_derivatives(x, t, weight, unused, pointer(ps), pointer(ls), pointer(ms), g, h, n, k)
                else:
                    focal(x, t, weight, unused, pointer(ps), pointer(hs), l, g, n, k)
            elif summed:
                for j in range(n):
                    l[j] = weight[j]
            if narrow:
                if plan[6]:
                    put(plan[6], at, l, n)
                if plan[7]:
                    put(plan[7], at, g, n)
                if plan[8]:
                    put(plan[8], at, h, n)
            if summed:
                width = -(-n // filled) * filled
                for j in range(n, width):
                    l[j] = 0
                block_sum(l, unused, width, total)
        leave_default(callers)
        return violations

    return kernel(reduce, signature, *key)


_kernels: dict[tuple[Any, ...], Any] = {}


def _kernel(plan: Array, numbers: Numbers) -> Any:
    """The compiled pass for such a plan; compiled at its first use, or taken from the cache on disk."""
    formula, dtype = int(plan[plans.FORMULA_AT]), int(plan[plans.DTYPE_AT])
    key: tuple[Any, ...] = (formula, dtype, False, False, True, False, False, False)
    if formula == LOGITS:
        plain = all(plan[_HEAD + _STEP * i + 1] < 0 for i in (2, 3, 4)) and numbers.floor == 0
        grad, hess = bool(plan[plans.OUT_AT + 1]), bool(plan[plans.OUT_AT + 2])
        pos_weight = bool(plan[_HEAD + _STEP * 3 + 1] >= 0)
        key = (formula, dtype, plain, pos_weight, bool(plan[plans.SUM_AT] or plan[plans.OUT_AT]), grad, hess, grad and numbers.scale != 1)
    elif formula == FOCAL:
        key = (formula, dtype, False, False, True, False, bool(plan[plans.OUT_AT + 2]), False)
    found = _kernels.get(key)
    if found is None:
        with first_calls.LOCK:
            found = _kernels.get(key)
            if found is None:
                found = _kernels[key] = _build(*key)
    return found


def reduce_all(plan: Array, numbers: Numbers, size: int, threads: int, alive: object) -> tuple[int, list[Array]]:
    """All elements of the plan on so many of Python's threads: what was bad about the input, and sums whose sum is the pass's.

    ``alive`` is what must outlive the threads: the arrays that the plan knows by their addresses.
    """
    over_elements, given = _kernel(plan, numbers), np.array(numbers, dtype=np.float64)
    totals: list[Array] = []
    found: list[int] = []

    def work(piece: slice, held: object = alive) -> None:
        total, scratch = np.zeros(SUM_WORDS, np.int64), np.empty(_BUFFERS * BLOCK + 8)
        found.append(int(over_elements(plan, given, piece.start, piece.stop, total, scratch.ctypes.data)))
        totals.append(total)

    thread_pool.over_pieces(work, size, threads)
    return functools.reduce(int.__or__, found), totals
