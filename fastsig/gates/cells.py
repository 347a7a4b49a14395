"""One step of a recurrent cell from its pre-activations, and the gradients of its inputs; torch's order of gates."""

from __future__ import annotations

from typing import Any

from fastsig.gates.call import call


def lstm_cell(gates: Any, c: Any, *, out: Any = None, backend: str | None = None, threads: int | None = None) -> Any:
    """One step of an LSTM: ``c_new = sigmoid(f) * c + sigmoid(i) * tanh(g)`` and ``h = sigmoid(o) * tanh(c_new)``.

    Parameters
    ----------
    gates : array_like
        The gates before activation, of shape (..., 4H): i, f, g and o, each the sum of both products and both biases. float16,
        bfloat16, float32 or float64.
    c : array_like
        The cell's state, of shape (..., H) and the gates' type.
    out : tuple of ndarray, optional
        For h and c_new, each of the shape and type of c, or None for a new one; c_new may be c.
    backend : {None, "c", "numba", "cuda"}
        None lets the dispatcher choose (``fs.explain``); the bits are the same from each.
    threads : int, optional
        The most threads to use; default ``fs.get_num_threads()``.

    Returns
    -------
    h, c_new : ndarray
        Of the shape and type of c.

    Raises
    ------
    TypeError
        The types differ, or are none of float16, bfloat16, float32 and float64, bool and integers, or ``out`` is no tuple.
    ValueError
        The last axis of the gates is no multiple of 4, or the shapes do not agree; the message names the argument.
    RuntimeError
        The backend is not available, or none computes on the device of the arrays.

    See Also
    --------
    lstm_cell_backward : the gradients of the gates and of c.
    gru_cell : the cell with three gates.

    Notes
    -----
    Accuracy: at most 6.0 ULP of the largest term of the sum c_new, in h of what that term contributes; float16 and bfloat16 are computed
    in float32 and rounded once.

    Edges: 0 times an infinite state is NaN; infinite gates have their limits; NaN gives NaN. Never warns.

    Source: fastsig/formulas/gates.py, docs/numerics.md.

    Examples
    --------
    >>> import fastsig as fs
    >>> h, c = fs.lstm_cell([[0.0, 0.0, 0.0, 0.0]], [[2.0]])
    >>> h, c
    (array([[0.38079708]]), array([[1.]]))
    """
    return call("lstm_cell", {"gates": gates, "c": c}, out, -1, backend, threads)


def lstm_cell_backward(
    grad_h: Any, grad_c: Any, gates: Any, c: Any, *, out: Any = None, backend: str | None = None, threads: int | None = None
) -> Any:
    """The gradients of the gates and of c through ``lstm_cell``, which is computed again on the way.

    With ``g_c = grad_c + grad_h * sigmoid(o) * tanh_grad(c_new)`` they are ``g_c * tanh(g) * sigmoid_grad(i)``,
    ``g_c * c * sigmoid_grad(f)``, ``g_c * sigmoid(i) * tanh_grad(g)``, ``grad_h * tanh(c_new) * sigmoid_grad(o)`` and
    ``g_c * sigmoid(f)``.

    Parameters
    ----------
    grad_h, grad_c : array_like or None
        The gradients of h and of c_new, of shape (..., H); one of them may be None, which means zeros.
    gates, c : array_like
        As ``lstm_cell`` took them.
    out : tuple of ndarray, optional
        For dgates and dc, each of the shape and type of its argument, or None for a new one; may be gates and c.
    backend : {None, "c", "numba", "cuda"}
        None lets the dispatcher choose (``fs.explain``); the bits are the same from each.
    threads : int, optional
        The most threads to use; default ``fs.get_num_threads()``.

    Returns
    -------
    dgates, dc : ndarray
        Of the shapes (..., 4H) and (..., H).

    Raises
    ------
    TypeError
        The types differ or are not taken, both gradients are None, or ``out`` is no tuple.
    ValueError
        The shapes do not agree; the message names the argument.
    RuntimeError
        The backend is not available, or none computes on the device of the arrays.

    See Also
    --------
    lstm_cell : the function itself.

    Notes
    -----
    Accuracy: at most 10.0 ULP, of the largest term where terms are added; float16 and bfloat16 are computed in float32 and rounded once.

    Source: fastsig/formulas/gates.py, docs/numerics.md.

    Examples
    --------
    >>> import fastsig as fs
    >>> dgates, dc = fs.lstm_cell_backward(None, [[1.0]], [[0.0, 0.0, 0.0, 0.0]], [[2.0]])
    >>> dgates, dc
    (array([[0. , 0.5, 0.5, 0. ]]), array([[0.5]]))
    """
    if grad_h is None and grad_c is None:
        raise TypeError("lstm_cell_backward: grad_h and grad_c are both None; give one of them")
    given = {"grad_h": grad_h, "grad_c": grad_c, "gates": gates, "c": c}
    return call("lstm_cell_backward", given, out, -1, backend, threads, may_lack=("grad_h", "grad_c"))


