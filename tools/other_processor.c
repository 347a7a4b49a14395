/* The C library on another processor, asked through pipes (tools/aarch64.py): reads questions, writes answers, ends with its input.
 *
 * 'E' op dtype n, inputs one after the other:                  the results, which the strided function must give too
 * 'L' words bytes threads, numbers, plan, memory:              what was bad, the exact sum, and each output that the plan asks for
 *
 * All counts are int64. In a plan that is asked, the address of an input is its place in the memory, and that of an output is not 0. */
#include <fenv.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exact_sum.h"
#include "fastsig.h"
#include "reduce.h"

#define COUNT_(op, inputs) +1
enum { OPS = 0 FASTSIG_OPS(COUNT_, COUNT_), DTYPES = 4 };

typedef struct { int inputs; void (*plain)(void), (*strided)(void); } functions;

#define FUNCTIONS_(op, n, sfx) {n, (void (*)(void))fastsig_##op##_##sfx, (void (*)(void))fastsig_##op##_##sfx##_strided},
#define OF_ONE(op, inputs) {FUNCTIONS_(op, 1, f16) FUNCTIONS_(op, 1, bf16) FUNCTIONS_(op, 1, f32) FUNCTIONS_(op, 1, f64)},
#define OF_TWO(op, inputs) {FUNCTIONS_(op, 2, f16) FUNCTIONS_(op, 2, bf16) FUNCTIONS_(op, 2, f32) FUNCTIONS_(op, 2, f64)},
static const functions all[OPS][DTYPES] = {FASTSIG_OPS(OF_ONE, OF_TWO)};
static const size_t size_of[DTYPES] = {2, 2, 4, 8};

typedef void plain_of_one(const void *, void *, size_t);
typedef void plain_of_two(const void *, const void *, void *, size_t);
typedef void strided_of_one(const void *, ptrdiff_t, void *, ptrdiff_t, size_t);
typedef void strided_of_two(const void *, ptrdiff_t, const void *, ptrdiff_t, void *, ptrdiff_t, size_t);

static void take(void *to, size_t bytes) {
    if (fread(to, 1, bytes, stdin) != bytes) exit(3);
}

static void give(const void *from, size_t bytes) {
    if (fwrite(from, 1, bytes, stdout) != bytes) exit(4);
}

static void *room(size_t bytes) {
    void *found = calloc(bytes + 1, 1);
    if (!found) exit(5);
    return found;
}

/* From the last element to the first, which is another way through the loops. */
static void backwards(const functions *f, const char *x, const char *y, char *out, size_t n, size_t size) {
    const size_t last = (n - 1) * size;
    const ptrdiff_t step = -(ptrdiff_t)size;
    if (f->inputs == 1)
        ((strided_of_one *)f->strided)(x + last, step, out + last, step, n);
    else
        ((strided_of_two *)f->strided)(x + last, step, y + last, step, out + last, step, n);
}

static void elementwise(void) {
    int64_t asked[3];
    take(asked, sizeof asked);
    const functions *const f = &all[asked[0]][asked[1]];
    const size_t size = size_of[asked[1]], n = (size_t)asked[2], bytes = n * size;
    char *const x = room(bytes * 2), *const y = x + bytes, *const out = room(bytes), *const again = room(bytes);
    take(x, bytes * (size_t)f->inputs);
    if (f->inputs == 1)
        ((plain_of_one *)f->plain)(x, out, n);
    else
        ((plain_of_two *)f->plain)(x, y, out, n);
    backwards(f, x, y, again, n, size);
    if (memcmp(out, again, bytes)) exit(6);
    give(out, bytes);
    free(x), free(out), free(again);
}

static void loss(void) {
    int64_t asked[3], sum[SUM_WORDS] = {0};
    double numbers[sizeof(fastsig_numbers) / sizeof(double)];
    take(asked, sizeof asked);
    take(numbers, sizeof numbers);
    int64_t *const words = room((size_t)asked[0] * sizeof *words);
    char *const memory = room((size_t)asked[1]);
    take(words, (size_t)asked[0] * sizeof *words);
    take(memory, (size_t)asked[1]);
    fastsig_plan *const plan = (fastsig_plan *)words;
    const size_t bytes = (size_t)plan->size * size_of[plan->dtype];
    for (int i = 0; i < IN_COUNT; i++)
        if (plan->in[i].type != TYPE_ABSENT) plan->in[i].data += (int64_t)(intptr_t)memory;
    for (int i = 0; i < OUT_COUNT; i++)
        if (plan->out[i]) plan->out[i] = (int64_t)(intptr_t)room(bytes);
    const int64_t bad = fastsig_reduce_all(words, numbers, (int)asked[2], sum);
    give(&bad, sizeof bad);
    give(sum, sizeof sum);
    for (int i = 0; i < OUT_COUNT; i++)
        if (plan->out[i]) give((void *)(intptr_t)plan->out[i], bytes), free((void *)(intptr_t)plan->out[i]);
    free(words), free(memory);
}

/* As somebody in the process may have it: subnormal numbers flushed to zero, rounding upwards. */
static void leave_the_default_environment(void) {
#if defined(__aarch64__)
    const uint64_t flush_to_zero = 1 << 24, upwards = 1 << 22;
    __asm__ volatile("msr fpcr, %0" : : "r"(flush_to_zero | upwards));
#else
    fesetround(FE_UPWARD);
#endif
}

int main(void) {
    leave_the_default_environment();
    for (int question; (question = getchar()) != EOF; fflush(stdout)) {
        if (question == 'E')
            elementwise();
        else if (question == 'L')
            loss();
        else
            return 2;
    }
    return 0;
}
