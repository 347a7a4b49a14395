/* The pool as several threads drive it at once, for ThreadSanitizer to watch (tools/sanitizers.py): jobs of changing sizes and numbers of
 * threads, losses, changes of the settings between and during them, sleeps, and forks in the middle of other threads' jobs.
 *
 * pool_races ROUNDS FORKS: prints what it did; status 1 where a result is wrong. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "exact_sum.h"
#include "fastsig.h"
#include "pool.h"
#include "reduce.h"

enum { CALLERS = 4, SIZE = 1 << 16, GRAIN = 1 << 10, MOST_THREADS = 6 };

static float logits[SIZE], targets[SIZE];
static float sigmoids[SIZE];
static int64_t loss_sum[SUM_WORDS];
static atomic_int wrong, jobs, children;
static int rounds;

typedef struct { const float *x; float *out; } arrays;

static void compute(void *context, int seat, size_t start, size_t stop) {
    const arrays *a = context;
    (void)seat;
    fastsig_sigmoid_f32(a->x + start, a->out + start, stop - start);
}

/* The sum of the cross-entropies, as fastsig/kernels/plan.py would have it. */
static void sum_losses(int threads, int64_t *sum) {
    struct { fastsig_plan plan; int64_t geometry[2]; } p;
    const int64_t at = sizeof p.plan / sizeof(int64_t);
    fastsig_numbers numbers = {.keep = 1, .scale = 1, .alpha = 1, .beta = 1, .whole = 1};
    memset(&p, 0, sizeof p);
    p.plan.formula = FORMULA_LOGITS, p.plan.dtype = TYPE_F32, p.plan.sum = 1, p.plan.size = SIZE, p.plan.check = BAD_TARGET;
    for (int i = 0; i < IN_COUNT; i++) p.plan.in[i] = (fastsig_source){.type = TYPE_ABSENT, .period = 1};
    p.plan.in[IN_X] = (fastsig_source){(int64_t)logits, TYPE_F32, 1, SIZE, 1, at};
    p.plan.in[IN_TARGET] = (fastsig_source){(int64_t)targets, TYPE_F32, 1, SIZE, 1, at};
    p.geometry[0] = SIZE, p.geometry[1] = sizeof(float);
    memset(sum, 0, SUM_WORDS * sizeof *sum);
    if (fastsig_reduce_all((const int64_t *)&p, (const double *)&numbers, threads, sum)) wrong++;
}

static void one_round(int round, unsigned *seed, float *out) {
    const int threads = 1 + (int)(rand_r(seed) % MOST_THREADS);
    const size_t size = 1 + rand_r(seed) % SIZE;
    int64_t sum[SUM_WORDS];
    memset(out, 0, SIZE * sizeof *out);
    fastsig_pool_run(compute, &(arrays){logits, out}, size, GRAIN, GRAIN, threads);
    if (memcmp(out, sigmoids, size * sizeof *out)) wrong++;
    sum_losses(threads, sum);
    if (memcmp(sum, loss_sum, sizeof sum)) wrong++;
    jobs += 2;
    if (round % 8 == 0) fastsig_set_stream_bytes(round % 16 ? 1 << 12 : 1 << 24);
    if (round % 8 == 4) fastsig_set_isa(fastsig_isa());
    if (round % 32 == 31) usleep(1000); /* so that threads go to sleep */
}

static void *call(void *number) {
    unsigned seed = (unsigned)(uintptr_t)number;
    float *out = malloc(SIZE * sizeof *out);
    for (int round = 0; round < rounds; round++) one_round(round, &seed, out);
    free(out);
    return NULL;
}

static void fork_one(unsigned *seed) {
    const pid_t child = fork();
    if (child == 0) {
        float *out = malloc(SIZE * sizeof *out);
        alarm(60);
        wrong = 0;
        for (int round = 0; round < 4; round++) one_round(round, seed, out);
        _exit(wrong != 0);
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) != child || status) {
        fprintf(stderr, "a child ended with %#x\n", (unsigned)status);
        wrong++;
    }
    children++;
}

int main(int count, char **args) {
    pthread_t callers[CALLERS];
    if (count != 3) return 2;
    rounds = atoi(args[1]);
    for (int i = 0; i < SIZE; i++) logits[i] = (float)(i - SIZE / 2) / 256, targets[i] = (float)(i % 2);
    fastsig_sigmoid_f32(logits, sigmoids, SIZE);
    sum_losses(1, loss_sum);
    fastsig_set_affinity(AFFINITY_ALWAYS);
    for (uintptr_t i = 0; i < CALLERS; i++)
        if (pthread_create(&callers[i], NULL, call, (void *)(i + 1))) return 2;
    unsigned seed = CALLERS + 1;
    for (int i = 0; i < atoi(args[2]); i++) fork_one(&seed);
    for (int i = 0; i < CALLERS; i++) pthread_join(callers[i], NULL);
    printf("%d jobs from %d threads, %d forks, %d wrong\n", jobs, CALLERS, children, wrong);
    return wrong != 0;
}
