"""The C library's front for the losses gives what the general way gives, bit for bit, and takes the calls that it is there for."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loss_front import taken
from reference import assert_same_bits

import fastsig as fs
from fastsig.kernels.plan import reciprocal

FLOATS = ["float16", "bfloat16", "float32", "float64"]
FOCAL = {"alpha", "gamma"}
LOSSES: dict[str, set[str]] = {
    "bce_with_logits": {"weight", "pos_weight", "label_smoothing", "mask", "reduction", "out"},
    "bce": {"weight", "mask", "reduction", "out"},
    "bce_with_logits_value_and_grad": {"weight", "pos_weight", "label_smoothing", "mask", "reduction", "out", "grad_out"},
    "bce_with_logits_grad_hess": {"weight", "pos_weight", "label_smoothing", "mask", "grad_out", "hess_out"},
    "sigmoid_focal_loss": {"weight", "mask", "reduction", "out"} | FOCAL,
    "sigmoid_focal_loss_value_and_grad": {"weight", "mask", "reduction", "out", "grad_out"} | FOCAL,
    "sigmoid_focal_loss_grad_hess": {"weight", "mask", "grad_out", "hess_out"} | FOCAL,
}


def dtype_of(name: str) -> np.dtype[Any]:
    return np.dtype(pytest.importorskip("ml_dtypes").bfloat16) if name == "bfloat16" else np.dtype(name)


def parts(result: Any) -> list[np.ndarray[Any, Any]]:
    return [np.asarray(part) for part in (result if isinstance(result, tuple) else (result,))]


def longer_strides(array: np.ndarray[Any, Any]) -> list[int]:
    """Of the axes along which there is more than one element."""
    return [stride for stride, length in zip(array.strides, array.shape, strict=True) if length > 1]


def assert_as_the_general_way(name: str, arguments: tuple[Any, ...], options: dict[str, Any], outs: dict[str, Any]) -> bool:
    """Results, outputs, types and refusals alike; returns whether the front took the call."""

    def called() -> Any:
        given = {key: None if out is None else out.copy(order="K") for key, out in outs.items()}
        try:
            return getattr(fs, name)(*arguments, **options, **given), given
        except (ValueError, TypeError) as error:
            return type(error), str(error)

    with taken() as answers, np.errstate(all="raise"):
        got = called()
    with taken(only_general=True), np.errstate(all="raise"):
        want = called()
    if isinstance(want[0], type):
        assert got == want
        return False
    for a, b in zip(parts(got[0]), parts(want[0]), strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        assert a.size == 0 or longer_strides(a) == longer_strides(b)
        assert_same_bits(np.ascontiguousarray(a), np.ascontiguousarray(b))
    for key, out in got[1].items():
        if out is not None:
            assert_same_bits(np.ascontiguousarray(out), np.ascontiguousarray(want[1][key]))
    assert [type(part) for part in ([*got[0]] if isinstance(got[0], tuple) else [got[0]])] == [
        type(part) for part in ([*want[0]] if isinstance(want[0], tuple) else [want[0]])
    ]
    return answers == [True]


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, tuple[Any, ...], dict[str, Any], dict[str, Any]]:
    name = draw(st.sampled_from(sorted(LOSSES)))
    knows = LOSSES[name]
    random = np.random.default_rng(draw(st.integers(0, 1 << 32)))
    shape = draw(st.sampled_from([(), (1,), (3,), (100,), (1025,), (7, 5), (5, 1), (33, 40), (4, 3, 5), (2048,), (0,), (0, 3)]))
    dtype = dtype_of(draw(st.sampled_from(FLOATS)))
    scale = draw(st.sampled_from([1e-3, 1, 30, 1e4]))
    x = np.asarray(random.normal(0, scale, shape))
    if name == "bce":
        x = np.asarray(random.random(shape) ** draw(st.sampled_from([1, 9])))
    x = x.astype(np.int8 if draw(st.integers(0, 9)) == 0 and name != "bce" else dtype)
    kind = draw(st.sampled_from(["float32", "float64", "bool", "int8", "uint8", "int64", "soft", "same"]))
    t = np.asarray(random.random(draw(st.sampled_from([shape, shape[-1:], shape]))))
    t = t.astype(dtype) if kind == "same" else t if kind == "soft" else (t > 0.5).astype(kind)
    orders = [draw(st.sampled_from(["C", "F", "reversed", "step"])) for _ in range(2)]

    def laid(a: np.ndarray[Any, Any], order: str) -> np.ndarray[Any, Any]:
        if order == "F":
            return np.asfortranarray(a)
        if order == "reversed" and a.ndim:
            return a[::-1].copy()[::-1]
        if order == "step" and a.ndim:
            wide = np.repeat(a, 2, axis=-1)
            return wide[..., ::2]
        return a

    arguments: tuple[Any, ...] = (laid(x, orders[0]), laid(t, orders[1]))
    if draw(st.integers(0, 7)) == 0:
        arguments = tuple(a.tolist() for a in arguments)
    options: dict[str, Any] = {}
    if "reduction" in knows:
        options["reduction"] = draw(st.sampled_from(["none", "sum", "mean", "weighted_mean"]))
    some = st.booleans()
    if draw(some):
        w = random.random(shape) * draw(st.sampled_from([1e-30, 1, 1e30])) * (random.random(shape) > 0.1)
        options["weight"] = np.asarray(w, draw(st.sampled_from(["float32", "float64"]))) if draw(some) else float(random.random())
    if "pos_weight" in knows and draw(some):
        options["pos_weight"] = random.random(shape[-1:]) * 4
    if "label_smoothing" in knows and draw(some):
        options["label_smoothing"] = draw(st.sampled_from([0.0, 0.1, 0.3]))
    if draw(some):
        options["mask"] = random.random(shape) > 0.3
        if options["mask"].size and not options["mask"].any():
            del options["mask"]
    if "gamma" in knows:
        alpha = draw(st.sampled_from([None, 0.25, random.random(shape[-1:]), random.random(shape) * 1.1]))
        options |= {"alpha": alpha, "gamma": draw(st.sampled_from([0.0, 1.5, 2.0]))}
    if draw(some):
        options["check"] = draw(some)
    if draw(some):
        options |= draw(st.sampled_from([{"backend": "c"}, {"threads": 1}, {"threads": 2}, {"backend": "c", "threads": 3}]))
    outs: dict[str, Any] = {}
    logits = np.asarray(arguments[0])
    result = np.exp(np.zeros((), logits.dtype)).dtype if logits.dtype.kind in "bui" else logits.dtype
    for out in ("out", "grad_out", "hess_out"):
        if out in knows and draw(some):
            if out == "out" and options.get("reduction") != "none":
                outs[out] = np.zeros((), dtype_of(draw(st.sampled_from(FLOATS))))
            else:
                outs[out] = np.zeros(shape, result, order=draw(st.sampled_from(["C", "F"])))
    return name, arguments, options, outs


@pytest.mark.filterwarnings("ignore:.*loss over no .* is NaN:RuntimeWarning")
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(calls())
def test_any_call(need_c: None, call: tuple[str, tuple[Any, ...], dict[str, Any], dict[str, Any]]) -> None:
    assert_as_the_general_way(*call)


X = np.linspace(-6, 6, 100, dtype=np.float32)
T = (np.arange(100) % 3 == 0).astype(np.float32)
W = np.linspace(0, 2, 100, dtype=np.float32)
SQUARE = np.asfortranarray(np.linspace(-9, 9, 600, dtype=np.float32).reshape(20, 30))
VALUE_AND_GRAD = "bce_with_logits_value_and_grad"
TAKEN: list[tuple[str, str, tuple[Any, ...], dict[str, Any], dict[str, Any]]] = [
    ("plain", VALUE_AND_GRAD, (X, T), {}, {}),
    ("threads", VALUE_AND_GRAD, (X, T), {"threads": 1}, {}),
    ("backend", VALUE_AND_GRAD, (X, T), {"backend": "c"}, {}),
    ("weighted_mean", VALUE_AND_GRAD, (X, T), {"weight": W, "reduction": "weighted_mean"}, {}),
    ("weighted_mean without weight", VALUE_AND_GRAD, (X, T), {"reduction": "weighted_mean"}, {}),
    ("out", "bce_with_logits", (X, T), {}, {"out": np.zeros((), np.float32)}),
    ("out of another type", "bce_with_logits", (X, T), {}, {"out": np.zeros((), np.float16)}),
    ("out of all elements", "bce_with_logits", (X, T), {"reduction": "none"}, {"out": np.zeros_like(X)}),
    ("float16", VALUE_AND_GRAD, (X.astype(np.float16), T), {}, {}),
    ("mask", VALUE_AND_GRAD, (X, T), {"mask": T > 0}, {}),
    ("label smoothing", VALUE_AND_GRAD, (X, T), {"label_smoothing": 0.1}, {}),
    ("lists", VALUE_AND_GRAD, (X.tolist(), T.tolist()), {}, {}),
    ("integers", VALUE_AND_GRAD, (X.astype(np.int8), T), {}, {}),
    ("integers in Fortran order", VALUE_AND_GRAD, (SQUARE.astype(np.int64), SQUARE > 0), {"reduction": "none"}, {}),
    ("reduced, in Fortran order", VALUE_AND_GRAD, (SQUARE, SQUARE > 0), {}, {}),
    ("one row", VALUE_AND_GRAD, (X[None], T[None]), {}, {}),
    ("every second of one row", VALUE_AND_GRAD, (X[None, ::2], T[None, ::2]), {}, {}),
    ("one column", VALUE_AND_GRAD, (X[:, None], T[:, None]), {}, {}),
    ("one element", VALUE_AND_GRAD, (np.float32(2), 1), {}, {}),
    ("in place of Fortran order", "bce_with_logits_grad_hess", (SQUARE, SQUARE > 0), {}, {"grad_out": np.zeros_like(SQUARE)}),
    ("Fortran order", VALUE_AND_GRAD, (SQUARE, np.asfortranarray(SQUARE > 0)), {"reduction": "none"}, {}),
    ("an infinite loss", "bce_with_logits", (np.float32([np.inf, 1]), np.float32([0, 1])), {}, {}),
    ("a NaN", "bce_with_logits", (np.float32([np.nan, 1]), np.float32([0, 1])), {}, {}),
    ("a subnormal mean", "bce_with_logits", (np.float64([745.0, 744.0, 740.0]), np.ones(3)), {}, {}),
    ("nothing but zeros", "bce_with_logits", (np.float64([1e4]), np.ones(1)), {}, {}),
]


@pytest.mark.parametrize(("name", "arguments", "options", "outs"), [row[1:] for row in TAKEN], ids=[row[0] for row in TAKEN])
def test_it_takes_what_it_is_there_for(
    name: str, arguments: tuple[Any, ...], options: dict[str, Any], outs: dict[str, Any], need_c: None
) -> None:
    assert assert_as_the_general_way(name, arguments, options, outs)


def test_bfloat16_is_taken(need_c: None) -> None:
    x = X.astype(dtype_of("bfloat16"))
    assert assert_as_the_general_way(VALUE_AND_GRAD, (x, T), {}, {})
    assert assert_as_the_general_way("bce_with_logits", (X, T), {"reduction": "sum"}, {"out": np.zeros((), x.dtype)})


def test_unreduced_results_lie_as_the_logits_do(backend: str) -> None:
    """And so no operand is walked across its memory."""
    loss, grad = fs.bce_with_logits_value_and_grad(SQUARE, np.asfortranarray(SQUARE > 0), reduction="none", backend=backend)
    swapped = fs.bce_with_logits(SQUARE.T.reshape(5, 6, 20).swapaxes(0, 2), 1, reduction="none", backend=backend)
    assert loss.flags.f_contiguous
    assert grad.flags.f_contiguous
    assert swapped.swapaxes(0, 2).flags.c_contiguous


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_a_quotient_is_rounded_once(dtype: str, need_c: None) -> None:
    """Sums of weights over all exponents, ties among them: the exact quotient by fractions, rounded by the fractions' own rule."""
    random = np.random.default_rng(3)
    kind = dtype_of(dtype)
    for _ in range(2000):
        n = int(random.integers(1, 6))
        x = np.zeros(n)
        weight = np.ldexp(random.integers(1, 1 << int(random.integers(1, 54)), n).astype(float), random.integers(-900, 900, n))
        target = random.integers(0, 2, n).astype(float)
        out = np.zeros((), kind)
        with taken() as answers:
            fs.bce_with_logits(x + np.where(target > 0, -700.0, 700.0), target, weight=weight, reduction="weighted_mean", out=out)
        assert answers == [True]
        with taken(only_general=True):
            want = fs.bce_with_logits(
                x + np.where(target > 0, -700.0, 700.0), target, weight=weight, reduction="weighted_mean", out=np.zeros((), kind)
            )
        assert_same_bits(out, want)


