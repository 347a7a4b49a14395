/* Binary cross-entropy and its gradient, from logits and from probabilities; twin of fastsig/formulas/bce.py. */
FORMULA R FN(bce_with_logits)(R x, R t) {
    R l = FN(log1p_exp)(FN(magnitude)(x), 0);
    R u = select(x >= 0, sub(1, t), t);
    R h = select(u == 0, 0, absolute(x));
    return fma(h, u, l);
}

FORMULA R FN(bce_with_logits_grad)(R x, R t) {
    R w = FN(tail)(FN(magnitude)(x), K(un_up));
    return select(x >= 0, sub(sub(1, t), w), sub(w, t));
}

FORMULA FN(pair) FN(neg_log_pair)(R p) {
    R w = mul(p, K(lift));
    I e = shr(iadd(isub(bits(w), bits(K(one))), K(root_step)), K(mantissa));
    R s = unbits(shl(iadd(e, K(bias)), K(mantissa)));
    R n = sub(K(lift_log2), FN(real)(e));
    FN(pair) y = FN(log_ratio_pair)(sub(s, w), add(s, w), n);
    return (FN(pair)){select(p == 0, K(inf), y.hi), y.lo};
}

FORMULA R FN(neg_log)(R p) {
    return FN(neg_log_pair)(p).hi;
}

FORMULA R FN(neg_log1m)(R p) {
    R m = sub(1, p);
    I e = shr(iadd(isub(bits(m), bits(K(one))), K(root_step)), K(mantissa));
    R s = unbits(shl(iadd(e, K(bias)), K(mantissa)));
    R y = FN(log_ratio)(add(p, sub(s, 1)), add(s, m), neg(FN(real)(e)));
    return select(m == 0, K(inf), y);
}

FORMULA R FN(bce)(R p, R t) {
    p = select(p >= 0, select(p <= 1, p, K(nan)), K(nan));
    R u = sub(1, t);
    R h = select(t == 0, 0, FN(neg_log)(p));
    R l = select(u == 0, 0, FN(neg_log1m)(p));
    R hit = mul(t, h);
    R miss = mul(u, l);
    return select(hit > miss, fma(t, h, miss), fma(u, l, hit));
}

FORMULA R FN(bce_grad)(R p, R t) {
    p = absolute(select(p >= 0, select(p <= 1, p, K(nan)), K(nan)));
    R m = sub(1, p);
    R num = select(t == 0, 1, select(t == 1, -1, sub(p, t)));
    R den = select(t == 0, m, select(t == 1, p, mul(p, m)));
    return div(num, den);
}
