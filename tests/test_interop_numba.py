"""fastsig in code that a user compiles with Numba: the bits of fs.ufuncs, whatever the decorator, and refusals that name what to call.

Compiling takes seconds, so one compiled function serves many questions.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import error_of, printed
from reference import bits_of
from samples import anything, inputs

import fastsig as fs
from fastsig import ufuncs
from fastsig.ops import BY_NAME, OPS, Op

pytestmark = pytest.mark.usefixtures("need_numba")
try:
    import numba
except ImportError:
    pytest.skip("Numba is not here, or --hide numba", allow_module_level=True)

Array = np.ndarray[Any, Any]
TAILS = [0.0, -0.0, np.nan, np.inf, -np.inf, -100.0, -745.0, -744.0, 17.0, 710.0, 1e-44, -1e-44, 5e-324]


def same(result: Any, expected: Any) -> bool:
    result, expected = np.asarray(result), np.asarray(expected)
    return result.dtype == expected.dtype and np.array_equal(bits_of(result), bits_of(expected))


def samples(op: Op, dtype: str) -> tuple[Array, ...]:
    """Numbers of its domain in steps of bits, and any numbers at all, the special ones among them."""
    several = (inputs(op.name, dtype, 4000), anything(op, dtype, 3000))
    return tuple(np.concatenate([np.ravel(a).astype(dtype) for a in column]) for column in zip(*several, strict=True))


# ---- all operations ----


def call_of(op: Op) -> Any:
    """A function of the inputs and out, with the operation for a global, as a user would write it."""
    names = {"ufuncs": ufuncs}
    exec(f"def call({', '.join(op.inputs)}, out): ufuncs.{op.name}({', '.join(op.inputs)}, out=out)", names)
    return names["call"]


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_an_array_has_the_bits_of_the_ufunc_under_fastmath(op: Op, dtype: str) -> None:
    given = samples(op, dtype)
    out = np.empty_like(given[0])
    numba.njit(fastmath=True)(call_of(op))(*given, out)
    with np.errstate(all="ignore"):
        assert same(out, getattr(ufuncs, op.name)(*given))


@numba.njit(fastmath=True)
def plain(x: Any) -> Any:
    return fs.sigmoid(x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_tails_nan_infinities_and_subnormal_numbers(dtype: str) -> None:
    x = np.array(TAILS, dtype)
    assert same(plain(x), ufuncs.sigmoid(x))
    assert np.count_nonzero(ufuncs.sigmoid(np.array([-100.0], dtype))) == 1, "the naive formula has 0 there in float32"


def test_fastmath_of_the_caller_is_at_work_around_it() -> None:
    """Otherwise nothing is shown: the caller's own test for NaN goes, and ours stays."""

    @numba.njit(fastmath=True)
    def both(x: float) -> Any:
        return np.isnan(x), fs.sigmoid(x)

    own, ours = both(np.nan)
    assert not own
    assert np.isnan(ours)


@pytest.mark.parametrize("number", [0.5, np.float64(-3), 3, np.int32(-40), np.int64(2)])
def test_a_scalar_gives_a_number(number: Any) -> None:
    assert plain(number) == ufuncs.sigmoid(number)


def test_integers_are_converted_as_outside() -> None:
    """Small ones, which are float16 outside, are float32: Numba has no float16 on the CPU."""
    x = np.arange(-60, 60)
    assert same(plain(x), ufuncs.sigmoid(x))
    small = x.astype(np.int8)
    assert same(plain(small), ufuncs.sigmoid(small.astype(np.float32)))


@pytest.mark.parametrize("view", [np.s_[:, ::2], np.s_[::-1], np.s_[:0], np.s_[1, 1:2]])
def test_views_of_any_layout(view: Any) -> None:
    x = np.linspace(-40, 40, 63).reshape(7, 9)[view]
    before = x.copy()
    assert same(plain(x), ufuncs.sigmoid(x))
    assert same(x, before)


# ---- all decorators ----


