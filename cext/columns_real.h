/* A pass over matrices whose columns lie side by side in memory, by columns; the losses of some rows are then put in C order, in which
 * their blocks are summed. Written once for float and double, as reduce_real.h. */

/* Where in memory some rows of some columns are: `from` is the first element, `index` that of its column among the axes after the rows. */
typedef struct {
    char *from;
    int64_t to_next_row, last, index[64];
    const int64_t *shape, *strides;
} FN(window);

static FN(window) FN(window_at)(const int64_t *shape, int64_t ndim, int64_t data, int64_t columns, int64_t start) {
    FN(window) w = {.from = (char *)data, .last = ndim - 1, .shape = shape, .strides = shape + ndim};
    int64_t at = start, next = columns, carry = 0;
    for (int64_t d = w.last; d >= 0; d--) {
        w.index[d] = at % w.shape[d];
        at /= w.shape[d];
        w.from += w.index[d] * w.strides[d];
        const int64_t here = w.index[d] + next % w.shape[d] + carry;
        carry = here >= w.shape[d];
        w.to_next_row += (here - carry * w.shape[d] - w.index[d]) * w.strides[d];
        next /= w.shape[d];
    }
    return w;
}

/* To the column so many on, which are at most those of `run`. */
static inline void FN(advance)(FN(window) *w, int64_t count) {
    w->from += count * w->strides[w->last];
    w->index[w->last] += count;
    for (int64_t d = w->last; d > 0 && w->index[d] == w->shape[d]; d--) {
        w->from += w->strides[d - 1] - w->index[d] * w->strides[d];
        w->index[d] = 0;
        w->index[d - 1]++;
    }
}

/* Of so many columns those that one stride walks over. */
static inline int64_t FN(run)(const FN(window) *w, int64_t count) { return least(count, w->shape[w->last] - w->index[w->last]); }

static void FN(advance_by)(FN(window) *w, int64_t count) {
    for (int64_t run; count; count -= run) FN(advance)(w, run = FN(run)(w, count));
}

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

/* Column after column, `rows` elements of each. */
static void FN(gather_columns)(FN(window) w, int64_t type, int64_t rows, int64_t count, R *to) {
    const bool same = type == (sizeof(R) == 4 ? TYPE_F32 : TYPE_F64);
    for (int64_t run; count; count -= run, FN(advance)(&w, run)) {
        const ptrdiff_t stride = w.strides[w.last];
        const char *from = w.from;
        run = FN(run)(&w, count);
        if (same && w.to_next_row == (int64_t)sizeof(R)) {
            for (int64_t i = 0; i < run; i++, to += rows, from += stride) FN(copy)((char *)to, from, rows);
        } else if (same && stride == (int64_t)sizeof(R)) {
            FN(transpose)((const R *)from, w.to_next_row / (int64_t)sizeof(R), run, rows, to, rows);
            to += run * rows;
        } else {
            for (int64_t i = 0; i < run; i++, to += rows, from += stride) FN(convert)(type, from, w.to_next_row, to, (size_t)rows);
        }
    }
}

static void FN(put_columns)(FN(window) w, int64_t dtype, int64_t rows, int64_t count, const R *v) {
    const bool narrow = dtype < TYPE_F32;
    const int64_t size = narrow ? 2 : (int64_t)sizeof(R);
    for (int64_t run; count; count -= run, FN(advance)(&w, run)) {
        const ptrdiff_t stride = w.strides[w.last];
        char *to = w.from;
        run = FN(run)(&w, count);
        if (!narrow && w.to_next_row == size) {
            for (int64_t i = 0; i < run; i++, v += rows, to += stride) FN(copy)(to, (const char *)v, rows);
        } else if (!narrow && stride == size) {
            FN(transpose)(v, rows, rows, run, (R *)to, w.to_next_row / size);
            v += run * rows;
        } else if (w.to_next_row == size) {
            for (int64_t i = 0; i < run; i++, v += rows, to += stride) FN(put)(dtype, false, to, rows, v);
        } else {
            for (int64_t i = 0; i < run; i++, to += stride)
                for (int64_t j = 0; j < rows; j++, v++) FN(put)(dtype, false, to + j * w.to_next_row, 1, v);
        }
    }
}

