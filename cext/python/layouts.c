/* Arrays that NumPy's iterator brings to a loop at a great price: those whose elements lie side by side along another axis than the
 * output's, which are computed tile by tile here, and those that are not aligned or in the other byte order, a block at a time. By the
 * loop of any ufunc of one input: ours, or one that Numba compiled. */
#include "ufuncs.h"

#include <string.h>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "environment.h"
#include "fastsig.h"
#include "overlap.h"
#include "pool.h"

enum {
    LINE = 64,
    PAGE = 4096,
    FAR_BYTES = 1 << 22,
    AT_ONCE = 256,         /* elements between two of a tile's requests for the next one */
    BUFFER_BYTES = 1 << 14, /* of a tile or a block, in the first-level cache beside what is read */
    TILE_BYTES = 1 << 9,    /* of a tile's row */
    SHUFFLED = 4,           /* elements that loops step over as fast as if these lay side by side */
    UNIT_BYTES = 1 << 18,   /* of what is computed between two looks at signals */
};

typedef struct {
    PyUFuncGenericFunction loop;
    void *data;
    fastsig_run run; /* instead of loop, where it is ours: with less around it */
    const fastsig_moves *moves;
    size_t size; /* bytes of an element */
    const char *x;
    char *out;
    bool x_as_it_is, out_as_it_is, swap_x, swap_out; /* as it is: aligned, and in the processor's byte order */
    bool stream; /* tiles are written past the caches */
    bool far;                                        /* what comes next is fetched from beyond the second cache */
    int ndim, across;                                /* the axis along which elements of x lie closest; the output's is the last one */
    npy_intp shape[NPY_MAXDIMS], x_steps[NPY_MAXDIMS], out_steps[NPY_MAXDIMS];
    size_t tile_rows, tile_columns, unit_rows, row_shift, column_shift; /* rows are along `across`, and columns along the last axis */
} walk;

static size_t least(size_t a, size_t b) { return a < b ? a : b; }
static size_t pieces(size_t n, size_t of) { return (n + of - 1) / of; }
static npy_intp magnitude(npy_intp step) { return step < 0 ? -step : step; }

static void compute(const walk *w, const void *x, void *out, size_t n) {
    if (w->run) {
        w->run((const void *const[]){x, x}, out, n);
        return;
    }
    const npy_intp count = (npy_intp)n, steps[] = {(npy_intp)w->size, (npy_intp)w->size};
    w->loop((char *[]){(char *)x, out}, &count, steps, w->data);
}

/* ---- the axes, from the output's slowest to its fastest, those joined that one step walks over ---- */
static void reverse(walk *w, int d) {
    w->x += (w->shape[d] - 1) * w->x_steps[d];
    w->out += (w->shape[d] - 1) * w->out_steps[d];
    w->x_steps[d] = -w->x_steps[d];
    w->out_steps[d] = -w->out_steps[d];
}

static void add_axis(walk *w, npy_intp n, npy_intp x_step, npy_intp out_step) {
    int at = w->ndim++;
    for (; at && magnitude(w->out_steps[at - 1]) < magnitude(out_step); at--) {
        w->shape[at] = w->shape[at - 1];
        w->x_steps[at] = w->x_steps[at - 1];
        w->out_steps[at] = w->out_steps[at - 1];
    }
    w->shape[at] = n;
    w->x_steps[at] = x_step;
    w->out_steps[at] = out_step;
}

static void join_axes(walk *w) {
    int last = 0;
    for (int d = 1; d < w->ndim; d++) {
        const bool joined = w->x_steps[last] == w->x_steps[d] * w->shape[d] && w->out_steps[last] == w->out_steps[d] * w->shape[d];
        last += !joined;
        w->shape[last] = joined ? w->shape[last] * w->shape[d] : w->shape[d];
        w->x_steps[last] = w->x_steps[d];
        w->out_steps[last] = w->out_steps[d];
    }
    w->ndim = last + 1;
}

static void arrange(walk *w, PyArrayObject *x, PyArrayObject *out) {
    for (int d = 0; d < PyArray_NDIM(x); d++)
        if (PyArray_DIM(x, d) != 1) add_axis(w, PyArray_DIM(x, d), PyArray_STRIDE(x, d), PyArray_STRIDE(out, d));
    if (!w->ndim) add_axis(w, 1, PyArray_ITEMSIZE(x), PyArray_ITEMSIZE(out));
    for (int d = 0; d < w->ndim; d++)
        if (w->out_steps[d] < 0) reverse(w, d);
    join_axes(w);
    const int last = w->across = w->ndim - 1;
    if (magnitude(w->x_steps[last]) <= SHUFFLED * (npy_intp)w->size) return;
    for (int d = 0; d < last; d++)
        if (w->x_steps[d] && magnitude(w->x_steps[d]) < magnitude(w->x_steps[w->across])) w->across = d;
    if (w->across != last && w->x_steps[w->across] < 0) reverse(w, w->across);
}

