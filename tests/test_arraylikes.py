"""Whatever np.exp takes of pandas, xarray, dask and NumPy's own relatives: the same kind comes back, with the same bits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference import Array, assert_same_bits

import fastsig as fs
from fastsig.ops import OPS

EACH = pytest.mark.parametrize("name", [op.name for op in OPS if op.nin == 1])
X = np.random.default_rng(2).uniform(0.01, 0.99, (6, 4)).astype(np.float32)


def want(name: str, x: Array = X) -> Array:
    y: Array = getattr(fs.ufuncs, name)(x)
    return y


@EACH
def test_pandas(name: str, backend: str) -> None:
    pd = pytest.importorskip("pandas")
    series = pd.Series(X[:, 0], index=list("uvwxyz"), name="p")
    for options in ({}, {"backend": backend}, {"threads": 2}):
        got = getattr(fs, name)(series, **options)
        assert isinstance(got, pd.Series)
        assert list(got.index) == list("uvwxyz")
        assert got.name == "p"
        assert_same_bits(got.to_numpy(), want(name, X[:, 0].copy()))
    frame = getattr(fs, name)(pd.DataFrame(X, columns=list("abcd")))
    assert list(frame.columns) == list("abcd")
    assert_same_bits(frame.to_numpy(), want(name))
    inside = pd.DataFrame(X, columns=list("abcd")).copy().to_numpy()  # pandas keeps columns side by side
    got = getattr(fs, name)(inside, backend=backend)
    assert got.flags.f_contiguous == inside.flags.f_contiguous
    assert_same_bits(got, want(name))


@EACH
def test_xarray(name: str, backend: str) -> None:
    xr = pytest.importorskip("xarray")
    data = xr.DataArray(X, dims=("time", "place"), coords={"time": range(6)}, name="p", attrs={"unit": "1"})
    for options in ({}, {"backend": backend}):
        got = getattr(fs, name)(data, **options)
        assert isinstance(got, xr.DataArray)
        assert got.dims == data.dims
        assert list(got.time) == list(data.time)
        assert_same_bits(got.to_numpy(), want(name))


@EACH
def test_dask(name: str, backend: str) -> None:
    da = pytest.importorskip("dask.array")
    lazy = da.from_array(X, chunks=(2, 3))
    for options in ({}, {"backend": backend}):
        got = getattr(fs, name)(lazy, **options)
        assert isinstance(got, da.Array)
        assert got.chunks == lazy.chunks
        assert got.dtype == np.float32
        assert_same_bits(got.compute(), want(name))


def test_dask_across_processes_pickles_the_ufunc() -> None:
    da = pytest.importorskip("dask.array")
    import pickle

    got = pickle.loads(pickle.dumps(fs.sigmoid(da.from_array(X, chunks=(2, 3)))))
    assert_same_bits(got.compute(scheduler="synchronous"), want("sigmoid"))


@EACH
def test_masked(name: str, backend: str) -> None:
    x = np.ma.masked_array(X, mask=X > 0.5)
    for options in ({}, {"backend": backend}):
        got, model = getattr(fs, name)(x, **options), np.ma.masked_array(want(name), mask=X > 0.5)
        assert isinstance(got, np.ma.MaskedArray)
        assert np.array_equal(got.mask, model.mask)
        assert_same_bits(got.compressed(), model.compressed())


class Tagged(np.ndarray[Any, Any]):
    """A subclass that carries something along."""

    def __array_finalize__(self, obj: Any) -> None:
        self.tag = getattr(obj, "tag", None)


@EACH
@pytest.mark.parametrize("size", [5, 1 << 19])
def test_subclass(name: str, size: int, backend: str) -> None:
    x = np.full(size, 0.25, np.float32).view(Tagged)
    x.tag = "mine"
    for options in ({}, {"backend": backend}, {"threads": 2}):
        got = getattr(fs, name)(x, **options)
        assert type(got) is Tagged
        assert got.tag == "mine"
        assert type(getattr(fs, name)(x, subok=False, **options)) is np.ndarray
        assert_same_bits(np.asarray(got), want(name, np.asarray(x)))


class Answers:
    """Something that knows ufuncs."""

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        return ufunc.__name__, method, kwargs


@EACH
def test_array_ufunc_is_asked(name: str, backend: str) -> None:
    for options in ({}, {"backend": backend}):
        assert getattr(fs, name)(Answers(), **options) == (name, "__call__", {})
        assert getattr(fs, name)(Answers(), order="C", **options) == (name, "__call__", {"order": "C"})


class Refuses:
    __array_ufunc__ = None


def test_array_ufunc_none_refuses() -> None:
    with pytest.raises(TypeError):
        fs.sigmoid(Refuses())


class Convertible:
    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        return X if dtype is None else X.astype(dtype)


def test_what_can_become_an_array() -> None:
    assert_same_bits(fs.sigmoid(Convertible()), want("sigmoid"))
    assert_same_bits(fs.sigmoid(memoryview(X.copy())), want("sigmoid"))
    assert_same_bits(fs.sigmoid(range(3)), want("sigmoid", np.arange(3.0)))


@EACH
@pytest.mark.parametrize("size", [100, 1 << 19])
def test_memmap(name: str, size: int, tmp_path: Path) -> None:
    x = np.memmap(tmp_path / "x", np.float32, "w+", shape=size)
    y = np.memmap(tmp_path / "y", np.float32, "w+", shape=size)
    x[:] = np.linspace(0.01, 0.99, size)
    got = getattr(fs, name)(x, out=y)
    assert got is y
    assert_same_bits(np.array(getattr(fs, name)(x)), want(name, np.array(x)))
    y.flush()
    assert_same_bits(np.fromfile(tmp_path / "y", np.float32), want(name, np.array(x)))


def test_read_only_memmap(tmp_path: Path) -> None:
    np.linspace(0.01, 0.99, 10, dtype=np.float32).tofile(tmp_path / "x")
    x = np.memmap(tmp_path / "x", np.float32, "r")
    assert_same_bits(np.array(fs.sigmoid(x)), want("sigmoid", np.array(x)))
    with pytest.raises(ValueError, match="read-only"):
        fs.sigmoid(x, out=x)


@pytest.mark.filterwarnings("ignore:__array_wrap__:DeprecationWarning")  # torch's own, as for np.exp
def test_cpu_tensor_of_torch() -> None:
    torch = pytest.importorskip("torch")
    tensor = torch.from_numpy(X.copy())
    assert_same_bits(np.asarray(fs.sigmoid(tensor)), want("sigmoid"))


def test_matrix_and_structured_fields() -> None:
    record = np.zeros(6, [("pad", "u1"), ("p", np.float32)])
    record["p"] = X[:, 0]
    assert_same_bits(fs.logit(record["p"]), want("logit", X[:, 0].copy()))
    with pytest.raises(TypeError, match="structured"):
        fs.logit(record)


def test_a_column_is_no_attribute() -> None:
    """Attributes of a table are its columns: none of them says where it is."""
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"is_cuda": [1.0, 2.0], "device": [3.0, 4.0]})
    pd.testing.assert_frame_equal(fs.sigmoid(table), fs.ufuncs.sigmoid(table), check_exact=True)
