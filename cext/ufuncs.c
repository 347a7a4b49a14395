/* Real NumPy ufuncs over the library's loops, put into a Python dict by name. */
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#include <Python.h>

#include <numpy/arrayobject.h>
#include <numpy/ufuncobject.h>

#include "library.h"

int fastsig_install_ufuncs(void *namespace);
int fastsig_register_bfloat16(void *namespace, int type_number);
int fastsig_make_entries(void *namespace, void *functions_by_name, size_t threshold);

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
#undef UNARY
#undef BINARY

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

/* ---- the functions of api.py, with a straight way to the ufunc for what most calls are ---- */
static PyObject *ufunc_of[OP_COUNT], *general_of[OP_COUNT];
static size_t shared_bytes;

/* What the general function would pass on unchanged: small NumPy arrays and scalars, on one thread, with at most an out. */
static int is_plain(PyObject *x, PyObject *keywords) {
    if (keywords && !(PyTuple_GET_SIZE(keywords) == 1 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(keywords, 0), "out") == 0))
        return 0;
    if (PyArray_CheckExact(x))
        return PyArray_TYPE((PyArrayObject *)x) < NPY_USERDEF && (size_t)PyArray_NBYTES((PyArrayObject *)x) < shared_bytes;
    return PyFloat_CheckExact(x) || PyLong_CheckExact(x) || (PyArray_IsScalar(x, Generic) && !PyArray_IsScalar(x, Void));
}

static PyObject *enter(int op, PyObject *const *args, Py_ssize_t count, PyObject *keywords) {
    if (count >= 1 && count <= 2 && is_plain(args[0], keywords)) {
        PyObject *result = PyObject_Vectorcall(ufunc_of[op], args, (size_t)count, keywords);
        if (result || !(PyErr_ExceptionMatches(PyExc_TypeError) || PyErr_ExceptionMatches(PyExc_ValueError))) return result;
        PyErr_Clear(); /* the general function refuses too, in words about the arguments */
    }
    return PyObject_Vectorcall(general_of[op], args, (size_t)count, keywords);
}

#define UNARY(op, inputs)                                                                                        \
    static PyObject *enter_##op(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t count, PyObject *keywords) { \
        return enter(OP_##op, args, count, keywords);                                                            \
    }
#define BINARY(op, inputs)
FASTSIG_OPS(UNARY, BINARY)
#undef UNARY
#undef BINARY
#define UNARY(op, inputs) {#op, (PyCFunction)(void (*)(void))enter_##op, METH_FASTCALL | METH_KEYWORDS, NULL},
#define BINARY(op, inputs) {NULL, NULL, 0, NULL},
static PyMethodDef entries[] = {FASTSIG_OPS(UNARY, BINARY)};

/* {name: (module, general function, documentation)} becomes {name: entry} */
static int make_entries(PyObject *ufuncs, PyObject *functions_by_name, size_t threshold) {
    shared_bytes = threshold;
    for (int op = 0; op < OP_COUNT; op++) {
        PyObject *module, *general, *doc, *row = PyDict_GetItemString(functions_by_name, infos[op].name);
        if (!row) continue;
        if (!PyArg_ParseTuple(row, "OOO", &module, &general, &doc)) return -1;
        ufunc_of[op] = Py_XNewRef(PyDict_GetItemString(ufuncs, infos[op].name));
        general_of[op] = Py_NewRef(general);
        entries[op].ml_doc = PyUnicode_AsUTF8(Py_NewRef(doc)); /* lives as long as the process */
        PyObject *module_name = PyObject_GetAttrString(module, "__name__");
        PyObject *entry = module_name ? PyCFunction_NewEx(&entries[op], module, module_name) : NULL;
        Py_XDECREF(module_name);
        int failed = !entry || !entries[op].ml_doc || PyDict_SetItemString(functions_by_name, infos[op].name, entry);
        Py_XDECREF(entry);
        if (failed) return -1;
    }
    return 0;
}

/* ---- cffi calls these without the GIL; an error is printed, and -1 returned ---- */
static int reported(int failed, PyGILState_STATE gil) {
    if (failed) PyErr_Print();
    PyGILState_Release(gil);
    return failed;
}

int fastsig_install_ufuncs(void *namespace) {
    PyGILState_STATE gil = PyGILState_Ensure();
    return reported(install(namespace), gil);
}

int fastsig_register_bfloat16(void *namespace, int type_number) {
    PyGILState_STATE gil = PyGILState_Ensure();
    return reported(register_bfloat16(namespace, type_number), gil);
}

int fastsig_make_entries(void *namespace, void *functions_by_name, size_t threshold) {
    PyGILState_STATE gil = PyGILState_Ensure();
    return reported(make_entries(namespace, functions_by_name, threshold), gil);
}
