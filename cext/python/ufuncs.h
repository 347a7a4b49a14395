/* What the files beside this one share: the ufuncs, and the loops that NumPy calls. */
#ifndef FASTSIG_UFUNCS_H
#define FASTSIG_UFUNCS_H
#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#include <Python.h>
#ifdef Py_LIMITED_API /* what looks into an object; the stable ABI has a function for each */
#define PyTuple_GET_SIZE PyTuple_Size
#define PyTuple_GET_ITEM PyTuple_GetItem
#define PyList_GET_SIZE PyList_Size
#define PyList_GET_ITEM PyList_GetItem
#define PyFloat_AS_DOUBLE PyFloat_AsDouble
#endif

/* Without the GIL another thread may change a list while this one reads it: an item is held for as long, or the whole list is. */
#ifdef Py_GIL_DISABLED
#define HELD_ITEM(list, i) PyList_GetItemRef(list, i) /* NULL with an exception where the list has become shorter */
#define LET_GO(item) Py_DECREF(item)
#else
#define HELD_ITEM(list, i) PyList_GET_ITEM(list, i)
#define LET_GO(item) ((void)(item))
#endif
#ifndef Py_BEGIN_CRITICAL_SECTION /* before 3.13, and in the stable ABI */
#define Py_BEGIN_CRITICAL_SECTION(object) {
#define Py_END_CRITICAL_SECTION() }
#endif

#define PY_ARRAY_UNIQUE_SYMBOL fastsig_array_api
#define PY_UFUNC_UNIQUE_SYMBOL fastsig_ufunc_api
#ifndef FASTSIG_IMPORTS_NUMPY /* ufuncs.c does, for all */
#define NO_IMPORT_ARRAY
#define NO_IMPORT_UFUNC
#endif
#include <numpy/arrayobject.h>
#include <numpy/ufuncobject.h>
#include <stdbool.h>

#include "library.h"

/* which loop a ufunc's loop is: NumPy hands the address of one of these back at each call */
typedef struct { int op, dtype; } fastsig_slot;

extern fastsig_slot fastsig_slots[OP_COUNT][DTYPE_COUNT];
extern PyObject *fastsig_ufuncs[OP_COUNT];
extern _Atomic int fastsig_bfloat16; /* its type number, once ml_dtypes has made it and the ufuncs have its loops; NPY_NOTYPE before */

int fastsig_reported(int failed, PyGILState_STATE gil); /* gives the GIL back */
void fastsig_call_active(char **args, npy_intp const *dims, npy_intp const *steps, void *data);

/* what cffi declares too: it calls without the GIL; an error is printed, and -1 returned */
int fastsig_install_ufuncs(void *namespace);
int fastsig_register_bfloat16(int type_number);
int fastsig_install_rounded(void *namespace);
int fastsig_register_rounded_bfloat16(int type_number);
int fastsig_make_fast_calls(void *functions_by_name, int straight);
void fastsig_set_fast_call_sizes(const size_t *elements);
int fastsig_install_functions(void *namespace);

/* How a call that threads share ends: not at all where the arrays or the loop are not so plain; before its end where a signal's handler
 * has raised an exception. */
enum { SHARE_DONE, SHARE_UNFIT, SHARE_STOPPED };
int fastsig_share_masked(PyUFuncObject *ufunc, PyArrayObject *x, PyArrayObject *out, PyArrayObject *mask, int threads);

/* The loop for these types of a ufunc of one input. */
bool fastsig_find_loop(PyUFuncObject *ufunc, int type, int out_type, PyUFuncGenericFunction *loop, void **data);

/* Whether arrays may be such as layouts.c computes sooner than NumPy's iterator; out may be NULL. */
static inline bool fastsig_is_awkward(PyArrayObject *x, PyArrayObject *out) {
    if (!PyArray_ISBEHAVED_RO(x)) return true;
    if (!out) return false;
    const int both = PyArray_FLAGS(x) & PyArray_FLAGS(out);
    return !(both & NPY_ARRAY_ALIGNED) || !PyArray_ISNOTSWAPPED(out) || !(both & (NPY_ARRAY_C_CONTIGUOUS | NPY_ARRAY_F_CONTIGUOUS));
}
/* The output, for exact arrays; NULL where they are not such, or with the exception that a signal's handler raised. */
PyObject *fastsig_compute_awkward(PyUFuncObject *ufunc, PyArrayObject *x, PyArrayObject *out);

extern PyMethodDef fastsig_sharing_methods[], fastsig_layout_methods[], fastsig_loss_methods[], fastsig_fused_methods[], fastsig_gpu_methods[];
#endif
