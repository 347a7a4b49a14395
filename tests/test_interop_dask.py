"""The losses and functions of dask arrays: lazy, with the bits of the whole array, whatever its chunks are."""

from __future__ import annotations

import doctest
import importlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import error_of
from reference import Array, assert_same_bits

import fastsig as fs

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")

SHAPES: dict[tuple[int, ...], list[Any]] = {
    (5000,): [1024, 2048, 1000, 333, (3000, 2000), (1024, 0, 3976), 5000],
    (300, 70): [(100, 70), (13, 70), (50, 20), (300, 7), (40, 33)],
    (3, 5, 600): [(1, 1, 100), (1, 5, 600), (2, 3, 300)],
    (2, 3000): [(1, 1000), (2, 999)],
    (): [()],
    (0,): [0],
    (1,): [1],
}
CASES = [(shape, chunks) for shape, cuts in SHAPES.items() for chunks in cuts]
EACH_CUT = pytest.mark.parametrize(("shape", "chunks"), CASES, ids=str)
EACH_TYPE = pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
REDUCTIONS = ("mean", "sum", "weighted_mean", "none")


@pytest.fixture(autouse=True)
def in_this_thread() -> Iterator[None]:
    with dask.config.set(scheduler="synchronous"):
        yield


@pytest.fixture(autouse=True)
def means_of_nothing() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".* loss over no .* is NaN", RuntimeWarning)
        yield


def untouched(*args: Any) -> Array:
    raise AssertionError("computed in silence")


def operands(shape: tuple[int, ...], dtype: str) -> tuple[Array, Array, dict[str, Any]]:
    """Logits and soft targets, and every option: a weight a column, one pos_weight, a mask."""
    rng = np.random.default_rng(5)
    x, t = np.asarray(rng.normal(0, 8, shape)).astype(dtype), np.asarray(rng.random(shape)).astype(dtype)
    w, m = np.asarray(rng.random(shape[-1:]), np.float32), np.asarray(rng.random(shape) < 0.7)
    return x, t, {"weight": w, "pos_weight": 2.5, "mask": m, "label_smoothing": 0.125}


def lazy(x: Array, chunks: Any = "auto") -> Any:
    return da.from_array(x, chunks=chunks)


def assert_same(lazy_results: Any, results: Any) -> None:
    """Dask arrays whose type and shape are known beforehand, and the bits of these results."""
    lazy_results, results = (r if isinstance(r, tuple) else (r,) for r in (lazy_results, results))
    computed = dask.compute(*lazy_results)
    for one, got, want in zip(lazy_results, computed, results, strict=True):
        assert isinstance(one, da.Array)
        assert (one.dtype, one.shape) == (np.asarray(want).dtype, np.shape(want))
        assert type(got) is type(want)
        assert_same_bits(np.asarray(got), np.asarray(want))


# ---- bits ----


@EACH_CUT
@EACH_TYPE
def test_bits_of_the_whole_for_any_chunks(shape: tuple[int, ...], chunks: Any, dtype: str) -> None:
    x, t, options = operands(shape, dtype)
    dx, dt = lazy(x, chunks), lazy(t)
    plain: dict[str, Any] = {}
    for function, given in ((fs.bce_with_logits, plain), (fs.bce_with_logits, options), (fs.bce_with_logits_value_and_grad, options)):
        for reduction in REDUCTIONS[: 2 if given is plain else 4]:
            assert_same(function(dx, dt, reduction=reduction, **given), function(x, t, reduction=reduction, **given))
    assert_same(fs.bce_with_logits_grad_hess(dx, dt, **options), fs.bce_with_logits_grad_hess(x, t, **options))
    assert fs.bce_with_logits_value_and_grad(dx, dt)[1].chunks == dx.chunks


@EACH_CUT
def test_options_that_are_dask_arrays_themselves(shape: tuple[int, ...], chunks: Any) -> None:
    x, t, options = operands(shape, "float32")
    dx = lazy(x, chunks)
    for names in (("mask",), ("weight",), ("weight", "pos_weight", "mask")):
        given = {name: options[name] for name in names}
        cut = {name: lazy(np.asarray(option)) for name, option in given.items()}
        for reduction in REDUCTIONS:
            for function in (fs.bce_with_logits, fs.bce_with_logits_value_and_grad):
                assert_same(function(dx, lazy(t), reduction=reduction, **cut), function(x, t, reduction=reduction, **given))


