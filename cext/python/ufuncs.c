/* Real NumPy ufuncs over the library's loops, put into a Python dict by name. */
#define FASTSIG_IMPORTS_NUMPY
#include "ufuncs.h"

#include <pthread.h>

#include "pool.h"

#define SLOTS(op, inputs) [OP_##op] = {{OP_##op, DTYPE_f16}, {OP_##op, DTYPE_bf16}, {OP_##op, DTYPE_f32}, {OP_##op, DTYPE_f64}},
fastsig_slot fastsig_slots[OP_COUNT][DTYPE_COUNT] = {FASTSIG_OPS(SLOTS, SLOTS)};
PyObject *fastsig_ufuncs[OP_COUNT];
_Atomic int fastsig_bfloat16 = NPY_NOTYPE;

void fastsig_call_active(char **args, npy_intp const *dims, npy_intp const *steps, void *data) {
    const fastsig_slot *s = data;
    fastsig_active->loops[s->op][s->dtype](args, steps, (size_t)dims[0]);
}

/* reduce and accumulate read what the element before has written: a step for each, for the loops compute many elements at once */
static void call_active_of_two(char **args, npy_intp const *dims, npy_intp const *steps, void *data) {
    if (args[0] + steps[0] != args[2] || steps[0] != steps[2]) {
        fastsig_call_active(args, dims, steps, data);
        return;
    }
    for (npy_intp i = 0; i < dims[0]; i++) {
        char *const element[] = {args[0] + i * steps[0], args[1] + i * steps[1], args[2] + i * steps[2]};
        fastsig_call_active((char **)element, &(npy_intp){1}, steps, data);
    }
}

/* ---- bool and integers of one byte: they become halves, as for np.exp, and have so few values that each result is looked up ---- */
enum { SIGNED, UNSIGNED, BYTES = 256 };
static npy_half results[OP_COUNT][2][BYTES];

/* exact, for |value| <= 256 */
static npy_half half_of(int value) {
    if (!value) return 0;
    const int sign = value < 0 ? 0x8000 : 0;
    const int magnitude = value < 0 ? -value : value, exponent = 31 - __builtin_clz((unsigned)magnitude);
    return (npy_half)(sign | (exponent + 15) << 10 | (magnitude << (10 - exponent) & 0x3ff));
}

static void make_results(int op) {
    npy_half numbers[2][BYTES];
    for (int byte = 0; byte < BYTES; byte++) {
        numbers[SIGNED][byte] = half_of((npy_byte)byte);
        numbers[UNSIGNED][byte] = half_of(byte);
    }
    const npy_intp count = sizeof numbers / sizeof(npy_half), steps[] = {sizeof(npy_half), sizeof(npy_half)};
    fastsig_call_active((char *[]){(char *)numbers, (char *)results[op]}, &count, steps, &fastsig_slots[op][DTYPE_f16]);
}

#define EACH_BYTE(index)                                                        \
    const npy_half *const of = data;                                            \
    const npy_intp n = dims[0], step = steps[0], out_step = steps[1];           \
    const npy_ubyte *x = (const npy_ubyte *)args[0];                            \
    if (step == 1 && out_step == sizeof(npy_half)) {                            \
        npy_half *const out = (npy_half *)args[1];                              \
        for (npy_intp i = 0; i < n; i++) out[i] = of[index(x[i])];              \
    } else {                                                                    \
        char *out = args[1];                                                    \
        for (npy_intp i = 0; i < n; i++, x += step, out += out_step) *(npy_half *)out = of[index(*x)]; \
    }
#define ITSELF(byte) (byte)
#define TRUTH(byte) ((byte) != 0)

static void look_up_bytes(char **args, npy_intp const *dims, npy_intp const *steps, void *data) { EACH_BYTE(ITSELF) }
static void look_up_bools(char **args, npy_intp const *dims, npy_intp const *steps, void *data) { EACH_BYTE(TRUTH) }

/* ---- registration: the floats come first, for NumPy takes the first loop that a cast leads to, and a cast to a byte loses ---- */
enum { FLOATS = 3, REGISTERED = 6 };
#define FLOAT_LOOPS(loop) loop, loop, loop
static PyUFuncGenericFunction of_one[] = {FLOAT_LOOPS(fastsig_call_active), look_up_bools, look_up_bytes, look_up_bytes};
static PyUFuncGenericFunction of_two[] = {FLOAT_LOOPS(call_active_of_two)};
static void *data[OP_COUNT][REGISTERED];
static const char types_of_one[] = {NPY_HALF, NPY_HALF, NPY_FLOAT, NPY_FLOAT, NPY_DOUBLE, NPY_DOUBLE,
                                    NPY_BOOL, NPY_HALF, NPY_BYTE, NPY_HALF, NPY_UBYTE, NPY_HALF};
