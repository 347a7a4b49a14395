/* The array loops. Compiled once for each instruction set; FASTSIG_ISA is its name. */
#include <stdbool.h>
#include <string.h>

#include "environment.h"
#include "fastsig_constants.h"
#include "fastsig_halves.h"
#include "library.h"
#include "memory.h"
#include "strided.h"
#include "transpose.h"

/* GCC does not inline a large function with many callers by itself, and a call in the loop keeps it scalar */
#define FORMULA static inline __attribute__((always_inline))
#define CAT_(a, b) a##_##b
#define CAT(a, b) CAT_(a, b)
#define FN(name) CAT(name, SFX)
#define K(name) CAT(name, SFX)

#include "formulas/f32.h"
#include "formulas/f64.h"
#include "formulas/half.h"

enum { BLOCK = 256 }; /* three of them stand on the stack */

/* one operation on contiguous elements; stream: out is aligned to a line and n a multiple of a line's elements */
typedef struct { fastsig_run run, stream; int nin; size_t size; } kernel;

/* How far ahead a loop asks for its lines. From memory a page, for there the hardware prefetcher stops; from the caches a little:
 * the hardware then also prefetches, but late and not for writing. Both measured: benchmarks/NOTES.md. */
enum { PAGE = 4096, NEAR = 1024 };

static void run_streaming(const kernel *k, char *const *args, size_t n) {
    char *out = args[k->nin];
    const size_t per_line = LINE / k->size;
    size_t head = (LINE - (uintptr_t)out % LINE) % LINE / k->size;
    head = head < n ? head : n;
    const size_t body = (n - head) / per_line * per_line, tail = head + body;
    const size_t starts[] = {0, head, tail}, counts[] = {head, body, n - tail};
    for (int part = 0; part < 3; part++) {
        const size_t at = starts[part] * k->size;
        const void *in[2] = {args[0] + at, args[k->nin - 1] + at};
        (part == 1 ? k->stream : k->run)(in, out + at, counts[part]);
    }
#if defined(__SSE2__)
    _mm_sfence();
#endif
}

/* ---- strided arrays, a block at a time ---- */
static void run_strided(const kernel *k, char *const *args, const ptrdiff_t *steps, size_t n) {
    _Alignas(LINE) char blocks[3][BLOCK * sizeof(double)];
    const int nin = k->nin;
    const ptrdiff_t step = (ptrdiff_t)k->size;
    for (size_t i = 0, take; i < n; i += take) {
        const void *in[2];
        take = n - i < BLOCK ? n - i : BLOCK;
        for (int a = 0; a < nin; a++) {
            const char *from = args[a] + (ptrdiff_t)i * steps[a];
            in[a] = steps[a] == step ? from : blocks[a];
            if (steps[a] != step && (steps[a] != 0 || i == 0)) gather_strided(blocks[a], from, steps[a], k->size, take);
        }
        in[1] = in[nin - 1];
        char *to = args[nin] + (ptrdiff_t)i * steps[nin];
        if (steps[nin] == step) {
            k->run(in, to, take);
        } else {
            k->run(in, blocks[2], take);
            scatter_strided(to, steps[nin], blocks[2], k->size, take);
        }
    }
}

static void drive(const kernel *k, char *const *args, const ptrdiff_t *steps, size_t n) {
    const environment callers = environment_enter();
    bool contiguous = true;
    for (int a = 0; a <= k->nin; a++) contiguous &= steps[a] == (ptrdiff_t)k->size;
    if (!contiguous)
        run_strided(k, args, steps, n);
    else if (n * k->size >= fastsig_stream_threshold)
        run_streaming(k, args, n);
    else
        k->run((const void *const[2]){args[0], args[k->nin - 1]}, args[k->nin], n);
    environment_leave(callers);
}

static void drive_past_caches(const kernel *k, char *const *args, size_t n) {
    const environment callers = environment_enter();
    run_streaming(k, args, n);
    environment_leave(callers);
}

/* ---- one operation: whole lines, then one more over a padded copy of the rest ---- */
#define CALL_UNARY(op, SFX, a, b) ((void)(b), op##_##SFX(a))
#define CALL_BINARY(op, SFX, a, b) op##_##SFX(a, b)
enum { NIN_UNARY = 1, NIN_BINARY = 2 };

/* GCC would unroll a loop over one line before it looks whether the loop can become one vector */
#define EACH _Pragma("GCC ivdep") _Pragma("GCC unroll 1")

/* line[j] = op(x[j], y[j]) for the W elements of a line */
#define PLAIN_LINE(op, ARITY, SFX) \
    EACH for (size_t j = 0; j < W; j++) line[j] = CALL_##ARITY(op, SFX, x[i + j], y[i + j]);
#define LINE_f32(op, ARITY) PLAIN_LINE(op, ARITY, f32)
#define LINE_f64(op, ARITY) PLAIN_LINE(op, ARITY, f64)

