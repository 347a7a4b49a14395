"""The elementwise functions: ufuncs with a choice of backend and threads. Everything but their documentation is ``dispatch``."""

# fmt: off  (one-argument-a-line signatures would double this file)
from __future__ import annotations

from typing import Any

from .dispatch import elementwise, install_entries


def sigmoid(
    x: Any,
    /,
    out: Any = None,
    *,
    where: Any = True,
    dtype: Any = None,
    casting: str = "same_kind",
    order: str = "K",
    subok: bool = True,
    backend: str | None = None,
    threads: int | None = None,
) -> Any:
    """The logistic function, ``1 / (1 + exp(-x))``.

    Parameters
    ----------
    x : array_like
        Logits, of any shape; float16, bfloat16, float32 or float64. bool and integers become floats as for ``np.exp``.
    out, where, dtype, casting, order, subok
        As in every NumPy ufunc.
    backend, threads
        None, or "c", "numba" or "cuda", and the most threads to use (``fs.explain``); the bits are the same from each.

    Returns
    -------
    ndarray or scalar
        As ``x``; a scalar for a scalar; whatever ``np.exp`` returns for other array-likes.

    Accuracy
    --------
    At most 2.0 ULP in float32, 2.0 in float64, correctly rounded in halves. Source: fastsig/formulas/logistic.py, docs/numerics.md.

    Edges
    -----
    sigmoid(-inf) = 0, sigmoid(inf) = 1, NaN gives NaN. Never overflows; for large negative x the result is e^x down to the last
    subnormal (float32: x > -104, float64: x > -745.2), where the naive formula and most libraries return 0. Monotone. Never warns.

    Raises
    ------
    TypeError
        ``x`` is complex, longdouble, object or text, or ``out`` cannot hold the result.
    ValueError
        ``out`` has the wrong shape or is read-only, or ``backend`` or ``threads`` is unknown.
    RuntimeError
        The backend is not available, or none computes on the device of ``x``.
    """
    return elementwise("sigmoid", x, out, where, dtype, casting, order, subok, backend, threads)


def sigmoid_grad(
    x: Any,
    /,
    out: Any = None,
    *,
    where: Any = True,
    dtype: Any = None,
    casting: str = "same_kind",
    order: str = "K",
    subok: bool = True,
    backend: str | None = None,
    threads: int | None = None,
) -> Any:
    """The derivative of the logistic function, computed from x: ``sigmoid(x) * sigmoid(-x)``.

    Parameters
    ----------
    x : array_like
        Logits, of any shape; float16, bfloat16, float32 or float64. bool and integers become floats as for ``np.exp``.
    out, where, dtype, casting, order, subok
        As in every NumPy ufunc.
    backend, threads
        None, or "c", "numba" or "cuda", and the most threads to use (``fs.explain``); the bits are the same from each.

    Returns
    -------
    ndarray or scalar
        As ``x``; a scalar for a scalar; whatever ``np.exp`` returns for other array-likes.

    Accuracy
    --------
    At most 2.0 ULP in float32, 2.0 in float64, correctly rounded in halves. Source: fastsig/formulas/logistic.py, docs/numerics.md.

    Edges
    -----
    Even, at most 0.25; 0 at both infinities; NaN gives NaN. Both tails keep their accuracy down to the last subnormal, where
    s * (1 - s) is 0 from x = 17 (float32) or 37 (float64) on. Never warns.

    Raises
    ------
    TypeError
        ``x`` is complex, longdouble, object or text, or ``out`` cannot hold the result.
    ValueError
        ``out`` has the wrong shape or is read-only, or ``backend`` or ``threads`` is unknown.
    RuntimeError
        The backend is not available, or none computes on the device of ``x``.
    """
    return elementwise("sigmoid_grad", x, out, where, dtype, casting, order, subok, backend, threads)


