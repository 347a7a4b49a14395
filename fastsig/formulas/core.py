"""The exponential and the logarithm under every formula; twin of ``cext/formulas/core.h``.

e^a = 2^n e^r with n = a/ln 2 rounded to an integer and r = a - n ln 2, so |r| <= ln(2)/2. Adding ``magic`` rounds, and leaves n
and an exponent bias in the low bits, from where one shift makes 2^(n+b): b keeps every scaled quantity a normal number.
Functions take a magnitude 0 <= a <= a_max; a NaN goes through all of them. Errors are in ULP of the value returned; docs/numerics.md
derives them.
"""

from __future__ import annotations

from .prims import Int, Real, absolute, add, bits, constants, div, fma, horner, iadd, mul, neg, select, shl, sub, unbits


def real(i: Int) -> Real:
    """The integer i as a real, exactly, for |i| < 2^(mantissa - 1)."""
    k = constants(unbits(i))
    return sub(unbits(iadd(i, bits(k.magic))), k.magic)


def exp_parts(a: Real, magic: Real) -> tuple[Real, Real]:
    """q, s with e^a 2^b = s + q s, where s = 2^(n+b) and q = e^r - 1; 0.5 ULP of e^a."""
    k = constants(a)
    t = fma(a, k.log2e, magic)
    n = sub(t, magic)
    r = fma(n, -k.ln2_hi, a)
    r = fma(n, -k.ln2_lo, r)
    q = fma(horner(k.expm1, r), mul(r, r), r)
    s = unbits(shl(bits(t), k.mantissa))
    return q, s


def magnitude(x: Real) -> Real:
    """|x|, but no more than a_max, where every result has reached its limit."""
    k = constants(x)
    a = absolute(x)
    return select(a > k.a_max, k.a_max, a)


def tail(a: Real, c: Real) -> Real:
    """(c/un_up) / (1 + e^a), the division itself rounding into the subnormals; 2 ULP."""
    k = constants(a)
    q, s = exp_parts(a, k.magic_down)
    d = add(s, fma(q, s, k.un_up))
    return div(c, d)


def tail_pair(a: Real) -> tuple[Real, Real]:
    """hi, lo with hi + lo = (1/un_up) / (1 + e^a) to 0.6 ULP of hi.

    What the rounding of the denominator and of the division lost is put back as lo.
    """
    k = constants(a)
    q, s = exp_parts(a, k.magic_down)
    v = fma(q, s, k.un_up)
    d = add(s, v)
    d_lo = sub(v, sub(d, s))
    w = div(1, d)
    rest = fma(neg(w), d_lo, fma(neg(w), d, 1))
    return w, mul(rest, w)


def log1p_exp(a: Real) -> Real:
    """2^up_log2 log(1 + e^-a); 2 ULP."""
    k = constants(a)
    q, s = exp_parts(neg(a), k.magic_up)
    z = fma(q, s, s)
    return mul(z, horner(k.log1p, mul(z, k.un_up)))


def log_ratio_pair(num: Real, den: Real, n: Real) -> tuple[Real, Real]:
    """hi, lo with hi + lo = n ln 2 + log f, where num/den = (f-1)/(f+1) and |num/den| <= 0.2; hi to 2 ULP, and where n is not 0
    the sum to 2 ULP of log f."""
    k = constants(num)
    s = div(num, den)
    s2 = mul(s, s)
    y = fma(mul(s, s2), horner(k.atanh, s2), add(s, s))
    y = fma(n, k.ln2_lo, y)
    hi = fma(n, k.ln2_hi, y)
    return hi, add(sub(mul(n, k.ln2_hi), hi), y)


def log_ratio(num: Real, den: Real, n: Real) -> Real:
    """n ln 2 + log f, as ``log_ratio_pair``; 2 ULP."""
    hi, _ = log_ratio_pair(num, den, n)
    return hi
