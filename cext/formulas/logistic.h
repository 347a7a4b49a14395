/* The elementwise family; twin of fastsig/formulas/logistic.py. */
FORMULA FN(range) FN(sigmoid_range)(R x) {
    return FN(exp_range)(FN(magnitude)(x), K(magic_down));
}

FORMULA R FN(sigmoid_reduced)(R x, R r, R s) {
    R w = FN(tail_reduced)(r, s, K(un_up));
    return FN(on_side_of)(x, w);
}

FORMULA R FN(sigmoid)(R x) {
    FN(range) e = FN(sigmoid_range)(x);
    return FN(sigmoid_reduced)(x, e.r, e.s);
}

FORMULA R FN(sigmoid_grad_reduced)(R x, R r, R s) {
    R w = FN(tail_reduced)(r, s, K(un_up));
    return fma(neg(w), w, w);
}

FORMULA R FN(sigmoid_grad)(R x) {
    FN(range) e = FN(sigmoid_range)(x);
    return FN(sigmoid_grad_reduced)(x, e.r, e.s);
}

FORMULA FN(range) FN(softplus_range)(R x) {
    return FN(log1p_exp_range)(FN(magnitude)(x));
}

FORMULA R FN(softplus_reduced)(R x, R r, R s) {
    return FN(log1p_exp_reduced)(absolute(x), r, s, select(x > 0, x, 0));
}

FORMULA R FN(softplus)(R x) {
    FN(range) e = FN(softplus_range)(x);
    return FN(softplus_reduced)(x, e.r, e.s);
}

FORMULA R FN(log_sigmoid_reduced)(R x, R r, R s) {
    return neg(FN(softplus_reduced)(neg(x), r, s));
}

FORMULA R FN(log_sigmoid)(R x) {
    return neg(FN(softplus)(neg(x)));
}

FORMULA R FN(logit)(R p) {
    R m = select(p > K(half), sub(1, p), p);
    R w = fma(m, K(odds_lift), K(odds_tiny));
    R z = fma(w, -K(inf), -K(inf));
    R b = fma(m, -K(odds_fall), K(odds_fall));
    I e = iand(isub(bits(b), bits(w)), bits(K(inf)));
    R r = unbits(e);
    R num = fma(w, fma(r, K(half), K(odds_unit)), -8);
    R s = div(num, fma(w, r, neg(num)));
    R y = fma(s, horner(K(two_atanh), mul(s, s)), fma(to_real(e), -K(ln2_step), K(ln2_unit)));
    y = select(z < y, y, z);
    return select(p > K(half), sub(0, y), y);
}

FORMULA R FN(silu_reduced)(R x, R r, R s) {
    R w = FN(tail_reduced)(r, s, FN(magnitude)(x));
    return fma(neg(w), K(un_up), select(x >= 0, x, K(minus_zero)));
}

FORMULA R FN(silu)(R x) {
    FN(range) e = FN(sigmoid_range)(x);
    return FN(silu_reduced)(x, e.r, e.s);
}

FORMULA R FN(silu_grad)(R x) {
    R a = FN(magnitude)(x);
    FN(pair) v = FN(tail_pair)(a);
    R w = mul(v.hi, K(un_up));
    R u = fma(a, w, sub(1, a));
    w = mul(fma(v.hi, u, mul(v.lo, fma(a, w, u))), K(un_up));
    return select(x >= 0, sub(1, w), w);
}

FORMULA R FN(with_sign_of)(R y, R x) {
    return unbits(iadd(bits(y), iand(bits(x), bits(K(minus_zero)))));
}

FORMULA R FN(tanh)(R x) {
    R a = absolute(x);
    R b = FN(magnitude)(add(a, a));
    R z = mul(b, b);
    R near = fma(mul(b, z), horner(K(half_tanh), z), a);
    R far = sub(1, FN(tail)(b, mul(2, K(un_up))));
    return FN(with_sign_of)(select(b < K(half_tanh_max), near, far), x);
}

FORMULA R FN(tanh_grad)(R x) {
    R v = FN(tail)(FN(magnitude)(add(x, x)), mul(4, K(un_up)));
    return fma(mul(v, -0.25), v, v);
}
