/* The gates: operations of several inputs and outputs in one pass. Compiled once for each instruction set, like kernels.c. */
#include "fused.h"

#include <stdbool.h>
#include <stddef.h>
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

#include "formulas/f32.h"
#include "formulas/f64.h"
#include "formulas/half.h"

#define LOOP(n) _Pragma("GCC ivdep") for (size_t j = 0; j < (n); j++)

/* bytes of each operand that are looked at before they are computed with: all stay in the first cache */
enum { BLOCK = 2048 };
/* More operands than the first cache has ways may all lie at one place of their pages, and would throw each other out. Their results
 * are computed in smaller blocks aside, and copied. */
enum { WAYS = 8, ASIDE = 512 };

/* of one operation, over the first n elements of a row, whole lines of them; at: the inputs, then the outputs */
typedef struct {
    bool (*all_near)(char *const *at, size_t n);
    void (*near)(char *const *at, size_t n), (*any)(char *const *at, size_t n);
} fused_loops;

#define SFX f32
#define R float
#define I int32_t
#define U uint32_t
#include "formulas/gates.h"
#include "fused_real.h"
#undef SFX
#undef R
#undef I
#undef U

#define SFX f64
#define R double
#define I int64_t
#define U uint64_t
#include "formulas/gates.h"
#include "fused_real.h"

#define COUNTS(op, nin, nout, arguments, looks, verdict, is_near, near_stores, any_stores) [FUSED_##op] = {nin, nout},
static const struct { int nin, nout; } operands[FUSED_COUNT] = {FASTSIG_FUSED(COUNTS)};

static void block(const fused_loops *loops, char *const *at, size_t n) { (loops->all_near(at, n) ? loops->near : loops->any)(at, n); }

/* ---- halves: widened, computed in float and rounded, a block at a time; AT_ONCE is what half.h converts at once ---- */
enum { HALVES = 128, AT_ONCE = 32 };

static void widen(float *to, const char *from, size_t n, bool bfloat16) {
    uint16_t padded[HALVES];
    const size_t whole = (n + AT_ONCE - 1) / AT_ONCE * AT_ONCE;
    const uint16_t *halves = (const uint16_t *)from;
    if (whole != n) {
        memset(padded, 0, sizeof padded);
        halves = memcpy(padded, from, n * sizeof *padded);
    }
    if (bfloat16) widen_bf16(to, halves, whole);
    else widen_f16(to, halves, whole);
}

static void narrow(char *to, const float *from, size_t n, bool bfloat16) {
    uint16_t halves[HALVES];
    const size_t whole = (n + AT_ONCE - 1) / AT_ONCE * AT_ONCE;
    if (bfloat16) narrow_bf16(halves, from, whole);
    else narrow_f16(halves, from, whole);
    memcpy(to, halves, n * sizeof *halves);
}

static void halves_row(int op, char *const *at, size_t n, bool bfloat16) {
    _Alignas(LINE) float blocks[FUSED_MOST][HALVES];
    char *buffers[FUSED_MOST];
    const int nin = operands[op].nin, all = nin + operands[op].nout;
    for (int k = 0; k < all; k++) buffers[k] = (char *)blocks[k];
    for (size_t i = 0, take; i < n; i += take) {
        take = n - i < HALVES ? n - i : HALVES;
        const size_t whole = (take + AT_ONCE - 1) / AT_ONCE * AT_ONCE;
        for (int k = 0; k < nin; k++) widen(blocks[k], at[k] + i * sizeof(uint16_t), take, bfloat16);
        block(&loops_f32[op], buffers, whole);
        for (int k = nin; k < all; k++) narrow(at[k] + i * sizeof(uint16_t), blocks[k], take, bfloat16);
    }
}

/* ---- a row of floats or doubles: whole lines in place, then one more over a padded copy of the rest ---- */
static void reals_row(int op, char *const *at, size_t n, size_t size) {
    const fused_loops *const loops = size == sizeof(float) ? &loops_f32[op] : &loops_f64[op];
    const int nin = operands[op].nin, all = nin + operands[op].nout;
    const size_t whole = n * size / LINE * LINE, rest = n * size - whole;
    _Alignas(LINE) char results[FUSED_MOST][ASIDE];
    const int direct = all > WAYS ? nin : all; /* operands that are used where they lie */
    const size_t most = all > WAYS ? ASIDE : BLOCK;
    for (size_t done = 0, take; done < whole; done += take) {
        take = whole - done < most ? whole - done : most;
        char *part[FUSED_MOST];
        for (int k = 0; k < all; k++) part[k] = k < direct ? at[k] + done : results[k];
        block(loops, part, take / size);
        for (int k = direct; k < all; k++) memcpy(at[k] + done, results[k], take);
    }
    if (!rest) return;
    _Alignas(LINE) char lines[FUSED_MOST][LINE];
    char *padded[FUSED_MOST];
    for (int k = 0; k < all; k++) padded[k] = lines[k];
    for (int k = 0; k < nin; k++) load_rest(lines[k], at[k] + whole, rest);
    block(loops, padded, LINE / size);
    for (int k = nin; k < all; k++) store_rest(at[k] + whole, lines[k], rest);
}

static void run(const fastsig_rows *rows, int64_t start, int64_t stop) {
    const environment callers = environment_enter();
    const int op = (int)rows->op, all = operands[op].nin + operands[op].nout;
    const int64_t size = rows->dtype == DTYPE_f64 ? 8 : rows->dtype == DTYPE_f32 ? 4 : 2;
    for (int64_t i = start, take; i < stop; i += take) {
        const int64_t row = i / rows->inner, column = i % rows->inner;
        take = rows->inner - column < stop - i ? rows->inner - column : stop - i;
        char *at[FUSED_MOST];
        for (int k = 0; k < all; k++) at[k] = (char *)rows->at[k].data + row * rows->at[k].step + column * size;
        if (size > 2) reals_row(op, at, (size_t)take, (size_t)size);
        else halves_row(op, at, (size_t)take, rows->dtype == DTYPE_bf16);
    }
    environment_leave(callers);
}

const fastsig_fuser CAT(fastsig_fused, FASTSIG_ISA) = run;
