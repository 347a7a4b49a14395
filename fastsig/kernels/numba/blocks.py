"""The blocks of one pass as Numba functions: formulas and sums. Twin of ``cext/reduce_real.h``, ``exact_block.h`` and ``exact_sum.h``."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from fastsig.formulas.bce import bce
from fastsig.formulas.losses import (
    capped,
    counting,
    exp_of,
    exp_parts_far,
    exp_parts_up,
    focal_curve,
    focal_lesser_up,
    focal_log,
    focal_loss,
    focal_miss,
    focal_miss_rest,
    focal_power,
    focal_product,
    focal_share,
    focal_slope,
    focal_times,
    lesser_up,
    plain_loss,
    scaled,
    smoothed,
    unit_of,
    weighed_up,
    weighted,
    weighted_grad,
    weighted_hess,
    weighted_loss,
)
from fastsig.formulas.prims import absolute, add, bits, constants, fma, iadd, iand, isub, mul, select, sub, unbits
from fastsig.kernels.numba.cache import part
from fastsig.kernels.numba.gather import alone, load_store
from fastsig.kernels.numba.primitives import on_integers
from fastsig.kernels.plan import SUM_DIGITS, SUM_INF, SUM_NAN, SUM_NEG_INF, UNIT_LOG2

FILLED = 64
"""Zeros fill a block up to a multiple of so many elements: whole vectors, and loops that are unrolled."""


@cache
def logits_of(
    name: str, plain: bool, pos_weight: bool, want_loss: bool, want_grad: bool, want_hess: bool, mean: bool
) -> Callable[..., Any]:
    """One block; without positive weights what the two terms weigh adds up to the weight."""
    load, store = load_store(name)
    one = np.float32(1) if name == "f32" else np.float64(1)

    @part(name, plain, pos_weight, want_loss, want_grad, want_hess, mean)
    def logits(x, pos, miss, weight, l, g, h, n, s, s_lo):  # type: ignore[no-untyped-def]
        alone()
        for j in range(n):
            xj, pj = load(x, j), load(pos, j)
            mj = sub(1, pj) if plain else load(miss, j)
            both = one if plain else add(pj, mj) if pos_weight else load(weight, j)
            p, q, s_up = exp_parts_up(absolute(xj)) if plain else exp_parts_far(absolute(xj))
            z = exp_of(p, s_up)
            if want_loss:
                store(l, j, plain_loss(xj, z, pj, mj) if plain else weighted_loss(xj, z, pj, mj, both))
            if want_grad:
                d = weighted_grad(xj, lesser_up(q, s_up), pj, mj, both)
                store(g, j, scaled(d, s, s_lo) if mean else d)
            if want_hess:
                store(h, j, weighted_hess(lesser_up(q, s_up), both))

    result: Callable[..., Any] = logits
    return result


@cache
def terms_of(name: str) -> tuple[Any, Any]:
    """What the two terms weigh, without and with pos_weight."""
    load, store = load_store(name)

    @part(name)
    def terms(t, weight, pos, miss, n, keep, floor):  # type: ignore[no-untyped-def]
        alone()
        for j in range(n):
            w, tj = load(weight, j), load(t, j)
            store(miss, j, mul(w, smoothed(sub(1, tj), keep, floor)))
            store(pos, j, mul(w, smoothed(tj, keep, floor)))

    return terms, times_of(name)


@cache
def times_of(name: str) -> Any:
    load, store = load_store(name)

    @part(name)
    def times(v, by, n):  # type: ignore[no-untyped-def]
        alone()
        for j in range(n):
            store(v, j, mul(load(v, j), load(by, j)))

    return times


@cache
def masked_of(name: str) -> Any:
    """A masked element is one of weight 0 at x = t = 0."""
    load, store = load_store(name)

    @part(name)
    def masked(mask, source, to, n):  # type: ignore[no-untyped-def]
        alone()
        for j in range(n):
            store(to, j, select(load(mask, j) != 0, load(source, j), 0))

    return masked


@cache
def probabilities_of(name: str) -> Any:
    load, store = load_store(name)

    @part(name)
    def probabilities(p, t, weight, l, n):  # type: ignore[no-untyped-def]
        alone()
        for j in range(n):
            store(l, j, weighted(bce(load(p, j), load(t, j)), load(weight, j)))

    return probabilities


@cache
def focal_parts_of(name: str) -> tuple[Any, Any]:
    """What an element's value and derivatives are made of, to be multiplied by the share and by m^gamma; and that power for a gamma that
    is no whole number."""

    @part(name)
    def focal(x, t, weight, p, q, s, alpha, beta, gamma, whole_gamma):  # type: ignore[no-untyped-def]
        w_up, w_rest = focal_lesser_up(q, s)
        w = mul(w_up, constants(x).down)
        v, v_lo = focal_log(p, s, w)
        m = focal_miss(x, w, t)
        rest = focal_miss_rest(x, w, w_rest, t, m, v)
        more = mul(whole_gamma, rest)
        loss = focal_loss(x, t, v, v_lo, more)
        slope = focal_slope(x, w, w_rest, t, m, loss, gamma, add(more, rest))
        share = mul(weight, focal_share(t, alpha, beta))
        return v, v_lo, w_up, m, loss, slope, share, more

    @part(name)
    def raised(x, t, m, gamma, gamma_lo):  # type: ignore[no-untyped-def]
        p, _, s = exp_parts_up(absolute(x))
        return focal_power(x, exp_of(p, s), t, m, gamma, gamma_lo)

    return focal, raised


@cache
def focal_products_of(name: str) -> tuple[Any, Any]:
    """The power times m, and an array times the power."""
    load, store = load_store(name)

    @part(name)
    def multiply(m, p, p_lo, n):  # type: ignore[no-untyped-def]
        alone()
        for j in range(n):
            y, y_lo = focal_times(load(p, j), load(p_lo, j), load(m, j))
            store(p, j, y)
            store(p_lo, j, y_lo)

    @part(name)
    def finish(v, p, p_lo, n):  # type: ignore[no-untyped-def]
        alone()
        for j in range(n):
            store(v, j, focal_product(load(p, j), load(p_lo, j), load(v, j)))

    return multiply, finish


@cache
def focal_of(name: str) -> Any:
    load, store = load_store(name)
    parts, raised = focal_parts_of(name)
    multiply, finish = focal_products_of(name)
    zero = np.float32(0) if name == "f32" else np.float64(0)

    @part(name)
    def start(x, t, weight, m, p, p_lo, l, g, n, alpha, beta, gamma, whole_gamma):  # type: ignore[no-untyped-def]
        alone()
        for j in range(n):
            xj = load(x, j)
            e_p, e_q, e_s = exp_parts_up(absolute(xj))
            _, _, _, mj, loss, slope, share, _ = parts(xj, load(t, j), load(weight, j), e_p, e_q, e_s, alpha, beta, gamma, whole_gamma)
            store(m, j, mj)
            store(p, j, share)
            store(p_lo, j, zero)
            store(g, j, slope)
            store(l, j, counting(loss, share))

    @part(name)
    def power(x, t, m, p, p_lo, n, gamma, gamma_lo):  # type: ignore[no-untyped-def]
        alone()
        for j in range(n):
            y, y_lo = focal_times(load(p, j), zero, raised(load(x, j), load(t, j), load(m, j), gamma, gamma_lo))
            store(p, j, y)
            store(p_lo, j, y_lo)

    @part(name)
    def scale(g, n, s, s_lo):  # type: ignore[no-untyped-def]
        alone()
        for j in range(n):
            store(g, j, scaled(load(g, j), s, s_lo))

    @part(name)
    def focal(x, t, weight, m, p, p_lo, l, g, n, k):  # type: ignore[no-untyped-def]
        start(x, t, weight, m, p, p_lo, l, g, n, k[4], k[5], k[6], k[6] if k[8] != 0 else zero)
        if k[8] != 0:
            for _ in range(int(k[6])):
                multiply(m, p, p_lo, n)
        else:
            power(x, t, m, p, p_lo, n, k[6], k[7])
        finish(g, p, p_lo, n)
        finish(l, p, p_lo, n)
        if k[2] != 1:
            scale(g, n, k[2], k[3])

    return focal


@cache
def focal_derivatives_of(name: str) -> Any:
    load, store = load_store(name)
    parts, raised = focal_parts_of(name)
    multiply, finish = focal_products_of(name)
    zero = np.float32(0) if name == "f32" else np.float64(0)

    @part(name)
    def start(x, t, weight, m, p, p_lo, unit, g, h, n, alpha, beta, gamma, whole_gamma):  # type: ignore[no-untyped-def]
        alone()
        for j in range(n):
            xj, tj = load(x, j), load(t, j)
            e_p, e_q, e_s = exp_parts_far(absolute(xj))
            v, v_lo, w_up, mj, _, slope, share, more = parts(xj, tj, load(weight, j), e_p, e_q, e_s, alpha, beta, gamma, whole_gamma)
            loss = focal_loss(capped(xj), tj, v, v_lo, zero)
            curve = focal_curve(xj, exp_of(e_p, e_s), w_up, tj, mj, loss, gamma)
            store(m, j, mj)
            store(p, j, share)
            store(p_lo, j, zero)
            store(unit, j, unit_of(share))
            store(g, j, slope)
            store(h, j, weighed_up(fma(curve, more, curve), share))

    @part(name)
    def power(x, t, m, p, p_lo, h, n, gamma, gamma_lo):  # type: ignore[no-untyped-def]
        alone()
        for j in range(n):
            factor = raised(load(x, j), load(t, j), load(m, j), gamma, gamma_lo)
            y, y_lo = focal_times(load(p, j), zero, factor)
            store(p, j, y)
            store(p_lo, j, y_lo)
            store(h, j, mul(load(h, j), factor))

    times = times_of(name)

    @part(name)
    def derivatives(x, t, weight, m, p, p_lo, unit, g, h, n, k):  # type: ignore[no-untyped-def]
        start(x, t, weight, m, p, p_lo, unit, g, h, n, k[4], k[5], k[6], k[6] if k[8] != 0 else zero)
        if k[8] != 0:
            for _ in range(int(k[6])):
                multiply(m, p, p_lo, n)
                times(h, m, n)
        else:
            power(x, t, m, p, p_lo, h, n, k[6], k[7])
        finish(g, p, p_lo, n)
        times(h, unit, n)

    return derivatives


@cache
def alphas_of(name: str) -> Any:
    """The share of an alpha of each element into the weights."""
    load, store = load_store(name)

    @part(name)
    def alphas(t, weight, alpha, to, n):  # type: ignore[no-untyped-def]
        alone()
        for j in range(n):
            a = load(alpha, j)
            store(to, j, mul(load(weight, j), focal_share(load(t, j), a, sub(1, a))))

    return alphas


_or = on_integers("or_")


@part()
def exact_add_integer(total, k, at):  # type: ignore[no-untyped-def]
    """k * 2^(at - 1074) onto the digits of ``cext/exact_sum.h``."""
    digit, shift = at >> 5, at & 31
    low, high = (k & 0xFFFFFFFF) << shift, (k >> 32) << shift
    total[digit] += low & 0xFFFFFFFF
    total[digit + 1] += (low >> 32) + (high & 0xFFFFFFFF)
    total[digit + 2] += high >> 32


@part()
def exact_add(total, v):  # type: ignore[no-untyped-def]
    u = bits(v)
    e = (u >> 52) & 0x7FF
    m = u & 0xFFFFFFFFFFFFF
    if e == 0x7FF:
        total[SUM_NAN if m else SUM_NEG_INF if u < 0 else SUM_INF] += 1
        return
    whole = m | 1 << 52 if e else m
    exact_add_integer(total, -whole if u < 0 else whole, e - 1 if e else 0)


@part()
def exact_carry(total):  # type: ignore[no-untyped-def]
    """The same number with every digit but the last from 0 to 2^32 - 1."""
    for i in range(SUM_DIGITS - 1):
        total[i + 1] += total[i] >> 32
        total[i] &= 0xFFFFFFFF


@cache
def block_sum_of(name: str) -> Any:
    """block_sum(v, rest, width, total): the exact sum of at most 1,024 elements. Twin of ``cext/exact_block.h``, which explains it.

    ``width`` is a multiple of FILLED; what the folds left of each element is put into ``rest``.
    """
    load, store = load_store(name)
    single = name == "f32"
    real, whole = (np.float32, np.int32) if single else (np.float64, np.int64)
    mantissa, bias, at_most, grids = (23, 127, 20, (-11, -32, -53)) if single else (52, 1023, 51, (-41, -93, 0))
    least, magnitude, half = 1 - bias - mantissa, whole(np.iinfo(whole).max), 1 << (mantissa - 1)
    to_first, to_second, to_third = (real(math.ldexp(1.5, grid + mantissa)) for grid in grids)
    greatest, outside, zero = bits(real(math.ldexp(1.5, bias - 4))), at_most + single, whole(0)

    @part(name)
    def folded(v, rest, n):  # type: ignore[no-untyped-def]
        alone()
        first, second, third, seen, left = zero, zero, zero, zero, zero
        for j in range(n):
            value = load(v, j)
            t = add(value, to_first)
            r = sub(value, sub(t, to_first))
            multiple = isub(bits(t), bits(to_first))
            first, seen = iadd(first, multiple), _or(seen, multiple)
            t = add(r, to_second)
            r = sub(r, sub(t, to_second))
            second = iadd(second, isub(bits(t), bits(to_second)))
            if single:
                t = add(r, to_third)
                r = sub(r, sub(t, to_third))
                third = iadd(third, isub(bits(t), bits(to_third)))
            store(rest, j, r)
            left = _or(left, bits(r))
        return first, second, third, seen, left

    @part(name)
    def folded_once(v, n, rounding):  # type: ignore[no-untyped-def]
        alone()
        multiples, left = zero, zero
        for j in range(n):
            value = load(v, j)
            t = add(value, rounding)
            r = sub(value, sub(t, rounding))
            multiples = iadd(multiples, isub(bits(t), bits(rounding)))
            store(v, j, r)
            left = _or(left, bits(r))
        return multiples, left

    @part(name)
    def add_any(v, n, total):  # type: ignore[no-untyped-def]
        most = zero
        for j in range(n):
            a = iand(bits(v[j]), magnitude)
            if a > greatest:
                exact_add(total, np.float64(v[j]))
                v[j] = 0
            else:
                most = max(most, a)
        left = most != 0
        grid = max(np.int64(most) >> mantissa, 1) - bias + 1 - at_most
        while left:
            grid = max(grid, least)
            rounding = unbits(whole((grid + mantissa + bias) << mantissa | half))
            multiples, rest = folded_once(v, n, rounding)
            left = iand(rest, magnitude) != 0
            exact_add_integer(total, np.int64(multiples), grid + UNIT_LOG2)
            grid -= at_most + 1
        exact_carry(total)

    @part(name)
    def block_sum(v, rest, width, total):  # type: ignore[no-untyped-def]
        first, second, third, seen, left = folded(v, rest, width)
        if seen < 0 or np.int64(seen) >> outside:
            add_any(v, width, total)
            return
        exact_add_integer(total, np.int64(first), grids[0] + UNIT_LOG2)
        exact_add_integer(total, np.int64(second), grids[1] + UNIT_LOG2)
        if single:
            exact_add_integer(total, np.int64(third), grids[2] + UNIT_LOG2)
        if iand(left, magnitude):
            add_any(rest, width, total)

    return block_sum