def test_the_reciprocal_of_a_sum_of_weights_has_two_parts(need_c: None) -> None:
    """A gradient of 1/4 at x = 0, t = 0, weight 1/2 shows what it was multiplied by."""
    random = np.random.default_rng(5)
    for _ in range(500):
        weight = np.ldexp(random.integers(1, 1 << 50, 3).astype(float), random.integers(-300, 300, 3))
        with taken() as answers:
            _, grad = fs.bce_with_logits_value_and_grad(np.zeros(3), np.zeros(3), weight=weight, reduction="weighted_mean")
        assert answers == [True]
        head, rest = reciprocal(*sum(map(Fraction, weight.tolist()), Fraction()).as_integer_ratio(), True)
        half = [Fraction(w) / 2 for w in weight.tolist()]
        want = [float(w * (Fraction(head) + Fraction(rest))) for w in half]
        assert (np.abs(grad.view(np.int64) - np.array(want).view(np.int64)) <= 1).all()


def shares_memory(outs: list[str], where: str) -> tuple[tuple[Any, Any], dict[str, Any]]:
    """Logits, targets and outputs, fresh at each call, of which some lie where others do."""
    buffer = np.linspace(-6, 6, 2050, dtype=np.float32)
    x, t = buffer[:2048], (np.arange(2048) % 3 == 0).astype(np.float32)
    if where == "Fortran logits":
        x, t = x.reshape(32, 64).T, t.reshape(32, 64).T
    places = {
        "logits": x, "Fortran logits": x, "targets": t, "logits, reversed": x[::-1], "logits, two further on": buffer[2:],
        "each other": np.zeros_like(x), "logits and targets": x,
    }  # fmt: skip
    given = dict.fromkeys(outs, places[where])
    if where == "logits and targets":
        given[outs[-1]] = t
    return (x, t), given