@EACH_CUT
def test_focal_loss_and_probabilities(shape: tuple[int, ...], chunks: Any) -> None:
    x, t, options = operands(shape, "float32")
    p, given = fs.sigmoid(x), {name: options[name] for name in ("weight", "mask")}
    for reduction in REDUCTIONS:
        assert_same(fs.bce(lazy(np.asarray(p), chunks), lazy(t), reduction=reduction, **given), fs.bce(p, t, reduction=reduction, **given))
        for function in (fs.sigmoid_focal_loss, fs.sigmoid_focal_loss_value_and_grad):
            how: dict[str, Any] = {"alpha": 0.3, "gamma": 1.5, "reduction": reduction, **given}
            assert_same(function(lazy(x, chunks), lazy(t), **how), function(x, t, **how))


def test_sums_that_do_not_round_on_the_way() -> None:
    """The third loss would be lost beside the first in float64, and decides to which float32 the exact sum rounds."""
    x, t = np.float32([2**54, 2**30, -69]), np.zeros(3, np.float32)
    assert fs.bce_with_logits(x, t, reduction="sum") == np.nextafter(np.float32(2**54), np.float32(np.inf))
    assert_same(fs.bce_with_logits(lazy(x, 2), lazy(t, 3), reduction="sum"), fs.bce_with_logits(x, t, reduction="sum"))


@pytest.mark.parametrize("order", ["C", "F"])
def test_blocks_in_any_order_in_memory(order: Any) -> None:
    x, t, options = operands((300, 70), "float32")
    rows = da.map_blocks(lambda b: np.asarray(b, order=order), lazy(x, (77, 70)), dtype=x.dtype)
    assert_same(fs.bce_with_logits_value_and_grad(rows, t, **options), fs.bce_with_logits_value_and_grad(x, t, **options))


def test_the_code_of_the_document_runs() -> None:
    text = (Path(__file__).parent.parent / "docs" / "dask.md").read_text()
    exec(text.partition("```python\n")[2].partition("```")[0], {})


def test_the_example_of_the_module_runs() -> None:
    module = importlib.import_module("fastsig.interop.dask")
    example = doctest.DocTestParser().get_doctest(module.__doc__ or "", {}, "fastsig.interop.dask", None, 0)
    assert example.examples
    assert not doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(example).failed


# ---- laziness, operands that are mixed ----


def test_nothing_is_computed_before_it_is_asked_for() -> None:
    x = da.map_blocks(untouched, lazy(np.zeros((6, 4), np.float32), (2, 4)), dtype=np.float32, meta=np.empty((0, 0), np.float32))
    t = np.zeros((6, 4))
    for reduction in REDUCTIONS:
        for where, operand in {"logits": (x, t), "targets": (t, x), "both": (x, x)}.items():
            assert isinstance(fs.bce_with_logits(*operand, reduction=reduction), da.Array), where
        assert isinstance(fs.bce_with_logits(t, t, weight=x, mask=x > 0, reduction=reduction), da.Array)
        assert all(isinstance(y, da.Array) for y in fs.sigmoid_focal_loss_value_and_grad(x, t, reduction=reduction, mask=x > 0))
    assert isinstance(fs.sigmoid(x), da.Array)
    assert isinstance(fs.sigmoid(t, where=x > 0), da.Array)
    assert isinstance(fs.ufuncs.bce_with_logits(x, t), da.Array)
    with pytest.raises(AssertionError, match="silence"):
        fs.sigmoid(x).compute()


def test_loss_and_gradient_come_from_one_pass_over_the_data() -> None:
    passes: list[int] = []

    def load(block: Array) -> Array:
        passes.append(1)
        return block

    x = da.map_blocks(load, lazy(np.zeros(4096, np.float32), 1024), dtype=np.float32, meta=np.empty(0, np.float32))
    dask.compute(*fs.bce_with_logits_value_and_grad(x, np.zeros(4096)))
    assert len(passes) == 4


def test_dask_numpy_and_numbers_mixed() -> None:
    x, t, _ = operands((300, 70), "float32")
    for logits, targets in ((lazy(x, (100, 30)), t), (x, lazy(t, (7, 70))), (lazy(x, (50, 70)), 1), (lazy(x, 64), [0.5] * 70)):
        plain = (np.asarray(y) for y in (logits, targets))
        assert_same(fs.bce_with_logits(logits, targets), fs.bce_with_logits(*plain))
    assert_same(fs.bce_with_logits(lazy(x), t, mask=True), fs.bce_with_logits(x, t))
    row = lazy(x[:, :1], (20, 1))
    assert_same(fs.bce_with_logits_value_and_grad(lazy(x, 64), row > 0), fs.bce_with_logits_value_and_grad(x, x[:, :1] > 0))


