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

/* Column after column, `rows` elements of each, and the lines so many bytes further on are fetched. */
static void FN(gather_columns)(FN(window) w, int64_t type, int64_t above, int64_t rows, int64_t count, ptrdiff_t ahead, R *to) {
    const bool same = type == (sizeof(R) == 4 ? TYPE_F32 : TYPE_F64);
    w.from += above * w.to_next_row;
    for (int64_t run; count; count -= run, FN(advance)(&w, run)) {
        const ptrdiff_t stride = w.strides[w.last];
        const char *from = w.from;
        run = FN(run)(&w, count);
        if (same && w.to_next_row == (int64_t)sizeof(R)) {
            for (int64_t i = 0; i < run; i++, to += rows, from += stride) {
                if (ahead)
                    for (int64_t j = 0; j < rows * (int64_t)sizeof(R); j += LINE) __builtin_prefetch(from + ahead + j, 0, 2);
                FN(copy)((char *)to, from, rows);
            }
        } else if (same && stride == (int64_t)sizeof(R)) {
            FN(transpose)((const R *)from, w.to_next_row / (int64_t)sizeof(R), run, rows, to, rows);
            to += run * rows;
        } else {
            for (int64_t i = 0; i < run; i++, to += rows, from += stride) FN(convert)(type, from, w.to_next_row, to, (size_t)rows);
        }
    }
}

/* what is about to be written */
static void FN(prefetch_columns)(FN(window) w, int64_t size, int64_t above, int64_t rows, int64_t count) {
    const char *to = w.from + above * w.to_next_row;
    if (w.to_next_row != size) return;
    for (int64_t i = 0; i < FN(run)(&w, count); i++, to += w.strides[w.last])
        for (int64_t j = 0; j < rows * size; j += LINE) __builtin_prefetch(to + j, 1);
}

static void FN(put_columns)(FN(window) w, const fastsig_plan *p, int64_t above, int64_t rows, int64_t count, const R *v) {
    const bool narrow = p->dtype < TYPE_F32;
    const int64_t size = narrow ? 2 : (int64_t)sizeof(R);
    w.from += above * w.to_next_row;
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
            for (int64_t i = 0; i < run; i++, v += rows, to += stride) FN(put)(p->dtype, false, to, rows, v);
        } else {
            for (int64_t i = 0; i < run; i++, to += stride)
                for (int64_t j = 0; j < rows; j++, v++) FN(put)(p->dtype, false, to + j * w.to_next_row, 1, v);
        }
    }
}

static int FN(reduce_columns)(const fastsig_plan *p, const fastsig_numbers *numbers, fastsig_matrices by, int64_t start, int64_t stop, int64_t *sum) {
    FN(pass) pass;
    if (!FN(begin)(&pass, p, numbers)) return NO_MEMORY;
    FN(blocks) *const b = pass.blocks;
    const int64_t columns = by.columns, most_rows = panel_rows_of(columns * (int64_t)sizeof(R));
    const int64_t c_order[] = {p->size, p->dtype >= TYPE_F32 ? (int64_t)sizeof(R) : 2};
    const int64_t *const laid = p->laid.whole ? c_order : (const int64_t *)p + p->laid.geometry, laid_ndim = p->laid.whole ? 1 : p->laid.ndim;
    const int64_t most_window = columns < BLOCK / WINDOW_ROWS ? least(BLOCK / columns, most_rows) : WINDOW_ROWS;
    const bool far = p->size * (int64_t)sizeof(R) > FAR_BYTES;
    const int64_t pitch = columns % BLOCK ? columns : columns + LINE / (int64_t)sizeof(R); /* where rows are whole blocks they need not meet */
    R *const losses = p->sum ? malloc((size_t)(most_rows * pitch + BLOCK) * sizeof(R)) : NULL;
    if (p->sum && !losses) return NO_MEMORY;
    int64_t left = 0;
    int violations = 0;
    for (int64_t row = start / columns, panel_rows; row < stop / columns; row += panel_rows) {
        panel_rows = least(least(most_rows, stop / columns - row), by.rows - row % by.rows);
        FN(window) in[IN_COUNT], out[OUT_COUNT];
        for (int i = 0; i < IN_COUNT; i++)
            if (p->in[i].type >= 0)
                in[i] = FN(window_at)((const int64_t *)p + p->in[i].geometry, p->in[i].ndim, p->in[i].data, columns, row * columns);
        for (int i = 0; i < OUT_COUNT; i++)
            if (p->out[i]) out[i] = FN(window_at)(laid, laid_ndim, p->out[i], columns, row * columns);
        for (int64_t column = 0, count; column < columns; column += count) {
            count = least(BLOCK / most_window, columns - column);
            for (int64_t above = 0, rows; above < panel_rows; above += rows) {
                rows = least(most_window, panel_rows - above);
                R *const buffers[IN_COUNT] = {b->xs, b->ts, b->weights, b->poss, b->misses};
                for (int i = 0; i < IN_COUNT; i++) {
                    if (p->in[i].type < 0) continue;
                    const ptrdiff_t below = rows * in[i].to_next_row, beside = count * in[i].strides[in[i].last] - above * in[i].to_next_row;
                    FN(gather_columns)(in[i], p->in[i].type, above, rows, count, far ? above + rows < panel_rows ? below : beside : 0, buffers[i]);
                }
                R *to[OUT_COUNT];
                for (int i = 0; i < OUT_COUNT; i++) to[i] = p->out[i] ? b->outs[i] : NULL;
                if (p->sum) to[OUT_LOSS] = b->outs[OUT_LOSS];
                for (int i = 0; i < OUT_COUNT; i++)
                    if (p->out[i] && far) FN(prefetch_columns)(out[i], p->dtype >= TYPE_F32 ? (int64_t)sizeof(R) : 2, above, rows, count);
                violations |= FN(evaluate)(&pass, (FN(operands)){b->xs, b->ts, b->weights, b->poss}, to, (size_t)(rows * count));
                for (int i = 0; i < OUT_COUNT; i++)
                    if (p->out[i]) FN(put_columns)(out[i], p, above, rows, count, to[i]);
                if (p->sum) FN(transpose)(to[OUT_LOSS], rows, rows, count, losses + left + above * pitch + column, pitch);
            }
            for (int i = 0; i < IN_COUNT; i++)
                if (p->in[i].type >= 0) FN(advance_by)(&in[i], count);
            for (int i = 0; i < OUT_COUNT; i++)
                if (p->out[i]) FN(advance_by)(&out[i], count);
        }
        if (!p->sum) continue;
        if (pitch > columns) {
            for (int64_t i = 0; i < panel_rows * columns; i += BLOCK) FN(add_block)(&pass, losses + i / columns * pitch + i % columns, BLOCK, sum);
            continue;
        }
        const int64_t had = left + panel_rows * columns;
        int64_t added = 0;
        for (; had - added >= BLOCK; added += BLOCK) FN(add_block)(&pass, losses + added, BLOCK, sum);
        left = had - added;
        memmove(losses, losses + added, (size_t)left * sizeof(R));
    }
    if (left) FN(add_block)(&pass, losses, (size_t)left, sum);
    free(losses);
    return violations;
}
