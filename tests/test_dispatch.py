"""Who serves a call: the choice as a truth table, what the user names, devices, and what explain() says of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from processes import error_of, printed
from reference import assert_same_bits

import fastsig as fs
from fastsig.arrays import common_device, device_of
from fastsig.dispatch import choose
from fastsig.thresholds import ELEMENTS

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
MANY, MANY64 = ELEMENTS["float32"], ELEMENTS["float64"]

# device, size, dtype, available, most threads -> backend, threads; None: refused
TRUTH = [
    ("cpu", 0, F32, {"c"}, 8, ("c", 1)),
    ("cpu", 10, F32, {"c", "numba", "cuda"}, 8, ("c", 1)),
    ("cpu", 10, F32, {"numba"}, 8, ("numba", 1)),
    ("cpu", 10, F32, {"numba", "cuda"}, 8, ("numba", 1)),
    ("cpu", MANY - 1, F32, {"c", "numba"}, 8, ("c", 1)),
    ("cpu", MANY, F32, {"c", "numba"}, 8, ("c", 2)),
    ("cpu", 4 * MANY, F32, {"c", "numba"}, 8, ("c", 8)),
    ("cpu", 4 * MANY, F32, {"numba"}, 8, ("numba", 8)),
    ("cpu", 100 * MANY, F32, {"numba"}, 8, ("numba", 8)),
    ("cpu", MANY64 - 1, F64, {"c"}, 8, ("c", 1)),
    ("cpu", MANY64, F64, {"c"}, 8, ("c", 2)),
    ("cpu", 100 * MANY, F32, {"c"}, 1, ("c", 1)),
    ("cpu", 2 * MANY, F32, {"c"}, 3, ("c", 3)),
    ("cpu", 10, F32, {"cuda"}, 8, None),
    ("cpu", 10, F32, set(), 8, None),
    ("cuda", 10, F32, {"c", "numba", "cuda"}, 8, ("cuda", 1)),
    ("cuda:1", MANY, F64, {"cuda"}, 8, ("cuda", 1)),
    ("cuda:0", 10, F32, {"c", "numba"}, 8, None),
    ("mps", 10, F32, {"c", "numba", "cuda"}, 8, None),
    ("xpu:0", 10, F32, {"c", "numba", "cuda"}, 8, None),
]


@pytest.mark.parametrize(("device", "size", "dtype", "available", "most", "want"), TRUTH)
def test_choose(device: str, size: int, dtype: Any, available: set[str], most: int, want: tuple[str, int] | None) -> None:
    if want is None:
        with pytest.raises(RuntimeError):
            choose(device, size, dtype, available, most)
        return
    for order in (sorted(available), sorted(available, reverse=True)):
        choice = choose(device, size, dtype, order, most)
        assert (choice.backend, choice.threads) == want
        assert choice.why


def test_backends(pytestconfig: pytest.Config) -> None:
    status = fs.backends()
    assert list(status) == ["c", "numba", "cuda"]
    for name in ("c", "numba"):
        hidden = name in pytestconfig.getoption("--hide")
        assert (status[name] == "available") is not hidden, status
    assert all(status.values())


def test_a_named_backend_serves(backend: str) -> None:
    x = np.linspace(-5, 5, 100)
    assert_same_bits(fs.sigmoid(x, backend=backend), fs.sigmoid(x))
    assert fs.explain(x, backend=backend).startswith(f"sigmoid: {backend}")
    assert fs.explain(x, backend=backend).endswith("1 thread: it was named; one thread; thresholds built in")


@pytest.mark.parametrize("name", ["gpu", "C", "", 3])
def test_an_unknown_backend(name: Any) -> None:
    with pytest.raises(ValueError, match=r"backend=.* is unknown; known backends are 'c', 'numba', 'cuda'"):
        fs.sigmoid(np.ones(3), backend=name)
    with pytest.raises(ValueError, match="is unknown"):
        fs.explain(np.ones(3), backend=name)


def test_an_absent_backend_says_why(pytestconfig: pytest.Config) -> None:
    absent = [name for name, status in fs.backends().items() if status != "available"]
    assert set(pytestconfig.getoption("--hide")) <= set(absent)
    for name in absent:
        with pytest.raises(RuntimeError, match=f"^backend='{name}' cannot serve: ."):
            fs.sigmoid(np.ones(3), backend=name)


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", True])
def test_wrong_threads(threads: Any) -> None:
    with pytest.raises(ValueError, match=r"threads=.* must be a positive whole number"):
        fs.sigmoid(np.ones(3), threads=threads)
    with pytest.raises(ValueError, match=r"threads=.* must be a positive whole number"):
        fs.set_num_threads(threads)


# ---- the environment ----

SIGMOID = "import numpy as np, fastsig as fs; print(fs.sigmoid(np.array([-100, 0, 2], 'f')).tobytes().hex(), fs.explain(np.ones(3)))"


def test_environment_names_a_backend(backend: str, pytestconfig: pytest.Config) -> None:
    """Read at import; and with Numba the ufuncs pickle too."""
    code = SIGMOID + "; import pickle; assert pickle.loads(pickle.dumps(fs.ufuncs.bce)) is fs.ufuncs.bce; print('numba' in sys.modules)"
    words = printed(code, pytestconfig, FASTSIG_BACKEND=backend).split()
    assert words[0] == fs.sigmoid(np.array([-100, 0, 2], "f")).tobytes().hex()
    assert words[1:3] == ["sigmoid:", "numba," if backend == "numba" else "c"]
    assert words[-1] == str(backend == "numba" or "numba" in pytestconfig.getoption("--hide"))  # loaded, or hidden by a None


def test_an_empty_environment_variable_names_none(pytestconfig: pytest.Config) -> None:
    assert printed(SIGMOID, pytestconfig, FASTSIG_BACKEND="", FASTSIG_NUM_THREADS="") == printed(SIGMOID, pytestconfig)


@pytest.mark.parametrize("call", ["fs.sigmoid(np.ones(3))", "fs.ufuncs.sigmoid", "fs.explain(np.ones(3))", "fs.silu(1.0)"])
def test_environment_with_a_typo(call: str, pytestconfig: pytest.Config) -> None:
    error = error_of(f"import numpy as np, fastsig as fs; {call}", pytestconfig, FASTSIG_BACKEND="nunba")
    assert error == "ValueError: FASTSIG_BACKEND='nunba' is unknown; known backends are 'c', 'numba', 'cuda'"


def test_environment_names_cuda_where_there_is_none(pytestconfig: pytest.Config) -> None:
    if fs.backends()["cuda"] == "available":
        pytest.skip("this machine has a GPU")
    error = error_of("import numpy as np, fastsig as fs; fs.sigmoid(np.ones(3))", pytestconfig, FASTSIG_BACKEND="cuda")
    assert error.startswith("RuntimeError: FASTSIG_BACKEND='cuda' cannot serve: ")


def test_a_named_backend_comes_before_the_environment(backend: str, pytestconfig: pytest.Config) -> None:
    code = f"import numpy as np, fastsig as fs; print(fs.explain(np.ones(3), backend={backend!r}), fs.sigmoid(0.0, backend={backend!r}))"
    assert printed(code, pytestconfig, FASTSIG_BACKEND="nunba").startswith(f"sigmoid: {backend}")


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_environment_with_wrong_threads(text: str, pytestconfig: pytest.Config) -> None:
    want = f"ValueError: FASTSIG_NUM_THREADS={text!r} must be a positive whole number"
    for call in ("fs.get_num_threads()", "fs.sigmoid(np.ones(1 << 20))", "fs.explain(np.ones(3))"):
        assert error_of(f"import numpy as np, fastsig as fs; {call}", pytestconfig, FASTSIG_NUM_THREADS=text) == want


def test_environment_sets_threads(pytestconfig: pytest.Config) -> None:
    code = "import numpy as np, fastsig as fs; print(fs.get_num_threads(), fs.explain(np.ones(1 << 20)))"
    assert printed(code, pytestconfig, FASTSIG_NUM_THREADS="3").startswith("3 sigmoid: ")
    assert " 3 threads" in printed(code, pytestconfig, FASTSIG_NUM_THREADS="3")
    code = "import fastsig as fs; fs.set_num_threads(2); print(fs.get_num_threads()); fs.set_num_threads(None); print(fs.get_num_threads())"
    assert printed(code, pytestconfig, FASTSIG_NUM_THREADS="3").split() == ["2", "3"]


# ---- explain ----


def test_explain(pytestconfig: pytest.Config) -> None:
    fs.set_num_threads(3)
    server = "numba" if "c" in pytestconfig.getoption("--hide") else "c ("
    assert fs.explain(np.ones(3)).startswith(f"sigmoid: {server}")
    assert "1 thread:" in fs.explain(np.ones(3))
    assert "3 threads:" in fs.explain(np.ones(1 << 20))
    assert "2 threads:" in fs.explain(np.ones(1 << 20), threads=2)
    assert fs.explain([1.0, 2.0], op="bce").startswith("bce: ")
    with pytest.raises(ValueError, match=r"op='sigmoids' is unknown; known operations are sigmoid, .*bce_grad"):
        fs.explain(np.ones(3), op="sigmoids")
    with pytest.raises(ValueError, match="needs the array"):
        fs.explain()


# ---- devices ----


class OnGpu:
    """Looks like a CuPy array."""

    __cuda_array_interface__ = {"shape": (3,), "typestr": "<f4", "data": (1 << 40, False), "version": 3}
    dtype, size, shape = F32, 3, (3,)

    class device:
        id = 1

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        raise AssertionError("a device array was copied to the host without being asked to")


@pytest.mark.parametrize("name", ["sigmoid", "logit", "silu_grad"])
@pytest.mark.parametrize("options", [{}, {"threads": 1}, {"order": "C"}])
def test_a_device_array_without_cuda(name: str, options: dict[str, Any]) -> None:
    """The message names what it is, where it is, why not, and what to do."""
    if fs.backends()["cuda"] == "available":
        pytest.skip("this machine has a GPU")
    with pytest.raises(RuntimeError, match=rf"^{name}: x \(test_dispatch\.OnGpu of float32\) is on cuda:1, and .*x\.get\(\)"):
        getattr(fs, name)(OnGpu(), **options)
    with pytest.raises(RuntimeError, match="cuda:1"):
        fs.explain(OnGpu())


def test_arrays_on_different_devices() -> None:
    for call in (lambda: fs.sigmoid(OnGpu(), out=np.empty(3, "f")), lambda: fs.sigmoid(np.ones(3, "f"), out=OnGpu())):
        with pytest.raises(ValueError, match=r"on one device, but .*(cuda:1.*cpu|cpu.*cuda:1)"):
            call()


def test_device_of() -> None:
    assert device_of(np.ones(3)) == device_of(3) == device_of([1]) == device_of(np.float32(1)) == device_of(object()) == "cpu"
    assert device_of(OnGpu()) == "cuda:1"
    assert common_device(x=np.ones(3), out=None, where=True) == "cpu"
    assert common_device(x=OnGpu(), out=None, where=True) == "cuda:1"
    assert common_device() == "cpu"


def test_device_of_torch() -> None:
    torch = pytest.importorskip("torch")
    assert fs.sigmoid(torch.Size([2, 3])).tolist() == fs.sigmoid([2, 3]).tolist(), "not everything of torch's is a tensor"
    assert device_of(torch.ones(3)) == "cpu"
    assert device_of(torch.ones(3, device="meta")) == "meta"
    with pytest.raises(RuntimeError, match=r"is on meta, and .*x\.cpu\(\)"):
        fs.sigmoid(torch.ones(3, device="meta"))
