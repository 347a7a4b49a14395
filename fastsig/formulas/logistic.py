"""The elementwise family; twin of ``cext/formulas/logistic.h``.

With w = 1/(1 + e^|x|), the smaller of sigmoid(x) and sigmoid(-x), everything is w, 1 - w or a product of the two, and w keeps
its accuracy down to the last subnormal. softplus is max(x, 0) + log(1 + e^-|x|), and tanh(x) is 2 sigmoid(2x) - 1. Here x is a
logit and p a probability.

An operation in two steps has a function for each: ``..._range`` gives the r and s of ``exp_range``, ``..._reduced`` the result of them.
Loops over arrays do the first for a block of elements and then the second, since either is a shorter chain of dependent instructions.
"""

from __future__ import annotations

from .core import exp_range, log1p_exp_range, log1p_exp_reduced, magnitude, on_side_of, tail, tail_pair, tail_reduced
from .prims import Real, absolute, add, bits, constants, div, fma, horner, iadd, iand, isub, mul, neg, select, sub, to_real, unbits


def sigmoid_range(x: Real) -> tuple[Real, Real]:
    k = constants(x)
    return exp_range(magnitude(x), k.magic_down)


def sigmoid_reduced(x: Real, r: Real, s: Real) -> Real:
    k = constants(x)
    w = tail_reduced(r, s, k.un_up)
    return on_side_of(x, w)


def sigmoid(x: Real) -> Real:
    r, s = sigmoid_range(x)
    return sigmoid_reduced(x, r, s)


def sigmoid_grad_reduced(x: Real, r: Real, s: Real) -> Real:
    k = constants(x)
    w = tail_reduced(r, s, k.un_up)
    return fma(neg(w), w, w)


def sigmoid_grad(x: Real) -> Real:
    r, s = sigmoid_range(x)
    return sigmoid_grad_reduced(x, r, s)


def softplus_range(x: Real) -> tuple[Real, Real]:
    return log1p_exp_range(magnitude(x))


def softplus_reduced(x: Real, r: Real, s: Real) -> Real:
    return log1p_exp_reduced(absolute(x), r, s, select(x > 0, x, 0))


def softplus(x: Real) -> Real:
    r, s = softplus_range(x)
    return softplus_reduced(x, r, s)


def log_sigmoid_reduced(x: Real, r: Real, s: Real) -> Real:
    """The range is softplus(x)'s, for it is one of |x|."""
    return neg(softplus_reduced(neg(x), r, s))


def log_sigmoid(x: Real) -> Real:
    return neg(softplus(neg(x)))


def logit(p: Real) -> Real:
    """y = log(m/(1-m)) with its sign, m = min(p, 1-p), which is exact: y = log f - n ln 2, f = 2^n m/(1-m), and f - 1 loses nothing.

    w = m lift, and r = 2^n 16/lift comes from the difference of two bit patterns. num/8 = (m + 2^n m) - 1 is rounded once, and for
    n = 0 not at all; the denominator is w r - num = 8 (1 - m + 2^n m). For m = 0 r is infinite and y NaN, and z takes its place:
    -inf for m >= 0, NaN for m < 0.
    """
    k = constants(p)
    m = select(p > k.half, sub(1, p), p)
    w = fma(m, k.odds_lift, k.odds_tiny)
    z = fma(w, -k.inf, -k.inf)
    b = fma(m, -k.odds_fall, k.odds_fall)
    e = iand(isub(bits(b), bits(w)), bits(k.inf))
    r = unbits(e)
    num = fma(w, fma(r, k.half, k.odds_unit), -8)
    s = div(num, fma(w, r, neg(num)))
    y = fma(s, horner(k.two_atanh, mul(s, s)), fma(to_real(e), -k.ln2_step, k.ln2_unit))
    y = select(z < y, y, z)
    return select(p > k.half, sub(0, y), y)


def silu_reduced(x: Real, r: Real, s: Real) -> Real:
    """max(x, 0) - |x| w, with |x| w kept scaled, so that it is rounded into the subnormals once, also where w alone is subnormal.

    The zero of the maximum is -0, so that silu(-0) and the limit at -inf are -0.
    """
    k = constants(x)
    w = tail_reduced(r, s, magnitude(x))
    return fma(neg(w), k.un_up, select(x >= 0, x, k.minus_zero))


def silu(x: Real) -> Real:
    r, s = sigmoid_range(x)
    return silu_reduced(x, r, s)


def silu_grad(x: Real) -> Real:
    """w u for x < 0 and 1 - w u for x >= 0, a = |x|, u = 1 - a (1 - w) = (1 - a) + a w, where 1 - a is exact for a >= 1/2.

    w u crosses zero at a = 1.28 while w has its full error, so w has a low part there: it adds (u + a w) to w u for each unit.
    """
    k = constants(x)
    a = magnitude(x)
    v, v_lo = tail_pair(a)
    w = mul(v, k.un_up)
    u = fma(a, w, sub(1, a))
    w = mul(fma(v, u, mul(v_lo, fma(a, w, u))), k.un_up)
    return select(x >= 0, sub(1, w), w)


def with_sign_of(y: Real, x: Real) -> Real:
    """y with x's sign, also where both are 0 or NaN; y has none of its own."""
    k = constants(x)
    return unbits(iadd(bits(y), iand(bits(x), bits(k.minus_zero))))


def tanh(x: Real) -> Real:
    """1 - 2/(1 + e^b), b = 2|x|, where that is over 1/2 and the subtraction no longer magnifies an error; below, a polynomial that adds
    to |x| what is small beside it, so that a tiny x stays as it is."""
    k = constants(x)
    a = absolute(x)
    b = magnitude(add(a, a))
    z = mul(b, b)
    near = fma(mul(b, z), horner(k.half_tanh, z), a)
    far = sub(1, tail(b, mul(2, k.un_up)))
    return with_sign_of(select(b < k.half_tanh_max, near, far), x)


def tanh_grad(x: Real) -> Real:
    """4 w (1 - w) with w = 1/(1 + e^2|x|), computed as v - v^2/4 with v = 4 w, which alone is rounded into the subnormals."""
    k = constants(x)
    v = tail(magnitude(add(x, x)), mul(4, k.un_up))
    return fma(mul(v, -0.25), v, v)
