"""Losses with their weights: one exponential an element serves value, gradient and hessian; twin of ``cext/formulas/losses.h``.

x is a logit and t a target. pos and miss are what the two terms weigh: loss = pos log(1 + e^-x) + miss log(1 + e^x), so pos = t and
miss = 1-t without options. Two powers of two in one constant keep z = e^-|x| normal until the division that makes w of it.
"""

from __future__ import annotations

from .bce import neg_log_pair
from .core import exp_parts
from .prims import Real, absolute, add, constants, div, fma, horner, mul, neg, select, sub


def smoothed(t: Real, keep: Real, floor: Real) -> Real:
    """t (1-e) + e/2, for keep = 1-e and floor = e/2; 1-t in place of t gives the other term without cancellation."""
    return fma(t, keep, floor)


def scaled(v: Real, s: Real, s_lo: Real) -> Real:
    """v (s + s_lo), where s + s_lo is 1/N to twice the precision; 0.5 ULP."""
    return fma(v, s, mul(v, s_lo))


def exp_up_to(a: Real, most: Real) -> Real:
    """2^up_log2 e^-a for a magnitude a up to this."""
    k = constants(a)
    a = select(a > most, most, a)
    q, s = exp_parts(neg(a), k.magic_up)
    return fma(q, s, s)


def exp_up(a: Real) -> Real:
    """2^up_log2 e^-a for a magnitude a, as far as e^-a can be told from 0."""
    return exp_up_to(a, constants(a).a_max)


def log1p_up(z: Real) -> Real:
    """log(1 + z / 2^up_log2)."""
    k = constants(z)
    return mul(mul(z, horner(k.log1p, mul(z, k.un_up))), k.un_up)


def log1p_to_weigh(z: Real) -> Real:
    """The same divided by down, so that it is weighed before it may become subnormal."""
    k = constants(z)
    return mul(mul(z, horner(k.log1p, mul(z, k.un_up))), k.un_down_up)


def lesser_up(z: Real) -> Real:
    """w / down with w = e^-a / (1 + e^-a), the lesser of sigmoid(x) and sigmoid(-x): a normal number, to be weighed as one."""
    k = constants(z)
    return div(z, fma(z, k.down, k.down_up))


def plain_loss(x: Real, z: Real, t: Real, miss: Real) -> Real:
    """|x| u + log(1 + e^-|x|), u = miss for x >= 0 and t for x < 0, as ``bce.bce_with_logits``; miss = 1-t."""
    u = select(x >= 0, miss, t)
    h = select(u == 0, 0, absolute(x))
    return fma(h, u, log1p_up(z))


def unit_of(w: Real) -> Real:
    """What ``weighed_up`` is counted in: down, or 1 for weights that could let it overflow."""
    k = constants(w)
    return select(w > 1, 1, k.down)


def weighed_up(v_up: Real, w: Real) -> Real:
    """w v / unit_of(w) for v_up = v / down, so that neither a tail is lost nor a large weight."""
    k = constants(w)
    return mul(select(w > 1, mul(w, k.down), w), v_up)


def weighted_loss(x: Real, z: Real, pos: Real, miss: Real, both: Real) -> Real:
    """|x| u + both log(1 + e^-|x|), both = pos + miss."""
    u = select(x >= 0, miss, pos)
    h = select(u == 0, 0, absolute(x))
    return fma(h, u, mul(weighed_up(log1p_to_weigh(z), both), unit_of(both)))


def weighted_grad(x: Real, w_up: Real, pos: Real, miss: Real, both: Real) -> Real:
    """miss sigmoid(x) - pos sigmoid(-x)."""
    v = weighed_up(w_up, both)
    u = unit_of(both)
    return select(x >= 0, fma(neg(v), u, miss), fma(v, u, neg(pos)))


def weighted_hess(w_up: Real, both: Real) -> Real:
    """both sigmoid(x) sigmoid(-x)."""
    k = constants(w_up)
    v = fma(neg(w_up), mul(w_up, k.down), w_up)
    return mul(weighed_up(v, both), unit_of(both))


def weighted(v: Real, w: Real) -> Real:
    """w v, where an element of weight 0 adds nothing also if v is infinite."""
    k = constants(v)
    v = select(w == 0, select(v == k.inf, 0, v), v)
    return mul(w, v)


def focal_miss(x: Real, w: Real, t: Real) -> Real:
    """m = 1 - p_t = sigmoid(x) (1-t) + sigmoid(-x) t: how far from the target the prediction is."""
    up = select(x >= 0, sub(1, w), w)
    down = select(x >= 0, w, sub(1, w))
    return fma(up, sub(1, t), mul(down, t))


