/* Real NumPy ufuncs over the library's loops, put into a Python dict by name. */
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#include <Python.h>

#include <numpy/arrayobject.h>
#include <numpy/ufuncobject.h>

#include "library.h"

int fastsig_install_ufuncs(void *namespace);
int fastsig_register_bfloat16(void *namespace, int type_number);

/* which loop a ufunc's loop is: NumPy hands the address of one of these back at each call */
typedef struct { int op, dtype; } slot;

#define SLOTS(op, inputs) [OP_##op] = {{OP_##op, DTYPE_f16}, {OP_##op, DTYPE_bf16}, {OP_##op, DTYPE_f32}, {OP_##op, DTYPE_f64}},
static slot slots[OP_COUNT][DTYPE_COUNT] = {FASTSIG_OPS(SLOTS, SLOTS)};

static void call_active(char **args, npy_intp const *dims, npy_intp const *steps, void *data) {
    const slot *s = data;
    fastsig_active->loops[s->op][s->dtype](args, steps, (size_t)dims[0]);
}

enum { REGISTERED = 3 };
static PyUFuncGenericFunction functions[REGISTERED] = {call_active, call_active, call_active};
static void *data[OP_COUNT][REGISTERED];
static const char types[][REGISTERED * 3] = {
    {NPY_HALF, NPY_HALF, NPY_FLOAT, NPY_FLOAT, NPY_DOUBLE, NPY_DOUBLE},
    {NPY_HALF, NPY_HALF, NPY_HALF, NPY_FLOAT, NPY_FLOAT, NPY_FLOAT, NPY_DOUBLE, NPY_DOUBLE, NPY_DOUBLE},
};

static const struct { const char *name, *doc; int nin; } infos[] = {
#define UNARY(op, inputs) {#op, #op "(" inputs "): see fastsig." #op, 1},
#define BINARY(op, inputs) {#op, #op "(" inputs "), elementwise", 2},
    FASTSIG_OPS(UNARY, BINARY)
};

static int install(PyObject *namespace) {
    if (PyArray_ImportNumPyAPI() < 0 || PyUFunc_ImportUFuncAPI() < 0) return -1;
    for (int op = 0; op < OP_COUNT; op++) {
        data[op][0] = &slots[op][DTYPE_f16];
        data[op][1] = &slots[op][DTYPE_f32];
        data[op][2] = &slots[op][DTYPE_f64];
        PyObject *ufunc = PyUFunc_FromFuncAndData(functions, data[op], types[infos[op].nin - 1], REGISTERED, infos[op].nin, 1,
                                                  PyUFunc_None, infos[op].name, infos[op].doc, 0);
        if (!ufunc) return -1;
        int failed = PyDict_SetItemString(namespace, infos[op].name, ufunc);
        Py_DECREF(ufunc);
        if (failed) return -1;
    }
    return 0;
}

static int register_bfloat16(PyObject *namespace, int type_number) {
    for (int op = 0; op < OP_COUNT; op++) {
        PyObject *ufunc = PyDict_GetItemString(namespace, infos[op].name);
        int signature[3] = {type_number, type_number, type_number};
        if (!ufunc || PyUFunc_RegisterLoopForType((PyUFuncObject *)ufunc, type_number, call_active, signature,
                                                  &slots[op][DTYPE_bf16]) < 0)
            return -1;
    }
    return 0;
}

/* cffi calls these without the GIL; an error is printed, and -1 returned */
static int with_gil(PyObject *namespace, int type_number, int registering) {
    PyGILState_STATE gil = PyGILState_Ensure();
    int failed = registering ? register_bfloat16(namespace, type_number) : install(namespace);
    if (failed) PyErr_Print();
    PyGILState_Release(gil);
    return failed;
}

int fastsig_install_ufuncs(void *namespace) { return with_gil(namespace, 0, 0); }
int fastsig_register_bfloat16(void *namespace, int type_number) { return with_gil(namespace, type_number, 1); }