/* ---- by rows, a block at a time ---- */
static void compute_block(const walk *w, const char *x, char *out, size_t n) {
    _Alignas(LINE) char buffer[BUFFER_BYTES];
    const npy_intp x_step = w->x_steps[w->ndim - 1], out_step = w->out_steps[w->ndim - 1], size = (npy_intp)w->size;
    const void *from = x;
    if (x_step != size || !w->x_as_it_is) {
        w->moves->gather(buffer, x, x_step, w->size, n);
        if (w->swap_x) w->moves->swap(buffer, w->size, n);
        from = buffer;
    }
    if (out_step == size && w->out_as_it_is) {
        compute(w, from, out, n);
        return;
    }
    compute(w, from, buffer, n);
    if (w->swap_out) w->moves->swap(buffer, w->size, n);
    w->moves->scatter(out, out_step, buffer, w->size, n);
}

static void rows_piece(void *context, int seat, size_t start, size_t stop) {
    (void)seat;
    const environment callers = environment_enter();
    const walk *w = context;
    const int last = w->ndim - 1;
    const size_t columns = (size_t)w->shape[last], most = BUFFER_BYTES / w->size;
    for (size_t n; start < stop; start += n) {
        const char *x = w->x;
        char *out = w->out;
        size_t rest = start;
        for (int d = last; d >= 0; d--) {
            const npy_intp index = (npy_intp)(rest % (size_t)w->shape[d]);
            rest /= (size_t)w->shape[d];
            x += index * w->x_steps[d];
            out += index * w->out_steps[d];
        }
        n = least(least(most, stop - start), columns - start % columns);
        compute_block(w, x, out, n);
    }
    environment_leave(callers);
}

/* ---- by tiles ---- */
typedef struct {
    const char *x;
    char *out;
    size_t rows, columns;
} tile;

/* What the tile that comes next reads and writes, as the same share of it as these rows are of this one: a processor that computes has
 * time to fetch. Into the second cache, for lines that lie a power of two apart have few places in the first. */
static void prefetch_share(const walk *w, const tile *next, size_t row, size_t count, size_t rows) {
    const npy_intp column_step = w->x_steps[w->ndim - 1], out_step = w->out_steps[w->across];
    const size_t height = next->rows * (size_t)magnitude(w->x_steps[w->across]), width = next->columns * (size_t)w->out_steps[w->ndim - 1];
    for (size_t column = row * next->columns / rows; column < (row + count) * next->columns / rows; column++) {
        const char *const from = next->x + (npy_intp)column * column_step, *const first = from - (uintptr_t)from % LINE;
        for (const char *line = first; line < from + height; line += LINE) __builtin_prefetch(line, 0, 2);
    }
    for (size_t i = row; i < least(row + count, next->rows) && !w->stream; i++)
        for (size_t at = 0; at < width; at += LINE) __builtin_prefetch(next->out + (npy_intp)i * out_step + at, 1, 2);
}

static void bring(const walk *w, const tile *t, char *buffer) {
    const npy_intp x_step = w->x_steps[w->across], column_step = w->x_steps[w->ndim - 1], row = (npy_intp)(t->columns * w->size);
    if (x_step == (npy_intp)w->size) w->moves->transpose(t->x, column_step, w->size, t->rows, t->columns, buffer);
    else for (npy_intp i = 0; i < (npy_intp)t->rows; i++)
        w->moves->gather(buffer + i * row, t->x + i * x_step, column_step, w->size, t->columns);
    if (w->swap_x) w->moves->swap(buffer, w->size, t->rows * t->columns);
}

static void compute_tile(const walk *w, const tile *t, const tile *next) {
    _Alignas(LINE) char buffer[BUFFER_BYTES];
    const npy_intp row = (npy_intp)(t->columns * w->size), out_step = w->out_steps[w->across], step = w->out_steps[w->ndim - 1];
    const bool direct = w->out_as_it_is && step == (npy_intp)w->size, joined = direct && (out_step == row || t->rows == 1);
    const bool by_row = direct && !joined && w->run && !w->stream;
    const size_t at_once = by_row ? 1 : least(t->rows, pieces(AT_ONCE, t->columns));
    bring(w, t, buffer);
    for (size_t i = 0, count; i < t->rows; i += count) {
        char *const from = buffer + (npy_intp)i * row, *const to = t->out + (npy_intp)i * out_step;
        count = least(at_once, t->rows - i);
        if (next->rows && w->far) prefetch_share(w, next, i, count, t->rows);
        if (joined || by_row) {
            compute(w, from, to, count * t->columns);
            continue;
        }
        compute(w, from, from, count * t->columns);
        if (w->swap_out) w->moves->swap(from, w->size, count * t->columns);
        for (size_t k = 0; k < count; k++) {
            char *const place = to + (npy_intp)k * out_step;
            if (w->stream) w->moves->stream(place, from + (npy_intp)k * row, w->size, t->columns);
            else w->moves->scatter(place, step, from + (npy_intp)k * row, w->size, t->columns);
        }
    }
}

