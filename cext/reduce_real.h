/* The part of reduce.c that is written once for float and double: R, U and SFX say which. */

static void FN(convert)(int64_t type, const char *from, ptrdiff_t stride, R *to, size_t n) {
    switch (type) {
        CONVERT(TYPE_F16, uint16_t, (R)float_of_f16(v))
        CONVERT(TYPE_BF16, uint16_t, (R)float_of_bf16(v))
        CONVERT(TYPE_F32, float, (R)v)
        CONVERT(TYPE_F64, double, (R)v)
        CONVERT(TYPE_U8, uint8_t, (R)v)
        CONVERT(TYPE_I8, int8_t, (R)v)
        CONVERT(TYPE_U16, uint16_t, (R)v)
        CONVERT(TYPE_I16, int16_t, (R)v)
        CONVERT(TYPE_U32, uint32_t, (R)v)
        CONVERT(TYPE_I32, int32_t, (R)v)
        CONVERT(TYPE_U64, uint64_t, (R)v)
        CONVERT(TYPE_I64, int64_t, (R)v)
    }
}

static void FN(bring)(int64_t type, const char *from, ptrdiff_t stride, R *to, size_t n) {
    const ptrdiff_t size = SIZES[type];
    if (stride == 0) {
        FN(convert)(type, from, size, to, 1);
        for (size_t j = 1; j < n; j++) to[j] = to[0];
    } else if (type == COMPUTING) {
        gather_strided(to, from, stride, sizeof(R), n);
    } else if (!is_shuffled(stride, size)) {
        FN(convert)(type, from, stride, to, n);
    } else {
        _Alignas(LINE) char elements[PART * sizeof(double)];
        for (size_t take; n; n -= take, to += take, from += (ptrdiff_t)take * stride) {
            take = n < PART ? n : PART;
            gather_strided(elements, from, stride, (size_t)size, take);
            FN(convert)(type, elements, size, to, take);
        }
    }
}

/* the elements that come next on their way while these are computed, so far as they lie in whole lines */
static void FN(prefetch_run)(const window *w, int64_t type, int64_t count) {
    const ptrdiff_t stride = w->strides[w->last], size = SIZES[type];
    const int64_t reach = run_of(w, count) * stride;
    if (stride != size && !is_shuffled(stride, size)) return;
    for (int64_t at = reach < 0 ? reach : 0, end = reach < 0 ? 0 : reach; at < end; at += LINE) __builtin_prefetch(w->from + at);
}

/* elements start to start + count in C order; an operand that repeats is read once and copied on */
static void FN(gather)(const fastsig_plan *p, const fastsig_source *in, int64_t start, int64_t count, R *to) {
    const int64_t take = least(count, in->period);
    window w;
    window_at(&w, (const int64_t *)p + in->geometry, in->ndim, in->data, start);
    for (int64_t done = 0, run; done < take; done += run, advance(&w, run)) {
        run = run_of(&w, take - done);
        FN(bring)(in->type, w.from, w.strides[w.last], to + done, (size_t)run);
    }
    if (take == count) FN(prefetch_run)(&w, in->type, count);
    for (int64_t done = take, more; done < count; done += more) {
        more = least(done, count - done);
        memcpy(to + done, to, (size_t)more * sizeof(R));
    }
}

static const R *FN(fetch)(const fastsig_plan *p, const fastsig_source *in, int64_t start, int64_t count, R *to) {
    if (in->whole) return (const R *)in->data + start;
    FN(gather)(p, in, start, count, to);
    return to;
}

/* a fetched block in a buffer of its own: for a formula that reads again what its results may have replaced */
static const R *FN(kept)(const R *block, R *buffer, size_t n) {
    return block == buffer ? buffer : memcpy(buffer, block, n * sizeof(R));
}

/* ---- looks: a valid number's bits are at most those of the greatest one, except for -0 ---- */
static bool FN(outside)(const R *v, size_t n, R greatest) {
    U most = 0;
    LOOP(n) {
        U u = (U)FN(bits_of)(v[j]);
        most = u > most ? u : most;
    }
    if (most <= (U)FN(bits_of)(greatest)) return false;
    int violations = 0;
    LOOP(n) violations |= !(v[j] >= 0 && v[j] <= greatest);
    return violations;
}