def gru_cell(gi: Any, gh: Any, h: Any, *, out: Any = None, backend: str | None = None, threads: int | None = None) -> Any:
    """One step of a GRU: ``h_new = (1 - z) * n + z * h``.

    ``r = sigmoid(gi_r + gh_r)``, ``z = sigmoid(gi_z + gh_z)`` and ``n = tanh(gi_n + r * gh_n)``.

    Parameters
    ----------
    gi, gh : array_like
        The products of the input and of the state, each with its bias, of shape (..., 3H): r, z and n. float16, bfloat16, float32 or
        float64.
    h : array_like
        The state, of shape (..., H) and their type.
    out : ndarray, optional
        Of the shape and type of h; may be h.
    backend : {None, "c", "numba", "cuda"}
        None lets the dispatcher choose (``fs.explain``); the bits are the same from each.
    threads : int, optional
        The most threads to use; default ``fs.get_num_threads()``.

    Returns
    -------
    ndarray
        The new state, of the shape and type of h.

    Raises
    ------
    TypeError
        The types differ, or are none of float16, bfloat16, float32 and float64, bool and integers.
    ValueError
        The last axis of gi is no multiple of 3, or the shapes do not agree; the message names the argument.
    RuntimeError
        The backend is not available, or none computes on the device of the arrays.

    See Also
    --------
    gru_cell_backward : the gradients of gi, gh and h.
    lstm_cell : the cell with four gates.

    Notes
    -----
    Accuracy: at most 6.0 ULP of the largest term of a sum, the sums before activation among them: what an error of so many ULP of that
    term changes in the result. float16 and bfloat16 are computed in float32 and rounded once.

    Edges: 0 times an infinite number is NaN; infinite sums have their limits; NaN gives NaN. Never warns.

    Source: fastsig/formulas/gates.py, docs/numerics.md.

    Examples
    --------
    >>> import fastsig as fs
    >>> fs.gru_cell([[0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]], [[2.0]])
    array([[1.]])
    """
    return call("gru_cell", {"gi": gi, "gh": gh, "h": h}, out, -1, backend, threads)


def gru_cell_backward(
    grad_h: Any, gi: Any, gh: Any, h: Any, *, out: Any = None, backend: str | None = None, threads: int | None = None
) -> Any:
    """The gradients of gi, gh and h through ``gru_cell``, which is computed again on the way.

    With ``g_n = grad_h * (1 - z) * tanh_grad(gi_n + r * gh_n)`` they are ``g_n * gh_n * sigmoid_grad(r)`` for both r,
    ``grad_h * (h - n) * sigmoid_grad(z)`` for both z, ``g_n`` for gi_n, ``g_n * r`` for gh_n and ``grad_h * z`` for h, where
    sigmoid_grad is taken at the sums.

    Parameters
    ----------
    grad_h : array_like
        The gradient of the new state, of shape (..., H).
    gi, gh, h : array_like
        As ``gru_cell`` took them.
    out : tuple of ndarray, optional
        For dgi, dgh and dh, each of the shape and type of its argument, or None for a new one; may be gi, gh and h.
    backend : {None, "c", "numba", "cuda"}
        None lets the dispatcher choose (``fs.explain``); the bits are the same from each.
    threads : int, optional
        The most threads to use; default ``fs.get_num_threads()``.

    Returns
    -------
    dgi, dgh, dh : ndarray
        Of the shapes (..., 3H), (..., 3H) and (..., H).

    Raises
    ------
    TypeError
        The types differ or are not taken, or ``out`` is no tuple.
    ValueError
        The shapes do not agree; the message names the argument.
    RuntimeError
        The backend is not available, or none computes on the device of the arrays.

    See Also
    --------
    gru_cell : the function itself.

    Notes
    -----
    Accuracy: at most 8.0 ULP, of the largest term where terms are added, the sums before activation among them. float16 and bfloat16 are
    computed in float32 and rounded once.

    Source: fastsig/formulas/gates.py, docs/numerics.md.

    Examples
    --------
    >>> import fastsig as fs
    >>> dgi, dgh, dh = fs.gru_cell_backward([[1.0]], [[0.0, 0.0, 0.0]], [[0.0, 0.0, 0.0]], [[2.0]])
    >>> dgi, dgh, dh
    (array([[0. , 0.5, 0.5]]), array([[0.  , 0.5 , 0.25]]), array([[0.5]]))
    """
    return call("gru_cell_backward", {"grad_h": grad_h, "gi": gi, "gh": gh, "h": h}, out, -1, backend, threads)
