/* The losses of small arrays without Python in between.
 *
 * quick(formula, what, check, threads, logits, targets, weight, pos_weight, mask, label_smoothing, alpha, gamma, grad_out, hess_out)
 * gives the result, or NotImplemented for anything out of the ordinary, bad input included: the caller then takes the general way
 * (fastsig/passes.py), which computes the same bits and says what is wrong. `what` is a reduction, and flags of what else is wanted. */
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#include <Python.h>

#include <math.h>
#include <numpy/arrayobject.h>
#include <stdbool.h>

#include "exact_sum.h"
#include "fastsig.h"
#include "reduce.h"

int fastsig_install_quick(void *namespace);

typedef PyArrayObject Array;
enum { NONE, SUM, MEAN, REDUCTION = 3, WITH_GRAD = 4, WITH_HESS = 8 }; /* with the hessian there is no loss */
enum { FORMULA, WHAT, CHECK, THREADS, X, SMOOTHING = X + IN_COUNT, ALPHA, GAMMA, GRAD, HESS, ARGUMENTS };

/* sum / count rounded once to `precision` bits; NaN where this short way cannot say (the true result is never NaN here) */
static double quotient(const int64_t *sum, uint64_t count, int precision, int least) {
    uint32_t digits[SUM_DIGITS];
    int64_t carry = 0;
    int top = -1;
    for (int i = 0; i < SUM_DIGITS; i++) {
        const int64_t d = sum[i] + carry;
        digits[i] = (uint32_t)d;
        carry = d >> 32;
        if (digits[i]) top = i;
    }
    if (carry || sum[SUM_NAN] || sum[SUM_INF] || sum[SUM_NEG_INF]) return NAN;
    if (top < 0) return 0;
    if (top < 8) return NAN; /* so near the subnormals that bits below the last digit could count */
    unsigned __int128 v = 0;
    uint64_t rest = 0;
    for (int i = top; i > top - 4; i--) { /* at least 65 bits of the quotient */
        const uint64_t part = rest << 32 | digits[i];
        v = v << 32 | (uint32_t)(part / count);
        rest = part % count;
    }
    int sticky = rest != 0;
    for (int i = 0; i <= top - 4; i++) sticky |= digits[i] != 0;
    const int lowest = 32 * (top - 3) - 1074;
    int length = 0;
    for (unsigned __int128 u = v; u; u >>= 1) length++;
    int unit = lowest + length - precision;
    unit = unit > least ? unit : least;
    const int shift = unit - lowest;
    if (shift < 2 || shift > 126) return NAN;
    uint64_t kept = (uint64_t)(v >> shift);
    const unsigned __int128 half = (unsigned __int128)1 << (shift - 1), low = v & ((half << 1) - 1);
    if (low > half || (low == half && (sticky || kept & 1))) kept++;
    return ldexp((double)kept, unit);
}

static int type_code(Array *a) {
    switch (PyArray_TYPE(a)) {
        case NPY_HALF: return TYPE_F16;
        case NPY_FLOAT: return TYPE_F32;
        case NPY_DOUBLE: return TYPE_F64;
        case NPY_BOOL: case NPY_UINT8: return TYPE_U8;
        case NPY_INT8: return TYPE_I8;
        case NPY_UINT16: return TYPE_U16;
        case NPY_INT16: return TYPE_I16;
        case NPY_UINT32: return TYPE_U32;
        case NPY_INT32: return TYPE_I32;
        case NPY_UINT64: return TYPE_U64;
        case NPY_INT64: return TYPE_I64;
        default: return TYPE_ABSENT;
    }
}

/* what one call needs; geometry stands right after the plan, where its sources point */
typedef struct {
    fastsig_plan plan;
    int64_t geometry[IN_COUNT * 2 * NPY_MAXDIMS];
    int64_t used;
    Array *in[IN_COUNT], *grad, *hess;
    fastsig_numbers numbers;
    int threads;
} Call;

