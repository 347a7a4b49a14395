/* xsimd's batches, as wide as this processor allows, with its exp, log, log1p and tanh. */
#include <xsimd/xsimd.hpp>

#include "operations.h"

template <class T>
struct Batches {
    using Vector = xsimd::batch<T>;
    using Scalar = T;
    static constexpr std::size_t lanes() { return Vector::size; }
    static Vector load(const T *x) { return Vector::load_unaligned(x); }
    static void store(T *y, Vector v) { v.store_unaligned(y); }
    static Vector all(T x) { return Vector(x); }
    static Vector negative(Vector v) { return -v; }
    static Vector exp(Vector v) { return xsimd::exp(v); }
    static Vector log(Vector v) { return xsimd::log(v); }
    static Vector log1p(Vector v) { return xsimd::log1p(v); }
    static Vector tanh(Vector v) { return xsimd::tanh(v); }
};

using Floats = Batches<float>;
using Doubles = Batches<double>;

EXPORT_ALL