/* ---- one block of each formula; n elements ---- */
typedef struct { R keep, floor, scale, scale_lo, alpha, beta, gamma, gamma_lo; bool whole; } FN(numbers);

/* `weight` where that is what pos and miss add up to: without positive weights. */
FORMULA void FN(logits)(
    const R *x, const R *pos, const R *miss, const R *weight, R *l, R *g, R *h, size_t n, FN(numbers) k, bool plain, bool sum, bool mean
) {
    LOOP(n) {
        R xj = x[j], pj = pos[j];
        R mj = plain ? sub(1, pj) : miss[j];
        R both = plain ? (R)1 : sum ? add(pj, mj) : weight[j];
        FN(exponential) e = plain ? FN(exp_parts_up)(absolute(xj)) : FN(exp_parts_far)(absolute(xj));
        R z = FN(exp_of)(e.p, e.s);
        if (l) l[j] = plain ? FN(plain_loss)(xj, z, pj, mj) : FN(weighted_loss)(xj, z, pj, mj, both);
        R w = FN(lesser_up)(e.q, e.s);
        R d = FN(weighted_grad)(xj, w, pj, mj, both);
        if (g) g[j] = mean ? FN(scaled)(d, k.scale, k.scale_lo) : d;
        if (h) h[j] = FN(weighted_hess)(w, both);
    }
}

/* A result that nobody wants goes to `unused`, so that the compiler sees which there are: else it makes a masked store of each, which
 * takes Zen longer than all the arithmetic. */
static void FN(logits_block)(
    const R *x, const R *pos, const R *miss, const R *weight, R *l, R *g, R *h, R *unused, size_t n, FN(numbers) k
) {
    const bool mean = k.scale != 1, loss = l != NULL, grad = g != NULL;
    if (!loss) l = unused;
    if (!grad) g = unused;
#define CASES(plain, sum)                                                                           \
    if (h && loss) FN(logits)(x, pos, miss, weight, l, g, h, n, k, plain, sum, false);              \
    else if (h) FN(logits)(x, pos, miss, weight, NULL, g, h, n, k, plain, sum, false);              \
    else if (!grad) FN(logits)(x, pos, miss, weight, l, NULL, NULL, n, k, plain, sum, false);       \
    else if (mean) FN(logits)(x, pos, miss, weight, l, g, NULL, n, k, plain, sum, true);            \
    else FN(logits)(x, pos, miss, weight, l, g, NULL, n, k, plain, sum, false);
    if (!miss) { CASES(true, false) } else if (weight) { CASES(false, false) } else { CASES(false, true) }
#undef CASES
}

/* Of an element's focal loss what its value and its derivatives are made of; they are multiplied by the share and by m^gamma. */
typedef struct { FN(pair) log; R w_up, m, loss, slope, share, more; } FN(focal_parts);

FORMULA FN(focal_parts) FN(focal)(R x, R t, R weight, FN(exponential) e, FN(numbers) k) {
    FN(pair) lesser = FN(focal_lesser_up)(e.q, e.s);
    R w = mul(lesser.hi, K(down));
    FN(pair) log = FN(focal_log)(e.p, e.s, w);
    R m = FN(focal_miss)(x, w, t);
    R rest = FN(focal_miss_rest)(x, w, lesser.lo, t, m, log.hi);
    R more = mul(k.whole ? k.gamma : 0, rest);
    R loss = FN(focal_loss)(x, t, log.hi, log.lo, more);
    R slope = FN(focal_slope)(x, w, lesser.lo, t, m, loss, k.gamma, add(more, rest));
    R share = mul(weight, FN(focal_share)(t, k.alpha, k.beta));
    return (FN(focal_parts)){log, lesser.hi, m, loss, slope, share, more};
}

/* m^gamma for a gamma that is no whole number */
FORMULA R FN(focal_raised)(R x, R t, R m, FN(numbers) k) {
    FN(exponential) e = FN(exp_parts_up)(absolute(x));
    return FN(focal_power)(x, FN(exp_of)(e.p, e.s), t, m, k.gamma, k.gamma_lo);
}

