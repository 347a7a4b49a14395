/* Eigen's own logistic and tanh, and log1p of exp, over whole arrays. */
#if __has_include(<eigen3/Eigen/Core>)
#include <eigen3/Eigen/Core>
#else
#include <Eigen/Core>
#endif
#include <cstddef>

template <class T>
using Array = Eigen::Array<T, Eigen::Dynamic, 1>;

#define EXPORT_TYPE(name, type, T, ...)                                                                                                   \
    extern "C" void name##_##type(const T *from, T *to, std::size_t n) {                                                                  \
        Eigen::Map<const Array<T>> x(from, static_cast<Eigen::Index>(n));                                                                 \
        Eigen::Map<Array<T>> y(to, static_cast<Eigen::Index>(n));                                                                         \
        __VA_ARGS__;                                                                                                                      \
    }

#define EXPORT(name, ...)                                                                                                                 \
    EXPORT_TYPE(name, float32, float, __VA_ARGS__)                                                                                        \
    EXPORT_TYPE(name, float64, double, __VA_ARGS__)

EXPORT(sigmoid, y = x.logistic())
EXPORT(sigmoid_grad, y = x.logistic(); y *= 1 - y)
EXPORT(log_sigmoid, y = -(-x).exp().log1p())
EXPORT(softplus, y = x.exp().log1p())
EXPORT(logit, y = (x / (1 - x)).log())
EXPORT(silu, y = x * x.logistic())
EXPORT(silu_grad, y = x.logistic(); y *= 1 + x * (1 - y))
EXPORT(tanh, y = x.tanh())
EXPORT(tanh_grad, y = 1 - x.tanh().square())
