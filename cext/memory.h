/* What every array loop needs around its arithmetic: the last elements, and stores past the caches. */
#ifndef FASTSIG_MEMORY_H
#define FASTSIG_MEMORY_H
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

enum { LINE = 64 };

/* ---- the last elements, which fill no line: to a line of their own, zeros after them, and back ----
 *
 * Stores of a line's parts that a load of the whole line follows would make the load wait until all are done. */
#if defined(__AVX512BW__)
static inline __mmask64 rest_mask(size_t bytes) { return ((__mmask64)1 << bytes) - 1; }
static inline void load_rest(void *line, const void *from, size_t bytes) {
    _mm512_store_si512(line, _mm512_maskz_loadu_epi8(rest_mask(bytes), from));
}
static inline void store_rest(void *to, const void *line, size_t bytes) {
    _mm512_mask_storeu_epi8(to, rest_mask(bytes), _mm512_load_si512(line));
}
#else
static inline void copy_rest(char *to, const char *from, size_t bytes) {
#define PART(count) \
    if (bytes & count) memcpy(to, from, count), to += count, from += count;
    PART(32) PART(16) PART(8) PART(4) PART(2)
#undef PART
}
static inline void load_rest(void *line, const void *from, size_t bytes) {
    memset(line, 0, LINE);
    copy_rest(line, from, bytes);
}
static inline void store_rest(void *to, const void *line, size_t bytes) { copy_rest(to, line, bytes); }
#endif

/* ---- a line to its place; stream: past the caches, for outputs larger than these ----
 *
 * In registers of the width that computed it: GCC makes a memcpy with AVX2 out of halves of them, by way of the stack. */
static inline void store_line(char *out, const void *line, bool stream) {
#if defined(__AVX512F__)
    if (stream) _mm512_stream_si512((void *)out, _mm512_load_si512(line));
    else _mm512_storeu_si512(out, _mm512_load_si512(line));
#elif defined(__AVX__)
    for (int i = 0; i < LINE; i += 32) {
        const __m256i part = _mm256_load_si256((const void *)((const char *)line + i));
        if (stream) _mm256_stream_si256((void *)(out + i), part);
        else _mm256_storeu_si256((void *)(out + i), part);
    }
#elif defined(__SSE2__)
    if (!stream) memcpy(out, line, LINE);
    else
        for (int i = 0; i < LINE; i += 16) _mm_stream_si128((void *)(out + i), _mm_load_si128((const void *)((const char *)line + i)));
#else
    (void)stream;
    memcpy(out, line, LINE);
#endif
}
#endif
