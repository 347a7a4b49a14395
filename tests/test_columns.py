"""Columns and tables of pyarrow and polars: they come back as what they were, with their nulls, and share their memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from reference import Array, assert_same_bits

import fastsig as fs
from fastsig.ops import OPS

pa = pytest.importorskip("pyarrow")
pl = pytest.importorskip("polars")

UNARY = [op.name for op in OPS if op.nin == 1]
EACH = pytest.mark.parametrize("name", UNARY)
X = np.random.default_rng(5).uniform(0.01, 0.99, 40).astype(np.float32)
NULL = np.arange(40) % 3 == 1


def function(name: str) -> Any:
    return getattr(fs, name)


def arrow(x: Array = X, missing: Array | None = NULL) -> Any:
    return pa.array(x, mask=missing)


def check(result: Any, want: Array, missing: Array | None = None) -> None:
    """The result's elements have these bits, and are null where they are said to be missing."""
    missing = np.zeros(len(want), bool) if missing is None else missing
    result.validate(full=True)
    assert result.type == pa.from_numpy_dtype(want.dtype)
    assert np.asarray(result.is_null()).tolist() == missing.tolist()
    assert result.null_count == np.count_nonzero(missing)
    assert_same_bits(result.drop_null().to_numpy(), want[~missing])


# ---- Arrow, one input ----


@EACH
def test_arrays(name: str, backend: str) -> None:
    want = function(name)(X)
    for options in ({}, {"backend": backend}, {"threads": 2}, {"order": "C", "subok": False}):
        check(function(name)(arrow(missing=None), **options), want)
        check(function(name)(arrow(), **options), want, NULL)
    check(function(name)(arrow(), dtype=np.float64), function(name)(X, dtype=np.float64), NULL)


@EACH
def test_chunked_arrays_keep_their_chunks(name: str) -> None:
    x = pa.chunked_array([arrow()[:7], arrow()[7:7], arrow()[7:]])
    got = function(name)(x)
    assert isinstance(got, pa.ChunkedArray)
    assert [len(chunk) for chunk in got.chunks] == [7, 0, 33]
    check(got, function(name)(X), NULL)
    empty = function(name)(pa.chunked_array([], pa.float32()))
    assert (empty.type, len(empty)) == (pa.float32(), 0)


@EACH
@pytest.mark.parametrize("start", [0, 1, 7, 8, 9, 16, 40])
def test_slices(name: str, start: int) -> None:
    """The bits that say what is null begin within a byte, or at one."""
    for length in (0, 1, 5, 40):
        x, at = arrow().slice(start, length), slice(start, start + length)
        check(function(name)(x), function(name)(X[at]), NULL[at])


@EACH
@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8"])
def test_types(name: str, dtype: str) -> None:
    x = np.array([0, 1, 1, 0, 1], dtype)
    missing = np.array([False, True, False, True, False])
    for start in (0, 2):
        check(function(name)(pa.array(x)[start:]), function(name)(x[start:]))
        check(function(name)(arrow(x, missing)[start:]), function(name)(x[start:]), missing[start:])


def test_encoded_arrays_are_their_numbers() -> None:
    x, want = arrow(), fs.sigmoid(X)
    check(fs.sigmoid(x.dictionary_encode()), want, NULL)
    check(fs.sigmoid(pa.chunked_array([x, x]).dictionary_encode()), np.concatenate([want, want]), np.concatenate([NULL, NULL]))
    from pyarrow import compute

    runs = pa.array([0.5, 0.5, None, None, 2.0])
    check(fs.sigmoid(compute.run_end_encode(runs)), fs.sigmoid(np.array([0.5, 0.5, 0, 0, 2])), np.array([0, 0, 1, 1, 0], bool))


def test_nothing_but_nulls() -> None:
    for x in (pa.nulls(9), pa.nulls(9, pa.float64()), pa.chunked_array([pa.nulls(4), pa.nulls(5)])):
        check(fs.sigmoid(x), np.zeros(9), np.ones(9, bool))


def test_scalars() -> None:
    assert fs.sigmoid(pa.scalar(0.25)) == pa.scalar(fs.sigmoid(0.25))
    assert fs.sigmoid(pa.scalar(np.float32(0.25))).type == pa.float32()
    assert fs.sigmoid(pa.scalar(1, pa.int64())).as_py() == fs.sigmoid(1)
    null = fs.sigmoid(pa.scalar(None, pa.float32()))
    assert (null.type, null.is_valid) == (pa.float32(), False)


@EACH
def test_tables(name: str) -> None:
    for table in (
        pa.table({"p": arrow(), "q": X.astype(float)}),
        pa.RecordBatch.from_arrays([arrow(), pa.array(X.astype(float))], ["p", "q"]),
    ):
        got = function(name)(table)
        assert type(got) is type(table)
        assert got.column_names == ["p", "q"]
        check(got.column("p"), function(name)(X), NULL)
        check(got.column("q"), function(name)(X.astype(float)))


