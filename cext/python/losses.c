/* The losses of host arrays without Python in between.
 *
 * quick(formula, what, check, threads, logits, targets, weight, pos_weight, mask, label_smoothing, alpha, gamma, out, grad_out, hess_out)
 * gives the result, or NotImplemented for what is to be refused or warned of, or for what only NumPy can make an array of: the caller
 * then takes the general way (fastsig/losses/reductions.py), which computes the same bits and says what is wrong. `what` is a reduction,
 * and flags of what else is wanted. A negative `threads` is one thread for fewer than so many elements, and the general way for more.
 * quick_sums takes the same, and adds to sums in place of a reduction. */
#include "ufuncs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "environment.h"
#include "exact_quotient.h"
#include "fastsig.h"
#include "overlap.h"
#include "reduce.h"
#define FORMULA static inline
#include "formulas/half.h"
#undef FORMULA

typedef PyArrayObject Array;
enum { NONE, SUM, MEAN, WEIGHTED_MEAN, REDUCTION = 3, WITH_GRAD = 4, WITH_HESS = 8 }; /* with the hessian there is no loss */
enum { FORMULA, WHAT, CHECK, THREADS, X, SMOOTHING = X + IN_COUNT, ALPHA, GAMMA, OUT, GRAD, HESS, ARGUMENTS };

/* ---- element types ---- */
static bool is_named(PyTypeObject *type, const char *name) {
    PyObject *own = PyObject_GetAttrString((PyObject *)type, "__name__");
    const bool same = own && PyUnicode_CompareWithASCIIString(own, name) == 0;
    Py_XDECREF(own);
    PyErr_Clear();
    return same;
}

static bool is_bfloat16(Array *a) {
    static _Atomic int known = NPY_NOTYPE; /* ml_dtypes' number of it, once one was seen */
    if (PyArray_TYPE(a) < NPY_USERDEF) return false;
    if (known == NPY_NOTYPE && is_named(PyArray_DESCR(a)->typeobj, "bfloat16")) known = PyArray_TYPE(a);
    return PyArray_TYPE(a) == known;
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
        default: return is_bfloat16(a) ? TYPE_BF16 : TYPE_ABSENT;
    }
}

static const format FORMATS[] = {[TYPE_F16] = FORMAT_F16, [TYPE_BF16] = FORMAT_BF16, [TYPE_F32] = FORMAT_F32, [TYPE_F64] = FORMAT_F64};

/* the float type that np.exp gives for bool and integers */
static int promoted(Array *a) {
    if (!PyTypeNum_ISINTEGER(PyArray_TYPE(a)) && !PyTypeNum_ISBOOL(PyArray_TYPE(a))) return PyArray_TYPE(a);
    return PyArray_ITEMSIZE(a) == 1 ? NPY_HALF : PyArray_ITEMSIZE(a) == 2 ? NPY_FLOAT : NPY_DOUBLE;
}

/* what one call needs; geometry stands right after the plan, where its sources point */
typedef struct {
    fastsig_plan plan;
    int64_t geometry[IN_COUNT * 2 * NPY_MAXDIMS];
    int64_t used;
    Array *in[IN_COUNT], *out, *grad, *hess;
    int axes[NPY_MAXDIMS]; /* from the outermost in the order of the walk, in which outputs lie */
    fastsig_numbers numbers;
    int threads;
    bool stopped; /* by an exception of a signal's handler */
} Call;

