"""Gated linear units and the cells of recurrent networks, with their gradients; twin of ``cext/formulas/gates.h``.

Each has two formulas. Where every input is within the limits of the table of operations, which nearly all are, plain products do: those
that may grow come first, then factors of at most 1, so that what underflows on the way would underflow in the end. All other inputs,
infinities and NaN among them, take the far formula.

There a factor of a product is a pair y, n that stands for y 2^n, with y so near to 1 that two such factors and a sigmoid's tail never leave
the range of the type: a huge number times a tail that alone would be 0 is as accurate as any other product. n is a real, for that is
what shifts and selects in every vector unit. ``joined`` rounds into the type at the end.

In the far formula e^|x| = 2^n (1 + q), so 1/(1 + e^|x|) = w 2^-n with w = 1/(2^-n + 1 + q), and z is 2^-n as far as that counts beside 1.
"""

from __future__ import annotations

from .core import exp_parts, magnitude
from .logistic import with_sign_of
from .prims import Real, absolute, add, bits, constants, div, fma, horner, iand, isub, mul, neg, select, shl, sub, to_real, unbits

# ---- near ----


def lesser(x: Real) -> Real:
    """sigmoid(-|x|) to 0.6 ULP: what the rounding of the denominator lost is put back."""
    k = constants(x)
    a = absolute(x)
    t = fma(a, k.log2e, k.magic)
    n = sub(t, k.magic)
    r = fma(n, -k.ln2_hi, a)
    r = fma(n, -k.ln2_lo, r)
    q = fma(horner(k.expm1, r), mul(r, r), r)
    z = unbits(shl(isub(bits(k.magic_one), bits(t)), k.mantissa))
    v = add(q, z)
    d = add(1, v)
    w = div(1, d)
    rest = fma(neg(w), sub(v, sub(d, 1)), fma(neg(w), d, 1))
    return mul(fma(rest, w, w), z)


def opened(x: Real, p: Real) -> Real:
    """sigmoid(x), p = sigmoid(-|x|)."""
    return select(x >= 0, sub(1, p), p)


def steepness(p: Real) -> Real:
    """sigmoid(x) sigmoid(-x)."""
    return fma(neg(p), p, p)


def gated(y: Real, x: Real) -> Real:
    """y sigmoid(x): the magnitude is t = |y|/(1 + e^|x|) for x < 0, and |y| - t for x >= 0."""
    k = constants(x)
    q, s = exp_parts(absolute(x), k.magic_one)
    a = absolute(y)
    t = div(a, add(s, fma(q, s, 1)))
    return with_sign_of(select(x >= 0, sub(a, t), t), y)


def slope_at(y: Real, z: Real) -> Real:
    """y z for y + z = 1, by the smaller one, whose relative error does not grow."""
    return steepness(select(y < z, y, z))


def power_of_e(x: Real) -> Real:
    k = constants(x)
    q, s = exp_parts(x, k.magic_one)
    return fma(q, s, s)


def tanh_ratio(x: Real) -> tuple[Real, Real]:
    """p and q, of which tanh(x) is the quotient: what is between e^2|x| and 1, and between it and -1. Its derivative is 4 (1/q - 1/q^2)."""
    k = constants(x)
    a = absolute(x)
    q, s = exp_parts(add(a, a), k.magic_one)
    p = fma(q, s, sub(s, 1))
    return with_sign_of(p, x), add(p, 2)


def glu_near(a: Real, b: Real) -> Real:
    return gated(a, b)


def glu_backward_near(grad: Real, a: Real, b: Real) -> tuple[Real, Real]:
    p = lesser(b)
    return mul(grad, opened(b, p)), mul(mul(grad, a), steepness(p))


def swiglu_near(a: Real, b: Real) -> Real:
    return gated(mul(a, b), a)


def swiglu_backward_near(grad: Real, a: Real, b: Real) -> tuple[Real, Real]:
    """The derivative as in ``logistic.silu_grad``."""
    p = lesser(a)
    m = absolute(a)
    u = mul(p, fma(m, p, sub(1, m)))
    return mul(mul(grad, b), select(a >= 0, sub(1, u), u)), mul(mul(grad, a), opened(a, p))


def lstm_state(i: Real, f: Real, g: Real, c: Real) -> Real:
    """c/(1 + e^-f) + p/(q (1 + e^-i))."""
    p, q = tanh_ratio(g)
    return add(div(c, add(1, power_of_e(neg(f)))), div(p, mul(add(1, power_of_e(neg(i))), q)))


