/* A matrix whose columns lie side by side in memory, as one whose rows do. */
#ifndef FASTSIG_TRANSPOSE_H
#define FASTSIG_TRANSPOSE_H
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__)
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

#if defined(__SSE2__)
static inline __attribute__((always_inline)) void transpose_square_f16(const uint16_t *from, int64_t stride, uint16_t *to, int64_t apart) {
    __m128i rows[8], pairs[8], fours[8];
    for (int i = 0; i < 8; i++) rows[i] = _mm_loadu_si128((const __m128i *)(from + i * stride));
    for (int i = 0; i < 8; i += 2) {
        pairs[i] = _mm_unpacklo_epi16(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm_unpackhi_epi16(rows[i], rows[i + 1]);
    }
    for (int i = 0; i < 8; i += 4)
        for (int k = 0; k < 2; k++) {
            fours[i + 2 * k] = _mm_unpacklo_epi32(pairs[i + k], pairs[i + k + 2]);
            fours[i + 2 * k + 1] = _mm_unpackhi_epi32(pairs[i + k], pairs[i + k + 2]);
        }
    for (int i = 0; i < 4; i++) {
        _mm_storeu_si128((__m128i *)(to + 2 * i * apart), _mm_unpacklo_epi64(fours[i], fours[i + 4]));
        _mm_storeu_si128((__m128i *)(to + (2 * i + 1) * apart), _mm_unpackhi_epi64(fours[i], fours[i + 4]));
    }
}
#else
TRANSPOSE_SQUARE(transpose_square_f16, uint16_t, SQUARE)
#endif
TRANSPOSE_SQUARE(transpose_small_f16, uint16_t, SMALL)

static inline __attribute__((always_inline)) void transpose_square_f64(const double *from, int64_t stride, double *to, int64_t apart) {
    for (int i = 0; i < SQUARE; i += SMALL)
        for (int j = 0; j < SQUARE; j += SMALL) transpose_small_f64(from + j * stride + i, stride, to + i * apart + j, apart);
}

/* ---- rows times columns of them ---- */
#define TRANSPOSE(SFX, R)                                                                                                  \
    static inline void transpose_##SFX(const R *from, int64_t stride, int64_t rows, int64_t columns, R *to, int64_t apart) {      \
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
TRANSPOSE(f16, uint16_t)
TRANSPOSE(f32, float)
TRANSPOSE(f64, double)

/* ---- squares of whole lines ---- */
#if defined(__AVX512F__)
enum { WIDE = 16 };
static inline __attribute__((always_inline)) void transpose_wide_f32(const float *from, int64_t stride, float *to, int64_t apart) {
    __m512 pairs[WIDE], fours[WIDE];
    for (int i = 0; i < WIDE; i += 2) {
        const __m512 even = _mm512_loadu_ps(from + i * stride), odd = _mm512_loadu_ps(from + (i + 1) * stride);
        pairs[i] = _mm512_unpacklo_ps(even, odd);
        pairs[i + 1] = _mm512_unpackhi_ps(even, odd);
    }
    for (int i = 0; i < WIDE; i += 4)
        for (int k = 0; k < 2; k++) {
            fours[i + 2 * k] = _mm512_shuffle_ps(pairs[i + k], pairs[i + k + 2], 0x44);
            fours[i + 2 * k + 1] = _mm512_shuffle_ps(pairs[i + k], pairs[i + k + 2], 0xee);
        }
    for (int i = 0; i < 4; i++) { /* four columns of each quarter of the rows; first those whose number is even when divided by four */
        const __m512 even_low = _mm512_shuffle_f32x4(fours[i], fours[i + 4], 0x88), odd_low = _mm512_shuffle_f32x4(fours[i], fours[i + 4], 0xdd);
        const __m512 even_high = _mm512_shuffle_f32x4(fours[i + 8], fours[i + 12], 0x88), odd_high = _mm512_shuffle_f32x4(fours[i + 8], fours[i + 12], 0xdd);
        _mm512_storeu_ps(to + i * apart, _mm512_shuffle_f32x4(even_low, even_high, 0x88));
        _mm512_storeu_ps(to + (i + 8) * apart, _mm512_shuffle_f32x4(even_low, even_high, 0xdd));
        _mm512_storeu_ps(to + (i + 4) * apart, _mm512_shuffle_f32x4(odd_low, odd_high, 0x88));
        _mm512_storeu_ps(to + (i + 12) * apart, _mm512_shuffle_f32x4(odd_low, odd_high, 0xdd));
    }
}
static inline __attribute__((always_inline)) void transpose_wide_f64(const double *from, int64_t stride, double *to, int64_t apart) {
    __m512d pairs[2][4];
    for (int i = 0; i < 4; i++) {
        const __m512d even = _mm512_loadu_pd(from + 2 * i * stride), odd = _mm512_loadu_pd(from + (2 * i + 1) * stride);
        pairs[0][i] = _mm512_unpacklo_pd(even, odd);
        pairs[1][i] = _mm512_unpackhi_pd(even, odd);
    }
    for (int i = 0; i < 2; i++) {
        const __m512d low = _mm512_shuffle_f64x2(pairs[i][0], pairs[i][1], 0x88), high = _mm512_shuffle_f64x2(pairs[i][2], pairs[i][3], 0x88);
        const __m512d low_2 = _mm512_shuffle_f64x2(pairs[i][0], pairs[i][1], 0xdd), high_2 = _mm512_shuffle_f64x2(pairs[i][2], pairs[i][3], 0xdd);
        _mm512_storeu_pd(to + i * apart, _mm512_shuffle_f64x2(low, high, 0x88));
        _mm512_storeu_pd(to + (i + 4) * apart, _mm512_shuffle_f64x2(low, high, 0xdd));
        _mm512_storeu_pd(to + (i + 2) * apart, _mm512_shuffle_f64x2(low_2, high_2, 0x88));
        _mm512_storeu_pd(to + (i + 6) * apart, _mm512_shuffle_f64x2(low_2, high_2, 0xdd));
    }
}
#else
enum { WIDE = SQUARE };
#define transpose_wide_f32 transpose_square_f32
#define transpose_wide_f64 transpose_square_f64
#endif

/* For an element's size in bytes, and a step in bytes between columns. By few columns at a time: lines of memory that meet in the cache
 * are then read as a whole before they leave it. */
static inline void transpose(const char *from, ptrdiff_t step, size_t size, size_t rows, size_t columns, void *to) {
    const int64_t stride = step / (ptrdiff_t)size, down = (int64_t)rows, across = (int64_t)columns;
    int64_t column = 0;
    for (; size == sizeof(float) && column + WIDE <= across; column += WIDE) {
        const float *const first = (const float *)from + column * stride;
        float *const place = (float *)to + column;
        const int64_t whole = down / WIDE * WIDE;
        for (int64_t row = 0; row < whole; row += WIDE) transpose_wide_f32(first + row, stride, place + row * across, across);
        transpose_f32(first + whole, stride, down - whole, WIDE, place + whole * across, across);
    }
    for (; size == sizeof(double) && column + SQUARE <= across; column += SQUARE) {
        const double *const first = (const double *)from + column * stride;
        double *const place = (double *)to + column;
        const int64_t whole = down / SQUARE * SQUARE;
        for (int64_t row = 0; row < whole; row += SQUARE) transpose_wide_f64(first + row, stride, place + row * across, across);
        transpose_f64(first + whole, stride, down - whole, SQUARE, place + whole * across, across);
    }
    for (; column < across; column += SQUARE) {
        const int64_t few = across - column < SQUARE ? across - column : SQUARE;
        if (size == 2) transpose_f16((const uint16_t *)from + column * stride, stride, down, few, (uint16_t *)to + column, across);
        else if (size == 4) transpose_f32((const float *)from + column * stride, stride, down, few, (float *)to + column, across);
        else transpose_f64((const double *)from + column * stride, stride, down, few, (double *)to + column, across);
    }
}
#endif
