/* Why not OpenMP: GNU's hangs a forked child, and two runtimes in one process take each other's cores. Why not Python's threads: each
 * hand-over wants the GIL twice, 20 to 50 us (benchmarks/NOTES.md, "Threads", has both). */
#define _POSIX_C_SOURCE 200809L
#include "pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

enum { PATIENCE = 50000 }; /* ns awake without work: longer than calls in a loop are apart, far shorter than a time slice */
enum { STACK = 1 << 20 }; /* bytes: a loss takes 100 KB, nearly all that some systems give a thread */

/* A thread begins with the segment of its own seat, so that arrays in the caches mostly stay with the core that had them last. */
typedef struct {
    _Alignas(64) atomic_size_t next;
    size_t end;
} segment;

static struct {
    fastsig_work work;
    void *context;
    size_t grain;
    int threads;
    segment segments[POOL_MOST];
} job;

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER; /* held by the caller whose job it is */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* for what follows, and before a thread may look at the job */
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER, left = PTHREAD_COND_INITIALIZER;
static int seats; /* of the job on offer, that nobody has taken */
static int inside, asleep, workers;
static atomic_uint jobs;
static atomic_uint busy; /* whether anybody is inside, to be read without the lock */

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline void pause_(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void spin_while(atomic_uint *word, unsigned value) {
    for (const int64_t end = now() + PATIENCE; now() < end;)
        for (int i = 0; i < 8; i++) {
            if (atomic_load_explicit(word, memory_order_relaxed) != value) return;
            pause_();
        }
}

static void take_part(int seat) {
    for (int i = 0; i < job.threads; i++) {
        segment *const s = &job.segments[(seat + i) % job.threads];
        for (;;) {
            const size_t start = atomic_fetch_add_explicit(&s->next, job.grain, memory_order_relaxed);
            if (start >= s->end) break;
            const size_t stop = s->end - start < job.grain ? s->end : start + job.grain;
            job.work(job.context, seat, start, stop);
        }
    }
}

static void *worker(void *unused) {
    unsigned seen = 0;
    for (;;) {
        spin_while(&jobs, seen);
        pthread_mutex_lock(&lock);
        while (atomic_load_explicit(&jobs, memory_order_relaxed) == seen) {
            asleep++;
            pthread_cond_wait(&wake, &lock);
            asleep--;
        }
        seen = atomic_load_explicit(&jobs, memory_order_relaxed);
        const int seat = seats ? job.threads - seats-- : 0;
        if (seat) inside++, atomic_store_explicit(&busy, 1, memory_order_relaxed);
        pthread_mutex_unlock(&lock);
        if (!seat) continue;
        take_part(seat);
        pthread_mutex_lock(&lock);
        if (--inside == 0) {
            atomic_store_explicit(&busy, 0, memory_order_relaxed);
            pthread_cond_signal(&left);
        }
        pthread_mutex_unlock(&lock);
    }
    return unused;
}

/* Signals are for the threads of the program: Python's handlers among them. */
static void hire(int count) {
    sigset_t all, before;
    pthread_attr_t detached;
    pthread_t thread;
    if (workers >= count || pthread_attr_init(&detached)) return;
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&detached, STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (workers < count && pthread_create(&thread, &detached, worker, NULL) == 0) workers++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
}

static void offer(fastsig_work work, void *context, size_t size, size_t grain, int threads) {
    const size_t pieces = (size + grain - 1) / grain;
    pthread_mutex_lock(&lock);
    job.work = work, job.context = context, job.grain = grain, job.threads = threads;
    for (int i = 0; i < threads; i++) {
        const size_t start = pieces * (size_t)i / (size_t)threads * grain, end = pieces * (size_t)(i + 1) / (size_t)threads * grain;
        atomic_store_explicit(&job.segments[i].next, start, memory_order_relaxed);
        job.segments[i].end = end < size ? end : size;
    }
    seats = threads - 1;
    atomic_fetch_add_explicit(&jobs, 1, memory_order_relaxed);
    const int sleepers = asleep < seats ? asleep : seats; /* who is awake has seen it */
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < sleepers; i++) pthread_cond_signal(&wake);
}

static void close_and_wait(void) {
    pthread_mutex_lock(&lock);
    seats = 0;
    if (inside) {
        pthread_mutex_unlock(&lock);
        spin_while(&busy, 1);
        pthread_mutex_lock(&lock);
        while (inside) pthread_cond_wait(&left, &lock);
    }
    pthread_mutex_unlock(&lock);
}

void fastsig_pool_run(fastsig_work work, void *context, size_t size, size_t grain, int threads) {
    threads = threads < POOL_MOST ? threads : POOL_MOST;
    if (threads < 2 || size <= grain || pthread_mutex_trylock(&turn)) {
        work(context, 0, 0, size);
        return;
    }
    hire(threads - 1);
    offer(work, context, size, grain, threads);
    take_part(0);
    close_and_wait();
    pthread_mutex_unlock(&turn);
}

/* A forked child has none of the threads, and the locks as they happened to be. */
static void start_afresh(void) {
    turn = lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    wake = left = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    seats = inside = asleep = workers = 0;
    atomic_store(&busy, 0);
}

__attribute__((constructor)) static void prepare_for_forks(void) { pthread_atfork(NULL, NULL, start_afresh); }
