/* Elements that lie so many bytes apart, put side by side, and back. Steps of up to four elements either way are loops that compilers
 * turn into shuffles of whole registers. Nothing outside of the first to the last element is read, and nothing between them is written.
 *
 * Addresses need not be aligned. */
#ifndef FASTSIG_STRIDED_H
#define FASTSIG_STRIDED_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "memory.h"

typedef uint8_t __attribute__((may_alias)) bits_1;
typedef uint16_t __attribute__((aligned(1), may_alias)) bits_2;
typedef uint32_t __attribute__((aligned(1), may_alias)) bits_4;
typedef uint64_t __attribute__((aligned(1), may_alias)) bits_8;

#if defined(__AVX512BW__)
/* Every second element of `to` until fewer than a register's are left; returns how many that were. Masked stores leave the others as
 * they are, and take a quarter of the time of storing each element. */
#define PLACES_16 _mm256_setr_epi8(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15)
#define PLACES_32 _mm_setr_epi8(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7)
#define PLACES_64 PLACES_32
#define SPREAD(T, width, mask)                                                                                              \
    static inline ptrdiff_t spread_##T(T *to, const T *from, ptrdiff_t n) {                                                 \
        enum { W = 64 / sizeof(T) };                                                                                        \
        const __m512i low = _mm512_cvtepu8_epi##width(PLACES_##width), high = _mm512_add_epi##width(low, _mm512_set1_epi##width(W / 2)); \
        ptrdiff_t i = 0;                                                                                                    \
        for (; i + W <= n; i += W) {                                                                                        \
            const __m512i line = _mm512_loadu_si512(from + i);                                                              \
            _mm512_mask_storeu_epi##width(to + 2 * i, mask, _mm512_permutexvar_epi##width(low, line));                      \
            _mm512_mask_storeu_epi##width(to + 2 * i + W, mask, _mm512_permutexvar_epi##width(high, line));                 \
        }                                                                                                                   \
        return i;                                                                                                           \
    }
#else
#define SPREAD(T, width, mask) \
    static inline ptrdiff_t spread_##T(T *to, const T *from, ptrdiff_t n) { return (void)to, (void)from, (void)n, 0; }
#endif
SPREAD(bits_2, 16, 0x55555555)
SPREAD(bits_4, 32, 0x5555)
SPREAD(bits_8, 64, 0x55)

/* A line at a time: a call of memcpy, which compilers would make of a loop, takes longer than the few lines of a block. */
static inline void copy_side_by_side(char *restrict to, const char *restrict from, ptrdiff_t bytes) {
#define PARTS(size)                                                     \
    for (; bytes >= size; bytes -= size, to += size, from += size) {    \
        memcpy(to, from, size);                                         \
        __asm__ volatile("" : : : "memory");                            \
    }
    PARTS(LINE) PARTS(8) PARTS(1)
#undef PARTS
}

enum { FEW = 64 };

/* Steps downwards by way of elements turned round: the hardware's prefetcher follows lines that come in one direction. */
#define GATHER(T)                                                                                                           \
    static inline void gather_up_##T(T *restrict to, const char *from, ptrdiff_t step, ptrdiff_t n) {                       \
        const T *const restrict first = (const T *)from;                                                                    \
        const ptrdiff_t size = sizeof(T);                                                                                   \
        if (step == size) copy_side_by_side((char *)to, from, n * size);                                                    \
        else if (step == 2 * size) for (ptrdiff_t i = 0; i < n; i++) to[i] = first[2 * i];                                  \
        else if (step == 3 * size) for (ptrdiff_t i = 0; i < n; i++) to[i] = first[3 * i];                                  \
        else if (step == 4 * size) for (ptrdiff_t i = 0; i < n; i++) to[i] = first[4 * i];                                  \
        else for (ptrdiff_t i = 0; i < n; i++) to[i] = *(const T *)(from + i * step);                                       \
    }                                                                                                                       \
    static inline void turn_##T(T *restrict to, const T *restrict from, ptrdiff_t n) {                                      \
        for (ptrdiff_t i = 0; i < n; i++) to[i] = from[-i];                                                                 \
    }                                                                                                                       \
    static inline void gather_##T(T *restrict to, const char *from, ptrdiff_t step, ptrdiff_t n) {                          \
        const ptrdiff_t size = sizeof(T), steps = step / size;                                                              \
        if (step == -size) turn_##T(to, (const T *)from, n);                                                                \
        else if (steps >= 0 || steps < -4 || step % size) gather_up_##T(to, from, step, n);                                 \
        else for (ptrdiff_t i = 0, take; i < n; i += take) {                                                                \
            T turned[4 * FEW];                                                                                              \
            take = n - i < FEW ? n - i : FEW;                                                                               \
            turn_##T(turned, (const T *)(from + i * step), (take - 1) * -steps + 1);                                        \
            gather_up_##T(to + i, (const char *)turned, -step, take);                                                       \
        }                                                                                                                   \
    }
