/* The exact sum of a block, written once for float and double, as reduce_real.h. Twin: block_sum_of in fastsig/kernels/numba/blocks.py.
 *
 * A fold takes from each element its multiple of 2^grid: where 1.5 * 2^(grid + MANTISSA) is added, the sum is rounded to that grid, and
 * its bits are those of what was added plus the multiple, so multiples are added as integers. What is left of an element is exact, at
 * most half of the grid, and folded on a finer one. */

enum {
    FN(MANTISSA) = sizeof(R) == 4 ? 23 : 52,
    FN(BIAS) = sizeof(R) == 4 ? 127 : 1023,
    FN(LEAST) = 1 - FN(BIAS) - FN(MANTISSA), /* log2 of the least positive number */
    FN(MULTIPLE) = sizeof(R) == 4 ? 20 : 51, /* log2 of the greatest multiple: no sum of 1,024 overflows */
    FN(FIRST) = sizeof(R) == 4 ? -11 : -41,  /* the grids for what nearly all losses are: below 2^10, and no bits below the last grid */
    FN(SECOND) = sizeof(R) == 4 ? -32 : -93,
    FN(THIRD) = sizeof(R) == 4 ? -53 : 0,
};

FORMULA R FN(rounding_to)(int grid) { return unbits((I)((U)(grid + FN(MANTISSA) + FN(BIAS)) << FN(MANTISSA) | (U)1 << (FN(MANTISSA) - 1))); }

static inline void FN(add_multiples)(int64_t *sum, U rounded, R rounding, size_t n, int grid) {
    exact_add_integer(sum, (I)(rounded - (U)n * (U)bits(rounding)), grid + 1074);
}

/* Any numbers, by as many folds as they need, which leave zeros of them. */
static void FN(add_any)(R *v, size_t n, int64_t *sum) {
    const I magnitude = (I)((U)-1 >> 1), greatest = bits(FN(rounding_to)(FN(BIAS) - FN(MANTISSA) - 4));
    I most = 0;
    LOOP(n) {
        const I a = bits(v[j]) & magnitude;
        most = a > most ? a : most;
    }
    if (most > greatest) { /* no numbers, or as good as none: a fold would overflow */
        most = 0;
        for (size_t j = 0; j < n; j++) {
            const I a = bits(v[j]) & magnitude;
            if (a > greatest) exact_add(sum, (double)v[j]), v[j] = 0;
            else most = a > most ? a : most;
        }
    }
    int exponent = (int)(most >> FN(MANTISSA));
    exponent = exponent ? exponent : 1;
    U left = (U)most;
    for (int grid = exponent - FN(BIAS) + 1 - FN(MULTIPLE); left; grid -= FN(MULTIPLE) + 1) {
        grid = grid < FN(LEAST) ? FN(LEAST) : grid;
        const R rounding = FN(rounding_to)(grid);
        U rounded = 0;
        left = 0;
        LOOP(n) {
            const R t = add(v[j], rounding);
            rounded += (U)bits(t);
            v[j] = sub(v[j], sub(t, rounding));
            left |= (U)bits(v[j]);
        }
        left <<= 1; /* not the sign of a zero */
        FN(add_multiples)(sum, rounded, rounding, n, grid);
    }
    exact_carry(sum);
}

/* Of at most 1,024 elements. Behind a shorter block there is room for the zeros that fill a line; what the folds left of each element
 * is put into `rest`. */
static void FN(add_block)(R *v, R *rest, size_t n, int64_t *sum) {
    enum { LANES = LINE / sizeof(R) };
    const size_t width = (n + LANES - 1) / LANES * LANES;
    for (size_t j = n; j < width; j++) v[j] = 0;
    const R to_first = FN(rounding_to)(FN(FIRST)), to_second = FN(rounding_to)(FN(SECOND)), to_third = FN(rounding_to)(FN(THIRD));
    U first = 0, second = 0, third = 0, seen = 0, left = 0;
    LOOP(width) {
        R t = add(v[j], to_first), r = sub(v[j], sub(t, to_first));
        U multiple = (U)bits(t) ^ (U)bits(to_first);
        first += multiple;
        seen |= multiple;
        t = add(r, to_second), r = sub(r, sub(t, to_second));
        second += (U)bits(t);
        if (FN(THIRD)) {
            t = add(r, to_third), r = sub(r, sub(t, to_third));
            third += (U)bits(t);
        }
        rest[j] = r;
        left |= (U)bits(r);
    }
    if (seen >> (FN(MULTIPLE) + (sizeof(R) == 4))) { /* one is negative, too great, or no number */
        FN(add_any)(v, width, sum);
        return;
    }
    exact_add_integer(sum, (int64_t)first, FN(FIRST) + 1074);
    FN(add_multiples)(sum, second, to_second, width, FN(SECOND));
    if (FN(THIRD)) FN(add_multiples)(sum, third, to_third, width, FN(THIRD));
    if (left << 1) FN(add_any)(rest, width, sum);
}