def lstm_output(o: Real, c_new: Real) -> Real:
    p, q = tanh_ratio(c_new)
    return div(p, mul(add(1, power_of_e(neg(o))), q))


def lstm_cell_near(i: Real, f: Real, g: Real, o: Real, c: Real) -> tuple[Real, Real]:
    c_new = lstm_state(i, f, g, c)
    return lstm_output(o, c_new), c_new


def lstm_cell_backward_near(grad_h: Real, grad_c: Real, i: Real, f: Real, g: Real, o: Real, c: Real) -> tuple[Real, Real, Real, Real, Real]:
    ei = power_of_e(neg(i))
    ef = power_of_e(neg(f))
    eo = power_of_e(neg(o))
    p, q = tanh_ratio(g)
    v = div(1, q)
    tg = mul(p, v)
    sg = mul(4, steepness(v))
    yi = div(1, add(1, ei))
    yf = div(1, add(1, ef))
    yo = div(1, add(1, eo))
    p, q = tanh_ratio(fma(yi, tg, mul(yf, c)))
    v = div(1, q)
    grad = fma(mul(grad_h, yo), mul(4, steepness(v)), grad_c)
    di = mul(mul(grad, tg), slope_at(yi, mul(ei, yi)))
    df = mul(mul(grad, c), slope_at(yf, mul(ef, yf)))
    dg = mul(mul(grad, yi), sg)
    d_o = mul(mul(grad_h, mul(p, v)), slope_at(yo, mul(eo, yo)))
    return di, df, dg, d_o, mul(grad, yf)


def gru_sum(i_r: Real, i_n: Real, h_r: Real, h_n: Real) -> Real:
    """Of which n is the tanh."""
    return add(i_n, div(h_n, add(1, power_of_e(neg(add(i_r, h_r))))))


def gru_state(i_z: Real, h_z: Real, h: Real, s: Real) -> Real:
    """(n + e^z h)/(1 + e^z)."""
    e = power_of_e(add(i_z, h_z))
    p, q = tanh_ratio(s)
    return div(fma(e, h, div(p, q)), add(1, e))


def gru_cell_near(i_r: Real, i_z: Real, i_n: Real, h_r: Real, h_z: Real, h_n: Real, h: Real) -> Real:
    return gru_state(i_z, h_z, h, gru_sum(i_r, i_n, h_r, h_n))


def gru_cell_backward_near(
    grad_h: Real, i_r: Real, i_z: Real, i_n: Real, h_r: Real, h_z: Real, h_n: Real, h: Real
) -> tuple[Real, Real, Real, Real, Real]:
    """The gradients of the sums r and z, of i_n, of h_n and of h: those of i_r and h_r, and of i_z and h_z, are the same."""
    er = power_of_e(neg(add(i_r, h_r)))
    ez = power_of_e(add(i_z, h_z))
    yr = div(1, add(1, er))
    kept = div(1, add(1, ez))
    yz = mul(ez, kept)
    p, q = tanh_ratio(fma(yr, h_n, i_n))
    v = div(1, q)
    slope = mul(4, steepness(v))
    dn = mul(mul(grad_h, kept), slope)
    dr = mul(mul(mul(mul(grad_h, h_n), kept), slope), slope_at(yr, mul(er, yr)))
    dz = mul(mul(grad_h, sub(h, mul(p, v))), slope_at(yz, kept))
    return dr, dz, dn, mul(dn, yr), mul(grad_h, yz)


# ---- far ----


def power(n: Real) -> Real:
    """2^n for an integer n, the result a normal number."""
    k = constants(n)
    return unbits(shl(bits(add(n, k.magic_one)), k.mantissa))


def split(x: Real) -> tuple[Real, Real]:
    """x as y 2^n: of four classes of exponents, the multiple of a power of two that brings the class near to 1."""
    k = constants(x)
    e = iand(bits(x), k.class_mask)
    n = fma(to_real(e), k.class_step, -k.class_top_log2)
    return mul(x, unbits(isub(bits(k.class_top), e))), n


def joined(y: Real, n: Real) -> Real:
    """y 2^n, by two halves of n, of which the first leaves y a normal number wherever the result is not far below the last one."""
    k = constants(y)
    n = select(n > k.least_log2, n, k.least_log2)
    t = fma(n, k.half, k.magic_one)
    m = sub(t, k.magic_one)
    return mul(mul(y, unbits(shl(bits(t), k.mantissa))), power(sub(n, m)))


