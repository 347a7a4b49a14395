/* The loops of the correctly rounded functions: float32 in and out, computed in float64. Compiled once for each instruction set.
 *
 * A block at a time goes through the cache in two loops: the first widens and begins, the second ends and narrows. The processor waits
 * less for what such a loop needs than for all of it in a row. */
#include <stdbool.h>
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

typedef void (*blocks_fn)(const float *x, float *out, size_t count);

/* x_near is so small that the comparison of patterns is that of magnitudes */
static bool any_near(const float *x) {
    const float x_near = K(x_near);
    uint32_t least = UINT32_MAX, limit;
    memcpy(&limit, &x_near, sizeof limit);
    EACH for (int i = 0; i < BLOCK; i++) {
        uint32_t magnitude;
        memcpy(&magnitude, x + i, sizeof magnitude);
        magnitude &= 0x7fffffff;
        least = magnitude < least ? magnitude : least;
    }
    return least < limit;
}

/* While the divisions of one block go on, the next is begun. The last one's next is itself, begun in vain. */
#define PIPELINED(REST)                                                           \
    EACH for (int i = 0; i < BLOCK; i++) {                                        \
        const FN(parts) e = FN(exp_neg)(FN(within_range)(x[i]));                  \
        r_next[i] = e.r, s_next[i] = e.s;                                         \
        out[i] = (float)REST(r_here[i], s_here[i]);                               \
    }
static void sigmoid_blocks(const float *x, float *out, size_t count) {
    _Alignas(LINE) double r[2][BLOCK], s[2][BLOCK];
    bool near = any_near(x);
    for (int i = 0; i < BLOCK; i++) {
        const FN(parts) e = FN(exp_neg)(FN(within_range)(x[i]));
        r[0][i] = e.r, s[0][i] = e.s;
    }
    for (size_t b = 0; b < count; b++, out += BLOCK) {
        const double *const r_here = r[b % 2], *const s_here = s[b % 2];
        double *const r_next = r[(b + 1) % 2], *const s_next = s[(b + 1) % 2];
        if (b + 1 < count) x += BLOCK;
        const bool near_here = near;
        near = any_near(x);
        if (near_here) PIPELINED(FN(sigmoid_of))
        else PIPELINED(FN(sigmoid_afar))
    }
}

/* op: what is left after the reduction of ARGUMENT(x) */
#define REDUCED(op, ARGUMENT, REST)                                                 \
    static void op##_blocks(const float *x, float *out, size_t count) {             \
        for (size_t b = 0; b < count; b++, x += BLOCK, out += BLOCK) {              \
            _Alignas(LINE) double r[BLOCK], s[BLOCK];                               \
            EACH for (int i = 0; i < BLOCK; i++) {                                  \
                const FN(parts) e = FN(exp_neg)(FN(within_range)(ARGUMENT((R)x[i]))); \
                r[i] = e.r, s[i] = e.s;                                             \
            }                                                                       \
            EACH for (int i = 0; i < BLOCK; i++) out[i] = (float)(REST);            \
        }                                                                           \
    }
#define AS_IT_IS(x) (x)
#define TWICE(x) add(x, x)
REDUCED(sigmoid_grad, AS_IT_IS, FN(sigmoid_grad_of)(r[i], s[i]))
REDUCED(silu, AS_IT_IS, FN(silu_of)(r[i], s[i], x[i]))
REDUCED(tanh, TWICE, FN(tanh_of)(r[i], s[i], x[i]))

/* SIGN: of the argument and of the result */
#define LOGARITHM(op, SIGN)                                                                                     \
    static void op##_blocks(const float *x, float *out, size_t count) {                                         \
        for (size_t b = 0; b < count; b++, x += BLOCK, out += BLOCK) {                                          \
            _Alignas(LINE) double r[BLOCK], s[BLOCK];                                                           \
            EACH for (int i = 0; i < BLOCK; i++) {                                                              \
                const FN(parts) e = FN(exp_neg)(FN(within_range)(absolute((R)x[i])));                           \
                r[i] = e.r, s[i] = e.s;                                                                         \
            }                                                                                                   \
            EACH for (int i = 0; i < BLOCK; i++) r[i] = FN(softplus_ratio)(r[i], s[i], x[i]);                   \
            EACH for (int i = 0; i < BLOCK; i++) out[i] = (float)SIGN(FN(softplus_of)(r[i], SIGN((R)x[i])));    \
        }                                                                                                       \
    }
LOGARITHM(softplus, AS_IT_IS)
LOGARITHM(log_sigmoid, neg)

static void logit_blocks(const float *x, float *out, size_t count) {
    for (size_t b = 0; b < count; b++, x += BLOCK, out += BLOCK) {
        _Alignas(LINE) double q[BLOCK], n[BLOCK];
        EACH for (int i = 0; i < BLOCK; i++) {
            const FN(ratio) f = FN(odds)(x[i]);
            q[i] = f.q, n[i] = f.n;
        }
        EACH for (int i = 0; i < BLOCK; i++) out[i] = (float)FN(logit_of)(q[i], n[i], x[i]);
    }
}

static void copy(char *to, ptrdiff_t to_step, const char *from, ptrdiff_t from_step, size_t n) {
    for (ptrdiff_t i = 0; i < (ptrdiff_t)n; i++) memcpy(to + i * to_step, from + i * from_step, STEP);
}

/* Blocks that lie side by side are computed in their place, others and the last elements in a copy. */
static void drive(blocks_fn compute, char *const *args, const ptrdiff_t *steps, size_t n) {
    const environment callers = environment_enter();
    size_t i = 0;
    if (steps[0] == STEP && steps[1] == STEP && n >= BLOCK) {
        compute((const float *)args[0], (float *)args[1], n / BLOCK);
        i = n / BLOCK * BLOCK;
    }
    _Alignas(LINE) float near[BLOCK];
    if (i < n) memset(near, 0, sizeof near);
    for (size_t take; i < n; i += take) {
        take = n - i < BLOCK ? n - i : BLOCK;
        copy((char *)near, STEP, args[0] + (ptrdiff_t)i * steps[0], steps[0], take);
        compute(near, near, 1);
        copy(args[1] + (ptrdiff_t)i * steps[1], steps[1], (const char *)near, STEP, take);
    }
    environment_leave(callers);
}

#define LOOP(op) \
    static void op##_loop(char *const *args, const ptrdiff_t *steps, size_t n) { drive(op##_blocks, args, steps, n); }
FASTSIG_ROUNDED(LOOP)

#define ENTRY(op) [ROUNDED_##op] = op##_loop,
const fastsig_loop CAT(fastsig_rounded, FASTSIG_ISA)[ROUNDED_COUNT] = {FASTSIG_ROUNDED(ENTRY)};
