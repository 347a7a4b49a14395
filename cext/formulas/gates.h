/* Gated linear units and the cells of recurrent networks, with their gradients; twin of fastsig/formulas/gates.py, which explains them. */
typedef struct { R y, n; } FN(factor);

typedef struct { R w, z, n; } FN(gate);

typedef struct { R t, s, n; } FN(slopes);

typedef struct { R out[2]; } FN(two);

typedef struct { R out[5]; } FN(five);

/* ---- near ---- */
FORMULA R FN(lesser)(R x) {
    R a = absolute(x);
    R t = fma(a, K(log2e), K(magic));
    R n = sub(t, K(magic));
    R r = fma(n, -K(ln2_hi), a);
    r = fma(n, -K(ln2_lo), r);
    R q = fma(horner(K(expm1), r), mul(r, r), r);
    R z = unbits(shl(isub(bits(K(magic_one)), bits(t)), K(mantissa)));
    R v = add(q, z);
    R d = add(1, v);
    R w = div(1, d);
    R rest = fma(neg(w), sub(v, sub(d, 1)), fma(neg(w), d, 1));
    return mul(fma(rest, w, w), z);
}

FORMULA R FN(opened)(R x, R p) {
    return select(x >= 0, sub(1, p), p);
}

FORMULA R FN(steepness)(R p) {
    return fma(neg(p), p, p);
}

FORMULA R FN(gated)(R y, R x) {
    FN(parts) e = FN(exp_parts)(absolute(x), K(magic_one));
    R a = absolute(y);
    R t = div(a, add(e.s, fma(e.q, e.s, 1)));
    return FN(with_sign_of)(select(x >= 0, sub(a, t), t), y);
}

FORMULA R FN(slope_at)(R y, R z) {
    return FN(steepness)(select(y < z, y, z));
}

FORMULA R FN(power_of_e)(R x) {
    FN(parts) e = FN(exp_parts)(x, K(magic_one));
    return fma(e.q, e.s, e.s);
}

typedef struct { R p, q; } FN(ratio);

FORMULA FN(ratio) FN(tanh_ratio)(R x) {
    R a = absolute(x);
    FN(parts) e = FN(exp_parts)(add(a, a), K(magic_one));
    R p = fma(e.q, e.s, sub(e.s, 1));
    return (FN(ratio)){FN(with_sign_of)(p, x), add(p, 2)};
}

FORMULA R FN(glu_near)(R a, R b) {
    return FN(gated)(a, b);
}

FORMULA FN(two) FN(glu_backward_near)(R grad, R a, R b) {
    R p = FN(lesser)(b);
    return (FN(two)){{mul(grad, FN(opened)(b, p)), mul(mul(grad, a), FN(steepness)(p))}};
}

FORMULA R FN(swiglu_near)(R a, R b) {
    return FN(gated)(mul(a, b), a);
}

FORMULA FN(two) FN(swiglu_backward_near)(R grad, R a, R b) {
    R p = FN(lesser)(a);
    R m = absolute(a);
    R u = mul(p, fma(m, p, sub(1, m)));
    return (FN(two)){{mul(mul(grad, b), select(a >= 0, sub(1, u), u)), mul(mul(grad, a), FN(opened)(a, p))}};
}

FORMULA R FN(lstm_state)(R i, R f, R g, R c) {
    FN(ratio) t = FN(tanh_ratio)(g);
    return add(div(c, add(1, FN(power_of_e)(neg(f)))), div(t.p, mul(add(1, FN(power_of_e)(neg(i))), t.q)));
}

FORMULA R FN(lstm_output)(R o, R c_new) {
    FN(ratio) t = FN(tanh_ratio)(c_new);
    return div(t.p, mul(add(1, FN(power_of_e)(neg(o))), t.q));
}

FORMULA FN(two) FN(lstm_cell_near)(R i, R f, R g, R o, R c) {
    R c_new = FN(lstm_state)(i, f, g, c);
    return (FN(two)){{FN(lstm_output)(o, c_new), c_new}};
}