/* an operand broadcast to the shape, neighbouring axes joined where one stride walks over both; twin of fastsig.plans._geometry */
static bool add_source(Call *c, int which, Array *a, int nd, const npy_intp *dims, int64_t computing) {
    int64_t shape[NPY_MAXDIMS], strides[NPY_MAXDIMS], period = 1;
    int n = 0;
    const int missing = nd - PyArray_NDIM(a), type = type_code(a);
    if (missing < 0 || type == TYPE_ABSENT || !PyArray_ISALIGNED(a) || !PyArray_ISNOTSWAPPED(a)) return false;
    for (int d = 0; d < nd; d++) {
        const npy_intp own = d < missing ? 1 : PyArray_DIM(a, d - missing);
        const int64_t stride = own == 1 ? 0 : PyArray_STRIDE(a, d - missing);
        if (own != dims[d] && own != 1) return false;
        if (dims[d] == 1) continue;
        if (n && strides[n - 1] == stride * dims[d]) {
            shape[n - 1] *= dims[d];
            strides[n - 1] = stride;
        } else {
            shape[n] = dims[d];
            strides[n++] = stride;
        }
    }
    if (!n) shape[n] = 1, strides[n++] = 0;
    for (int d = 0, leading = 1; d < n; d++) {
        leading = leading && strides[d] == 0;
        period *= leading ? 1 : shape[d];
    }
    const bool whole = type == computing && n == 1 && shape[0] == c->plan.size && strides[0] == PyArray_ITEMSIZE(a);
    c->plan.in[which] = (fastsig_source){(int64_t)PyArray_DATA(a), type, whole, period, n, sizeof c->plan / 8 + c->used};
    memcpy(c->geometry + c->used, shape, (size_t)n * 8);
    memcpy(c->geometry + c->used + n, strides, (size_t)n * 8);
    c->used += 2 * n;
    return true;
}

static void bounds(Array *a, const char **from, const char **to) {
    *from = PyArray_DATA(a);
    *to = *from + PyArray_ITEMSIZE(a);
    for (int d = 0; d < PyArray_NDIM(a); d++) {
        const npy_intp reach = (PyArray_DIM(a, d) - 1) * PyArray_STRIDE(a, d);
        *(reach < 0 ? from : to) += reach;
    }
}

static bool apart(Array *a, Array *b) {
    const char *a_from, *a_to, *b_from, *b_to;
    bounds(a, &a_from, &a_to);
    bounds(b, &b_from, &b_to);
    return a_to <= b_from || b_to <= a_from;
}

/* the caller's array if it can be written in place, or a new one; NULL where it cannot, or with an exception */
static Array *output(Call *c, PyObject *given) {
    Array *x = c->in[IN_X], *out = (Array *)given;
    if (given == Py_None) return (Array *)PyArray_SimpleNew(PyArray_NDIM(x), PyArray_DIMS(x), PyArray_TYPE(x));
    if (!PyArray_CheckExact(given) || PyArray_TYPE(out) != PyArray_TYPE(x) || !PyArray_SAMESHAPE(out, x)) return NULL;
    if (!PyArray_ISCARRAY(out)) return NULL;
    for (int i = 0; i < IN_COUNT; i++)
        if (c->in[i] && !apart(out, c->in[i])) return NULL;
    if (c->grad && !apart(out, c->grad)) return NULL;
    return (Array *)Py_NewRef(given);
}

/* arrays as they are, plain numbers as arrays of no dimensions, None as NULL; false for all else, which may have a device */
static bool take(Call *c, PyObject *const *args) {
    for (int i = 0; i < IN_COUNT; i++) {
        PyObject *o = args[X + i];
        if (PyArray_CheckExact(o)) c->in[i] = (Array *)Py_NewRef(o);
        else if (PyFloat_CheckExact(o) || PyLong_CheckExact(o) || PyArray_IsScalar(o, Generic)) c->in[i] = (Array *)PyArray_FROM_O(o);
        else if (o != Py_None) return false;
        if (o != Py_None && !c->in[i]) return false;
    }
    return c->in[IN_X] && c->in[IN_TARGET] && (!c->in[IN_MASK] || PyArray_TYPE(c->in[IN_MASK]) == NPY_BOOL);
}