static void FN(focal_block)(const R *x, const R *t, const R *weight, R *l, R *g, R *m, R *p, R *p_lo, R *unused, size_t n, FN(numbers) k) {
    if (!g) g = unused;
    LOOP(n) {
        FN(focal_parts) f = FN(focal)(x[j], t[j], weight[j], FN(exp_parts_up)(absolute(x[j])), k);
        m[j] = f.m;
        p[j] = f.share;
        p_lo[j] = 0;
        g[j] = f.slope;
        l[j] = FN(counting)(f.loss, f.share);
    }
    if (!k.whole) LOOP(n) {
        FN(pair) y = FN(focal_times)(p[j], 0, FN(focal_raised)(x[j], t[j], m[j], k));
        p[j] = y.hi, p_lo[j] = y.lo;
    }
    else for (int i = 0; i < (int)k.gamma; i++) LOOP(n) {
        FN(pair) y = FN(focal_times)(p[j], p_lo[j], m[j]);
        p[j] = y.hi, p_lo[j] = y.lo;
    }
    LOOP(n) {
        g[j] = FN(focal_product)(p[j], p_lo[j], g[j]);
        l[j] = FN(focal_product)(p[j], p_lo[j], l[j]);
    }
    if (k.scale != 1) LOOP(n) g[j] = FN(scaled)(g[j], k.scale, k.scale_lo);
}

/* Gradient and hessian; the gradient is that of focal_block. The hessian is counted in `unit` until the power is multiplied. */
static void FN(focal_derivatives)(
    const R *x, const R *t, const R *weight, R *g, R *h, R *m, R *p, R *p_lo, R *unit, size_t n, FN(numbers) k
) {
    LOOP(n) {
        R xj = x[j], tj = t[j];
        FN(exponential) e = FN(exp_parts_far)(absolute(xj));
        FN(focal_parts) f = FN(focal)(xj, tj, weight[j], e, k);
        R loss = FN(focal_loss)(FN(capped)(xj), tj, f.log.hi, f.log.lo, 0);
        R curve = FN(focal_curve)(xj, FN(exp_of)(e.p, e.s), f.w_up, tj, f.m, loss, k.gamma);
        m[j] = f.m;
        p[j] = f.share;
        p_lo[j] = 0;
        unit[j] = FN(unit_of)(f.share);
        g[j] = f.slope;
        h[j] = FN(weighed_up)(fma(curve, f.more, curve), f.share);
    }
    if (!k.whole) LOOP(n) {
        R power = FN(focal_raised)(x[j], t[j], m[j], k);
        FN(pair) y = FN(focal_times)(p[j], 0, power);
        p[j] = y.hi, p_lo[j] = y.lo;
        h[j] = mul(h[j], power);
    }
    else for (int i = 0; i < (int)k.gamma; i++) LOOP(n) {
        FN(pair) y = FN(focal_times)(p[j], p_lo[j], m[j]);
        p[j] = y.hi, p_lo[j] = y.lo;
        h[j] = mul(h[j], m[j]);
    }
    LOOP(n) {
        g[j] = FN(focal_product)(p[j], p_lo[j], g[j]);
        h[j] = mul(h[j], unit[j]);
    }
}

/* ---- results to where they belong ---- */

/* a line at a time: a call of memcpy takes longer than its few lines */
static inline void FN(copy)(char *to, const char *from, int64_t count) {
    if (count == WINDOW_ROWS) {
        for (size_t i = 0; i < WINDOW_ROWS * sizeof(R); i += LINE) memcpy(to + i, from + i, LINE);
        return;
    }
    int64_t bytes = count * (int64_t)sizeof(R);
    for (; bytes >= LINE; bytes -= LINE, to += LINE, from += LINE) memcpy(to, from, LINE);
    for (; bytes; bytes -= (int64_t)sizeof(R), to += sizeof(R), from += sizeof(R)) memcpy(to, from, sizeof(R));
}

static void FN(put)(int64_t dtype, bool stream, void *out, int64_t count, const R *v) {
    uint16_t *const halves = out;
    R *to = out;
    if (dtype == TYPE_F16) {
        LOOP((size_t)count) halves[j] = f16_of_float((float)v[j]);
    } else if (dtype == TYPE_BF16) {
        LOOP((size_t)count) halves[j] = bf16_of_float((float)v[j]);
    } else if (!stream) {
        FN(copy)((char *)to, (const char *)v, count);
    } else {
        for (; count && (uintptr_t)to % LINE; count--) *to++ = *v++;
        for (const int64_t step = LINE / sizeof(R); count >= step; count -= step, to += step, v += step) {
            _Alignas(LINE) char line[LINE];
            memcpy(line, v, LINE);
            store_line((char *)to, line, true);
        }
        while (count--) *to++ = *v++;
    }
}

