"""Losses with their weights: one exponential an element serves value, gradient and hessian; twin of ``cext/formulas/losses.h``.

x is a logit and t a target. pos and miss are what the two terms weigh: loss = pos log(1 + e^-x) + miss log(1 + e^x), so pos = t and
miss = 1-t without options. Two powers of two in one constant keep z = e^-|x| normal until the division that makes w of it.
"""

from __future__ import annotations

from .bce import neg_log_pair
from .prims import Real, absolute, add, bits, constants, div, fma, horner, mul, neg, select, shl, sub, unbits


def smoothed(t: Real, keep: Real, floor: Real) -> Real:
    """t (1-e) + e/2, for keep = 1-e and floor = e/2; 1-t in place of t gives the other term without cancellation."""
    return fma(t, keep, floor)


def scaled(v: Real, s: Real, s_lo: Real) -> Real:
    """v (s + s_lo), where s + s_lo is 1/N to twice the precision; 0.5 ULP."""
    return fma(v, s, mul(v, s_lo))


def exp_parts_up_to(a: Real, most: Real) -> tuple[Real, Real, Real]:
    """p, q, s with 2^up_log2 e^-a = s + p s = s / (1 + q), for a magnitude a up to this; s is a power of two.

    The polynomials in r^2 of e^r and of e^-r are the same but for a sign, and no quotient of s has the rounding of e^-a in it.
    """
    k = constants(a)
    a = select(a > most, most, a)
    t = fma(a, -k.log2e, k.magic_up)
    n = sub(t, k.magic_up)
    r = fma(n, -k.ln2_hi, neg(a))
    r = fma(n, -k.ln2_lo, r)
    r2 = mul(r, r)
    even = horner(k.expm1_even, r2)
    odd = horner(k.expm1_odd, r2)
    p = fma(r2, fma(r, odd, even), r)
    q = fma(r2, fma(neg(r), odd, even), neg(r))
    s = unbits(shl(bits(t), k.mantissa))
    return p, q, s


def exp_parts_up(a: Real) -> tuple[Real, Real, Real]:
    """The same for a magnitude a, as far as e^-a can be told from 0."""
    return exp_parts_up_to(a, constants(a).a_max)


def exp_of(p: Real, s: Real) -> Real:
    """z = 2^up_log2 e^-a from its parts."""
    return fma(p, s, s)


def log1p_up(z: Real) -> Real:
    """log(1 + z / 2^up_log2)."""
    k = constants(z)
    v = mul(z, k.un_up)
    return mul(v, horner(k.log1p, v))


def log1p_to_weigh(z: Real) -> Real:
    """The same divided by down, so that it is weighed before it may become subnormal."""
    k = constants(z)
    return mul(mul(z, horner(k.log1p, mul(z, k.un_up))), k.un_down_up)


def lesser_up(q: Real, s: Real) -> Real:
    """w / down with w = 1 / (1 + e^a), the lesser of sigmoid(x) and sigmoid(-x): a normal number, to be weighed as one; 2 ULP."""
    k = constants(s)
    d = fma(s, k.un_up, q)
    return div(s, fma(d, k.down_up, k.down_up))


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
    """|x| u + both log(1 + e^-|x|), both = pos + miss, which is the weight where no pos_weight is between."""
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


def counting(v: Real, w: Real) -> Real:
    """v, but 0 for an infinite one of weight 0, so that it adds nothing."""
    k = constants(v)
    return select(w == 0, select(v == k.inf, 0, v), v)


def weighted(v: Real, w: Real) -> Real:
    """w v, where an element of weight 0 adds nothing also if v is infinite."""
    return mul(w, counting(v, w))


def focal_lesser_up(q: Real, s: Real) -> tuple[Real, Real]:
    """``lesser_up`` and rest, with w (1 + rest) to 0.3 ULP: what is raised to a power magnifies its error."""
    k = constants(s)
    u = mul(s, k.un_up)
    e = add(u, q)
    d = add(1, e)
    d_lo = add(sub(q, sub(e, u)), sub(e, sub(d, 1)))
    v = div(1, d)
    rest = fma(neg(v), d_lo, fma(neg(v), d, 1))
    return mul(mul(s, v), k.un_down_up), rest