def test_integer_logits_and_targets() -> None:
    x = (np.arange(4000) % 200 - 100).astype(np.int8)
    assert_same(fs.bce_with_logits_value_and_grad(lazy(x, 999), lazy(x > 0)), fs.bce_with_logits_value_and_grad(x, x > 0))


def test_bfloat16() -> None:
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    x = np.linspace(-30, 30, 3000).astype(bfloat16)
    assert_same(fs.bce_with_logits_value_and_grad(lazy(x, 999), lazy(x > 0)), fs.bce_with_logits_value_and_grad(x, x > 0))


@pytest.mark.parametrize("named", ["c", "numba"])
def test_a_named_backend_serves_the_tasks(named: str, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if named != backend:
        pytest.skip("each once")
    x, t, _ = operands((3000,), "float32")
    assert_same(fs.bce_with_logits_value_and_grad(lazy(x, 700), t, backend=named), fs.bce_with_logits_value_and_grad(x, t, backend=named))
    assert_same(fs.sigmoid(lazy(x, 700), backend=named), fs.sigmoid(x))
    with pytest.raises((ValueError, RuntimeError), match="backend"):
        fs.bce_with_logits(lazy(x), t, backend="cude")


def test_a_task_has_one_thread_unless_the_call_says_more(monkeypatch: pytest.MonkeyPatch) -> None:
    from fastsig.losses import evaluate

    seen: list[int] = []
    of_loss = evaluate.choice.of_loss

    def spy(name: str, dtype: Any, size: int, *, threads: int | None, **options: Any) -> Any:
        if size > 1:  # what asks for the result's type has one element
            seen.append(threads or 0)
        return of_loss(name, dtype, size, threads=threads, **options)

    monkeypatch.setattr(evaluate.choice, "of_loss", spy)
    x = lazy(np.zeros(4096), 1024)
    fs.set_num_threads(2)
    fs.bce_with_logits(x, 1).compute()
    assert set(seen) == {1}
    seen.clear()
    fs.bce_with_logits(x, 1, threads=2).compute()
    assert set(seen) == {2}


def test_the_same_call_has_the_same_keys() -> None:
    x, t = lazy(np.zeros(3000), 700), lazy(np.ones(3000), 700)
    for function in (fs.bce_with_logits, fs.bce, fs.sigmoid_focal_loss):
        assert function(x, t).name == function(x, t).name != function(x, t, reduction="sum").name
    assert fs.sigmoid(x).name == fs.sigmoid(x).name != fs.tanh(x).name
    assert fs.bce_with_logits(x, t, label_smoothing=0.5).name != fs.bce_with_logits(x, t).name


@pytest.mark.filterwarnings("ignore:'where' used without 'out':UserWarning")
@pytest.mark.parametrize("name", ["sigmoid", "log_sigmoid", "tanh_grad"])
def test_options_of_the_functions_mean_what_they_mean_of_arrays(name: str) -> None:
    x = np.linspace(-20, 20, 300, dtype=np.float32)
    function = getattr(fs, name)
    assert_same(function(lazy(x, 70), dtype=np.float64), function(x, dtype=np.float64))
    assert_same(function(lazy(x, 70), threads=2), function(x))
    some = function(lazy(x, 70), where=lazy(x > 0, 90)).compute()
    assert_same_bits(some[x > 0], function(x)[x > 0])


def test_ufuncs_of_two_inputs() -> None:
    x, t, _ = operands((300, 70), "float32")
    for name in ("bce_with_logits", "bce_with_logits_grad"):
        assert_same(getattr(fs.ufuncs, name)(lazy(x, 50), lazy(t, 30)), getattr(fs.ufuncs, name)(x, t))


# ---- other libraries ----


def test_xarray_around_dask() -> None:
    xr = pytest.importorskip("xarray")
    x, t, _ = operands((300, 70), "float32")
    data = xr.DataArray(lazy(x, 64), dims=("time", "place"), coords={"time": range(300)}, name="logits")
    loss, grad = fs.bce_with_logits_value_and_grad(data, xr.DataArray(lazy(t), dims=("time", "place"), coords={"time": range(300)}))
    want = fs.bce_with_logits_value_and_grad(x, t)
    assert isinstance(grad.data, da.Array)
    assert (grad.dims, list(grad.time)) == (data.dims, list(data.time))
    assert_same((loss, grad.data), want)
    with pytest.raises(ValueError, match=r"targets.coords\['time'\] is not"):
        fs.bce_with_logits(data, xr.DataArray(lazy(t), dims=("time", "place"), coords={"time": range(1, 301)}))


@pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")
def test_series_and_frames_of_dask() -> None:
    dd, pd = pytest.importorskip("dask.dataframe"), pytest.importorskip("pandas")
    frame = pd.DataFrame({"a": np.linspace(-3, 3, 10), "b": np.linspace(0, 1, 10)}, index=range(5, 15))
    lazily = dd.from_pandas(frame, npartitions=3)
    for options in ({}, {"threads": 1}):
        pd.testing.assert_frame_equal(fs.sigmoid(lazily, **options).compute(), fs.sigmoid(frame), check_exact=True)
        pd.testing.assert_series_equal(fs.sigmoid(lazily.a, **options).compute(), fs.sigmoid(frame.a), check_exact=True)
    with pytest.raises(TypeError, match=r"^bce_with_logits: targets is .*Series.*to_dask_array\(lengths=True\)"):
        fs.bce_with_logits(lazily.a.to_dask_array(lengths=True), lazily.b)
    with pytest.raises(TypeError, match=r"^sigmoid: where is for arrays"):
        fs.sigmoid(lazily.a, where=False)
    arrays = [column.to_dask_array(lengths=True) for column in (lazily.a, lazily.b)]
    assert_same(fs.bce_with_logits(*arrays), fs.bce_with_logits(frame.a.to_numpy(), frame.b.to_numpy()))


# ---- bad input ----

X = np.zeros((6, 4), np.float32)
BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "shape": (lambda x: fs.bce_with_logits(x, lazy(X[:, 0])), ValueError, "targets of shape (6,) does not broadcast"),
    "growing": (lambda x: fs.bce_with_logits(0.5, x), ValueError, "targets of shape (6, 4) does not broadcast"),
    "reduction": (lambda x: fs.bce_with_logits(x, x, reduction="max"), ValueError, "reduction='max' is unknown"),
    "smoothing": (lambda x: fs.bce_with_logits(x, x, label_smoothing=1), ValueError, "label_smoothing=1 must be a number in [0, 1)"),
    "alpha": (lambda x: fs.sigmoid_focal_loss(x, x, alpha=2), ValueError, "alpha=2 must be a number in [0, 1]"),
    "mask": (lambda x: fs.bce_with_logits(x, x, mask=x), TypeError, "mask has dtype float32; give booleans"),
    "complex": (lambda x: fs.bce_with_logits(x, x.astype(complex)), TypeError, "has dtype complex128"),
    "None": (lambda x: fs.bce_with_logits(x, None), TypeError, "targets is None; give an array"),
    "out": (lambda x: fs.bce_with_logits(x, x, out=np.zeros(())), TypeError, "out is for arrays in memory"),
    "grad_out": (lambda x: fs.bce_with_logits_value_and_grad(x, x, grad_out=X), TypeError, "grad_out is for arrays in memory"),
    "hess_out": (lambda x: fs.bce_with_logits_grad_hess(x, x, hess_out=X), TypeError, "hess_out is for arrays in memory"),
    "out of a function": (lambda x: fs.sigmoid(x, out=x), TypeError, "out is for arrays in memory"),
    "missing": (lambda x: fs.bce_with_logits(x, [None] * 4), ValueError, "targets has missing values (NA)"),
    "delayed": (lambda x: fs.bce_with_logits(x, dask.delayed(X)), TypeError, "give a dask array, as da.from_delayed"),
    "delayed in a function": (lambda x: fs.sigmoid(dask.delayed(X)), TypeError, "give a dask array, as da.from_delayed"),
    "unknown": (lambda x: fs.bce_with_logits(x[x > 0], 1), ValueError, "call logits.compute_chunk_sizes() first, or take reduction='none'"),
    "unknown mask": (
        lambda x: fs.bce_with_logits(x.ravel()[:0], 1, mask=(x > 0)[x > 0]), ValueError, "call mask.compute_chunk_sizes() first",
    ),
    "masked": (lambda x: fs.bce_with_logits(da.ma.masked_equal(x, 1), 1), TypeError, "logits has blocks of type numpy.ma"),
    "a gate": (lambda x: fs.glu(x), TypeError, "its numbers are not computed yet; give x.compute()"),
    "an accumulator": (lambda x: fs.BCEAccumulator().update(x, x), TypeError, "its numbers are not computed yet"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_at_once_in_words_about_the_argument(case: str) -> None:
    call, error, words = BAD[case]
    with pytest.raises(error) as caught:
        call(lazy(X, (2, 3)))
    assert words in str(caught.value)


@pytest.mark.parametrize("function", [fs.bce_with_logits, fs.bce_with_logits_value_and_grad])
@pytest.mark.parametrize("cut", [1024, 700])
def test_bad_numbers_are_refused_where_they_are_computed(function: Any, cut: int) -> None:
    t = np.zeros(3000)
    t[2900] = 2
    with pytest.raises(ValueError, match=r"targets must lie in \[0, 1\]"):
        dask.compute(function(lazy(np.zeros(3000), cut), lazy(t, 500)))
    assert np.isfinite(fs.bce_with_logits(lazy(np.zeros(3000), cut), lazy(t, 500), check=False).compute())


def test_unknown_chunks_where_nothing_is_summed() -> None:
    x, t, _ = operands((300,), "float32")
    dx, dt = lazy(x, 70), lazy(t, 70)
    some, beside = dx[dx > 0], dt[dx > 0]
    assert_same_bits(fs.sigmoid(some).compute(), fs.sigmoid(x[x > 0]))
    assert_same_bits(fs.bce_with_logits(some, beside, reduction="none").compute(), fs.bce_with_logits(x[x > 0], t[x > 0], reduction="none"))
    with pytest.raises(ValueError, match=r"a block of targets has shape"):
        fs.bce_with_logits(some, dt[dt > 0.5], reduction="none").compute()
    with pytest.raises(ValueError, match=r"logits.compute_chunk_sizes\(\)"):
        fs.bce_with_logits(some, lazy(t, 100), reduction="none")
    some.compute_chunk_sizes()
    assert_same(fs.bce_with_logits(some, beside.compute_chunk_sizes()), fs.bce_with_logits(x[x > 0], t[x > 0]))


def test_a_mean_of_nothing_warns_where_it_is_computed() -> None:
    with pytest.warns(RuntimeWarning, match="mean loss over no elements is NaN"):
        assert np.isnan(fs.bce_with_logits(lazy(X), X, mask=False).compute())
    loss, grad = fs.bce_with_logits_value_and_grad(lazy(X), X, mask=lazy(X > 1), reduction="sum")
    assert loss.compute() == 0
    assert not grad.compute().any()


def test_explain_computes_nothing() -> None:
    x = da.map_blocks(untouched, lazy(np.zeros(6, np.float32), 2), dtype=np.float32, meta=np.empty(0, np.float32))
    for op in ("sigmoid", "bce_with_logits"):
        assert ", 1 thread: " in fs.explain(x, x, op=op)


def test_without_dask_the_error_names_the_extra() -> None:
    error = error_of("import sys; sys.modules['dask'] = None; import fastsig.interop.dask")
    assert error.startswith("ImportError: fastsig.interop.dask needs dask")
    assert "fastsig-kernels[dask]" in error


@pytest.mark.parametrize("alpha", [0.25, None, np.float32([0.2, 0.5, 0.9])], ids=["number", "none", "a class each"])
@pytest.mark.parametrize("name", ["sigmoid_focal_loss", "sigmoid_focal_loss_value_and_grad", "sigmoid_focal_loss_grad_hess"])
def test_alpha_is_a_number_or_an_array_of_classes(name: str, alpha: Any) -> None:
    random = np.random.default_rng(4)
    x, t = random.normal(size=(5000, 3)).astype("f"), (random.random((5000, 3)) < 0.3).astype("f")
    found = getattr(fs, name)(*(da.from_array(a, chunks=(700, 3)) for a in (x, t)), alpha=alpha)
    wanted = getattr(fs, name)(x, t, alpha=alpha)
    for part, whole in zip(found, wanted, strict=True) if isinstance(found, tuple) else [(found, wanted)]:
        assert np.asarray(part.compute()).tobytes() == np.asarray(whole).tobytes()
