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

/* elements start to start + count in C order; an operand that repeats is read once and copied on */
static void FN(gather)(const fastsig_plan *p, const fastsig_source *in, int64_t start, int64_t count, R *to) {
    const int64_t *shape = (const int64_t *)p + in->geometry, *strides = shape + in->ndim;
    const int64_t last = in->ndim - 1;
    int64_t index[64], at = start, offset = 0, take = count < in->period ? count : in->period;
    for (int64_t d = last; d >= 0; d--) {
        index[d] = at % shape[d];
        at /= shape[d];
        offset += index[d] * strides[d];
    }
    for (int64_t done = 0, run; done < take; done += run) {
        run = shape[last] - index[last];
        run = run < take - done ? run : take - done;
        FN(convert)(in->type, (const char *)in->data + offset, strides[last], to + done, (size_t)run);
        index[last] += run;
        offset += run * strides[last];
        for (int64_t d = last; d > 0 && index[d] == shape[d]; d--) {
            offset += strides[d - 1] - index[d] * strides[d];
            index[d] = 0;
            index[d - 1]++;
        }
    }
    for (int64_t more; take < count; take += more) {
        more = take < count - take ? take : count - take;
        memcpy(to + take, to, (size_t)more * sizeof(R));
    }
}

/* ---- matrices of the computing type in Fortran order: many rows are transposed at once, so that each line of cache is read once ---- */
typedef struct { R *buffer; int64_t rows, from, stop, end; } FN(tile);

static void FN(tile_open)(FN(tile) *tile, const fastsig_plan *p, const fastsig_source *in, int64_t start, int64_t stop) {
    *tile = (FN(tile)){0};
    if (in->type != (sizeof(R) == 4 ? TYPE_F32 : TYPE_F64) || in->whole || in->ndim != 2) return;
    const int64_t *shape = (const int64_t *)p + in->geometry, *strides = shape + 2;
    if (strides[0] != sizeof(R) || shape[1] < 2 || shape[0] < TILE_ROWS || shape[1] > TILE / TILE_ROWS) return;
    if (in->period < shape[0] * shape[1]) return;
    tile->rows = TILE / shape[1] / TILE_ROWS * TILE_ROWS;
    const int64_t needed = (stop - 1) / shape[1] + 1 - start / shape[1];
    tile->rows = needed < tile->rows ? needed : tile->rows;
    tile->end = (stop - 1) / shape[1] + 1;
    tile->buffer = malloc((size_t)(tile->rows * shape[1] + BLOCK) * sizeof(R));
}

/* Square by square, down the rows of a few columns before the next ones: a column's lines stand in one page. */
static void FN(transpose)(const char *from, ptrdiff_t stride, int64_t rows, int64_t columns, R *to) {
    const int64_t whole_rows = rows / SQUARE * SQUARE, whole_columns = columns / SQUARE * SQUARE;
    for (int64_t column = 0; column < whole_columns; column += SQUARE) {
        for (int64_t i = column + SQUARE; i < column + 2 * SQUARE && i < columns; i++)
            for (int64_t row = 0; row < rows; row += LINE / sizeof(R)) __builtin_prefetch(from + i * stride + row * (int64_t)sizeof(R));
        for (int64_t row = 0; row < whole_rows; row += SQUARE)
            FN(transpose_square)(from + column * stride + row * (int64_t)sizeof(R), stride, to + row * columns + column, columns);
    }
    for (int64_t row = 0; row < rows; row++)
        for (int64_t column = row < whole_rows ? whole_columns : 0; column < columns; column++)
            memcpy(to + row * columns + column, from + row * (int64_t)sizeof(R) + column * stride, sizeof(R));
}

/* elements at to at + count; what the last rows left over goes before the next ones */
static const R *FN(tile_serve)(FN(tile) *tile, const fastsig_plan *p, const fastsig_source *in, int64_t at, int64_t count) {
    const int64_t *shape = (const int64_t *)p + in->geometry, *strides = shape + 2;
    if (!tile->stop) tile->from = tile->stop = at / shape[1] * shape[1];
    while (tile->stop < at + count) {
        const int64_t left = tile->stop > at ? tile->stop - at : 0, row = tile->stop / shape[1];
        const int64_t rows = tile->end - row < tile->rows ? tile->end - row : tile->rows;
        if (left) memmove(tile->buffer, tile->buffer + (at - tile->from), (size_t)left * sizeof(R));
        FN(transpose)((const char *)in->data + row * strides[0], strides[1], rows, shape[1], tile->buffer + left);
        tile->from = tile->stop - left;
        tile->stop += rows * shape[1];
    }
    return tile->buffer + (at - tile->from);
}