static bool in_range(PyObject *o, double most, double *value) {
    if (!PyFloat_Check(o) && !PyLong_CheckExact(o)) return false;
    *value = PyFloat_AsDouble(o);
    return *value >= 0 && *value <= most;
}

/* as fastsig.reductions.smoothing and focal */
static bool set_numbers(Call *c, PyObject *const *args, bool is_float) {
    double smoothing, alpha = 1, gamma;
    const bool shared = args[ALPHA] != Py_None;
    if (!in_range(args[SMOOTHING], 1, &smoothing) || smoothing == 1 || !in_range(args[GAMMA], 1000, &gamma)) return false;
    if (shared && !in_range(args[ALPHA], 1, &alpha)) return false;
    const double head = is_float ? (double)(float)gamma : gamma;
    c->numbers = (fastsig_numbers){1 - smoothing, smoothing / 2, 1, 0, alpha, shared ? 1 - alpha : 1, head, gamma - head, gamma == floor(gamma)};
    return true;
}

/* as fastsig.plans.reciprocal */
static void set_scale(fastsig_numbers *numbers, double count, bool is_float) {
    const double exact = 1 / count;
    numbers->scale = is_float ? (double)(float)exact : exact;
    const double rest = fma(-numbers->scale, count, 1) / count;
    numbers->scale_lo = is_float ? (double)(float)rest : rest;
}

static int run(Call *c, int64_t *sum) {
    int bad;
    Py_BEGIN_ALLOW_THREADS;
    bad = fastsig_reduce_all((const int64_t *)&c->plan, (const double *)&c->numbers, c->threads, sum);
    Py_END_ALLOW_THREADS;
    return bad;
}

/* whether the input is as it should be: seen before anything is written into an array of the caller's */
static bool look_first(Call *c) {
    Call look = *c;
    look.plan.formula = FORMULA_WEIGHTS;
    look.plan.sum = 0;
    look.plan.out[OUT_GRAD] = look.plan.out[OUT_HESS] = 0;
    look.plan.in[IN_X].type = TYPE_ABSENT;
    c->plan.check = 0;
    return !run(&look, NULL);
}

static PyObject *scalar(double value, int type) {
    const float narrow = (float)value;
    PyArray_Descr *descr = PyArray_DescrFromType(type);
    PyObject *result = PyArray_Scalar(type == NPY_FLOAT ? (void *)&narrow : (void *)&value, descr, NULL);
    Py_DECREF(descr);
    return result;
}

