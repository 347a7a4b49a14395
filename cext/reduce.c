/* The losses in one pass over blocks of 1,024 elements. Compiled once for each instruction set, like kernels.c. */
#include <stdbool.h>
#include <string.h>

#include "exact_sum.h"
#include "fastsig_constants.h"
#include "library.h"
#include "memory.h"
#include "reduce.h"

#define FORMULA static inline __attribute__((always_inline))
#define CAT_(a, b) a##_##b
#define CAT(a, b) CAT_(a, b)
#define FN(name) CAT(name, SFX)
#define K(name) CAT(name, SFX)

#include "formulas/f32.h"
#include "formulas/f64.h"
#include "formulas/half.h"

enum { BLOCK = 1024 };
#define IVDEP _Pragma("GCC ivdep")
#define LOOP(n) IVDEP for (size_t j = 0; j < (n); j++)

/* ---- the sum of a block by halving: i with i + 512, then 256, ... ---- */
static double block_sum_f32(const float *v, double *rest) {
    double h[BLOCK / 2];
    LOOP(BLOCK / 2) h[j] = (double)v[j] + (double)v[j + BLOCK / 2];
    for (size_t half = BLOCK / 4; half >= 8; half /= 2) LOOP(half) h[j] += h[j + half];
    *rest = 0;
    return ((h[0] + h[4]) + (h[2] + h[6])) + ((h[1] + h[5]) + (h[3] + h[7]));
}

/* the sum, and in `rest` the sum of all its rounding errors (TwoSum at each addition) */
static double block_sum_f64(const double *v, double *rest) {
    double h[BLOCK / 2], e[BLOCK / 2];
    for (size_t half = BLOCK / 2; half; half /= 2) {
        const double *from = half == BLOCK / 2 ? v : h;
        const bool first = half == BLOCK / 2;
        LOOP(half) {
            double a = from[j], b = from[j + half], s = a + b, t = s - a;
            double error = (a - (s - t)) + (b - t);
            e[j] = first ? error : error + (e[j] + e[j + half]);
            h[j] = s;
        }
    }
    *rest = e[0];
    return h[0];
}

/* ---- elements of any type and stride, as the computing type ---- */
#define CONVERT(code, T, value)                                        \
    case code:                                                         \
        if (stride == sizeof(T)) {                                     \
            LOOP(n) { T v; memcpy(&v, from + j * sizeof(T), sizeof v); to[j] = value; }    \
        } else {                                                       \
            LOOP(n) { T v; memcpy(&v, from + (ptrdiff_t)j * stride, sizeof v); to[j] = value; } \
        }                                                              \
        break;

#define SFX f32
#define R float
#define U uint32_t
#include "reduce_real.h"
#undef SFX
#undef R
#undef U

#define SFX f64
#define R double
#define U uint64_t
#include "reduce_real.h"

static int reduce(const fastsig_plan *p, const fastsig_numbers *k, int64_t start, int64_t stop, int64_t *sum) {
    const flags_t flags = flags_save();
    const int bad = (p->dtype == TYPE_F64 ? reduce_f64 : reduce_f32)(p, k, start, stop, sum);
#if defined(__SSE2__)
    if (p->stream) _mm_sfence();
#endif
    flags_restore(flags);
    return bad;
}

const fastsig_reducer CAT(fastsig_reduce, FASTSIG_ISA) = reduce;