/* ---- a pass: panels of rows, in each the columns a few at a time, of which some rows at a time ---- */
typedef struct {
    FN(pass) pass;
    FN(window) in[IN_COUNT], out[OUT_COUNT]; /* at the panel's first row, in the columns that come next */
    bool far;                                /* what comes next is fetched from memory */
} FN(walk);

static FN(window) FN(below)(FN(window) w, int64_t rows) {
    w.from += rows * w.to_next_row;
    return w;
}

static int FN(any_part)(FN(walk) *walk, part of) {
    const fastsig_plan *const p = walk->pass.p;
    FN(blocks) *const b = walk->pass.blocks;
    R *const buffers[IN_COUNT] = {b->xs, b->ts, b->weights, b->poss, b->misses};
    R *to[OUT_COUNT];
    for (int i = 0; i < IN_COUNT; i++)
        if (p->in[i].type >= 0) FN(gather_columns)(FN(below)(walk->in[i], of.above), p->in[i].type, of.rows, of.count, buffers[i]);
    for (int i = 0; i < OUT_COUNT; i++) to[i] = p->out[i] || (p->sum && i == OUT_LOSS) ? b->outs[i] : NULL;
    const int violations = FN(evaluate)(&walk->pass, (FN(operands)){b->xs, b->ts, b->weights, b->poss}, to, (size_t)(of.rows * of.count));
    for (int i = 0; i < OUT_COUNT; i++)
        if (p->out[i]) FN(put_columns)(FN(below)(walk->out[i], of.above), p->dtype, of.rows, of.count, to[i]);
    return violations;
}

/* Columns so many bytes apart, and those of the next part. */
typedef struct {
    char *at;
    ptrdiff_t apart, ahead;
    bool in_place;
} FN(columns);

/* Where a part's columns lie in memory, if they can be computed on there; else the buffer in which they have to be. */
static FN(columns) FN(columns_of)(FN(window) w, int64_t type, part of, R *buffer) {
    const ptrdiff_t stride = w.strides[w.last], row = (int64_t)sizeof(R);
    if (type != (sizeof(R) == 4 ? TYPE_F32 : TYPE_F64) || w.to_next_row != row || FN(run)(&w, of.count) < of.count)
        return (FN(columns)){(char *)buffer, WINDOW_ROWS * row, 0, false};
    return (FN(columns)){w.from + of.above * row, stride, of.last ? of.count * stride - of.above * row : of.rows * row, true};
}

/* Cross-entropy without options, of WINDOW_ROWS rows: the loops' ends are known when they are compiled, and what lies in memory as it is
 * needed is not copied. */
static int FN(plain_part)(FN(walk) *walk, part of) {
    const fastsig_plan *const p = walk->pass.p;
    FN(blocks) *const b = walk->pass.blocks;
    const FN(numbers) k = walk->pass.k;
    const bool far = walk->far, check = p->check & BAD_TARGET;
    FN(columns) x = FN(columns_of)(walk->in[IN_X], p->in[IN_X].type, of, b->xs), t = FN(columns_of)(walk->in[IN_TARGET], p->in[IN_TARGET].type, of, b->ts);
    FN(columns) g = {NULL, 0, 0, true};
    R *l = b->outs[OUT_LOSS];
    int violations = 0;
    if (!x.in_place) FN(gather_columns)(FN(below)(walk->in[IN_X], of.above), p->in[IN_X].type, of.rows, of.count, b->xs);
    if (!t.in_place) FN(gather_columns)(FN(below)(walk->in[IN_TARGET], of.above), p->in[IN_TARGET].type, of.rows, of.count, b->ts);
    if (p->out[OUT_GRAD]) g = FN(columns_of)(walk->out[OUT_GRAD], p->dtype, of, b->outs[OUT_GRAD]);
#define COLUMNS(gradient, mean)                                                                                                   \
    for (int64_t i = 0; i < of.count; i++, x.at += x.apart, t.at += t.apart, g.at += g.apart, l += WINDOW_ROWS) {                 \
        for (size_t j = 0; far && j < WINDOW_ROWS * sizeof(R); j += LINE) {                                                       \
            __builtin_prefetch(x.at + x.ahead + j, 0, 2);                                                                         \
            __builtin_prefetch(t.at + t.ahead + j, 0, 2);                                                                         \
            if (gradient) __builtin_prefetch(g.at + g.ahead + j, 1, 2);                                                           \
        }                                                                                                                         \
        if (check && FN(outside)((const R *)t.at, WINDOW_ROWS, 1)) violations = BAD_TARGET;                                       \
        FN(logits)((const R *)x.at, (const R *)t.at, NULL, l, gradient ? (R *)g.at : NULL, NULL, WINDOW_ROWS, k, true, mean);     \
    }
    if (!g.at) { COLUMNS(false, false) } else if (k.scale != 1) { COLUMNS(true, true) } else { COLUMNS(true, false) }
#undef COLUMNS
    if (!g.in_place) FN(put_columns)(FN(below)(walk->out[OUT_GRAD], of.above), p->dtype, of.rows, of.count, b->outs[OUT_GRAD]);
    return violations;
}