static const R *FN(fetch)(const fastsig_plan *p, const fastsig_source *in, FN(tile) *tile, int64_t start, int64_t count, R *to) {
    if (in->whole) return (const R *)in->data + start;
    if (tile->buffer) return FN(tile_serve)(tile, p, in, start, count);
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

FORMULA void FN(logits)(const R *x, const R *pos, const R *miss, R *l, R *g, R *h, size_t n, FN(numbers) k, bool plain, bool mean) {
    LOOP(n) {
        R xj = x[j], pj = pos[j];
        R mj = plain ? sub(1, pj) : miss[j];
        R both = plain ? (R)1 : add(pj, mj);
        R z = FN(exp_up)(absolute(xj));
        if (l) l[j] = plain ? FN(plain_loss)(xj, z, pj, mj) : FN(weighted_loss)(xj, z, pj, mj, both);
        R w = FN(lesser_up)(z);
        R d = FN(weighted_grad)(xj, w, pj, mj, both);
        if (g) g[j] = mean ? FN(scaled)(d, k.scale, k.scale_lo) : d;
        if (h) h[j] = FN(weighted_hess)(w, both);
    }
}

/* A result that nobody wants goes to `unused`, so that the compiler sees which there are: else it makes a masked store of each, which
 * takes Zen longer than all the arithmetic. */
static void FN(logits_block)(const R *x, const R *pos, const R *miss, R *l, R *g, R *h, R *unused, size_t n, FN(numbers) k) {
    const bool mean = k.scale != 1, loss = l != NULL, grad = g != NULL;
    if (!loss) l = unused;
    if (!grad) g = unused;
#define CASES(plain)                                                                     \
    if (h && loss) FN(logits)(x, pos, miss, l, g, h, n, k, plain, false);                \
    else if (h) FN(logits)(x, pos, miss, NULL, g, h, n, k, plain, false);                \
    else if (!grad) FN(logits)(x, pos, miss, l, NULL, NULL, n, k, plain, false);         \
    else if (mean) FN(logits)(x, pos, miss, l, g, NULL, n, k, plain, true);              \
    else FN(logits)(x, pos, miss, l, g, NULL, n, k, plain, false);
    if (miss) { CASES(false) } else { CASES(true) }
#undef CASES
}

static void FN(focal_block)(const R *x, const R *t, const R *weight, R *l, R *g, R *m, R *unused, size_t n, FN(numbers) k) {
    if (!g) g = unused;
    LOOP(n) {
        R z = FN(exp_up)(absolute(x[j])), w = mul(FN(lesser_up)(z), K(down)), tj = t[j];
        R loss = FN(plain_loss)(x[j], z, tj, sub(1, tj));
        R share = mul(weight[j], FN(focal_share)(tj, k.alpha, k.beta));
        m[j] = FN(focal_miss)(x[j], w, tj);
        g[j] = mul(share, FN(focal_slope)(x[j], w, tj, m[j], loss, k.gamma));
        l[j] = FN(weighted)(loss, share);
    }
    if (!k.whole) LOOP(n) {
        R f = FN(focal_power)(x[j], FN(exp_up)(absolute(x[j])), t[j], m[j], k.gamma, k.gamma_lo);
        g[j] = mul(g[j], f);
        l[j] = FN(weighted)(l[j], f);
    }
    else for (int i = 0; i < (int)k.gamma; i++) LOOP(n) {
        g[j] = mul(g[j], m[j]);
        l[j] = FN(weighted)(l[j], m[j]);
    }
    if (k.scale != 1) LOOP(n) g[j] = FN(scaled)(g[j], k.scale, k.scale_lo);
}

/* ---- results to where they belong ---- */
static void FN(put)(const fastsig_plan *p, int64_t out, int64_t start, int64_t count, const R *v) {
    uint16_t *halves = (uint16_t *)out + start;
    if (p->dtype == TYPE_F16) {
        LOOP((size_t)count) halves[j] = f16_of_float((float)v[j]);
    } else if (p->dtype == TYPE_BF16) {
        LOOP((size_t)count) halves[j] = bf16_of_float((float)v[j]);
    } else if (p->stream) {
        R *to = (R *)out + start;
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
    _Alignas(LINE) R xs[BLOCK], ts[BLOCK], weights[BLOCK], poss[BLOCK], misses[BLOCK], outs[OUT_COUNT][BLOCK], terms[BLOCK], unused[BLOCK];
    halves sum;
} FN(blocks);

static int FN(reduce)(const fastsig_plan *p, const fastsig_numbers *numbers, int64_t start, int64_t stop, int64_t *sum) {
    FN(blocks) *const blocks = fastsig_scratch(sizeof *blocks);
    if (!blocks) return NO_MEMORY;
    R *const xs = blocks->xs, *const ts = blocks->ts, *const weights = blocks->weights, *const poss = blocks->poss;
    R *const misses = blocks->misses, (*const outs)[BLOCK] = blocks->outs, *const unused = blocks->unused;
    const fastsig_source *in = p->in;
    const FN(numbers) k = {(R)numbers->keep, (R)numbers->floor, (R)numbers->scale, (R)numbers->scale_lo, (R)numbers->alpha,
                           (R)numbers->beta, (R)numbers->gamma, (R)numbers->gamma_lo, numbers->whole != 0};
    const bool has_weight = in[IN_WEIGHT].type >= 0, has_pos = in[IN_POS_WEIGHT].type >= 0, has_mask = in[IN_MASK].type >= 0;
    const bool direct = p->dtype >= TYPE_F32 && !p->stream;
    const bool plain = !has_weight && !has_pos && !has_mask && k.floor == 0;
    FN(tile) tiles[IN_MASK];
    for (int i = 0; i < IN_MASK; i++) FN(tile_open)(&tiles[i], p, &in[i], start, stop);
    int violations = 0;
    for (int64_t at = start; at < stop; at += BLOCK) {
        const int64_t count = stop - at < BLOCK ? stop - at : BLOCK;
        const size_t n = (size_t)count;
        FN(prefetch)(&in[IN_X], at + BLOCK, stop);
        FN(prefetch)(&in[IN_TARGET], at + BLOCK, stop);
        const R *x = xs, *t = ts, *weight = weights, *pos_weight = poss;
        if (in[IN_X].type >= 0) x = FN(fetch)(p, &in[IN_X], &tiles[IN_X], at, count, xs);
        if (in[IN_TARGET].type >= 0) t = FN(fetch)(p, &in[IN_TARGET], &tiles[IN_TARGET], at, count, ts);
        if (has_weight) weight = FN(fetch)(p, &in[IN_WEIGHT], &tiles[IN_WEIGHT], at, count, weights);
        else if (!plain || p->formula != FORMULA_LOGITS) LOOP(n) weights[j] = 1;
        if (has_pos) pos_weight = FN(fetch)(p, &in[IN_POS_WEIGHT], &tiles[IN_POS_WEIGHT], at, count, poss);
        if (has_mask) { /* a masked element is one of weight 0 at x = t = 0 */
            FN(gather)(p, &in[IN_MASK], at, count, misses);
            LOOP(n) {
                xs[j] = select(misses[j] != 0, x[j], 0);
                ts[j] = select(misses[j] != 0, t[j], 0);
                weights[j] = select(misses[j] != 0, weight[j], 0);
            }
            x = xs, t = ts, weight = weights;
        }
        if (!plain) violations |= FN(violations)(p->check, x, t, weight, pos_weight, n);
        R *to[OUT_COUNT];
        for (int i = 0; i < OUT_COUNT; i++) to[i] = !p->out[i] ? NULL : direct ? (R *)p->out[i] + at : outs[i];
        if (p->sum) to[OUT_LOSS] = outs[OUT_LOSS];
        if (p->formula == FORMULA_LOGITS && plain) {
            FN(logits_block)(x, t, NULL, to[OUT_LOSS], to[OUT_GRAD], to[OUT_HESS], unused, n, k);
        } else if (p->formula == FORMULA_LOGITS) {
            LOOP(n) {
                misses[j] = mul(weight[j], FN(smoothed)(sub(1, t[j]), k.keep, k.floor));
                ts[j] = mul(weight[j], FN(smoothed)(t[j], k.keep, k.floor));
            }
            if (has_pos) LOOP(n) ts[j] = mul(ts[j], pos_weight[j]);
            FN(logits_block)(x, ts, misses, to[OUT_LOSS], to[OUT_GRAD], to[OUT_HESS], unused, n, k);
        } else if (p->formula == FORMULA_PROBABILITIES) {
            LOOP(n) to[OUT_LOSS][j] = FN(weighted)(FN(bce)(x[j], t[j]), weight[j]);
        } else if (p->formula == FORMULA_FOCAL) {
            if (!k.whole) x = FN(kept)(x, xs, n), t = FN(kept)(t, ts, n);
            FN(focal_block)(x, t, weight, to[OUT_LOSS], to[OUT_GRAD], blocks->terms, unused, n, k);
        } else if (p->sum) {
            LOOP(n) to[OUT_LOSS][j] = weight[j];
        }
        if (plain) violations |= FN(violations)(p->check, x, t, weight, pos_weight, n); /* now that the block is in the first cache */
        for (int i = 0; i < OUT_COUNT; i++)
            if (p->out[i] && !direct) FN(put)(p, p->out[i], at, count, to[i]);
        if (p->sum) {
            double rest;
            const size_t width = summed_width(n);
            for (size_t j = n; j < width; j++) outs[OUT_LOSS][j] = 0;
            const double total = FN(block_sum)(outs[OUT_LOSS], width, &blocks->sum, &rest);
            exact_add(sum, total);
            if (rest != 0 && total - total == 0) exact_add(sum, rest);
        }
    }
    for (int i = 0; i < IN_MASK; i++) free(tiles[i].buffer);
    return violations;
}
