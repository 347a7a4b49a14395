"""The exponential and the logarithm under every formula; twin of ``cext/formulas/core.h``.

e^a = 2^n e^r with n = a/ln 2 rounded to an integer and r = a - n ln 2, so |r| <= ln(2)/2. Adding ``magic`` rounds, and leaves n
and an exponent bias in the low bits, from where one shift makes 2^(n+b): b keeps every scaled quantity a normal number.
Functions take a magnitude 0 <= a <= a_max; a NaN goes through all of them. Errors are in ULP of the value returned; docs/numerics.md
derives them.
"""

from __future__ import annotations

from .prims import Int, Real, absolute, add, at_most, bits, constants, div, fma, horner, iadd, mul, neg, select, shl, sub, unbits


def real(i: Int) -> Real:
    """The integer i as a real, exactly, for |i| < 2^(mantissa - 1)."""
    k = constants(unbits(i))
    return sub(unbits(iadd(i, bits(k.magic))), k.magic)


def exp_range(a: Real, magic: Real) -> tuple[Real, Real]:
    """r, s with e^a 2^b = s e^r, where s = 2^(n+b)."""
    k = constants(a)
    t = fma(a, k.log2e, magic)
    n = sub(t, magic)
    r = fma(n, -k.ln2_hi, a)
    r = fma(n, -k.ln2_lo, r)
    s = unbits(shl(bits(t), k.mantissa))
    return r, s


def expm1_reduced(r: Real) -> Real:
    """e^r - 1 for |r| <= ln(2)/2."""
    k = constants(r)
    return fma(horner(k.expm1, r), mul(r, r), r)


def exp_parts(a: Real, magic: Real) -> tuple[Real, Real]:
    """q, s with e^a 2^b = s + q s, where s = 2^(n+b) and q = e^r - 1; 0.5 ULP of e^a."""
    r, s = exp_range(a, magic)
    return expm1_reduced(r), s


def magnitude(x: Real) -> Real:
    """|x|, but no more than a_max, where every result has reached its limit."""
    k = constants(x)
    return at_most(absolute(x), k.a_max)


def tail_reduced(r: Real, s: Real, c: Real) -> Real:
    """``tail`` of what ``exp_range`` gave."""
    k = constants(r)
    q = expm1_reduced(r)
    d = add(s, fma(q, s, k.un_up))
    return div(c, d)


def tail(a: Real, c: Real) -> Real:
    """(c/un_up) / (1 + e^a), the division itself rounding into the subnormals; 2 ULP."""
    k = constants(a)
    r, s = exp_range(a, k.magic_down)
    return tail_reduced(r, s, c)


def on_side_of(x: Real, w: Real) -> Real:
    """sigmoid(x) of w = sigmoid(-|x|): 1 - w for x >= 0, and w for x < 0."""
    return select(x >= 0, sub(1, w), w)


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


def log1p_by_polynomial(z: Real, c: Real) -> Real:
    """c + log(1 + z/2^up_log2)."""
    k = constants(z)
    return fma(mul(z, horner(k.log1p, mul(z, k.un_up))), k.un_up, c)


def log1p_by_quotient(a: Real, r: Real, s: Real, c: Real) -> Real:
    """c + log(1 + e^-a) of a's range, one division being both the exponential's and the logarithm's.

    With p = r coth(r/2) and m = p - r, e^r is (m + 2r)/m and z = e^-a is m/(m + 2r) 2^-n. log(1 + z) is 2 atanh(z/(2 + z)), and where
    z > sqrt 2 - 1 it is log 2 + 2 atanh((z - 1)/(3 + z)), so that the quotient is at most 0.1716. Multiplied by m and (m + 2r) 2^n its
    terms become fma's of what is rounded once; q is kept scaled by 2^up_log2.
    """
    k = constants(a)
    m = sub(horner(k.coth, mul(r, r)), r)
    r = add(r, r)
    near = select(a < k.half_log1p, s, 0)
    s = add(add(s, s), near)
    one = mul(near, k.up)
    den = fma(m, add(s, k.un_up), mul(r, s))
    q = div(fma(m, sub(1, one), neg(mul(r, one))), den)
    v = mul(q, k.un_up)
    v = mul(v, v)
    y = fma(q, 2, select(a < k.half_log1p, k.ln2_rest_up, 0))
    y = fma(mul(q, v), horner(k.near_atanh, v), y)
    return fma(y, k.un_up, add(c, select(a < k.half_log1p, k.ln2, 0)))


def log1p_exp_range(a: Real) -> tuple[Real, Real]:
    """What ``log1p_exp_reduced`` takes: a's range, or 2^up_log2 e^-a with what is not needed beside it."""
    k = constants(a)
    if k.by_quotient:
        return exp_range(a, k.magic_down)
    q, s = exp_parts(neg(a), k.magic_up)
    return fma(q, s, s), s


def log1p_exp_reduced(a: Real, r: Real, s: Real, c: Real) -> Real:
    """``log1p_exp`` of what ``log1p_exp_range`` gave."""
    k = constants(a)
    if k.by_quotient:
        return log1p_by_quotient(a, r, s, c)
    return log1p_by_polynomial(r, c)


def log1p_exp(a: Real, c: Real) -> Real:
    """c + log(1 + e^-a), rounded once at the end; 2 ULP."""
    r, s = log1p_exp_range(a)
    return log1p_exp_reduced(a, r, s, c)


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
