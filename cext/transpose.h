/* A matrix whose columns lie side by side in memory, as one whose rows do. */
#ifndef FASTSIG_TRANSPOSE_H
#define FASTSIG_TRANSPOSE_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

enum { SQUARE = 8, SMALL = 4 };

/* ---- one square: columns so many elements apart, to rows so many apart ---- */
#define TRANSPOSE_SQUARE(name, R, n)                                                                                            \
    static inline __attribute__((always_inline)) void name(const R *from, int64_t stride, R *to, int64_t apart) {            \
        R square[n][n];                                                                                                      \
        for (int i = 0; i < n; i++) memcpy(square[i], from + i * stride, sizeof square[i]);                                  \
        for (int i = 0; i < n; i++)                                                                                          \
            for (int j = 0; j < n; j++) to[i * apart + j] = square[j][i];                                                    \
    }
#if defined(__AVX2__)
static inline __attribute__((always_inline)) void transpose_square_f32(const float *from, int64_t stride, float *to, int64_t apart) {
    __m256 pairs[8], fours[8];
#define COLUMN(i) _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(from + (i) % 4 * stride + (i) / 4 * 4)), \
                                       _mm_loadu_ps(from + ((i) % 4 + 4) * stride + (i) / 4 * 4), 1)
    for (int i = 0; i < 8; i += 2) {
        pairs[i] = _mm256_unpacklo_ps(COLUMN(i), COLUMN(i + 1));
        pairs[i + 1] = _mm256_unpackhi_ps(COLUMN(i), COLUMN(i + 1));
    }
#undef COLUMN
    for (int i = 0; i < 8; i += 4)
        for (int k = 0; k < 2; k++) {
            fours[i + 2 * k] = _mm256_shuffle_ps(pairs[i + k], pairs[i + k + 2], 0x44);
            fours[i + 2 * k + 1] = _mm256_shuffle_ps(pairs[i + k], pairs[i + k + 2], 0xee);
        }
    for (int i = 0; i < 8; i++) _mm256_storeu_ps(to + i * apart, fours[i]);
}
#else
TRANSPOSE_SQUARE(transpose_square_f32, float, SQUARE)
#endif

#if defined(__AVX2__)
static inline __attribute__((always_inline)) void transpose_small_f32(const float *from, int64_t stride, float *to, int64_t apart) {
    __m128 rows[4];
    for (int i = 0; i < 4; i++) rows[i] = _mm_loadu_ps(from + i * stride);
    _MM_TRANSPOSE4_PS(rows[0], rows[1], rows[2], rows[3]);
    for (int i = 0; i < 4; i++) _mm_storeu_ps(to + i * apart, rows[i]);
}
static inline __attribute__((always_inline)) void transpose_small_f64(const double *from, int64_t stride, double *to, int64_t apart) {
    __m256d columns[4], pairs[4];
    for (int i = 0; i < 4; i++) columns[i] = _mm256_loadu_pd(from + i * stride);
    for (int i = 0; i < 4; i += 2) {
        pairs[i] = _mm256_unpacklo_pd(columns[i], columns[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_pd(columns[i], columns[i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        _mm256_storeu_pd(to + i * apart, _mm256_permute2f128_pd(pairs[i], pairs[i + 2], 0x20));
        _mm256_storeu_pd(to + (i + 2) * apart, _mm256_permute2f128_pd(pairs[i], pairs[i + 2], 0x31));
    }
}
#else
TRANSPOSE_SQUARE(transpose_small_f32, float, SMALL)
TRANSPOSE_SQUARE(transpose_small_f64, double, SMALL)
#endif

static inline __attribute__((always_inline)) void transpose_square_f64(const double *from, int64_t stride, double *to, int64_t apart) {
    for (int i = 0; i < SQUARE; i += SMALL)
        for (int j = 0; j < SQUARE; j += SMALL) transpose_small_f64(from + j * stride + i, stride, to + i * apart + j, apart);
}

/* ---- rows times columns of them ---- */
#define TRANSPOSE(SFX, R)                                                                                                  \
    static void transpose_##SFX(const R *from, int64_t stride, int64_t rows, int64_t columns, R *to, int64_t apart) {      \
        const int64_t whole = rows / SQUARE * SQUARE;                                                                      \
        for (int64_t row = 0; row < whole; row += SQUARE) {                                                                \
            int64_t column = 0;                                                                                            \
            for (; column + SQUARE <= columns; column += SQUARE)                                                           \
                transpose_square_##SFX(from + column * stride + row, stride, to + row * apart + column, apart);            \
            for (; column + SMALL <= columns; column += SMALL)                                                             \
                for (int64_t i = row; i < row + SQUARE; i += SMALL)                                                        \
                    transpose_small_##SFX(from + column * stride + i, stride, to + i * apart + column, apart);             \
            for (; column < columns; column++)                                                                             \
                for (int64_t i = row; i < row + SQUARE; i++) to[i * apart + column] = from[column * stride + i];           \
        }                                                                                                                  \
        for (int64_t column = 0; column < columns; column++)                                                               \
            for (int64_t row = whole; row < rows; row++) to[row * apart + column] = from[column * stride + row];           \
    }
TRANSPOSE(f32, float)
TRANSPOSE(f64, double)
#endif
