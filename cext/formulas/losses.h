/* Losses with their weights; twin of fastsig/formulas/losses.py, which explains them. */
FORMULA R FN(smoothed)(R t, R keep, R floor) {
    return fma(t, keep, floor);
}

FORMULA R FN(scaled)(R v, R s, R s_lo) {
    return fma(v, s, mul(v, s_lo));
}

typedef struct { R p, q, s; } FN(exponential);

FORMULA FN(exponential) FN(exp_parts_up_to)(R a, R most) {
    a = select(a > most, most, a);
    R t = fma(a, -K(log2e), K(magic_up));
    R n = sub(t, K(magic_up));
    R r = fma(n, -K(ln2_hi), neg(a));
    r = fma(n, -K(ln2_lo), r);
    R r2 = mul(r, r);
    R even = horner(K(expm1_even), r2);
    R odd = horner(K(expm1_odd), r2);
    R p = fma(r2, fma(r, odd, even), r);
    R q = fma(r2, fma(neg(r), odd, even), neg(r));
    R s = unbits(shl(bits(t), K(mantissa)));
    return (FN(exponential)){p, q, s};
}

FORMULA FN(exponential) FN(exp_parts_up)(R a) {
    return FN(exp_parts_up_to)(a, K(a_max));
}

FORMULA R FN(exp_of)(R p, R s) {
    return fma(p, s, s);
}

FORMULA R FN(log1p_up)(R z) {
    R v = mul(z, K(un_up));
    return mul(v, horner(K(log1p), v));
}

FORMULA R FN(log1p_to_weigh)(R z) {
    return mul(mul(z, horner(K(log1p), mul(z, K(un_up)))), K(un_down_up));
}

FORMULA R FN(lesser_up)(R q, R s) {
    R d = fma(s, K(un_up), q);
    return div(s, fma(d, K(down_up), K(down_up)));
}

FORMULA R FN(plain_loss)(R x, R z, R t, R miss) {
    R u = select(x >= 0, miss, t);
    R h = select(u == 0, 0, absolute(x));
    return fma(h, u, FN(log1p_up)(z));
}

FORMULA R FN(unit_of)(R w) {
    return select(w > 1, 1, K(down));
}

FORMULA R FN(weighed_up)(R v_up, R w) {
    return mul(select(w > 1, mul(w, K(down)), w), v_up);
}

FORMULA R FN(weighted_loss)(R x, R z, R pos, R miss, R both) {
    R u = select(x >= 0, miss, pos);
    R h = select(u == 0, 0, absolute(x));
    return fma(h, u, mul(FN(weighed_up)(FN(log1p_to_weigh)(z), both), FN(unit_of)(both)));
}

FORMULA R FN(weighted_grad)(R x, R w_up, R pos, R miss, R both) {
    R v = FN(weighed_up)(w_up, both);
    R u = FN(unit_of)(both);
    return select(x >= 0, fma(neg(v), u, miss), fma(v, u, neg(pos)));
}

FORMULA R FN(weighted_hess)(R w_up, R both) {
    R v = fma(neg(w_up), mul(w_up, K(down)), w_up);
    return mul(FN(weighed_up)(v, both), FN(unit_of)(both));
}

FORMULA R FN(counting)(R v, R w) {
    return select(w == 0, select(v == K(inf), 0, v), v);
}

FORMULA R FN(weighted)(R v, R w) {
    return mul(w, FN(counting)(v, w));
}

FORMULA FN(pair) FN(focal_lesser_up)(R q, R s) {
    R u = mul(s, K(un_up));
    R e = add(u, q);
    R d = add(1, e);
    R d_lo = add(sub(q, sub(e, u)), sub(e, sub(d, 1)));
    R v = div(1, d);
    R rest = fma(neg(v), d_lo, fma(neg(v), d, 1));
    return (FN(pair)){mul(mul(s, v), K(un_down_up)), rest};
}

FORMULA FN(pair) FN(focal_log)(R p, R s, R w) {
    R z = FN(exp_of)(p, s);
    R v = mul(z, K(un_up));
    R lost = mul(fma(p, s, sub(s, z)), K(un_up));
    return (FN(pair)){v, fma(lost, sub(1, w), mul(v, mul(v, horner(K(log1p_rest), v))))};
}

FORMULA R FN(focal_miss)(R x, R w, R t) {
    R up = select(x >= 0, sub(1, w), w);
    R down = select(x >= 0, w, sub(1, w));
    return fma(up, sub(1, t), mul(down, t));
}

