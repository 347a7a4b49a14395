"""fastsig in kernels that a user compiles with ``@cuda.jit``: audited in PTX, and run on the CPU, with the bits of fs.ufuncs."""

from __future__ import annotations

import pickle
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from cuda_here import DIALECTS, inputs_of, need_compiler, of_host, same_but_nan, storage
from processes import printed

import fastsig as fs
from fastsig.ops import BY_NAME, OPS, Op

pytestmark = need_compiler
pytest.importorskip("ml_dtypes")
REALS = ("f16", "bf16", "f32", "f64")
WORDS = ("b1", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", *REALS)


def type_of(word: str) -> Any:
    """The type of such an element in Numba."""
    from numba.cuda import types

    names = {"f16": "float16", "bf16": "bfloat16", "f32": "float32", "f64": "float64", "b1": "boolean"}
    return getattr(types, names.get(word) or f"{'u' * (word[0] == 'u')}int{8 * int(word[1])}")


def kernel_of(op: Op, function: Any) -> Any:
    """A kernel of the inputs and out, with the function for a global, as a user would write it."""
    from numba import cuda

    names = {"cuda": cuda, "function": function}
    inputs = ", ".join(op.inputs)
    elements = ", ".join(f"{name}[i]" for name in op.inputs)
    exec(f"def kernel({inputs}, out):\n i = cuda.grid(1)\n if i < out.size:\n  out[i] = function({elements})", names)
    return names["kernel"]


def ptx_of(kernel: Any, *words: str, capability: tuple[int, int] = (9, 0), fastmath: bool = True) -> str:
    from numba import cuda
    from numba.cuda import types

    arrays = tuple(types.Array(type_of(word), 1, "C") for word in words)
    return str(cuda.compile_ptx(kernel, arrays, cc=capability, fastmath=fastmath)[0])


def named(ptx: str, name: str) -> str:
    mangled = re.search(r"\.visible \.entry (\w+)\(", ptx)
    assert mangled is not None
    return ptx.replace(mangled[1], name)


def array_arguments(array: np.ndarray[Any, Any]) -> tuple[int, ...]:
    """As Numba passes an array: two addresses of owners, its size, bytes of an element, where it is, shape and strides."""
    return 0, 0, array.size, array.itemsize, array.ctypes.data, array.size, array.itemsize


def run(library: Any, name: str, *arrays: np.ndarray[Any, Any]) -> None:
    import ptx_in_c

    blocks = -(-arrays[-1].size // 128)
    ptx_in_c.launch(library, name, blocks, 128, *(word for array in arrays for word in array_arguments(array)))


@pytest.fixture(scope="module", params=DIALECTS, ids=lambda c: "sm_{}{}".format(*c))
def kernels(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], Any]:
    """Of every operation and type, under fastmath: in PTX, and as a library for the CPU."""
    import ptx_in_c

    from fastsig.interop.numba import device

    texts = {}
    for op in OPS:
        for word in REALS:
            kernel = kernel_of(op, getattr(device, op.name))
            name = f"{op.name}_{word}"
            texts[name] = named(ptx_of(kernel, *[word] * (op.nin + 1), capability=request.param), name)
    return texts, ptx_in_c.build(texts, tmp_path_factory.mktemp("device"))


@pytest.mark.parametrize("word", REALS)
@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_bits_under_fastmath(op: Op, word: str, kernels: tuple[dict[str, str], Any]) -> None:
    inputs = inputs_of(op, word)
    out = np.zeros_like(inputs[0])
    run(kernels[1], f"{op.name}_{word}", *inputs, out)
    assert same_but_nan(out, of_host(op.name, *inputs))


def test_no_instruction_takes_the_flags_of_the_kernel(kernels: tuple[dict[str, str], Any]) -> None:
    """No float32 instruction flushes subnormal numbers but the reciprocal that is refined, none approximates, none is a contraction."""
    from ptx_audit import forbidden

    texts = kernels[0]
    assert len(texts) == len(OPS) * len(REALS)
    assert not {name: found for name, text in texts.items() if (found := forbidden(text))}
    flushing = {found for text in texts.values() for found in re.findall(r"\b[a-z]\w*[\w.]*\.ftz[\w.]*", text)}
    assert flushing <= {"rcp.approx.ftz.f32"}


def test_fastmath_is_at_work_around_it() -> None:
    """Otherwise nothing is shown: the user's own division and comparison change."""
    from fastsig.interop.numba import device

    def kernel(x, out):  # type: ignore[no-untyped-def]
        out[0] = device.sigmoid(x[0] / x[1]) if x[0] > x[1] else x[2]

    assert device is not None
    plain, fast = (ptx_of(kernel, "f32", "f32", fastmath=fastmath) for fastmath in (False, True))
    assert "div.approx.ftz.f32" in fast
    assert "ftz" not in plain
    assert "div.rn.f32" in plain


@pytest.mark.parametrize("fastmath", [False, True])
def test_a_number_of_any_type(fastmath: bool, tmp_path: Any) -> None:
    """Small integers are float32, as in code compiled for the CPU, larger ones float64; the result is what that type gives."""
    import ptx_in_c

    from fastsig.interop.numba import device

    wanted = {word: word if word in REALS else "f32" if int(word[1]) < 4 else "f64" for word in WORDS}
    kernel = kernel_of(BY_NAME["sigmoid"], device.sigmoid)
    library = ptx_in_c.build(
        {word: named(ptx_of(kernel, word, wanted[word], fastmath=fastmath), f"sigmoid_of_{word}") for word in WORDS}, tmp_path
    )
    for word, real in wanted.items():
        x = np.arange(-70, 70).astype(storage(word)) if word != "b1" else np.arange(140) % 3 == 0
        out = np.zeros(x.shape, storage(real))
        run(library, f"sigmoid_of_{word}", x, out)
        assert same_but_nan(out, of_host("sigmoid", x.astype(out.dtype))), word


@pytest.mark.parametrize(
    ("x", "t", "result"),
    [
        ("f32", "f64", "f64"),
        ("f32", "b1", "f32"),
        ("f16", "bf16", "f32"),
        ("f16", "f32", "f32"),
        ("f16", "f64", "f64"),
        ("i4", "f32", "f64"),
    ],
)
def test_two_inputs_of_different_types(x: str, t: str, result: str, tmp_path: Any) -> None:
    """Subnormal float32 numbers reach float64 as they are, under fastmath too."""
    import ptx_in_c

    from fastsig.interop.numba import device

    op = BY_NAME["bce_with_logits_grad"]
    ptx = named(ptx_of(kernel_of(op, device.bce_with_logits_grad), x, t, result), "mixed")
    numbers = [*range(-20, 20), *(0 if x == "i4" else 2.0**-e for e in (20, 130, 140, 149))]
    with np.errstate(all="ignore"):
        logits = np.array(numbers).astype(storage(x))
    targets = (np.arange(logits.size) % 2).astype(storage(t))
    out = np.zeros(logits.shape, storage(result))
    run(ptx_in_c.build({"mixed": ptx}, tmp_path), "mixed", logits, targets, out)
    assert same_but_nan(out, of_host(op.name, logits.astype(out.dtype), targets.astype(out.dtype)))


# ---- cache=True ----


def kept(kernel: Any) -> bytes:
    """What Numba writes of a compiled kernel, whose making needs a GPU: the rest of it stands in here."""
    from numba.cuda.compiler import compile_cuda
    from numba.cuda.dispatcher import CUDACacheImpl
    from numba.cuda.types import Array, float32, void

    compiled = compile_cuda(kernel, void, (Array(float32, 1, "C"),) * 2, cc=(9, 0))
    standing_in = SimpleNamespace(library=compiled.library, _reduce_states=lambda: {"extensions": [], "name": "kernel"})
    return pickle.dumps(CUDACacheImpl.reduce(None, standing_in))


def test_a_kernel_is_kept_and_compiled_again_from_another_source(monkeypatch: pytest.MonkeyPatch) -> None:
    """An OSError is a miss to Numba."""
    from fastsig.interop.numba import cached_code, device

    def without(x, out):  # type: ignore[no-untyped-def]
        out[0] = x[0]

    ours, theirs = kept(kernel_of(BY_NAME["sigmoid"], device.sigmoid)), kept(without)
    assert pickle.loads(ours) == {"extensions": (), "name": "kernel"}
    monkeypatch.setattr(cached_code, "stamp", lambda: "another")
    with pytest.raises(OSError, match="another source of fastsig"):
        pickle.loads(ours)
    assert pickle.loads(theirs) == {"extensions": [], "name": "kernel"}


# ---- fastsig's own names, which the entry point tells numba-cuda of: compile_ptx does not ask it, @cuda.jit does ----


@pytest.fixture
def asked() -> None:
    from numba.cuda.core import entrypoints

    entrypoints.init_all()


WITHOUT_IMPORT = """
import warnings
warnings.simplefilter("ignore")  # numba-cuda's own
from numba import cuda, types
from numba.cuda.core import entrypoints
import fastsig as fs
entrypoints.init_all()

def kernel(x, out):
    i = cuda.grid(1)
    if i < x.size:
        out[i] = fs.{spelling}(x[i]{more})

arrays = (types.Array(types.float32, 1, "C"),) * 2
"""


@pytest.mark.parametrize(
    ("spelling", "more", "name"),
    [("sigmoid", "", "sigmoid"), ("ufuncs.tanh_grad", "", "tanh_grad"), ("ufuncs.bce", ", x[i]", "bce")],
)
def test_fastsigs_own_names_are_the_device_functions(spelling: str, more: str, name: str) -> None:
    code = WITHOUT_IMPORT.format(spelling=spelling, more=more)
    said = printed(code + "print(cuda.compile_ptx(kernel, arrays, cc=(9, 0), fastmath=True)[0])")
    other = code.replace("import fastsig as fs", "from fastsig.interop.numba import device as fs").replace(f"fs.{spelling}", f"fs.{name}")
    assert said.count(".visible .entry") == 1
    assert said == printed(other + "print(cuda.compile_ptx(kernel, arrays, cc=(9, 0), fastmath=True)[0])")


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("fs.bce_with_logits(x[0], x[1])", "in compiled code call fastsig.ufuncs.bce_with_logits, which gives the elements"),
        ("fs.lstm_cell(x[0], x[1])", "fastsig.lstm_cell cannot be called in compiled code"),
        ("fs.sigmoid(x)", "sigmoid: x is an array; in a kernel of @cuda.jit call it on one element, x[i]"),
        ("fs.sigmoid(1j)", "sigmoid: x must be a real number (float16, bfloat16, float32, float64, an integer"),
        ("fs.ufuncs.bce(x[0])", "bce: in a kernel of @cuda.jit it takes p, t by position and nothing else; got 1 by position"),
        ("fs.sigmoid(x[0], backend=x[0])", "it takes x by position and nothing else; got 1 by position and backend="),
    ],
)
@pytest.mark.usefixtures("asked")
def test_bad_input_is_named(code: str, why: str) -> None:
    import numba

    names = {"fs": fs}
    exec(f"def kernel(x, out): out[0] = {code}", names)
    with pytest.raises(numba.TypingError, match=re.escape(why)):
        ptx_of(names["kernel"], "f32", "f32")