OVERLAPS = [
    ("logits", ["grad_out"], True),
    ("Fortran logits", ["grad_out"], True),
    ("targets", ["grad_out"], True),
    ("logits and targets", ["grad_out", "hess_out"], True),
    ("logits, reversed", ["grad_out"], False),
    ("logits, two further on", ["hess_out"], False),
    ("each other", ["grad_out", "hess_out"], False),
]


@pytest.mark.parametrize(("where", "outs", "taken_by_the_front"), OVERLAPS, ids=[row[0] for row in OVERLAPS])
@pytest.mark.parametrize("bad", [False, True], ids=["good", "bad"])
def test_outputs_that_lie_where_operands_do(where: str, outs: list[str], taken_by_the_front: bool, bad: bool, need_c: None) -> None:
    """In place or refused, as by the general way; where the input is bad, everything stays as it was."""

    def called(only_general: bool) -> tuple[Any, list[bytes], list[bool]]:
        (x, t), given = shares_memory(outs, where)
        if bad:
            t[-1] = 2
        arrays = (x, t, *given.values())
        before = [a.tobytes() for a in arrays]
        with taken(only_general) as answers:
            try:
                result: Any = [part.tobytes() for part in fs.bce_with_logits_grad_hess(x, t, **given)]
            except ValueError as error:
                result = str(error)
        after = [a.tobytes() for a in arrays]
        assert (after == before) == isinstance(result, str)
        return result, after, answers

    result, memory, answers = called(only_general=False)
    assert (result, memory) == called(only_general=True)[:2]
    assert answers == [taken_by_the_front and not bad]
    assert isinstance(result, str) == (bad or not taken_by_the_front)
