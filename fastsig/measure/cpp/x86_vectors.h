/* The widest vectors that this processor has, for libraries whose functions take them as they are. Before it is included, FLOAT and
 * DOUBLE make a library's name of a function from exp, log, log1p or tanh, the letter of the instruction set in glibc's ABI, and the
 * number of lanes; UNDECLARED says that the library has no header. */
#include <immintrin.h>

#include "operations.h"

#if defined(__AVX512F__)
#define FLOAT_TYPE __m512
#define DOUBLE_TYPE __m512d
#define INTRINSIC(name) _mm512_##name
#define FLOAT_FUNCTION(name) FLOAT(name, e, 16)
#define DOUBLE_FUNCTION(name) DOUBLE(name, e, 8)
#elif defined(__AVX2__)
#define FLOAT_TYPE __m256
#define DOUBLE_TYPE __m256d
#define INTRINSIC(name) _mm256_##name
#define FLOAT_FUNCTION(name) FLOAT(name, d, 8)
#define DOUBLE_FUNCTION(name) DOUBLE(name, d, 4)
#else
#define FLOAT_TYPE __m128
#define DOUBLE_TYPE __m128d
#define INTRINSIC(name) _mm_##name
#define FLOAT_FUNCTION(name) FLOAT(name, b, 4)
#define DOUBLE_FUNCTION(name) DOUBLE(name, b, 2)
#endif

#ifdef UNDECLARED
extern "C" {
FLOAT_TYPE FLOAT_FUNCTION(exp)(FLOAT_TYPE);
FLOAT_TYPE FLOAT_FUNCTION(log)(FLOAT_TYPE);
FLOAT_TYPE FLOAT_FUNCTION(log1p)(FLOAT_TYPE);
FLOAT_TYPE FLOAT_FUNCTION(tanh)(FLOAT_TYPE);
DOUBLE_TYPE DOUBLE_FUNCTION(exp)(DOUBLE_TYPE);
DOUBLE_TYPE DOUBLE_FUNCTION(log)(DOUBLE_TYPE);
DOUBLE_TYPE DOUBLE_FUNCTION(log1p)(DOUBLE_TYPE);
DOUBLE_TYPE DOUBLE_FUNCTION(tanh)(DOUBLE_TYPE);
}
#endif

struct Floats {
    using Vector = FLOAT_TYPE;
    using Scalar = float;
    static constexpr std::size_t lanes() { return sizeof(Vector) / sizeof(Scalar); }
    static Vector load(const float *x) { return INTRINSIC(loadu_ps)(x); }
    static void store(float *y, Vector v) { INTRINSIC(storeu_ps)(y, v); }
    static Vector all(float x) { return INTRINSIC(set1_ps)(x); }
    static Vector negative(Vector v) { return -v; }
    static Vector exp(Vector v) { return FLOAT_FUNCTION(exp)(v); }
    static Vector log(Vector v) { return FLOAT_FUNCTION(log)(v); }
    static Vector log1p(Vector v) { return FLOAT_FUNCTION(log1p)(v); }
    static Vector tanh(Vector v) { return FLOAT_FUNCTION(tanh)(v); }
};

struct Doubles {
    using Vector = DOUBLE_TYPE;
    using Scalar = double;
    static constexpr std::size_t lanes() { return sizeof(Vector) / sizeof(Scalar); }
    static Vector load(const double *x) { return INTRINSIC(loadu_pd)(x); }
    static void store(double *y, Vector v) { INTRINSIC(storeu_pd)(y, v); }
    static Vector all(double x) { return INTRINSIC(set1_pd)(x); }
    static Vector negative(Vector v) { return -v; }
    static Vector exp(Vector v) { return DOUBLE_FUNCTION(exp)(v); }
    static Vector log(Vector v) { return DOUBLE_FUNCTION(log)(v); }
    static Vector log1p(Vector v) { return DOUBLE_FUNCTION(log1p)(v); }
    static Vector tanh(Vector v) { return DOUBLE_FUNCTION(tanh)(v); }
};

EXPORT_ALL
