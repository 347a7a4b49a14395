/* Whether the float32 quotients of the CUDA kernels that have no guard are those of a division, for every argument that they are used with:
 * gcc -O3 -march=native -ffp-contract=off -fopenmp -Icext -IGENERATED tools/quotients.c, where GENERATED is the build's folder of that name.
 *
 * The hardware's reciprocal may be an ULP off; quotients are computed from three of them. Prints how many differ; half a minute. */
#include <stdint.h>
#include <stdio.h>

#define CONSTANT_ELSEWHERE(type, name, value) static const type name = value;
#include "fastsig_constants.h"

#define FORMULA static inline __attribute__((always_inline))
#define CAT_(a, b) a##_##b
#define CAT(a, b) CAT_(a, b)
#define FN(name) CAT(name, SFX)
#define K(name) CAT(name, f32)
#define R float
#define I int32_t
#define U uint32_t

#define SFX right
#include "formulas/prims.h"
#include "formulas/core.h"
#include "formulas/logistic.h"
#undef SFX

/* as fastsig/kernels/cuda/tracing.py has it */
FORMULA float quotient(float n, float d, int error) {
    const float rough = real_of_right(bits_of_right(1 / d) + error);
    const float r = __builtin_fmaf(rough, __builtin_fmaf(-d, rough, 1), rough), q = n * r;
    return __builtin_fmaf(__builtin_fmaf(-d, q, n), r, q);
}

#define SFX low
#include "formulas/prims.h"
#undef div
#define div(a, b) quotient(a, b, -1)
#include "formulas/core.h"
#include "formulas/logistic.h"
#undef SFX

#define SFX near
#include "formulas/prims.h"
#undef div
#define div(a, b) quotient(a, b, 0)
#include "formulas/core.h"
#include "formulas/logistic.h"
#undef SFX

#define SFX high
#include "formulas/prims.h"
#undef div
#define div(a, b) quotient(a, b, 1)
#include "formulas/core.h"
#include "formulas/logistic.h"
#undef SFX

static int differ(float a, float b) { return bits_of_right(a) != bits_of_right(b); }

int main(void) {
    long silus = 0;
    const uint32_t last = (uint32_t)bits_of_right(K(a_max)) + 1; /* behind it every magnitude is taken for a_max */
#pragma omp parallel for reduction(+ : silus)
    for (uint32_t u = 0; u <= last; u++) {
        const float x = real_of_right((int32_t)u), silu = silu_right(x), other = silu_right(-x);
        silus += differ(silu, silu_low(x)) + differ(silu, silu_near(x)) + differ(silu, silu_high(x));
        silus += differ(other, silu_low(-x)) + differ(other, silu_near(-x)) + differ(other, silu_high(-x));
    }
    printf("silu %ld\n", silus);
    return silus != 0;
}
