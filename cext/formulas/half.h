/* float16 and bfloat16 to float32 and back, by bits, rounding to nearest even; twin of fastsig/formulas/half.py. */
FORMULA uint32_t bits_of_float(float v) {
    uint32_t u;
    __builtin_memcpy(&u, &v, sizeof u);
    return u;
}

FORMULA float float_of_bits(uint32_t u) {
    float v;
    __builtin_memcpy(&v, &u, sizeof v);
    return v;
}

FORMULA float float_of_f16(uint16_t h) {
    uint32_t a = (uint32_t)(h & 0x7fff) << 13;
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t rebias = 112u << 23;
    uint32_t normal = a + rebias;
    uint32_t small = bits_of_float(float_of_bits(normal + (1u << 23)) - 0x1p-14f);
    uint32_t special = a | 0x7f800000;
    uint32_t u = a < (1u << 23) ? small : normal;
    u = a >= (31u << 23) ? special : u;
    return float_of_bits(u | sign);
}

FORMULA uint16_t f16_of_float(float v) {
    uint32_t u = bits_of_float(v);
    uint32_t sign = (u >> 16) & 0x8000;
    uint32_t a = u & 0x7fffffff;
    uint32_t rebias = 112u << 23;
    uint32_t normal = (a + 0xfff + ((a >> 13) & 1) - rebias) >> 13;
    uint32_t small = bits_of_float(float_of_bits(a) + 0.5f) - 0x3f000000;
    uint32_t special = a > 0x7f800000 ? 0x7e00 : 0x7c00;
    uint32_t h = a < 0x38800000 ? small : normal;
    h = a >= 0x47800000 ? special : h;
    return (uint16_t)(h | sign);
}

FORMULA float float_of_bf16(uint16_t h) {
    return float_of_bits((uint32_t)h << 16);
}

FORMULA uint32_t rounded_to_16(uint32_t u) {
    return (u + 0x7fff + ((u >> 16) & 1)) >> 16;
}

FORMULA uint16_t bf16_of_float(float v) {
    uint32_t u = bits_of_float(v);
    uint32_t quiet = (u >> 16) | 0x40;
    return (uint16_t)((u & 0x7fffffff) > 0x7f800000 ? quiet : rounded_to_16(u));
}

/* the same for n halves, n a multiple of 32, with the conversion instructions where there are any */
FORMULA void widen_f16(float *to, const uint16_t *from, size_t n) {
#if defined(__AVX512F__)
    for (size_t i = 0; i < n; i += 16) _mm512_storeu_ps(to + i, _mm512_cvtph_ps(_mm256_loadu_si256((const void *)(from + i))));
#elif defined(__F16C__)
    for (size_t i = 0; i < n; i += 8) _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128((const void *)(from + i))));
#else
    for (size_t i = 0; i < n; i++) to[i] = float_of_f16(from[i]);
#endif
}

/* one store a line: a wider load would wait for two narrower stores */
FORMULA void narrow_f16(uint16_t *to, const float *from, size_t n) {
#if defined(__AVX512F__)
    for (size_t i = 0; i < n; i += 32) {
        __m256i low = _mm512_cvtps_ph(_mm512_loadu_ps(from + i), 0), high = _mm512_cvtps_ph(_mm512_loadu_ps(from + i + 16), 0);
        _mm512_storeu_si512((void *)(to + i), _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1));
    }
#elif defined(__F16C__)
    for (size_t i = 0; i < n; i += 16) {
        __m128i low = _mm256_cvtps_ph(_mm256_loadu_ps(from + i), 0), high = _mm256_cvtps_ph(_mm256_loadu_ps(from + i + 8), 0);
        _mm256_storeu_si256((void *)(to + i), _mm256_set_m128i(high, low));
    }
#else
    for (size_t i = 0; i < n; i++) to[i] = f16_of_float(from[i]);
#endif
}

FORMULA void widen_bf16(float *to, const uint16_t *from, size_t n) {
    for (size_t i = 0; i < n; i++) to[i] = float_of_bf16(from[i]);
}

/* of results computed from bfloat16 alone: the low half of their NaN is 0, so that rounding cannot carry into its exponent */
FORMULA void narrow_bf16(uint16_t *to, const float *from, size_t n) {
    for (size_t i = 0; i < n; i++) to[i] = (uint16_t)rounded_to_16(bits_of_float(from[i]));
}
