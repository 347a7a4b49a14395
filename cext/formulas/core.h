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

FORMULA R FN(expm1_reduced)(R r) {
    return fma(horner(K(expm1), r), mul(r, r), r);
}

typedef struct { R q, s; } FN(parts);

FORMULA FN(parts) FN(exp_parts)(R a, R magic) {
    FN(range) e = FN(exp_range)(a, magic);
    return (FN(parts)){FN(expm1_reduced)(e.r), e.s};
}

FORMULA R FN(magnitude)(R x) {
    return at_most(absolute(x), K(a_max));
}

FORMULA R FN(tail_reduced)(R r, R s, R c) {
    R q = FN(expm1_reduced)(r);
    R d = add(s, fma(q, s, K(un_up)));
    return div(c, d);
}

FORMULA R FN(tail)(R a, R c) {
    FN(range) e = FN(exp_range)(a, K(magic_down));
    return FN(tail_reduced)(e.r, e.s, c);
}

/* |1 - w| or |0 - w|, the same bits: two and's take less than a choice, but where AVX-512 subtracts under a mask */
FORMULA R FN(on_side_of)(R x, R w) {
#if defined(__AVX512F__)
    return select(x >= 0, sub(1, w), w);
#else
    return absolute(sub(select(x >= 0, 1, 0), w));
#endif
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

FORMULA R FN(log1p_by_polynomial)(R z, R c) {
    return fma(mul(z, horner(K(log1p), mul(z, K(un_up)))), K(un_up), c);
}

FORMULA R FN(log1p_by_quotient)(R a, R r, R s, R c) {
    R m = sub(horner(K(coth), mul(r, r)), r);
    r = add(r, r);
    R near = select(a < K(half_log1p), s, 0);
    s = add(add(s, s), near);
    R one = mul(near, K(up));
    R den = fma(m, add(s, K(un_up)), mul(r, s));
    R q = div(fma(m, sub(1, one), neg(mul(r, one))), den);
    R v = mul(q, K(un_up));
    v = mul(v, v);
    R y = fma(q, 2, select(a < K(half_log1p), K(ln2_rest_up), 0));
    y = fma(mul(q, v), horner(K(near_atanh), v), y);
    return fma(y, K(un_up), add(c, select(a < K(half_log1p), K(ln2), 0)));
}

FORMULA FN(range) FN(log1p_exp_range)(R a) {
    if (K(by_quotient)) return FN(exp_range)(a, K(magic_down));
    FN(parts) e = FN(exp_parts)(neg(a), K(magic_up));
    return (FN(range)){fma(e.q, e.s, e.s), e.s};
}

FORMULA R FN(log1p_exp_reduced)(R a, R r, R s, R c) {
    if (K(by_quotient)) return FN(log1p_by_quotient)(a, r, s, c);
    return FN(log1p_by_polynomial)(r, c);
}

FORMULA R FN(log1p_exp)(R a, R c) {
    FN(range) e = FN(log1p_exp_range)(a);
    return FN(log1p_exp_reduced)(a, e.r, e.s, c);
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
