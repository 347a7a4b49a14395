/* The operations as one writes them with a library's exp, log, log1p and tanh, and the loop over an array, for libraries that offer
 * functions of one vector. `In` is what the library has for float or double: Vector, lanes, load, store, all, negative and the four. */
#include <cstddef>
#include <cstring>

template <class In>
struct Operations {
    using V = typename In::Vector;
    using T = typename In::Scalar;

    static V one() { return In::all(T(1)); }
    static V sigmoid(V x) { return one() / (one() + In::exp(In::negative(x))); }
    static V sigmoid_grad(V x) {
        V s = sigmoid(x);
        return s * (one() - s);
    }
    static V log_sigmoid(V x) { return In::negative(In::log1p(In::exp(In::negative(x)))); }
    static V softplus(V x) { return In::log1p(In::exp(x)); }
    static V logit(V x) { return In::log(x / (one() - x)); }
    static V silu(V x) { return x / (one() + In::exp(In::negative(x))); }
    static V silu_grad(V x) {
        V s = sigmoid(x);
        return s * (one() + x * (one() - s));
    }
    static V tanh(V x) { return In::tanh(x); }
    static V tanh_grad(V x) {
        V y = In::tanh(x);
        return one() - y * y;
    }
};

template <class In, typename In::Vector (*operation)(typename In::Vector)>
static void each(const typename In::Scalar *x, typename In::Scalar *y, std::size_t n) {
    std::size_t i = 0;
    for (; i + In::lanes() <= n; i += In::lanes())
        In::store(y + i, operation(In::load(x + i)));
    if (i < n) {
        alignas(64) typename In::Scalar last[64] = {};
        std::memcpy(last, x + i, (n - i) * sizeof *x);
        In::store(last, operation(In::load(last)));
        std::memcpy(y + i, last, (n - i) * sizeof *x);
    }
}

#define EXPORT_ONE(name)                                                                                                                  \
    extern "C" void name##_float32(const float *x, float *y, std::size_t n) { each<Floats, Operations<Floats>::name>(x, y, n); }          \
    extern "C" void name##_float64(const double *x, double *y, std::size_t n) { each<Doubles, Operations<Doubles>::name>(x, y, n); }

#define EXPORT_ALL                                                                                                                        \
    EXPORT_ONE(sigmoid)                                                                                                                   \
    EXPORT_ONE(sigmoid_grad)                                                                                                              \
    EXPORT_ONE(log_sigmoid)                                                                                                               \
    EXPORT_ONE(softplus)                                                                                                                  \
    EXPORT_ONE(logit)                                                                                                                     \
    EXPORT_ONE(silu)                                                                                                                      \
    EXPORT_ONE(silu_grad)                                                                                                                 \
    EXPORT_ONE(tanh)                                                                                                                      \
    EXPORT_ONE(tanh_grad)
