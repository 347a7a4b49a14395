"""The correctly rounded functions of float32; twin of ``cext/formulas/rounded.h``.

Each takes a float32 number as a float64 one and returns a float64 number that rounds to the float32 number nearest to the exact
value; the exponents of float64 reach below the subnormal numbers of float32, so that rounding is the only one that counts. A formula is
good to a few units of 2^-53, and its result is correctly rounded wherever the exact value is farther than that from the middle of two
neighbours. Where it is not, that is measured, on all 2^32 inputs: ``fastsig/measure/accuracy/correct_rounding.py``.

e^-x = s (c - r)/(c + r) with s = 2^n, r = x + n ln 2, |r| <= ln(2)/2, and c = r coth(r/2), a polynomial in r^2, so that one division
serves for the exponential and what is made of it.
"""

from __future__ import annotations

from .prims import ROUNDED as k
from .prims import Real, absolute, add, bits, div, fma, horner, iadd, iand, isub, mul, neg, select, shl, sub, to_real, unbits


def within_range(x: Real) -> Real:
    """x, but no farther from 0 than x_max."""
    x = select(x > k.x_max, k.x_max, x)
    return select(x < -k.x_max, -k.x_max, x)


def exp_neg(x: Real) -> tuple[Real, Real]:
    """r and s."""
    t = fma(x, -k.log2e, k.magic)
    n = sub(t, k.magic)
    r = fma(n, k.ln2, x)
    s = unbits(shl(bits(t), k.mantissa))
    return r, s


def with_sign(y: Real, x: Real) -> Real:
    """y, which has none of its own, with the sign of x."""
    return unbits(iadd(bits(y), iand(bits(x), bits(k.minus_zero))))


def sigmoid_afar(r: Real, s: Real) -> Real:
    """1/(1 + e^-x) from the parts of e^-x, for |x| >= x_near; for other x it is within 2^-51."""
    c = horner(k.coth, mul(r, r))
    num = add(c, r)
    return div(num, fma(s, sub(c, r), num))


def sigmoid_of(r: Real, s: Real) -> Real:
    """1/(1 + e^-x) for any x.

    For small x the exact value is 1/2 + x/4 - x^3/48, of which float64 keeps the first two terms, and those are the middle of two
    float32 numbers for many x: the last place less, or more for x < 0, stands for the third. Elsewhere it does no harm.
    """
    q = sigmoid_afar(r, s)
    return fma(neg(q), with_sign(k.unit, r), q)


def sigmoid(x: Real) -> Real:
    r, s = exp_neg(within_range(x))
    return sigmoid_of(r, s)


def sigmoid_grad_of(r: Real, s: Real) -> Real:
    """e^-x / (1 + e^-x)^2 = s (c - r)(c + r) / (s (c - r) + (c + r))^2."""
    c = horner(k.coth, mul(r, r))
    d = fma(s, sub(c, r), add(c, r))
    return div(mul(s, fma(neg(r), r, mul(c, c))), mul(d, d))


def sigmoid_grad(x: Real) -> Real:
    r, s = exp_neg(within_range(x))
    return sigmoid_grad_of(r, s)


def two_atanh(q: Real) -> Real:
    """log((1 + q)/(1 - q))."""
    v = mul(q, q)
    return fma(mul(q, v), horner(k.atanh, v), add(q, q))


def softplus_ratio(r: Real, s: Real, x: Real) -> Real:
    """q with 2 atanh(q) = log(1 + z/d), or where x is near 0 log((1 + z/d)/2), from the parts of e^-|x| = z/d."""
    c = horner(k.coth, mul(r, r))
    d = add(c, r)
    z = mul(s, sub(c, r))
    m = select(absolute(x) < k.log1p_half, d, 0)
    return div(sub(z, m), add(add(z, m), add(d, d)))


def softplus_of(q: Real, x: Real) -> Real:
    """max(x, 0) + log(1 + e^-|x|).

    At one input the exact value is so near to the middle of two float32 numbers that no float64 number lies between.
    """
    y = add(two_atanh(q), select(absolute(x) < k.log1p_half, k.ln2, 0))
    y = add(y, select(x > 0, x, 0))
    return select(x == k.softplus_tie, k.softplus_at_tie, y)


def softplus(x: Real) -> Real:
    r, s = exp_neg(within_range(absolute(x)))
    return softplus_of(softplus_ratio(r, s, x), x)


def log_sigmoid(x: Real) -> Real:
    return neg(softplus(neg(x)))


def silu_of(r: Real, s: Real, x: Real) -> Real:
    """x/(1 + e^-x). For tiny x that is x/2 + x^2/4, of which float64 keeps the first term: ``least`` stands for the second.

    The limit at -inf is -0, as what is left at -x_max rounds to, and silu(-0) is -0.
    """
    a = select(x < -k.x_max, -k.x_max, x)
    return select(x == 0, x, fma(a, sigmoid_afar(r, s), k.least))


def silu(x: Real) -> Real:
    r, s = exp_neg(within_range(x))
    return silu_of(r, s, x)


def odds(p: Real) -> tuple[Real, Real]:
    """q and n with log(m/d) = 2 atanh(q) - n ln 2, m = min(p, 1-p), d = 1 - m: 2^n m/d is near 1.

    1 - p and, near 1/2, m - d are exact. The difference of the bit patterns of d and m, rounded, has n in its exponent field.
    """
    m = select(p > k.half, sub(1, p), p)
    d = sub(1, m)
    e = iand(iadd(isub(bits(d), bits(m)), iadd(bits(k.one), k.half_step)), bits(k.inf))
    w = mul(m, unbits(e))
    n = fma(to_real(e), k.step, -k.bias)
    return div(sub(w, d), add(w, d)), n


def logit_of(q: Real, n: Real, p: Real) -> Real:
    """There is one input as in softplus."""
    y = fma(n, -k.ln2, two_atanh(q))
    y = select(p == k.logit_tie, k.logit_at_tie, y)
    y = select(p > k.half, neg(y), y)
    y = select(p > 0, y, k.nan)
    y = select(p < 1, y, k.nan)
    y = select(p == 0, -k.inf, y)
    return select(p == 1, k.inf, y)


def logit(p: Real) -> Real:
    q, n = odds(p)
    return logit_of(q, n, p)


def tanh_of(r: Real, s: Real, x: Real) -> Real:
    """(1 - e^-2x)/(1 + e^-2x); its numerator (1 - s) c + (1 + s) r is 2 r for small x, whose size it keeps."""
    c = horner(k.coth_exact, mul(r, r))
    num = fma(sub(1, s), c, mul(add(1, s), r))
    return select(x == 0, x, div(num, fma(s, sub(c, r), add(c, r))))


def tanh(x: Real) -> Real:
    r, s = exp_neg(within_range(add(x, x)))
    return tanh_of(r, s, x)
