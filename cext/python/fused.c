/* The gates of host arrays: fused(rows, threads), rows an array of fastsig/kernels/rows.py, and the straight way without Python between.
 *
 * quick_fused(op, threads, in_parts, out_parts, inputs, outs) gives the result or a tuple of all, or NotImplemented for what is to be refused,
 * converted or copied: the caller then takes the general way (fastsig/gates/call.py), which computes the same bits. The parts are bytes,
 * how many each array's last axis holds; outs are None, or for each result an array or None. */
#include "ufuncs.h"

#include <string.h>

#include "fused.h"
#include "library.h"
#include "overlap.h"

typedef PyArrayObject Array;
enum { OP, THREADS, IN_PARTS, OUT_PARTS, INPUTS, OUTS, ARGUMENTS };
enum { LEAST_INNER = 16 }; /* as in fastsig/kernels/rows.py */

static PyObject *fused(PyObject *self, PyObject *args) {
    (void)self;
    Array *rows;
    int threads, stopped;
    if (!PyArg_ParseTuple(args, "O!i", &PyArray_Type, &rows, &threads)) return NULL;
    Py_BEGIN_ALLOW_THREADS;
    stopped = fastsig_fused_all(PyArray_DATA(rows), threads);
    Py_END_ALLOW_THREADS;
    if (stopped) return NULL;
    Py_RETURN_NONE;
}

/* ---- without Python in between ---- */

typedef struct {
    PyObject *inputs; /* a tuple */
    const char *in_parts, *out_parts;
    int nin, nout;
    npy_intp part, repeats; /* elements of a part along the last axis, and how many such rows there are */
    Array *results[FUSED_MOST];
} Call;

static Array *input(const Call *c, int i) {
    return (Array *)PyTuple_GetItem(c->inputs, i);
}

static int dtype_of(Array *a) {
    switch (PyArray_TYPE(a)) {
        case NPY_HALF: return DTYPE_f16;
        case NPY_FLOAT: return DTYPE_f32;
        case NPY_DOUBLE: return DTYPE_f64;
        default: return -1;
    }
}

/* whether the array has the first input's type and axes, the last one with so many parts */
static bool agrees(const Call *c, Array *a, int parts) {
    Array *first = input(c, 0);
    const int last = PyArray_NDIM(first) - 1;
    if (PyArray_TYPE(a) != PyArray_TYPE(first) || PyArray_NDIM(a) != last + 1) return false;
    return memcmp(PyArray_DIMS(a), PyArray_DIMS(first), (size_t)last * sizeof(npy_intp)) == 0 && PyArray_DIM(a, last) == c->part * parts;
}

static bool is_plain(PyObject *x) {
    return Py_IS_TYPE(x, &PyArray_Type) && PyArray_ISCARRAY_RO((Array *)x);
}

static bool read_inputs(Call *c) {
    if (!is_plain((PyObject *)input(c, 0))) return false;
    Array *first = input(c, 0);
    const npy_intp size = PyArray_SIZE(first), length = PyArray_NDIM(first) ? PyArray_DIM(first, PyArray_NDIM(first) - 1) : 0;
    if (dtype_of(first) < 0 || size == 0 || length == 0 || length % c->in_parts[0]) return false;
    c->part = length / c->in_parts[0];
    c->repeats = size / length;
    for (int i = 1; i < c->nin; i++)
        if (!is_plain((PyObject *)input(c, i)) || !agrees(c, input(c, i), c->in_parts[i])) return false;
    return true;
}

/* whether result i may be written into this array: nothing that is still to be read lies there, but for what the same element reads */
static bool takes_result(const Call *c, int i, Array *out) {
    if (!PyArray_ISCARRAY(out) || !agrees(c, out, c->out_parts[i])) return false;
    for (int k = 0; k < c->nin; k++) {
        const bool in_place = PyArray_DATA(input(c, k)) == PyArray_DATA(out) && c->in_parts[k] == c->out_parts[i];
        if (!in_place && !apart(input(c, k), out)) return false;
    }
    for (int k = 0; k < i; k++)
        if (!apart(c->results[k], out)) return false;
    return true;
}

