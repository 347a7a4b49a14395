"""Which elements of a loss's operands are paired, what is refused instead, and what kind of object comes back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loss_front import taken
from processes import printed

import fastsig as fs
from fastsig.losses import fast_path


def updated(logits: Any, targets: Any, **options: Any) -> Any:
    return fs.BCEAccumulator().update(logits, targets, **options).result("sum")


LOSSES: dict[str, Callable[..., Any]] = {
    "bce_with_logits": fs.bce_with_logits,
    "bce": fs.bce,
    "bce_with_logits_value_and_grad": fs.bce_with_logits_value_and_grad,
    "bce_with_logits_grad_hess": fs.bce_with_logits_grad_hess,
    "sigmoid_focal_loss": fs.sigmoid_focal_loss,
    "sigmoid_focal_loss_value_and_grad": fs.sigmoid_focal_loss_value_and_grad,
    "sigmoid_focal_loss_grad_hess": fs.sigmoid_focal_loss_grad_hess,
    "BCEAccumulator.update": updated,
}
FIRST = {name: "probs" if name == "bce" else "logits" for name in LOSSES}
TAKES_POS_WEIGHT = {"bce_with_logits", "bce_with_logits_value_and_grad", "bce_with_logits_grad_hess", "BCEAccumulator.update"}
UNREDUCED = {name: {} if name.endswith("_grad_hess") or name == "BCEAccumulator.update" else {"reduction": "none"} for name in LOSSES}
ELEMENTWISE = [name for name in LOSSES if name != "BCEAccumulator.update"]
EACH = pytest.mark.parametrize("name", LOSSES)
EACH_ELEMENTWISE = pytest.mark.parametrize("name", ELEMENTWISE)


def operands_of(name: str) -> list[str]:
    return ["targets", "weight", "mask"] + ["pos_weight"] * (name in TAKES_POS_WEIGHT) + ["alpha"] * name.startswith("sigmoid_focal")


EACH_OPERAND = pytest.mark.parametrize(("name", "operand"), [(name, operand) for name in LOSSES for operand in operands_of(name)])


def call(name: str, first: Any, operands: dict[str, Any], **options: Any) -> Any:
    targets = operands.get("targets", 0)
    return LOSSES[name](first, targets, **{key: value for key, value in operands.items() if key != "targets"}, **UNREDUCED[name], **options)


def parts(result: Any) -> list[Any]:
    return [*result] if isinstance(result, tuple) else [result]


def bits(result: Any) -> list[tuple[Any, ...]]:
    return [(np.shape(part), np.asarray(part).dtype, np.asarray(part).tobytes()) for part in parts(result)]


def values_of(operand: str, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    made = np.arange(1, int(np.prod(shape)) + 1).reshape(shape) / 64 % 1
    return made > 0.3 if operand == "mask" else made


@pytest.fixture(params=["straight", "general"])
def way(request: pytest.FixtureRequest) -> Iterator[str]:
    """By the C library's front where it takes the call, and by the way that serves without it."""
    if request.param == "straight" and fast_path.quick_loss is None:
        pytest.skip("no C library: the general way is the only one")
    with taken(only_general=request.param == "general"):
        yield request.param


# ---- shapes ----

SIDES = st.lists(st.sampled_from([1, 1, 2, 3]), max_size=3).map(tuple)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(sorted(LOSSES)), SIDES, SIDES, st.data(), st.booleans())
def test_a_loss_has_the_shape_of_its_logits(name: str, shape: tuple[int, ...], other: tuple[int, ...], data: Any, general: bool) -> None:
    """Taken is what np.broadcast_shapes leaves at the logits' shape, and computed as the operand at full length; refused is the rest."""
    operand = data.draw(st.sampled_from(operands_of(name)))
    first, value = values_of("targets", shape), values_of(operand, other)
    try:
        fits = np.broadcast_shapes(shape, other) == shape
    except ValueError:
        fits = False
    with taken(only_general=general):
        if fits:
            got = bits(call(name, first, {operand: value}))
            assert got == bits(call(name, first, {operand: np.broadcast_to(value, shape).copy()}))
            assert name not in ELEMENTWISE or {part[0] for part in got} == {shape}
        else:
            with pytest.raises(ValueError, match="does not broadcast") as caught:
                call(name, first, {operand: value})
            said = f"{name}: {operand} of shape {other} does not broadcast to {FIRST[name]} of shape {shape}; give "
            assert str(caught.value).startswith(said)


