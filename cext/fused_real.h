/* The part of fused.c that is written once for float and double: R and SFX say which.
 *
 * Of each operation three loops over n elements, which are whole lines: whether all inputs are near, the near formula for those, and
 * for any others both formulas and the choice between their results. */

/* The bits of the larger magnitude, as integers in the order of the magnitudes; infinity and NaN are above all others. */
FORMULA I FN(larger)(I most, R x) {
    const I u = bits(absolute(x));
    return u > most ? u : most;
}

#define POINTERS(nin, nout)                                     \
    enum { W = LINE / sizeof(R) };                              \
    const R *x[nin];                                            \
    R *y[nout];                                                 \
    for (int k = 0; k < nin; k++) x[k] = (const R *)at[k];      \
    for (int k = 0; k < nout; k++) y[k] = (R *)at[nin + k];     \
    n = n / W * W;

#define ROW(op, nin, nout, arguments, looks, verdict, is_near, near_stores, any_stores) \
    static bool FN(op##_all_near)(char *const *at, size_t n) {  \
        POINTERS(nin, nout)                                     \
        (void)y;                                                \
        I most[3] = {0};                                        \
        LOOP(n) {                                               \
            looks                                               \
        }                                                       \
        return verdict;                                         \
    }                                                           \
    static void FN(op##_near_row)(char *const *at, size_t n) {  \
        POINTERS(nin, nout)                                     \
        LOOP(n) {                                               \
            const __auto_type near = FN(op##_near) arguments;   \
            near_stores                                         \
        }                                                       \
    }                                                           \
    static void FN(op##_any_row)(char *const *at, size_t n) {   \
        POINTERS(nin, nout)                                     \
        LOOP(n) {                                               \
            const int here = is_near;                           \
            const __auto_type near = FN(op##_near) arguments;   \
            const __auto_type far = FN(op##_far) arguments;     \
            any_stores                                          \
        }                                                       \
    }
FASTSIG_FUSED(ROW)
#undef ROW
#undef POINTERS

#define ENTRY(op, nin, nout, arguments, looks, verdict, is_near, near_stores, any_stores) \
    [FUSED_##op] = {FN(op##_all_near), FN(op##_near_row), FN(op##_any_row)},
static const fused_loops FN(loops)[FUSED_COUNT] = {FASTSIG_FUSED(ENTRY)};
#undef ENTRY
