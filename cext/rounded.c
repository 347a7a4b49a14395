/* The loops of the correctly rounded functions: float32 in and out, computed in float64. Compiled once for each instruction set.
 *
 * A block at a time goes through the cache in two loops: the first widens and begins, the second ends and narrows. The processor waits
 * less for the results of one than for those of both in a row. */
#include <string.h>

#include "environment.h"
#include "fastsig_constants.h"
#include "library.h"
#include "memory.h"

#define FORMULA static inline __attribute__((always_inline))
#define CAT_(a, b) a##_##b
#define CAT(a, b) CAT_(a, b)
#define FN(name) CAT(name, SFX)
#define K(name) CAT(name, SFX)

/* Of a number that it has to load GCC makes the minimum and the maximum; with one that it knows it compares, and chooses. */
#undef x_max_rounded
#define x_max_rounded fastsig_x_max

#define SFX rounded
#define R double
#define I int64_t
#define U uint64_t
#include "formulas/prims.h"
#include "formulas/rounded.h"

enum { BLOCK = 256, STEP = sizeof(float) };
#define EACH _Pragma("GCC ivdep") _Pragma("GCC unroll 1")

typedef void (*block_fn)(const float *x, float *out);

static void sigmoid_block(const float *x, float *out) {
    _Alignas(LINE) double r[BLOCK], s[BLOCK];
    EACH for (int i = 0; i < BLOCK; i++) {
        const FN(parts) e = FN(exp_neg)(FN(within_range)(x[i]));
        r[i] = e.r, s[i] = e.s;
    }
    EACH for (int i = 0; i < BLOCK; i++) out[i] = (float)FN(sigmoid_of)(r[i], s[i]);
}

#define BLOCK_OF(op)                                                        \
    static void op##_block(const float *x, float *out) {                    \
        _Alignas(LINE) double wide[BLOCK];                                  \
        EACH for (int i = 0; i < BLOCK; i++) wide[i] = x[i];                \
        EACH for (int i = 0; i < BLOCK; i++) out[i] = (float)FN(op)(wide[i]); \
    }
BLOCK_OF(sigmoid_grad)
BLOCK_OF(log_sigmoid)
BLOCK_OF(softplus)
BLOCK_OF(logit)
BLOCK_OF(silu)
BLOCK_OF(tanh)

static void copy(char *to, ptrdiff_t to_step, const char *from, ptrdiff_t from_step, size_t n) {
    for (ptrdiff_t i = 0; i < (ptrdiff_t)n; i++) memcpy(to + i * to_step, from + i * from_step, STEP);
}

/* Blocks that lie side by side are computed in their place, others and the last elements in a copy. */
static void drive(block_fn block, char *const *args, const ptrdiff_t *steps, size_t n) {
    const environment callers = environment_enter();
    _Alignas(LINE) float near[BLOCK];
    memset(near, 0, sizeof near);
    for (size_t i = 0, take; i < n; i += take) {
        const char *const x = args[0] + (ptrdiff_t)i * steps[0];
        char *const out = args[1] + (ptrdiff_t)i * steps[1];
        take = n - i < BLOCK ? n - i : BLOCK;
        const int x_here = take == BLOCK && steps[0] == STEP, out_here = take == BLOCK && steps[1] == STEP;
        if (!x_here) copy((char *)near, STEP, x, steps[0], take);
        block(x_here ? (const float *)x : near, out_here ? (float *)out : near);
        if (!out_here) copy(out, steps[1], (const char *)near, STEP, take);
    }
    environment_leave(callers);
}

#define LOOP(op) \
    static void op##_loop(char *const *args, const ptrdiff_t *steps, size_t n) { drive(op##_block, args, steps, n); }
FASTSIG_ROUNDED(LOOP)

#define ENTRY(op) [ROUNDED_##op] = op##_loop,
const fastsig_loop CAT(fastsig_rounded, FASTSIG_ISA)[ROUNDED_COUNT] = {FASTSIG_ROUNDED(ENTRY)};