/* Of a long axis the first tile is shorter, so that the others begin where lines do, as far as those are as long as its rows. */
static size_t lines_shift(const void *address, npy_intp step, size_t size, size_t tile_length, size_t length) {
    return step == (npy_intp)size && length > SHUFFLED * tile_length ? (uintptr_t)address % LINE / size : 0;
}

/* units of one strip of columns, and strips */
static size_t units_of(const walk *w) { return pieces((size_t)w->shape[w->across] + w->row_shift, w->unit_rows); }
static size_t strips_of(const walk *w) { return pieces((size_t)w->shape[w->ndim - 1] + w->column_shift, w->tile_columns); }

/* A unit counts as so many elements, as its edges may have fewer: those that the pool counts between two looks at signals. */
static size_t unit_size(const walk *w) { return w->unit_rows * w->tile_columns; }

/* from a border of tiles to the next one; empty past the end */
typedef struct { size_t from, to; } range;
static range between(size_t border, size_t length, size_t shift, size_t end) {
    const size_t from = border > shift ? border - shift : 0, to = least(border + length - shift, end);
    return (range){from, to > from ? to : from};
}

static tile tile_at(const walk *w, const char *x, char *out, size_t border, range rows, size_t columns) {
    const range own = between(border, w->tile_rows, w->row_shift, rows.to);
    const npy_intp x_at = (npy_intp)own.from * w->x_steps[w->across], out_at = (npy_intp)own.from * w->out_steps[w->across];
    return (tile){x + x_at, out + out_at, own.to - own.from, columns};
}

static void tiles_piece(void *context, int seat, size_t start, size_t stop) {
    (void)seat;
    const environment callers = environment_enter();
    const walk *w = context;
    const int last = w->ndim - 1;
    for (size_t unit = start / unit_size(w); unit < stop / unit_size(w); unit++) {
        const range columns = between(unit % strips_of(w) * w->tile_columns, w->tile_columns, w->column_shift, (size_t)w->shape[last]);
        size_t rest = unit / strips_of(w), border = rest % units_of(w) * w->unit_rows;
        const range rows = between(border, w->unit_rows, w->row_shift, (size_t)w->shape[w->across]);
        const char *x = w->x + (npy_intp)columns.from * w->x_steps[last];
        char *out = w->out + (npy_intp)columns.from * w->out_steps[last];
        rest /= units_of(w);
        for (int d = last - 1; d >= 0; d--) {
            if (d == w->across) continue;
            const npy_intp index = (npy_intp)(rest % (size_t)w->shape[d]);
            rest /= (size_t)w->shape[d];
            x += index * w->x_steps[d];
            out += index * w->out_steps[d];
        }
        tile now = tile_at(w, x, out, border, rows, columns.to - columns.from);
        while (now.rows) {
            const tile next = tile_at(w, x, out, border += w->tile_rows, rows, columns.to - columns.from);
            compute_tile(w, &now, &next);
            now = next;
        }
    }
#if defined(__SSE2__)
    if (w->stream) _mm_sfence();
#endif
    environment_leave(callers);
}

static bool run(walk *w, size_t n) {
    const int last = w->ndim - 1;
    const size_t unit = UNIT_BYTES / w->size;
    w->far = n * w->size > FAR_BYTES;
    if (w->across == last) return fastsig_pool_run(rows_piece, w, n, unit, unit, 1);
    w->tile_columns = least(TILE_BYTES / w->size, (size_t)w->shape[last]);
    w->tile_rows = BUFFER_BYTES / w->size / w->tile_columns;
    w->unit_rows = pieces(pieces(PAGE, w->size), w->tile_rows) * w->tile_rows;
    w->row_shift = lines_shift(w->x, w->x_steps[w->across], w->size, w->tile_rows, (size_t)w->shape[w->across]);
    w->column_shift = lines_shift(w->out, w->out_steps[last], w->size, w->tile_columns, (size_t)w->shape[last]);
    w->stream = n * w->size >= fastsig_stream_threshold && w->out_as_it_is && w->out_steps[last] == (npy_intp)w->size;
    const size_t plane = (size_t)w->shape[last] * (size_t)w->shape[w->across];
    return fastsig_pool_run(tiles_piece, w, n / plane * units_of(w) * strips_of(w) * unit_size(w), unit_size(w), unit_size(w), 1);
}

