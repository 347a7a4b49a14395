/* One array shared among threads, by the loop of any ufunc of one input: ours, or one that Numba compiled. */
#include "ufuncs.h"

#include <string.h>

#include "fastsig.h"
#include "overlap.h"
#include "pool.h"
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

enum { LEAST_PIECE = 1 << 15, MOST_PIECE = 1 << 22, PIECES_EACH = 8, WHOLE = 1 << 12 };

static size_t whole(size_t elements) { return (elements + WHOLE - 1) / WHOLE * WHOLE; }

typedef struct {
    PyUFuncGenericFunction loop;
    void *data;
    fastsig_past_loop past; /* instead of loop, where the output as a whole is beyond the caches */
    const char *x, *mask;
    char *out;
    size_t x_size, size; /* bytes of an element, of the input and of the output */
} sharing;

static void compute(const sharing *s, const char *x, char *out, size_t n) {
    const npy_intp count = (npy_intp)n, steps[] = {(npy_intp)s->x_size, (npy_intp)s->size};
    s->loop((char *[]){(char *)x, out}, &count, steps, s->data);
}

static void share_piece(void *context, int seat, size_t start, size_t stop) {
    (void)seat;
    const sharing *s = context;
    const char *x = s->x + start * s->x_size;
    char *out = s->out + start * s->size;
    if (s->past)
        s->past((char *[]){(char *)x, out}, stop - start);
    else
        compute(s, x, out, stop - start);
}

bool fastsig_find_loop(PyUFuncObject *ufunc, int type, int out_type, PyUFuncGenericFunction *loop, void **data) {
    if (ufunc->nin != 1 || ufunc->nout != 1) return false;
    for (int i = 0; i < ufunc->ntypes; i++) {
        if (ufunc->types[2 * i] != type || ufunc->types[2 * i + 1] != out_type) continue;
        *loop = ufunc->functions[i];
        *data = (void *)ufunc->data[i];
        return true;
    }
    for (int op = 0; op < OP_COUNT && type == fastsig_bfloat16 && type == out_type; op++) {
        if (fastsig_ufuncs[op] != (PyObject *)ufunc) continue;
        *loop = fastsig_call_active;
        *data = &fastsig_slots[op][DTYPE_bf16];
        return true;
    }
    return false;
}

static bool describe(PyUFuncObject *ufunc, PyArrayObject *x, PyArrayObject *out, sharing *s) {
    *s = (sharing){
        .x = PyArray_DATA(x), .out = PyArray_DATA(out), .x_size = (size_t)PyArray_ITEMSIZE(x), .size = (size_t)PyArray_ITEMSIZE(out)};
    return fastsig_find_loop(ufunc, PyArray_TYPE(x), PyArray_TYPE(out), &s->loop, &s->data);
}

static int run(fastsig_work work, sharing *s, size_t n, int threads) {
    size_t piece = n * s->size / ((size_t)threads * PIECES_EACH);
    piece = piece < LEAST_PIECE ? LEAST_PIECE : piece > MOST_PIECE ? MOST_PIECE : piece;
    return fastsig_pool_run(work, s, n, whole(LEAST_PIECE / s->size), whole(piece / s->size), threads) ? SHARE_STOPPED : SHARE_DONE;
}

/* x and out have one size and layout, without gaps */
static int share(PyUFuncObject *ufunc, PyArrayObject *x, PyArrayObject *out, int threads) {
    sharing s;
    if (!describe(ufunc, x, out, &s)) return SHARE_UNFIT;
    const size_t n = (size_t)PyArray_SIZE(x);
    if (s.loop == fastsig_call_active && n * s.size >= fastsig_stream_threshold) {
        const fastsig_slot *loop = s.data;
        s.past = fastsig_active->past[loop->op][loop->dtype];
    }
    int done;
    Py_BEGIN_ALLOW_THREADS;
    done = run(share_piece, &s, n, threads);
    Py_END_ALLOW_THREADS;
    return done;
}

