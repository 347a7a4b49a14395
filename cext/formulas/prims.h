/* Scalar primitives with one meaning on every machine; twin of fastsig/formulas/prims.py.
 *
 * Included once for each real type: R is float or double, I and U the integers of the same width, FN(f) the name f_f32 or f_f64.
 * The formulas use these names instead of operators so that nothing is left that a compiler may contract or reorder. */
#define fma(a, b, c) _Generic((R)0, float: __builtin_fmaf, double: __builtin_fma)(a, b, c)
#define add(a, b) ((R)((R)(a) + (R)(b)))
#define sub(a, b) ((R)((R)(a) - (R)(b)))
#define mul(a, b) ((R)((R)(a) * (R)(b)))
#define div(a, b) ((R)((R)(a) / (R)(b)))
#define neg(a) (-(R)(a))
#define absolute(a) _Generic((R)0, float: __builtin_fabsf, double: __builtin_fabs)(a)
#define select(c, a, b) ((c) ? (R)(a) : (R)(b))
#define at_most(a, b) FN(at_most_of)(a, b)
#define shl(i, n) ((I)((U)(i) << (n)))
#define shr(i, n) ((I)((I)(i) >> (n)))
#define iadd(i, j) ((I)((U)(i) + (U)(j)))
#define isub(i, j) ((I)((U)(i) - (U)(j)))
#define iand(i, j) ((I)((I)(i) & (I)(j)))
#define to_real(i) FN(real_from)(i)
#define bits(x) FN(bits_of)(x)
#define unbits(i) FN(real_of)(i)
#define horner(c, x) FN(horner_of)(c, (int)(sizeof(c) / sizeof((c)[0])), x)

FORMULA I FN(bits_of)(R x) {
    I i;
    __builtin_memcpy(&i, &x, sizeof i);
    return i;
}

FORMULA R FN(real_of)(I i) {
    R x;
    __builtin_memcpy(&x, &i, sizeof x);
    return x;
}

/* in the one order of operands in which GCC takes it for x86's minimum, whose second operand is the result where one is NaN */
FORMULA R FN(at_most_of)(R a, R b) {
    return b < a ? b : a;
}

/* x86 has no vector conversion of 64-bit integers before AVX-512DQ: there the upper half goes into the low bits of 2^52 + 2^31 */
FORMULA R FN(real_from)(I i) {
#if defined(__x86_64__) && !defined(__AVX512DQ__)
    if (sizeof(I) == 8) return (R)((FN(real_of)((I)(((uint64_t)i >> 32) ^ 0x4330000080000000)) - 0x1.000008p52) * 0x1p32);
#endif
    return (R)i;
}

/* c[0] + c[1] x + ... + c[n-1] x^(n-1), one fma a step from the top */
FORMULA R FN(horner_of)(const R *c, int n, R x) {
    R p = c[n - 1];
#pragma GCC unroll 32
    for (int i = n - 2; i >= 0; i--) p = fma(p, x, c[i]);
    return p;
}