static int FN(violations)(int64_t check, const R *x, const R *t, const R *weight, const R *pos_weight, size_t n) {
    int violations = 0;
    if (check & BAD_TARGET) violations |= FN(outside)(t, n, 1) ? BAD_TARGET : 0;
    if (check & BAD_PROBABILITY) violations |= FN(outside)(x, n, 1) ? BAD_PROBABILITY : 0;
    if (check & BAD_WEIGHT) violations |= FN(outside)(weight, n, K(greatest)) ? BAD_WEIGHT : 0;
    if (check & BAD_POS_WEIGHT) violations |= FN(outside)(pos_weight, n, K(greatest)) ? BAD_POS_WEIGHT : 0;
    if (check & BAD_ALPHA) violations |= FN(outside)(pos_weight, n, 1) ? BAD_ALPHA : 0;
    return violations;
}

/* the next block on its way while this one is computed: the hardware's prefetcher stops at each page */
static void FN(prefetch)(const fastsig_source *in, int64_t from, int64_t stop) {
    if (!in->whole || from + BLOCK > stop) return;
    const char *at = (const char *)((const R *)in->data + from);
    for (size_t i = 0; i < BLOCK * sizeof(R); i += LINE) __builtin_prefetch(at + i);
}

/* ---- a pass, block by block ---- */
typedef struct {
    _Alignas(LINE) R xs[BLOCK], ts[BLOCK], weights[BLOCK], poss[BLOCK], misses[BLOCK], outs[OUT_COUNT][BLOCK], terms[BLOCK], powers[2][BLOCK], unused[BLOCK];
} FN(blocks);

/* one pass, with what each of its blocks needs */
typedef struct {
    const fastsig_plan *p;
    FN(numbers) k;
    bool has_weight, has_pos, has_mask, plain;
    FN(blocks) *blocks;
} FN(pass);

static bool FN(begin)(FN(pass) *pass, const fastsig_plan *p, const fastsig_numbers *k) {
    const fastsig_source *in = p->in;
    *pass = (FN(pass)){.p = p, .has_weight = in[IN_WEIGHT].type >= 0, .has_pos = in[IN_POS_WEIGHT].type >= 0, .has_mask = in[IN_MASK].type >= 0};
    pass->k = (FN(numbers)){(R)k->keep, (R)k->floor, (R)k->scale, (R)k->scale_lo, (R)k->alpha, (R)k->beta, (R)k->gamma, (R)k->gamma_lo, k->whole != 0};
    pass->plain = !pass->has_weight && !pass->has_pos && !pass->has_mask && pass->k.floor == 0;
    pass->blocks = fastsig_scratch(sizeof *pass->blocks);
    return pass->blocks;
}

typedef struct { const R *x, *t, *weight, *pos_weight; } FN(operands);

