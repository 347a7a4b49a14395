/* Whether two arrays have memory in common, judged by the bounds of what each reaches. Include after ufuncs.h. */
#ifndef FASTSIG_OVERLAP_H
#define FASTSIG_OVERLAP_H

static inline void bounds(PyArrayObject *a, const char **from, const char **to) {
    *from = PyArray_DATA(a);
    *to = *from + PyArray_ITEMSIZE(a);
    for (int d = 0; d < PyArray_NDIM(a); d++) {
        const npy_intp reach = (PyArray_DIM(a, d) - 1) * PyArray_STRIDE(a, d);
        *(reach < 0 ? from : to) += reach;
    }
}

static inline bool apart(PyArrayObject *a, PyArrayObject *b) {
    const char *a_from, *a_to, *b_from, *b_to;
    bounds(a, &a_from, &a_to);
    bounds(b, &b_from, &b_to);
    return a_to <= b_from || b_to <= a_from;
}
#endif
