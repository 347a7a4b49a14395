"""The elementwise family; twin of ``cext/formulas/logistic.h``.

With w = 1/(1 + e^|x|), the smaller of sigmoid(x) and sigmoid(-x), everything is w, 1 - w or a product of the two, and w keeps
its accuracy down to the last subnormal. softplus is max(x, 0) + log(1 + e^-|x|). Here x is a logit and p a probability.
"""

from __future__ import annotations

from .core import log1p_exp, log_ratio, magnitude, real, tail, tail_pair
from .prims import Real, bits, constants, fma, iadd, isub, mul, neg, select, shl, shr, sub, unbits


def sigmoid(x: Real) -> Real:
    k = constants(x)
    w = tail(magnitude(x), k.down)
    return select(x >= 0, sub(1, w), w)


def sigmoid_grad(x: Real) -> Real:
    k = constants(x)
    w = tail(magnitude(x), k.down)
    return fma(neg(w), w, w)


def softplus(x: Real) -> Real:
    k = constants(x)
    return fma(log1p_exp(magnitude(x)), k.un_up, select(x > 0, x, 0))


def log_sigmoid(x: Real) -> Real:
    return neg(softplus(neg(x)))


def logit(p: Real) -> Real:
    """log((1-m)/m) with its sign, m = min(p, 1-p), which is exact; so f = s (1-m)/w is near 1 and f - 1 loses nothing.

    w = m 2^lift_log2 is normal, s the power of two nearest to w/(1-m), and f - 1 = (s - w (1 + s/lift))/w with one rounding.
    """
    k = constants(p)
    m = select(p > k.half, sub(1, p), p)
    w = mul(m, k.lift)
    b = sub(1, m)
    e = shr(iadd(isub(bits(w), bits(b)), k.half_step), k.mantissa)
    s = unbits(shl(iadd(e, k.bias), k.mantissa))
    n = sub(k.lift_log2, real(e))
    y = log_ratio(fma(neg(w), fma(s, k.un_lift, 1), s), fma(b, s, w), n)
    y = select(m > 0, y, select(m == 0, k.inf, k.nan))
    return select(p >= k.half, y, neg(y))


def silu(x: Real) -> Real:
    """max(x, 0) - |x| w, with |x| w kept scaled, so that it is rounded into the subnormals once, also where w alone is subnormal.

    The zero of the maximum is -0, so that silu(-0) and the limit at -inf are -0.
    """
    k = constants(x)
    a = magnitude(x)
    w = tail(a, mul(a, k.down_up))
    return fma(neg(w), k.un_up, select(x >= 0, x, k.minus_zero))


def silu_grad(x: Real) -> Real:
    """g (1 + a w) for x >= 0 and w (1 - a g) for x < 0, a = |x|, g = 1 - w.

    The second crosses zero at x = -1.28, so there w, g and a g carry their low parts.
    """
    k = constants(x)
    a = magnitude(x)
    v, v_lo = tail_pair(a, k.down_up, k.un_down_up)
    w = mul(v, k.un_up)
    g = sub(1, w)
    g_lo = sub(sub(sub(1, g), w), mul(v_lo, k.un_up))
    rising = fma(mul(a, w), g, g)
    p = mul(a, g)
    p_lo = fma(a, g_lo, fma(a, g, neg(p)))
    u = sub(1, p)
    falling = mul(fma(v, u, fma(v_lo, u, mul(neg(v), p_lo))), k.un_up)
    return select(x >= 0, rising, falling)
