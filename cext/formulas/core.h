/* The exponential and the logarithm under every formula; twin of fastsig/formulas/core.py, which explains them. */
/* the integer i as a real, exactly, for |i| < 2^(mantissa-1) */
FORMULA R FN(real)(I i) {
    return sub(unbits(iadd(i, bits(K(magic)))), K(magic));
}

typedef struct { R r, s; } FN(range);

FORMULA FN(range) FN(exp_range)(R a, R magic) {
    R t = fma(a, K(log2e), magic);
    R n = sub(t, magic);
    R r = fma(n, -K(ln2_hi), a);
    r = fma(n, -K(ln2_lo), r);
    R s = unbits(shl(bits(t), K(mantissa)));
    return (FN(range)){r, s};
}

typedef struct { R q, s; } FN(parts);

FORMULA FN(parts) FN(exp_parts)(R a, R magic) {
    FN(range) e = FN(exp_range)(a, magic);
    R q = fma(horner(K(expm1), e.r), mul(e.r, e.r), e.r);
    return (FN(parts)){q, e.s};
}

FORMULA R FN(magnitude)(R x) {
    return lesser(absolute(x), K(a_max));
}

FORMULA R FN(tail)(R a, R c) {
    FN(parts) e = FN(exp_parts)(a, K(magic_down));
    R d = add(e.s, fma(e.q, e.s, K(un_up)));
    return div(c, d);
}

typedef struct { R hi, lo; } FN(pair);

FORMULA FN(pair) FN(tail_pair)(R a) {
    FN(parts) e = FN(exp_parts)(a, K(magic_down));
    R v = fma(e.q, e.s, K(un_up));
    R d = add(e.s, v);
    R d_lo = sub(v, sub(d, e.s));
    R w = div(1, d);
    R rest = fma(neg(w), d_lo, fma(neg(w), d, 1));
    return (FN(pair)){w, mul(rest, w)};
}

FORMULA R FN(log1p_exp_by_polynomial)(R a, R c) {
    FN(parts) e = FN(exp_parts)(neg(a), K(magic_up));
    R z = fma(e.q, e.s, e.s);
    return fma(mul(z, horner(K(log1p), mul(z, K(un_up)))), K(un_up), c);
}

FORMULA R FN(log1p_exp_by_quotient)(R a, R c) {
    FN(range) e = FN(exp_range)(a, K(magic_down));
    R m = sub(horner(K(coth), mul(e.r, e.r)), e.r);
    R r = add(e.r, e.r);
    R near = select(a < K(half_log1p), e.s, 0);
    R s = add(add(e.s, e.s), near);
    R one = mul(near, K(up));
    R den = fma(m, add(s, K(un_up)), mul(r, s));
    R q = div(fma(m, sub(1, one), neg(mul(r, one))), den);
    R v = mul(q, K(un_up));
    v = mul(v, v);
    R y = fma(mul(q, v), horner(K(near_atanh), v), add(q, q));
    return fma(y, K(un_up), add(c, select(a < K(half_log1p), K(ln2), 0)));
}

FORMULA R FN(log1p_exp)(R a, R c) {
    if (K(by_quotient)) return FN(log1p_exp_by_quotient)(a, c);
    return FN(log1p_exp_by_polynomial)(a, c);
}

FORMULA FN(pair) FN(log_ratio_pair)(R num, R den, R n) {
    R s = div(num, den);
    R s2 = mul(s, s);
    R y = fma(mul(s, s2), horner(K(atanh), s2), add(s, s));
    y = fma(n, K(ln2_lo), y);
    R hi = fma(n, K(ln2_hi), y);
    return (FN(pair)){hi, add(sub(mul(n, K(ln2_hi)), hi), y)};
}

FORMULA R FN(log_ratio)(R num, R den, R n) {
    return FN(log_ratio_pair)(num, den, n).hi;
}
