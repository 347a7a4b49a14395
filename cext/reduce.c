/* The losses in one pass over blocks of 1,024 elements. Compiled once for each instruction set, like kernels.c. */
#include <stdbool.h>
#include <string.h>

#include "environment.h"
#include "exact_sum.h"
#include "fastsig_constants.h"
#include "library.h"
#include "memory.h"
#include "reduce.h"
#include "scratch.h"
#include "strided.h"
#include "transpose.h"
#include "window.h"

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

/* ---- elements of any type and stride, as the computing type ---- */
#define CONVERT(code, T, value)                                        \
    case code:                                                         \
        if (stride == sizeof(T)) {                                     \
            LOOP(n) { T v; memcpy(&v, from + j * sizeof(T), sizeof v); to[j] = value; }    \
        } else {                                                       \
            LOOP(n) { T v; memcpy(&v, from + (ptrdiff_t)j * stride, sizeof v); to[j] = value; } \
        }                                                              \
        break;

static const ptrdiff_t SIZES[] = {[TYPE_F16] = 2, [TYPE_BF16] = 2, [TYPE_F32] = 4, [TYPE_F64] = 8, [TYPE_U8] = 1, [TYPE_I8] = 1,
                                  [TYPE_U16] = 2, [TYPE_I16] = 2, [TYPE_U32] = 4, [TYPE_I32] = 4, [TYPE_U64] = 8, [TYPE_I64] = 8};

enum { SHUFFLED = 4, PART = 128 };

/* Whether elements lie so few apart that strided.h brings them side by side by shuffles. */
static bool is_shuffled(ptrdiff_t stride, ptrdiff_t size) {
    return stride != size && stride % size == 0 && stride >= -SHUFFLED * size && stride <= SHUFFLED * size;
}

/* ---- matrices by columns: rows that are walked at once, and rows of a block of 1,024 elements ---- */
enum { PANEL_BYTES = 1 << 19, LEAST_PANEL = 64, MOST_PANEL = 256, WINDOW_ROWS = 64, FAR_BYTES = 1 << 20 };

/* some rows of some columns; the last ones of the panel are followed by the first ones of the columns after these */
typedef struct {
    int64_t above, rows, count;
    bool last;
} part;

static int64_t panel_rows_of(int64_t bytes) {
    const int64_t rows = PANEL_BYTES / bytes / LEAST_PANEL * LEAST_PANEL;
    return rows < LEAST_PANEL ? LEAST_PANEL : least(rows, MOST_PANEL);
}

#define SFX f32
#define R float
#define COMPUTING TYPE_F32
#define I int32_t
#define U uint32_t
#include "exact_block.h"
#include "reduce_real.h"
#include "columns_real.h"
#undef SFX
#undef R
#undef COMPUTING
#undef I
#undef U

#define SFX f64
#define R double
#define COMPUTING TYPE_F64
#define I int64_t
#define U uint64_t
#include "exact_block.h"
#include "reduce_real.h"
#include "columns_real.h"

static int reduce(const fastsig_plan *p, const fastsig_numbers *k, int64_t start, int64_t stop, int64_t *sum) {
    const environment callers = environment_enter();
    const fastsig_matrices by = fastsig_columnar(p);
    const int violations = by.columns ? (p->dtype == TYPE_F64 ? reduce_columns_f64 : reduce_columns_f32)(p, k, by, start, stop, sum)
                                      : (p->dtype == TYPE_F64 ? reduce_f64 : reduce_f32)(p, k, start, stop, sum);
#if defined(__SSE2__)
    if (p->stream) _mm_sfence();
#endif
    environment_leave(callers);
    return violations;
}

const fastsig_reducer CAT(fastsig_reduce, FASTSIG_ISA) = reduce;
