/* The C ABI of fastsig.h: chooses the instruction set at load and calls its loops. */
#include "fastsig.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONSTANT_ELSEWHERE(type, name, value) extern const type name __attribute__((visibility("hidden"))); const type name = value;
#include "exact_sum.h"
#include "fastsig_constants.h"
#include "fastsig_version.h"
#include "fused.h"
#include "library.h"
#include "pool.h"
#include "reduce.h"

const fastsig_table *_Atomic fastsig_active = &fastsig_table_baseline;
/* The most that one program's share of a last-level cache was seen to hold of an output: benchmarks/NOTES.md, "Streaming stores". */
enum { SHARE = 24 << 20 };
_Atomic size_t fastsig_stream_threshold = SHARE;
const double fastsig_x_max = x_max_rounded;

static int always(void) { return 1; }
#ifdef FASTSIG_X86
static int has_v3(void) {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2") &&
           __builtin_cpu_supports("f16c");
}
static int has_v4(void) {
    return has_v3() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif

static const struct {
    const fastsig_table *table;
    const fastsig_reducer *reducer;
    const fastsig_fuser *fuser;
    int (*available)(void);
} choices[] = {
#ifdef FASTSIG_X86
    {&fastsig_table_v4, &fastsig_reduce_v4, &fastsig_fused_v4, has_v4},
    {&fastsig_table_v3, &fastsig_reduce_v3, &fastsig_fused_v3, has_v3},
#endif
    {&fastsig_table_baseline, &fastsig_reduce_baseline, &fastsig_fused_baseline, always},
};
enum { CHOICES = sizeof choices / sizeof choices[0] };

int fastsig_isa_available(const char *name) {
    for (int i = 0; i < CHOICES; i++)
        if (strcmp(choices[i].table->name, name) == 0) return choices[i].available();
    return 0;
}

int fastsig_set_isa(const char *name) {
    for (int i = 0; i < CHOICES; i++) {
        if (strcmp(choices[i].table->name, name) == 0 && choices[i].available()) {
            fastsig_active = choices[i].table;
            return 0;
        }
    }
    return -1;
}

/* Half of the last-level cache: input and output together no longer fit. A server's cache of hundreds of megabytes is not ours alone. */
static void choose_stream_threshold(void) {
#ifdef _SC_LEVEL3_CACHE_SIZE
    long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
    if (cache > 0 && cache / 2 < SHARE) fastsig_stream_threshold = (size_t)cache / 2;
#endif
}

__attribute__((constructor)) static void choose(void) {
    for (int i = CHOICES - 1; i >= 0; i--)
        if (choices[i].available()) fastsig_active = choices[i].table;
    choose_stream_threshold();
}

const char *fastsig_isa(void) { return fastsig_active->name; }
const char *fastsig_version(void) { return FASTSIG_VERSION; }
int fastsig_abi_version(void) { return FASTSIG_ABI_VERSION; }
size_t fastsig_stream_bytes(void) { return fastsig_stream_threshold; }
void fastsig_set_stream_bytes(size_t bytes) { fastsig_stream_threshold = bytes; }

#define UNARY_AS(op, T, sfx)                                                                             \
    void fastsig_##op##_##sfx##_strided(const T *x, ptrdiff_t x_step, T *out, ptrdiff_t out_step, size_t n) { \
        fastsig_active->loops[OP_##op][DTYPE_##sfx]((char *const[]){(char *)x, (char *)out},             \
                                                    (const ptrdiff_t[]){x_step, out_step}, n);           \
    }                                                                                                    \
    void fastsig_##op##_##sfx(const T *x, T *out, size_t n) {                                            \
        fastsig_##op##_##sfx##_strided(x, sizeof(T), out, sizeof(T), n);                                 \
    }
#define BINARY_AS(op, T, sfx)                                                                            \
    void fastsig_##op##_##sfx##_strided(const T *x, ptrdiff_t x_step, const T *y, ptrdiff_t y_step, T *out, \
                                        ptrdiff_t out_step, size_t n) {                                  \
        fastsig_active->loops[OP_##op][DTYPE_##sfx]((char *const[]){(char *)x, (char *)y, (char *)out},  \
                                                    (const ptrdiff_t[]){x_step, y_step, out_step}, n);   \
    }                                                                                                    \
    void fastsig_##op##_##sfx(const T *x, const T *y, T *out, size_t n) {                                \
        fastsig_##op##_##sfx##_strided(x, sizeof(T), y, sizeof(T), out, sizeof(T), n);                   \
    }
#define EACH(AS, op) AS(op, uint16_t, f16) AS(op, uint16_t, bf16) AS(op, float, f32) AS(op, double, f64)
#define UNARY(op, inputs) EACH(UNARY_AS, op)
#define BINARY(op, inputs) EACH(BINARY_AS, op)
FASTSIG_OPS(UNARY, BINARY)

static int chosen(void) {
    const fastsig_table *const active = fastsig_active;
    int i = 0;
    while (choices[i].table != active) i++;
    return i;
}

int fastsig_reduce(const int64_t *plan, const double *numbers, int64_t start, int64_t stop, int64_t *sum) {
    return (*choices[chosen()].reducer)((const fastsig_plan *)plan, (const fastsig_numbers *)numbers, start, stop, sum);
}

