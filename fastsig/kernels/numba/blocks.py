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
    exp_far,
    exp_up,
    focal_curve,
    focal_miss,
    focal_power,
    focal_share,
    focal_slope,
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
from fastsig.formulas.prims import absolute, add, bits, constants, iadd, iand, isub, mul, select, sub, unbits
from fastsig.kernels.numba.cache import part
from fastsig.kernels.numba.gather import alone, load_store
from fastsig.kernels.numba.primitives import _on_integers
from fastsig.kernels.plan import SUM_DIGITS, SUM_INF, SUM_NAN, SUM_NEG_INF, UNIT_LOG2

FILLED = 64
"""Zeros fill a block up to a multiple of so many elements: whole vectors, and loops that are unrolled."""


@cache
def logits_of(name: str, plain: bool, want_loss: bool, want_grad: bool, want_hess: bool, mean: bool) -> Callable[..., Any]:
    load, store = load_store(name)
    one = np.float32(1) if name == "f32" else np.float64(1)

    @part(name, plain, want_loss, want_grad, want_hess, mean)
    def logits(x, pos, miss, l, g, h, n, s, s_lo):  # type: ignore[no-untyped-def]
        alone()
        for j in range(n):
            xj, pj = load(x, j), load(pos, j)
            mj = sub(1, pj) if plain else load(miss, j)
            both = one if plain else add(pj, mj)
            z = exp_up(absolute(xj))
            if want_loss:
                store(l, j, plain_loss(xj, z, pj, mj) if plain else weighted_loss(xj, z, pj, mj, both))
            if want_grad:
                d = weighted_grad(xj, lesser_up(z), pj, mj, both)
                store(g, j, scaled(d, s, s_lo) if mean else d)
            if want_hess:
                store(h, j, weighted_hess(lesser_up(z), both))

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
def focal_of(name: str) -> Any:
    load, store = load_store(name)

    @part(name)
    def start(x, t, weight, m, l, g, n, alpha, beta, gamma):  # type: ignore[no-untyped-def]
        alone()
        for j in range(n):
            xj, tj = load(x, j), load(t, j)
            z = exp_up(absolute(xj))
            w = mul(lesser_up(z), constants(z).down)
            loss = plain_loss(xj, z, tj, sub(1, tj))
            share = mul(load(weight, j), focal_share(tj, alpha, beta))
            mj = focal_miss(xj, w, tj)
            store(m, j, mj)
            store(g, j, mul(share, focal_slope(xj, w, tj, mj, loss, gamma)))
            store(l, j, weighted(loss, share))

    @part(name)
    def raised(x, t, m, l, g, n, gamma, gamma_lo):  # type: ignore[no-untyped-def]
        alone()
        for j in range(n):
            power = focal_power(load(x, j), exp_up(absolute(load(x, j))), load(t, j), load(m, j), gamma, gamma_lo)
            store(g, j, mul(load(g, j), power))
            store(l, j, weighted(load(l, j), power))

    @part(name)
    def multiply(m, l, g, n):  # type: ignore[no-untyped-def]
        alone()
        for j in range(n):
            store(g, j, mul(load(g, j), load(m, j)))
            store(l, j, weighted(load(l, j), load(m, j)))

    @part(name)
    def scale(g, n, s, s_lo):  # type: ignore[no-untyped-def]
        alone()
        for j in range(n):
            store(g, j, scaled(load(g, j), s, s_lo))

    @part(name)
    def focal(x, t, weight, m, l, g, n, k):  # type: ignore[no-untyped-def]
        start(x, t, weight, m, l, g, n, k[4], k[5], k[6])
        if k[8] != 0:
            for _ in range(int(k[6])):
                multiply(m, l, g, n)
        else:
            raised(x, t, m, l, g, n, k[6], k[7])
        if k[2] != 1:
            scale(g, n, k[2], k[3])

    return focal


@cache
def focal_derivatives_of(name: str) -> Any:
    load, store = load_store(name)

    @part(name)
    def start(x, t, weight, m, unit, g, h, n, alpha, beta, gamma):  # type: ignore[no-untyped-def]
        alone()
        for j in range(n):
            xj, tj = load(x, j), load(t, j)
            z = exp_far(absolute(xj))
            w = lesser_up(z)
            loss = plain_loss(capped(xj), z, tj, sub(1, tj))
            share = mul(load(weight, j), focal_share(tj, alpha, beta))
            miss = focal_miss(xj, mul(w, constants(z).down), tj)
            store(m, j, miss)
            store(unit, j, unit_of(share))
            store(g, j, mul(share, focal_slope(xj, mul(w, constants(z).down), tj, miss, loss, gamma)))
            store(h, j, weighed_up(focal_curve(xj, z, w, tj, miss, loss, gamma), share))

    @part(name)
    def raised(x, t, m, unit, g, h, n, gamma, gamma_lo):  # type: ignore[no-untyped-def]
        alone()
        for j in range(n):
            power = focal_power(load(x, j), exp_up(absolute(load(x, j))), load(t, j), load(m, j), gamma, gamma_lo)
            store(g, j, mul(load(g, j), power))
            store(h, j, mul(mul(load(h, j), power), load(unit, j)))

    times = times_of(name)

    @part(name)
    def derivatives(x, t, weight, m, unit, g, h, n, k):  # type: ignore[no-untyped-def]
        start(x, t, weight, m, unit, g, h, n, k[4], k[5], k[6])
        if k[8] != 0:
            for _ in range(int(k[6])):
                times(g, m, n)
                times(h, m, n)
            times(h, unit, n)
        else:
            raised(x, t, m, unit, g, h, n, k[6], k[7])

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


_or = _on_integers("or_")


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