def addresses(x: Any) -> list[int | None]:
    return [None if buffer is None else buffer.address for buffer in x.buffers()]


def test_memory_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel reads Arrow's memory and Arrow takes the kernel's; the nulls' bits are the input's."""
    from fastsig.elementwise import call

    seen: list[Array] = []
    real = call.elementwise

    def watched(name: str, x: Any, *arguments: Any, **options: Any) -> Any:
        result = real(name, x, *arguments, **options)
        seen.extend((x, result))
        return result

    monkeypatch.setattr(call, "elementwise", watched)
    for start in (0, 8, 16):
        x = arrow()[start:]
        seen.clear()
        result = real("sigmoid", x, None, True, None, "same_kind", "K", True, None, None)
        read, made = seen
        assert read.ctypes.data == x.buffers()[1].address + 4 * start
        assert addresses(result) == [x.buffers()[0].address + start // 8, made.ctypes.data]
    x = arrow(missing=None)
    seen.clear()
    result = real("sigmoid", x, None, True, None, "same_kind", "K", True, None, None)
    assert seen[0].ctypes.data == x.buffers()[1].address
    assert addresses(result) == [None, seen[1].ctypes.data]


def test_the_input_is_not_changed() -> None:
    x = arrow()
    before = [buffer.to_pybytes() for buffer in x.buffers()]
    fs.sigmoid(x)
    fs.bce_with_logits_value_and_grad(x, 1, mask=~NULL)
    assert [buffer.to_pybytes() for buffer in x.buffers()] == before


# ---- Arrow, an array to write into, and what is refused ----


def test_an_out_is_an_array_without_nulls() -> None:
    for x in (arrow(missing=None), pa.chunked_array([arrow(missing=None)[:9], arrow(missing=None)[9:]])):
        out = np.empty(40, np.float32)
        assert fs.sigmoid(x, out=out) is out
        assert_same_bits(out, fs.sigmoid(X))
        out = np.zeros(40, np.float32)
        fs.sigmoid(x, out=out, where=NULL)
        assert_same_bits(out, np.where(NULL, fs.sigmoid(X), np.float32(0)))
    out = np.full(40, 7, np.float32)
    for x in (arrow(), pa.chunked_array([arrow()]), pl.Series(X).set(pl.Series(NULL), None), pa.scalar(None, pa.float32())):
        with pytest.raises(ValueError, match=r"^sigmoid: x has missing values \(NA\), which out cannot hold; fill them"):
            fs.sigmoid(x, out=out)
    assert (out == 7).all()
    with pytest.raises(TypeError, match="out is pyarrow.lib.FloatArray.*; give a NumPy array"):
        fs.sigmoid(arrow(missing=None), out=arrow(missing=None))


NO_NUMBERS = [
    (pa.array(["a", None]), r"its type is string; give one of numbers, such as \.cast\("),
    (pa.array([1, 2], pa.timestamp("s")), "its type is timestamp"),
    (pa.array([1], pa.decimal128(5)), r"its type is decimal128\(5, 0\); give .*cast"),
    (pa.array([[0.5], None]), r"its type list<.*> is nested; give .*flatten"),
    (pa.array([{"p": 0.5}]), "is nested"),
    (pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.float32(), [1]), pa.array([[0.5]], pa.list_(pa.float32(), 1))), r"\.storage"),
    (pa.array(["a"]).dictionary_encode(), "its type is string"),
    (pa.chunked_array([pa.array(["a"])]), "its type is string"),
    (pa.table({"p": ["a"]}), "its type is string"),
    (pa.scalar("a"), "its type is string"),
    (pl.Series(["a"]), r"its type is String; give one of numbers, such as \.cast\("),
    (pl.Series(["a", None]), "its type is String"),
    (pl.DataFrame({"p": ["a"]}), "its type is String"),
    (pl.DataFrame({"p": [0.5]}).lazy(), r"no values yet; give what \.collect\(\) returns"),
]


@pytest.mark.parametrize(("bad", "words"), NO_NUMBERS, ids=lambda given: type(given).__name__)
def test_what_has_no_numbers_is_refused(bad: Any, words: str) -> None:
    for call in (fs.sigmoid, lambda x: fs.sigmoid(x, out=np.zeros(1))):
        with pytest.raises(TypeError, match=rf"^sigmoid: x \(.*\) cannot be read as an array: .*{words}"):
            call(bad)
    with pytest.raises(TypeError, match=rf"^bce_with_logits: logits \(.*\) cannot be read as an array: .*{words}"):
        fs.bce_with_logits(bad, 1)


def test_options_that_columns_have_not() -> None:
    for x in (arrow(), pl.Series(X)):
        with pytest.raises(TypeError, match="^sigmoid: where is for arrays"):
            fs.sigmoid(x, where=NULL)
        with pytest.raises(ValueError, match="backend="):
            fs.sigmoid(x, backend="fortran")
        with pytest.raises(ValueError, match="threads="):
            fs.sigmoid(x, threads=0)
        with pytest.raises(RuntimeError, match="cuda"):
            fs.sigmoid(x, backend="cuda")


# ---- losses ----


def test_losses_of_arrow_are_arrow() -> None:
    t = (X > 0.5).astype(np.float32)
    loss, grad = fs.bce_with_logits_value_and_grad(X, t, reduction="none")
    whole = arrow(missing=None)
    for x in (whole, pa.chunked_array([whole[:7], whole[7:]])):
        for targets in (t, pa.array(t), pa.array(t.astype(bool)), pa.chunked_array([pa.array(t)])):
            got = fs.bce_with_logits_value_and_grad(x, targets, reduction="none")
            assert [type(part) for part in got] == [pa.FloatArray if x is whole else pa.ChunkedArray] * 2
            check(got[0], loss)
            check(got[1], grad)
    got_table = fs.bce_with_logits(pa.table({"p": X, "q": 2 * X}), t[:, None], reduction="none")
    check(got_table["q"], fs.bce_with_logits(2 * X, t, reduction="none"))
    mean, grad = fs.bce_with_logits_value_and_grad(whole, t)
    assert (mean, type(mean)) == (fs.bce_with_logits(X, t), np.float32)
    check(grad, fs.bce_with_logits_value_and_grad(X, t)[1])


@pytest.mark.parametrize("chunks", [[0, 40], [0, 7, 40], [0, 8, 8, 40]])
def test_masked_nulls_of_logits_stay_nulls(chunks: list[int]) -> None:
    """And add nothing to a mean; without a mask they are refused, in tests/test_losses_pairs.py."""
    x = arrow() if len(chunks) == 2 else pa.chunked_array([arrow()[a:b] for a, b in zip(chunks, chunks[1:], strict=False)])
    polar = pl.Series("p", X).set(pl.Series(NULL), None)
    want = fs.bce_with_logits_grad_hess(X, 1)
    for got, plain in zip(fs.bce_with_logits_grad_hess(x, 1, mask=~NULL), want, strict=True):
        check(got, plain, NULL)
    for got, plain in zip(fs.bce_with_logits_grad_hess(polar, 1, mask=~NULL), want, strict=True):
        assert (got.name, got.is_null().to_list()) == ("p", NULL.tolist())
        assert_same_bits(got.drop_nulls().to_numpy(), plain[~NULL])
    mean, grad = fs.bce_with_logits_value_and_grad(x, 1, mask=~NULL)
    assert mean == fs.bce_with_logits(X[~NULL], 1)
    check(grad, fs.bce_with_logits_value_and_grad(X, 1, mask=~NULL)[1], NULL)


# ---- polars ----


def check_series(result: Any, want: Array, missing: Array | None = None) -> None:
    assert isinstance(result, pl.Series)
    assert result.name == "p"
    missing = np.zeros(len(want), bool) if missing is None else missing
    assert result.is_null().to_list() == missing.tolist()
    present = result.drop_nulls().to_numpy()
    if want.dtype == np.float16 and present.dtype != np.float16:
        present = present.astype(np.float16)  # a polars without halves
    assert_same_bits(present, want[~missing])


@EACH
@pytest.mark.parametrize("dtype", ["?", "i1", "u1", "i2", "i4", "i8", "u8", "f4", "f8"])
def test_series(name: str, dtype: str) -> None:
    x = np.array([0, 1, 1, 0, 1], dtype)
    missing = np.array([False, True, False, True, False])
    column = pl.Series("p", x)
    check_series(function(name)(column), function(name)(x))
    check_series(function(name)(column.set(pl.Series(missing), None)), function(name)(x), missing)
    check_series(function(name)(pl.concat([column, column])), function(name)(np.concatenate([x, x])))
    check_series(function(name)(column[:0]), function(name)(x[:0]))


def test_series_of_nothing_but_nulls() -> None:
    check_series(fs.sigmoid(pl.Series("p", [None, None])), np.zeros(2), np.ones(2, bool))
    check_series(fs.sigmoid(pl.Series("p", [None, None], pl.Float32)), np.zeros(2, np.float32), np.ones(2, bool))


@EACH
def test_frames_and_expressions(name: str) -> None:
    frame = pl.DataFrame({"p": pl.Series(X).set(pl.Series(NULL), None), "q": X.astype(float)})
    got = function(name)(frame)
    assert got.columns == ["p", "q"]
    check_series(got["p"], function(name)(X), NULL)
    check_series(got["q"].alias("p"), function(name)(X.astype(float)))
    for of in (frame, frame.lazy()):
        column = of.select(function(name)(pl.col("p"))).lazy().collect()["p"]
        check_series(column, function(name)(X), NULL)


def test_series_options() -> None:
    x = pl.Series("p", X)
    out = np.empty(40)
    assert fs.sigmoid(x, out=out) is out
    check_series(fs.sigmoid(x, dtype=np.float64), fs.sigmoid(X, dtype=np.float64))
    check_series(fs.sigmoid(x, threads=2), fs.sigmoid(X))