def test_vectorize() -> None:
    x = np.array(TAILS)

    @numba.vectorize(["float64(float64)"], fastmath=True)
    def kernel(x: float) -> Any:
        return fs.silu(x)

    with np.errstate(all="ignore"):
        assert same(kernel(x), ufuncs.silu(x))


def test_guvectorize() -> None:
    x, t = np.linspace(-50, 50, 60).reshape(3, 20), np.linspace(0, 1, 20)

    @numba.guvectorize(["(float64[:], float64[:], float64[:])"], "(n),(n)->()", fastmath=False)
    def summed(x: Any, t: Any, out: Any) -> None:
        out[0] = 0.0
        for i in range(x.size):
            out[0] += fs.ufuncs.bce_with_logits(x[i], t[i])

    expected = np.zeros(3)
    for column in ufuncs.bce_with_logits(x, t).T:
        expected += column
    assert same(summed(x, t), expected)


def test_prange() -> None:
    x = np.linspace(-800, 800, 10_001)

    @numba.njit(parallel=True, fastmath=True)
    def on_all_threads(x: Any) -> Any:
        out = np.empty_like(x)
        for i in numba.prange(x.size):
            out[i] = fs.softplus(x[i])
        return out

    assert same(on_all_threads(x), ufuncs.softplus(x))


# ---- ready functions of @vectorize ----


def ready(name: str) -> Any:
    import fastsig.interop.numba as ours

    return getattr(ours, name)


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
@pytest.mark.parametrize("dtype", ["float32", pytest.param("float64", marks=pytest.mark.slow)])
def test_a_ready_function_has_the_bits_of_the_ufunc_outside_and_inside(op: Op, dtype: str) -> None:
    function = ready(op.name)
    given = samples(op, dtype)
    with np.errstate(all="ignore"):
        expected = getattr(ufuncs, op.name)(*given)
    assert same(function(*given), expected)
    names = {"function": function}
    exec(f"def call({', '.join(op.inputs)}, out): function({', '.join(op.inputs)}, out=out)", names)
    out = np.empty_like(given[0])
    numba.njit(fastmath=True)(names["call"])(*given, out)
    assert same(out, expected)


def test_a_ready_function_is_one_of_vectorize() -> None:
    from numba.np.ufunc.dufunc import DUFunc

    function = ready("bce_with_logits")
    assert isinstance(function, DUFunc)
    assert (function.__name__, function.__module__, function.nin, function.nout) == ("bce_with_logits", "fastsig.interop.numba", 2, 1)
    assert function.types == ["ee->e", "ff->f", "dd->d"]
    assert pickle.loads(pickle.dumps(function)) is function
    with pytest.raises(RuntimeError, match="compilation disabled"):
        function.add("int64(int64, int64)")


@pytest.mark.parametrize("dtype", ["?", "i1", "u2", "i4", "i8", "f2"])
def test_a_ready_function_converts_as_the_ufunc(dtype: str) -> None:
    x = np.arange(-9, 9).astype(dtype)
    assert same(ready("sigmoid")(x), ufuncs.sigmoid(x))


def test_a_ready_function_takes_what_a_ufunc_takes() -> None:
    """Numba's own refuse where=, and their reduce, accumulate, outer and at are those of a ufunc too."""
    x, t = np.linspace(-9, 9, 12).reshape(3, 4), np.linspace(0, 1, 4)
    function, outside = ready("bce_with_logits"), ufuncs.bce_with_logits
    assert same(function(x, t), outside(x, t))
    outs = [np.full((3, 4), 7, np.float32) for _ in range(2)]
    for each, out in zip((function, outside), outs, strict=True):
        assert each(x, t, out=out, where=x > 0, casting="same_kind") is out
    assert same(*outs)
    assert same(function.reduce(x, axis=1), outside.reduce(x, axis=1))
    assert same(function.accumulate(x), outside.accumulate(x))
    assert same(function.outer(t, t), outside.outer(t, t))
    ones = [np.ones(4), np.ones(4)]
    for each, one in zip((ready("sigmoid"), ufuncs.sigmoid), ones, strict=True):
        each.at(one, [0, 2, 2])
    assert same(*ones)
    with pytest.raises(TypeError, match="not supported for the input types"):
        function(1j, 0.0)


