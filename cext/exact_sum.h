/* An exact sum of doubles: a fixed-point number of 68 digits of 32 bits in 64-bit words, the lowest bit worth 2^-1074.
 *
 * Additions commute, so the order and the number of adders leave no trace. A word takes 2^30 additions before it could overflow,
 * which is 2^40 elements in blocks of 1,024. Non-finite numbers are counted apart. Twin: exact_add in fastsig/kernels/numba/blocks.py. */
#ifndef FASTSIG_EXACT_SUM_H
#define FASTSIG_EXACT_SUM_H
#include <stdint.h>
#include <string.h>

enum { SUM_DIGITS = 68, SUM_NAN = 68, SUM_INF = 69, SUM_NEG_INF = 70, SUM_WORDS = 72 };

static inline void exact_add(int64_t *sum, double v) {
    uint64_t u;
    memcpy(&u, &v, sizeof u);
    const int64_t e = (int64_t)(u >> 52 & 0x7ff);
    uint64_t m = u & 0xfffffffffffff;
    if (e == 0x7ff) {
        sum[m ? SUM_NAN : u >> 63 ? SUM_NEG_INF : SUM_INF]++;
        return;
    }
    if (e) m |= 1ull << 52;
    const int64_t at = e ? e - 1 : 0, digit = at >> 5, shift = at & 31;
    const uint64_t low = (m & 0xffffffff) << shift, high = (m >> 32) << shift;
    const int64_t d0 = (int64_t)(low & 0xffffffff), d1 = (int64_t)((low >> 32) + (high & 0xffffffff)), d2 = (int64_t)(high >> 32);
    const int64_t sign = u >> 63 ? -1 : 1;
    sum[digit] += sign * d0;
    sum[digit + 1] += sign * d1;
    sum[digit + 2] += sign * d2;
}
#endif