/* NULL where the general way is to be taken */
static PyObject *compute(Call *c, PyObject *const *args, int what) {
    if (!take(c, args)) return NULL;
    Array *x = c->in[IN_X], *mask = c->in[IN_MASK];
    const int type = PyArray_TYPE(x), nd = PyArray_NDIM(x);
    const bool is_float = type == NPY_FLOAT, given = args[GRAD] != Py_None || args[HESS] != Py_None;
    const npy_intp n = PyArray_SIZE(x);
    if ((!is_float && type != NPY_DOUBLE) || !nd || !n || !set_numbers(c, args, is_float)) return NULL;
    c->plan.size = n;
    c->plan.dtype = is_float ? TYPE_F32 : TYPE_F64;
    for (int i = 0; i < IN_COUNT; i++) {
        c->plan.in[i] = (fastsig_source){.type = TYPE_ABSENT, .period = 1};
        if (c->in[i] && !add_source(c, i, c->in[i], nd, PyArray_DIMS(x), c->plan.dtype)) return NULL;
    }
    if (c->plan.check) {
        c->plan.check = BAD_TARGET | (c->plan.formula == FORMULA_PROBABILITIES ? BAD_PROBABILITY : 0) |
                        (c->in[IN_WEIGHT] ? BAD_WEIGHT : 0) | (c->in[IN_POS_WEIGHT] ? BAD_POS_WEIGHT : 0);
    }
    const int reduction = what & REDUCTION;
    uint64_t count = 1;
    if (reduction == MEAN) count = mask ? (uint64_t)PyArray_CountNonzero(mask) * (uint64_t)(n / PyArray_SIZE(mask)) : (uint64_t)n;
    if (!count || count >> 32) return NULL; /* quotient's remainders have room for 32 bits of a digit beside them */
    if (reduction == MEAN) set_scale(&c->numbers, (double)count, is_float);
    if (what & WITH_GRAD && !(c->grad = output(c, args[GRAD]))) return NULL;
    if (what & WITH_HESS && !(c->hess = output(c, args[HESS]))) return NULL;
    PyObject *loss = NULL, *result = NULL;
    if (reduction == NONE && !(what & WITH_HESS) && !(loss = (PyObject *)output(c, Py_None))) return NULL;
    c->plan.sum = reduction != NONE;
    if (loss) c->plan.out[OUT_LOSS] = (int64_t)PyArray_DATA((Array *)loss);
    if (c->grad) c->plan.out[OUT_GRAD] = (int64_t)PyArray_DATA(c->grad);
    if (c->hess) c->plan.out[OUT_HESS] = (int64_t)PyArray_DATA(c->hess);
    c->plan.stream = (size_t)PyArray_NBYTES(x) >= fastsig_stream_bytes();
    int64_t sum[SUM_WORDS] = {0};
    if ((given && c->plan.check && !look_first(c)) || run(c, sum)) goto done;
    if (reduction != NONE) {
        const double value = quotient(sum, count, is_float ? 24 : 53, is_float ? -149 : -1074);
        if (isnan(value) || !(loss = scalar(value, type))) goto done;
    }
    if (what & WITH_HESS) result = PyTuple_Pack(2, c->grad, c->hess);
    else result = c->grad ? PyTuple_Pack(2, loss, c->grad) : Py_NewRef(loss);
done:
    Py_XDECREF(loss);
    return result;
}

static PyObject *quick(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    (void)self;
    if (count != ARGUMENTS) return PyErr_Format(PyExc_TypeError, "quick takes %d arguments", (int)ARGUMENTS);
    Call c;
    memset(&c.plan, 0, sizeof c.plan);
    memset(c.in, 0, sizeof c.in);
    c.grad = c.hess = NULL;
    c.used = 0;
    c.plan.formula = PyLong_AsLong(args[FORMULA]);
    c.plan.check = PyObject_IsTrue(args[CHECK]);
    const int what = (int)PyLong_AsLong(args[WHAT]);
    c.threads = (int)PyLong_AsLong(args[THREADS]);
    if (PyErr_Occurred()) return NULL;
    PyObject *result = compute(&c, args, what);
    for (int i = 0; i < IN_COUNT; i++) Py_XDECREF(c.in[i]);
    Py_XDECREF(c.grad);
    Py_XDECREF(c.hess);
    if (result) return result;
    PyErr_Clear(); /* the general way meets it again, and explains it */
    return Py_NewRef(Py_NotImplemented);
}

static PyMethodDef method = {"quick", (PyCFunction)(void (*)(void))quick, METH_FASTCALL, "see fastsig.losses"};

/* cffi calls this without the GIL; an error is printed, and -1 returned */
int fastsig_install_quick(void *namespace) {
    PyGILState_STATE gil = PyGILState_Ensure();
    int failed = PyArray_ImportNumPyAPI() < 0;
    PyObject *function = failed ? NULL : PyCFunction_New(&method, NULL);
    failed = !function || PyDict_SetItemString(namespace, "quick", function);
    Py_XDECREF(function);
    if (failed) PyErr_Print();
    PyGILState_Release(gil);
    return failed ? -1 : 0;
}
