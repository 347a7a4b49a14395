/* Why not OpenMP: GNU's hangs a forked child, and two runtimes in one process take each other's cores. Why not Python's threads: each
 * hand-over wants the GIL twice, 20 to 50 us (benchmarks/NOTES.md, "Threads", has both). */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* sched_getcpu */
#endif
#include "pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#if defined(__linux__)
#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>
#endif

enum { PATIENCE = 50000 }; /* ns awake without work: longer than calls in a loop are apart, far shorter than a time slice */
enum { WORTH_WAKING = 120000 }; /* ns of work left: a wake-up takes 10 to 15 us of the caller's time, and 30 to 70 until somebody comes */
enum { MORE = 2 }; /* threads that one thread wakes: they wake others in their turn, for waking many would take one thread longer than it gains */
enum { LOOP_GAP = 40000, LOOP_CALLS = 8 }; /* so many calls with less than so many ns between them, of which Python takes 10 to 30, are a loop */
enum { STACK = 1 << 18 }; /* bytes, of which a loop takes at most 24 KiB */
enum { ASK_AFTER = 50000000 }; /* ns between two questions whether to stop */
enum { FIRST_ALONE = 1 << 16, MOST_ALONE = 1 << 21, SHORT = 10000000 }; /* elements of a piece that nobody shares: twice as many after one that took fewer ns */

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
static bool wake_others; /* the job is worth it */
static int inside, workers, asleep, called; /* called: no longer counted as asleep, but not here yet */
static atomic_uint jobs;
static atomic_uint busy; /* whether anybody is inside, to be read without the lock */
static atomic_int callers_cpu; /* of the job on offer, where the system tells */
static int calls_in_loop; /* under `turn`, like the time when the last job ended */
static int64_t last_end;

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

#if defined(__linux__) && !defined(__ANDROID__)
static int this_cpu(void) { return sched_getcpu(); }

static int affinity = AFFINITY_UNLESS_FILTERED;
static atomic_bool filtered;

/* Of the calling thread, which its new threads inherit; also where the system does not say. `turn` is held. */
static bool has_filter(void) {
    static char text[1 << 14];
    static const char line[] = "\nSeccomp:\t";
    size_t size = 0;
    const int file = open("/proc/thread-self/status", O_RDONLY | O_CLOEXEC);
    if (file < 0) return true;
    for (ssize_t n; (n = read(file, text + size, sizeof text - 1 - size)) > 0;) size += (size_t)n;
    close(file);
    text[size] = 0;
    const char *const at = strstr(text, line);
    return at ? at[sizeof line - 1] != '0' : size == 0 || size == sizeof text - 1; /* systems that have no filters have no such line */
}

/* Whether a thread may be moved to other CPUs: filters of system calls are there that end the process for it (systemd's @resources). A
 * filter may come later, for all threads at once; but whether it has, not every filter lets a thread ask, so what was there first is read. */
static bool may_move(void) {
    if (affinity != AFFINITY_UNLESS_FILTERED) return affinity == AFFINITY_ALWAYS;
    if (atomic_load_explicit(&filtered, memory_order_relaxed)) return false;
    const int mode = prctl(PR_GET_SECCOMP, 0, 0, 0, 0);
    return mode == 0 || (mode < 0 && errno == EINVAL); /* a system that has no filters */
}

static void look_for_filters(void) {
    if (affinity == AFFINITY_UNLESS_FILTERED && has_filter()) atomic_store_explicit(&filtered, true, memory_order_relaxed);
}

/* A thread sleeps where its caller does not run: some systems wake it where it slept or where its waker runs, though others are free, and
 * there it cannot help. Awake it may go anywhere again. Who changed its CPUs meanwhile keeps that. */
typedef struct {
    bool elsewhere;
    cpu_set_t all, others;
} places;

static void go_elsewhere(places *p) {
    const int cpu = atomic_load_explicit(&callers_cpu, memory_order_relaxed);
    p->elsewhere = false;
    if (!may_move() || cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof p->all, &p->all)) return;
    p->others = p->all;
    CPU_CLR(cpu, &p->others);
    p->elsewhere = CPU_COUNT(&p->others) && sched_setaffinity(0, sizeof p->others, &p->others) == 0;
}

