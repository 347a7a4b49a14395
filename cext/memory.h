/* What every array loop needs around its arithmetic: the floating-point flags, and stores past the caches. */
#ifndef FASTSIG_MEMORY_H
#define FASTSIG_MEMORY_H
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_acle.h>
#endif

enum { LINE = 64 };

/* ---- floating-point flags: a kernel leaves them as it found them ---- */
#if defined(__SSE2__)
typedef unsigned flags_t;
static inline flags_t flags_save(void) { return _mm_getcsr(); }
static inline void flags_restore(flags_t flags) { _mm_setcsr(flags); }
#elif defined(__aarch64__)
typedef uint64_t flags_t;
static inline flags_t flags_save(void) {
    flags_t flags;
    __asm__ volatile("mrs %0, fpsr" : "=r"(flags)::"memory");
    return flags;
}
static inline void flags_restore(flags_t flags) { __asm__ volatile("msr fpsr, %0" ::"r"(flags) : "memory"); }
#else
#include <fenv.h>
typedef fexcept_t flags_t;
static inline flags_t flags_save(void) {
    flags_t flags;
    fegetexceptflag(&flags, FE_ALL_EXCEPT);
    return flags;
}
static inline void flags_restore(flags_t flags) { fesetexceptflag(&flags, FE_ALL_EXCEPT); }
#endif

/* ---- stores that go past the caches, for outputs larger than these ---- */
static inline void store_line(char *out, const void *line, bool stream) {
    if (!stream) {
        memcpy(out, line, LINE);
        return;
    }
#if defined(__AVX512F__)
    _mm512_stream_si512((void *)out, _mm512_load_si512(line));
#elif defined(__AVX__)
    for (int i = 0; i < LINE; i += 32) _mm256_stream_si256((void *)(out + i), _mm256_load_si256((const void *)((const char *)line + i)));
#elif defined(__SSE2__)
    for (int i = 0; i < LINE; i += 16) _mm_stream_si128((void *)(out + i), _mm_load_si128((const void *)((const char *)line + i)));
#else
    memcpy(out, line, LINE);
#endif
}
#endif
