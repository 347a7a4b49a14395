"""fastsig.interop.scipy: SciPy's own tests of the functions, its dtypes and calls, and what is refused."""

from __future__ import annotations

import copy
import doctest
import importlib.util
import inspect
import pickle
from typing import Any

import numpy as np
import pytest
from processes import printed
from reference import assert_same_bits

import fastsig as fs
import fastsig.interop.scipy as ours

NAMES = ("expit", "log_expit", "logit")
OURS = {"expit": fs.sigmoid, "log_expit": fs.log_sigmoid, "logit": fs.logit}
EACH = pytest.mark.parametrize("name", NAMES)
X = np.linspace(0.01, 0.99, 60).reshape(6, 10)

RUN_THEIRS = """
import importlib.util, os, pytest, scipy.special
import fastsig.interop.scipy as ours
os.environ.pop("PYTEST_ADDOPTS", None)  # of the run that this is a part of
for name in ours.__all__:
    setattr(scipy.special, name, getattr(ours, name))

class Reports:
    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.failed:
            why = report.longrepr.reprcrash.message.splitlines()[0] if report.failed else ""
            print("RESULT", report.outcome, report.nodeid.rpartition("::")[2], why)

files = [importlib.util.find_spec(f"scipy.special.tests.{file}").origin for file in ("test_logit", "test_cython_special")]
pytest.main(["-q", "-p", "no:cacheprovider", "--noconftest", "-c", os.devnull, "-W", "ignore", "-k", "logit or expit", *files], [Reports()])
print("OURS", all(getattr(__import__("sys").modules[file], name, None) is getattr(ours, name)
                  for file in list(__import__("sys").modules) if file.endswith("test_logit") for name in ours.__all__))
"""


def test_scipys_own_tests(pytestconfig: pytest.Config) -> None:
    """All but what needs longdouble, which comes after float32 and float64 in its test."""
    pytest.importorskip("scipy")
    if importlib.util.find_spec("scipy.special.tests") is None:
        pytest.skip("this SciPy was installed without its tests")
    lines = printed(RUN_THEIRS, pytestconfig).splitlines()
    assert "OURS True" in lines, "its tests had imported SciPy's functions"
    results = [line.split(" ", 3)[1:] for line in (line.lstrip(".F") for line in lines) if line.startswith("RESULT ")]
    passed = [name for outcome, name, _ in results if outcome == "passed"]
    assert len(passed) >= 9
    others = [(name, why) for outcome, name, why in results if outcome != "passed"]
    if np.dtype(np.longdouble).itemsize > 8:
        assert [name for name, _ in others] == ["test_large"]
        assert "has dtype " in others[0][1]
        assert "there is no kernel above float64" in others[0][1]
    else:
        assert others == []


DTYPES = ("?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8")


def _skip_where_float32_is_first(theirs: Any, dtype: np.dtype[Any]) -> None:
    """As in SciPy 1.18, where it takes what float32 can hold."""
    if theirs.types[0] != "d->d" and dtype.itemsize <= 2 and np.can_cast(dtype, np.float32):
        pytest.skip("this SciPy looks for float32 first")


@EACH
@pytest.mark.parametrize("dtype", DTYPES)
def test_results_have_scipys_dtypes(name: str, dtype: str) -> None:
    special = pytest.importorskip("scipy.special")
    theirs = getattr(special, name)
    _skip_where_float32_is_first(theirs, np.dtype(dtype))
    for x in (np.array([0, 1], dtype), np.array([[0], [1]], dtype)[::-1], np.dtype(dtype).type(1)):
        got, want = getattr(ours, name)(x), theirs(x)
        assert (type(got), got.dtype, got.shape) == (type(want), want.dtype, want.shape)
        wide = np.asarray(x, np.float32 if dtype == "f4" else np.float64)
        assert_same_bits(np.asarray(got), np.asarray(OURS[name](wide)))


@EACH
@pytest.mark.parametrize("x", [True, 1, 0.5, [True, False], [0.5, 0.25], [[1, 0]], (0.5,), range(2)])
def test_numbers_and_lists(name: str, x: Any) -> None:
    function = getattr(pytest.importorskip("scipy.special"), name)
    _skip_where_float32_is_first(function, np.asarray(x).dtype)
    theirs, got = function(x), getattr(ours, name)(x)
    assert (type(got), got.dtype, np.shape(got)) == (type(theirs), theirs.dtype, np.shape(theirs))
    assert_same_bits(np.asarray(got), np.asarray(OURS[name](np.asarray(x, float))))


def test_bfloat16_is_computed_in_float64() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = X.astype(ml_dtypes.bfloat16)
    assert_same_bits(ours.expit(x), fs.sigmoid(x.astype(float)))