FORMULA FN(five) FN(lstm_cell_backward_near)(R grad_h, R grad_c, R i, R f, R g, R o, R c) {
    R ei = FN(power_of_e)(neg(i));
    R ef = FN(power_of_e)(neg(f));
    R eo = FN(power_of_e)(neg(o));
    FN(ratio) t = FN(tanh_ratio)(g);
    R v = div(1, t.q);
    R tg = mul(t.p, v);
    R sg = mul(4, FN(steepness)(v));
    R yi = div(1, add(1, ei));
    R yf = div(1, add(1, ef));
    R yo = div(1, add(1, eo));
    FN(ratio) u = FN(tanh_ratio)(fma(yi, tg, mul(yf, c)));
    v = div(1, u.q);
    R grad = fma(mul(grad_h, yo), mul(4, FN(steepness)(v)), grad_c);
    R di = mul(mul(grad, tg), FN(slope_at)(yi, mul(ei, yi)));
    R df = mul(mul(grad, c), FN(slope_at)(yf, mul(ef, yf)));
    R dg = mul(mul(grad, yi), sg);
    R d_o = mul(mul(grad_h, mul(u.p, v)), FN(slope_at)(yo, mul(eo, yo)));
    return (FN(five)){{di, df, dg, d_o, mul(grad, yf)}};
}

FORMULA R FN(gru_sum)(R i_r, R i_n, R h_r, R h_n) {
    return add(i_n, div(h_n, add(1, FN(power_of_e)(neg(add(i_r, h_r))))));
}

FORMULA R FN(gru_state)(R i_z, R h_z, R h, R s) {
    R e = FN(power_of_e)(add(i_z, h_z));
    FN(ratio) t = FN(tanh_ratio)(s);
    return div(fma(e, h, div(t.p, t.q)), add(1, e));
}

FORMULA R FN(gru_cell_near)(R i_r, R i_z, R i_n, R h_r, R h_z, R h_n, R h) {
    return FN(gru_state)(i_z, h_z, h, FN(gru_sum)(i_r, i_n, h_r, h_n));
}

FORMULA FN(five) FN(gru_cell_backward_near)(R grad_h, R i_r, R i_z, R i_n, R h_r, R h_z, R h_n, R h) {
    R er = FN(power_of_e)(neg(add(i_r, h_r)));
    R ez = FN(power_of_e)(add(i_z, h_z));
    R yr = div(1, add(1, er));
    R kept = div(1, add(1, ez));
    R yz = mul(ez, kept);
    FN(ratio) t = FN(tanh_ratio)(fma(yr, h_n, i_n));
    R v = div(1, t.q);
    R slope = mul(4, FN(steepness)(v));
    R dn = mul(mul(grad_h, kept), slope);
    R dr = mul(mul(mul(mul(grad_h, h_n), kept), slope), FN(slope_at)(yr, mul(er, yr)));
    R dz = mul(mul(grad_h, sub(h, mul(t.p, v))), FN(slope_at)(yz, kept));
    return (FN(five)){{dr, dz, dn, mul(dn, yr), mul(grad_h, yz)}};
}

/* ---- far ---- */
FORMULA R FN(power)(R n) {
    return unbits(shl(bits(add(n, K(magic_one))), K(mantissa)));
}

FORMULA FN(factor) FN(split)(R x) {
    I e = iand(bits(x), K(class_mask));
    R n = fma(to_real(e), K(class_step), -K(class_top_log2));
    return (FN(factor)){mul(x, unbits(isub(bits(K(class_top)), e))), n};
}

FORMULA R FN(joined)(R y, R n) {
    n = select(n > K(least_log2), n, K(least_log2));
    R t = fma(n, K(half), K(magic_one));
    R m = sub(t, K(magic_one));
    return mul(mul(y, unbits(shl(bits(t), K(mantissa)))), FN(power)(sub(n, m)));
}

FORMULA FN(gate) FN(gate_parts)(R x) {
    R a = absolute(x);
    a = select(a > K(gate_max), K(gate_max), a);
    R t = fma(a, K(log2e), K(magic));
    R n = sub(t, K(magic));
    R r = fma(n, -K(ln2_hi), a);
    r = fma(n, -K(ln2_lo), r);
    R q = fma(horner(K(expm1), r), mul(r, r), r);
    R z = FN(power)(neg(select(n > K(near_log2), K(near_log2), n)));
    R v = add(q, z);
    R d = add(1, v);
    R w = div(1, d);
    R rest = fma(neg(w), sub(v, sub(d, 1)), fma(neg(w), d, 1));
    w = select(absolute(x) == K(inf), 0, fma(rest, w, w));
    return (FN(gate)){w, z, n};
}

FORMULA R FN(upper)(R w, R z) {
    return fma(neg(z), w, 1);
}

FORMULA R FN(lower)(R w, R z, R n) {
    R m = sub(n, select(n > K(near_log2), K(near_log2), n));
    return mul(mul(w, z), FN(power)(neg(select(m > K(near_log2), K(near_log2), m))));
}

