/* The commonest loss calls without Python in between: two contiguous arrays of one shape and type, no options.
 *
 * quick(logits, targets, what, check, threads) gives the result, or NotImplemented for anything else, bad input included: the
 * caller then takes the general way, which computes the same bits and says what is wrong. */
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#include <Python.h>

#include <math.h>
#include <numpy/arrayobject.h>

#include "exact_sum.h"
#include "fastsig.h"
#include "reduce.h"

int fastsig_install_quick(void *namespace);

enum { SUM, MEAN, SUM_AND_GRAD, MEAN_AND_GRAD, GRAD_AND_HESS };

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

static int usable(PyObject *o, int type) {
    return PyArray_CheckExact(o) && PyArray_TYPE((PyArrayObject *)o) == type && PyArray_IS_C_CONTIGUOUS((PyArrayObject *)o) &&
           PyArray_ISALIGNED((PyArrayObject *)o) && PyArray_ISNOTSWAPPED((PyArrayObject *)o);
}

static PyObject *scalar(double value, int type) {
    const float narrow = (float)value;
    PyArray_Descr *descr = PyArray_DescrFromType(type);
    PyObject *result = PyArray_Scalar(type == NPY_FLOAT ? (void *)&narrow : (void *)&value, descr, NULL);
    Py_DECREF(descr);
    return result;
}

static PyObject *result_of(int what, int type, double loss, PyObject *first, PyObject *second) {
    if (what == GRAD_AND_HESS) return PyTuple_Pack(2, first, second);
    PyObject *value = scalar(loss, type);
    if (!value || !first) return value;
    PyObject *both = PyTuple_Pack(2, value, first);
    Py_DECREF(value);
    return both;
}

static PyObject *compute(PyArrayObject *x, PyArrayObject *t, int what, int check, int threads, int type) {
    const npy_intp n = PyArray_SIZE(x);
    const int has_grad = what >= SUM_AND_GRAD, has_hess = what == GRAD_AND_HESS, is_float = type == NPY_FLOAT;
    PyObject *grad = has_grad ? PyArray_SimpleNew(PyArray_NDIM(x), PyArray_DIMS(x), type) : NULL;
    PyObject *hess = has_hess ? PyArray_SimpleNew(PyArray_NDIM(x), PyArray_DIMS(x), type) : NULL;
    PyObject *result = NULL;
    if ((has_grad && !grad) || (has_hess && !hess)) goto done;
    fastsig_plan plan = {.dtype = is_float ? TYPE_F32 : TYPE_F64, .check = check ? BAD_TARGET : 0, .sum = !has_hess, .size = n};
    for (int i = 0; i < IN_COUNT; i++) plan.in[i] = (fastsig_source){.type = TYPE_ABSENT, .period = 1};
    plan.in[IN_X] = (fastsig_source){(int64_t)PyArray_DATA(x), plan.dtype, 1, n, 1, 0};
    plan.in[IN_TARGET] = (fastsig_source){(int64_t)PyArray_DATA(t), plan.dtype, 1, n, 1, 0};
    plan.stream = (size_t)PyArray_NBYTES(x) >= fastsig_stream_bytes();
    if (grad) plan.out[OUT_GRAD] = (int64_t)PyArray_DATA((PyArrayObject *)grad);
    if (hess) plan.out[OUT_HESS] = (int64_t)PyArray_DATA((PyArrayObject *)hess);
    fastsig_numbers numbers = {.keep = 1, .scale = 1};
    if (what == MEAN_AND_GRAD) { /* as fastsig.plans.reciprocal */
        const double exact = 1 / (double)n;
        numbers.scale = is_float ? (double)(float)exact : exact;
        const double rest = fma(-numbers.scale, (double)n, 1) / (double)n;
        numbers.scale_lo = is_float ? (double)(float)rest : rest;
    }
    int64_t sum[SUM_WORDS] = {0};
    int bad;
    Py_BEGIN_ALLOW_THREADS;
    bad = fastsig_reduce_all((const int64_t *)&plan, (const double *)&numbers, threads, sum);
    Py_END_ALLOW_THREADS;
    double loss = 0;
    if (plan.sum)
        loss = quotient(sum, what == MEAN || what == MEAN_AND_GRAD ? (uint64_t)n : 1, is_float ? 24 : 53, is_float ? -149 : -1074);
    if (bad || isnan(loss))
        result = Py_NewRef(Py_NotImplemented);
    else
        result = result_of(what, type, loss, grad, hess);
done:
    Py_XDECREF(grad);
    Py_XDECREF(hess);
    return result;
}

static PyObject *quick(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    (void)self;
    if (count != 5) return PyErr_Format(PyExc_TypeError, "quick takes 5 arguments");
    const long what = PyLong_AsLong(args[2]), check = PyObject_IsTrue(args[3]), threads = PyLong_AsLong(args[4]);
    if (PyErr_Occurred()) return NULL;
    const int type = PyArray_CheckExact(args[0]) ? PyArray_TYPE((PyArrayObject *)args[0]) : NPY_NOTYPE;
    if ((type != NPY_FLOAT && type != NPY_DOUBLE) || !usable(args[0], type) || !usable(args[1], type))
        return Py_NewRef(Py_NotImplemented);
    PyArrayObject *x = (PyArrayObject *)args[0], *t = (PyArrayObject *)args[1];
    if (!PyArray_SAMESHAPE(x, t) || PyArray_NDIM(x) == 0 || PyArray_SIZE(x) == 0)
        return Py_NewRef(Py_NotImplemented);
    return compute(x, t, (int)what, (int)check, (int)threads, type);
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
