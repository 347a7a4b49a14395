"""Who serves a call: the choice as a truth table, what the user names, devices, and what explain() says of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from processes import error_of, printed
from reference import assert_same_bits

import fastsig as fs
from fastsig.arrays.devices import common_device, device_of
from fastsig.dispatch.choice import Alone, Served, route
from fastsig.dispatch.thresholds import ELEMENTS, HAND_OVER, LOSS_ELEMENTS, UNARY, Thresholds
from fastsig.system.cpu import available_cpus
from fastsig.system.num_threads import Worker

F32, F64 = np.dtype(np.float32), np.dtype(np.float64)
MANY, MANY64 = ELEMENTS["float32"], ELEMENTS["float64"]

ROUTE: dict[str, Any] = {
    "op": "sigmoid", "device": "cpu", "dtype": "float32", "size": 10, "shareable": True, "backend": None, "limit": 8,
    "in_worker": Worker.NO, "thresholds": Thresholds(), "available": {"c", "numba", "cuda"},
}  # fmt: skip
"""A call, of which each row below changes something."""
LOSS = "bce_with_logits_value_and_grad"
TUNED = Thresholds(parallel={"sigmoid": {"float32": 20_000}}, numba={"sigmoid": {"float32": 1000}})

# what differs from ROUTE -> backend, threads, why this backend, why one thread; None: refused
TRUTH: list[tuple[dict[str, Any], tuple[str, int, Served, Alone] | None]] = [
    ({"size": 0, "available": {"c"}}, ("c", 1, Served.NO_COMPILING, Alone.SMALL)),
    ({}, ("c", 1, Served.NO_COMPILING, Alone.SMALL)),
    ({"available": {"numba", "cuda"}}, ("numba", 1, Served.NO_C_LIBRARY, Alone.SMALL)),
    ({"size": MANY - 1}, ("c", 1, Served.NO_COMPILING, Alone.SMALL)),
    ({"size": MANY}, ("c", 2, Served.NO_COMPILING, Alone.NO)),
    ({"size": 4 * MANY}, ("c", 8, Served.NO_COMPILING, Alone.NO)),
    ({"size": 4 * MANY, "available": {"numba"}}, ("numba", 8, Served.NO_C_LIBRARY, Alone.NO)),
    ({"size": HAND_OVER * MANY - 1, "available": {"numba"}, "pool": False}, ("numba", 1, Served.NO_C_LIBRARY, Alone.SMALL)),
    ({"size": HAND_OVER * MANY, "available": {"numba"}, "pool": False}, ("numba", 2, Served.NO_C_LIBRARY, Alone.NO)),
    ({"size": MANY, "available": {"numba"}, "pool": False, "asked": True}, ("numba", 2, Served.NO_C_LIBRARY, Alone.NO)),
    ({"size": MANY64 - 1, "dtype": "float64"}, ("c", 1, Served.NO_COMPILING, Alone.SMALL)),
    ({"size": MANY64, "dtype": "float64"}, ("c", 2, Served.NO_COMPILING, Alone.NO)),
    ({"size": 100 * MANY, "limit": 1}, ("c", 1, Served.NO_COMPILING, Alone.LIMIT)),
    ({"size": 2 * MANY, "limit": 3}, ("c", 3, Served.NO_COMPILING, Alone.NO)),
    ({"size": 100 * MANY, "limit": 1, "in_worker": Worker.THREAD}, ("c", 1, Served.NO_COMPILING, Alone.WORKER_THREAD)),
    ({"size": 100 * MANY, "limit": 1, "in_worker": Worker.PROCESS}, ("c", 1, Served.NO_COMPILING, Alone.WORKER_PROCESS)),
    ({"size": 100 * MANY, "limit": 4, "in_worker": Worker.THREAD, "asked": True}, ("c", 4, Served.NO_COMPILING, Alone.NO)),
    ({"size": 100 * MANY, "shareable": False}, ("c", 1, Served.NO_COMPILING, Alone.LAYOUT)),
    ({"size": 100 * MANY, "shareable": False, "op": "bce_grad"}, ("c", 1, Served.NO_COMPILING, Alone.UFUNC)),
    ({"size": 20_000, "thresholds": TUNED}, ("c", 2, Served.NO_COMPILING, Alone.NO)),
    ({"size": 999, "thresholds": TUNED, "loaded": True}, ("c", 1, Served.NO_COMPILING, Alone.SMALL)),
    ({"size": 1000, "thresholds": TUNED, "loaded": True}, ("numba", 1, Served.MEASURED_FASTER, Alone.SMALL)),
    ({"size": 20_000, "thresholds": TUNED, "loaded": True}, ("numba", 2, Served.MEASURED_FASTER, Alone.NO)),
    ({"size": 1000, "thresholds": TUNED, "loaded": True, "backend": "c"}, ("c", 1, Served.NAMED, Alone.SMALL)),
    ({"size": MANY, "backend": "numba"}, ("numba", 2, Served.NAMED, Alone.NO)),
    ({"op": LOSS, "size": LOSS_ELEMENTS - 1, "dtype": "float64"}, ("c", 1, Served.NO_COMPILING, Alone.SMALL)),
    ({"op": LOSS, "size": LOSS_ELEMENTS, "dtype": "float64"}, ("c", 2, Served.NO_COMPILING, Alone.NO)),
    ({"op": LOSS, "size": LOSS_ELEMENTS, "backend": "numba"}, ("numba", 1, Served.NAMED, Alone.SMALL)),
    ({"op": LOSS, "size": LOSS_ELEMENTS, "backend": "numba", "asked": True}, ("numba", 2, Served.NAMED, Alone.NO)),
    ({"op": LOSS, "size": HAND_OVER * LOSS_ELEMENTS, "backend": "numba"}, ("numba", 2, Served.NAMED, Alone.NO)),
    ({"available": {"cuda"}}, None),
    ({"available": set()}, None),
    ({"device": "cuda"}, ("cuda", 1, Served.ON_GPU, Alone.NO)),
    ({"device": "cuda:1", "size": MANY, "available": {"cuda"}}, ("cuda", 1, Served.ON_GPU, Alone.NO)),
    ({"device": "cuda:0", "available": {"c", "numba"}}, None),
    ({"device": "mps"}, None),
    ({"device": "xpu:0"}, None),
]


@pytest.mark.parametrize(("differing", "want"), TRUTH)
def test_route(differing: dict[str, Any], want: tuple[str, int, Served, Alone] | None) -> None:
    call = ROUTE | differing
    if want is None:
        with pytest.raises(RuntimeError):
            route(**call)
        return
    for order in (sorted(call["available"]), sorted(call["available"], reverse=True)):
        how = route(**(call | {"available": order}))
        assert (how.backend, how.threads, how.reason.served, how.reason.alone) == want


@pytest.mark.parametrize("thresholds", [Thresholds(), TUNED, Thresholds(numba={"silu": {"float64": 7}})], ids=["built in", "tuned", "one"])
def test_fast_calls_hold_what_the_route_says(thresholds: Thresholds) -> None:
    """Below the sizes that the fast calls are given every route is the C library on one thread; from there on some are not."""
    for dtype, size in thresholds.fast_call_sizes().items():
        calls = [ROUTE | {"op": op, "dtype": dtype, "thresholds": thresholds, "loaded": True} for op in UNARY]
        below = {route(**(call | {"size": size - 1}))[:2] for call in calls}
        there = {route(**(call | {"size": size}))[:2] for call in calls}
        assert below == {("c", 1)}, dtype
        assert there != {("c", 1)}, dtype


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


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5", "²", "٣", "4,2", pytest.param("9" * 5000, id="5000 digits")])
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


@pytest.mark.parametrize(("text", "count"), [("3", 3), ("3,2", 3), (" 4 , 2", 4), ("007", 7)])
def test_the_threads_of_openmp_are_obeyed(text: str, count: int, pytestconfig: pytest.Config) -> None:
    """Of a list the first number, which is for the outermost level; ours comes before it."""
    code = "import numpy as np, fastsig as fs; print(fs.get_num_threads(), fs.explain(np.ones(1 << 22)))"
    said = printed(code, pytestconfig, OMP_NUM_THREADS=text)
    assert said.startswith(f"{count} sigmoid: ")
    assert f" {count} threads" in said
    assert printed(code, pytestconfig, OMP_NUM_THREADS=text, FASTSIG_NUM_THREADS="2").startswith("2 ")


@pytest.mark.parametrize("text", ["", "0", "-1", "two", "1.5", "²", ",", ",2", pytest.param("9" * 5000, id="5000 digits")])
def test_what_openmp_would_refuse_is_not_ours_to_say(text: str, pytestconfig: pytest.Config) -> None:
    code = "import numpy as np, fastsig as fs; fs.sigmoid(np.ones(1 << 20)); print(fs.get_num_threads())"
    assert printed(code, pytestconfig, OMP_NUM_THREADS=text) == str(available_cpus())


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
    assert fs.sigmoid(torch.ones(3, device="meta")).device.type == "meta"