/* ---- where a mask says so: NumPy would call the loop for each run of True, which takes longer than computing its few elements ---- */
enum { BLOCK = 512, AT_ONCE = 8, LINE = 64 };

/* for each pattern of eight bits, the places of those that are set, and how many they are */
static uint16_t places_of[1 << AT_ONCE][AT_ONCE];
static uint8_t count_of[1 << AT_ONCE];

__attribute__((constructor)) static void make_places(void) {
    for (int bits = 0; bits < 1 << AT_ONCE; bits++)
        for (int place = 0; place < AT_ONCE; place++)
            if (bits >> place & 1) places_of[bits][count_of[bits]++] = (uint16_t)place;
}

/* bit i is set where byte i is not 0 */
static unsigned bits_of(uint64_t bytes) {
#if defined(__SSE2__)
    const __m128i zero = _mm_setzero_si128();
    return ((unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_cvtsi64_si128((long long)bytes), zero)) ^ 0xffff) & 0xff;
#else
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    bytes = __builtin_bswap64(bytes);
#endif
    bytes |= bytes >> 4, bytes |= bytes >> 2, bytes |= bytes >> 1;
    return (unsigned)((bytes & 0x0101010101010101) * 0x0102040810204080 >> 56);
#endif
}

static uint64_t load(const char *from, size_t n) {
    uint64_t bytes = 0;
    memcpy(&bytes, from, n);
    return bytes;
}

/* The places of those that are True, with room for AT_ONCE more behind the last: eight are written, and as many count as are True, for
 * a branch would be foretold wrongly every other time. */
static size_t pick(const char *mask, size_t n, uint16_t *places) {
    size_t count = 0;
    for (size_t i = 0; i < n; i += AT_ONCE) {
        const unsigned bits = bits_of(n - i < AT_ONCE ? load(mask + i, n - i) : load(mask + i, AT_ONCE));
        for (size_t j = 0; j < AT_ONCE; j++) places[count + j] = (uint16_t)(places_of[bits][j] + i);
        count += count_of[bits];
    }
    return count;
}

#define FOR_SIZE(size, EACH)               \
    if ((size) == 2) EACH(uint16_t)        \
    else if ((size) == 4) EACH(uint32_t)   \
    else EACH(uint64_t)

static void gather(void *to, const char *from, const uint16_t *places, size_t count, size_t size) {
#define EACH(T) for (size_t i = 0; i < count; i++) ((T *)to)[i] = ((const T *)from)[places[i]];
    FOR_SIZE(size, EACH)
#undef EACH
}

/* into their places, and nowhere else: another thread may be writing there */
static void scatter(char *to, const void *from, const uint16_t *places, size_t count, size_t size) {
#define EACH(T) for (size_t i = 0; i < count; i++) ((T *)to)[places[i]] = ((const T *)from)[i];
    FOR_SIZE(size, EACH)
#undef EACH
}

static void copy_places(char *to, const void *from, const uint16_t *places, size_t count, size_t size) {
#define EACH(T) for (size_t i = 0; i < count; i++) ((T *)to)[places[i]] = ((const T *)from)[places[i]];
    FOR_SIZE(size, EACH)
#undef EACH
}

static void masked_piece(void *context, int seat, size_t start, size_t stop) {
    (void)seat;
    const sharing *s = context;
    uint16_t places[BLOCK + AT_ONCE];
    uint64_t x[BLOCK], out[BLOCK];
    for (size_t i = start, n; i < stop; i += n) {
        n = stop - i < BLOCK ? stop - i : BLOCK;
        const char *from = s->x + i * s->x_size;
        char *to = s->out + i * s->size;
        for (size_t line = 0; line < n * s->size; line += LINE) {
            __builtin_prefetch(from + BLOCK * s->x_size + line);
            __builtin_prefetch(to + BLOCK * s->size + line, 1);
        }
        const size_t count = pick(s->mask + i, n, places);
        if (count == n) {
            compute(s, from, to, n);
        } else if (count >= n / 3) { /* computing the others too is quicker than leaving them out */
            compute(s, from, (char *)out, n);
            copy_places(to, out, places, count, s->size);
        } else if (count) {
            gather(x, from, places, count, s->x_size);
            compute(s, (const char *)x, (char *)out, count);
            scatter(to, out, places, count, s->size);
        }
    }
}

