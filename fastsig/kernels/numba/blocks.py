"""The blocks of one pass as Numba functions: formulas and sums. Twin of ``cext/reduce_real.h`` and ``exact_sum.h``."""

from __future__ import annotations

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
from fastsig.formulas.prims import absolute, add, bits, constants, mul, select, sub
from fastsig.kernels.numba.cache import part
from fastsig.kernels.numba.gather import alone, load_store
from fastsig.kernels.plan import BLOCK, SUM_INF, SUM_NAN, SUM_NEG_INF


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


@part()
def exact_add(total, v):  # type: ignore[no-untyped-def]
    """The double v onto the digits of ``cext/exact_sum.h``."""
    u = bits(v)
    e = (u >> 52) & 0x7FF
    m = u & 0xFFFFFFFFFFFFF
    if e == 0x7FF:
        total[SUM_NAN if m else SUM_NEG_INF if u < 0 else SUM_INF] += 1
        return
    if e:
        m |= 1 << 52
    at = e - 1 if e else 0
    digit, shift = at >> 5, at & 31
    low, high = (m & 0xFFFFFFFF) << shift, (m >> 32) << shift
    sign = -1 if u < 0 else 1
    total[digit] += sign * (low & 0xFFFFFFFF)
    total[digit + 1] += sign * ((low >> 32) + (high & 0xFFFFFFFF))
    total[digit + 2] += sign * (high >> 32)


@cache
def block_sum_of(name: str) -> Any:
    """block_sum(v, h, e): the sum of 1,024 elements by halving, and of its rounding errors where the type is float64."""
    load, store = load_store("f64")
    half_block = BLOCK // 2

    @part(name)
    def widen(v, h):  # type: ignore[no-untyped-def]
        alone()
        for j in range(half_block):
            h[j] = np.float64(v[j]) + np.float64(v[j + half_block])

    @part(name)
    def fold(h, half):  # type: ignore[no-untyped-def]
        alone()
        for j in range(half):
            store(h, j, add(load(h, j), load(h, j + half)))

    @part(name)
    def fold_with_errors(v, h, e, half, first):  # type: ignore[no-untyped-def]
        alone()
        for j in range(half):
            a, b = load(v, j), load(v, j + half)
            s = add(a, b)
            t = sub(s, a)
            error = add(sub(a, sub(s, t)), sub(b, t))
            store(e, j, select(first, error, add(error, add(load(e, j), load(e, j + half)))))
            store(h, j, s)

    @part()
    def block_sum_f32(v, h, e):  # type: ignore[no-untyped-def]
        widen(v, h)
        half = half_block // 2
        while half:
            fold(h, half)
            half //= 2
        return h[0], 0.0

    @part()
    def block_sum_f64(v, h, e):  # type: ignore[no-untyped-def]
        fold_with_errors(v, h, e, half_block, True)
        half = half_block // 2
        while half:
            fold_with_errors(h, h, e, half, False)
            half //= 2
        return h[0], e[0]

    return block_sum_f32 if name == "f32" else block_sum_f64