WRONG_SHAPES = [((4, 1), (4,)), ((4,), (4, 1)), ((2, 3, 1), (2, 3)), ((2, 3), (2, 3, 1)), ((2, 3), (2,)), ((2, 3), (3, 2)), ((6,), (2, 3))]
WRONG_SHAPES += [((1,), (5,)), ((), (5,)), ((1, 3), (2, 3))]


@pytest.mark.parametrize(("shape", "other"), WRONG_SHAPES)
@EACH_OPERAND
def test_what_the_message_about_shapes_advises_works(
    name: str, operand: str, shape: tuple[int, ...], other: tuple[int, ...], way: str
) -> None:
    first, value = values_of("targets", shape), values_of(operand, other)
    with pytest.raises(ValueError, match="does not broadcast") as caught:
        call(name, first, {operand: value})
    advice = re.split(" if |, or ", str(caught.value).partition("; give ")[2])
    for expression in [each for each in advice if "[" in each or "(" in each]:
        changed = eval(expression, {"np": np, FIRST[name]: first, operand: value})
        names_first = re.match(rf"(np\.broadcast_to\()?{FIRST[name]}\b", expression)
        call(name, *((changed, {operand: value}) if names_first else (first, {operand: changed})))


def test_all_operands_are_held_to_it_together() -> None:
    """That targets and weight would go well with each other helps neither."""
    with pytest.raises(ValueError, match=r"weight of shape \(3, 4\).*logits of shape \(4,\)"):
        fs.bce_with_logits(np.zeros(4), np.zeros(4), weight=np.ones((3, 4)))


# ---- labels ----

pd = pytest.importorskip("pandas")
xr = pytest.importorskip("xarray")
LABELS = list("abcd")


def series(operand: str, labels: Any = LABELS) -> Any:
    return pd.Series(values_of(operand, (len(labels),)), index=labels, name=operand)


@EACH_OPERAND
def test_series_of_other_labels_are_refused(name: str, operand: str, way: str) -> None:
    x = series("targets")
    for labels in (list("badc"), list("abcx"), range(4)):
        with pytest.raises(ValueError, match=rf"^{name}: {operand}\.index is not {FIRST[name]}\.index .*\.reindex\(.*\.align\("):
            call(name, x, {operand: series(operand, labels)})
    with pytest.raises(ValueError, match=rf"{operand}\.index is not .*it has 3 labels, not 4"):
        call(name, x, {operand: series(operand, list("abc"))})
    with pytest.raises(ValueError, match="it has 1 labels, not 4"):
        call(name, x, {operand: series(operand, ["a"])})


@EACH_OPERAND
def test_what_the_message_about_labels_advises_works(name: str, operand: str, way: str) -> None:
    x, other = series("targets"), series(operand, list("badc"))
    with pytest.raises(ValueError, match="index") as caught:
        call(name, x, {operand: other})
    by_label, by_place = re.findall(rf"{operand}\.reindex\([^)]*\)|{operand}\.to_numpy\(\)", str(caught.value))
    space = {FIRST[name]: x, operand: other}
    right = other.to_numpy()[[1, 0, 3, 2]]
    assert bits(call(name, x, {operand: eval(by_label, space)})) == bits(call(name, x.to_numpy(), {operand: right}))
    assert bits(call(name, x, {operand: eval(by_place, space)})) == bits(call(name, x.to_numpy(), {operand: other.to_numpy()}))


@EACH_OPERAND
def test_equal_labels_and_bare_arrays_go_by_place(name: str, operand: str, way: str) -> None:
    x, other = series("targets"), series(operand, pd.Index(LABELS, dtype=object))
    plain = bits(call(name, x.to_numpy(), {operand: other.to_numpy()}))
    for first in (x, x.to_numpy(), x.tolist()):
        for value in (other, other.to_numpy(), other.tolist()):
            assert bits(call(name, first, {operand: value})) == plain


def test_labels_of_two_operands_are_compared_where_the_logits_have_none(way: str) -> None:
    with pytest.raises(ValueError, match=r"weight\.index is not targets\.index"):
        fs.bce_with_logits(np.zeros(4), series("targets"), weight=series("weight", list("dcba")))


def frame(operand: str, index: Any = LABELS, columns: Any = ("p", "q", "r")) -> Any:
    return pd.DataFrame(values_of(operand, (len(index), len(columns))), index=index, columns=list(columns))