static int FN(reduce_columns)(const fastsig_plan *p, const fastsig_numbers *numbers, fastsig_matrices by, int64_t start, int64_t stop, int64_t *sum) {
    FN(walk) walk;
    if (!FN(begin)(&walk.pass, p, numbers)) return NO_MEMORY;
    const int64_t columns = by.columns, most_rows = panel_rows_of(columns * (int64_t)sizeof(R));
    const int64_t pitch = columns % BLOCK ? columns : columns + LINE / (int64_t)sizeof(R); /* rows of whole blocks need not meet */
    const int64_t c_order[] = {p->size, p->dtype >= TYPE_F32 ? (int64_t)sizeof(R) : 2};
    const int64_t *const laid = p->laid.whole ? c_order : (const int64_t *)p + p->laid.geometry, laid_ndim = p->laid.whole ? 1 : p->laid.ndim;
    const bool plain = walk.pass.plain && p->formula == FORMULA_LOGITS && p->sum;
    const int64_t most_window = plain ? WINDOW_ROWS : least(BLOCK / least(columns, BLOCK / WINDOW_ROWS), most_rows);
    R *const losses = p->sum ? malloc((size_t)(most_rows * pitch + BLOCK) * sizeof(R)) : NULL;
    if (p->sum && !losses) return NO_MEMORY;
    walk.far = p->size * (int64_t)sizeof(R) > FAR_BYTES;
    int64_t left = 0;
    int violations = 0;
    for (int64_t row = start / columns, panel_rows; row < stop / columns; row += panel_rows) {
        panel_rows = least(least(most_rows, stop / columns - row), by.rows - row % by.rows);
        for (int i = 0; i < IN_COUNT; i++)
            if (p->in[i].type >= 0)
                walk.in[i] = FN(window_at)((const int64_t *)p + p->in[i].geometry, p->in[i].ndim, p->in[i].data, columns, row * columns);
        for (int i = 0; i < OUT_COUNT; i++)
            if (p->out[i]) walk.out[i] = FN(window_at)(laid, laid_ndim, p->out[i], columns, row * columns);
        for (int64_t column = 0, count; column < columns; column += count) {
            count = least(BLOCK / most_window, columns - column);
            for (int64_t above = 0, rows; above < panel_rows; above += rows) {
                rows = least(most_window, panel_rows - above);
                const part of = {above, rows, count, above + rows == panel_rows};
                violations |= plain && rows == WINDOW_ROWS ? FN(plain_part)(&walk, of) : FN(any_part)(&walk, of);
                if (p->sum) FN(transpose)(walk.pass.blocks->outs[OUT_LOSS], rows, rows, count, losses + left + above * pitch + column, pitch);
            }
            for (int i = 0; i < IN_COUNT; i++)
                if (p->in[i].type >= 0) FN(advance_by)(&walk.in[i], count);
            for (int i = 0; i < OUT_COUNT; i++)
                if (p->out[i]) FN(advance_by)(&walk.out[i], count);
        }
        if (!p->sum) continue;
        if (pitch > columns) {
            for (int64_t i = 0; i < panel_rows * columns; i += BLOCK) FN(add_block)(&walk.pass, losses + i / columns * pitch + i % columns, BLOCK, sum);
            continue;
        }
        const int64_t had = left + panel_rows * columns;
        int64_t added = 0;
        for (; had - added >= BLOCK; added += BLOCK) FN(add_block)(&walk.pass, losses + added, BLOCK, sum);
        left = had - added;
        memmove(losses, losses + added, (size_t)left * sizeof(R));
    }
    if (left) FN(add_block)(&walk.pass, losses, (size_t)left, sum);
    free(losses);
    return violations;
}
