/* Real NumPy ufuncs over the library's loops, put into a Python dict by name. */
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#include <Python.h>

#include <numpy/arrayobject.h>
#include <numpy/ufuncobject.h>

#include "library.h"
#include "pool.h"

int fastsig_install_ufuncs(void *namespace);
int fastsig_register_bfloat16(void *namespace, int type_number);
int fastsig_make_entries(void *namespace, void *functions_by_name);
void fastsig_set_entry_sizes(const size_t *elements);
int fastsig_share(void *ufunc, void *x, void *out, int threads);

/* which loop a ufunc's loop is: NumPy hands the address of one of these back at each call */
typedef struct { int op, dtype; } slot;

#define SLOTS(op, inputs) [OP_##op] = {{OP_##op, DTYPE_f16}, {OP_##op, DTYPE_bf16}, {OP_##op, DTYPE_f32}, {OP_##op, DTYPE_f64}},
static slot slots[OP_COUNT][DTYPE_COUNT] = {FASTSIG_OPS(SLOTS, SLOTS)};

static void call_active(char **args, npy_intp const *dims, npy_intp const *steps, void *data) {
    const slot *s = data;
    fastsig_active->loops[s->op][s->dtype](args, steps, (size_t)dims[0]);
}

/* reduce and accumulate read what the element before has written: a step for each, for the loops compute many elements at once */
static void call_active_of_two(char **args, npy_intp const *dims, npy_intp const *steps, void *data) {
    if (args[0] + steps[0] != args[2] || steps[0] != steps[2]) {
        call_active(args, dims, steps, data);
        return;
    }
    for (npy_intp i = 0; i < dims[0]; i++)
        call_active((char *[]){args[0] + i * steps[0], args[1] + i * steps[1], args[2] + i * steps[2]}, &(npy_intp){1}, steps, data);
}

enum { REGISTERED = 3 };
static PyUFuncGenericFunction functions[][REGISTERED] = {
    {call_active, call_active, call_active},
    {call_active_of_two, call_active_of_two, call_active_of_two},
};
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
        PyObject *ufunc = PyUFunc_FromFuncAndData(functions[infos[op].nin - 1], data[op], types[infos[op].nin - 1], REGISTERED,
                                                  infos[op].nin, 1, PyUFunc_None, infos[op].name, infos[op].doc, 0);
        if (!ufunc) return -1;
        int failed = PyDict_SetItemString(namespace, infos[op].name, ufunc);
        Py_DECREF(ufunc);
        if (failed) return -1;
    }
    return 0;
}

static int bfloat16 = NPY_NOTYPE; /* its type number, once ml_dtypes has made it */

static int register_bfloat16(PyObject *namespace, int type_number) {
    bfloat16 = type_number;
    for (int op = 0; op < OP_COUNT; op++) {
        PyObject *ufunc = PyDict_GetItemString(namespace, infos[op].name);
        int signature[3] = {type_number, type_number, type_number};
        if (!ufunc || PyUFunc_RegisterLoopForType((PyUFuncObject *)ufunc, type_number, functions[infos[op].nin - 1][0],
                                                  signature, &slots[op][DTYPE_bf16]) < 0)
            return -1;
    }
    return 0;
}

/* ---- the functions of api.py, with a straight way to the ufunc for what most calls are ---- */
static PyObject *ufunc_of[OP_COUNT], *general_of[OP_COUNT];
static size_t shared_sizes[DTYPE_COUNT];

/* From so many elements on the general function is asked; it alone knows of threads. */
static int is_small(PyArrayObject *x) {
    const int type = PyArray_TYPE(x);
    const int dtype = type == NPY_FLOAT ? DTYPE_f32 : type == NPY_DOUBLE ? DTYPE_f64 : type == NPY_HALF ? DTYPE_f16 : DTYPE_bf16;
    return (type < NPY_USERDEF || type == bfloat16) && (size_t)PyArray_SIZE(x) < shared_sizes[dtype];
}

/* What the general function would pass on unchanged: small NumPy arrays and scalars, on one thread, with at most an out. */
static int is_plain(PyObject *x, PyObject *keywords) {
    if (keywords && !(PyTuple_GET_SIZE(keywords) == 1 && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(keywords, 0), "out") == 0))
        return 0;
    if (PyArray_CheckExact(x)) return is_small((PyArrayObject *)x);
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
static int make_entries(PyObject *ufuncs, PyObject *functions_by_name) {
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

/* ---- one contiguous array shared among threads, by the loop of any ufunc of one input: ours, or one that Numba compiled ---- */
enum { LEAST_PIECE = 1 << 15, MOST_PIECE = 1 << 22, PIECES_EACH = 8, WHOLE = 1 << 12 };

static size_t whole(size_t elements) { return (elements + WHOLE - 1) / WHOLE * WHOLE; }

typedef struct {
    PyUFuncGenericFunction loop;
    void *data;
    fastsig_past_loop past; /* instead of loop, where the output as a whole is beyond the caches */
    char *x, *out;
    size_t size;
} sharing;

static void share_piece(void *context, int seat, size_t start, size_t stop) {
    (void)seat;
    const sharing *s = context;
    char *args[] = {s->x + start * s->size, s->out + start * s->size};
    const npy_intp count = (npy_intp)(stop - start), steps[] = {(npy_intp)s->size, (npy_intp)s->size};
    if (s->past)
        s->past(args, stop - start);
    else
        s->loop(args, &count, steps, s->data);
}

static int find_loop(PyUFuncObject *ufunc, int type, sharing *s) {
    for (int i = 0; i < ufunc->ntypes; i++) {
        if (ufunc->types[2 * i] != type || ufunc->types[2 * i + 1] != type) continue;
        s->loop = ufunc->functions[i];
        s->data = (void *)ufunc->data[i];
        return 1;
    }
    for (int op = 0; op < OP_COUNT && type == bfloat16; op++) {
        if (ufunc_of[op] != (PyObject *)ufunc) continue;
        s->loop = call_active;
        s->data = &slots[op][DTYPE_bf16];
        return 1;
    }
    return 0;
}

/* x and out have one type, size and layout, without gaps, and the caller keeps all three alive; 0, or -1 without such a loop */
int fastsig_share(void *ufunc, void *x, void *out, int threads) {
    const size_t n = (size_t)PyArray_SIZE((PyArrayObject *)x), bytes = (size_t)PyArray_NBYTES((PyArrayObject *)x);
    sharing s = {.x = PyArray_DATA((PyArrayObject *)x), .out = PyArray_DATA((PyArrayObject *)out), .size = n ? bytes / n : 1};
    PyUFuncObject *const u = ufunc;
    if (u->nin != 1 || u->nout != 1 || !find_loop(u, PyArray_TYPE((PyArrayObject *)x), &s)) return -1;
    if (s.loop == call_active && bytes >= fastsig_stream_threshold) {
        const slot *loop = s.data;
        s.past = fastsig_active->past[loop->op][loop->dtype];
    }
    size_t piece = bytes / ((size_t)threads * PIECES_EACH);
    piece = piece < LEAST_PIECE ? LEAST_PIECE : piece > MOST_PIECE ? MOST_PIECE : piece;
    fastsig_pool_run(share_piece, &s, n, whole(LEAST_PIECE / s.size), whole(piece / s.size), threads);
    return 0;
}

void fastsig_set_entry_sizes(const size_t *elements) { memcpy(shared_sizes, elements, sizeof shared_sizes); }

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

int fastsig_make_entries(void *namespace, void *functions_by_name) {
    PyGILState_STATE gil = PyGILState_Ensure();
    return reported(make_entries(namespace, functions_by_name), gil);
}
