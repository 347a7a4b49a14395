"""The table: one row an operation. Everything else that exists per operation follows from it.

Imports nothing outside the standard library, because the build of the C library reads it too.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, nan
from typing import Any, NamedTuple


class Op(NamedTuple):
    """An elementwise operation: its name everywhere, its exact value, what is promised, and its edges."""

    name: str
    inputs: tuple[str, ...]
    summary: str
    """What it is, in the words that its documentation begins with; ``formula`` follows."""
    formula: str
    exact: Callable[..., Any]
    """The defining formula over an mpmath context; naive on purpose, for it runs with hundreds of digits."""
    ulp_f32: float
    ulp_f64: float
    edges: tuple[tuple[tuple[float, ...], float], ...]
    """Inputs and the exact limit; a zero's sign counts."""
    notes: str = ""
    """What a user should know of its edges and tails."""
    example: tuple[str, str] = ("", "")
    """Arguments of a call, and what the call prints."""
    domain: str = "real"
    """Where inputs are drawn from in tests: "real", or "unit" for a probability in [0, 1]."""
    scale_floor: float = 0.0
    """Errors are counted in ULP of max(|result|, scale_floor): a floor for results that cross zero by cancellation."""

    @property
    def nin(self) -> int:
        return len(self.inputs)


def _sigmoid(mp: Any, x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def _sigmoid_grad(mp: Any, x: Any) -> Any:
    return _sigmoid(mp, x) * _sigmoid(mp, -x)


def _softplus(mp: Any, x: Any) -> Any:
    return mp.log(1 + mp.exp(x))


def _log_sigmoid(mp: Any, x: Any) -> Any:
    return -_softplus(mp, -x)


def _logit(mp: Any, p: Any) -> Any:
    return mp.log(p / (1 - p))


def _silu(mp: Any, x: Any) -> Any:
    return x * _sigmoid(mp, x)


def _silu_grad(mp: Any, x: Any) -> Any:
    return _sigmoid(mp, x) + x * _sigmoid_grad(mp, x)


def _tanh(mp: Any, x: Any) -> Any:
    return mp.tanh(x)


def _tanh_grad(mp: Any, x: Any) -> Any:
    return mp.sech(x) ** 2


def _bce_with_logits(mp: Any, x: Any, t: Any) -> Any:
    return t * _softplus(mp, -x) + (1 - t) * _softplus(mp, x)


def _bce_with_logits_grad(mp: Any, x: Any, t: Any) -> Any:
    return _sigmoid(mp, x) - t


def _bce(mp: Any, p: Any, t: Any) -> Any:
    hit = -t * mp.log(p) if t else 0
    miss = -(1 - t) * mp.log(1 - p) if t != 1 else 0
    return hit + miss


def _bce_grad(mp: Any, p: Any, t: Any) -> Any:
    hit = -t / p if t else 0
    miss = (1 - t) / (1 - p) if t != 1 else 0
    return hit + miss


OPS: tuple[Op, ...] = (
    Op(
        "sigmoid", ("x",), "The logistic function", "1 / (1 + exp(-x))",
        _sigmoid, 2.0, 2.0,
        edges=(((-inf,), 0.0), ((inf,), 1.0), ((0.0,), 0.5), ((-0.0,), 0.5), ((nan,), nan)),
        notes=(
            "sigmoid(-inf) = 0, sigmoid(inf) = 1, NaN gives NaN. Never overflows; for large negative x the result is e^x down to the "
            "last subnormal number (float32: x > -104, float64: x > -745.2), where the naive formula and most libraries return 0. "
            "Monotone."
        ),
        example=("[-100.0, 0.0, 2.0]", "array([3.72007598e-44, 5.00000000e-01, 8.80797078e-01])"),
    ),
    Op(
        "sigmoid_grad", ("x",), "The derivative of the logistic function, computed from x", "sigmoid(x) * sigmoid(-x)",
        _sigmoid_grad, 2.0, 2.0,
        edges=(((-inf,), 0.0), ((inf,), 0.0), ((0.0,), 0.25), ((-0.0,), 0.25), ((nan,), nan)),
        notes=(
            "Even, at most 0.25; 0 at both infinities; NaN gives NaN. Both tails keep their accuracy down to the last subnormal number, "
            "where s * (1 - s) is 0 from x = 17 (float32) or 37 (float64) on."
        ),
        example=("[-40.0, 0.0, 40.0]", "array([4.24835426e-18, 2.50000000e-01, 4.24835426e-18])"),
    ),
    Op(
        "log_sigmoid", ("x",), "The logarithm of the logistic function", "log(sigmoid(x)) = -log(1 + exp(-x))",
        _log_sigmoid, 2.5, 2.5,
        edges=(((-inf,), -inf), ((inf,), -0.0), ((nan,), nan)),
        notes="log_sigmoid(-inf) = -inf, log_sigmoid(inf) = -0; NaN gives NaN. About x for x << 0 and -e^-x for x >> 0.",
        example=("[-800.0, 0.0, 40.0]", "array([-8.00000000e+02, -6.93147181e-01, -4.24835426e-18])"),
    ),
    Op(
        "softplus", ("x",), "The softplus, a smooth maximum of x and 0", "log(1 + exp(x))",
        _softplus, 2.5, 2.5,
        edges=(((-inf,), 0.0), ((inf,), inf), ((nan,), nan)),
        notes=(
            "softplus(-inf) = 0, softplus(inf) = inf; NaN gives NaN. There is no threshold: e^x for x << 0 down to the last subnormal "
            "number."
        ),
        example=("[-40.0, 0.0, 800.0]", "array([4.24835426e-18, 6.93147181e-01, 8.00000000e+02])"),
    ),
    Op(
        "logit", ("p",), "The log-odds, inverse of the logistic function", "log(p / (1 - p))",
        _logit, 2.5, 2.5, domain="unit",
        edges=(
            ((0.0,), -inf), ((-0.0,), -inf), ((1.0,), inf), ((0.5,), 0.0), ((nan,), nan),
            ((-0.1,), nan), ((1.1,), nan), ((-inf,), nan), ((inf,), nan),
        ),
        notes=(
            "logit(0) = -inf and logit(1) = inf, in silence; NaN outside [0, 1] and for NaN. Accurate near p = 1/2, where the result "
            "crosses zero, and for subnormal p."
        ),
        example=("[0.0, 0.5, 0.75]", "array([      -inf, 0.        , 1.09861229])"),
    ),
    Op(
        "silu", ("x",), "The sigmoid linear unit, or swish", "x * sigmoid(x)",
        _silu, 2.5, 2.5,
        edges=(((-inf,), -0.0), ((inf,), inf), ((0.0,), 0.0), ((-0.0,), -0.0), ((nan,), nan)),
        notes=(
            "silu(-inf) = -0 (the limit; x * sigmoid(x) would be NaN), silu(inf) = inf, NaN gives NaN. The negative tail keeps its "
            "accuracy down to the last subnormal."
        ),
        example=("[-100.0, 0.0, 2.0]", "array([-3.72007598e-42,  0.00000000e+00,  1.76159416e+00])"),
    ),
    Op(
        "silu_grad", ("x",), "The derivative of the sigmoid linear unit, computed from x", "sigmoid(x) * (1 + x * sigmoid(-x))",
        _silu_grad, 2.5, 2.5, scale_floor=0.1,
        edges=(((-inf,), -0.0), ((inf,), 1.0), ((0.0,), 0.5), ((-0.0,), 0.5), ((nan,), nan)),
        notes=(
            "silu_grad(-inf) = -0, silu_grad(inf) = 1, NaN gives NaN. Crosses zero at x = -1.2785; errors there are counted in ULP of "
            "``max(abs(result), 0.1)``."
        ),
        example=("[-100.0, 0.0, 2.0]", "array([-3.68287522e-42,  5.00000000e-01,  1.09078425e+00])"),
    ),
    Op(
        "tanh", ("x",), "The hyperbolic tangent", "(exp(x) - exp(-x)) / (exp(x) + exp(-x)) = 2 * sigmoid(2 * x) - 1",
        _tanh, 1.5, 1.5,
        edges=(((-inf,), -1.0), ((inf,), 1.0), ((0.0,), 0.0), ((-0.0,), -0.0), ((nan,), nan)),
        notes=(
            "tanh(-inf) = -1, tanh(inf) = 1, NaN gives NaN. Odd and monotone; x itself where that is the nearest number, -0 and "
            "subnormal numbers included; 1 only where the exact value rounds to it, from x = 9.02 (float32) or 19.07 (float64) on."
        ),
        example=("[-0.0, 1e-300, 1.0]", "array([-0.00000000e+000,  1.00000000e-300,  7.61594156e-001])"),
    ),
    Op(
        "tanh_grad", ("x",), "The derivative of the hyperbolic tangent, computed from x", "1 - tanh(x)**2 = 1 / cosh(x)**2",
        _tanh_grad, 2.0, 2.0,
        edges=(((-inf,), 0.0), ((inf,), 0.0), ((0.0,), 1.0), ((-0.0,), 1.0), ((nan,), nan)),
        notes=(
            "Even, at most 1; 0 at both infinities; NaN gives NaN. Both tails keep their accuracy down to the last subnormal number, "
            "where 1 - tanh(x)**2 of a rounded tanh is 0 from x = 9.02 (float32) or 19.07 (float64) on."
        ),
        example=("[-40.0, 0.0, 40.0]", "array([7.21940555e-35, 1.00000000e+00, 7.21940555e-35])"),
    ),
    Op(
        "bce_with_logits", ("x", "t"), "Binary cross-entropy from a logit x and a target t in [0, 1]",
        "t * log(1 + exp(-x)) + (1 - t) * log(1 + exp(x))",
        _bce_with_logits, 3.0, 3.0,
        edges=(
            ((inf, 1.0), 0.0), ((-inf, 0.0), 0.0), ((inf, 0.0), inf), ((-inf, 1.0), inf), ((inf, 0.5), inf), ((-inf, 0.5), inf),
            ((nan, 0.0), nan), ((nan, 1.0), nan), ((0.0, nan), nan),
        ),
    ),
    Op(
        "bce_with_logits_grad", ("x", "t"), "The derivative of bce_with_logits with respect to x", "sigmoid(x) - t",
        _bce_with_logits_grad, 3.0, 3.0,
        edges=(
            ((inf, 1.0), 0.0), ((-inf, 0.0), 0.0), ((inf, 0.0), 1.0), ((-inf, 1.0), -1.0), ((inf, 0.25), 0.75), ((-inf, 0.25), -0.25),
            ((nan, 0.0), nan), ((0.0, nan), nan),
        ),
    ),
    Op(
        "bce", ("p", "t"), "Binary cross-entropy from a probability p and a target t in [0, 1]",
        "-t * log(p) - (1 - t) * log(1 - p), where 0 * log(0) is 0",
        _bce, 3.0, 3.0, domain="unit",
        edges=(
            ((0.0, 0.0), 0.0), ((1.0, 1.0), 0.0), ((0.0, 1.0), inf), ((1.0, 0.0), inf), ((0.0, 0.5), inf), ((1.0, 0.5), inf),
            ((-0.0, 0.0), 0.0), ((-0.0, 1.0), inf), ((-0.0, 0.5), inf),
            ((-0.1, 0.0), nan), ((-0.1, 1.0), nan), ((1.1, 0.0), nan), ((1.1, 1.0), nan), ((nan, 0.0), nan), ((0.5, nan), nan),
        ),
    ),
    Op(
        "bce_grad", ("p", "t"), "The derivative of bce with respect to p", "(1 - t) / (1 - p) - t / p",
        _bce_grad, 3.0, 3.0, domain="unit",
        edges=(
            ((0.0, 0.0), 1.0), ((1.0, 1.0), -1.0), ((0.0, 1.0), -inf), ((1.0, 0.0), inf), ((0.0, 0.5), -inf), ((1.0, 0.5), inf),
            ((-0.0, 0.0), 1.0), ((-0.0, 1.0), -inf), ((-0.0, 0.5), -inf),
            ((-0.1, 0.0), nan), ((-0.1, 1.0), nan), ((1.1, 0.0), nan), ((1.1, 1.0), nan), ((nan, 0.0), nan), ((0.5, nan), nan),
        ),
    ),
)  # fmt: skip

BY_NAME = {op.name: op for op in OPS}


class Fused(NamedTuple):
    """A gate: an operation of several inputs and outputs, computed in one pass.

    An argument or a result of n parts is an array whose axis holds n of what the others hold one of, such as the four gates of an LSTM.
    """

    name: str
    arguments: tuple[tuple[str, int], ...]
    """Each with the number of its parts; the formula's inputs are all parts in this order."""
    results: tuple[tuple[str, int], ...]
    near: tuple[str, ...]
    """By input the constant up to which its magnitude is near: where all are, the near formula serves, else the far one."""
    exact: Callable[..., tuple[Any, ...]]
    """The results' parts over an mpmath context, in the order of ``results``."""
    scale: Callable[..., tuple[Any, ...]]
    """Likewise, after the type's smallest normal number, the number in whose ULP each error is counted: the exact value, or more where
    terms are added that may cancel. A sum's own ULP is never below that of the smallest normal number."""
    ulp_f32: float
    ulp_f64: float
    places: tuple[int, ...] = ()
    """Which of the formula's results each part is, where some are the same."""

    @property
    def nin(self) -> int:
        return sum(parts for _, parts in self.arguments)

    @property
    def nout(self) -> int:
        return sum(parts for _, parts in self.results)

    @property
    def stored(self) -> tuple[int, ...]:
        return self.places or tuple(range(self.nout))


def _glu(mp: Any, a: Any, b: Any) -> tuple[Any, ...]:
    return (a * _sigmoid(mp, b),)


def _glu_backward(mp: Any, grad: Any, a: Any, b: Any) -> tuple[Any, ...]:
    return grad * _sigmoid(mp, b), grad * a * _sigmoid_grad(mp, b)


def _swiglu(mp: Any, a: Any, b: Any) -> tuple[Any, ...]:
    return (_silu(mp, a) * b,)


def _swiglu_backward(mp: Any, grad: Any, a: Any, b: Any) -> tuple[Any, ...]:
    return grad * b * _silu_grad(mp, a), grad * _silu(mp, a)


def _swiglu_backward_scale(mp: Any, least: Any, grad: Any, a: Any, b: Any) -> tuple[Any, ...]:
    slope = abs(_silu_grad(mp, a))
    return grad * b * (slope if abs(a + 1.2785) > 1 else max(slope, 0.1)), grad * _silu(mp, a)


def _lstm_cell(mp: Any, i: Any, f: Any, g: Any, o: Any, c: Any) -> tuple[Any, ...]:
    c_new = _sigmoid(mp, f) * c + _sigmoid(mp, i) * mp.tanh(g)
    return _sigmoid(mp, o) * mp.tanh(c_new), c_new


def _larger_term(mp: Any, i: Any, f: Any, g: Any, c: Any) -> Any:
    """Of the sum c_new."""
    return max(abs(_sigmoid(mp, f) * c), abs(_sigmoid(mp, i) * mp.tanh(g)))


def _lstm_cell_scale(mp: Any, least: Any, i: Any, f: Any, g: Any, o: Any, c: Any) -> tuple[Any, ...]:
    h, c_new = _lstm_cell(mp, i, f, g, o, c)
    term = _larger_term(mp, i, f, g, c)
    return max(abs(h), _sigmoid(mp, o) * _tanh_grad(mp, c_new) * term), max(abs(c_new), term)


def _lstm_cell_backward(mp: Any, grad_h: Any, grad_c: Any, i: Any, f: Any, g: Any, o: Any, c: Any) -> tuple[Any, ...]:
    _, c_new = _lstm_cell(mp, i, f, g, o, c)
    grad = grad_c + grad_h * _sigmoid(mp, o) * _tanh_grad(mp, c_new)
    return (
        grad * mp.tanh(g) * _sigmoid_grad(mp, i),
        grad * c * _sigmoid_grad(mp, f),
        grad * _sigmoid(mp, i) * _tanh_grad(mp, g),
        grad_h * mp.tanh(c_new) * _sigmoid_grad(mp, o),
        grad * _sigmoid(mp, f),
    )


def _lstm_cell_backward_scale(mp: Any, least: Any, grad_h: Any, grad_c: Any, i: Any, f: Any, g: Any, o: Any, c: Any) -> tuple[Any, ...]:
    _, c_new = _lstm_cell(mp, i, f, g, o, c)
    term = max(_larger_term(mp, i, f, g, c), least)
    slope = _tanh_grad(mp, c_new)
    through = abs(grad_h) * _sigmoid(mp, o) * slope
    grad = max(least, abs(grad_c), through, 2 * through * abs(mp.tanh(c_new)) * max(abs(c_new), term))
    return (
        grad * abs(mp.tanh(g)) * _sigmoid_grad(mp, i),
        grad * abs(c) * _sigmoid_grad(mp, f),
        grad * _sigmoid(mp, i) * _tanh_grad(mp, g),
        abs(grad_h) * _sigmoid_grad(mp, o) * max(abs(mp.tanh(c_new)), slope * term),
        grad * _sigmoid(mp, f),
    )


def _of_the_value(exact: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    return lambda mp, least, *inputs: exact(mp, *inputs)


def _gru_sums(mp: Any, i_r: Any, i_z: Any, i_n: Any, h_r: Any, h_z: Any, h_n: Any) -> tuple[Any, ...]:
    """r, z and n, and in each the largest change that one ULP of the largest term of its sum makes, in ULP."""
    r, z = _sigmoid(mp, i_r + h_r), _sigmoid(mp, i_z + h_z)
    s = i_n + r * h_n
    in_r = max(r, _sigmoid_grad(mp, i_r + h_r) * max(abs(i_r), abs(h_r)))
    in_z = max(min(z, 1 - z), _sigmoid_grad(mp, i_z + h_z) * max(abs(i_z), abs(h_z)))
    return r, z, s, in_r, in_z, max(abs(i_n), abs(r * h_n), in_r * abs(h_n))


def _gru_cell(mp: Any, i_r: Any, i_z: Any, i_n: Any, h_r: Any, h_z: Any, h_n: Any, h: Any) -> tuple[Any, ...]:
    _, z, s, *_ = _gru_sums(mp, i_r, i_z, i_n, h_r, h_z, h_n)
    return (_sigmoid(mp, -(i_z + h_z)) * mp.tanh(s) + z * h,)


def _gru_cell_scale(mp: Any, least: Any, i_r: Any, i_z: Any, i_n: Any, h_r: Any, h_z: Any, h_n: Any, h: Any) -> tuple[Any, ...]:
    _, z, s, _, in_z, in_s = _gru_sums(mp, i_r, i_z, i_n, h_r, h_z, h_n)
    in_s = max(in_s, least)
    n, rest = abs(mp.tanh(s)), _sigmoid(mp, -(i_z + h_z))
    return (max(rest * n, z * abs(h), in_z * n, in_z * abs(h), rest * _tanh_grad(mp, s) * in_s),)


def _gru_cell_backward(mp: Any, grad_h: Any, i_r: Any, i_z: Any, i_n: Any, h_r: Any, h_z: Any, h_n: Any, h: Any) -> tuple[Any, ...]:
    r, z, s, *_ = _gru_sums(mp, i_r, i_z, i_n, h_r, h_z, h_n)
    dn = grad_h * _sigmoid(mp, -(i_z + h_z)) * _tanh_grad(mp, s)
    dr = dn * h_n * _sigmoid_grad(mp, i_r + h_r)
    dz = grad_h * (h - mp.tanh(s)) * _sigmoid_grad(mp, i_z + h_z)
    return dr, dz, dn, dr, dz, dn * r, grad_h * z


def _gru_cell_backward_scale(
    mp: Any, least: Any, grad_h: Any, i_r: Any, i_z: Any, i_n: Any, h_r: Any, h_z: Any, h_n: Any, h: Any
) -> tuple[Any, ...]:
    """A relative error of a sigmoid or of its slope, or of the slope of tanh, from the sum that it is of, in ULP of the result."""
    r, z, s, _, _, in_s = _gru_sums(mp, i_r, i_z, i_n, h_r, h_z, h_n)
    in_s = max(in_s, least)
    r_sum, z_sum, n_sum = (max(1, abs(a), abs(b)) for a, b in ((i_r, h_r), (i_z, h_z), (2 * in_s, 0)))
    slope = _tanh_grad(mp, s)
    dn = abs(grad_h) * _sigmoid(mp, -(i_z + h_z)) * slope * max(z_sum, n_sum)
    dr = abs(grad_h * h_n) * _sigmoid(mp, -(i_z + h_z)) * slope * _sigmoid_grad(mp, i_r + h_r) * max(r_sum, z_sum, n_sum)
    terms = max(abs(h), abs(mp.tanh(s)))
    dz = abs(grad_h) * _sigmoid_grad(mp, i_z + h_z) * max(terms * z_sum, slope * in_s)
    dm = dn * r * max(1, r_sum / max(z_sum, n_sum))
    return dr, dz, dn, dr, dz, dm, abs(grad_h) * z * z_sum


_FACTOR, _GATE, _HALF, _QUARTER = "factor_near", "gate_near", "half_gate_near", "quarter_gate_near"
_LSTM = (_QUARTER,) * 5
_GRU = (*(_QUARTER,) * 6, _FACTOR)

FUSED: tuple[Fused, ...] = (
    Fused("glu", (("x", 2),), (("out", 1),), (_FACTOR, _HALF), _glu, _of_the_value(_glu), 2.5, 2.5),
    Fused(
        "glu_backward", (("grad", 1), ("x", 2)), (("dx", 2),), (_FACTOR, _FACTOR, _GATE),
        _glu_backward, _of_the_value(_glu_backward), 3.0, 3.0,
    ),
    Fused("swiglu", (("a", 1), ("b", 1)), (("out", 1),), (_HALF, _FACTOR), _swiglu, _of_the_value(_swiglu), 3.0, 3.0),
    Fused(
        "swiglu_backward", (("grad", 1), ("a", 1), ("b", 1)), (("da", 1), ("db", 1)), (_FACTOR, _GATE, _FACTOR),
        _swiglu_backward, _swiglu_backward_scale, 4.0, 4.0,
    ),
    Fused("lstm_cell", (("gates", 4), ("c", 1)), (("h", 1), ("c_new", 1)), _LSTM, _lstm_cell, _lstm_cell_scale, 6.0, 6.0),
    Fused(
        "lstm_cell_backward", (("grad_h", 1), ("grad_c", 1), ("gates", 4), ("c", 1)), (("dgates", 4), ("dc", 1)),
        (_FACTOR, _FACTOR, *_LSTM), _lstm_cell_backward, _lstm_cell_backward_scale, 10.0, 10.0,
    ),
    Fused("gru_cell", (("gi", 3), ("gh", 3), ("h", 1)), (("h_new", 1),), _GRU, _gru_cell, _gru_cell_scale, 6.0, 6.0),
    Fused(
        "gru_cell_backward", (("grad_h", 1), ("gi", 3), ("gh", 3), ("h", 1)), (("dgi", 3), ("dgh", 3), ("dh", 1)),
        (_FACTOR, *_GRU), _gru_cell_backward, _gru_cell_backward_scale, 8.0, 8.0, places=(0, 1, 2, 0, 1, 3, 4),
    ),
)  # fmt: skip

FUSED_BY_NAME = {row.name: row for row in FUSED}

BROADCASTING = frozenset(row.name for row in FUSED if row.name.startswith("swiglu"))
"""Gates whose arguments broadcast as a ufunc's do; of all others the shapes must agree."""
