/* The quotient of two exact sums, rounded once to any of the types: what divides a loss by a count or by a sum of weights.
 *
 * Twin of `rounded` and `reciprocal` in Python (fastsig/losses/exact_sum.py, fastsig/kernels/plan.py), which use its integers. */
#ifndef FASTSIG_EXACT_QUOTIENT_H
#define FASTSIG_EXACT_QUOTIENT_H
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "exact_sum.h"

enum { UNIT_LOG2 = 1074, BIG_DIGITS = SUM_DIGITS + 4, QUOTIENT_DIGITS = 4 };

/* an integer of `length` digits of 32 bits, the lowest first; no digits for 0 */
typedef struct {
    uint32_t digits[BIG_DIGITS];
    int length;
    bool negative;
} big;

typedef struct {
    int precision, least; /* bits of the significand; log2 of the least positive number */
    double greatest;
} format;
static const format FORMAT_F16 = {11, -24, 65504}, FORMAT_BF16 = {8, -133, 0x1.FEp127};
static const format FORMAT_F32 = {24, -149, FLT_MAX}, FORMAT_F64 = {53, -1074, DBL_MAX};

static inline void trim(big *a) {
    while (a->length && !a->digits[a->length - 1]) a->length--;
}

/* digits in two's complement become sign and magnitude */
static inline void take_sign(big *a, bool negative) {
    a->negative = negative;
    for (int i = 0, more = 1; negative && i < a->length; i++) {
        a->digits[i] = ~a->digits[i] + (uint32_t)more;
        more = more && !a->digits[i];
    }
    trim(a);
}

static inline big big_of(uint64_t value) {
    big a = {.digits = {(uint32_t)value, (uint32_t)(value >> 32)}, .length = 2};
    trim(&a);
    return a;
}

/* the finite part of an exact sum, in units of 2^-1074 */
static inline big big_of_sum(const int64_t *sum) {
    big a = {.length = SUM_DIGITS + 2};
    int64_t carry = 0;
    for (int i = 0; i < a.length; i++) {
        const int64_t d = (i < SUM_DIGITS ? sum[i] : 0) + carry;
        a.digits[i] = (uint32_t)d;
        carry = d >> 32;
    }
    take_sign(&a, carry < 0);
    return a;
}

/* digits shifted left by 0 to 31 bits, `count` + 1 of them */
static inline void shift_left(uint32_t *to, const uint32_t *from, int count, int bits) {
    uint64_t carry = 0;
    for (int i = 0; i < count; i++) {
        carry |= (uint64_t)from[i] << bits;
        to[i] = (uint32_t)carry;
        carry >>= 32;
    }
    to[count] = (uint32_t)carry;
}

/* One digit of u / v, both shifted so that v's first bit is 1 (Knuth, The Art of Computer Programming 2, algorithm D): u has one
 * digit more than v, and is left with the remainder. */
static inline uint32_t next_digit(uint32_t *u, const uint32_t *v, int length) {
    const uint64_t top = (uint64_t)u[length] << 32 | u[length - 1], first = v[length - 1];
    uint64_t q = top / first, r = top % first;
    while (length > 1 && r >> 32 == 0 && (q >> 32 || q * v[length - 2] > (r << 32 | u[length - 2]))) q--, r += first;
    if (q >> 32) q = 0xffffffff;
    int64_t borrow = 0;
    uint64_t carry = 0;
    for (int i = 0; i < length; i++) {
        carry += q * v[i];
        borrow += (int64_t)u[i] - (int64_t)(uint32_t)carry;
        u[i] = (uint32_t)borrow;
        borrow >>= 32;
        carry >>= 32;
    }
    borrow += (int64_t)u[length] - (int64_t)carry;
    u[length] = (uint32_t)borrow;
    for (; borrow < 0; q--) {
        uint64_t sum = 0;
        for (int i = 0; i < length; i++) {
            sum += (uint64_t)u[i] + v[i];
            u[i] = (uint32_t)sum;
            sum >>= 32;
        }
        const uint64_t last = (uint64_t)u[length] + sum;
        u[length] = (uint32_t)last;
        if (last >> 32) borrow = 0;
    }
    return (uint32_t)q;
}

/* a / b * 2^shift for a positive b, rounded once, to even, and to an infinity beyond the greatest */
static inline double rounded_quotient(const big *a, const big *b, int shift, format to) {
    if (!a->length) return 0;
    const int length = b->length, wanted = length + QUOTIENT_DIGITS - 1; /* digits of a that give at least 65 bits */
    const int dropped = a->length - wanted;
    uint32_t top[BIG_DIGITS + QUOTIENT_DIGITS] = {0}, u[BIG_DIGITS + QUOTIENT_DIGITS + 1], v[BIG_DIGITS + 1];
    bool sticky = false;
    for (int i = 0; i < dropped; i++) sticky |= a->digits[i] != 0;
    for (int i = dropped < 0 ? -dropped : 0; i < wanted; i++) top[i] = a->digits[i + dropped];
    const int bits = __builtin_clz(b->digits[length - 1]);
    shift_left(v, b->digits, length, bits);
    shift_left(u, top, wanted, bits);
    unsigned __int128 q = 0;
    for (int i = QUOTIENT_DIGITS - 1; i >= 0; i--) q = q << 32 | next_digit(u + i, v, length);
    for (int i = 0; i < length; i++) sticky |= u[i] != 0;
    const int lowest = 32 * dropped + shift;
    int width = 0;
    for (unsigned __int128 rest = q; rest; rest >>= 1) width++;
    int unit = lowest + width - to.precision;
    unit = unit > to.least ? unit : to.least;
    const int cut = unit - lowest;
    double value = 0;
    if (cut <= width) {
        uint64_t kept = cut > 127 ? 0 : (uint64_t)(q >> cut);
        const unsigned __int128 half = (unsigned __int128)1 << (cut - 1), low = q & ((half << 1) - 1);
        if (low > half || (low == half && (sticky || kept & 1))) kept++;
        value = ldexp((double)kept, unit);
        if (value > to.greatest) value = INFINITY;
    }
    return a->negative ? -value : value;
}

/* 1 / (b * 2^-1074) as the sum of two numbers of the computing type */
static inline void two_part_reciprocal(const big *b, bool is_float, double *head, double *rest) {
    const big one = big_of(1);
    const double exact = rounded_quotient(&one, b, UNIT_LOG2, FORMAT_F64);
    *head = is_float ? (double)(float)exact : exact;
    *rest = 0;
    if (!isfinite(*head) || *head == 0) return;
    int exponent;
    const uint64_t m = (uint64_t)ldexp(frexp(*head, &exponent), 53);
    exponent -= 53; /* head is m * 2^exponent, and what is left over is (2^(1074 - exponent) - m * b) / b * 2^exponent */
    big left = {.length = BIG_DIGITS};
    const int at = UNIT_LOG2 - exponent;
    int64_t borrow = 0;
    unsigned __int128 carry = 0;
    for (int i = 0; i < BIG_DIGITS; i++) {
        if (i < b->length) carry += (unsigned __int128)m * b->digits[i];
        borrow += (int64_t)(i == at / 32 ? 1u << at % 32 : 0) - (int64_t)(uint32_t)carry;
        left.digits[i] = (uint32_t)borrow;
        borrow >>= 32;
        carry >>= 32;
    }
    take_sign(&left, borrow < 0);
    const double lost = rounded_quotient(&left, b, exponent, FORMAT_F64);
    *rest = is_float ? (double)(float)lost : lost;
}
#endif
