/* Highway's contrib/math, for the one target that the compiler's flags name: this processor's. */
#define HWY_COMPILE_ONLY_STATIC
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();

#include "operations.h"

namespace hn = hwy::HWY_NAMESPACE;

template <class T>
struct Tagged {
    using D = hn::ScalableTag<T>;
    using Vector = hn::Vec<D>;
    using Scalar = T;
    static std::size_t lanes() { return hn::Lanes(D()); }
    static Vector load(const T *x) { return hn::LoadU(D(), x); }
    static void store(T *y, Vector v) { hn::StoreU(v, D(), y); }
    static Vector all(T x) { return hn::Set(D(), x); }
    static Vector negative(Vector v) { return hn::Neg(v); }
    static Vector exp(Vector v) { return hn::Exp(D(), v); }
    static Vector log(Vector v) { return hn::Log(D(), v); }
    static Vector log1p(Vector v) { return hn::Log1p(D(), v); }
    static Vector tanh(Vector v) { return hn::Tanh(D(), v); }
};

using Floats = Tagged<float>;
using Doubles = Tagged<double>;

EXPORT_ALL

HWY_AFTER_NAMESPACE();
