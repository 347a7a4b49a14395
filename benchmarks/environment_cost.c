/* What it costs to enter the default floating-point environment: fastsig_sigmoid_f32 of two builds of the library in turn, minima.
 *
 * gcc -O2 benchmarks/environment_cost.c -o /tmp/environment_cost -ldl && /tmp/environment_cost OLD/libfastsig.so NEW/libfastsig.so.0 */
#include <dlfcn.h>
#include <stdio.h>
#include <time.h>
#include <xmmintrin.h>

enum { MOST = 1000000, FLUSH_AND_ZERO = 0x8040 };
typedef void (*function)(const float *x, float *out, size_t n);
static float x[MOST], out[MOST];

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static function load(const char *path) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) puts(dlerror());
    return library ? (function)dlsym(library, "fastsig_sigmoid_f32") : NULL;
}

static double time_of(function f, size_t n, int calls) {
    const double start = now();
    for (int i = 0; i < calls; i++) f(x, out, n);
    return (now() - start) / calls;
}

static void compare(function *builds, size_t n, const char *environment) {
    double best[] = {1e18, 1e18};
    const int calls = n < 10000 ? 20000 : 20;
    for (int round = 0; round < 200; round++)
        for (int i = 0; i < 2; i++) {
            const double time = time_of(builds[i], n, calls);
            best[i] = time < best[i] ? time : best[i];
        }
    printf("%-16s %8zu elements: %10.1f ns without, %10.1f with\n", environment, n, best[0], best[1]);
}

int main(int count, char **paths) {
    static const size_t sizes[] = {1, 16, 100, 1000, MOST};
    if (count != 3) return puts("two libraries are needed"), 2;
    function builds[] = {load(paths[1]), load(paths[2])};
    if (!builds[0] || !builds[1]) return 1;
    for (int i = 0; i < MOST; i++) x[i] = (float)(i % 200 - 100) * 0.1f;
    for (int i = 0; i < 5; i++) compare(builds, sizes[i], "default");
    _mm_setcsr(_mm_getcsr() | FLUSH_AND_ZERO);
    for (int i = 0; i < 5; i++) compare(builds, sizes[i], "flush to zero");
    return 0;
}
