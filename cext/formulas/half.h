/* float16 and bfloat16 to float32 and back, by bits, rounding to nearest even; twin of fastsig/formulas/half.py. */
static inline uint32_t bits_of_float(float v) {
    uint32_t u;
    __builtin_memcpy(&u, &v, sizeof u);
    return u;
}

static inline float float_of_bits(uint32_t u) {
    float v;
    __builtin_memcpy(&v, &u, sizeof v);
    return v;
}

static inline float float_of_f16(uint16_t h) {
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

static inline uint16_t f16_of_float(float v) {
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

static inline float float_of_bf16(uint16_t h) {
    return float_of_bits((uint32_t)h << 16);
}

static inline uint16_t bf16_of_float(float v) {
    uint32_t u = bits_of_float(v);
    uint32_t near = (u + 0x7fff + ((u >> 16) & 1)) >> 16;
    uint32_t quiet = (u >> 16) | 0x40;
    return (uint16_t)((u & 0x7fffffff) > 0x7f800000 ? quiet : near);
}
