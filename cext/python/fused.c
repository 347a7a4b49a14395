/* The gates' entry: fused(rows, threads), rows an array of fastsig/kernels/rows.py. */
#include "ufuncs.h"

#include "fused.h"

static PyObject *fused(PyObject *self, PyObject *args) {
    (void)self;
    PyArrayObject *rows;
    int threads, stopped;
    if (!PyArg_ParseTuple(args, "O!i", &PyArray_Type, &rows, &threads)) return NULL;
    Py_BEGIN_ALLOW_THREADS;
    stopped = fastsig_fused_all(PyArray_DATA(rows), threads);
    Py_END_ALLOW_THREADS;
    if (stopped) return NULL;
    Py_RETURN_NONE;
}

PyMethodDef fastsig_fused_methods[] = {
    {"fused", fused, METH_VARARGS, "see fastsig.kernels.c.library"},
    {NULL, NULL, 0, NULL},
};