def focal_share(t: Real, alpha: Real, beta: Real) -> Real:
    """alpha t + (1-alpha) (1-t), beta = 1-alpha."""
    return fma(alpha, t, mul(beta, sub(1, t)))


def focal_slope(x: Real, w: Real, t: Real, m: Real, loss: Real, gamma: Real) -> Real:
    """d focal/dx / (share m^gamma) = gamma (1-2t) r loss + sigmoid(x) - t, r = sigmoid(x) sigmoid(-x) / m."""
    k = constants(x)
    up = select(x >= 0, sub(1, w), w)
    down = select(x >= 0, w, sub(1, w))
    r = select(t == 0, down, select(t == 1, up, div(mul(up, down), m)))
    c = select(loss == k.inf, k.lift, loss)
    r = select(loss == k.inf, 0, r)
    g = select(x >= 0, sub(sub(1, t), w), sub(w, t))
    return fma(mul(gamma, fma(-2, t, 1)), mul(r, c), g)


def exp_far(a: Real) -> Real:
    """The same farther out, and then 0: what it is multiplied by may be large."""
    k = constants(a)
    return select(a > k.a_far, 0, exp_up_to(a, k.a_far))


def capped(x: Real) -> Real:
    """x, but no farther from 0 than ``exp_far`` looks."""
    k = constants(x)
    x = select(x > k.a_far, k.a_far, x)
    return select(x < -k.a_far, -k.a_far, x)


def focal_curve(x: Real, z: Real, w_up: Real, t: Real, m: Real, loss: Real, gamma: Real) -> Real:
    """d2 focal/dx2 / (share m^gamma down), where loss is that of the capped x.

    With t of 0 or 1 it is n (gamma loss (gamma n - m) + (2 gamma + 1) m), n = 1 - m. Of the factors n on the one hand, m and the loss
    on the other, those are tiny that are on x's side of 0, and these are taken divided by down, as w_up is. With a soft t it is
    v = sigmoid(x) sigmoid(-x) times 1 + gamma (1-2t) (loss ((gamma-1) (1-2t) v/m + sigmoid(-x) - sigmoid(x)) + 2 (sigmoid(x) - t)) / m.
    """
    k = constants(x)
    w = mul(w_up, k.down)
    u = sub(1, w)
    near = select(t == 0, neg(x), x)
    l = select(near >= 0, log1p_to_weigh(z), loss)
    miss = select(near >= 0, w, u)
    miss_up = select(near >= 0, w_up, u)
    n = select(near >= 0, u, w)
    n_up = select(near >= 0, u, w_up)
    hard = fma(mul(gamma, l), fma(gamma, n, neg(miss)), mul(fma(2, gamma, 1), miss_up))
    c = fma(-2, t, 1)
    d = fma(-2, w, 1)
    d = select(x >= 0, neg(d), d)
    g = select(x >= 0, sub(sub(1, t), w), sub(w, t))
    b = fma(loss, fma(sub(gamma, 1), mul(c, div(mul(w, u), m)), d), add(g, g))
    soft = mul(u, fma(mul(gamma, c), div(b, m), 1))
    n_up = select(t == 0, n_up, select(t == 1, n_up, w_up))
    return mul(n_up, select(t == 0, hard, select(t == 1, hard, soft)))


def focal_power(x: Real, z: Real, t: Real, m: Real, g: Real, g_lo: Real) -> Real:
    """m^(g + g_lo) as e^-a, a = (g + g_lo) (y + r), where y + r = -log m: an error of a as small as the last bit of 1 is one ULP
    of the power, so a and its factors are carried as pairs. With t of 0 or 1, -log m is log(1 + e^x) or log(1 + e^-x) and loses
    nothing."""
    k = constants(x)
    far = select(t == 0, neg(x), x)
    far = select(far > 0, far, 0)
    l = log1p_up(z)
    y = add(far, l)
    r = add(sub(far, y), l)
    hi, lo = neg_log_pair(m)
    y = select(t == 0, y, select(t == 1, y, hi))
    r = select(t == 0, r, select(t == 1, r, lo))
    cap = mul(k.greatest, k.un_up)
    r = select(y > cap, 0, r)
    y = select(y > cap, cap, y)
    a = mul(g, y)
    r = fma(g_lo, y, fma(g, r, fma(g, y, neg(a))))
    e = exp_up(a)
    return mul(fma(neg(e), r, e), k.un_up)
