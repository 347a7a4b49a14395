"""Gated linear units and the gradients of their inputs."""

from __future__ import annotations

from typing import Any

from fastsig.gates.call import call


def glu(x: Any, axis: int = -1, *, out: Any = None, backend: str | None = None, threads: int | None = None) -> Any:
    """The gated linear unit: ``a * sigmoid(b)``, with a and b the first and the second half of x along an axis.

    Parameters
    ----------
    x : array_like
        Real numbers, of an even length along ``axis``; float16, bfloat16, float32 or float64. bool and integers become floats as for
        ``np.exp``.
    axis : int
        The axis that is halved.
    out : ndarray, optional
        Of the result's shape and type; may be the first or the second half of x.
    backend : {None, "c", "numba", "cuda"}
        None lets the dispatcher choose (``fs.explain``); the bits are the same from each.
    threads : int, optional
        The most threads to use; default ``fs.get_num_threads()``.

    Returns
    -------
    ndarray
        Of x's float type and half its length along the axis; an array of the GPU for one.

    Raises
    ------
    TypeError
        x is complex, longdouble, object or text, or ``out`` is of another type than the result.
    ValueError
        x does not halve along the axis, there is no such axis, or ``out`` is of another shape, read-only or a broadcast view.
    RuntimeError
        The backend is not available, or none computes on the device of x.

    See Also
    --------
    glu_backward : the gradient of x.
    swiglu : the gate through SiLU, of two arrays.

    Notes
    -----
    Accuracy: at most 2.5 ULP in float32 and float64; float16 and bfloat16 are computed in float32 and rounded once. The result is 0
    only where the exact value is: 1e38 times the sigmoid of -150 is 7e-28 in float32, though that sigmoid alone is 0 there.

    Edges: a * sigmoid(-inf) is 0 with a's sign, and NaN for infinite a; NaN gives NaN. Never warns.

    Source: fastsig/formulas/gates.py, docs/numerics.md.

    Examples
    --------
    >>> import fastsig as fs
    >>> fs.glu([1.0, 2.0, 0.0, -100.0])
    array([5.00000000e-01, 7.44015195e-44])
    """
    return call("glu", {"x": x}, out, axis, backend, threads)


def glu_backward(grad: Any, x: Any, axis: int = -1, *, out: Any = None, backend: str | None = None, threads: int | None = None) -> Any:
    """The gradient of x through ``glu``: ``grad * sigmoid(b)`` beside ``grad * a * sigmoid_grad(b)``.

    Parameters
    ----------
    grad : array_like
        The gradient of the output: of its shape, which is x's with half the length along ``axis``, and of x's type.
    x : array_like
        As ``glu`` took it.
    axis : int
        The axis that was halved.
    out : ndarray, optional
        Of the shape and type of x; may be x itself.
    backend : {None, "c", "numba", "cuda"}
        None lets the dispatcher choose (``fs.explain``); the bits are the same from each.
    threads : int, optional
        The most threads to use; default ``fs.get_num_threads()``.

    Returns
    -------
    ndarray
        Of the shape and float type of x.

    Raises
    ------
    TypeError
        The types differ, or are none of float16, bfloat16, float32 and float64, bool and integers.
    ValueError
        The shapes do not agree; the message names the argument.
    RuntimeError
        The backend is not available, or none computes on the device of x.

    See Also
    --------
    glu : the function itself.

    Notes
    -----
    Accuracy: at most 3.0 ULP in float32 and float64; float16 and bfloat16 are computed in float32 and rounded once. Edges as in ``glu``.

    Source: fastsig/formulas/gates.py, docs/numerics.md.

    Examples
    --------
    >>> import fastsig as fs
    >>> fs.glu_backward([1.0], [2.0, 0.0])
    array([0.5, 0.5])
    """
    return call("glu_backward", {"grad": grad, "x": x}, out, axis, backend, threads)