/* an operand broadcast to the shape, neighbouring axes joined where one stride walks over both; twin of fastsig.kernels.plan._geometry */
static bool add_source(Call *c, fastsig_source *source, Array *a, int nd, const npy_intp *dims, int64_t computing) {
    int64_t shape[NPY_MAXDIMS], strides[NPY_MAXDIMS], period = 1;
    int n = 0;
    const int missing = nd - PyArray_NDIM(a), type = type_code(a);
    if (missing < 0 || type == TYPE_ABSENT || !PyArray_ISALIGNED(a) || !PyArray_ISNOTSWAPPED(a)) return false;
    for (int i = 0; i < nd; i++) {
        const int d = c->axes[i];
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
    *source = (fastsig_source){(int64_t)PyArray_DATA(a), type, whole, period, n, sizeof c->plan / 8 + c->used};
    memcpy(c->geometry + c->used, shape, (size_t)n * 8);
    memcpy(c->geometry + c->used + n, strides, (size_t)n * 8);
    c->used += 2 * n;
    return true;
}

static bool same_elements(Array *a, Array *b) {
    if (PyArray_DATA(a) != PyArray_DATA(b) || PyArray_TYPE(a) != PyArray_TYPE(b) || !PyArray_SAMESHAPE(a, b)) return false;
    return memcmp(PyArray_STRIDES(a), PyArray_STRIDES(b), (size_t)PyArray_NDIM(a) * sizeof(npy_intp)) == 0;
}

/* ---- outputs ---- */

/* whether the walk is in C order, in which an axis of one element may stand anywhere */
static bool in_c_order(const Call *c) {
    Array *x = c->in[IN_X];
    for (int i = 0, before = -1; i < PyArray_NDIM(x); i++) {
        if (PyArray_DIM(x, c->axes[i]) == 1) continue;
        if (c->axes[i] < before) return false;
        before = c->axes[i];
    }
    return true;
}

/* whether an array's elements lie side by side in the order of the walk */
static bool laid_as_walked(const Call *c, Array *a) {
    npy_intp step = PyArray_ITEMSIZE(a);
    for (int i = PyArray_NDIM(a) - 1; i >= 0; i--) {
        const int d = c->axes[i];
        if (PyArray_DIM(a, d) != 1 && PyArray_STRIDE(a, d) != step) return false;
        step *= PyArray_DIM(a, d);
    }
    return true;
}

/* the caller's array if it can be written in place, or a new one; NULL where it cannot, or with an exception */
static Array *output(Call *c, PyObject *given) {
    Array *x = c->in[IN_X], *out = (Array *)given;
    if (given == Py_None) {
        PyArray_Descr *descr = PyArray_DESCR(x);
        Py_INCREF((PyObject *)descr);
        if (in_c_order(c)) return (Array *)PyArray_SimpleNewFromDescr(PyArray_NDIM(x), PyArray_DIMS(x), descr);
        out = (Array *)PyArray_NewLikeArray(x, NPY_KEEPORDER, descr, 0);
        if (out && !laid_as_walked(c, out)) Py_CLEAR(out);
        return out;
    }
    if (!PyArray_CheckExact(given) || PyArray_TYPE(out) != PyArray_TYPE(x) || !PyArray_SAMESHAPE(out, x)) return NULL;
    if (!PyArray_ISBEHAVED(out) || !laid_as_walked(c, out)) return NULL;
    for (int i = 0; i < IN_COUNT; i++)
        if (c->in[i] && !apart(out, c->in[i]) && !same_elements(out, c->in[i])) return NULL;
    for (int i = 0; i < 2; i++) {
        Array *other = i ? c->grad : c->out;
        if (other && !apart(out, other)) return NULL;
    }
    return (Array *)Py_NewRef(given);
}

/* the array of no dimensions that takes a reduced loss */
static bool takes_sum(Array *out) {
    const int type = PyArray_CheckExact((PyObject *)out) && !PyArray_NDIM(out) ? type_code(out) : TYPE_ABSENT;
    return type >= TYPE_F16 && type <= TYPE_F64 && PyArray_ISBEHAVED(out);
}

/* a number that the type can hold */
static void store(void *to, int type, double value) {
    if (type == TYPE_F64) *(double *)to = value;
    else if (type == TYPE_F32) *(float *)to = (float)value;
    else *(uint16_t *)to = type == TYPE_F16 ? f16_of_float((float)value) : bf16_of_float((float)value);
}

/* a scalar of the type of x */
static PyObject *scalar(Array *x, int type, double value) {
    double memory = 0;
    store(&memory, type, value);
    return PyArray_Scalar(&memory, PyArray_DESCR(x), NULL);
}

/* ---- operands ---- */

static bool is_number(PyObject *o) {
    return PyFloat_CheckExact(o) || PyLong_CheckExact(o) || PyBool_Check(o) || PyArray_IsScalar(o, Generic);
}

/* Numbers, plain arrays, and lists and tuples of such: NumPy would not ask other objects in a list what of them is missing. */
static bool is_plain(PyObject *o, int depth) {
    if (is_number(o) || PyArray_CheckExact(o)) return true;
    const bool list = PyList_CheckExact(o);
    if ((!list && !PyTuple_CheckExact(o)) || depth > NPY_MAXDIMS) return false;
    for (Py_ssize_t i = 0, n = list ? PyList_GET_SIZE(o) : PyTuple_GET_SIZE(o); i < n; i++) {
        PyObject *const item = list ? HELD_ITEM(o, i) : PyTuple_GET_ITEM(o, i);
        const bool plain = item && is_plain(item, depth + 1);
        if (list && item) LET_GO(item);
        if (!plain) return false;
    }
    return true;
}

/* A list of floats alone, which is what lists of logits are, in a tenth of NumPy's time; NULL, without an exception, for any other. */
static Array *array_of_floats(PyObject *list) {
    Array *a = NULL;
    Py_BEGIN_CRITICAL_SECTION(list);
    npy_intp n = PyList_GET_SIZE(list), i = 0;
    if (n && PyFloat_CheckExact(PyList_GET_ITEM(list, 0))) {
        a = (Array *)PyArray_SimpleNew(1, &n, NPY_DOUBLE);
        if (!a) PyErr_Clear(); /* NumPy meets it again */
        if (a && PyList_GET_SIZE(list) < n) Py_CLEAR(a); /* memory may be had from a handler that runs Python */
        for (PyObject *item; a && i < n && PyFloat_CheckExact(item = PyList_GET_ITEM(list, i)); i++)
            ((double *)PyArray_DATA(a))[i] = PyFloat_AS_DOUBLE(item);
        if (i < n) Py_CLEAR(a);
    }
    Py_END_CRITICAL_SECTION();
    return a;
}

/* What NumPy makes of numbers and lists. */
static Array *array_of(PyObject *o) {
    Array *a = PyList_CheckExact(o) ? array_of_floats(o) : NULL;
    return a || !is_plain(o, 0) ? a : (Array *)PyArray_FROM_O(o);
}

/* arrays as they are, plain numbers and lists as arrays, None as NULL; false for all else, which may have a device */
static bool take(Call *c, PyObject *const *args) {
    for (int i = 0; i < IN_COUNT; i++) {
        PyObject *o = args[X + i];
        if (o == Py_None) continue;
        if (PyArray_CheckExact(o)) c->in[i] = (Array *)Py_NewRef(o);
        else c->in[i] = array_of(o);
        if (!c->in[i]) return false;
    }
    Array *x = c->in[IN_X];
    if (!x || !c->in[IN_TARGET] || (c->in[IN_MASK] && PyArray_TYPE(c->in[IN_MASK]) != NPY_BOOL)) return false;
    const int type = promoted(x);
    if (type == PyArray_TYPE(x)) return true;
    Array *cast = (Array *)PyArray_NewLikeArray(x, NPY_KEEPORDER, PyArray_DescrFromType(type), 0);
    if (cast && PyArray_CopyInto(cast, x) < 0) Py_CLEAR(cast);
    c->in[IN_X] = cast;
    Py_DECREF((PyObject *)x);
    return cast != NULL;
}

static bool in_range(PyObject *o, double most, double *value) {
    if (!PyFloat_Check(o) && !PyLong_CheckExact(o)) return false;
    *value = PyFloat_AsDouble(o);
    return *value >= 0 && *value <= most;
}

/* as fastsig.losses.arguments.smoothing and focal */
static bool set_numbers(Call *c, PyObject *const *args, bool is_float) {
    double smoothing, alpha = 1, gamma;
    const bool shared = args[ALPHA] != Py_None;
    if (!in_range(args[SMOOTHING], 1, &smoothing) || smoothing == 1 || !in_range(args[GAMMA], 1000, &gamma)) return false;
    if (shared && !in_range(args[ALPHA], 1, &alpha)) return false;
    const double head = is_float ? (double)(float)gamma : gamma;
    c->numbers = (fastsig_numbers){1 - smoothing, smoothing / 2, 1, 0, alpha, shared ? 1 - alpha : 1, head, gamma - head, gamma == floor(gamma)};
    return true;
}

/* The axes from the longest stride of the array to the shortest. */
static void by_strides(Array *a, int *axes) {
    for (int d = 0; d < PyArray_NDIM(a); d++) {
        int at = d;
        for (; at && labs(PyArray_STRIDE(a, axes[at - 1])) < labs(PyArray_STRIDE(a, d)); at--) axes[at] = axes[at - 1];
        axes[at] = d;
    }
}

/* In the order of the logits' memory, or in C order where all that is written goes into arrays of the caller's, one of them in that. */
static void choose_walk(Call *c, PyObject *const *outputs, int what) {
    Array *x = c->in[IN_X];
    const int wanted[OUT_COUNT] = {!(what & (REDUCTION | WITH_HESS)), what & WITH_GRAD, what & WITH_HESS};
    bool in_c = false;
    by_strides(x, c->axes);
    for (int i = 0; i < OUT_COUNT; i++) {
        if (!wanted[i]) continue;
        if (!PyArray_CheckExact(outputs[i])) return;
        in_c |= PyArray_NDIM((Array *)outputs[i]) == PyArray_NDIM(x) && PyArray_IS_C_CONTIGUOUS((Array *)outputs[i]);
    }
    for (int d = 0; in_c && d < PyArray_NDIM(x); d++) c->axes[d] = d;
}

static bool add_sources(Call *c) {
    Array *x = c->in[IN_X];
    c->used = 0;
    for (int i = 0; i < IN_COUNT; i++) {
        c->plan.in[i] = (fastsig_source){.type = TYPE_ABSENT, .period = 1};
        if (c->in[i] && !add_source(c, &c->plan.in[i], c->in[i], PyArray_NDIM(x), PyArray_DIMS(x), c->plan.dtype == TYPE_F64 ? TYPE_F64 : TYPE_F32))
            return false;
    }
    return true;
}

/* ---- passes ---- */
static int run(Call *c, int64_t *sum) {
    int found;
    Py_BEGIN_ALLOW_THREADS;
    found = fastsig_reduce_all((const int64_t *)&c->plan, (const double *)&c->numbers, c->threads, sum);
    Py_END_ALLOW_THREADS;
    c->stopped = found & STOPPED;
    return found;
}

static bool weigh(Call *c, int64_t check, const int *seen, int64_t *sum) {
    const fastsig_plan kept = c->plan;
    c->plan.formula = FORMULA_WEIGHTS;
    c->plan.check = check;
    c->plan.sum = sum != NULL;
    memset(c->plan.out, 0, sizeof c->plan.out);
    for (int i = 0; i < IN_COUNT; i++)
        if (!seen[i]) c->plan.in[i].type = TYPE_ABSENT;
    const int found = run(c, sum);
    c->plan = kept;
    return !found;
}

static const int ONLY_WEIGHTS[IN_COUNT] = {[IN_WEIGHT] = 1, [IN_MASK] = 1};

/* whether the input is as it should be: seen before anything is written into an array of the caller's */
static bool check_first(Call *c) {
    const int seen[IN_COUNT] = {[IN_X] = c->plan.formula == FORMULA_PROBABILITIES, [IN_TARGET] = 1, [IN_WEIGHT] = 1, [IN_POS_WEIGHT] = 1, [IN_MASK] = 1};
    const int64_t check = c->plan.check;
    c->plan.check = 0;
    return weigh(c, check, seen, NULL);
}

typedef struct {
    big number;
    int unit; /* log2 of what it counts */
} divisor;

/* how many elements count */
static npy_intp counted(Call *c) {
    Array *x = c->in[IN_X], *mask = c->in[IN_MASK];
    return mask ? PyArray_CountNonzero(mask) * (PyArray_SIZE(x) / PyArray_SIZE(mask)) : PyArray_SIZE(x);
}

/* What a loss is divided by; false where nothing counts. */
static bool find_divisor(Call *c, int reduction, divisor *by) {
    if (reduction == WEIGHTED_MEAN && c->in[IN_WEIGHT]) {
        int64_t sum[SUM_WORDS] = {0};
        if (!weigh(c, c->plan.check & BAD_WEIGHT, ONLY_WEIGHTS, sum) || sum[SUM_NAN] || sum[SUM_INF] || sum[SUM_NEG_INF]) return false;
        by->number = big_of_sum(sum);
        by->unit = -UNIT_LOG2;
        return by->number.length && !by->number.negative;
    }
    const npy_intp count = reduction == SUM ? 1 : counted(c);
    by->number = big_of((uint64_t)count);
    by->unit = 0;
    return count > 0;
}

/* the gradient is divided by this too: multiplied by its reciprocal in two parts, as fastsig.kernels.plan.reciprocal */
static void set_scale(fastsig_numbers *numbers, const divisor *by, bool is_float) {
    if (by->unit) {
        two_part_reciprocal(&by->number, is_float, &numbers->scale, &numbers->scale_lo);
        return;
    }
    const double count = (double)((uint64_t)by->number.digits[1] << 32 | by->number.digits[0]), exact = 1 / count;
    numbers->scale = is_float ? (double)(float)exact : exact;
    const double rest = fma(-numbers->scale, count, 1) / count;
    numbers->scale_lo = is_float ? (double)(float)rest : rest;
}

static double reduced(const int64_t *sum, const divisor *by, format to) {
    if (sum[SUM_NAN] || (sum[SUM_INF] && sum[SUM_NEG_INF])) return NAN;
    if (sum[SUM_INF] || sum[SUM_NEG_INF]) return sum[SUM_INF] ? INFINITY : -INFINITY;
    const big total = big_of_sum(sum);
    return rounded_quotient(&total, &by->number, -UNIT_LOG2 - by->unit, to);
}

/* A loss of no dimensions is a scalar, as NumPy's results are, unless the caller gave the array. */
static PyObject *returned(Array *a, bool given) {
    Py_INCREF((PyObject *)a);
    return given || PyArray_NDIM(a) ? (PyObject *)a : PyArray_Return(a);
}

/* The operands and options, and the plan for them but for what is written; false where the general way is to be taken. */
static bool prepare(Call *c, PyObject *const *args, int what) {
    if (!take(c, args)) return false;
    Array *x = c->in[IN_X];
    const int type = type_code(x);
    const npy_intp n = PyArray_SIZE(x);
    if (type < TYPE_F16 || type > TYPE_F64 || !n || !set_numbers(c, args, type != TYPE_F64)) return false;
    if (c->threads < 0 && n >= -c->threads) return false;
    c->threads = c->threads < 0 ? 1 : c->threads;
    c->plan.size = n;
    c->plan.dtype = type;
    choose_walk(c, args + OUT, what);
    if (c->plan.check) {
        c->plan.check = BAD_TARGET | (c->plan.formula == FORMULA_PROBABILITIES ? BAD_PROBABILITY : 0) |
                        (c->in[IN_WEIGHT] ? BAD_WEIGHT : 0) | (!c->in[IN_POS_WEIGHT] ? 0 : c->plan.formula == FORMULA_FOCAL ? BAD_ALPHA : BAD_POS_WEIGHT);
    }
    return add_sources(c);
}

/* NULL where the general way is to be taken */
static PyObject *compute(Call *c, PyObject *const *args, int what) {
    if (!prepare(c, args, what)) return NULL;
    Array *x = c->in[IN_X];
    const int reduction = what & REDUCTION, type = type_code(x);
    const bool has_loss = !(what & WITH_HESS), summed = reduction != NONE, is_float = type != TYPE_F64;
    const bool given = args[GRAD] != Py_None || args[HESS] != Py_None || (!summed && args[OUT] != Py_None);
    if (summed && args[OUT] != Py_None) {
        if (!takes_sum((Array *)args[OUT])) return NULL;
        c->out = (Array *)Py_NewRef(args[OUT]);
    }
    if (!summed && has_loss && !(c->out = output(c, args[OUT]))) return NULL;
    if (what & WITH_GRAD && !(c->grad = output(c, args[GRAD]))) return NULL;
    if (what & WITH_HESS && !(c->hess = output(c, args[HESS]))) return NULL;
    if (given && c->plan.check && !check_first(c)) return NULL;
    divisor by;
    if (summed && !find_divisor(c, reduction, &by)) return NULL;
    if (summed && c->grad) set_scale(&c->numbers, &by, is_float);
    c->plan.sum = summed;
    c->plan.out[OUT_LOSS] = summed || !c->out ? 0 : (int64_t)PyArray_DATA(c->out);
    c->plan.out[OUT_GRAD] = c->grad ? (int64_t)PyArray_DATA(c->grad) : 0;
    c->plan.out[OUT_HESS] = c->hess ? (int64_t)PyArray_DATA(c->hess) : 0;
    c->plan.stream = (size_t)PyArray_NBYTES(x) >= fastsig_stream_bytes() && (c->grad || c->hess || !summed);
    int64_t sum[SUM_WORDS] = {0};
    if (run(c, sum)) return NULL;
    PyObject *loss = NULL;
    if (summed) {
        const double value = reduced(sum, &by, FORMATS[c->out ? type_code(c->out) : type]);
        if (c->out) store(PyArray_DATA(c->out), type_code(c->out), value);
        loss = c->out ? Py_NewRef((PyObject *)c->out) : scalar(x, type, value);
    } else if (has_loss) {
        loss = returned(c->out, args[OUT] != Py_None);
    }
    if (has_loss && (!loss || !c->grad)) return loss;
    PyObject *grad = returned(c->grad, args[GRAD] != Py_None);
    if (has_loss) return grad ? Py_BuildValue("NN", loss, grad) : NULL;
    PyObject *hess = returned(c->hess, args[HESS] != Py_None);
    return grad && hess ? Py_BuildValue("NN", grad, hess) : NULL;
}

/* Likewise: the exact sums of the losses and of the weights are added to the two rows of an array where `out` stands, and how many
 * elements count, and the type of the losses, come back. */
static PyObject *add_sums(Call *c, PyObject *const *args, int what) {
    int64_t added[2][SUM_WORDS] = {{0}};
    if (!prepare(c, args, what)) return NULL;
    const npy_intp count = counted(c);
    c->plan.sum = 1;
    if (run(c, added[0])) return NULL;
    if (!c->in[IN_WEIGHT]) exact_add_integer(added[1], count, UNIT_LOG2);
    else if (!weigh(c, 0, ONLY_WEIGHTS, added[1])) return NULL;
    int64_t *const sums = PyArray_DATA((Array *)args[OUT]);
    for (int i = 0; i < 2; i++) {
        exact_carry(added[i]); /* so that there is room for 2^30 calls */
        for (int w = 0; w < SUM_WORDS; w++) sums[i * SUM_WORDS + w] += added[i][w];
    }
    return Py_BuildValue("nO", (Py_ssize_t)count, (PyObject *)PyArray_DESCR(c->in[IN_X]));
}

static PyObject *answer(PyObject *(*from)(Call *, PyObject *const *, int), PyObject *const *args, Py_ssize_t count) {
    if (count != ARGUMENTS) return PyErr_Format(PyExc_TypeError, "%d arguments are taken", (int)ARGUMENTS);
    Call c;
    memset(&c.plan, 0, sizeof c.plan);
    memset(c.in, 0, sizeof c.in);
    c.out = c.grad = c.hess = NULL;
    c.axes[0] = 0;
    c.stopped = false;
    c.plan.formula = PyLong_AsLong(args[FORMULA]);
    c.plan.check = PyObject_IsTrue(args[CHECK]);
    const int what = (int)PyLong_AsLong(args[WHAT]);
    c.threads = (int)PyLong_AsLong(args[THREADS]);
    if (PyErr_Occurred()) return NULL;
    const environment callers = environment_enter(); /* for what is cast, divided and rounded around the passes */
    PyObject *result = from(&c, args, what);
    environment_leave(callers);
    for (int i = 0; i < IN_COUNT; i++) Py_XDECREF((PyObject *)c.in[i]);
    Py_XDECREF((PyObject *)c.out);
    Py_XDECREF((PyObject *)c.grad);
    Py_XDECREF((PyObject *)c.hess);
    if (result || c.stopped) return result;
    PyErr_Clear(); /* the general way meets it again, and explains it */
    return Py_NewRef(Py_NotImplemented);
}

static PyObject *quick(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    (void)self;
    return answer(compute, args, count);
}

static PyObject *quick_sums(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    (void)self;
    return answer(add_sums, args, count);
}

/* pass(plan, numbers, threads) -> (what was bad about the input, the digits of the exact sum), for the general way: a plan of
 * fastsig/kernels/plan.py, and an array of its Numbers. */
static PyObject *pass(PyObject *self, PyObject *args) {
    (void)self;
    Array *plan, *numbers;
    int threads, found;
    npy_intp words = SUM_WORDS;
    if (!PyArg_ParseTuple(args, "O!O!i", &PyArray_Type, &plan, &PyArray_Type, &numbers, &threads)) return NULL;
    Array *sum = (Array *)PyArray_ZEROS(1, &words, NPY_INT64, 0);
    if (!sum) return NULL;
    Py_BEGIN_ALLOW_THREADS;
    found = fastsig_reduce_all(PyArray_DATA(plan), PyArray_DATA(numbers), threads, PyArray_DATA(sum));
    Py_END_ALLOW_THREADS;
    if (found & (STOPPED | NO_MEMORY)) {
        Py_DECREF((PyObject *)sum);
        return found & STOPPED ? NULL : PyErr_NoMemory();
    }
    return Py_BuildValue("iN", found, sum);
}

PyMethodDef fastsig_loss_methods[] = {
    {"quick", (PyCFunction)(void (*)(void))quick, METH_FASTCALL, "see fastsig.losses.fast_path"},
    {"quick_sums", (PyCFunction)(void (*)(void))quick_sums, METH_FASTCALL, "see fastsig.losses.fast_path"},
    {"pass", pass, METH_VARARGS, "see fastsig.kernels.c.library"},
    {NULL, NULL, 0, NULL},
};
