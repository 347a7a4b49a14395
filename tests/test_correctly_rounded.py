"""``fastsig.correctly_rounded``: every result is the float32 number nearest to the exact value, and other types are refused."""

from __future__ import annotations

import json
import pickle
import re
from typing import Any

import float_environments as environments
import numpy as np
import pytest
from processes import printed
from reference import Array

import fastsig as fs
from fastsig.dispatch.availability import rounded_ufunc_of, ufunc_of
from fastsig.formulas import rounded
from fastsig.measure.accuracy import correct_rounding, exact, records, sources
from fastsig.measure.accuracy.correct_rounding import Checked
from fastsig.measure.formats import FORMATS
from fastsig.ops import OPS, ROUNDED, Op

F32 = FORMATS["float32"]
EACH = pytest.mark.parametrize("op", ROUNDED, ids=lambda op: op.name)
HARD = {
    "sigmoid": [m * s * 2.0**-23 for m in (1, 3, 5, 63, 127, 129, 255) for s in (1, -1)] + [2.0**-25, -(2.0**-24), -0.1408732],
    "sigmoid_grad": [2.0**-12, -(2.0**-12), 3 * 2.0**-12, 5 * 2.0**-12],
    "softplus": [float.fromhex("0x1.d483ap-12"), -103.9, -87.5],
    "log_sigmoid": [-float.fromhex("0x1.d483ap-12"), 103.9, 87.5],
    "logit": [float.fromhex("0x1.13986cp-22"), 0.5 + 2.0**-24, 0.5 - 2.0**-25, 2.0**-149, 3 * 2.0**-149, 2.0**-126, 1 - 2.0**-24],
    "silu": [m * s * 2.0**-149 for m in (1, 2, 3, 5, 0x7FFFFF, 0x800001, 0xFFFFFF) for s in (1, -1)] + [2.0**-23, -3 * 2.0**-21],
    "tanh": [2.0**-149, -(2.0**-126), float.fromhex("0x1.713744p-12"), 9.0109],
}  # fmt: skip
"""Inputs whose exact results lie next to the middle of two float32 numbers, and results about to become subnormal, 0 or 1."""


def ufunc(op: Op, backend: str) -> np.ufunc:
    return rounded_ufunc_of(backend, op.name)


