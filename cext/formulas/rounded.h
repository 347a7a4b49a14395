/* The correctly rounded functions of float32; twin of fastsig/formulas/rounded.py, which explains them. */
FORMULA R FN(within_range)(R x) {
    x = select(x > K(x_max), K(x_max), x);
    return select(x < -K(x_max), -K(x_max), x);
}

typedef struct { R r, s; } FN(parts);

FORMULA FN(parts) FN(exp_neg)(R x) {
    R t = fma(x, -K(log2e), K(magic));
    R n = sub(t, K(magic));
    R r = fma(n, K(ln2), x);
    R s = unbits(shl(bits(t), K(mantissa)));
    return (FN(parts)){r, s};
}

FORMULA R FN(with_sign)(R y, R x) {
    return unbits(iadd(bits(y), iand(bits(x), bits(K(minus_zero)))));
}

FORMULA R FN(sigmoid_of)(R r, R s) {
    R c = horner(K(coth), mul(r, r));
    R num = add(c, r);
    R q = div(num, fma(s, sub(c, r), num));
    return fma(neg(q), FN(with_sign)(K(unit), r), q);
}

FORMULA R FN(sigmoid)(R x) {
    FN(parts) e = FN(exp_neg)(FN(within_range)(x));
    return FN(sigmoid_of)(e.r, e.s);
}

FORMULA R FN(sigmoid_grad)(R x) {
    FN(parts) e = FN(exp_neg)(FN(within_range)(x));
    R c = horner(K(coth), mul(e.r, e.r));
    R d = fma(e.s, sub(c, e.r), add(c, e.r));
    return div(mul(e.s, fma(neg(e.r), e.r, mul(c, c))), mul(d, d));
}

FORMULA R FN(two_atanh)(R s) {
    R s2 = mul(s, s);
    return fma(mul(s, s2), horner(K(atanh), s2), add(s, s));
}

FORMULA R FN(softplus)(R x) {
    FN(parts) e = FN(exp_neg)(FN(within_range)(absolute(x)));
    R c = horner(K(coth), mul(e.r, e.r));
    R d = add(c, e.r);
    R z = mul(e.s, sub(c, e.r));
    R m = select(add(z, z) > mul(d, K(log1p_half)), d, 0);
    R y = FN(two_atanh)(div(sub(z, m), add(add(z, m), add(d, d))));
    y = add(add(y, select(m > 0, K(ln2), 0)), select(x > 0, x, 0));
    return select(x == K(softplus_tie), K(softplus_at_tie), y);
}

FORMULA R FN(log_sigmoid)(R x) {
    return neg(FN(softplus)(neg(x)));
}

FORMULA R FN(silu)(R x) {
    R a = select(x < -K(x_max), -K(x_max), x);
    FN(parts) e = FN(exp_neg)(FN(within_range)(a));
    R c = horner(K(coth), mul(e.r, e.r));
    R num = add(c, e.r);
    R q = div(num, fma(e.s, sub(c, e.r), num));
    return select(x == 0, x, fma(a, q, K(least)));
}

FORMULA R FN(logit)(R p) {
    R m = select(p > K(half), sub(1, p), p);
    R d = sub(1, m);
    I e = iand(iadd(isub(bits(d), bits(m)), iadd(bits(K(one)), K(half_step))), bits(K(inf)));
    R w = mul(m, unbits(e));
    R n = fma(to_real(e), K(step), -K(bias));
    R y = fma(n, -K(ln2), FN(two_atanh)(div(sub(w, d), add(w, d))));
    y = select(p == K(logit_tie), K(logit_at_tie), y);
    y = select(m > 0, y, select(m == 0, -K(inf), K(nan)));
    return select(p > K(half), neg(y), y);
}

FORMULA R FN(tanh)(R x) {
    FN(parts) e = FN(exp_neg)(FN(within_range)(add(x, x)));
    R c = horner(K(coth_exact), mul(e.r, e.r));
    R num = fma(sub(1, e.s), c, mul(add(1, e.s), e.r));
    return select(x == 0, x, div(num, fma(e.s, sub(c, e.r), add(c, e.r))));
}