def test_a_ready_function_in_guvectorize_and_vectorize() -> None:
    sigmoid, logit = ready("sigmoid"), ready("logit")
    x = np.linspace(-50, 30, 60).reshape(3, 20)

    @numba.guvectorize(["(float64[:], float64[:])"], "(n)->(n)")
    def rows(x: Any, out: Any) -> None:
        for i in range(x.size):
            out[i] = sigmoid(x[i])

    @numba.vectorize(["float64(float64)"], fastmath=True)
    def there_and_back(x: float) -> Any:
        return logit(sigmoid(x))

    assert same(rows(x), ufuncs.sigmoid(x))
    with np.errstate(all="ignore"):
        assert same(there_and_back(x), ufuncs.logit(ufuncs.sigmoid(x)))


def test_a_ready_function_first_named_in_the_midst_of_a_fastmath_function(tmp_path: Path) -> None:
    """And called from Python afterwards, when its loops are compiled, in an empty cache."""
    code = """
import hashlib, numba, numpy as np
import fastsig.interop.numba as ours

@numba.njit(fastmath=True)
def inside(x):
    return ours.sigmoid(x)

x = np.random.default_rng(0).normal(0, 5, 4096).astype("f4")
print(*(hashlib.sha256(function(x).tobytes()).hexdigest() for function in (inside, ours.sigmoid)))
"""
    x = np.random.default_rng(0).normal(0, 5, 4096).astype("f4")
    expected = hashlib.sha256(ufuncs.sigmoid(x).tobytes()).hexdigest()
    assert printed(code, NUMBA_CACHE_DIR=str(tmp_path)).split() == [expected, expected]


def test_nothing_is_loaded_or_compiled_before_a_ready_function_is_asked_for() -> None:
    code = """
import sys
import fastsig.interop.numba as ours
listed = dir(ours)
print(all(name in listed for name in ours.__all__), len(ours.__all__), "numba" in sys.modules)
from fastsig.interop.numba import sigmoid
from fastsig.dispatch.availability import loaded_by_numba
print(loaded_by_numba("sigmoid"), sigmoid(0.0), loaded_by_numba("sigmoid"))
"""
    assert printed(code).splitlines() == [f"True {len(OPS)} False", "None 0.5 <ufunc 'sigmoid'>"]


def test_an_operation_that_is_not_there_is_named() -> None:
    import fastsig.interop.numba as ours

    with pytest.raises(AttributeError, match="'fastsig.interop.numba' has no attribute 'relu'; the operations are sigmoid, "):
        ours.relu  # noqa: B018


def test_without_numba_an_import_error_says_what_to_install() -> None:
    code = "sys.modules['numba'] = None\nfrom fastsig.interop.numba import sigmoid"
    assert error_of(f"import sys\n{code}") == "ImportError: fastsig.interop.numba.sigmoid: numba is not installed (pip install numba)"


def test_without_numba_cuda_an_import_error_names_the_extra() -> None:
    said = error_of("import sys\nsys.modules['numba_cuda'] = None\nfrom fastsig.interop.numba import device")
    assert said.startswith("ImportError: fastsig.interop.numba.device needs numba-cuda: pip install 'fastsig-kernels[cuda13]'")


def test_where_numba_compiles_nothing_a_ready_function_still_computes() -> None:
    """A user's program that is debugged under NUMBA_DISABLE_JIT."""
    assert printed("from fastsig.interop.numba import sigmoid; print(sigmoid(0.0))", NUMBA_DISABLE_JIT="1") == "0.5"


# ---- out ----


@numba.njit
def into(x: Any, out: Any) -> Any:
    return fs.sigmoid(x, out=out)


