/* What the parts of the library share: one table of loops for each instruction set, and the one in use. */
#ifndef FASTSIG_LIBRARY_H
#define FASTSIG_LIBRARY_H
#include <stddef.h>
#include <stdint.h>

#include "fastsig_ops.h"

#define OP_INDEX(name, inputs) OP_##name,
enum { FASTSIG_OPS(OP_INDEX, OP_INDEX) OP_COUNT };
#undef OP_INDEX

#define ROUNDED_INDEX(name) ROUNDED_##name,
enum { FASTSIG_ROUNDED(ROUNDED_INDEX) ROUNDED_COUNT };
#undef ROUNDED_INDEX

enum { DTYPE_f16, DTYPE_bf16, DTYPE_f32, DTYPE_f64, DTYPE_COUNT };

/* args: the inputs, then the output; steps: their strides in bytes. The shape of NumPy's inner loop. */
typedef void (*fastsig_loop)(char *const *args, const ptrdiff_t *steps, size_t n);
/* The same on contiguous elements, written past the caches whatever n is: a piece of an output that is large enough as a whole. */
typedef void (*fastsig_past_loop)(char *const *args, size_t n);

/* The loop alone on contiguous elements, for who has entered the environment. */
typedef void (*fastsig_run)(const void *const *in, void *out, size_t n);

/* What brings elements of 2, 4 or 8 bytes side by side, and back: strided.h, and transpose.h for rows times columns of them whose columns
 * lie so many bytes apart. */
typedef struct {
    void (*gather)(void *to, const char *from, ptrdiff_t step, size_t size, size_t n);
    void (*scatter)(char *to, ptrdiff_t step, const void *from, size_t size, size_t n);
    void (*stream)(char *to, const void *from, size_t size, size_t n); /* past the caches */
    void (*transpose)(const char *from, ptrdiff_t step, size_t size, size_t rows, size_t columns, void *to);
    void (*swap)(void *elements, size_t size, size_t n);
} fastsig_moves;

typedef struct {
    const char *name;
    fastsig_loop loops[OP_COUNT][DTYPE_COUNT];
    fastsig_past_loop past[OP_COUNT][DTYPE_COUNT];
    fastsig_run run[OP_COUNT][DTYPE_COUNT];
    fastsig_moves moves;
    const fastsig_loop *rounded; /* of ROUNDED_COUNT operations in float32: rounded.c */
} fastsig_table;

extern const fastsig_table fastsig_table_baseline;
#ifdef FASTSIG_X86
extern const fastsig_table fastsig_table_v3, fastsig_table_v4;
#endif

/* Atomic: they may be set while other threads compute. */
extern const fastsig_table *_Atomic fastsig_active;
extern _Atomic size_t fastsig_stream_threshold;
extern const double fastsig_x_max; /* x_max of the correctly rounded functions */
#endif