/* A block's results, and what was bad about its operands; the mask's elements stand in `misses`. */
static int FN(evaluate)(const FN(pass) *pass, FN(operands) of, R *const to[OUT_COUNT], size_t n) {
    FN(blocks) *const b = pass->blocks;
    const int64_t formula = pass->p->formula, check = pass->p->check;
    const FN(numbers) k = pass->k;
    int violations = 0;
    if (!pass->has_weight && (!pass->plain || formula != FORMULA_LOGITS)) LOOP(n) b->weights[j] = 1;
    if (pass->has_mask) { /* a masked element is one of weight 0 at x = t = 0 */
        LOOP(n) {
            b->xs[j] = select(b->misses[j] != 0, of.x[j], 0);
            b->ts[j] = select(b->misses[j] != 0, of.t[j], 0);
            b->weights[j] = select(b->misses[j] != 0, of.weight[j], 0);
        }
        of.x = b->xs, of.t = b->ts, of.weight = b->weights;
    }
    if (!pass->plain) violations |= FN(violations)(check, of.x, of.t, of.weight, of.pos_weight, n);
    if (formula == FORMULA_LOGITS && pass->plain) {
        FN(logits_block)(of.x, of.t, NULL, NULL, to[OUT_LOSS], to[OUT_GRAD], to[OUT_HESS], b->unused, n, k);
    } else if (formula == FORMULA_LOGITS) {
        LOOP(n) {
            b->misses[j] = mul(of.weight[j], FN(smoothed)(sub(1, of.t[j]), k.keep, k.floor));
            b->ts[j] = mul(of.weight[j], FN(smoothed)(of.t[j], k.keep, k.floor));
        }
        if (pass->has_pos) LOOP(n) b->ts[j] = mul(b->ts[j], of.pos_weight[j]);
        FN(logits_block)(of.x, b->ts, b->misses, pass->has_pos ? NULL : of.weight, to[OUT_LOSS], to[OUT_GRAD], to[OUT_HESS], b->unused, n, k);
    } else if (formula == FORMULA_PROBABILITIES) {
        LOOP(n) to[OUT_LOSS][j] = FN(weighted)(FN(bce)(of.x[j], of.t[j]), of.weight[j]);
    } else if (formula == FORMULA_FOCAL) {
        if (!k.whole) of.x = FN(kept)(of.x, b->xs, n), of.t = FN(kept)(of.t, b->ts, n);
        if (pass->has_pos) { /* alpha of each element */
            LOOP(n) b->weights[j] = mul(of.weight[j], FN(focal_share)(of.t[j], of.pos_weight[j], sub(1, of.pos_weight[j])));
            of.weight = b->weights;
        }
        if (to[OUT_HESS]) FN(focal_derivatives)(of.x, of.t, of.weight, to[OUT_GRAD], to[OUT_HESS], b->terms, b->powers[0], b->powers[1], b->misses, n, k);
        else FN(focal_block)(of.x, of.t, of.weight, to[OUT_LOSS], to[OUT_GRAD], b->terms, b->powers[0], b->powers[1], b->unused, n, k);
    } else if (pass->p->sum) {
        LOOP(n) to[OUT_LOSS][j] = of.weight[j];
    }
    if (pass->plain) violations |= FN(violations)(check, of.x, of.t, of.weight, of.pos_weight, n); /* now that the block is in the first cache */
    return violations;
}

static int FN(reduce)(const fastsig_plan *p, const fastsig_numbers *numbers, int64_t start, int64_t stop, int64_t *sum) {
    FN(pass) pass;
    if (!FN(begin)(&pass, p, numbers)) return NO_MEMORY;
    FN(blocks) *const b = pass.blocks;
    const fastsig_source *in = p->in;
    const bool direct = p->dtype >= TYPE_F32 && !p->stream;
    const int64_t size = p->dtype >= TYPE_F32 ? (int64_t)sizeof(R) : 2;
    int violations = 0;
    for (int64_t at = start; at < stop; at += BLOCK) {
        const int64_t count = least(BLOCK, stop - at);
        FN(prefetch)(&in[IN_X], at + BLOCK, stop);
        FN(prefetch)(&in[IN_TARGET], at + BLOCK, stop);
        FN(operands) of = {b->xs, b->ts, b->weights, b->poss};
        if (in[IN_X].type >= 0) of.x = FN(fetch)(p, &in[IN_X], at, count, b->xs);
        if (in[IN_TARGET].type >= 0) of.t = FN(fetch)(p, &in[IN_TARGET], at, count, b->ts);
        if (pass.has_weight) of.weight = FN(fetch)(p, &in[IN_WEIGHT], at, count, b->weights);
        if (pass.has_pos) of.pos_weight = FN(fetch)(p, &in[IN_POS_WEIGHT], at, count, b->poss);
        if (pass.has_mask) FN(gather)(p, &in[IN_MASK], at, count, b->misses);
        R *to[OUT_COUNT];
        for (int i = 0; i < OUT_COUNT; i++) to[i] = !p->out[i] ? NULL : direct ? (R *)p->out[i] + at : b->outs[i];
        if (p->sum || (!to[OUT_LOSS] && p->formula != FORMULA_LOGITS)) to[OUT_LOSS] = b->outs[OUT_LOSS]; /* the others always write it */
        violations |= FN(evaluate)(&pass, of, to, (size_t)count);
        for (int i = 0; i < OUT_COUNT; i++)
            if (p->out[i] && !direct) FN(put)(p->dtype, p->stream, (char *)p->out[i] + at * size, count, to[i]);
        if (p->sum) FN(add_block)(b->outs[OUT_LOSS], b->unused, (size_t)count, sum);
    }
    return violations;
}