FORMULA R FN(slope)(R w, R z) {
    return fma(neg(mul(z, w)), w, w);
}

FORMULA FN(slopes) FN(tanh_parts)(R x) {
    R a = absolute(x);
    FN(gate) p = FN(gate_parts)(add(x, x));
    R b = FN(magnitude)(add(a, a));
    R b2 = mul(b, b);
    R near = fma(mul(b, b2), horner(K(half_tanh), b2), a);
    R far = fma(mul(-2, p.z), p.w, 1);
    return (FN(slopes)){FN(with_sign_of)(select(b < K(half_tanh_max), near, far), x), mul(4, FN(slope)(p.w, p.z)), p.n};
}

FORMULA R FN(glu_far)(R a, R b) {
    FN(factor) y = FN(split)(a);
    FN(gate) p = FN(gate_parts)(b);
    return FN(joined)(mul(y.y, select(b >= 0, FN(upper)(p.w, p.z), p.w)), sub(y.n, select(b >= 0, 0, p.n)));
}

FORMULA FN(two) FN(glu_backward_far)(R grad, R a, R b) {
    FN(factor) g = FN(split)(grad);
    FN(factor) y = FN(split)(a);
    FN(gate) p = FN(gate_parts)(b);
    R da = FN(joined)(mul(g.y, select(b >= 0, FN(upper)(p.w, p.z), p.w)), sub(g.n, select(b >= 0, 0, p.n)));
    R db = FN(joined)(mul(mul(g.y, y.y), FN(slope)(p.w, p.z)), sub(add(g.n, y.n), p.n));
    return (FN(two)){{da, db}};
}

FORMULA R FN(swiglu_far)(R a, R b) {
    FN(factor) y = FN(split)(select(a < -K(gate_max), -K(gate_max), a));
    FN(factor) f = FN(split)(b);
    FN(gate) p = FN(gate_parts)(a);
    R s = select(a >= 0, FN(upper)(p.w, p.z), p.w);
    return FN(joined)(mul(mul(y.y, f.y), s), sub(add(y.n, f.n), select(a >= 0, 0, p.n)));
}

FORMULA FN(two) FN(swiglu_backward_far)(R grad, R a, R b) {
    FN(factor) g = FN(split)(grad);
    FN(factor) y = FN(split)(select(a < -K(gate_max), -K(gate_max), a));
    FN(factor) f = FN(split)(b);
    FN(gate) p = FN(gate_parts)(a);
    R n = select(a >= 0, 0, p.n);
    R s = select(a >= 0, FN(upper)(p.w, p.z), p.w);
    R v = mul(p.z, p.w);
    R m = absolute(a);
    m = select(m > K(gate_max), K(gate_max), m);
    R u = fma(m, v, sub(1, m));
    u = select(a >= 0, fma(neg(v), u, 1), mul(p.w, u));
    R da = FN(joined)(mul(mul(g.y, f.y), u), sub(add(g.n, f.n), n));
    R db = FN(joined)(mul(mul(g.y, y.y), s), sub(add(g.n, y.n), n));
    return (FN(two)){{da, db}};
}

FORMULA FN(two) FN(lstm_cell_far)(R i, R f, R g, R o, R c) {
    FN(gate) pi = FN(gate_parts)(i);
    FN(gate) pf = FN(gate_parts)(f);
    FN(gate) po = FN(gate_parts)(o);
    FN(factor) yc = FN(split)(c);
    R kept = FN(joined)(mul(yc.y, select(f >= 0, FN(upper)(pf.w, pf.z), pf.w)), sub(yc.n, select(f >= 0, 0, pf.n)));
    FN(slopes) tg = FN(tanh_parts)(g);
    R c_new = fma(select(i >= 0, FN(upper)(pi.w, pi.z), FN(lower)(pi.w, pi.z, pi.n)), tg.t, kept);
    FN(slopes) tc = FN(tanh_parts)(c_new);
    R h = mul(select(o >= 0, FN(upper)(po.w, po.z), FN(lower)(po.w, po.z, po.n)), tc.t);
    return (FN(two)){{h, c_new}};
}