@EACH
def test_what_a_ufunc_takes(name: str) -> None:
    function, want = getattr(ours, name), OURS[name](X)
    out = np.empty_like(X)
    assert function(X, out) is out
    assert_same_bits(out, want)
    out = np.zeros_like(X)
    assert function(X, out=out, where=X > 0.5) is out
    assert_same_bits(out, np.where(X > 0.5, want, 0.0))
    assert_same_bits(function(X, out=(np.empty_like(X),)), want)
    assert function(X, dtype=np.float32).dtype == np.float32
    assert function(X, signature="f->f", casting="same_kind").dtype == np.float32
    assert function(X, order="F").flags.f_contiguous
    assert_same_bits(function(X.T[::-1]), want.T[::-1])
    out = X.copy()
    function.at(out, (slice(0, 2),))
    assert_same_bits(out, np.concatenate([want[:2], X[2:]]))


@EACH
def test_it_looks_like_a_ufunc(name: str) -> None:
    function, theirs = getattr(ours, name), getattr(pytest.importorskip("scipy.special"), name)
    for attribute in ("__name__", "nin", "nout", "nargs", "identity", "signature"):
        assert getattr(function, attribute) == getattr(theirs, attribute)
    assert set(function.types) == {kind for kind in theirs.types if "g" not in kind}
    assert function.ntypes == len(function.types)
    assert pickle.loads(pickle.dumps(function)) is function
    assert copy.deepcopy(function) is function
    assert f"fastsig.interop.scipy.{name}" in repr(function)
    assert list(inspect.signature(function).parameters)[:2] == ["x", "out"]
    with pytest.raises(AttributeError, match="_private"):
        function._private  # noqa: B018
    with pytest.raises(AttributeError, match="nothing"):
        function.nothing  # noqa: B018


@EACH
def test_threads_share_large_arrays_and_leave_no_trace(name: str) -> None:
    x = np.linspace(0.001, 0.999, 1 << 19)
    fs.set_num_threads(2)
    assert_same_bits(getattr(ours, name)(x), getattr(fs.ufuncs, OURS[name].__name__)(x))


@EACH
def test_tails_that_scipy_has_not(name: str) -> None:
    """So that these are not SciPy's."""
    if name == "expit":
        assert ours.expit(np.float32(-100)) == np.float32(3.783506e-44)
    if name == "log_expit":
        assert ours.log_expit(np.float64(-1e300)) == -1e300
    if name == "logit":
        assert ours.logit(5e-324) == fs.logit(5e-324)


@EACH
@pytest.mark.parametrize("bad", [np.longdouble(0.5), 0.5j, "half", np.array([0.5], object), np.array(["2020"], "M8[Y]")])
def test_what_is_refused_names_the_function(name: str, bad: Any) -> None:
    if isinstance(bad, np.longdouble) and np.dtype(np.longdouble).itemsize == 8:
        pytest.skip("longdouble is float64 here")
    with pytest.raises(TypeError, match=rf"^{name}: x has dtype .*convert it"):
        getattr(ours, name)(bad)


@EACH
def test_outputs_that_do_not_fit(name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name}: out has shape \(2,\); the result has shape \(6, 10\)"):
        getattr(ours, name)(X, out=np.empty(2))
    frozen = np.empty_like(X)
    frozen.flags.writeable = False
    with pytest.raises(ValueError, match=rf"^{name}: out is read-only"):
        getattr(ours, name)(X, frozen)
    with pytest.raises(TypeError, match=rf"^{name}: out is list"):
        getattr(ours, name)(X, out=[0.0])


@EACH
def test_arrays_of_other_libraries(name: str) -> None:
    pd, da = pytest.importorskip("pandas"), pytest.importorskip("dask.array")
    table = pd.Series(X[0], index=list("abcdefghij"), name="p")
    got = getattr(ours, name)(table)
    pd.testing.assert_series_equal(got, pd.Series(OURS[name](X[0]), index=table.index, name="p"), check_exact=True)
    lazy = getattr(ours, name)(da.from_array(X, chunks=(2, 10)))
    assert isinstance(lazy, da.Array)
    assert_same_bits(lazy.compute(), OURS[name](X))


@EACH
def test_its_documentation(name: str) -> None:
    example = doctest.DocTestParser().get_doctest(inspect.getdoc(getattr(ours, name)) or "", {}, name, None, 0)
    assert example.examples
    assert not doctest.DocTestRunner().run(example).failed
    assert not doctest.testmod(ours).failed


def test_scipy_is_not_imported(pytestconfig: pytest.Config) -> None:
    code = "import sys; sys.modules['scipy'] = None; from fastsig.interop.scipy import expit; print(expit(0.0))"
    assert printed(code, pytestconfig) == "0.5"