def log_sigmoid(
    x: Any,
    /,
    out: Any = None,
    *,
    where: Any = True,
    dtype: Any = None,
    casting: str = "same_kind",
    order: str = "K",
    subok: bool = True,
    backend: str | None = None,
    threads: int | None = None,
) -> Any:
    """The logarithm of the logistic function: ``log(sigmoid(x)) = -log(1 + exp(-x))``.

    Parameters
    ----------
    x : array_like
        Logits, of any shape; float16, bfloat16, float32 or float64. bool and integers become floats as for ``np.exp``.
    out, where, dtype, casting, order, subok
        As in every NumPy ufunc.
    backend, threads
        None, or "c", "numba" or "cuda", and the most threads to use (``fs.explain``); the bits are the same from each.

    Returns
    -------
    ndarray or scalar
        As ``x``; a scalar for a scalar; whatever ``np.exp`` returns for other array-likes.

    Accuracy
    --------
    At most 2.5 ULP in float32, 2.5 in float64, correctly rounded in halves. Source: fastsig/formulas/logistic.py, docs/numerics.md.

    Edges
    -----
    log_sigmoid(-inf) = -inf, log_sigmoid(inf) = -0; NaN gives NaN. About x for x << 0 and -e^-x for x >> 0. Never warns.

    Raises
    ------
    TypeError
        ``x`` is complex, longdouble, object or text, or ``out`` cannot hold the result.
    ValueError
        ``out`` has the wrong shape or is read-only, or ``backend`` or ``threads`` is unknown.
    RuntimeError
        The backend is not available, or none computes on the device of ``x``.
    """
    return elementwise("log_sigmoid", x, out, where, dtype, casting, order, subok, backend, threads)


def softplus(
    x: Any,
    /,
    out: Any = None,
    *,
    where: Any = True,
    dtype: Any = None,
    casting: str = "same_kind",
    order: str = "K",
    subok: bool = True,
    backend: str | None = None,
    threads: int | None = None,
) -> Any:
    """The softplus, a smooth maximum of x and 0: ``log(1 + exp(x))``.

    Parameters
    ----------
    x : array_like
        Logits, of any shape; float16, bfloat16, float32 or float64. bool and integers become floats as for ``np.exp``.
    out, where, dtype, casting, order, subok
        As in every NumPy ufunc.
    backend, threads
        None, or "c", "numba" or "cuda", and the most threads to use (``fs.explain``); the bits are the same from each.

    Returns
    -------
    ndarray or scalar
        As ``x``; a scalar for a scalar; whatever ``np.exp`` returns for other array-likes.

    Accuracy
    --------
    At most 2.5 ULP in float32, 2.5 in float64, correctly rounded in halves. Source: fastsig/formulas/logistic.py, docs/numerics.md.

    Edges
    -----
    softplus(-inf) = 0, softplus(inf) = inf; NaN gives NaN. No threshold: e^x for x << 0 down to the last subnormal. Never warns.

    Raises
    ------
    TypeError
        ``x`` is complex, longdouble, object or text, or ``out`` cannot hold the result.
    ValueError
        ``out`` has the wrong shape or is read-only, or ``backend`` or ``threads`` is unknown.
    RuntimeError
        The backend is not available, or none computes on the device of ``x``.
    """
    return elementwise("softplus", x, out, where, dtype, casting, order, subok, backend, threads)


def logit(
    p: Any,
    /,
    out: Any = None,
    *,
    where: Any = True,
    dtype: Any = None,
    casting: str = "same_kind",
    order: str = "K",
    subok: bool = True,
    backend: str | None = None,
    threads: int | None = None,
) -> Any:
    """The log-odds, inverse of the logistic function: ``log(p / (1 - p))``.

    Parameters
    ----------
    p : array_like
        Probabilities, in [0, 1], of any shape; float16, bfloat16, float32 or float64. bool and integers become floats as for ``np.exp``.
    out, where, dtype, casting, order, subok
        As in every NumPy ufunc.
    backend, threads
        None, or "c", "numba" or "cuda", and the most threads to use (``fs.explain``); the bits are the same from each.

    Returns
    -------
    ndarray or scalar
        As ``p``; a scalar for a scalar; whatever ``np.exp`` returns for other array-likes.

    Accuracy
    --------
    At most 2.5 ULP in float32, 2.5 in float64, correctly rounded in halves. Source: fastsig/formulas/logistic.py, docs/numerics.md.

    Edges
    -----
    logit(0) = -inf and logit(1) = inf, in silence; NaN outside [0, 1] and for NaN. Accurate near p = 1/2, where the result
    crosses zero, and for subnormal p. Never warns.

    Raises
    ------
    TypeError
        ``p`` is complex, longdouble, object or text, or ``out`` cannot hold the result.
    ValueError
        ``out`` has the wrong shape or is read-only, or ``backend`` or ``threads`` is unknown.
    RuntimeError
        The backend is not available, or none computes on the device of ``p``.
    """
    return elementwise("logit", p, out, where, dtype, casting, order, subok, backend, threads)