def gate_parts(x: Real) -> tuple[Real, Real, Real]:
    """w, z, n as above, w to 0.6 ULP: what the rounding of the denominator lost is put back. At infinity w is 0."""
    k = constants(x)
    a = absolute(x)
    a = select(a > k.gate_max, k.gate_max, a)
    t = fma(a, k.log2e, k.magic)
    n = sub(t, k.magic)
    r = fma(n, -k.ln2_hi, a)
    r = fma(n, -k.ln2_lo, r)
    q = fma(horner(k.expm1, r), mul(r, r), r)
    z = power(neg(select(n > k.near_log2, k.near_log2, n)))
    v = add(q, z)
    d = add(1, v)
    w = div(1, d)
    rest = fma(neg(w), sub(v, sub(d, 1)), fma(neg(w), d, 1))
    w = select(absolute(x) == k.inf, 0, fma(rest, w, w))
    return w, z, n


def upper(w: Real, z: Real) -> Real:
    """sigmoid(|x|)."""
    return fma(neg(z), w, 1)


def lower(w: Real, z: Real, n: Real) -> Real:
    """sigmoid(-|x|), rounded into the subnormals once."""
    k = constants(w)
    m = sub(n, select(n > k.near_log2, k.near_log2, n))
    return mul(mul(w, z), power(neg(select(m > k.near_log2, k.near_log2, m))))


def slope(w: Real, z: Real) -> Real:
    """sigmoid(x) sigmoid(-x) times 2^n."""
    return fma(neg(mul(z, w)), w, w)


def tanh_parts(x: Real) -> tuple[Real, Real, Real]:
    """tanh(x), as ``logistic.tanh``, and its derivative as s 2^-n."""
    k = constants(x)
    a = absolute(x)
    w, z, n = gate_parts(add(x, x))
    b = magnitude(add(a, a))
    b2 = mul(b, b)
    near = fma(mul(b, b2), horner(k.half_tanh, b2), a)
    far = fma(mul(-2, z), w, 1)
    return with_sign_of(select(b < k.half_tanh_max, near, far), x), mul(4, slope(w, z)), n


def glu_far(a: Real, b: Real) -> Real:
    y, ny = split(a)
    w, z, n = gate_parts(b)
    return joined(mul(y, select(b >= 0, upper(w, z), w)), sub(ny, select(b >= 0, 0, n)))


def glu_backward_far(grad: Real, a: Real, b: Real) -> tuple[Real, Real]:
    g, ng = split(grad)
    y, ny = split(a)
    w, z, n = gate_parts(b)
    da = joined(mul(g, select(b >= 0, upper(w, z), w)), sub(ng, select(b >= 0, 0, n)))
    db = joined(mul(mul(g, y), slope(w, z)), sub(add(ng, ny), n))
    return da, db


def swiglu_far(a: Real, b: Real) -> Real:
    """Below -gate_max silu(a) has reached its limit for every b, also where a is -inf."""
    k = constants(a)
    y, ny = split(select(a < -k.gate_max, -k.gate_max, a))
    f, nf = split(b)
    w, z, n = gate_parts(a)
    s = select(a >= 0, upper(w, z), w)
    return joined(mul(mul(y, f), s), sub(add(ny, nf), select(a >= 0, 0, n)))


def swiglu_backward_far(grad: Real, a: Real, b: Real) -> tuple[Real, Real]:
    """silu_grad(a) is w u for a < 0 and 1 - w u for a >= 0, as in ``logistic.silu_grad``."""
    k = constants(a)
    g, ng = split(grad)
    y, ny = split(select(a < -k.gate_max, -k.gate_max, a))
    f, nf = split(b)
    w, z, n = gate_parts(a)
    n = select(a >= 0, 0, n)
    s = select(a >= 0, upper(w, z), w)
    v = mul(z, w)
    m = absolute(a)
    m = select(m > k.gate_max, k.gate_max, m)
    u = fma(m, v, sub(1, m))
    u = select(a >= 0, fma(neg(v), u, 1), mul(w, u))
    da = joined(mul(mul(g, f), u), sub(add(ng, nf), n))
    db = joined(mul(mul(g, y), s), sub(add(ng, ny), n))
    return da, db