static const char types_of_two[] = {NPY_HALF, NPY_HALF, NPY_HALF, NPY_FLOAT, NPY_FLOAT, NPY_FLOAT, NPY_DOUBLE, NPY_DOUBLE, NPY_DOUBLE};

static const struct { const char *name, *doc; int nin; } infos[] = {
#define UNARY(op, inputs) {#op, #op "(" inputs "): see fastsig." #op, 1},
#define BINARY(op, inputs) {#op, #op "(" inputs "), elementwise", 2},
    FASTSIG_OPS(UNARY, BINARY)
};
#undef UNARY
#undef BINARY

static PyObject *make_ufunc(int op) {
    const bool one = infos[op].nin == 1;
    data[op][0] = &fastsig_slots[op][DTYPE_f16];
    data[op][1] = &fastsig_slots[op][DTYPE_f32];
    data[op][2] = &fastsig_slots[op][DTYPE_f64];
    if (one) {
        make_results(op);
        data[op][FLOATS] = data[op][FLOATS + 2] = results[op][UNSIGNED];
        data[op][FLOATS + 1] = results[op][SIGNED];
    }
    return PyUFunc_FromFuncAndData(one ? of_one : of_two, data[op], one ? types_of_one : types_of_two, one ? REGISTERED : FLOATS,
                                   infos[op].nin, 1, PyUFunc_None, infos[op].name, infos[op].doc, 0);
}

static int install(PyObject *namespace) {
    if (PyArray_ImportNumPyAPI() < 0 || PyUFunc_ImportUFuncAPI() < 0) return -1;
    for (int op = 0; op < OP_COUNT; op++) {
        fastsig_ufuncs[op] = make_ufunc(op);
        if (!fastsig_ufuncs[op] || PyDict_SetItemString(namespace, infos[op].name, fastsig_ufuncs[op])) return -1;
    }
    return 0;
}

static int register_bfloat16(int type_number) {
    for (int op = 0; op < OP_COUNT; op++) {
        int signature[3] = {type_number, type_number, type_number};
        if (PyUFunc_RegisterLoopForType((PyUFuncObject *)fastsig_ufuncs[op], type_number, infos[op].nin == 1 ? of_one[0] : of_two[0],
                                        signature, &fastsig_slots[op][DTYPE_bf16]) < 0)
            return -1;
    }
    fastsig_bfloat16 = type_number;
    return 0;
}

/* ---- functions of the files beside this one ---- */

/* Python runs handlers of signals in its main thread alone: another one would wait for the GIL in vain, and where the interpreter ends
 * meanwhile it would be ended in the middle of its job. A forked child's main thread is the one that forked. */
static unsigned long main_thread;

static void remember_main_thread(void) { main_thread = PyThread_get_thread_ident(); }

static int find_main_thread(void) {
    PyObject *threading = PyImport_ImportModule("threading"), *thread = NULL, *ident = NULL;
    if (threading) thread = PyObject_CallMethod(threading, "main_thread", NULL);
    if (thread) ident = PyObject_GetAttrString(thread, "ident");
    if (ident) main_thread = PyLong_AsUnsignedLong(ident);
    Py_XDECREF(threading);
    Py_XDECREF(thread);
    Py_XDECREF(ident);
    return ident && !PyErr_Occurred() ? pthread_atfork(NULL, NULL, remember_main_thread) : -1;
}

/* Handlers of signals run here as they would between two lines of Python. */
static bool handler_has_raised(void) {
    if (PyThread_get_thread_ident() != main_thread) return false;
    PyGILState_STATE gil = PyGILState_Ensure();
    const bool raised = PyErr_CheckSignals() < 0;
    PyGILState_Release(gil);
    return raised;
}

static int install_functions(PyObject *namespace) {
    PyMethodDef *const tables[] = {fastsig_sharing_methods, fastsig_layout_methods, fastsig_loss_methods, fastsig_fused_methods, fastsig_gpu_methods};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (PyMethodDef *method = tables[i]; method->ml_name; method++) {
            PyObject *function = PyCFunction_New(method, NULL);
            const int failed = !function || PyDict_SetItemString(namespace, method->ml_name, function);
            Py_XDECREF(function);
            if (failed) return -1;
        }
    if (find_main_thread()) return -1;
    fastsig_pool_ask(handler_has_raised);
    return 0;
}

int fastsig_reported(int failed, PyGILState_STATE gil) {
    if (failed) PyErr_Print();
    PyGILState_Release(gil);
    return failed;
}

int fastsig_install_ufuncs(void *namespace) {
    PyGILState_STATE gil = PyGILState_Ensure();
    return fastsig_reported(install(namespace), gil);
}

int fastsig_install_functions(void *namespace) {
    PyGILState_STATE gil = PyGILState_Ensure();
    return fastsig_reported(install_functions(namespace), gil);
}

int fastsig_register_bfloat16(int type_number) {
    PyGILState_STATE gil = PyGILState_Ensure();
    return fastsig_reported(register_bfloat16(type_number), gil);
}
