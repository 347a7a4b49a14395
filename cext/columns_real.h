/* A pass over matrices whose columns lie side by side in memory, by columns: written once for float and double, as reduce_real.h. */

/* The columns that come next of an operand, at some row, and the bytes from there to the next row. */
typedef struct {
    window at;
    ptrdiff_t to_next_row;
} FN(view);

static void FN(view_at)(FN(view) *v, const int64_t *shape, int64_t ndim, int64_t data, int64_t columns, int64_t start) {
    window_at(&v->at, shape, ndim, data, start);
    v->to_next_row = bytes_to(&v->at, columns);
}

/* Column after column, `rows` elements of each, from so many rows below on. */
static void FN(gather_columns)(const FN(view) *v, int64_t type, int64_t above, int64_t rows, int64_t count, R *to) {
    const bool same = type == COMPUTING;
    const ptrdiff_t next = v->to_next_row, size = sizeof(R);
    window w = v->at;
    for (int64_t run; count; count -= run, advance(&w, run)) {
        const ptrdiff_t stride = w.strides[w.last];
        const char *from = w.from + above * next;
        run = run_of(&w, count);
        if (same && next == size) {
            for (int64_t i = 0; i < run; i++, to += rows, from += stride) FN(copy)((char *)to, from, rows);
        } else if (same && stride == size) {
            FN(transpose)((const R *)from, next / size, run, rows, to, rows);
            to += run * rows;
        } else {
            for (int64_t i = 0; i < run; i++, to += rows, from += stride) FN(bring)(type, from, next, to, (size_t)rows);
        }
    }
}

static void FN(put_columns)(const FN(view) *v, int64_t dtype, int64_t above, int64_t rows, int64_t count, const R *results) {
    const bool narrow = dtype < TYPE_F32;
    const ptrdiff_t next = v->to_next_row, size = narrow ? 2 : sizeof(R);
    window w = v->at;
    for (int64_t run; count; count -= run, advance(&w, run)) {
        const ptrdiff_t stride = w.strides[w.last];
        char *to = (char *)w.from + above * next;
        run = run_of(&w, count);
        if (next == size) {
            for (int64_t i = 0; i < run; i++, results += rows, to += stride) FN(put)(dtype, false, to, rows, results);
        } else if (!narrow && stride == size) {
            FN(transpose)(results, rows, rows, run, (R *)to, next / size);
            results += run * rows;
        } else {
            for (int64_t i = 0; i < run; i++, to += stride)
                for (int64_t j = 0; j < rows; j++, results++) FN(put)(dtype, false, to + j * next, 1, results);
        }
    }
}

/* ---- a pass: panels of rows, in each the columns a few at a time, of which some rows at a time ---- */
typedef struct {
    FN(pass) pass;
    FN(view) in[IN_COUNT], out[OUT_COUNT]; /* at the panel's first row, in the columns that come next */
    bool far;                                /* what comes next is fetched from memory */
} FN(walk);

static int FN(any_part)(const FN(walk) *walk, part of) {
    const fastsig_plan *const p = walk->pass.p;
    FN(blocks) *const b = walk->pass.blocks;
    R *const buffers[IN_COUNT] = {b->xs, b->ts, b->weights, b->poss, b->misses};
    R *to[OUT_COUNT];
    for (int i = 0; i < IN_COUNT; i++)
        if (p->in[i].type >= 0) FN(gather_columns)(&walk->in[i], p->in[i].type, of.above, of.rows, of.count, buffers[i]);
    for (int i = 0; i < OUT_COUNT; i++) to[i] = p->out[i] || (i == OUT_LOSS && (p->sum || p->formula != FORMULA_LOGITS)) ? b->outs[i] : NULL;
    const int violations = FN(evaluate)(&walk->pass, (FN(operands)){b->xs, b->ts, b->weights, b->poss}, to, (size_t)(of.rows * of.count));
    for (int i = 0; i < OUT_COUNT; i++)
        if (p->out[i]) FN(put_columns)(&walk->out[i], p->dtype, of.above, of.rows, of.count, to[i]);
    return violations;
}

/* Columns so many bytes apart, and those of the next part. */
typedef struct {
    char *at;
    ptrdiff_t apart, ahead;
    bool in_place;
} FN(columns);

/* Where a part's columns lie in memory, if they can be computed on there; else the buffer in which they have to be. */
static FN(columns) FN(columns_of)(const FN(view) *v, int64_t type, part of, R *buffer) {
    const ptrdiff_t stride = v->at.strides[v->at.last], size = sizeof(R);
    if (type != COMPUTING || v->to_next_row != size || run_of(&v->at, of.count) < of.count) return (FN(columns)){(char *)buffer, WINDOW_ROWS * size, 0, false};
    return (FN(columns)){(char *)v->at.from + of.above * size, stride, of.last ? of.count * stride - of.above * size : of.rows * size, true};
}

