"""The elementwise functions: ufuncs with a choice of backend and threads. Everything but their documentation is ``dispatch``."""

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
    """The logistic function.

    ``1 / (1 + exp(-x))``

    Parameters
    ----------
    x : array_like
        Logits, of any shape; float16, bfloat16, float32 or float64. bool and integers become floats as for ``np.exp``.
    out, where, dtype, casting, order, subok
        As in every NumPy ufunc.
    backend : {None, "c", "numba", "cuda"}
        None lets the dispatcher choose; the result has the same bits whichever it is.
    threads : int, optional
        The most threads to use; default ``fs.get_num_threads()``. Small arrays use one.

    Returns
    -------
    ndarray or scalar
        The dtype and the shape of ``x``; a scalar for a scalar; whatever ``np.exp`` returns for other array-likes.

    Notes
    -----
    Accuracy: at most 2.0 ULP in float32 and 2.0 ULP in float64, subnormal results included; correctly rounded in float16 and
    bfloat16.

    Edges: sigmoid(-inf) = 0, sigmoid(inf) = 1, NaN gives NaN. Never overflows; for large negative x the result is e^x down to the last
    subnormal (float32: x > -104, float64: x > -745.2), where the naive formula and most libraries return 0. Monotone.

    No floating-point exception is raised, also under ``np.errstate(all="raise")``.

    Raises
    ------
    TypeError
        ``x`` is complex, longdouble, object or text, or ``out`` cannot hold the result.
    ValueError
        ``out`` has the wrong shape or is read-only, ``backend`` or ``threads`` is unknown, or arrays are on different devices.
    RuntimeError
        The named backend cannot serve, or ``x`` is on a device that no available backend computes on.

    Source: fastsig/formulas/logistic.py; derivation in docs/numerics.md.
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
    """The derivative of the logistic function, computed from x.

    ``sigmoid(x) * sigmoid(-x)``

    Parameters
    ----------
    x : array_like
        Logits, of any shape; float16, bfloat16, float32 or float64. bool and integers become floats as for ``np.exp``.
    out, where, dtype, casting, order, subok
        As in every NumPy ufunc.
    backend : {None, "c", "numba", "cuda"}
        None lets the dispatcher choose; the result has the same bits whichever it is.
    threads : int, optional
        The most threads to use; default ``fs.get_num_threads()``. Small arrays use one.

    Returns
    -------
    ndarray or scalar
        The dtype and the shape of ``x``; a scalar for a scalar; whatever ``np.exp`` returns for other array-likes.

    Notes
    -----
    Accuracy: at most 2.0 ULP in float32 and 2.0 ULP in float64, subnormal results included; correctly rounded in float16 and
    bfloat16.

    Edges: Even, at most 0.25; 0 at both infinities; NaN gives NaN. Both tails keep their accuracy down to the last subnormal, where
    s * (1 - s) is 0 from x = 17 (float32) or 37 (float64) on.

    No floating-point exception is raised, also under ``np.errstate(all="raise")``.

    Raises
    ------
    TypeError
        ``x`` is complex, longdouble, object or text, or ``out`` cannot hold the result.
    ValueError
        ``out`` has the wrong shape or is read-only, ``backend`` or ``threads`` is unknown, or arrays are on different devices.
    RuntimeError
        The named backend cannot serve, or ``x`` is on a device that no available backend computes on.

    Source: fastsig/formulas/logistic.py; derivation in docs/numerics.md.
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
    """The logarithm of the logistic function.

    ``log(sigmoid(x)) = -log(1 + exp(-x))``

    Parameters
    ----------
    x : array_like
        Logits, of any shape; float16, bfloat16, float32 or float64. bool and integers become floats as for ``np.exp``.
    out, where, dtype, casting, order, subok
        As in every NumPy ufunc.
    backend : {None, "c", "numba", "cuda"}
        None lets the dispatcher choose; the result has the same bits whichever it is.
    threads : int, optional
        The most threads to use; default ``fs.get_num_threads()``. Small arrays use one.

    Returns
    -------
    ndarray or scalar
        The dtype and the shape of ``x``; a scalar for a scalar; whatever ``np.exp`` returns for other array-likes.

    Notes
    -----
    Accuracy: at most 2.5 ULP in float32 and 2.5 ULP in float64, subnormal results included; correctly rounded in float16 and
    bfloat16.

    Edges: log_sigmoid(-inf) = -inf, log_sigmoid(inf) = -0; NaN gives NaN. About x for x << 0 and -e^-x for x >> 0.

    No floating-point exception is raised, also under ``np.errstate(all="raise")``.

    Raises
    ------
    TypeError
        ``x`` is complex, longdouble, object or text, or ``out`` cannot hold the result.
    ValueError
        ``out`` has the wrong shape or is read-only, ``backend`` or ``threads`` is unknown, or arrays are on different devices.
    RuntimeError
        The named backend cannot serve, or ``x`` is on a device that no available backend computes on.

    Source: fastsig/formulas/logistic.py; derivation in docs/numerics.md.
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
    """The softplus, a smooth maximum of x and 0.

    ``log(1 + exp(x))``

    Parameters
    ----------
    x : array_like
        Logits, of any shape; float16, bfloat16, float32 or float64. bool and integers become floats as for ``np.exp``.
    out, where, dtype, casting, order, subok
        As in every NumPy ufunc.
    backend : {None, "c", "numba", "cuda"}
        None lets the dispatcher choose; the result has the same bits whichever it is.
    threads : int, optional
        The most threads to use; default ``fs.get_num_threads()``. Small arrays use one.

    Returns
    -------
    ndarray or scalar
        The dtype and the shape of ``x``; a scalar for a scalar; whatever ``np.exp`` returns for other array-likes.

    Notes
    -----
    Accuracy: at most 2.5 ULP in float32 and 2.5 ULP in float64, subnormal results included; correctly rounded in float16 and
    bfloat16.

    Edges: softplus(-inf) = 0, softplus(inf) = inf; NaN gives NaN. No threshold: e^x for x << 0 down to the last subnormal.

    No floating-point exception is raised, also under ``np.errstate(all="raise")``.

    Raises
    ------
    TypeError
        ``x`` is complex, longdouble, object or text, or ``out`` cannot hold the result.
    ValueError
        ``out`` has the wrong shape or is read-only, ``backend`` or ``threads`` is unknown, or arrays are on different devices.
    RuntimeError
        The named backend cannot serve, or ``x`` is on a device that no available backend computes on.

    Source: fastsig/formulas/logistic.py; derivation in docs/numerics.md.
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
    """The log-odds, inverse of the logistic function.

    ``log(p / (1 - p))``

    Parameters
    ----------
    p : array_like
        Probabilities, in [0, 1], of any shape; float16, bfloat16, float32 or float64. bool and integers become floats as for ``np.exp``.
    out, where, dtype, casting, order, subok
        As in every NumPy ufunc.
    backend : {None, "c", "numba", "cuda"}
        None lets the dispatcher choose; the result has the same bits whichever it is.
    threads : int, optional
        The most threads to use; default ``fs.get_num_threads()``. Small arrays use one.

    Returns
    -------
    ndarray or scalar
        The dtype and the shape of ``p``; a scalar for a scalar; whatever ``np.exp`` returns for other array-likes.

    Notes
    -----
    Accuracy: at most 2.5 ULP in float32 and 2.5 ULP in float64, subnormal results included; correctly rounded in float16 and
    bfloat16.

    Edges: logit(0) = -inf and logit(1) = inf, in silence; NaN outside [0, 1] and for NaN. Accurate near p = 1/2, where the result
    crosses zero, and for subnormal p.

    No floating-point exception is raised, also under ``np.errstate(all="raise")``.

    Raises
    ------
    TypeError
        ``p`` is complex, longdouble, object or text, or ``out`` cannot hold the result.
    ValueError
        ``out`` has the wrong shape or is read-only, ``backend`` or ``threads`` is unknown, or arrays are on different devices.
    RuntimeError
        The named backend cannot serve, or ``p`` is on a device that no available backend computes on.

    Source: fastsig/formulas/logistic.py; derivation in docs/numerics.md.
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
    """The sigmoid linear unit (swish).

    ``x * sigmoid(x)``

    Parameters
    ----------
    x : array_like
        Inputs, of any shape; float16, bfloat16, float32 or float64. bool and integers become floats as for ``np.exp``.
    out, where, dtype, casting, order, subok
        As in every NumPy ufunc.
    backend : {None, "c", "numba", "cuda"}
        None lets the dispatcher choose; the result has the same bits whichever it is.
    threads : int, optional
        The most threads to use; default ``fs.get_num_threads()``. Small arrays use one.

    Returns
    -------
    ndarray or scalar
        The dtype and the shape of ``x``; a scalar for a scalar; whatever ``np.exp`` returns for other array-likes.

    Notes
    -----
    Accuracy: at most 2.5 ULP in float32 and 2.5 ULP in float64, subnormal results included; correctly rounded in float16 and
    bfloat16.

    Edges: silu(-inf) = -0 (the limit; x * sigmoid(x) would be NaN), silu(inf) = inf, NaN gives NaN. The negative tail keeps its
    accuracy down to the last subnormal.

    No floating-point exception is raised, also under ``np.errstate(all="raise")``.

    Raises
    ------
    TypeError
        ``x`` is complex, longdouble, object or text, or ``out`` cannot hold the result.
    ValueError
        ``out`` has the wrong shape or is read-only, ``backend`` or ``threads`` is unknown, or arrays are on different devices.
    RuntimeError
        The named backend cannot serve, or ``x`` is on a device that no available backend computes on.

    Source: fastsig/formulas/logistic.py; derivation in docs/numerics.md.
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
    """The derivative of the sigmoid linear unit, computed from x.

    ``sigmoid(x) * (1 + x * sigmoid(-x))``

    Parameters
    ----------
    x : array_like
        Inputs, of any shape; float16, bfloat16, float32 or float64. bool and integers become floats as for ``np.exp``.
    out, where, dtype, casting, order, subok
        As in every NumPy ufunc.
    backend : {None, "c", "numba", "cuda"}
        None lets the dispatcher choose; the result has the same bits whichever it is.
    threads : int, optional
        The most threads to use; default ``fs.get_num_threads()``. Small arrays use one.

    Returns
    -------
    ndarray or scalar
        The dtype and the shape of ``x``; a scalar for a scalar; whatever ``np.exp`` returns for other array-likes.

    Notes
    -----
    Accuracy: at most 2.5 ULP in float32 and 2.5 ULP in float64, subnormal results included; correctly rounded in float16 and
    bfloat16.

    Edges: silu_grad(-inf) = -0, silu_grad(inf) = 1, NaN gives NaN. Crosses zero at x = -1.2785; errors there are counted in ULP of
    max(|result|, 0.1).

    No floating-point exception is raised, also under ``np.errstate(all="raise")``.

    Raises
    ------
    TypeError
        ``x`` is complex, longdouble, object or text, or ``out`` cannot hold the result.
    ValueError
        ``out`` has the wrong shape or is read-only, ``backend`` or ``threads`` is unknown, or arrays are on different devices.
    RuntimeError
        The named backend cannot serve, or ``x`` is on a device that no available backend computes on.

    Source: fastsig/formulas/logistic.py; derivation in docs/numerics.md.
    """
    return elementwise("silu_grad", x, out, where, dtype, casting, order, subok, backend, threads)


install_entries(globals())
