/* Launches on an NVIDIA GPU, for fastsig.kernels.cuda.launch: the driver is called as it is, and found when the first one comes. */
#define PY_SSIZE_T_CLEAN
#include "ufuncs.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <stdlib.h>

enum { MOST_ARGUMENTS = 160 };

typedef struct {
    int (*launch)(void *, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, unsigned, void *, void **, void **);
    int (*clear)(uint64_t, unsigned char, size_t, void *);
    int (*current)(int *);
    int (*name_of)(int, const char **);
} Driver;

/* NULL with an exception where there is none. Threads that look for it at once find the same; the first one's is kept. */
static const Driver *find_driver(void) {
    static _Atomic(Driver *) found;
    Driver *driver = atomic_load_explicit(&found, memory_order_acquire), *none = NULL;
    if (driver) return driver;
    void *const library = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
    if (!(driver = calloc(1, sizeof *driver))) return (const Driver *)PyErr_NoMemory();
    if (library) {
        *(void **)&driver->launch = dlsym(library, "cuLaunchKernel");
        *(void **)&driver->clear = dlsym(library, "cuMemsetD8Async");
        *(void **)&driver->current = dlsym(library, "cuCtxGetDevice");
        *(void **)&driver->name_of = dlsym(library, "cuGetErrorName");
    }
    if (!driver->launch || !driver->clear || !driver->current || !driver->name_of) {
        free(driver);
        PyErr_SetString(PyExc_RuntimeError, "NVIDIA's driver (libcuda.so.1) cannot be loaded, or lacks functions that are needed");
        return NULL;
    }
    if (atomic_compare_exchange_strong(&found, &none, driver)) return driver;
    free(driver);
    return none;
}

static PyObject *refused(const Driver *driver, int error) {
    const char *name = NULL;
    driver->name_of(error, &name);
    return PyErr_Format(PyExc_RuntimeError, "the CUDA driver said %s", name ? name : "an unknown error");
}

static bool is_current(const Driver *driver, long device) {
    int current;
    return driver->current(&current) == 0 && current == device;
}

/* gpu_launch(kernel, device, stream, blocks, threads, arguments): False where another device is the current one, and nothing is done */
static PyObject *gpu_launch(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    (void)self;
    if (count != 6 || !PyTuple_Check(args[5])) return PyErr_Format(PyExc_TypeError, "gpu_launch takes five integers and a tuple");
    const Py_ssize_t n = PyTuple_Size(args[5]);
    if (n > MOST_ARGUMENTS) return PyErr_Format(PyExc_ValueError, "gpu_launch: %zd arguments; a kernel has at most %d", n, MOST_ARGUMENTS);
    void *const kernel = PyLong_AsVoidPtr(args[0]), *const stream = PyLong_AsVoidPtr(args[2]);
    const long device = PyLong_AsLong(args[1]), blocks = PyLong_AsLong(args[3]), threads = PyLong_AsLong(args[4]);
    if (PyErr_Occurred()) return NULL;
    union { long long whole; double real; } values[MOST_ARGUMENTS];
    void *pointers[MOST_ARGUMENTS];
    for (Py_ssize_t i = 0; i < n; i++) {
        PyObject *const value = PyTuple_GetItem(args[5], i);
        if (PyFloat_Check(value)) values[i].real = PyFloat_AsDouble(value);
        else values[i].whole = PyLong_AsLongLong(value);
        pointers[i] = &values[i];
    }
    const Driver *const driver = PyErr_Occurred() ? NULL : find_driver();
    if (!driver) return NULL;
    if (!is_current(driver, device)) Py_RETURN_FALSE;
    int error;
    Py_BEGIN_ALLOW_THREADS; /* the driver waits where a thousand launches are queued already */
    error = driver->launch(kernel, (unsigned)blocks, 1, 1, (unsigned)threads, 1, 1, 0, stream, pointers, NULL);
    Py_END_ALLOW_THREADS;
    if (error) return refused(driver, error);
    Py_RETURN_TRUE;
}

/* gpu_clear(address, bytes, device, stream), likewise */
static PyObject *gpu_clear(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    (void)self;
    if (count != 4) return PyErr_Format(PyExc_TypeError, "gpu_clear takes four integers");
    const uint64_t address = PyLong_AsUnsignedLongLong(args[0]);
    const size_t bytes = PyLong_AsSize_t(args[1]);
    const long device = PyLong_AsLong(args[2]);
    void *const stream = PyLong_AsVoidPtr(args[3]);
    const Driver *const driver = PyErr_Occurred() ? NULL : find_driver();
    if (!driver) return NULL;
    if (!is_current(driver, device)) Py_RETURN_FALSE;
    int error;
    Py_BEGIN_ALLOW_THREADS;
    error = driver->clear(address, 0, bytes, stream);
    Py_END_ALLOW_THREADS;
    if (error) return refused(driver, error);
    Py_RETURN_TRUE;
}

PyMethodDef fastsig_gpu_methods[] = {
    {"gpu_launch", (PyCFunction)(void (*)(void))gpu_launch, METH_FASTCALL, "see fastsig.kernels.c.library"},
    {"gpu_clear", (PyCFunction)(void (*)(void))gpu_clear, METH_FASTCALL, "see fastsig.kernels.c.library"},
    {NULL, NULL, 0, NULL},
};
