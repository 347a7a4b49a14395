"""Binary cross-entropy and its gradient, from logits and from probabilities; twin of ``cext/formulas/bce.h``.

x is a logit, p a probability, t a target. Where a target of exactly 0 or 1 leaves one term out, that term is not computed into
the result, so that 0 * inf never appears.
"""

from __future__ import annotations

from .core import log1p_exp, log_ratio, log_ratio_pair, magnitude, real, tail
from .prims import Real, absolute, add, bits, constants, div, fma, iadd, isub, mul, neg, select, shl, shr, sub, unbits


def bce_with_logits(x: Real, t: Real) -> Real:
    """|x| u + log(1 + e^-|x|), u = 1-t for x >= 0 and t for x < 0."""
    l = log1p_exp(magnitude(x), 0)
    u = select(x >= 0, sub(1, t), t)
    h = select(u == 0, 0, absolute(x))
    return fma(h, u, l)


def bce_with_logits_grad(x: Real, t: Real) -> Real:
    """sigmoid(x) - t."""
    k = constants(x)
    w = tail(magnitude(x), k.un_up)
    return select(x >= 0, sub(sub(1, t), w), sub(w, t))


def neg_log_pair(p: Real) -> tuple[Real, Real]:
    """hi, lo with hi + lo = -log p for p in [0, 1], subnormals included; lo has no meaning for p = 0."""
    k = constants(p)
    w = mul(p, k.lift)
    e = shr(iadd(isub(bits(w), bits(k.one)), k.root_step), k.mantissa)
    s = unbits(shl(iadd(e, k.bias), k.mantissa))
    n = sub(k.lift_log2, real(e))
    hi, lo = log_ratio_pair(sub(s, w), add(s, w), n)
    return select(p == 0, k.inf, hi), lo


def neg_log(p: Real) -> Real:
    """-log p for p in [0, 1], as ``neg_log_pair``."""
    hi, _ = neg_log_pair(p)
    return hi


def neg_log1m(p: Real) -> Real:
    """-log(1-p) for p in [0, 1]: with s the power of two nearest in ratio to 1-p, s - (1-p) = p + (s-1) is rounded once."""
    k = constants(p)
    m = sub(1, p)
    e = shr(iadd(isub(bits(m), bits(k.one)), k.root_step), k.mantissa)
    s = unbits(shl(iadd(e, k.bias), k.mantissa))
    y = log_ratio(add(p, sub(s, 1)), add(s, m), neg(real(e)))
    return select(m == 0, k.inf, y)


def bce(p: Real, t: Real) -> Real:
    """-t log p - (1-t) log(1-p), the larger of the two products not rounded before they are added."""
    k = constants(p)
    p = select(p >= 0, select(p <= 1, p, k.nan), k.nan)
    u = sub(1, t)
    h = select(t == 0, 0, neg_log(p))
    l = select(u == 0, 0, neg_log1m(p))
    hit = mul(t, h)
    miss = mul(u, l)
    return select(hit > miss, fma(t, h, miss), fma(u, l, hit))


def bce_grad(p: Real, t: Real) -> Real:
    """(p - t) / (p (1-p)), which is 1/(1-p) for t = 0 and -1/p for t = 1; -0 is the probability 0."""
    k = constants(p)
    p = absolute(select(p >= 0, select(p <= 1, p, k.nan), k.nan))
    m = sub(1, p)
    num = select(t == 0, 1, select(t == 1, -1, sub(p, t)))
    den = select(t == 0, m, select(t == 1, p, mul(p, m)))
    return div(num, den)
