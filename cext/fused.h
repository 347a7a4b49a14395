/* The gates over rows: what one pass reads, computes and writes. fastsig/kernels/rows.py makes it. */
#ifndef FASTSIG_FUSED_H
#define FASTSIG_FUSED_H
#include <stdint.h>

#include "fastsig_ops.h"

#define FUSED_INDEX(op, nin, nout, arguments, looks, verdict, is_near, near_stores, any_stores) FUSED_##op,
enum { FASTSIG_FUSED(FUSED_INDEX) FUSED_COUNT };
#undef FUSED_INDEX

enum { FUSED_MOST = 16 }; /* operands */

/* data: of the first row; step: bytes from a row to the next */
typedef struct { int64_t data, step; } fastsig_row;

/* `count` rows of `inner` elements, which lie side by side; the inputs come first. dtype: as in library.h. */
typedef struct {
    int64_t op, dtype, inner, count;
    fastsig_row at[FUSED_MOST];
} fastsig_rows;

/* elements start to stop */
typedef void (*fastsig_fuser)(const fastsig_rows *rows, int64_t start, int64_t stop);

extern const fastsig_fuser fastsig_fused_baseline, fastsig_fused_v3, fastsig_fused_v4;

/* All of them on at most so many threads; whether it was stopped before the end. */
int fastsig_fused_all(const int64_t *rows, int threads);
#endif
