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

FORMULA R FN(sigmoid_afar)(R r, R s) {
    R c = horner(K(coth), mul(r, r));
    R num = add(c, r);
    return div(num, fma(s, sub(c, r), num));
}

FORMULA R FN(sigmoid_of)(R r, R s) {
    R q = FN(sigmoid_afar)(r, s);
    return fma(neg(q), FN(with_sign)(K(unit), r), q);
}

FORMULA R FN(sigmoid)(R x) {
    FN(parts) e = FN(exp_neg)(FN(within_range)(x));
    return FN(sigmoid_of)(e.r, e.s);
}

FORMULA R FN(sigmoid_grad_of)(R r, R s) {
    R c = horner(K(coth), mul(r, r));
    R d = fma(s, sub(c, r), add(c, r));
    return div(mul(s, fma(neg(r), r, mul(c, c))), mul(d, d));
}

FORMULA R FN(sigmoid_grad)(R x) {
    FN(parts) e = FN(exp_neg)(FN(within_range)(x));
    return FN(sigmoid_grad_of)(e.r, e.s);
}

FORMULA R FN(two_atanh)(R q) {
    R v = mul(q, q);
    return fma(mul(q, v), horner(K(atanh), v), add(q, q));
}

FORMULA R FN(softplus_ratio)(R r, R s, R x) {
    R c = horner(K(coth), mul(r, r));
    R d = add(c, r);
    R z = mul(s, sub(c, r));
    R m = select(absolute(x) < K(log1p_half), d, 0);
    return div(sub(z, m), add(add(z, m), add(d, d)));
}

FORMULA R FN(softplus_of)(R q, R x) {
    R y = add(FN(two_atanh)(q), select(absolute(x) < K(log1p_half), K(ln2), 0));
    y = add(y, select(x > 0, x, 0));
    return select(x == K(softplus_tie), K(softplus_at_tie), y);
}

FORMULA R FN(softplus)(R x) {
    FN(parts) e = FN(exp_neg)(FN(within_range)(absolute(x)));
    return FN(softplus_of)(FN(softplus_ratio)(e.r, e.s, x), x);
}

FORMULA R FN(log_sigmoid)(R x) {
    return neg(FN(softplus)(neg(x)));
}

FORMULA R FN(silu_of)(R r, R s, R x) {
    R a = select(x < -K(x_max), -K(x_max), x);
    return select(x == 0, x, fma(a, FN(sigmoid_afar)(r, s), K(least)));
}

FORMULA R FN(silu)(R x) {
    FN(parts) e = FN(exp_neg)(FN(within_range)(x));
    return FN(silu_of)(e.r, e.s, x);
}

typedef struct { R q, n; } FN(ratio);

FORMULA FN(ratio) FN(odds)(R p) {
    R m = select(p > K(half), sub(1, p), p);
    R d = sub(1, m);
    I e = iand(iadd(isub(bits(d), bits(m)), iadd(bits(K(one)), K(half_step))), bits(K(inf)));
    R w = mul(m, unbits(e));
    R n = fma(to_real(e), K(step), -K(bias));
    return (FN(ratio)){div(sub(w, d), add(w, d)), n};
}

FORMULA R FN(logit_of)(R q, R n, R p) {
    R y = fma(n, -K(ln2), FN(two_atanh)(q));
    y = select(p == K(logit_tie), K(logit_at_tie), y);
    y = select(p > K(half), neg(y), y);
    y = select(p > 0, y, K(nan));
    y = select(p < 1, y, K(nan));
    y = select(p == 0, -K(inf), y);
    return select(p == 1, K(inf), y);
}

FORMULA R FN(logit)(R p) {
    FN(ratio) f = FN(odds)(p);
    return FN(logit_of)(f.q, f.n, p);
}

FORMULA R FN(tanh_of)(R r, R s, R x) {
    R c = horner(K(coth_exact), mul(r, r));
    R num = fma(sub(1, s), c, mul(add(1, s), r));
    return select(x == 0, x, div(num, fma(s, sub(c, r), add(c, r))));
}

FORMULA R FN(tanh)(R x) {
    FN(parts) e = FN(exp_neg)(FN(within_range)(add(x, x)));
    return FN(tanh_of)(e.r, e.s, x);
}
