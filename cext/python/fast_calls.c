/* The functions of fastsig/elementwise/functions.py, with a straight way to the ufunc for what most calls are.
 *
 * A Python function with eleven parameters takes longer to call than the ufunc that it calls. So each stays the Python function that it
 * is, for whoever looks at it, and is called by what stands here: the general function is asked where there is anything to choose. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* RTLD_DEFAULT */
#endif
#include "ufuncs.h"

#include <string.h>

#include "environment.h"

/* Python 3.11 runs functions of exactly this type without looking how they want to be called; a type derived from it is called as it asks */
#if PY_VERSION_HEX < 0x030C0000
#include <structmember.h>

static PyObject *own_name(PyObject *self, PyObject *Py_UNUSED(none)) { return PyObject_GetAttrString(self, "__qualname__"); }
static PyMethodDef pickled_by_name[] = {{"__reduce__", own_name, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static PyMemberDef own_doc[] = {{"__doc__", T_OBJECT, offsetof(PyFunctionObject, func_doc), 0, NULL}, {NULL, 0, 0, 0, NULL}};
static PyTypeObject function_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "function",
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_methods = pickled_by_name,
    .tp_members = own_doc,
};

static int set_vectorcall(PyObject *function, vectorcallfunc call) {
    function_type.tp_base = &PyFunction_Type;
    if (PyType_Ready(&function_type) < 0) return -1;
    ((PyFunctionObject *)function)->vectorcall = call;
    Py_SET_TYPE(function, &function_type);
    return 0;
}
#else
#include <dlfcn.h>

/* Documented, but not in the stable ABI, so it is looked up: without it the function is called as any other, with the same results. */
static int set_vectorcall(PyObject *function, vectorcallfunc call) {
    void (*const set)(PyObject *, vectorcallfunc) = (void (*)(PyObject *, vectorcallfunc))dlsym(RTLD_DEFAULT, "PyFunction_SetVectorcall");
    if (set) set(function, call);
    return 0;
}
#endif

enum { OUT, WHERE, BACKEND, THREADS, OPTIONS };
static PyObject *option_names[OPTIONS], *only_out, *name_of_c;
static PyObject *general_of[OP_COUNT];
static _Atomic size_t shared_sizes[DTYPE_COUNT]; /* set anew while other threads compute */
static bool straight; /* whether the C library serves where a call names no backend */

void fastsig_set_fast_call_sizes(const size_t *elements) {
    for (int dtype = 0; dtype < DTYPE_COUNT; dtype++) shared_sizes[dtype] = elements[dtype];
}

/* From so many elements on the general function is asked; it alone knows of threads. */
static bool is_small(PyArrayObject *x) {
    const int type = PyArray_TYPE(x);
    const int dtype = type == NPY_FLOAT ? DTYPE_f32 : type == NPY_DOUBLE ? DTYPE_f64 : type == NPY_HALF ? DTYPE_f16 : DTYPE_bf16;
    return (type < NPY_USERDEF || type == fastsig_bfloat16) && (size_t)PyArray_SIZE(x) < shared_sizes[dtype];
}

static bool is_number(PyObject *x) {
    return PyFloat_CheckExact(x) || PyLong_CheckExact(x) || (PyArray_IsScalar(x, Generic) && !PyArray_IsScalar(x, Void));
}

static int option(PyObject *name) {
    for (int i = 0; i < OPTIONS; i++)
        if (name == option_names[i]) return i;
    for (int i = 0; i < OPTIONS; i++)
        if (PyUnicode_Compare(name, option_names[i]) == 0) return i;
    return OPTIONS;
}

static bool is_c(PyObject *backend) { return backend == name_of_c || (PyUnicode_CheckExact(backend) && PyUnicode_Compare(backend, name_of_c) == 0); }

static bool is_count(PyObject *threads) {
    int overflow = 0;
    return PyLong_CheckExact(threads) && PyLong_AsLongAndOverflow(threads, &overflow) > 0;
}

typedef struct { PyObject *x, *out, *where; } plain; /* NULL: not given */

/* Whether the general function would pass this on unchanged, to the C library and on one thread; it also words what is wrong. */
static bool read_plain(plain *call, PyObject *const *args, Py_ssize_t count, PyObject *keywords) {
    if (!straight || count < 1 || count > 2) return false;
    *call = (plain){.x = args[0], .out = count == 2 ? args[1] : NULL};
    const Py_ssize_t named = keywords ? PyTuple_GET_SIZE(keywords) : 0;
    for (Py_ssize_t i = 0; i < named; i++) {
        PyObject *const value = args[count + i];
        switch (option(PyTuple_GET_ITEM(keywords, i))) {
            case OUT:
                if (call->out) return false;
                call->out = value;
                break;
            case WHERE:
                if (!PyArray_CheckExact(value)) return false;
                call->where = value;
                break;
            case BACKEND:
                if (value != Py_None && !is_c(value)) return false;
                break;
            case THREADS:
                if (value != Py_None && !is_count(value)) return false;
                break;
            default: return false;
        }
    }
    return PyArray_CheckExact(call->x) ? is_small((PyArrayObject *)call->x) : is_number(call->x) && !call->where;
}

#ifdef Py_LIMITED_API
#define CALL_UFUNC(ufunc, ...) PyObject_Vectorcall(ufunc, __VA_ARGS__)
#else
#define CALL_UFUNC(ufunc, ...) PyVectorcall_Function(ufunc)(ufunc, __VA_ARGS__)
#endif

static PyObject *call_ufunc(int op, const plain *call) {
    PyObject *const args[] = {call->x, call->out};
    const bool in_tuple = call->out && PyTuple_Check(call->out); /* NumPy takes it by name only */
    const size_t count = call->out && !in_tuple ? 2 : 1;
    return CALL_UFUNC(fastsig_ufuncs[op], args, count, in_tuple ? only_out : NULL);
}

static bool is_awkward(const plain *call) {
    PyArrayObject *const out = (PyArrayObject *)call->out;
    return PyArray_CheckExact(call->x) && (!out || PyArray_CheckExact(call->out)) && fastsig_is_awkward((PyArrayObject *)call->x, out);
}

static PyObject *compute_awkward(int op, const plain *call) {
    return fastsig_compute_awkward((PyUFuncObject *)fastsig_ufuncs[op], (PyArrayObject *)call->x, (PyArrayObject *)call->out);
}

static int compute_masked(int op, const plain *call) {
    if (!call->out || !PyArray_CheckExact(call->out)) return SHARE_UNFIT;
    return fastsig_share_masked((PyUFuncObject *)fastsig_ufuncs[op], (PyArrayObject *)call->x, (PyArrayObject *)call->out,
                                (PyArrayObject *)call->where, 1);
}

static PyObject *compute(int op, PyObject *const *args, size_t count_and_flag, PyObject *keywords) {
    plain call;
    if (read_plain(&call, args, PyVectorcall_NARGS(count_and_flag), keywords)) {
        if (!call.where) {
            PyObject *result = is_awkward(&call) ? compute_awkward(op, &call) : NULL;
            if (result || PyErr_Occurred()) return result;
            result = call_ufunc(op, &call);
            if (result || !(PyErr_ExceptionMatches(PyExc_TypeError) || PyErr_ExceptionMatches(PyExc_ValueError))) return result;
            PyErr_Clear(); /* the general function refuses too, in words about the arguments */
        } else {
            const int done = compute_masked(op, &call);
            if (done != SHARE_UNFIT) return done == SHARE_DONE ? Py_NewRef(call.out) : NULL;
        }
    }
    return PyObject_Vectorcall(general_of[op], args, count_and_flag, keywords);
}

/* NumPy's casts are made under the default environment too. */
static PyObject *enter(int op, PyObject *const *args, size_t count_and_flag, PyObject *keywords) {
    const environment callers = environment_enter();
    PyObject *const result = compute(op, args, count_and_flag, keywords);
    environment_leave(callers);
    return result;
}

#define BINARY(op, inputs)
#define UNARY(op, inputs)                                                                                      \
    static PyObject *enter_##op(PyObject *Py_UNUSED(self), PyObject *const *args, size_t count, PyObject *keywords) { \
        return enter(OP_##op, args, count, keywords);                                                          \
    }
FASTSIG_OPS(UNARY, BINARY)
#undef UNARY
#define UNARY(op, inputs) {#op, OP_##op, enter_##op},
static const struct { const char *name; int op; vectorcallfunc call; } fast_calls[] = {FASTSIG_OPS(UNARY, BINARY)};

static int make_names(void) {
    static const char *const names[OPTIONS] = {[OUT] = "out", [WHERE] = "where", [BACKEND] = "backend", [THREADS] = "threads"};
    for (int i = 0; i < OPTIONS; i++)
        if (!(option_names[i] = PyUnicode_InternFromString(names[i]))) return -1;
    only_out = PyTuple_Pack(1, option_names[OUT]);
    name_of_c = PyUnicode_InternFromString("c");
    return only_out && name_of_c ? 0 : -1;
}

/* {name: (function, general function)}: the first is from now on called by what stands here, and the second by that in its turn */
static int make_fast_calls(PyObject *functions_by_name) {
    if (make_names() < 0) return -1;
    for (size_t i = 0; i < sizeof fast_calls / sizeof fast_calls[0]; i++) {
        PyObject *function, *general, *row = PyDict_GetItemString(functions_by_name, fast_calls[i].name);
        if (!row) continue;
        if (!PyArg_ParseTuple(row, "OO", &function, &general)) return -1;
        general_of[fast_calls[i].op] = Py_NewRef(general);
        if (set_vectorcall(function, fast_calls[i].call) < 0) return -1;
    }
    return 0;
}

int fastsig_make_fast_calls(void *functions_by_name, int may_go_straight) {
    PyGILState_STATE gil = PyGILState_Ensure();
    straight = may_go_straight;
    const int failed = make_fast_calls(functions_by_name);
    if (failed) PyErr_Print();
    PyGILState_Release(gil);
    return failed;
}