@EACH_OPERAND
def test_frames_have_equal_indexes_and_columns(name: str, operand: str, way: str) -> None:
    x = frame("targets")
    assert bits(call(name, x, {operand: frame(operand)})) == bits(call(name, x.to_numpy(), {operand: frame(operand).to_numpy()}))
    with pytest.raises(ValueError, match=rf"{operand}\.index is not .*\.reindex\({FIRST[name]}\.index\)"):
        call(name, x, {operand: frame(operand, list("abdc"))})
    with pytest.raises(ValueError, match=rf"{operand}\.columns is not .*\.reindex\(columns={FIRST[name]}\.columns\)"):
        call(name, x, {operand: frame(operand, columns="pqs")})
    with pytest.raises(ValueError, match=rf"{operand}\.columns is not .*it has 1 labels, not 3"):
        call(name, x, {operand: frame(operand, columns="p")})


@EACH_OPERAND
def test_a_series_beside_a_frame_has_the_labels_of_its_columns(name: str, operand: str, way: str) -> None:
    """As broadcasting pairs them, and the frame's own arithmetic; a square frame does not hide a Series of its rows."""
    x, good = frame("targets"), series(operand, list("pqr"))
    assert bits(call(name, x, {operand: good})) == bits(call(name, x.to_numpy(), {operand: good.to_numpy()}))
    with pytest.raises(ValueError, match=rf"{operand}\.index is not {FIRST[name]}\.columns"):
        call(name, frame("targets", list("abc")), {operand: series(operand, list("abc"))})
    with pytest.raises(ValueError, match=rf"{operand} of shape \(4,\) does not broadcast"):
        call(name, x, {operand: series(operand)})


def test_labels_that_are_no_strings(way: str) -> None:
    missing = pd.Index([1.0, np.nan, 2.0])
    assert fs.bce_with_logits(series("targets", missing), series("targets", missing.copy())) > 0
    with pytest.raises(ValueError, match="at 2 it has 3.0, not 2.0"):
        fs.bce_with_logits(series("targets", missing), series("targets", pd.Index([1.0, np.nan, 3.0])))
    both = pd.MultiIndex.from_product([[1, 2], ["a", "b"]])
    assert fs.bce_with_logits(series("targets", both), series("targets", both.copy())) > 0
    with pytest.raises(ValueError, match=r"at 1 it has \(2, 'a'\), not \(1, 'b'\)"):
        fs.bce_with_logits(series("targets", both), series("targets", both[[0, 2, 1, 3]]))


def data_array(operand: str, dims: Any = ("row", "label"), **coords: Any) -> Any:
    shape = tuple({"row": 4, "label": 3, "four": 4}[dim] for dim in dims)
    return xr.DataArray(values_of(operand, shape), dims=dims, coords=coords, name=operand)


@EACH_OPERAND
def test_data_arrays_have_the_same_dimensions_and_coordinates(name: str, operand: str, way: str) -> None:
    x = data_array("targets", row=LABELS, label=[1, 2, 3])
    plain = bits(call(name, x.to_numpy(), {operand: data_array(operand).to_numpy()}))
    for good in (data_array(operand, row=LABELS, label=[1, 2, 3]), data_array(operand, row=LABELS), data_array(operand).to_numpy()):
        assert bits(call(name, x, {operand: good})) == plain
    with pytest.raises(ValueError, match=rf"{operand}\.coords\['label'\] is not .*at 1 it has 3, not 2.*reindex_like\({FIRST[name]}\)"):
        call(name, x, {operand: data_array(operand, label=[1, 3, 2])})
    with pytest.raises(ValueError, match=rf"{operand} has the dimension 'four' where {FIRST[name]} has 'row'.*\.values"):
        call(name, x, {operand: data_array(operand, ("four", "label"))})
    turned, rows = data_array("targets", ("label", "four")), data_array(operand, ("label",))
    with pytest.raises(ValueError, match=rf"{operand} has the dimension 'label' where {FIRST[name]} has 'four'"):
        call(name, turned, {operand: rows})