#if defined(__AVX512BW__)
/* puts patched[1] in place of the results of the inputs in patched[0]; the upper five bits of a product say where one stands */
FORMULA void look_up(uint16_t *line, const uint16_t *from, const uint16_t patched[2][32], uint16_t factor) {
    const __m512i x = _mm512_loadu_si512(from);
    const __m512i slot = _mm512_srli_epi16(_mm512_mullo_epi16(x, _mm512_set1_epi16((short)factor)), 11);
    const __mmask32 hit = _mm512_cmpeq_epi16_mask(x, _mm512_permutexvar_epi16(slot, _mm512_loadu_si512(patched[0])));
    _mm512_store_si512(line, _mm512_mask_permutexvar_epi16(_mm512_load_si512(line), hit, slot, _mm512_loadu_si512(patched[1])));
}
#endif

/* halves: computed in float32 and rounded, but for the few inputs of halves.py; two lines of float32, as for those GCC then takes their
 * registers in turn where it would go through one line of halves register by register */
#define FIX(input, result) h = from == input ? result : h;
#define HALVE(limit) h = (from & 0x7fff) < limit ? (uint16_t)((from & 0x8000) | (((from & 0x7fff) + (from < 0x8000)) >> 1)) : h;
#define HALF_LINE(op, ARITY, SFX)                                                                       \
    float fx[W], fy[W];                                                                                 \
    widen_##SFX(fx, x + i, W);                                                                          \
    if (NIN_##ARITY == 2) widen_##SFX(fy, y + i, W);                                                    \
    _Pragma("GCC unroll 2") for (size_t k = 0; k < W; k += W / 2)                                       \
        EACH for (size_t j = k; j < k + W / 2; j++) fx[j] = CALL_##ARITY(op, f32, fx[j], fy[j]);        \
    narrow_##SFX(line, fx, W);                                                                          \
    EACH for (size_t j = 0; j < W; j++) {                                               \
        const uint16_t from = x[i + j];                                                                 \
        uint16_t h = line[j];                                                                           \
        PATCHES_##op##_##SFX HALVED_##op##_##SFX line[j] = ((void)from, h);                             \
    }                                                                                                   \
    LOOKUP_##op##_##SFX
#define LINE_f16(op, ARITY) HALF_LINE(op, ARITY, f16)
#define LINE_bf16(op, ARITY) HALF_LINE(op, ARITY, bf16)

/* An operation in two loops over blocks, in the first level of the cache: of two shorter chains of dependent instructions a processor has
 * more in flight than of one. Sixteen registers of each: fewer end too often, of more it sees one loop at a time (benchmarks/NOTES.md). */
#if defined(__AVX512F__)
enum { STEP_BYTES = 16 * 64 };
#else
enum { STEP_BYTES = 16 * 32 };
#endif
#define STEP_LINES(op, RANGE, T, SFX)                                                                       \
    FORMULA size_t op##_lines_##SFX(const T *x, const T *y, T *out, size_t n, bool stream) {                \
        enum { W = LINE / sizeof(T), STEP = STEP_BYTES / sizeof(T) };                                       \
        const size_t ahead = stream ? PAGE : NEAR, whole = n / W * W;                                       \
        (void)y;                                                                                            \
        for (size_t from = 0, to; from < whole; from = to) {                                                \
            _Alignas(LINE) T r[STEP], s[STEP];                                                              \
            to = whole - from < STEP ? whole : from + STEP;                                                 \
            for (size_t i = from; i < to; i += W) {                                                         \
                __builtin_prefetch((const char *)(x + i) + ahead);                                          \
                EACH for (size_t j = 0; j < W; j++) {                                                       \
                    const range_##SFX e = RANGE##_##SFX(x[i + j]);                                          \
                    r[i - from + j] = e.r;                                                                  \
                    s[i - from + j] = e.s;                                                                  \
                }                                                                                           \
            }                                                                                               \
            for (size_t i = from; i < to; i += W) {                                                         \
                _Alignas(LINE) T line[W];                                                                   \
                if (!stream) __builtin_prefetch((char *)(out + i) + ahead, 1);                              \
                EACH for (size_t j = 0; j < W; j++)                                                         \
                    line[j] = op##_reduced_##SFX(x[i + j], r[i - from + j], s[i - from + j]);               \
                store_line((char *)(out + i), line, stream);                                                \
            }                                                                                               \
        }                                                                                                   \
        return whole;                                                                                       \
    }

#define LINES(op, ARITY, T, SFX)                                                                            \
    FORMULA size_t op##_lines_##SFX(const T *x, const T *y, T *out, size_t n, bool stream) {                \
        enum { W = LINE / sizeof(T) };                                                                      \
        size_t i = 0;                                                                                       \
        for (; i + W <= n; i += W) {                                                                        \
            _Alignas(LINE) T line[W];                                                                       \
            const size_t ahead = stream ? PAGE : NEAR;                                                      \
            __builtin_prefetch((const char *)(x + i) + ahead);                                              \
            if (NIN_##ARITY == 2) __builtin_prefetch((const char *)(y + i) + ahead);                        \
            if (!stream) __builtin_prefetch((char *)(out + i) + ahead, 1);                                  \
            LINE_##SFX(op, ARITY)                                                                           \
            store_line((char *)(out + i), line, stream);                                                    \
        }                                                                                                   \
        return i;                                                                                           \
    }