def test_outside_of_a_kernel_the_device_functions_name_what_to_call() -> None:
    from fastsig.interop.numba import device

    assert set(device.__all__) == set(BY_NAME)
    assert set(device.__all__) <= set(dir(device))
    with pytest.raises(TypeError, match="device.sigmoid is for kernels of @cuda.jit; outside of them call fastsig.ufuncs.sigmoid"):
        device.sigmoid(1.0)
    with pytest.raises(AttributeError, match="has no attribute 'relu'; the operations are sigmoid, "):
        device.relu  # noqa: B018


SIMULATED = """
import warnings
warnings.simplefilter("ignore")
import numpy as np
from numba import cuda
from fastsig.interop.numba import device

@cuda.jit
def kernel(x, out):
    i = cuda.grid(1)
    if i < x.size:
        out[i] = device.sigmoid(x[i])

x, out = np.linspace(-9, 9, 5), np.zeros(5)
kernel[1, 8](x, out)
print(out.tobytes().hex())
"""


def test_in_numbas_simulator() -> None:
    assert printed(SIMULATED, NUMBA_ENABLE_CUDASIM="1") == fs.ufuncs.sigmoid(np.linspace(-9, 9, 5)).tobytes().hex()


def test_jit_asks_the_entry_point() -> None:
    """By what Numba calls ahead of any compiling."""
    code = WITHOUT_IMPORT.format(spelling="sigmoid", more="").replace("entrypoints.init_all()", "")
    said = printed(code + "cuda.jit(kernel)._compilation_chain_init_hook(); print(cuda.compile_ptx(kernel, arrays, cc=(9, 0))[0])")
    assert said.count(".visible .entry") == 1
