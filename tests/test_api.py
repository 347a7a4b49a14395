"""The elementwise functions behave as NumPy's own: np.exp is the model, in what is taken, returned and refused."""

from __future__ import annotations

import copy
import functools
import gc
import inspect
import pickle
import pydoc
import weakref
from typing import Any

import numpy as np
import pytest
from processes import printed
from reference import Array, assert_same_bits

import fastsig as fs
from fastsig import elementwise
from fastsig.dispatch import availability
from fastsig.ops import BY_NAME, OPS

UNARY = [op.name for op in OPS if op.nin == 1]
EACH = pytest.mark.parametrize("name", UNARY)
CHOICES = pytest.mark.parametrize("choice", [{}, {"backend": "c"}, {"backend": "numba"}, {"threads": 2}], ids=str)
BIG = 1 << 19
"""Elements of a float32 array that threads share."""


@pytest.fixture(autouse=True)
def only_present_backends(request: pytest.FixtureRequest, pytestconfig: pytest.Config) -> None:
    callspec = getattr(request.node, "callspec", None)
    hidden = callspec and callspec.params.get("choice", {}).get("backend") in pytestconfig.getoption("--hide")
    if hidden:
        pytest.skip("--hide: that backend is not there")


def plain(name: str, x: Any) -> Any:
    """What the ufunc gives for a contiguous copy."""
    return getattr(fs.ufuncs, name)(np.array(x))


def numbers(shape: Any, dtype: Any = np.float32) -> Array:
    return np.random.default_rng(1).uniform(0.01, 0.99, shape).astype(dtype)


# ---- what comes back ----


SMALL = [0.25, np.float32(0.25), np.float16(0.25), np.float64(0.25), True, 1, np.int8(1), np.array(0.25), [0.25, 1], (0.5,), [[]]]


@EACH
@pytest.mark.parametrize("x", SMALL, ids=repr)
def test_type_and_shape_are_as_of_exp(name: str, x: Any) -> None:
    got, model = getattr(fs, name)(x), np.exp(x)
    assert type(got) is type(model)
    assert got.dtype == model.dtype
    assert got.shape == model.shape
    assert_same_bits(got, plain(name, x))


@EACH
@pytest.mark.parametrize("dtype", "?bBhHiIlLqQefd")
@CHOICES
def test_every_number_type_becomes_a_float_as_for_exp(name: str, dtype: str, choice: dict[str, Any]) -> None:
    x = np.array([0, 1, 1, 0], dtype)
    got = getattr(fs, name)(x, **choice)
    assert got.dtype == np.exp(x).dtype
    assert_same_bits(got, plain(name, x.astype(got.dtype)))


FOREIGN = [1j, np.longdouble(1), np.array([1], object), "0.5", np.array([b"x"]), np.datetime64(1, "s"), None, object()]


@EACH
@pytest.mark.parametrize("x", FOREIGN, ids=lambda x: type(x).__name__)
@CHOICES
def test_what_has_no_logistic_is_a_type_error(name: str, x: Any, choice: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=f"^{name}: x "):
        getattr(fs, name)(x, **choice)


REASONS = [(np.zeros(2, complex), "complex128"), (np.zeros(2, np.longdouble), r"x\.astype\(np\.float64\)"), (["a"], "string")]