#define LOOP(op, ARITY, T, SFX)                                                                             \
    static void op##_stream_##SFX(const void *const *in, void *out, size_t n) {                             \
        op##_lines_##SFX(in[0], in[1], out, n, true);                                                       \
    }                                                                                                       \
    static void op##_run_##SFX(const void *const *in, void *to, size_t n) {                                 \
        enum { W = LINE / sizeof(T) };                                                                      \
        const T *x = in[0], *y = in[1];                                                                     \
        T *out = to;                                                                                        \
        const size_t whole = op##_lines_##SFX(x, y, out, n, false);                                         \
        if (whole == n) return;                                                                             \
        _Alignas(LINE) T px[W], py[W];                                                                      \
        const size_t rest = (n - whole) * sizeof(T);                                                        \
        load_rest(px, x + whole, rest);                                                                     \
        if (NIN_##ARITY == 2) load_rest(py, y + whole, rest);                                               \
        op##_lines_##SFX(px, py, px, W, false);                                                             \
        store_rest(out + whole, px, rest);                                                                  \
    }                                                                                                       \
    static void op##_loop_##SFX(char *const *args, const ptrdiff_t *steps, size_t n) {                      \
        drive(&(const kernel){op##_run_##SFX, op##_stream_##SFX, NIN_##ARITY, sizeof(T)}, args, steps, n);  \
    }                                                                                                       \
    static void op##_past_##SFX(char *const *args, size_t n) {                                              \
        drive_past_caches(&(const kernel){op##_run_##SFX, op##_stream_##SFX, NIN_##ARITY, sizeof(T)}, args, n); \
    }
#define IN_ONE(op, RANGE, ARITY, T, SFX) LINES(op, ARITY, T, SFX)
#define IN_TWO(op, RANGE, ARITY, T, SFX) STEP_LINES(op, RANGE, T, SFX)

/* the operations in two loops, with the formula of the first; what is not here stays as it is written, and is in one */
#if defined(__FMA__) || !defined(__x86_64__) /* the baseline's chains are of calls of fma, which end all that is in flight */
#define TWO_sigmoid , IN_TWO, sigmoid_range
#define TWO_sigmoid_grad , IN_TWO, sigmoid_range
#define TWO_log_sigmoid , IN_TWO, softplus_range
#define TWO_softplus , IN_TWO, softplus_range
#define TWO_silu , IN_TWO, sigmoid_range
#endif
#define PICK_(written, loops, range, ...) loops, range
#define PICK(...) PICK_(__VA_ARGS__)
#define REAL_LINES_(loops, RANGE, op, ARITY, T, SFX) loops(op, RANGE, ARITY, T, SFX)
#define REAL_LINES(...) REAL_LINES_(__VA_ARGS__)
#define LOOPS(op, ARITY)                                                     \
    LINES(op, ARITY, uint16_t, f16)                                          \
    LINES(op, ARITY, uint16_t, bf16)                                         \
    REAL_LINES(PICK(TWO_##op, IN_ONE, none, none), op, ARITY, float, f32)    \
    REAL_LINES(PICK(TWO_##op, IN_ONE, none, none), op, ARITY, double, f64)   \
    LOOP(op, ARITY, uint16_t, f16)                                           \
    LOOP(op, ARITY, uint16_t, bf16)                                          \
    LOOP(op, ARITY, float, f32)                                              \
    LOOP(op, ARITY, double, f64)
#define UNARY(op, inputs) LOOPS(op, UNARY)
#define BINARY(op, inputs) LOOPS(op, BINARY)
FASTSIG_OPS(UNARY, BINARY)

#define ROW(op, inputs) [OP_##op] = {op##_loop_f16, op##_loop_bf16, op##_loop_f32, op##_loop_f64},
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define RUN(op, inputs) [OP_##op] = {op##_run_f16, op##_run_bf16, op##_run_f32, op##_run_f64},
#define PAST(op, inputs) [OP_##op] = {op##_past_f16, op##_past_bf16, op##_past_f32, op##_past_f64},
extern const fastsig_loop CAT(fastsig_rounded, FASTSIG_ISA)[ROUNDED_COUNT];
const fastsig_table CAT(fastsig_table, FASTSIG_ISA) = {TEXT(FASTSIG_ISA), {FASTSIG_OPS(ROW, ROW)}, {FASTSIG_OPS(PAST, PAST)}, {FASTSIG_OPS(RUN, RUN)},
    {gather_strided, scatter_strided, stream_lines, transpose, swap_byte_order}, CAT(fastsig_rounded, FASTSIG_ISA)};