def test_out_is_written_and_returned() -> None:
    x = np.linspace(-9, 9, 12).reshape(3, 4)
    out = np.full((3, 4), np.nan)
    assert into(x, out) is not None
    assert same(out, ufuncs.sigmoid(x))
    row = np.full((3, 4), np.nan)
    into(x[0], row)
    assert same(row, np.broadcast_to(ufuncs.sigmoid(x[0]), (3, 4))), "x is broadcast to out"


def test_an_out_of_another_shape_is_refused_and_left() -> None:
    out = np.full(3, 7.0)
    with pytest.raises(ValueError, match="sigmoid: out has another shape than the result"):
        into(np.zeros(4), out)
    assert same(out, np.full(3, 7.0))


# ---- what is refused, while compiling ----


def refusal(code: str, *arguments: Any) -> str:
    names = {"fs": fs}
    parameters = ", ".join("xtu"[: len(arguments)])
    with pytest.raises(numba.TypingError) as caught:
        numba.njit(eval(f"lambda {parameters}: {code}", names))(*arguments)
    return str(caught.value)


ONES = np.ones(4)


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("bce", ("fastsig.ufuncs.bce,",)),
        ("bce_with_logits", ("fastsig.ufuncs.bce_with_logits,",)),
        ("bce_with_logits_value_and_grad", ("fastsig.ufuncs.bce_with_logits ", "fastsig.ufuncs.bce_with_logits_grad,")),
        ("bce_with_logits_grad_hess", ("fastsig.ufuncs.bce_with_logits_grad ", "fastsig.ufuncs.sigmoid_grad,")),
        ("glu", ("fastsig.glu cannot be called in compiled code", *BY_NAME)),
        ("sigmoid_focal_loss", ("fastsig.sigmoid_focal_loss cannot be called in compiled code",)),
    ],
)
def test_a_function_of_whole_arrays_names_what_there_is(name: str, instead: tuple[str, ...]) -> None:
    said = refusal(f"fs.{name}(x, t)", ONES, ONES)
    assert all(part in said for part in instead), said


@pytest.mark.parametrize(
    ("code", "arguments", "why"),
    [
        ("fs.sigmoid(x, backend='c')", (ONES,), "there is no backend=, only x by position, and out"),
        ("fs.sigmoid()", (), "takes x and may be given out; got 0 by position"),
        ("fs.sigmoid(x, t, out=u)", (ONES, ONES, ONES), "got 2 by position and out="),
        ("fs.sigmoid(x)", (ONES.astype(np.float16),), "x is float16"),
        ("fs.sigmoid(x)", (ONES.astype(complex),), "x must be real numbers"),
        ("fs.sigmoid(x)", ("text",), "x must be real numbers"),
        ("fs.ufuncs.bce(x, t)", (ONES, ONES.astype(complex)), "t must be real numbers"),
        ("fs.sigmoid(x, out=t)", (ONES, 1.0), "out must be an array"),
        ("fs.sigmoid(x, out=t)", (np.ones((2, 2)), ONES), "out has 1 dimensions, and the result 2"),
    ],
)
def test_bad_input_is_named(code: str, arguments: tuple[Any, ...], why: str) -> None:
    assert why in refusal(code, *arguments)


# ---- how Numba comes to know it ----


def test_the_distribution_has_the_entry_point() -> None:
    found = {point.name: point.value for point in importlib.metadata.entry_points(group="numba_extensions")}
    assert "_fastsig_numba:init" in found.values()


def test_fastsig_imports_no_numba_and_numba_no_fastsig() -> None:
    assert printed("import sys, fastsig; print('numba' in sys.modules)") == "False"
    code = "import sys, numba; print(numba.njit(lambda x: x + 1)(1), 'fastsig' in sys.modules, '_fastsig_numba' in sys.modules)"
    assert printed(code) == "2 False True"