def lstm_cell_far(i: Real, f: Real, g: Real, o: Real, c: Real) -> tuple[Real, Real]:
    wi, zi, ni = gate_parts(i)
    wf, zf, nf = gate_parts(f)
    wo, zo, no = gate_parts(o)
    yc, nc = split(c)
    kept = joined(mul(yc, select(f >= 0, upper(wf, zf), wf)), sub(nc, select(f >= 0, 0, nf)))
    tg, sg, ng = tanh_parts(g)
    c_new = fma(select(i >= 0, upper(wi, zi), lower(wi, zi, ni)), tg, kept)
    tc, sc, nt = tanh_parts(c_new)
    h = mul(select(o >= 0, upper(wo, zo), lower(wo, zo, no)), tc)
    return h, c_new


def lstm_cell_backward_far(grad_h: Real, grad_c: Real, i: Real, f: Real, g: Real, o: Real, c: Real) -> tuple[Real, Real, Real, Real, Real]:
    wi, zi, ni = gate_parts(i)
    wf, zf, nf = gate_parts(f)
    wo, zo, no = gate_parts(o)
    yc, nc = split(c)
    yf = select(f >= 0, upper(wf, zf), wf)
    mf = select(f >= 0, 0, nf)
    tg, sg, ng = tanh_parts(g)
    c_new = fma(select(i >= 0, upper(wi, zi), lower(wi, zi, ni)), tg, joined(mul(yc, yf), sub(nc, mf)))
    tc, sc, nt = tanh_parts(c_new)
    yh, nh = split(grad_h)
    yo = select(o >= 0, upper(wo, zo), wo)
    grad = add(grad_c, joined(mul(yh, mul(yo, sc)), sub(sub(nh, select(o >= 0, 0, no)), nt)))
    y, n = split(grad)
    yg, mg = split(tg)
    yt, mt = split(tc)
    di = joined(mul(mul(y, yg), slope(wi, zi)), sub(add(n, mg), ni))
    df = joined(mul(mul(y, yc), slope(wf, zf)), sub(add(n, nc), nf))
    dg = joined(mul(y, mul(select(i >= 0, upper(wi, zi), wi), sg)), sub(sub(n, select(i >= 0, 0, ni)), ng))
    d_o = joined(mul(mul(yh, yt), slope(wo, zo)), sub(add(nh, mt), no))
    dc = joined(mul(y, yf), sub(n, mf))
    return di, df, dg, d_o, dc


def gru_cell_far(i_r: Real, i_z: Real, i_n: Real, h_r: Real, h_z: Real, h_n: Real, h: Real) -> Real:
    r = add(i_r, h_r)
    x = add(i_z, h_z)
    wr, zr, nr = gate_parts(r)
    wz, zz, nz = gate_parts(x)
    y, n = split(h_n)
    s = add(i_n, joined(mul(y, select(r >= 0, upper(wr, zr), wr)), sub(n, select(r >= 0, 0, nr))))
    t, st, nt = tanh_parts(s)
    yh, nh = split(h)
    kept = joined(mul(yh, select(x >= 0, upper(wz, zz), wz)), sub(nh, select(x >= 0, 0, nz)))
    return fma(select(x >= 0, lower(wz, zz, nz), upper(wz, zz)), t, kept)


def gru_cell_backward_far(
    grad_h: Real, i_r: Real, i_z: Real, i_n: Real, h_r: Real, h_z: Real, h_n: Real, h: Real
) -> tuple[Real, Real, Real, Real, Real]:
    """The gradients of the sums r and z, of i_n, of h_n and of h: those of i_r and h_r, and of i_z and h_z, are the same."""
    r = add(i_r, h_r)
    x = add(i_z, h_z)
    wr, zr, nr = gate_parts(r)
    wz, zz, nz = gate_parts(x)
    y, n = split(h_n)
    yr = select(r >= 0, upper(wr, zr), wr)
    mr = select(r >= 0, 0, nr)
    s = add(i_n, joined(mul(y, yr), sub(n, mr)))
    t, st, nt = tanh_parts(s)
    yg, ng = split(grad_h)
    yd, nd = split(sub(h, t))
    v = mul(yg, mul(select(x >= 0, wz, upper(wz, zz)), st))
    m = sub(sub(ng, select(x >= 0, nz, 0)), nt)
    dr = joined(mul(mul(v, y), slope(wr, zr)), sub(add(m, n), nr))
    dz = joined(mul(mul(yg, yd), slope(wz, zz)), sub(add(ng, nd), nz))
    dn = joined(v, m)
    dm = joined(mul(v, yr), sub(m, mr))
    dh = joined(mul(yg, select(x >= 0, upper(wz, zz), wz)), sub(ng, select(x >= 0, 0, nz)))
    return dr, dz, dn, dm, dh