def swiglu(a: Any, b: Any, *, out: Any = None, backend: str | None = None, threads: int | None = None) -> Any:
    """The linear unit gated by SiLU: ``silu(a) * b``.

    Parameters
    ----------
    a, b : array_like
        Real numbers; they broadcast, and their types combine, as in a NumPy ufunc: float16, bfloat16, float32 or float64; bool and
        integers become floats as for ``np.exp``.
    out : ndarray, optional
        Of the result's shape and type; may be a or b.
    backend : {None, "c", "numba", "cuda"}
        None lets the dispatcher choose (``fs.explain``); the bits are the same from each.
    threads : int, optional
        The most threads to use; default ``fs.get_num_threads()``.

    Returns
    -------
    ndarray or scalar
        A scalar for two scalars.

    Raises
    ------
    TypeError
        A type is complex, longdouble, object or text, or ``out`` is of another type than the result.
    ValueError
        a and b do not broadcast, or ``out`` is of another shape, read-only or a broadcast view.
    RuntimeError
        The backend is not available, or none computes on the device of the arrays.

    See Also
    --------
    swiglu_backward : the gradients of a and b.
    silu : the gate alone.
    glu : the gate through the logistic function, of the halves of one array.

    Notes
    -----
    Accuracy: at most 3.0 ULP in float32 and float64; float16 and bfloat16 are computed in float32 and rounded once. The result is 0
    only where the exact value is.

    Edges: silu(-inf) is -0, so the result is a zero for finite b, and NaN for infinite b; NaN gives NaN. Never warns.

    Source: fastsig/formulas/gates.py, docs/numerics.md.

    Examples
    --------
    >>> import fastsig as fs
    >>> fs.swiglu([2.0, -100.0], 10.0)
    array([ 1.76159416e+01, -3.72007598e-41])
    """
    return call("swiglu", {"a": a, "b": b}, out, -1, backend, threads)


def swiglu_backward(grad: Any, a: Any, b: Any, *, out: Any = None, backend: str | None = None, threads: int | None = None) -> Any:
    """The gradients of a and b through ``swiglu``: ``grad * b * silu_grad(a)`` and ``grad * silu(a)``.

    Parameters
    ----------
    grad : array_like
        The gradient of the output.
    a, b : array_like
        As ``swiglu`` took them. All three broadcast, and their types combine, as in a NumPy ufunc.
    out : tuple of ndarray, optional
        For the two results, each of their shape and type, or None for a new one; may be a and b.
    backend : {None, "c", "numba", "cuda"}
        None lets the dispatcher choose (``fs.explain``); the bits are the same from each.
    threads : int, optional
        The most threads to use; default ``fs.get_num_threads()``.

    Returns
    -------
    da, db : ndarray or scalar
        Both of the shape to which the arguments broadcast: where a or b was stretched, sum over those axes.

    Raises
    ------
    TypeError
        A type is complex, longdouble, object or text, or ``out`` is no tuple, or of another type than the result.
    ValueError
        The arguments do not broadcast, or an output is of another shape, read-only or shares memory with the other.
    RuntimeError
        The backend is not available, or none computes on the device of the arrays.

    See Also
    --------
    swiglu : the function itself.

    Notes
    -----
    Accuracy: at most 4.0 ULP in float32 and float64, for da near the zero of silu_grad at a = -1.2785 counted in ULP of
    grad * b * max(abs(silu_grad(a)), 0.1); float16 and bfloat16 are computed in float32 and rounded once. Edges as in ``swiglu``.

    Source: fastsig/formulas/gates.py, docs/numerics.md.

    Examples
    --------
    >>> import fastsig as fs
    >>> da, db = fs.swiglu_backward(1.0, 0.0, 3.0)
    >>> float(da), float(db)
    (1.5, 0.0)
    """
    return call("swiglu_backward", {"grad": grad, "a": a, "b": b}, out, -1, backend, threads)