@pytest.mark.parametrize(("x", "words"), REASONS)
def test_a_refusal_says_what_is_wrong(x: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        fs.sigmoid(x)


@EACH
def test_shapes_and_orders(name: str) -> None:
    function = getattr(fs, name)
    for shape in [(), (0,), (3, 0), (1,), (2, 3, 4)]:
        x = numbers(shape)
        assert_same_bits(function(x), plain(name, x))
    f = np.asfortranarray(numbers((5, 7)))
    assert function(f).flags.f_contiguous
    assert function(f, order="C").flags.c_contiguous
    assert_same_bits(function(f, order="C"), plain(name, f))
    for given in (f, f.T, f[::-1], numbers((8, 5)).T[:, ::2]):
        assert function(given).strides == np.exp(given).strides
        assert_same_bits(function(given), plain(name, given))
    transposed = numbers((3, 4, 5)).transpose(2, 0, 1)
    assert function(transposed).strides == np.exp(transposed).strides
    with pytest.raises(ValueError, match="order"):
        function(f, order="Z")


# ---- out, where, dtype, casting ----


@EACH
@CHOICES
def test_out(name: str, choice: dict[str, Any]) -> None:
    function = getattr(fs, name)
    for x in (numbers(100), numbers(BIG)):
        want = plain(name, x)
        out = np.empty_like(x)
        assert function(x, out, **choice) is out
        assert_same_bits(out, want)
        for given in (out, (out,)):
            out[...] = -1
            assert function(x, out=given, **choice) is out
            assert_same_bits(out, want)
        wide = np.empty(x.shape, np.float64)
        assert function(x, out=wide, **choice) is wide
        assert_same_bits(wide, want.astype(np.float64))


@EACH
def test_out_broadcasts_and_is_cast(name: str) -> None:
    function, x = getattr(fs, name), numbers(7)
    assert_same_bits(function(x, out=np.empty((3, 7), np.float32)), np.broadcast_to(plain(name, x), (3, 7)))
    half = np.empty(7, np.float16)  # "same_kind" allows it
    assert_same_bits(function(x, out=half), plain(name, x).astype(np.float16))


WRONG_OUT = [
    (np.empty(6, np.float32), ValueError, r"out has shape \(6,\); the result has shape \(7,\)"),
    (np.empty((), np.float32), ValueError, "out has shape"),
    (np.empty(7, np.int32), TypeError, "out has dtype int32"),
    ([0.0] * 7, TypeError, "out is list"),
    ((np.empty(7), np.empty(7)), ValueError, "tuple of 2"),
    (np.broadcast_to(np.float32(3), 7), ValueError, "read-only"),
]


@EACH
@CHOICES
@pytest.mark.parametrize(("out", "error", "words"), WRONG_OUT, ids=[words for *_, words in WRONG_OUT])
def test_a_wrong_out_is_refused_and_not_touched(name: str, out: Any, error: type[Exception], words: str, choice: dict[str, Any]) -> None:
    if isinstance(out, np.ndarray) and out.flags.writeable:
        out[...] = 77
    with pytest.raises(error, match=words):
        getattr(fs, name)(numbers(7), out=out, **choice)
    if isinstance(out, np.ndarray) and out.flags.writeable:
        assert (out == 77).all()


@CHOICES
@pytest.mark.parametrize("size", [1_000, BIG])
@pytest.mark.parametrize("shift", [-33, -1, 0, 1, 16])
def test_overlapping_memory(size: int, shift: int, choice: dict[str, Any]) -> None:
    """An out that is x moved along: as if x had been copied first."""
    holder = numbers(size + 100)
    x, out = holder[40 : 40 + size], holder[40 + shift : 40 + shift + size]
    want = plain("sigmoid", x)
    fs.sigmoid(x, out=out, **choice)
    assert_same_bits(out, want)


@CHOICES
def test_overlapping_memory_backwards(choice: dict[str, Any]) -> None:
    for size in (1_000, BIG):
        x = numbers(size)
        want = plain("sigmoid", x[::-1])
        fs.sigmoid(x[::-1], out=x, **choice)
        assert_same_bits(x, want)


@EACH
@CHOICES
def test_where(name: str, choice: dict[str, Any]) -> None:
    for size in (50, BIG):
        x = numbers(size)
        where = np.arange(size) % 3 == 0
        out = np.full(size, 9, np.float32)
        assert getattr(fs, name)(x, out=out, where=where, **choice) is out
        assert_same_bits(out, np.where(where, plain(name, x), np.float32(9)))
        getattr(fs, name)(x, out=out, where=False, **choice)
        assert_same_bits(out, np.where(where, plain(name, x), np.float32(9)))


@EACH
@CHOICES
def test_dtype_and_casting(name: str, choice: dict[str, Any]) -> None:
    function = getattr(fs, name)
    for x in (numbers(10), numbers(BIG)):
        double = plain(name, x.astype(np.float64))
        assert_same_bits(function(x, dtype=np.float64, **choice), double)
        out = np.empty_like(x)
        assert_same_bits(function(x, out=out, dtype=np.float64, **choice), double.astype(np.float32))
        with pytest.raises(TypeError, match="[Cc]ast"):
            function(x, dtype=np.float64, out=out, casting="safe", **choice)
    with pytest.raises(TypeError):
        function(numbers(10), dtype=np.int32, **choice)
    with pytest.raises(TypeError):
        function(numbers(10, np.float64), dtype=np.float32, casting="safe", **choice)
    whole = np.empty(4, np.int64)
    assert_same_bits(function(numbers(4), out=whole, casting="unsafe"), plain(name, numbers(4)).astype(np.int64))


# ---- arguments ----


@EACH
def test_x_is_positional_only_and_there_is_nothing_extra(name: str) -> None:
    function = getattr(fs, name)
    for call in (lambda: function(), lambda: function(x=1.0), lambda: function(1.0, None, None), lambda: function(1.0, typo=2)):
        with pytest.raises(TypeError):
            call()


@EACH
def test_signature(name: str) -> None:
    kinds = inspect.signature(getattr(fs, name)).parameters
    assert list(kinds) == [*BY_NAME[name].inputs, "out", "where", "dtype", "casting", "order", "subok", "backend", "threads"]
    assert next(iter(kinds.values())).kind is inspect.Parameter.POSITIONAL_ONLY
    assert {k: p.default for k, p in list(kinds.items())[1:]} == {
        "out": None, "where": True, "dtype": None, "casting": "same_kind", "order": "K", "subok": True, "backend": None, "threads": None,
    }  # fmt: skip


SHORT_CALLS = [
    {"backend": None}, {"threads": None}, {"backend": "c"}, {"backend": "".join("c")}, {"threads": 1}, {"threads": 10**30},
    {"threads": np.int64(2)}, {"threads": 2, "backend": "c"}, {"backend": "c", "threads": 2}, {"where": True, "threads": 1},
    {"dtype": None, "order": "K", "casting": "same_kind", "subok": True, "backend": "c"},
]  # fmt: skip


@EACH
@pytest.mark.parametrize("options", SHORT_CALLS, ids=str)
def test_options_of_a_small_call(name: str, options: dict[str, Any], pytestconfig: pytest.Config) -> None:
    """Those that change nothing for so few elements, with an out in front, behind, by position and in a tuple."""
    if options.get("backend") == "c" and "c" in pytestconfig.getoption("--hide"):
        pytest.skip("--hide c")
    function = getattr(fs, name)
    for x in (numbers(100), numbers((3, 4), np.float16), numbers(()), numbers(3).tolist(), 0.25, 1, np.float64(0.25), np.int8(1)):
        want = plain(name, x)
        got = function(x, **options)
        assert type(got) is type(function(x))
        assert_same_bits(got, want)
        out = np.empty_like(want)
        for call in (
            lambda x=x, out=out: function(x, out=out, **options), lambda x=x, out=out: function(x, **options, out=out),
            lambda x=x, out=out: function(x, out, **options), lambda x=x, out=out: function(x, **options, out=(out,)),
        ):  # fmt: skip
            out[...] = 9
            assert call() is out
            assert_same_bits(out, want)
        assert_same_bits(function(x, None, **options), want)
        assert_same_bits(function(x, **options, out=None), want)


@pytest.mark.parametrize("size", [3, BIG])
def test_refusals_of_options(size: int) -> None:
    x, out = numbers(size), np.full(size, 9, np.float32)
    for wrong in (0, -1, True, 1.0, "1"):
        with pytest.raises(ValueError, match=r"threads=.* must be a positive whole number"):
            fs.sigmoid(x, out=out, threads=wrong, backend=None)
    for unknown in ("C", "", 3, b"c", True):
        with pytest.raises(ValueError, match=r"backend=.* is unknown; known backends are"):
            fs.sigmoid(x, out=out, backend=unknown, threads=1)
    with pytest.raises(TypeError, match="multiple values for argument 'out'"):
        fs.sigmoid(x, out, out=out)
    with pytest.raises(TypeError, match="unexpected keyword argument 'thread'"):
        fs.sigmoid(x, out, thread=1)
    assert (out == 9).all()


@EACH
@pytest.mark.parametrize("size", [10, BIG])
def test_inputs_are_never_modified(name: str, size: int) -> None:
    x = numbers(size)
    x.flags.writeable = False
    before = x.copy()
    getattr(fs, name)(x)
    getattr(fs, name)(x, threads=3)
    getattr(fs, name)(x[::2])
    assert_same_bits(x, before)


@pytest.mark.parametrize("size", [10, BIG])
def test_nothing_is_written_by_a_refused_call(size: int) -> None:
    x, out = numbers(size), np.full(size, 9, np.float32)
    wrongs = ({"backend": "gpu"}, {"threads": 0}, {"casting": "maybe"}, {"dtype": complex}, {"where": np.ones(3, bool)}, {"order": "Q"})
    for wrong in wrongs:
        with pytest.raises((ValueError, TypeError)):
            fs.sigmoid(x, out=out, **wrong)
    with pytest.raises(TypeError):
        fs.sigmoid(x.astype(complex), out=out)
    assert (out == 9).all()


# ---- the ufuncs ----


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_ufuncs_are_ufuncs(op: Any, backend: str) -> None:
    for ufunc in (getattr(fs.ufuncs, op.name), availability.ufunc_of(backend, op.name)):
        assert isinstance(ufunc, np.ufunc)
        assert ufunc.__name__ == op.name
        assert (ufunc.nin, ufunc.nout) == (op.nin, 1)
        assert {"e" * op.nin + "->e", "f" * op.nin + "->f", "d" * op.nin + "->d"} <= set(ufunc.types)
    assert op.name in dir(fs.ufuncs)


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.filterwarnings(
    "ignore:the .* module is deprecated:DeprecationWarning"
)  # of mpmath: NumPy 2.0 has pickle look into all modules
def test_ufuncs_pickle(op: Any, protocol: int) -> None:
    ours = getattr(fs.ufuncs, op.name)
    assert pickle.loads(pickle.dumps(ours, protocol)) is ours


@EACH
def test_functions_are_copied_and_pickled_by_name(name: str) -> None:
    function = getattr(fs, name)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(function, protocol)) is function
        assert b"fastsig" in pickle.dumps(function, protocol)
        assert b"functions" not in pickle.dumps(function, protocol)
    assert copy.copy(function) is copy.deepcopy(function) is function