@EACH_OPERAND
def test_what_the_message_about_dimensions_advises_works(name: str, operand: str, way: str) -> None:
    x = data_array("targets", row=LABELS)
    for other in (
        data_array(operand, row=LABELS).T,
        data_array(operand, ("row",), row=list("dcba")),
        data_array(operand, row=list("dcba")),
    ):
        with pytest.raises(ValueError, match="; give ") as caught:
            call(name, x, {operand: other})
        by_label = str(caught.value).partition("; give ")[2].partition(", or ")[0]
        changed = eval(by_label, {FIRST[name]: x, operand: other})
        if "row" in other.coords and other.row.to_numpy().tolist() != LABELS and "reindex" not in by_label:
            changed = changed.reindex_like(x)
        want = other.broadcast_like(x).reindex_like(x).transpose(*x.dims).to_numpy()
        assert bits(call(name, x, {operand: changed})) == bits(call(name, x.to_numpy(), {operand: want}))


def test_labels_of_two_libraries(way: str) -> None:
    x = data_array("targets", ("row",), row=LABELS)
    assert fs.bce_with_logits(x, series("targets")) == fs.bce_with_logits(x.to_numpy(), series("targets").to_numpy())
    for first, second in ((x, series("targets", list("dcba"))), (series("targets", list("dcba")), x)):
        with pytest.raises(ValueError, match="to pair elements by their place"):
            fs.bce_with_logits(first, second)


# ---- what is missing ----


def of_numpy_ma(values: Any, missing: Any) -> Any:
    return np.ma.array(values, mask=missing)


def of_objects(values: Any, missing: Any) -> Any:
    return [None if absent else value for value, absent in zip(values.tolist(), missing, strict=True)]


def of_masked_list(values: Any, missing: Any) -> Any:
    return [np.ma.masked if absent else value for value, absent in zip(values.tolist(), missing, strict=True)]


def of_na_list(values: Any, missing: Any) -> Any:
    return [pd.NA if absent else value for value, absent in zip(values.tolist(), missing, strict=True)]


