/* An exact sum of doubles: a fixed-point number of 68 digits of 32 bits in 64-bit words, the lowest bit worth 2^-1074.
 *
 * Additions commute, so the order and the number of adders leave no trace. A word takes 2^30 additions before it could overflow;
 * exact_carry makes room for as many more. Non-finite numbers are counted apart. Twins: exact_add, exact_add_integer and exact_carry in
 * fastsig/kernels/numba/blocks.py. */
#ifndef FASTSIG_EXACT_SUM_H
#define FASTSIG_EXACT_SUM_H
#include <stdint.h>
#include <string.h>

enum { SUM_DIGITS = 68, SUM_NAN = 68, SUM_INF = 69, SUM_NEG_INF = 70, SUM_WORDS = 72 };

/* k * 2^(at - 1074) */
static inline void exact_add_integer(int64_t *sum, int64_t k, int64_t at) {
    const int64_t digit = at >> 5, shift = at & 31, low = (k & 0xffffffff) << shift, high = (k >> 32) * ((int64_t)1 << shift);
    sum[digit] += low & 0xffffffff;
    sum[digit + 1] += (low >> 32) + (high & 0xffffffff);
    sum[digit + 2] += high >> 32;
}

static inline void exact_add(int64_t *sum, double v) {
    uint64_t u;
    memcpy(&u, &v, sizeof u);
    const int64_t e = (int64_t)(u >> 52 & 0x7ff), m = (int64_t)(u & 0xfffffffffffff), whole = e ? m | 1ll << 52 : m;
    if (e == 0x7ff) sum[m ? SUM_NAN : u >> 63 ? SUM_NEG_INF : SUM_INF]++;
    else exact_add_integer(sum, u >> 63 ? -whole : whole, e ? e - 1 : 0);
}

/* The same number with every digit but the last from 0 to 2^32 - 1. */
static inline void exact_carry(int64_t *sum) {
    for (int i = 0; i + 1 < SUM_DIGITS; i++) {
        sum[i + 1] += sum[i] >> 32;
        sum[i] &= 0xffffffff;
    }
}
#endif
