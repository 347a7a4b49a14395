/* The ufuncs of fastsig.correctly_rounded: float32 by loops of their own, halves by the ordinary ones, which are correctly rounded too. */
#include "ufuncs.h"

static const int op_of[ROUNDED_COUNT] = {
#define OP_OF(op) [ROUNDED_##op] = OP_##op,
    FASTSIG_ROUNDED(OP_OF)
};
static const struct { const char *name, *doc; } infos[ROUNDED_COUNT] = {
#define INFO(op) [ROUNDED_##op] = {#op, #op " of float32, correctly rounded: see fastsig.correctly_rounded"},
    FASTSIG_ROUNDED(INFO)
};
static PyObject *ufuncs[ROUNDED_COUNT];

enum { HALF, FLOAT, TYPES };
static int index_of[ROUNDED_COUNT];
static void *data[ROUNDED_COUNT][TYPES];

static void call_rounded(char **args, npy_intp const *dims, npy_intp const *steps, void *index) {
    fastsig_active->rounded[*(const int *)index](args, steps, (size_t)dims[0]);
}

static PyUFuncGenericFunction loops[TYPES] = {fastsig_call_active, call_rounded};
static const char types[] = {NPY_HALF, NPY_HALF, NPY_FLOAT, NPY_FLOAT};

static PyUFunc_TypeResolutionFunc *numpys_resolver;

/* What is there, in words: a dtype, or of what NumPy can only hold as an object, its class. */
static PyObject *what_is_there(PyArrayObject *x, PyObject *signature) {
    if (signature && signature != Py_None) return PyUnicode_FromFormat("the type asked for is %S", signature);
    PyObject *const held = PyArray_TYPE(x) == NPY_OBJECT && PyArray_NDIM(x) == 0 ? *(PyObject **)PyArray_DATA(x) : NULL;
    if (held) {
        PyObject *const kind = PyObject_Type(held);
        PyObject *const words = PyUnicode_FromFormat("x is an object of %S", kind);
        Py_XDECREF(kind);
        return words;
    }
    return PyUnicode_FromFormat("x is %S", (PyObject *)PyArray_DESCR(x));
}

/* As NumPy does, but in other words: its own do not say which types there would be. */
static int resolve(PyUFuncObject *ufunc, NPY_CASTING casting, PyArrayObject **operands, PyObject *signature, PyArray_Descr **dtypes) {
    const int found = numpys_resolver(ufunc, casting, operands, signature, dtypes);
    if (found == -1 && PyErr_ExceptionMatches(PyExc_TypeError)) {
        PyErr_Clear();
        PyObject *const there = what_is_there(operands[0], signature);
        if (there)
            PyErr_Format(PyExc_TypeError,
                         "correctly_rounded.%s: %U; it computes in float32, float16 and bfloat16, on the host. dtype=np.float32 "
                         "converts numbers to float32 first, and fastsig.%s takes other types and arrays of a GPU",
                         ufunc->name, there, ufunc->name);
        Py_XDECREF(there);
    }
    return found;
}

static int install(PyObject *namespace) {
    for (int i = 0; i < ROUNDED_COUNT; i++) {
        index_of[i] = i;
        data[i][HALF] = &fastsig_slots[op_of[i]][DTYPE_f16];
        data[i][FLOAT] = &index_of[i];
        ufuncs[i] = PyUFunc_FromFuncAndData(loops, data[i], types, TYPES, 1, 1, PyUFunc_None, infos[i].name, infos[i].doc, 0);
        if (!ufuncs[i] || PyDict_SetItemString(namespace, infos[i].name, ufuncs[i])) return -1;
        PyUFuncObject *const made = (PyUFuncObject *)ufuncs[i];
        numpys_resolver = made->type_resolver;
        made->type_resolver = resolve;
    }
    return 0;
}

static int register_bfloat16(int type_number) {
    const int signature[] = {type_number, type_number};
    for (int i = 0; i < ROUNDED_COUNT; i++)
        if (PyUFunc_RegisterLoopForType((PyUFuncObject *)ufuncs[i], type_number, fastsig_call_active, signature,
                                        &fastsig_slots[op_of[i]][DTYPE_bf16]) < 0)
            return -1;
    return 0;
}

int fastsig_install_rounded(void *namespace) {
    PyGILState_STATE gil = PyGILState_Ensure();
    return fastsig_reported(install(namespace), gil);
}

int fastsig_register_rounded_bfloat16(int type_number) {
    PyGILState_STATE gil = PyGILState_Ensure();
    return fastsig_reported(register_bfloat16(type_number), gil);
}