def test_a_broken_fastsig_harms_nobody_else(tmp_path: Path) -> None:
    """Warnings are errors there, and Numba warns of an entry point that raises."""
    (tmp_path / "fastsig").mkdir()
    (tmp_path / "fastsig" / "__init__.py").write_text("raise RuntimeError('broken')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import numba; print(numba.njit(lambda x: x + 1)(1))"
    assert printed(code) == "2"


def test_another_numba_is_let_be(tmp_path: Path) -> None:
    (tmp_path / "numba.py").write_text("raise KeyError('llvm')")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import _fastsig_numba; _fastsig_numba.init(); print('fine')"
    assert printed(code) == "fine"


def test_functions_of_others_need_nothing_of_ours() -> None:
    """Their names may be ours, as that of np.tanh is, and the formulas of our own kernels are no functions of the public."""
    code = """
import sys, numba, numpy as np, fastsig as fs
fs.ufuncs.tanh, fs.ufuncs.logit
sys.modules["fastsig.interop.numba.functions"] = None
print(numba.njit(lambda x: np.tanh(x))(0.0), fs.logit(0.5, backend="numba"))
"""
    assert printed(code) == "0.0 0.0"


def test_what_cannot_be_compiled_says_why() -> None:
    code = """
import sys, numba, fastsig as fs
sys.modules["fastsig.interop.numba.functions"] = None
try:
    numba.njit(lambda x: fs.sigmoid(x))(1.0)
except numba.TypingError as error:
    print(error)
"""
    said = printed(code)
    assert f"the functions of fastsig cannot be compiled by Numba {numba.__version__}" in said


def test_where_numba_is_the_only_backend(tmp_path: Path) -> None:
    """Naming the ufunc compiles it, in the midst of a function with flags of its own."""
    code = """
import sys
sys.modules["fastsig._c"] = None
import hashlib, numba, numpy as np, fastsig as fs

@numba.njit(fastmath=True)
def inside(x):
    return fs.ufuncs.sigmoid(x)

x = np.random.default_rng(0).normal(0, 5, 4096).astype("f4")
print(*(hashlib.sha256(function(x).tobytes()).hexdigest() for function in (inside, fs.ufuncs.sigmoid)))
"""
    x = np.random.default_rng(0).normal(0, 5, 4096).astype("f4")
    expected = hashlib.sha256(ufuncs.sigmoid(x).tobytes()).hexdigest()
    assert printed(code, NUMBA_CACHE_DIR=str(tmp_path)).split() == [expected, expected]


# ---- cache=True ----

USER = """
import numba
import fastsig as fs

@numba.njit(cache=True, fastmath=True)
def doubled(x):
    return 2 * fs.sigmoid(x)

@numba.guvectorize(["(float64[:], float64[:])"], "(n)->(n)", cache=True)
def rows(x, out):
    for i in range(x.size):
        out[i] = fs.sigmoid(x[i])
"""

RUN = """
import sys
sys.path.insert(0, {folder!r})
import fastsig.kernels.stamp
fastsig.kernels.stamp.source_stamp = lambda: {source!r}
import numpy as np, fastsig, user
x = np.linspace(-750, 750, 50)
assert user.doubled(x).tobytes() == (2 * fastsig.ufuncs.sigmoid(x)).tobytes()
assert user.rows(x).tobytes() == fastsig.ufuncs.sigmoid(x).tobytes()
print(sum(user.doubled.stats.cache_hits.values()), "fastsig.interop.numba.functions" in sys.modules)
"""


def test_code_is_kept_and_compiled_again_from_another_source(tmp_path: Path) -> None:
    (tmp_path / "user.py").write_text(USER)
    kept = {"NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    said = [printed(RUN.format(folder=str(tmp_path), source=source), **kept) for source in ("a", "a", "b")]
    assert said == ["0 True", "1 False", "0 True"]


def test_the_test_process_was_told_by_numba_itself() -> None:
    """No test here calls init: compiling a function does, be it one without fastsig."""
    assert numba.njit(lambda x: x + 1)(1) == 2
    assert sys.modules["_fastsig_numba"]._asked
