/* The losses' plan: what one pass reads, computes, writes and sums. fastsig/kernels/plan.py makes it, and says what each number means. */
#ifndef FASTSIG_REDUCE_H
#define FASTSIG_REDUCE_H
#include <stdint.h>

enum { FORMULA_LOGITS, FORMULA_PROBABILITIES, FORMULA_FOCAL, FORMULA_WEIGHTS };
enum { IN_X, IN_TARGET, IN_WEIGHT, IN_POS_WEIGHT, IN_MASK, IN_COUNT }; /* alpha of each element stands where pos_weight does */
enum { OUT_LOSS, OUT_GRAD, OUT_HESS, OUT_COUNT };
enum { BAD_TARGET = 1, BAD_PROBABILITY = 2, BAD_WEIGHT = 4, BAD_POS_WEIGHT = 8, BAD_ALPHA = 64 };
enum { NO_MEMORY = 16, STOPPED = 32 }; /* the pass was not made, or not to its end */
enum { TYPE_ABSENT = -1, TYPE_F16, TYPE_BF16, TYPE_F32, TYPE_F64, TYPE_U8, TYPE_I8, TYPE_U16, TYPE_I16, TYPE_U32, TYPE_I32, TYPE_U64, TYPE_I64 };

/* whole: already contiguous and of the computing type; period: the elements repeat after so many; geometry: where in the plan its
 * shape and, after that, its strides in bytes stand */
typedef struct { int64_t data, type, whole, period, ndim, geometry; } fastsig_source;

/* the outputs lie in the order of the walk, without gaps */
typedef struct {
    int64_t formula, dtype, check, sum, stream, size;
    int64_t out[OUT_COUNT];
    fastsig_source in[IN_COUNT];
} fastsig_plan;

/* Operands that are matrices, one after the other in the order of the walk, whose columns lie side by side in memory: they are walked
 * by columns. `columns` is 0 for all others. */
typedef struct { int64_t rows, columns; } fastsig_matrices;
fastsig_matrices fastsig_columnar(const fastsig_plan *plan);

typedef struct { double keep, floor, scale, scale_lo, alpha, beta, gamma, gamma_lo, whole; } fastsig_numbers;

/* p->check says which of the bad kinds to look for. FORMULA_WEIGHTS sums the weights, or only looks.
 *
 * Elements start (a multiple of the columns, and of 1,024 where outputs are streamed) to stop of the plan, the exact sum of their losses
 * added to `sum`; returns what was bad about the input. */
typedef int (*fastsig_reducer)(const fastsig_plan *plan, const fastsig_numbers *numbers, int64_t start, int64_t stop, int64_t *sum);

extern const fastsig_reducer fastsig_reduce_baseline, fastsig_reduce_v3, fastsig_reduce_v4;

int fastsig_reduce(const int64_t *plan, const double *numbers, int64_t start, int64_t stop, int64_t *sum);
/* All of the plan on at most so many threads; sum may be NULL. */
int fastsig_reduce_all(const int64_t *plan, const double *numbers, int threads, int64_t *sum);
#endif