def silu(
    x: Any,
    /,
    out: Any = None,
    *,
    where: Any = True,
    dtype: Any = None,
    casting: str = "same_kind",
    order: str = "K",
    subok: bool = True,
    backend: str | None = None,
    threads: int | None = None,
) -> Any:
    """The sigmoid linear unit (swish): ``x * sigmoid(x)``.

    Parameters
    ----------
    x : array_like
        Inputs, of any shape; float16, bfloat16, float32 or float64. bool and integers become floats as for ``np.exp``.
    out, where, dtype, casting, order, subok
        As in every NumPy ufunc.
    backend, threads
        None, or "c", "numba" or "cuda", and the most threads to use (``fs.explain``); the bits are the same from each.

    Returns
    -------
    ndarray or scalar
        As ``x``; a scalar for a scalar; whatever ``np.exp`` returns for other array-likes.

    Accuracy
    --------
    At most 2.5 ULP in float32, 2.5 in float64, correctly rounded in halves. Source: fastsig/formulas/logistic.py, docs/numerics.md.

    Edges
    -----
    silu(-inf) = -0 (the limit; x * sigmoid(x) would be NaN), silu(inf) = inf, NaN gives NaN. The negative tail keeps its
    accuracy down to the last subnormal. Never warns.

    Raises
    ------
    TypeError
        ``x`` is complex, longdouble, object or text, or ``out`` cannot hold the result.
    ValueError
        ``out`` has the wrong shape or is read-only, or ``backend`` or ``threads`` is unknown.
    RuntimeError
        The backend is not available, or none computes on the device of ``x``.
    """
    return elementwise("silu", x, out, where, dtype, casting, order, subok, backend, threads)


def silu_grad(
    x: Any,
    /,
    out: Any = None,
    *,
    where: Any = True,
    dtype: Any = None,
    casting: str = "same_kind",
    order: str = "K",
    subok: bool = True,
    backend: str | None = None,
    threads: int | None = None,
) -> Any:
    """The derivative of the sigmoid linear unit, computed from x: ``sigmoid(x) * (1 + x * sigmoid(-x))``.

    Parameters
    ----------
    x : array_like
        Inputs, of any shape; float16, bfloat16, float32 or float64. bool and integers become floats as for ``np.exp``.
    out, where, dtype, casting, order, subok
        As in every NumPy ufunc.
    backend, threads
        None, or "c", "numba" or "cuda", and the most threads to use (``fs.explain``); the bits are the same from each.

    Returns
    -------
    ndarray or scalar
        As ``x``; a scalar for a scalar; whatever ``np.exp`` returns for other array-likes.

    Accuracy
    --------
    At most 2.5 ULP in float32, 2.5 in float64, correctly rounded in halves. Source: fastsig/formulas/logistic.py, docs/numerics.md.

    Edges
    -----
    silu_grad(-inf) = -0, silu_grad(inf) = 1, NaN gives NaN. Crosses zero at x = -1.2785; errors there are counted in ULP of
    max(|result|, 0.1). Never warns.

    Raises
    ------
    TypeError
        ``x`` is complex, longdouble, object or text, or ``out`` cannot hold the result.
    ValueError
        ``out`` has the wrong shape or is read-only, or ``backend`` or ``threads`` is unknown.
    RuntimeError
        The backend is not available, or none computes on the device of ``x``.
    """
    return elementwise("silu_grad", x, out, where, dtype, casting, order, subok, backend, threads)


install_entries(globals())