@EACH
def test_functions_are_functions(name: str) -> None:
    """To whoever looks: inspect, help, a debugger, a decorator."""
    function = getattr(fs, name)
    assert inspect.isfunction(function)
    assert (function.__module__, function.__name__, function.__qualname__) == ("fastsig", name, name)
    source = inspect.getsourcefile(function)
    assert source is not None
    assert f"def {name}(" in inspect.getsource(function)
    assert source == inspect.getsourcefile(elementwise.functions)
    assert f"function {name} in module fastsig" in pydoc.plain(pydoc.render_doc(function))
    assert inspect.getdoc(function) == inspect.cleandoc(function.__doc__ or "")
    assert set(function.__annotations__) == {*inspect.signature(function).parameters, "return"}
    wrapped = functools.wraps(function)(lambda x: function(x, threads=1))
    assert inspect.signature(wrapped) == inspect.signature(function)
    assert wrapped(0.25) == functools.partial(function, backend=None)(0.25) == function(*[0.25], **{"threads": 1})
    assert weakref.ref(function)() is function
    function.note = "kept"
    gc.collect()
    assert function.__dict__.pop("note") == "kept"


def test_the_type_does_not_depend_on_the_environment(pytestconfig: pytest.Config) -> None:
    code = "import fastsig as fs, types; print(type(fs.sigmoid), isinstance(fs.sigmoid, types.FunctionType), fs.sigmoid.__module__)"
    printed_by = {backend: printed(code, pytestconfig, FASTSIG_BACKEND=backend) for backend in ("", "c", "numba", "nunba")}
    assert set(printed_by.values()) == {"<class 'function'> True fastsig"}


def test_no_docstring_is_the_word_none() -> None:
    """Where Python leaves docstrings out, they are made from the table or are none."""
    code = (
        "import subprocess; subprocess.run([sys.executable, '-OO', '-c', 'import fastsig; print([fastsig.sigmoid.__doc__])'], check=True)"
    )
    assert printed(code) != "['None']"


def test_an_unknown_ufunc() -> None:
    with pytest.raises(AttributeError, match="the operations are sigmoid, "):
        fs.ufuncs.sigmoids  # noqa: B018


def test_binary_ufuncs_broadcast_and_promote() -> None:
    x, t = numbers((4, 1)), numbers(3)
    for name in ("bce_with_logits", "bce_with_logits_grad", "bce", "bce_grad"):
        ufunc = getattr(fs.ufuncs, name)
        assert_same_bits(ufunc(x, t), ufunc(*map(np.ascontiguousarray, np.broadcast_arrays(x, t))))
        assert ufunc(x, t.astype(float)).dtype == np.float64
        assert ufunc(x, 1).dtype == np.float32
        assert ufunc(x, np.ones(3, np.int8)).dtype == np.result_type(np.float32, np.int8)
        assert ufunc.outer(x, t).shape == (4, 1, 3)
