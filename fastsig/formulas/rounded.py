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


def sigmoid_of(r: Real, s: Real) -> Real:
    """1/(1 + e^-x) from the parts of e^-x.

    For small x the exact value is 1/2 + x/4 - x^3/48, of which float64 keeps the first two terms, and those are the middle of two
    float32 numbers for many x: the last place less, or more for x < 0, stands for the third. Elsewhere it does no harm.
    """
    c = horner(k.coth, mul(r, r))
    num = add(c, r)
    q = div(num, fma(s, sub(c, r), num))
    return fma(neg(q), with_sign(k.unit, r), q)


def sigmoid(x: Real) -> Real:
    r, s = exp_neg(within_range(x))
    return sigmoid_of(r, s)


def sigmoid_grad(x: Real) -> Real:
    """e^-x / (1 + e^-x)^2 = s (c - r)(c + r) / (s (c - r) + (c + r))^2."""
    r, s = exp_neg(within_range(x))
    c = horner(k.coth, mul(r, r))
    d = fma(s, sub(c, r), add(c, r))
    return div(mul(s, fma(neg(r), r, mul(c, c))), mul(d, d))


def two_atanh(s: Real) -> Real:
    """log((1 + s)/(1 - s))."""
    s2 = mul(s, s)
    return fma(mul(s, s2), horner(k.atanh, s2), add(s, s))


def softplus(x: Real) -> Real:
    """max(x, 0) + log(1 + z/d) with e^-|x| = z/d: log(1 + z/d) is 2 atanh(z/(z + 2 d)), or ln 2 + 2 atanh((z - d)/(z + 3 d)).

    At one input the exact value is so near to the middle of two float32 numbers that no float64 number lies between.
    """
    r, s = exp_neg(within_range(absolute(x)))
    c = horner(k.coth, mul(r, r))
    d = add(c, r)
    z = mul(s, sub(c, r))
    m = select(add(z, z) > mul(d, k.log1p_half), d, 0)
    y = two_atanh(div(sub(z, m), add(add(z, m), add(d, d))))
    y = add(add(y, select(m > 0, k.ln2, 0)), select(x > 0, x, 0))
    return select(x == k.softplus_tie, k.softplus_at_tie, y)


def log_sigmoid(x: Real) -> Real:
    return neg(softplus(neg(x)))


def silu(x: Real) -> Real:
    """x/(1 + e^-x). For tiny x that is x/2 + x^2/4, of which float64 keeps the first term: ``least`` stands for the second.

    The limit at -inf is -0, as what is left at -x_max rounds to, and silu(-0) is -0.
    """
    a = select(x < -k.x_max, -k.x_max, x)
    r, s = exp_neg(within_range(a))
    c = horner(k.coth, mul(r, r))
    num = add(c, r)
    q = div(num, fma(s, sub(c, r), num))
    return select(x == 0, x, fma(a, q, k.least))


def logit(p: Real) -> Real:
    """log(m/d) with its sign, m = min(p, 1-p) and d = 1 - m: log f - n ln 2, f = 2^n m/d; 1 - p and, near 1/2, m - d are exact.

    The difference of the bit patterns of d and m, rounded, has n in its exponent field. There is one input as in softplus.
    """
    m = select(p > k.half, sub(1, p), p)
    d = sub(1, m)
    e = iand(iadd(isub(bits(d), bits(m)), iadd(bits(k.one), k.half_step)), bits(k.inf))
    w = mul(m, unbits(e))
    n = fma(to_real(e), k.step, -k.bias)
    y = fma(n, -k.ln2, two_atanh(div(sub(w, d), add(w, d))))
    y = select(p == k.logit_tie, k.logit_at_tie, y)
    y = select(m > 0, y, select(m == 0, -k.inf, k.nan))
    return select(p > k.half, neg(y), y)


def tanh(x: Real) -> Real:
    """(1 - e^-2x)/(1 + e^-2x); its numerator (1 - s) c + (1 + s) r is 2 r for small x, whose size it keeps."""
    r, s = exp_neg(within_range(add(x, x)))
    c = horner(k.coth_exact, mul(r, r))
    num = fma(sub(1, s), c, mul(add(1, s), r))
    return select(x == 0, x, div(num, fma(s, sub(c, r), add(c, r))))
