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

/* The cells in two steps: one chain of operations from the gates to the end is longer than what a processor looks ahead, and two
 * short ones took 0.75 of its time. What is between them stands aside, as an output may be an input that the second step still reads. */
static void FN(lstm_cell_in_steps)(char *const *at, size_t n) {
    POINTERS(5, 2)
    R c_new[BLOCK / sizeof(R)];
    LOOP(n) c_new[j] = FN(lstm_state)(x[0][j], x[1][j], x[2][j], x[4][j]);
    LOOP(n) {
        const R h = FN(lstm_output)(x[3][j], c_new[j]);
        y[0][j] = h;
        y[1][j] = c_new[j];
    }
}

static void FN(gru_cell_in_steps)(char *const *at, size_t n) {
    POINTERS(7, 1)
    R s[BLOCK / sizeof(R)];
    LOOP(n) s[j] = FN(gru_sum)(x[0][j], x[2][j], x[3][j], x[5][j]);
    LOOP(n) y[0][j] = FN(gru_state)(x[1][j], x[4][j], x[6][j], s[j]);
}
#undef POINTERS

#define ENTRY(op, nin, nout, arguments, looks, verdict, is_near, near_stores, any_stores) \
    [FUSED_##op] = {FN(op##_all_near), NEAR_ROW(op), FN(op##_any_row)},
#define NEAR_ROW(op) (FUSED_##op == FUSED_lstm_cell  ? FN(lstm_cell_in_steps) \
                      : FUSED_##op == FUSED_gru_cell ? FN(gru_cell_in_steps)  \
                                                     : FN(op##_near_row))
static const fused_loops FN(loops)[FUSED_COUNT] = {FASTSIG_FUSED(ENTRY)};
#undef NEAR_ROW
#undef ENTRY