static void go_anywhere(const places *p) {
    cpu_set_t here;
    if (p->elsewhere && may_move() && sched_getaffinity(0, sizeof here, &here) == 0 && CPU_EQUAL(&here, &p->others))
        sched_setaffinity(0, sizeof p->all, &p->all);
}
#else
typedef int places;
static int affinity;
static int this_cpu(void) { return -1; }
static void look_for_filters(void) {}
static void go_elsewhere(places *p) { *p = 0; }
static void go_anywhere(const places *p) { (void)p; }
#endif

void fastsig_set_affinity(int when) { affinity = when; }

static bool take_piece(segment *s, int seat, size_t size) {
    const size_t start = atomic_fetch_add_explicit(&s->next, size, memory_order_relaxed);
    if (start >= s->end) return false;
    job.work(job.context, seat, start, s->end - start < size ? s->end : start + size);
    return true;
}

/* ---- the caller asks whether to stop; the others find nothing left to do ---- */
static bool (*whether_to_stop)(void);

void fastsig_pool_ask(bool (*question)(void)) { whether_to_stop = question; }

/* asked: when it last was */
static bool told_to_stop(int64_t time, int64_t *asked) {
    if (!whether_to_stop || time - *asked < ASK_AFTER) return false;
    *asked = time;
    return whether_to_stop();
}

static void leave_nothing(void) {
    for (int i = 0; i < job.threads; i++) atomic_store_explicit(&job.segments[i].next, job.segments[i].end, memory_order_relaxed);
}

/* asked: of the thread that may stop all. Whether it did. */
static bool take_part(int seat, int64_t *asked) {
    for (int i = 0; i < job.threads; i++) {
        while (take_piece(&job.segments[(seat + i) % job.threads], seat, job.grain)) {
            if (asked && told_to_stop(now(), asked)) {
                leave_nothing();
                return true;
            }
        }
    }
    return false;
}

static bool work_alone(fastsig_work work, void *context, size_t size, size_t least) {
    const size_t first = (FIRST_ALONE + least - 1) / least * least;
    if (size <= first) {
        work(context, 0, 0, size);
        return false;
    }
    int64_t before = now(), asked = before;
    for (size_t start = 0, piece = first; start < size;) {
        const size_t stop = size - start < piece ? size : start + piece;
        work(context, 0, start, stop);
        start = stop;
        const int64_t time = now();
        if (time - before < SHORT && piece < MOST_ALONE) piece *= 2;
        before = time;
        if (start < size && told_to_stop(time, &asked)) return true;
    }
    return false;
}

static int lesser(int a, int b) { return a < b ? a : b; }

/* Under `lock`: how many sleepers the seats need, at most so many; they must then be signalled. */
static int call_sleepers(int most) {
    const int awake = workers - asleep - inside, count = lesser(lesser(seats - awake, asleep), most);
    if (count <= 0) return 0;
    asleep -= count;
    called += count;
    return count;
}

static void signal_sleepers(int count) {
    for (int i = 0; i < count; i++) pthread_cond_signal(&wake);
}

static void sleep_until_job_after(unsigned seen) {
    places p;
    if (atomic_load_explicit(&jobs, memory_order_relaxed) != seen) return;
    go_elsewhere(&p);
    pthread_mutex_lock(&lock);
    while (atomic_load_explicit(&jobs, memory_order_relaxed) == seen) {
        asleep++;
        while (!called) pthread_cond_wait(&wake, &lock);
        called--;
    }
    pthread_mutex_unlock(&lock);
    go_anywhere(&p);
}

static void *worker(void *unused) {
    unsigned seen = 0;
    for (;;) {
        spin_while(&jobs, seen);
        sleep_until_job_after(seen);
        pthread_mutex_lock(&lock);
        seen = atomic_load_explicit(&jobs, memory_order_relaxed);
        const int seat = seats ? job.threads - seats-- : 0;
        if (seat) inside++, atomic_store_explicit(&busy, 1, memory_order_relaxed);
        const int more = wake_others && seat ? call_sleepers(MORE) : 0;
        pthread_mutex_unlock(&lock);
        if (!seat) continue;
        signal_sleepers(more);
        take_part(seat, NULL);
        pthread_mutex_lock(&lock);
        if (--inside == 0) {
            atomic_store_explicit(&busy, 0, memory_order_relaxed);
            pthread_cond_signal(&left);
        }
        pthread_mutex_unlock(&lock);
    }
    return unused;
}

