/* fastsig: the C ABI.
 *
 * For every operation OP of fastsig_ops.h (sigmoid, sigmoid_grad, log_sigmoid, softplus, logit, silu, silu_grad, tanh, tanh_grad of
 * one input; bce_with_logits, bce_with_logits_grad of x and t, bce, bce_grad of p and t) and every type SFX
 *
 *     f32   float       f64   double
 *     f16   uint16_t holding IEEE binary16      bf16   uint16_t holding bfloat16
 *
 * there are two functions,
 *
 *     void fastsig_OP_SFX(const T *x, T *out, size_t n);
 *     void fastsig_OP_SFX_strided(const T *x, ptrdiff_t x_step, T *out, ptrdiff_t out_step, size_t n);
 *
 * with `const T *y` (and `ptrdiff_t y_step`) after x where the operation has two inputs. Steps are in bytes and may be
 * negative or, for inputs, zero. Every element must be aligned for its type. `out` may be the same array as an input; any other
 * overlap is undefined. No function allocates, fails, sets errno or leaves a floating-point exception flag behind; all may be
 * called from any number of threads at once. Results do not depend on n, steps, alignment, instruction set, or the thread's
 * floating-point environment (rounding mode, flush to zero), which is as before afterwards. Accuracy and limits: docs/accuracy.md.
 */
#ifndef FASTSIG_H
#define FASTSIG_H
#include <stddef.h>
#include <stdint.h>

#include "fastsig_ops.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The number in the library's file name: what was compiled against it runs with every library of that number. */
#define FASTSIG_ABI_VERSION 0
/* The same number, of the library that was loaded. */
int fastsig_abi_version(void);
/* As fastsig.__version__ in Python: MAJOR.MINOR.PATCH. */
const char *fastsig_version(void);

/* The instruction set in use: "baseline", "v3" (AVX2, FMA) or "v4" (AVX-512). The best one is chosen when the library loads. */
const char *fastsig_isa(void);
int fastsig_isa_available(const char *name);
/* 0, or -1 when this machine or this build has none of that name. For tests: results never depend on it. */
int fastsig_set_isa(const char *name);

/* Outputs of at least this many bytes are written past the caches. Default: half of the last-level cache,
 * at most 24 MiB. */
size_t fastsig_stream_bytes(void);
void fastsig_set_stream_bytes(size_t bytes);

#define FASTSIG_UNARY_(op, T, sfx)                           \
    void fastsig_##op##_##sfx(const T *x, T *out, size_t n); \
    void fastsig_##op##_##sfx##_strided(const T *x, ptrdiff_t x_step, T *out, ptrdiff_t out_step, size_t n);
#define FASTSIG_BINARY_(op, T, sfx)                                      \
    void fastsig_##op##_##sfx(const T *x, const T *y, T *out, size_t n); \
    void fastsig_##op##_##sfx##_strided(const T *x, ptrdiff_t x_step, const T *y, ptrdiff_t y_step, T *out, ptrdiff_t out_step, size_t n);
#define FASTSIG_EACH_(AS, op) AS(op, uint16_t, f16) AS(op, uint16_t, bf16) AS(op, float, f32) AS(op, double, f64)
#define FASTSIG_UNARY(op, inputs) FASTSIG_EACH_(FASTSIG_UNARY_, op)
#define FASTSIG_BINARY(op, inputs) FASTSIG_EACH_(FASTSIG_BINARY_, op)
FASTSIG_OPS(FASTSIG_UNARY, FASTSIG_BINARY)

#ifdef __cplusplus
}
#endif
#endif