def anything(op: Op, count: int, seed: int = 0) -> Array:
    """Half of all bit patterns alike, half where results differ."""
    random = np.random.default_rng(seed)
    patterns = random.integers(0, 2**32, count // 2, dtype=np.uint32).view(np.float32)
    common = random.uniform(0, 1, count // 2) if op.domain == "unit" else random.normal(0, 20, count // 2)
    return np.concatenate([patterns, common.astype(np.float32)])


def same(a: Array, b: Array) -> bool:
    """The bits, where neither is NaN; a NaN's sign and payload are left open."""
    return bool(np.all((a.view(np.uint32) == b.view(np.uint32)) | (np.isnan(a) & np.isnan(b))))


def test_each_place_has_the_same_operations() -> None:
    assert [op.name for op in ROUNDED] == fs.correctly_rounded.__all__
    assert {"sigmoid", "softplus", "log_sigmoid", "sigmoid_grad", "silu", "logit", "tanh"} == set(fs.correctly_rounded.__all__)
    assert set(correct_rounding.ORDER) == set(HARD) == set(fs.correctly_rounded.__all__)
    assert set(fs.correctly_rounded.__all__) <= set(dir(fs.correctly_rounded))
    with pytest.raises(AttributeError, match=r"no attribute 'bce'; the operations are sigmoid, "):
        _ = fs.correctly_rounded.bce


@EACH
def test_is_a_ufunc(op: Op) -> None:
    function = getattr(fs.correctly_rounded, op.name)
    assert isinstance(function, np.ufunc)
    assert function is not getattr(fs.ufuncs, op.name)
    assert pickle.loads(pickle.dumps(function)) is function
    assert (function.nin, function.nout, function.types) == (1, 1, ["e->e", "f->f"])


@EACH
def test_edges(op: Op, backend: str) -> None:
    for (at,), limit in op.edges:
        got = ufunc(op, backend)(np.float32(at))
        want = np.float32(limit)
        assert type(got) is np.float32
        assert same(np.atleast_1d(got), np.atleast_1d(want)), f"{op.name}({at}) is {got}"


@EACH
def test_hard_inputs(op: Op, backend: str) -> None:
    x = np.float32(HARD[op.name])
    want = np.float32([exact.rounded(op, F32, (float(v),)) for v in x])
    assert ufunc(op, backend)(x).tolist() == want.tolist()


def bounds(op: Op, x: Array) -> tuple[Array, Array]:
    least, greatest = np.empty((2, len(x)), np.float32)
    sides = list(correct_rounding._bounds(op, abs(x)))
    for sign, side in zip((False, True), sides, strict=True):
        chosen = np.signbit(x) == sign
        least[chosen], greatest[chosen] = side[0][chosen], side[1][chosen]
    return least, greatest


@EACH
def test_random_inputs(op: Op, backend: str) -> None:
    x = anything(op, 1 << 17)
    found = Checked(op.name, backend)
    with np.errstate(all="ignore"):
        correct_rounding.compare(op, x, bounds(op, x), ufunc(op, backend)(x), found)
    assert not found.failures


@EACH
def test_a_part_of_all_inputs(op: Op, backend: str) -> None:
    """A block of 2^13 magnitudes, with both signs, in every sixteenth part of an octave; all of them: ``check --correctly-rounded``."""
    found = Checked(op.name, backend)
    for index in range(0, correct_rounding.CHUNKS, 16):
        found.merge(correct_rounding._chunk(op, ufunc(op, backend), index + index // 16 % 16, part=7))
    assert found.count == correct_rounding.CHUNKS // 16 * 2 * 2 * correct_rounding.BLOCK
    assert not found.failures


@EACH
def test_the_check_finds_the_ordinary_function_wanting(op: Op) -> None:
    x = np.abs(anything(op, 1 << 14))
    x = x[np.isfinite(x)]
    ordinary = getattr(fs.ufuncs, op.name)(x)
    found = Checked(op.name, "")
    with np.errstate(all="ignore"):
        correct_rounding.compare(op, x, bounds(op, x), ordinary, found)
    assert found.wrong > 10
    assert found.failures[0] == f"{found.wrong} results are not the nearest number"
    assert len(found.failures) == 1 + correct_rounding.SHOWN


@EACH
def test_the_check_finds_one_wrong_bit(op: Op) -> None:
    """Also where only the exact value tells which of two numbers is the nearer, and in a NaN or the sign of a zero."""
    x = np.float32([*HARD[op.name], np.nan, *(at for (at,), _ in op.edges)])
    right = getattr(fs.correctly_rounded, op.name)(x)
    for i, value in enumerate(right):
        wrong = right.copy()
        wrong[i] = 1.0 if np.isnan(value) else np.float32(-0.0) if value.tobytes() == bytes(4) else np.nextafter(value, np.float32(0.3))
        found = Checked(op.name, "")
        with np.errstate(all="ignore"):
            correct_rounding.compare(op, x, bounds(op, x), wrong, found)
        assert found.wrong == 1, f"{op.name}({x[i]}): {wrong[i]} for {value}"


def test_the_check_finds_neighbours_in_the_wrong_order() -> None:
    rising = np.float32([1, 2, 2, 4, 3])
    assert correct_rounding._disorder(rising, 1) == 1
    assert correct_rounding._disorder(-rising, -1) == 1
    assert correct_rounding._disorder(rising, 0) == 0
    assert Checked("sigmoid", "c", disorder=1).failures == ["1 neighbours are in the wrong order"]


@EACH
def test_the_same_bits_everywhere(op: Op, need_c: None, need_numba: None, default_isa: None) -> None:
    from fastsig.kernels.c import library as c

    x = anything(op, 1 << 18, seed=1)
    expected = ufunc(op, "numba")(x)
    for isa in c.isas():
        c.set_isa(isa)
        assert same(ufunc(op, "c")(x), expected), isa


@EACH
def test_the_formula_on_numbers(op: Op) -> None:
    """The Python text itself, exact and slow, gives the ufunc's bits."""
    x = np.float32([*HARD[op.name], *anything(op, 100)])
    with np.errstate(all="ignore"):
        by_text = np.float32([getattr(rounded, op.name)(np.float64(v)) for v in x])
    assert same(by_text, getattr(fs.correctly_rounded, op.name)(x))


@EACH
def test_layouts(op: Op, backend: str) -> None:
    function = ufunc(op, backend)
    x = anything(op, 1200, seed=2)
    x = x[: len(x) // 2 * 2]
    whole = function(x)
    for count in (0, 1, 2, 15, 16, 17, 31, 255, 256, 257, 511, 513):
        assert same(function(x[:count]), whole[:count]), count
    assert same(function(x[::-1]), whole[::-1].copy())
    assert same(function(x[::3]), whole[::3].copy())
    assert same(function(x.reshape(2, -1).T), whole.reshape(2, -1).T.copy())
    assert same(function(np.broadcast_to(x[:1], 300)), np.repeat(whole[:1], 300))
    raw = np.empty(4 * len(x) + 1, np.uint8)[1:]
    raw[:] = x.view(np.uint8)
    assert same(function(raw.view(np.float32)), whole)
    assert same(function(x.astype(">f4")).astype("=f4"), whole)
    spaced = np.full(3 * len(x), 7, np.float32)
    function(x, out=spaced[::3])
    assert same(spaced[::3].copy(), whole)
    assert (spaced[1::3] == 7).all()
    masked = np.full_like(x, 7)
    function(x, out=masked, where=np.arange(len(x)) % 2 == 0)
    assert same(masked[::2].copy(), whole[::2].copy())
    assert (masked[1::2] == 7).all()
    assert same(function(x, out=np.empty(len(x), np.float64)).astype(np.float32), whole)
    same_place = x.copy()
    function(same_place, out=same_place)
    assert same(same_place, whole)


@EACH
def test_halves_are_the_ordinary_ones(op: Op, backend: str) -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    assert ufunc(op, backend)(every).tobytes() == ufunc_of(backend, op.name)(every).tobytes()
    assert ufunc(op, backend)(np.int8([0, 1])).dtype == np.float16
    assert ufunc(op, backend)(np.int16([0, 1])).dtype == np.float32


@EACH
def test_bfloat16_is_the_ordinary_one(op: Op, need_c: None) -> None:
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    every = np.arange(1 << 16, dtype=np.uint16).view(bfloat16)
    fs.sigmoid(every[:1])  # from here on the ufuncs know this type
    assert ufunc(op, "c")(every).tobytes() == ufunc_of("c", op.name)(every).tobytes()


class DeviceArray:
    """An array of a GPU, of a library that knows nothing of NumPy."""

    __cuda_array_interface__: Any = {"shape": (2,), "typestr": "<f4", "data": (0, False), "version": 3}


REFUSED = {
    "a Python float": (0.5, "x is float64"),
    "a Python int": (1, "x is int64"),
    "a list": ([0.5, 1.0], "x is float64"),
    "float64": (np.zeros(2), "x is float64"),
    "nothing in float64": (np.zeros(0), "x is float64"),
    "int32": (np.zeros(2, np.int32), "x is int32"),
    "complex": (np.zeros(2, np.complex64), "x is complex64"),
    "text": (np.array(["a"]), "x is <U1"),
    "objects": (np.array([1, None]), "x is object"),
    "an array of a GPU": (DeviceArray(), r"x is an object of <class '.*DeviceArray'>"),
}


@pytest.mark.parametrize("kind", REFUSED)
@EACH
def test_other_types_are_refused_by_name(op: Op, kind: str, backend: str) -> None:
    given, there = REFUSED[kind]
    words = rf"^correctly_rounded\.{op.name}: {there}; it computes in float32, float16 and bfloat16.* fastsig\.{op.name} takes other"
    with pytest.raises(TypeError, match=words):
        ufunc(op, backend)(given)


@EACH
def test_numbers_with_dtype(op: Op, backend: str) -> None:
    function = ufunc(op, backend)
    one = function(np.float32(0.3))
    assert function(0.3, dtype=np.float32) == one
    assert function([0.3, 0.3], dtype=np.float32).tolist() == [one, one]
    assert function(np.float64([0.3]), dtype=np.float32).tolist() == [one]
    with pytest.raises(TypeError, match=re.escape("the type asked for is (None, dtype('float64'))")):
        function(np.float32(0.3), dtype=np.float64)


@EACH
def test_no_flags_are_left(op: Op, backend: str) -> None:
    with np.errstate(all="raise"):
        for x in (anything(op, 4096, seed=3), np.float32(HARD[op.name]), np.float32([at for (at,), _ in op.edges])):
            ufunc(op, backend)(x)
            ufunc(op, backend)(x[::2])


@environments.needed
@pytest.mark.parametrize("environment", [name for name in environments.ALL if name != "default"])
@EACH
def test_other_floating_point_environments(op: Op, environment: str, backend: str) -> None:
    function = ufunc(op, backend)
    x = np.concatenate([anything(op, 2000, seed=4), np.float32(HARD[op.name])])
    expected = function(x)
    with environments.under(environment) as before:
        got = function(x)
        after = environments.current()
    assert same(got, expected)
    assert after | 0x3F == before | 0x3F, "NumPy clears the flags; all else is given back"


@EACH
def test_on_record(op: Op) -> None:
    """All 2^32 inputs were checked of the text as it is now."""
    row = next(row for row in json.loads(records.rounded_path().read_text()) if row["op"] == op.name)
    assert (row["count"], row["wrong"], row["disorder"]) == (2**32, 0, 0)
    again = f"python -m tools.accuracy --correctly-rounded --ops {op.name} --write"
    assert row["sources"] == sources.here().rounded_hash(), f"the text has changed since: {again}"


def test_rows_say_which_operations_they_are() -> None:
    assert [op for op in OPS if op.correctly_rounded] == list(ROUNDED)


def test_words_that_cannot_be_found_are_an_exception(backend: str) -> None:
    """Of the class of what was given: its own, and the process goes on."""

    class Unspeakable(type):
        def __repr__(cls) -> str:
            raise RuntimeError("no words")

    function = rounded_ufunc_of(backend, "sigmoid")
    for _ in range(3):
        with pytest.raises(RuntimeError, match="no words"):
            function(Unspeakable("Thing", (), {})())


def test_a_refusal_in_the_deepest_call(backend: str) -> None:
    code = f"""
import numpy as np
from fastsig.dispatch.availability import rounded_ufunc_of
function = rounded_ufunc_of({backend!r}, "sigmoid")
def deeper():
    try:
        function(np.zeros(2))
    except TypeError:
        pass
    deeper()
try:
    deeper()
except RecursionError:
    print("recursion")
"""
    assert printed(code) == "recursion"