#define MOVES(T, reversed_bytes)                                                                                            \
    GATHER(T)                                                                                                               \
    static inline void scatter_##T(char *to, ptrdiff_t step, const T *restrict from, ptrdiff_t n) {                         \
        T *const restrict first = (T *)to;                                                                                  \
        const ptrdiff_t size = sizeof(T);                                                                                   \
        if (step == size) copy_side_by_side((char *)to, (const char *)from, n * size);                                                             \
        else if (step == -size) for (ptrdiff_t i = 0; i < n; i++) first[-i] = from[i];                                      \
        else for (ptrdiff_t i = step == 2 * size ? spread_##T(first, from, n) : 0; i < n; i++) *(T *)(to + i * step) = from[i]; \
    }                                                                                                                       \
    static inline void swap_##T(T *elements, ptrdiff_t n) {                                                                 \
        for (ptrdiff_t i = 0; i < n; i++) elements[i] = reversed_bytes(elements[i]);                                        \
    }
GATHER(bits_1)
MOVES(bits_2, __builtin_bswap16)
MOVES(bits_4, __builtin_bswap32)
MOVES(bits_8, __builtin_bswap64)
#undef SPREAD
#undef GATHER
#undef MOVES

/* ---- for an element's size in bytes ---- */
static inline void gather_strided(void *to, const char *from, ptrdiff_t step, size_t size, size_t n) {
    if (size == 2) gather_bits_2(to, from, step, (ptrdiff_t)n);
    else if (size == 4) gather_bits_4(to, from, step, (ptrdiff_t)n);
    else if (size == 8) gather_bits_8(to, from, step, (ptrdiff_t)n);
    else gather_bits_1(to, from, step, (ptrdiff_t)n);
}

static inline void scatter_strided(char *to, ptrdiff_t step, const void *from, size_t size, size_t n) {
    if (size == 2) scatter_bits_2(to, step, from, (ptrdiff_t)n);
    else if (size == 4) scatter_bits_4(to, step, from, (ptrdiff_t)n);
    else scatter_bits_8(to, step, from, (ptrdiff_t)n);
}

/* To the other byte order, in place. */
static inline void swap_byte_order(void *elements, size_t size, size_t n) {
    if (size == 2) swap_bits_2(elements, (ptrdiff_t)n);
    else if (size == 4) swap_bits_4(elements, (ptrdiff_t)n);
    else swap_bits_8(elements, (ptrdiff_t)n);
}

/* Side by side, past the caches where lines of `to` are whole. */
static inline void stream_lines(char *to, const void *from, size_t size, size_t n) {
    const char *at = from;
    size_t rest = n * size, head = (LINE - (uintptr_t)to % LINE) % LINE;
    head = head < rest ? head : rest;
    copy_side_by_side(to, at, (ptrdiff_t)head);
    for (to += head, at += head, rest -= head; rest >= LINE; rest -= LINE, to += LINE, at += LINE) {
        _Alignas(LINE) char line[LINE];
        memcpy(line, at, LINE);
        store_line(to, line, true);
    }
    copy_side_by_side(to, at, (ptrdiff_t)rest);
}
#endif