/* All of one shape, and without gaps in one order; out can be written, and shares no memory but with x, if it is x. */
static bool side_by_side(PyArrayObject *x, PyArrayObject *out, PyArrayObject *mask) {
    const bool in_c = PyArray_ISCARRAY_RO(x) && PyArray_ISCARRAY(out) && PyArray_ISCARRAY_RO(mask);
    const bool in_fortran = PyArray_ISFARRAY_RO(x) && PyArray_ISFARRAY(out) && PyArray_ISFARRAY_RO(mask);
    if (!(in_c || in_fortran) || !PyArray_SAMESHAPE(x, out) || !PyArray_SAMESHAPE(x, mask)) return false;
    return (PyArray_DATA(x) == PyArray_DATA(out) || apart(x, out)) && apart(mask, out);
}

int fastsig_share_masked(PyUFuncObject *ufunc, PyArrayObject *x, PyArrayObject *out, PyArrayObject *mask, int threads) {
    sharing s;
    int done;
    if (PyArray_TYPE(mask) != NPY_BOOL || PyArray_TYPE(x) != PyArray_TYPE(out)) return SHARE_UNFIT;
    if (!side_by_side(x, out, mask) || !describe(ufunc, x, out, &s)) return SHARE_UNFIT;
    s.mask = PyArray_DATA(mask);
    const size_t n = (size_t)PyArray_SIZE(x);
    if (threads == 1 && n * s.size < LEAST_PIECE) return run(masked_piece, &s, n, 1);
    Py_BEGIN_ALLOW_THREADS;
    done = run(masked_piece, &s, n, threads);
    Py_END_ALLOW_THREADS;
    return done;
}

/* ---- what Python calls: share(ufunc, x, out, threads) and share_masked(ufunc, x, out, mask, threads) ----
 *
 * True; False where the arrays or the loop are not so plain; the exception that a signal's handler raised meanwhile. */
static PyObject *said(int done) {
    if (done == SHARE_STOPPED) return NULL;
    return PyBool_FromLong(done == SHARE_DONE);
}

static PyObject *share_of_python(PyObject *self, PyObject *args) {
    (void)self;
    PyObject *ufunc, *x, *out;
    int threads;
    if (!PyArg_ParseTuple(args, "O!O!O!i", &PyUFunc_Type, &ufunc, &PyArray_Type, &x, &PyArray_Type, &out, &threads)) return NULL;
    return said(share((PyUFuncObject *)ufunc, (PyArrayObject *)x, (PyArrayObject *)out, threads));
}

static PyObject *share_masked_of_python(PyObject *self, PyObject *args) {
    (void)self;
    PyObject *ufunc, *x, *out, *mask;
    int threads;
    if (!PyArg_ParseTuple(args, "O!O!O!O!i", &PyUFunc_Type, &ufunc, &PyArray_Type, &x, &PyArray_Type, &out, &PyArray_Type, &mask, &threads))
        return NULL;
    return said(fastsig_share_masked((PyUFuncObject *)ufunc, (PyArrayObject *)x, (PyArrayObject *)out, (PyArrayObject *)mask, threads));
}

PyMethodDef fastsig_sharing_methods[] = {
    {"share", share_of_python, METH_VARARGS, "see fastsig.kernels.c.library"},
    {"share_masked", share_masked_of_python, METH_VARARGS, "see fastsig.kernels.c.library"},
    {NULL, NULL, 0, NULL},
};