FORMULA R FN(focal_share)(R t, R alpha, R beta) {
    return fma(alpha, t, mul(beta, sub(1, t)));
}

FORMULA R FN(focal_miss_rest)(R x, R w, R rest, R t, R m, R v) {
    R near = select(t == 0, neg(x), x);
    R far = mul(add(1, v), fma(neg(w), rest, sub(sub(1, m), w)));
    R r = select(near >= 0, rest, far);
    return select(t == 0, r, select(t == 1, r, 0));
}

FORMULA R FN(focal_loss)(R x, R t, R v, R v_lo, R more) {
    R u = select(x >= 0, sub(1, t), t);
    R h = select(u == 0, v, absolute(x));
    R l = select(u == 0, v_lo, add(v, v_lo));
    u = select(u == 0, 1, u);
    R y = fma(h, u, l);
    return fma(h, u, fma(more, select(y == K(inf), 0, y), l));
}

FORMULA FN(pair) FN(focal_times)(R p, R p_lo, R m) {
    R y = mul(p, m);
    return (FN(pair)){y, fma(p_lo, m, fma(p, m, neg(y)))};
}

FORMULA R FN(focal_product)(R p, R p_lo, R v) {
    return select(v == K(inf), v, fma(p, v, mul(p_lo, v)));
}

FORMULA R FN(focal_slope)(R x, R w, R rest, R t, R m, R loss, R gamma, R more) {
    R up = select(x >= 0, sub(1, w), w);
    R down = select(x >= 0, w, sub(1, w));
    R near = select(t == 0, neg(x), x);
    R c = select(loss == K(inf), 0, loss);
    R r = select(near >= 0, neg(w), fma(w, rest, w));
    R hard = fma(r, c, select(near >= 0, c, 0));
    R soft = mul(div(mul(up, down), m), c);
    r = select(t == 0, hard, select(t == 1, hard, soft));
    R g = select(x >= 0, sub(sub(1, t), w), sub(w, t));
    return fma(mul(gamma, fma(-2, t, 1)), r, fma(g, more, g));
}

FORMULA FN(exponential) FN(exp_parts_far)(R a) {
    FN(exponential) e = FN(exp_parts_up_to)(a, K(a_far));
    return (FN(exponential)){e.p, e.q, select(a > K(a_far), 0, e.s)};
}

FORMULA R FN(capped)(R x) {
    x = select(x > K(a_far), K(a_far), x);
    return select(x < -K(a_far), -K(a_far), x);
}

FORMULA R FN(focal_curve)(R x, R z, R w_up, R t, R m, R loss, R gamma) {
    R w = mul(w_up, K(down));
    R u = sub(1, w);
    R near = select(t == 0, neg(x), x);
    R l = select(near >= 0, FN(log1p_to_weigh)(z), loss);
    R miss = select(near >= 0, w, u);
    R miss_up = select(near >= 0, w_up, u);
    R n = select(near >= 0, u, w);
    R n_up = select(near >= 0, u, w_up);
    R hard = fma(mul(gamma, l), fma(gamma, n, neg(miss)), mul(fma(2, gamma, 1), miss_up));
    R c = fma(-2, t, 1);
    R d = fma(-2, w, 1);
    d = select(x >= 0, neg(d), d);
    R g = select(x >= 0, sub(sub(1, t), w), sub(w, t));
    R b = fma(loss, fma(sub(gamma, 1), mul(c, div(mul(w, u), m)), d), add(g, g));
    R soft = mul(u, fma(mul(gamma, c), div(b, m), 1));
    n_up = select(t == 0, n_up, select(t == 1, n_up, w_up));
    return mul(n_up, select(t == 0, hard, select(t == 1, hard, soft)));
}

FORMULA R FN(focal_power)(R x, R z, R t, R m, R g, R g_lo) {
    R far = select(t == 0, neg(x), x);
    far = select(far > 0, far, 0);
    R l = FN(log1p_up)(z);
    R y = add(far, l);
    R r = add(sub(far, y), l);
    FN(pair) log = FN(neg_log_pair)(m);
    y = select(t == 0, y, select(t == 1, y, log.hi));
    r = select(t == 0, r, select(t == 1, r, log.lo));
    R cap = mul(K(greatest), K(un_up));
    r = select(y > cap, 0, r);
    y = select(y > cap, cap, y);
    R a = mul(g, y);
    r = fma(g_lo, y, fma(g, r, fma(g, y, neg(a))));
    FN(exponential) parts = FN(exp_parts_up)(a);
    R e = FN(exp_of)(parts.p, parts.s);
    return mul(fma(neg(e), r, e), K(un_up));
}