def of_pandas(values: Any, missing: Any) -> Any:
    kind = "boolean" if values.dtype == bool else "Int64" if np.array_equal(values, values // 1) else "Float64"
    return pd.Series(of_na_list(values, missing), dtype=kind)


def of_pandas_array(values: Any, missing: Any) -> Any:
    return of_pandas(values, missing).array


def of_data_array(values: Any, missing: Any) -> Any:
    return xr.DataArray(of_pandas_array(values, missing), dims="row")


def of_arrow(values: Any, missing: Any) -> Any:
    pa = pytest.importorskip("pyarrow")
    return pa.array(of_objects(values, missing))


def of_arrow_chunks(values: Any, missing: Any) -> Any:
    pa = pytest.importorskip("pyarrow")
    return pa.chunked_array([of_arrow(values[:2], missing[:2]), of_arrow(values[2:], missing[2:])])


def of_arrow_in_pandas(values: Any, missing: Any) -> Any:
    arrow = of_arrow(values, missing)
    return pd.Series(arrow, dtype=pd.ArrowDtype(arrow.type))


def of_polars(values: Any, missing: Any) -> Any:
    return pytest.importorskip("polars").Series("x", of_objects(values, missing))


KINDS: list[Any] = [of_numpy_ma, of_objects, of_masked_list, of_na_list, of_pandas, of_pandas_array, of_data_array]
KINDS += [of_arrow, of_arrow_chunks, of_arrow_in_pandas, of_polars]
MISSING = np.array([False, True, False, True])
X = np.array([0.5, 0.25, 0.125, 0.75])
Y = {"floats": X, "integers": np.array([1, 0, 0, 1]), "booleans": np.array([True, False, False, True])}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", KINDS)
@EACH_OPERAND
def test_what_is_missing_is_refused_unless_masked(name: str, operand: str, kind: Any, way: str) -> None:
    """Of every operand and, in the mask's turn, of the logits: of a mask nothing may be missing."""
    of_logits = operand == "mask"
    said = FIRST[name] if of_logits else operand
    for values in Y.values():
        given, zeros = kind(values, MISSING), np.where(MISSING, values.dtype.type(0), values)
        logits, operands = (given, {}) if of_logits else (X, {operand: given})
        for mask, place in ((None, 1), (np.array([True, True, True, False]), 1), (np.array([True, False, True, True]), 3)):
            with pytest.raises(ValueError, match=rf"^{name}: {said} has missing values \(NA\), the first at {place}; .*mask="):
                call(name, logits, operands | {"mask": mask})
        got = call(name, logits, operands | {"mask": ~MISSING})
        want = call(name, zeros if of_logits else X, ({} if of_logits else {operand: zeros}) | {"mask": ~MISSING})
        assert what_counts(got) == what_counts(want)


def what_counts(result: Any) -> list[Any]:
    """The elements that are not missing; of np.ma the data, under whatever mask."""
    return [
        np.where(MISSING, 0, np.ma.getdata(np.ma.asarray(part)).astype(float)).tobytes() if np.ndim(part) else part
        for part in parts(result)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_with_missing_values_is_refused(kind: Any, way: str) -> None:
    with pytest.raises(ValueError, match=r"mask has missing values \(NA\), the first at 1; fill them with True or False"):
        fs.bce_with_logits(X, Y["booleans"], mask=kind(Y["booleans"], MISSING))


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_missing_is_nothing_special(kind: Any, way: str) -> None:
    whole = np.zeros(4, bool)
    for elements in Y.values():
        assert fs.bce_with_logits(kind(X, whole), kind(elements, whole)) == fs.bce_with_logits(X, elements)


def test_tables_with_missing_values(way: str) -> None:
    table = pd.DataFrame({"p": pd.array([0.5, None, 1.0]), "q": [1.0, np.nan, 3.0]})
    with pytest.raises(ValueError, match=r"logits has missing values \(NA\), the first at \(1, 0\)"):
        fs.bce_with_logits(table, 0)
    got = fs.bce_with_logits(table, 0, mask=table.notna(), reduction="none")
    want = fs.bce_with_logits([[0.5, 1.0], [0.0, 0.0], [1.0, 3.0]], 0, mask=table.notna().to_numpy(), reduction="none")
    assert got.to_numpy().tolist() == want.tolist()
    loss = fs.bce_with_logits(table, 0, mask=np.array([True, False, True])[:, None] | np.array([False, True]), reduction="none")
    assert loss.isna().to_numpy().tolist() == [[False, False], [False, True], [False, False]]  # NaN in the float column is NaN
    pl, pa = pytest.importorskip("polars"), pytest.importorskip("pyarrow")
    for other in (pl.DataFrame({"p": [0.5, None], "q": [1.0, 2.0]}), pa.table({"p": [0.5, None], "q": [1.0, 2.0]})):
        with pytest.raises(ValueError, match=r"logits has missing values \(NA\), the first at \(1, 0\)"):
            fs.bce_with_logits(other, 0)
        assert fs.bce_with_logits(other, 0, mask=[[True, True], [False, True]], reduction="sum") > 0


def test_nan_is_a_number_that_float_columns_have(way: str) -> None:
    """NaN in, NaN out, of logits; of targets an error, unless masked: as of NumPy's arrays."""
    x = pd.Series([1.0, np.nan, 2.0])
    assert np.isnan(fs.bce_with_logits(x, 0, reduction="none")).tolist() == [False, True, False]
    with pytest.raises(ValueError, match="targets must lie in"):
        fs.bce_with_logits(np.zeros(3), x / 2)
    assert fs.bce_with_logits(np.zeros(3), x / 2, mask=x.notna()) == fs.bce_with_logits(np.zeros(2), [0.5, 1.0])
    assert np.isnan(fs.bce_with_logits(pd.array([np.nan, 1.0], dtype=np.dtype(float)), 0))


@pytest.mark.parametrize("absent", [pd.NA, np.ma.masked])
def test_a_single_number_that_is_missing(absent: Any, way: str) -> None:
    for arguments, options in (((absent, 1), {}), ((1.0, absent), {}), ((1.0, 1), {"weight": absent}), ((1.0, 1), {"pos_weight": absent})):
        with pytest.raises(ValueError, match="has missing values"):
            fs.bce_with_logits(*arguments, **options)


def test_lists_of_labelled_and_masked_rows(way: str) -> None:
    """A list has no labels, and what is missing in its items is missing in it."""
    rows = [pd.Series([1.0, 2.0], index=list("ab")), pd.Series([0.5, 0.0])]
    assert fs.bce_with_logits(rows, [[1, 0], [0, 1]]) == fs.bce_with_logits([[1.0, 2.0], [0.5, 0.0]], [[1, 0], [0, 1]])
    with pytest.raises(ValueError, match=r"logits has missing values \(NA\), the first at \(1, 0\)"):
        fs.bce_with_logits([[0.5, 1.0], np.ma.array([1.0, 2.0], mask=[True, False])], 0)


def test_objects_without_numbers(way: str) -> None:
    with pytest.raises(TypeError, match="logits .* has dtype object; convert it"):
        fs.bce_with_logits(pd.Series([1.0, 2.0], dtype=object), 0)
    with pytest.raises(TypeError, match=r"targets \(xarray.* cannot be read as an array"):
        fs.bce_with_logits(np.zeros(3), xr.Dataset({"t": ("row", np.zeros(3))}))
    with pytest.raises(TypeError, match="targets"):
        fs.bce_with_logits(np.zeros(2), pd.Series(["a", "b"]))


# ---- the array you bring is the array you get ----


@EACH_ELEMENTWISE
def test_results_of_pandas_are_of_pandas(name: str, way: str) -> None:
    x, t = series("targets"), np.array([1, 0, 0, 1])
    plain = parts(call(name, x.to_numpy(), {"targets": t}))
    for got, want in zip(parts(call(name, x, {"targets": t})), plain, strict=True):
        pd.testing.assert_series_equal(got, pd.Series(want, index=LABELS, name="targets"), check_exact=True)
    table = frame("targets")
    plain = parts(call(name, table.to_numpy(), {"targets": t[:, None]}))
    for got, want in zip(parts(call(name, table, {"targets": t[:, None]})), plain, strict=True):
        pd.testing.assert_frame_equal(got, pd.DataFrame(want, index=LABELS, columns=list("pqr")), check_exact=True)


@EACH_ELEMENTWISE
def test_results_of_xarray_are_of_xarray(name: str, way: str) -> None:
    x = data_array("targets", row=LABELS)
    plain = parts(call(name, x.to_numpy(), {"targets": 1}))
    for got, want in zip(parts(call(name, x, {"targets": 1})), plain, strict=True):
        xr.testing.assert_identical(got, xr.DataArray(want, dims=("row", "label"), coords={"row": LABELS}, name="targets"))


INDEXES = [
    pd.MultiIndex.from_product([["a", "b"], [1, 2]], names=["u", "v"]),
    pd.date_range("2020-01-01", periods=4, tz="UTC"),
    pd.period_range("2020-01", periods=4, freq="M"),
    pd.CategoricalIndex(list("abca")),
    pd.interval_range(0, 4),
    pd.Index([1.5, np.nan, 2, 2]),
    pd.RangeIndex(3, -1, -1),
]


@EACH_ELEMENTWISE
@pytest.mark.parametrize("index", INDEXES, ids=lambda index: type(index).__name__)
def test_indexes_of_every_kind_are_kept_and_compared(name: str, index: Any, way: str) -> None:
    x = series("targets", index)
    x.attrs["unit"] = "1"
    for part in parts(call(name, x, {"targets": series("weight", index.copy())})):
        pd.testing.assert_index_equal(part.index, index, exact=True)
        assert (part.name, part.attrs) == (x.name, x.attrs)
    for other in (index[::-1], index.shift(1) if hasattr(index, "freq") else index.insert(0, index[-1])[:4]):
        with pytest.raises(ValueError, match=r"targets\.index is not .*\.reindex\("):
            call(name, x, {"targets": series("weight", other)})


@EACH_ELEMENTWISE
def test_coordinates_and_attributes_are_kept_as_by_ufuncs(name: str, way: str) -> None:
    x = data_array("targets", row=LABELS).assign_coords(place=("label", [5, 6, 7]), height=3.0).assign_attrs(unit="1")
    for one in (x, x.variable, x.stack(both=("row", "label")) if "label" in x.coords else x.T):
        for part in parts(call(name, one, {"targets": 1})):
            xr.testing.assert_identical(part * 0, fs.sigmoid(one) * 0)
            assert part.attrs == {"unit": "1"}
    with xr.set_options(keep_attrs=False):
        for part in parts(call(name, x, {"targets": 1})):
            xr.testing.assert_identical(part * 0, fs.sigmoid(x) * 0)
            assert part.attrs == {}


def test_extension_types_are_kept_where_they_hold_the_result(way: str) -> None:
    x = pd.Series([0.5, 0.25], dtype="Float32", name="p")
    loss, grad = fs.bce_with_logits_value_and_grad(x, 1, reduction="none")
    assert (loss.dtype, grad.dtype, grad.name) == ("Float32", "Float32", "p")
    assert fs.bce_with_logits(x.to_frame(), 1, reduction="none").dtypes.tolist() == ["Float32"]
    assert fs.bce_with_logits(x.array, 1, reduction="none").dtype == "Float32"
    assert fs.bce_with_logits(x.astype("Int32"), 1, reduction="none").dtype == np.float64


def test_a_reduced_loss_is_a_scalar_whose_gradient_is_labelled(way: str) -> None:
    for loss, grad in (fs.bce_with_logits_value_and_grad(series("targets"), 1), fs.sigmoid_focal_loss_value_and_grad(series("targets"), 1)):
        assert type(loss) is np.float64
        assert grad.index.tolist() == LABELS
    assert type(fs.bce_with_logits(data_array("targets"), 1)) is np.float64


def test_the_logits_say_what_comes_back(way: str) -> None:
    assert type(fs.bce_with_logits(np.zeros(4), series("targets"), reduction="none")) is np.ndarray
    assert type(fs.bce_with_logits([0.0] * 4, series("targets"), reduction="none")) is np.ndarray
    assert type(fs.bce_with_logits(0.0, series("targets", ["a"]).iloc[0], reduction="none")) is np.float64


class Tagged(np.ndarray[Any, Any]):
    """A subclass that carries something along."""

    def __array_finalize__(self, obj: Any) -> None:
        self.tag = getattr(obj, "tag", None)


class OldWrap:
    """The protocol as it was before NumPy 2, which is still how torch has it."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return X

    def __array_wrap__(self, array: Any) -> Any:
        return ["wrapped", array]


class Metres(np.ndarray[Any, Any]):
    """A subclass that knows what may be done with it, as those with units do."""

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        return NotImplemented


@EACH_OPERAND
def test_a_subclass_with_arithmetic_of_its_own_is_not_stripped_of_it(name: str, operand: str, way: str) -> None:
    own = (X > 0.2).view(Metres) if operand == "mask" else X.view(Metres)
    with pytest.raises(TypeError, match=rf"^{name}: {operand} .*Metres.* cannot be read as an array: it has arithmetic of its own"):
        call(name, X, {operand: own})
    with pytest.raises(TypeError, match=f"^{name}: {FIRST[name]} "):
        call(name, X.view(Metres), {})
    with pytest.raises(TypeError, match="returned NotImplemented"):
        fs.sigmoid(X.view(Metres))


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
@EACH_ELEMENTWISE
def test_subclasses_come_back_as_from_ufuncs(name: str, way: str, tmp_path: Path) -> None:
    tagged, matrix = X.view(Tagged), np.matrix([[0.5, 0.25]])
    tagged.tag = "mine"
    mapped = np.memmap(tmp_path / "x", np.float64, "w+", shape=4)
    for part in parts(call(name, tagged, {"targets": 1})):
        assert (type(part), part.tag) == (Tagged, "mine")
    assert {type(part) for part in parts(call(name, matrix, {"targets": 1}))} == {type(fs.sigmoid(matrix))} == {np.matrix}
    assert {type(part) for part in parts(call(name, mapped, {"targets": 1}))} == {type(fs.sigmoid(mapped))} == {np.ndarray}
    assert bits(call(name, tagged, {"targets": 1})) == bits(call(name, X, {"targets": 1}))
    old = parts(call(name, OldWrap(), {"targets": 1}))
    assert [part[0] for part in old] == ["wrapped"] * len(old)
    assert bits(tuple(part[1] for part in old)) == bits(tuple(parts(call(name, X, {"targets": 1}))))


def test_masked_arrays_keep_their_mask_and_count_nothing_there(way: str) -> None:
    x = np.ma.array(X, mask=MISSING)
    loss, grad = fs.bce_with_logits_value_and_grad(x, 1, mask=~x.mask, reduction="none")
    for part in (loss, grad):
        assert isinstance(part, np.ma.MaskedArray)
        assert part.mask.tolist() == MISSING.tolist()
        assert np.ma.getdata(part)[MISSING].tolist() == [0, 0]
    loss.mask[0] = True
    assert x.mask.tolist() == MISSING.tolist()
    assert fs.bce_with_logits(x, 1, mask=~x.mask) == fs.bce_with_logits(x.compressed(), 1)


# ---- outputs ----


def outputs() -> dict[str, Callable[[], Any]]:
    return {
        "Series": lambda: pd.Series(np.full(4, 7.0), index=LABELS),
        "Series of Float64": lambda: pd.Series([7.0, None, 7.0, 7.0], index=LABELS, dtype="Float64"),
        "DataArray": lambda: xr.DataArray(np.full(4, 7.0), dims="row", coords={"row": LABELS}),
        "masked array": lambda: np.ma.array(np.full(4, 7.0), mask=[True, False, False, False]),
        "array": lambda: np.full(4, 7.0),
        "Tagged": lambda: np.full(4, 7.0).view(Tagged),
    }


@pytest.mark.parametrize("kind", outputs())
def test_outputs_are_filled_and_returned_as_given(kind: str, way: str) -> None:
    make = outputs()[kind]
    for x in (series("targets"), X.copy()):
        want = fs.bce_with_logits_value_and_grad(np.asarray(x), 1, reduction="none")
        out, grad = make(), make()
        got = fs.bce_with_logits_value_and_grad(x, 1, reduction="none", out=out, grad_out=grad)
        assert got[0] is out
        assert got[1] is grad
        assert [np.asarray(part, float).tolist() for part in got] == [part.tolist() for part in want]
        assert not np.ma.is_masked(out)
        assert getattr(out, "dtype", None) == make().dtype
        want = fs.bce_with_logits_grad_hess(np.asarray(x), 1)
        got = fs.bce_with_logits_grad_hess(x, 1, grad_out=grad, hess_out=out)
        assert got[0] is grad
        assert got[1] is out
        assert [np.asarray(part, float).tolist() for part in got] == [part.tolist() for part in want]


def test_frames_and_scalars_as_outputs(way: str) -> None:
    x, out = frame("targets"), frame("targets") * 0
    assert fs.bce_with_logits(x, 1, reduction="none", out=out) is out
    assert out.to_numpy().tolist() == fs.bce_with_logits(x.to_numpy(), 1, reduction="none").tolist()
    total = xr.DataArray(np.float32(0))
    assert fs.bce_with_logits(x, 1, out=total) is total
    assert total.item() == np.float32(fs.bce_with_logits(x, 1))


def test_a_gradient_may_replace_its_own_series(way: str) -> None:
    x, t = series("targets"), series("targets") > 0.5
    want = fs.bce_with_logits_value_and_grad(x, t)[1].tolist()
    assert fs.bce_with_logits_value_and_grad(x, t, grad_out=x)[1] is x
    assert x.tolist() == want


def read_only() -> Any:
    values = np.zeros(4)
    values.flags.writeable = False
    return xr.DataArray(values, dims="row")


@pytest.mark.parametrize(
    ("out", "error", "match"),
    [
        (pd.Series(np.zeros(4)), ValueError, r"grad_out\.index is not logits\.index .*; give one with the labels of logits, or an array"),
        (pd.Series(np.zeros(3), index=list("abc")), ValueError, r"grad_out has shape \(3,\); the result has shape \(4,\)"),
        (pd.Series(np.zeros(4, "f4"), index=LABELS), TypeError, "grad_out has dtype float32; the result has dtype float64"),
        (read_only(), ValueError, "grad_out is read-only"),
        (pd.Index(np.zeros(4)), TypeError, "grad_out is pandas.*give a NumPy array, Series, DataFrame or DataArray"),
    ],
)
def test_outputs_that_cannot_take_the_result_are_refused(out: Any, error: type[Exception], match: str, way: str) -> None:
    with pytest.raises(error, match=match):
        fs.bce_with_logits_value_and_grad(series("targets"), 1, grad_out=out)


def test_a_refused_call_has_written_nothing(way: str) -> None:
    out = pd.Series(np.full(4, 7.0), index=LABELS)
    for targets in ([0, 1, 2, 0], series("targets", list("dcba")), of_na_list(X, MISSING)):
        with pytest.raises(ValueError, match="targets"):
            fs.bce_with_logits_grad_hess(series("targets"), targets, grad_out=out)
    with pytest.raises(ValueError, match="hess_out shares memory with another output"):
        fs.bce_with_logits_grad_hess(series("targets"), 1, grad_out=out, hess_out=out)
    assert out.tolist() == [7.0] * 4


# ---- by which way ----


def test_series_take_the_straight_way(need_c: None) -> None:
    with taken() as answers:
        fs.bce_with_logits_value_and_grad(series("targets"), series("targets"))
        fs.bce_with_logits_grad_hess(data_array("targets"), np.ma.array(np.zeros((4, 3))))
    assert answers == [False, True] * 2  # the objects, and then the arrays in them


def test_no_library_is_imported_for_it() -> None:
    code = "import numpy as np, fastsig as fs; fs.bce_with_logits(np.zeros((2, 1)).view(np.matrix), [[0], [1]], reduction='none'); "
    assert printed(code + "print({'pandas', 'xarray', 'polars', 'pyarrow'} & set(sys.modules))") == "set()"