def focal_log(p: Real, s: Real, w: Real) -> tuple[Real, Real]:
    """v, v_lo with v + v_lo = log(1 + e^-a), v = e^-a rounded: v_lo has what the rounding lost, and the rest of the series."""
    k = constants(s)
    z = exp_of(p, s)
    v = mul(z, k.un_up)
    lost = mul(fma(p, s, sub(s, z)), k.un_up)
    return v, fma(lost, sub(1, w), mul(v, mul(v, horner(k.log1p_rest, v))))


def focal_miss(x: Real, w: Real, t: Real) -> Real:
    """m = 1 - p_t = sigmoid(x) (1-t) + sigmoid(-x) t: how far from the target the prediction is."""
    up = select(x >= 0, sub(1, w), w)
    down = select(x >= 0, w, sub(1, w))
    return fma(up, sub(1, t), mul(down, t))


def focal_share(t: Real, alpha: Real, beta: Real) -> Real:
    """alpha t + (1-alpha) (1-t), beta = 1-alpha."""
    return fma(alpha, t, mul(beta, sub(1, t)))


def focal_miss_rest(x: Real, w: Real, rest: Real, t: Real, m: Real, v: Real) -> Real:
    """What ``focal_lesser_up`` is for w this is for m, with t of 0 or 1, when m is w or 1 - w and 1/(1-w) is 1 + v; 0 for a soft t."""
    near = select(t == 0, neg(x), x)
    far = mul(add(1, v), fma(neg(w), rest, sub(sub(1, m), w)))
    r = select(near >= 0, rest, far)
    return select(t == 0, r, select(t == 1, r, 0))


def focal_loss(x: Real, t: Real, v: Real, v_lo: Real, more: Real) -> Real:
    """``plain_loss`` times 1 + more, from the pair of ``focal_log``, rounded once if t is 0 or 1."""
    k = constants(x)
    u = select(x >= 0, sub(1, t), t)
    h = select(u == 0, v, absolute(x))
    l = select(u == 0, v_lo, add(v, v_lo))
    u = select(u == 0, 1, u)
    y = fma(h, u, l)
    return fma(h, u, fma(more, select(y == k.inf, 0, y), l))


def focal_times(p: Real, p_lo: Real, m: Real) -> tuple[Real, Real]:
    """(p + p_lo) m as such a pair."""
    y = mul(p, m)
    return y, fma(p_lo, m, fma(p, m, neg(y)))


def focal_product(p: Real, p_lo: Real, v: Real) -> Real:
    """(p + p_lo) v; an infinite v stays, also where the power has become 0."""
    k = constants(v)
    return select(v == k.inf, v, fma(p, v, mul(p_lo, v)))


def focal_slope(x: Real, w: Real, rest: Real, t: Real, m: Real, loss: Real, gamma: Real, more: Real) -> Real:
    """d focal/dx / (share m^gamma) = gamma (1-2t) r loss + sigmoid(x) - t, r = sigmoid(x) sigmoid(-x) / m; more is what the second term
    is multiplied by, less 1, and what is in the loss already."""
    k = constants(x)
    up = select(x >= 0, sub(1, w), w)
    down = select(x >= 0, w, sub(1, w))
    near = select(t == 0, neg(x), x)
    c = select(loss == k.inf, 0, loss)
    r = select(near >= 0, neg(w), fma(w, rest, w))
    hard = fma(r, c, select(near >= 0, c, 0))
    soft = mul(div(mul(up, down), m), c)
    r = select(t == 0, hard, select(t == 1, hard, soft))
    g = select(x >= 0, sub(sub(1, t), w), sub(w, t))
    return fma(mul(gamma, fma(-2, t, 1)), r, fma(g, more, g))


def exp_parts_far(a: Real) -> tuple[Real, Real, Real]:
    """The parts farther out, and then of 0: what it is multiplied by may be large."""
    k = constants(a)
    p, q, s = exp_parts_up_to(a, k.a_far)
    return p, q, select(a > k.a_far, 0, s)


def capped(x: Real) -> Real:
    """x, but no farther from 0 than ``exp_parts_far`` looks."""
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
    p, _, s = exp_parts_up(a)
    e = exp_of(p, s)
    return mul(fma(neg(e), r, e), k.un_up)