static FN(columns) FN(columns_to_read)(const FN(walk) *walk, int which, part of, R *buffer) {
    const int64_t type = walk->pass.p->in[which].type;
    const FN(columns) found = FN(columns_of)(&walk->in[which], type, of, buffer);
    if (!found.in_place) FN(gather_columns)(&walk->in[which], type, of.above, of.rows, of.count, buffer);
    return found;
}

/* Cross-entropy without options, of WINDOW_ROWS rows: the loops' ends are known when they are compiled, and what lies in memory as it is
 * needed is not copied. */
static int FN(plain_part)(const FN(walk) *walk, part of) {
    const fastsig_plan *const p = walk->pass.p;
    FN(blocks) *const b = walk->pass.blocks;
    const FN(numbers) k = walk->pass.k;
    const bool check = p->check & BAD_TARGET;
    FN(columns) x = FN(columns_to_read)(walk, IN_X, of, b->xs), t = FN(columns_to_read)(walk, IN_TARGET, of, b->ts);
    FN(columns) g = {NULL, 0, 0, true};
    R *l = b->outs[OUT_LOSS];
    int violations = 0;
    if (p->out[OUT_GRAD]) g = FN(columns_of)(&walk->out[OUT_GRAD], p->dtype, of, b->outs[OUT_GRAD]);
#define COLUMNS(gradient, mean)                                                                                                   \
    for (int64_t i = 0; i < of.count; i++, x.at += x.apart, t.at += t.apart, g.at += g.apart, l += WINDOW_ROWS) {                 \
        for (size_t j = 0; walk->far && j < WINDOW_ROWS * sizeof(R); j += LINE) {                                                       \
            __builtin_prefetch(x.at + x.ahead + j, 0, 2);                                                                         \
            __builtin_prefetch(t.at + t.ahead + j, 0, 2);                                                                         \
            if (gradient) __builtin_prefetch(g.at + g.ahead + j, 1, 2);                                                           \
        }                                                                                                                         \
        if (check && FN(outside)((const R *)t.at, WINDOW_ROWS, 1)) violations = BAD_TARGET;                                       \
        R *const to = gradient ? (R *)g.at : NULL;                                                                                \
        FN(logits)((const R *)x.at, (const R *)t.at, NULL, NULL, l, to, NULL, WINDOW_ROWS, k, true, false, mean);                 \
    }
    if (!g.at) { COLUMNS(false, false) } else if (k.scale != 1) { COLUMNS(true, true) } else { COLUMNS(true, false) }
#undef COLUMNS
    if (!g.in_place) FN(put_columns)(&walk->out[OUT_GRAD], p->dtype, of.above, of.rows, of.count, b->outs[OUT_GRAD]);
    return violations;
}

static int FN(reduce_columns)(const fastsig_plan *p, const fastsig_numbers *numbers, fastsig_matrices by, int64_t start, int64_t stop, int64_t *sum) {
    FN(walk) walk;
    if (!FN(begin)(&walk.pass, p, numbers)) return NO_MEMORY;
    const int64_t columns = by.columns, most_rows = least(panel_rows_of(columns * (int64_t)sizeof(R)), by.rows);
    const int64_t c_order[] = {p->size, p->dtype >= TYPE_F32 ? (int64_t)sizeof(R) : 2};
    const bool plain = walk.pass.plain && p->formula == FORMULA_LOGITS && p->sum;
    const int64_t most_window = plain ? WINDOW_ROWS : least(BLOCK / least(columns, BLOCK / WINDOW_ROWS), most_rows);
    FN(blocks) *const b = walk.pass.blocks;
    walk.far = p->size * (int64_t)sizeof(R) > FAR_BYTES;
    int violations = 0;
    for (int64_t row = start / columns, panel_rows; row < stop / columns; row += panel_rows) {
        panel_rows = least(least(most_rows, stop / columns - row), by.rows - row % by.rows);
        for (int i = 0; i < IN_COUNT; i++)
            if (p->in[i].type >= 0)
                FN(view_at)(&walk.in[i], (const int64_t *)p + p->in[i].geometry, p->in[i].ndim, p->in[i].data, columns, row * columns);
        for (int i = 0; i < OUT_COUNT; i++)
            if (p->out[i]) FN(view_at)(&walk.out[i], c_order, 1, p->out[i], columns, row * columns);
        for (int64_t column = 0, count; column < columns; column += count) {
            count = least(BLOCK / most_window, columns - column);
            for (int64_t above = 0, rows; above < panel_rows; above += rows) {
                rows = least(most_window, panel_rows - above);
                const part of = {above, rows, count, above + rows == panel_rows};
                violations |= plain && rows == WINDOW_ROWS ? FN(plain_part)(&walk, of) : FN(any_part)(&walk, of);
                if (p->sum) FN(add_block)(b->outs[OUT_LOSS], b->unused, (size_t)(rows * count), sum);
            }
            for (int i = 0; i < IN_COUNT; i++)
                if (p->in[i].type >= 0) advance_by(&walk.in[i].at, count);
            for (int i = 0; i < OUT_COUNT; i++)
                if (p->out[i]) advance_by(&walk.out[i].at, count);
        }
    }
    return violations;
}