FORMULA FN(five) FN(lstm_cell_backward_far)(R grad_h, R grad_c, R i, R f, R g, R o, R c) {
    FN(gate) pi = FN(gate_parts)(i);
    FN(gate) pf = FN(gate_parts)(f);
    FN(gate) po = FN(gate_parts)(o);
    FN(factor) yc = FN(split)(c);
    R yf = select(f >= 0, FN(upper)(pf.w, pf.z), pf.w);
    R mf = select(f >= 0, 0, pf.n);
    FN(slopes) tg = FN(tanh_parts)(g);
    R c_new = fma(select(i >= 0, FN(upper)(pi.w, pi.z), FN(lower)(pi.w, pi.z, pi.n)), tg.t, FN(joined)(mul(yc.y, yf), sub(yc.n, mf)));
    FN(slopes) tc = FN(tanh_parts)(c_new);
    FN(factor) yh = FN(split)(grad_h);
    R yo = select(o >= 0, FN(upper)(po.w, po.z), po.w);
    R grad = add(grad_c, FN(joined)(mul(yh.y, mul(yo, tc.s)), sub(sub(yh.n, select(o >= 0, 0, po.n)), tc.n)));
    FN(factor) y = FN(split)(grad);
    FN(factor) yg = FN(split)(tg.t);
    FN(factor) yt = FN(split)(tc.t);
    R di = FN(joined)(mul(mul(y.y, yg.y), FN(slope)(pi.w, pi.z)), sub(add(y.n, yg.n), pi.n));
    R df = FN(joined)(mul(mul(y.y, yc.y), FN(slope)(pf.w, pf.z)), sub(add(y.n, yc.n), pf.n));
    R dg = FN(joined)(mul(y.y, mul(select(i >= 0, FN(upper)(pi.w, pi.z), pi.w), tg.s)), sub(sub(y.n, select(i >= 0, 0, pi.n)), tg.n));
    R d_o = FN(joined)(mul(mul(yh.y, yt.y), FN(slope)(po.w, po.z)), sub(add(yh.n, yt.n), po.n));
    R dc = FN(joined)(mul(y.y, yf), sub(y.n, mf));
    return (FN(five)){{di, df, dg, d_o, dc}};
}

FORMULA R FN(gru_cell_far)(R i_r, R i_z, R i_n, R h_r, R h_z, R h_n, R h) {
    R r = add(i_r, h_r);
    R x = add(i_z, h_z);
    FN(gate) pr = FN(gate_parts)(r);
    FN(gate) pz = FN(gate_parts)(x);
    FN(factor) y = FN(split)(h_n);
    R s = add(i_n, FN(joined)(mul(y.y, select(r >= 0, FN(upper)(pr.w, pr.z), pr.w)), sub(y.n, select(r >= 0, 0, pr.n))));
    FN(slopes) t = FN(tanh_parts)(s);
    FN(factor) yh = FN(split)(h);
    R kept = FN(joined)(mul(yh.y, select(x >= 0, FN(upper)(pz.w, pz.z), pz.w)), sub(yh.n, select(x >= 0, 0, pz.n)));
    return fma(select(x >= 0, FN(lower)(pz.w, pz.z, pz.n), FN(upper)(pz.w, pz.z)), t.t, kept);
}

FORMULA FN(five) FN(gru_cell_backward_far)(R grad_h, R i_r, R i_z, R i_n, R h_r, R h_z, R h_n, R h) {
    R r = add(i_r, h_r);
    R x = add(i_z, h_z);
    FN(gate) pr = FN(gate_parts)(r);
    FN(gate) pz = FN(gate_parts)(x);
    FN(factor) y = FN(split)(h_n);
    R yr = select(r >= 0, FN(upper)(pr.w, pr.z), pr.w);
    R mr = select(r >= 0, 0, pr.n);
    R s = add(i_n, FN(joined)(mul(y.y, yr), sub(y.n, mr)));
    FN(slopes) t = FN(tanh_parts)(s);
    FN(factor) g = FN(split)(grad_h);
    FN(factor) d = FN(split)(sub(h, t.t));
    R v = mul(g.y, mul(select(x >= 0, pz.w, FN(upper)(pz.w, pz.z)), t.s));
    R m = sub(sub(g.n, select(x >= 0, pz.n, 0)), t.n);
    R dr = FN(joined)(mul(mul(v, y.y), FN(slope)(pr.w, pr.z)), sub(add(m, y.n), pr.n));
    R dz = FN(joined)(mul(mul(g.y, d.y), FN(slope)(pz.w, pz.z)), sub(add(g.n, d.n), pz.n));
    R dn = FN(joined)(v, m);
    R dm = FN(joined)(mul(v, yr), sub(m, mr));
    R dh = FN(joined)(mul(g.y, select(x >= 0, FN(upper)(pz.w, pz.z), pz.w)), sub(g.n, select(x >= 0, 0, pz.n)));
    return (FN(five)){{dr, dz, dn, dm, dh}};
}