static Array *new_result(const Call *c, int i) {
    npy_intp dims[NPY_MAXDIMS];
    const int nd = PyArray_NDIM(input(c, 0));
    memcpy(dims, PyArray_DIMS(input(c, 0)), (size_t)nd * sizeof *dims);
    dims[nd - 1] = c->part * c->out_parts[i];
    return (Array *)PyArray_EMPTY(nd, dims, PyArray_TYPE(input(c, 0)), 0);
}

/* False with an exception where there is no memory, without one where an array that was given does not do. */
static bool find_results(Call *c, PyObject *outs) {
    for (int i = 0; i < c->nout; i++) {
        PyObject *out = outs == Py_None ? Py_None : PyTuple_GetItem(outs, i);
        if (!out) return false;
        if (out == Py_None) {
            c->results[i] = new_result(c, i);
        } else if (Py_IS_TYPE(out, &PyArray_Type) && takes_result(c, i, (Array *)out)) {
            c->results[i] = (Array *)Py_NewRef(out);
        }
        if (!c->results[i]) return false;
    }
    return true;
}

static int add_parts(fastsig_rows *rows, int at, Array *a, int parts) {
    const npy_intp row = PyArray_DIM(a, PyArray_NDIM(a) - 1) * PyArray_ITEMSIZE(a);
    for (int i = 0; i < parts; i++) rows->at[at++] = (fastsig_row){(int64_t)PyArray_DATA(a) + row / parts * i, rows->count > 1 ? row : 0};
    return at;
}

static bool of_one_part_each(const Call *c) {
    for (int i = 0; i < c->nin; i++)
        if (c->in_parts[i] != 1) return false;
    for (int i = 0; i < c->nout; i++)
        if (c->out_parts[i] != 1) return false;
    return true;
}

static bool compute(const Call *c, int64_t op, int threads) {
    const bool one_row = of_one_part_each(c);
    fastsig_rows rows = {op, dtype_of(input(c, 0)), one_row ? c->part * c->repeats : c->part, one_row ? 1 : c->repeats, {{0, 0}}};
    int at = 0, stopped;
    for (int i = 0; i < c->nin; i++) at = add_parts(&rows, at, input(c, i), c->in_parts[i]);
    for (int i = 0; i < c->nout; i++) at = add_parts(&rows, at, c->results[i], c->out_parts[i]);
    Py_BEGIN_ALLOW_THREADS;
    stopped = fastsig_fused_all((const int64_t *)&rows, threads);
    Py_END_ALLOW_THREADS;
    return !stopped;
}

static PyObject *returned(const Call *c) {
    if (c->nout == 1) return Py_NewRef((PyObject *)c->results[0]);
    PyObject *all = PyTuple_New(c->nout);
    for (int i = 0; all && i < c->nout; i++) PyTuple_SetItem(all, i, Py_NewRef((PyObject *)c->results[i]));
    return all;
}

static PyObject *quick(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    (void)self;
    if (count != ARGUMENTS) return PyErr_Format(PyExc_TypeError, "quick_fused takes %d arguments", ARGUMENTS);
    Call c = {.inputs = args[INPUTS], .in_parts = PyBytes_AsString(args[IN_PARTS]), .out_parts = PyBytes_AsString(args[OUT_PARTS])};
    c.nin = (int)PyTuple_Size(args[INPUTS]);
    c.nout = (int)PyBytes_Size(args[OUT_PARTS]);
    const int64_t op = PyLong_AsLong(args[OP]);
    const int threads = (int)PyLong_AsLong(args[THREADS]);
    if (PyErr_Occurred()) return NULL;
    PyObject *result = NULL;
    if (read_inputs(&c) && (c.part >= LEAST_INNER || c.repeats == 1 || of_one_part_each(&c)) && find_results(&c, args[OUTS])) {
        if (compute(&c, op, threads)) result = returned(&c);
    } else if (!PyErr_Occurred()) {
        result = Py_NewRef(Py_NotImplemented);
    }
    for (int i = 0; i < c.nout; i++) Py_XDECREF((PyObject *)c.results[i]);
    return result;
}

PyMethodDef fastsig_fused_methods[] = {
    {"fused", fused, METH_VARARGS, "see fastsig.kernels.c.library"},
    {"quick_fused", (PyCFunction)(void (*)(void))quick, METH_FASTCALL, "see fastsig.gates.call"},
    {NULL, NULL, 0, NULL},
};