/* Each seat has a sum of its own: exact sums add up to the same bits in any order. */
enum { REDUCERS = 64, PIECES_EACH = 8, LEAST_BLOCKS = 8, MOST_BLOCKS = 512, BLOCK = 1024 };
/* Whether as many bytes lie between any two rows of a matrix, one below the other. */
static int rows_are_even(const fastsig_plan *plan, const fastsig_source *in, fastsig_matrices by) {
    const int64_t *const shape = (const int64_t *)plan + in->geometry;
    int64_t below = 1, d = in->ndim - 1;
    if (in->type == TYPE_ABSENT || in->whole) return 1;
    for (; d >= 0 && below * shape[d] <= by.columns; d--) below *= shape[d];
    return d < 0 || (by.columns % below == 0 && below * shape[d] % (by.rows * by.columns) == 0);
}

static int all_are_even(const fastsig_plan *plan, fastsig_matrices by) {
    for (int i = 0; i < IN_COUNT; i++)
        if (!rows_are_even(plan, &plan->in[i], by)) return 0;
    return 1;
}

fastsig_matrices fastsig_columnar(const fastsig_plan *plan) {
    static const int64_t sizes[] = {[TYPE_F16] = 2, [TYPE_BF16] = 2, [TYPE_F32] = 4, [TYPE_F64] = 8, [TYPE_U8] = 1, [TYPE_I8] = 1,
                                    [TYPE_U16] = 2, [TYPE_I16] = 2, [TYPE_U32] = 4, [TYPE_I32] = 4, [TYPE_U64] = 8, [TYPE_I64] = 8};
    for (const fastsig_source *in = plan->in; in < plan->in + IN_COUNT; in++) {
        const int64_t *const shape = (const int64_t *)plan + in->geometry, *const strides = shape + in->ndim;
        if (in->type == TYPE_ABSENT || in->whole) continue;
        for (int64_t d = 0, columns = 1; d < in->ndim - 1; d++, columns = 1) {
            if (strides[d] != sizes[in->type]) continue;
            for (int64_t i = d + 1; i < in->ndim; i++) columns *= shape[i];
            const fastsig_matrices by = {shape[d], columns};
            if (all_are_even(plan, by)) return by;
        }
    }
    return (fastsig_matrices){0, 0};
}

typedef struct {
    int64_t sum[SUM_WORDS];
    int bad;
} share;

typedef struct {
    const int64_t *plan;
    const double *numbers;
    share *shares;
} reduction;

static void reduce_piece(void *context, int seat, size_t start, size_t stop) {
    const reduction *r = context;
    share *const own = &r->shares[seat];
    own->bad |= fastsig_reduce(r->plan, r->numbers, (int64_t)start, (int64_t)stop, own->sum);
}

int fastsig_reduce_all(const int64_t *plan, const double *numbers, int threads, int64_t *sum) {
    const size_t size = (size_t)((const fastsig_plan *)plan)->size;
    share only = {0}, *shares = NULL;
    threads = threads < REDUCERS ? threads : REDUCERS;
    if (threads > 1) shares = calloc((size_t)threads, sizeof *shares);
    if (!shares) threads = 1;
    reduction r = {plan, numbers, shares ? shares : &only};
    size_t blocks = size / BLOCK / ((size_t)threads * PIECES_EACH);
    blocks = blocks < LEAST_BLOCKS ? LEAST_BLOCKS : blocks > MOST_BLOCKS ? MOST_BLOCKS : blocks;
    const size_t columns = (size_t)fastsig_columnar((const fastsig_plan *)plan).columns, unit = columns ? columns : BLOCK;
    const size_t least = (LEAST_BLOCKS * BLOCK + unit - 1) / unit * unit, grain = (blocks * BLOCK + unit - 1) / unit * unit;
    int bad = fastsig_pool_run(reduce_piece, &r, size, least, grain, threads) ? STOPPED : 0;
    for (int i = 0; i < threads; i++) {
        bad |= r.shares[i].bad;
        for (int w = 0; sum && w < SUM_WORDS; w++) sum[w] += r.shares[i].sum[w];
    }
    free(shares);
    return bad;
}

/* ---- the gates ---- */
enum { LEAST_PIECE = 1 << 13, MOST_PIECE = 1 << 18 };

static void fuse_piece(void *context, int seat, size_t start, size_t stop) {
    (void)seat;
    (*choices[chosen()].fuser)(context, (int64_t)start, (int64_t)stop);
}

int fastsig_fused_all(const int64_t *rows, int threads) {
    const fastsig_rows *const r = (const fastsig_rows *)rows;
    const size_t size = (size_t)(r->inner * r->count);
    size_t piece = size / ((size_t)threads * PIECES_EACH) / LEAST_PIECE * LEAST_PIECE;
    piece = piece < LEAST_PIECE ? LEAST_PIECE : piece > MOST_PIECE ? MOST_PIECE : piece;
    return fastsig_pool_run(fuse_piece, (void *)rows, size, LEAST_PIECE, piece, threads);
}