#if defined(__linux__) && !defined(__ANDROID__)
/* As for threads that sleep: a new one may be put on its maker's CPU, and wait there for a time slice. */
static void send_elsewhere(pthread_t thread) {
    cpu_set_t all, others;
    const int cpu = this_cpu();
    if (!may_move() || cpu < 0 || cpu >= CPU_SETSIZE || sched_getaffinity(0, sizeof all, &all)) return;
    others = all;
    CPU_CLR(cpu, &others);
    if (CPU_COUNT(&others) && pthread_setaffinity_np(thread, sizeof others, &others) == 0) pthread_setaffinity_np(thread, sizeof all, &all);
}
#else
static void send_elsewhere(pthread_t thread) { (void)thread; }
#endif

/* Signals are for the threads of the program: Python's handlers among them. */
static void hire(int count) {
    sigset_t all, before;
    pthread_attr_t detached;
    pthread_t thread;
    if (workers >= count || pthread_attr_init(&detached)) return;
    look_for_filters();
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&detached, STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_mutex_lock(&lock); /* so that none of them sleeps, and looks where it may go, before it has been sent */
    while (workers < count && pthread_create(&thread, &detached, worker, NULL) == 0) {
        send_elsewhere(thread);
        workers++;
    }
    pthread_mutex_unlock(&lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&detached);
}

/* To the threads that are awake. Whether there is room for more. */
static bool offer(fastsig_work work, void *context, size_t size, size_t grain, int threads) {
    const size_t pieces = (size + grain - 1) / grain;
    pthread_mutex_lock(&lock);
    job.work = work, job.context = context, job.grain = grain, job.threads = threads;
    for (int i = 0; i < threads; i++) {
        const size_t start = pieces * (size_t)i / (size_t)threads * grain, end = pieces * (size_t)(i + 1) / (size_t)threads * grain;
        atomic_store_explicit(&job.segments[i].next, start, memory_order_relaxed);
        job.segments[i].end = end < size ? end : size;
    }
    seats = threads - 1;
    wake_others = false;
    atomic_store_explicit(&callers_cpu, this_cpu(), memory_order_relaxed);
    atomic_fetch_add_explicit(&jobs, 1, memory_order_relaxed);
    const bool room = seats > workers - asleep;
    pthread_mutex_unlock(&lock);
    return room;
}

static void wake_up(void) {
    pthread_mutex_lock(&lock);
    wake_others = true;
    const int first = called ? 0 : call_sleepers(1); /* glibc may make a signal wait for those signalled before, and the caller waits for nobody */
    pthread_mutex_unlock(&lock);
    signal_sleepers(first);
    hire(job.threads - 1);
}

static bool calls_follow_closely(void) {
    calls_in_loop = now() - last_end < LOOP_GAP ? lesser(calls_in_loop + 1, LOOP_CALLS) : 0;
    return calls_in_loop == LOOP_CALLS;
}

/* Whether what is left takes long, by the time of the caller's first piece. */
static bool long_after_one_piece(size_t size, size_t least) {
    const int64_t start = now();
    return take_piece(&job.segments[0], 0, least) && (double)(now() - start) * (double)(size - least) > (double)WORTH_WAKING * (double)least;
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

bool fastsig_pool_run(fastsig_work work, void *context, size_t size, size_t least, size_t grain, int threads) {
    const size_t pieces = (size + grain - 1) / grain;
    threads = lesser(threads, pieces < POOL_MOST ? (int)pieces : POOL_MOST);
    if (threads < 2 || pthread_mutex_trylock(&turn)) {
        return work_alone(work, context, size, least);
    }
    const bool loop = calls_follow_closely();
    const bool room = offer(work, context, size, grain, threads);
    if (room && (loop || long_after_one_piece(size, least))) wake_up();
    int64_t asked = now();
    const bool stopped = take_part(0, &asked);
    close_and_wait();
    last_end = now();
    pthread_mutex_unlock(&turn);
    return stopped;
}

/* A forked child has none of the threads, and the locks as they happened to be. */
static void start_afresh(void) {
    turn = lock = (pthread_mutex_t)PTHREAD_MUTEX_INITIALIZER;
    wake = left = (pthread_cond_t)PTHREAD_COND_INITIALIZER;
    seats = inside = workers = asleep = called = calls_in_loop = 0;
    atomic_store(&busy, 0);
}

__attribute__((constructor)) static void prepare_for_forks(void) { pthread_atfork(NULL, NULL, start_afresh); }