/* ---- what is taken ---- */
static bool same_places(PyArrayObject *a, PyArrayObject *b) {
    return PyArray_DATA(a) == PyArray_DATA(b) && !memcmp(PyArray_STRIDES(a), PyArray_STRIDES(b), (size_t)PyArray_NDIM(a) * sizeof(npy_intp));
}

/* Whether two places of the output may share memory: an axis steps over less than the faster ones reach. NumPy copies such operands. */
static bool may_reach_itself(const walk *w) {
    npy_intp reach = (npy_intp)w->size;
    for (int d = w->ndim - 1; d >= 0; d--) {
        if (w->shape[d] > 1 && magnitude(w->out_steps[d]) < reach) return true;
        reach += (w->shape[d] - 1) * magnitude(w->out_steps[d]);
    }
    return false;
}

/* A new output where there is none: in one piece as x is, for of others only NumPy knows how it would lay them. */
static PyArrayObject *output(PyArrayObject *x, PyArrayObject *given) {
    if (given) return PyArray_CheckExact((PyObject *)given) ? (PyArrayObject *)Py_NewRef((PyObject *)given) : NULL;
    if (!(PyArray_IS_C_CONTIGUOUS(x) || PyArray_IS_F_CONTIGUOUS(x))) return NULL;
    PyArray_Descr *descr = PyArray_DescrFromType(PyArray_TYPE(x));
    return descr ? (PyArrayObject *)PyArray_NewLikeArray(x, NPY_KEEPORDER, descr, 0) : NULL;
}

PyObject *fastsig_compute_awkward(PyUFuncObject *ufunc, PyArrayObject *x, PyArrayObject *given) {
    const int type = PyArray_TYPE(x);
    walk w = {.size = (size_t)PyArray_ITEMSIZE(x), .x_as_it_is = PyArray_ISBEHAVED_RO(x), .moves = &fastsig_active->moves};
    if (!PyArray_NDIM(x) || !PyArray_SIZE(x) || !fastsig_find_loop(ufunc, type, type, &w.loop, &w.data)) return NULL;
    if (w.loop == fastsig_call_active) {
        const fastsig_slot *const slot = w.data;
        w.run = fastsig_active->run[slot->op][slot->dtype];
    }
    PyArrayObject *out = output(x, given);
    if (!out) return NULL;
    w.x = PyArray_DATA(x), w.out = PyArray_DATA(out);
    w.swap_x = !PyArray_ISNOTSWAPPED(x), w.swap_out = !PyArray_ISNOTSWAPPED(out), w.out_as_it_is = PyArray_ISBEHAVED_RO(out);
    bool fits = PyArray_TYPE(out) == type && PyArray_ISWRITEABLE(out) && PyArray_SAMESHAPE(x, out) && (apart(x, out) || same_places(x, out));
    if (fits) {
        arrange(&w, x, out);
        const bool tiled = w.across != w.ndim - 1;
        const bool can_be_tiled = PyArray_ISALIGNED(x) && w.x_steps[w.across] % (npy_intp)w.size == 0 && w.x_steps[w.ndim - 1] % (npy_intp)w.size == 0;
        fits = !may_reach_itself(&w) && (tiled ? can_be_tiled : !w.x_as_it_is || !w.out_as_it_is);
    }
    bool stopped = false;
    if (fits) {
        const size_t n = (size_t)PyArray_SIZE(x);
        Py_BEGIN_ALLOW_THREADS;
        stopped = run(&w, n);
        Py_END_ALLOW_THREADS;
    }
    if (!fits || stopped) Py_CLEAR(out);
    return (PyObject *)out;
}

/* compute_awkward(ufunc, x, out): the output; None where the arrays or the loop are not such, and nothing was written */
static PyObject *compute_awkward_of_python(PyObject *self, PyObject *args) {
    (void)self;
    PyObject *ufunc, *x, *out;
    if (!PyArg_ParseTuple(args, "O!O!O", &PyUFunc_Type, &ufunc, &PyArray_Type, &x, &out)) return NULL;
    PyArrayObject *const given = out == Py_None ? NULL : (PyArrayObject *)out;
    PyObject *result = NULL;
    if ((!given || PyArray_CheckExact(out)) && fastsig_is_awkward((PyArrayObject *)x, given))
        result = fastsig_compute_awkward((PyUFuncObject *)ufunc, (PyArrayObject *)x, given);
    return result || PyErr_Occurred() ? result : Py_NewRef(Py_None);
}

PyMethodDef fastsig_layout_methods[] = {
    {"compute_awkward", compute_awkward_of_python, METH_VARARGS, "see fastsig.kernels.c.library"},
    {NULL, NULL, 0, NULL},
};
