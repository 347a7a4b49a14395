"""What fastsig is measured against: one table, a row for each library or way to use it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastsig.measure.cpp_libraries import cpp_calls, why_absent
from fastsig.measure.libraries import (
    Calls,
    from_torch,
    jax_calls,
    numba_calls,
    numexpr_calls,
    numpy_calls,
    onnxruntime_calls,
    scipy_calls,
    torch_calls,
)
from fastsig.ops import OPS

UNARY = tuple(op.name for op in OPS if op.nin == 1)
DTYPES = ("float16", "bfloat16", "float32", "float64")
MODES = ("out", "alloc")
"""Writing to an array made before, and allocating the result."""


@dataclass(frozen=True)
class Peer:
    """A library, or a way to use it. ``make(op, x, out)`` gives its calls, or None where it has no such operation or dtype."""

    name: str
    module: str
    """Of Python; "" for a library of C++, which the name says."""
    make: Callable[[str, Any, Any], Calls | None]
    threads: int = 1
    """0: as many as the library likes."""
    to_numpy: Callable[[Any], Any] = np.asarray
    how: str = ""
    """How the operations are written."""
    needs: tuple[str, ...] = ()
    """Other modules."""
    modes: tuple[str, ...] = MODES
    """Which calls are worth timing."""

    @property
    def missing(self) -> str:
        """Why it cannot be measured here; "" where it can. A library of C++ is compiled at the first question."""
        absent = [name for name in (self.module, *self.needs) if name and importlib.util.find_spec(name) is None]
        return f"{' and '.join(absent)} not installed" if absent else "" if self.module else why_absent(self.name)

    @property
    def installed(self) -> bool:
        return not self.missing

    def prepare(self, op: str, x: Any, out: Any) -> Calls | None:
        """The calls, warmed up; None also where the library would answer in another dtype, for that is another operation."""
        calls = self.make(op, x, out)
        if calls is None:
            return None
        if calls.before:
            calls.before()
        result = self.to_numpy(calls.alloc())
        if calls.out:
            calls.out()
        return calls if result.dtype == x.dtype and result.shape == x.shape else None

    def compute(self, op: str, x: Any) -> Any:
        """The results at x as an array of NumPy's; None where there are no calls."""
        calls = self.prepare(op, x, np.empty_like(x))
        return np.array(self.to_numpy(calls.alloc())) if calls else None


def dtype_of(name: str) -> np.dtype[Any]:
    """The NumPy dtype of a name in DTYPES; bfloat16 needs ml_dtypes."""
    if name != "bfloat16":
        return np.dtype(name)
    import ml_dtypes

    result: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return result


def _fastsig(backend: str | None) -> Callable[[str, Any, Any], Calls | None]:
    def make(op: str, x: Any, out: Any) -> Calls | None:
        import fastsig
        from fastsig.dispatch import availability

        function: Any = getattr(fastsig, op)
        try:
            function(x, backend=backend, threads=1)  # also teaches the ufuncs bfloat16
            if backend:  # the kernel on one thread, without the look-up that naming a backend costs in each call
                function = availability.ufunc_of(backend, op)
            return Calls(lambda: function(x), lambda: function(x, out=out))
        except (TypeError, RuntimeError):  # the backend has no such dtype, or is not available
            return None

    return make


def _cpp(name: str, how: str) -> Peer:
    """The caller of a loop in C++ decides where its results go, so it allocates nothing."""
    return Peer(name, "", cpp_calls(name), how=how, modes=("out",))


PEERS: tuple[Peer, ...] = (
    Peer("fastsig c", "fastsig", _fastsig("c"), how="the ufunc of the C library, one thread"),
    Peer("fastsig numba", "numba", _fastsig("numba"), how="the ufunc of the Numba backend, one thread"),
    Peer("fastsig", "fastsig", _fastsig(None), threads=0, how="fs.sigmoid(x), as many threads as the dispatcher finds worth waking"),
    Peer("numpy", "numpy", numpy_calls, how="1 / (1 + np.exp(-x)), np.logaddexp(0, x); with out= step by step in place"),
    Peer("scipy", "scipy", scipy_calls, how="scipy.special.expit, log_expit, logit"),
    Peer("torch, 1 thread", "torch", torch_calls(1), to_numpy=from_torch, how="its functions; derivatives by the kernels of its autograd"),
    Peer("torch", "torch", torch_calls(0), threads=0, to_numpy=from_torch, how="the same on all threads"),
    Peer("numba vectorize", "numba", numba_calls, how="@vectorize of the formula as one writes it, 1 / (1 + exp(-x))"),
    Peer("numexpr", "numexpr", numexpr_calls(1), how="evaluate of the same text"),
    Peer("numexpr, all threads", "numexpr", numexpr_calls(0), threads=0, how="the same on all threads"),
    Peer("jax", "jax", jax_calls, how="jax.nn's functions under jit, derivatives by vmap(grad); a new result each call"),
    Peer("onnxruntime", "onnxruntime", onnxruntime_calls(1), needs=("onnx",), how="a model of one node, Sigmoid, Softplus or Tanh"),
    Peer("onnxruntime, all threads", "onnxruntime", onnxruntime_calls(0), threads=0, needs=("onnx",), how="the same on all threads"),
    _cpp("eigen", "in C++, array expressions: x.logistic(), x.tanh(), x.exp().log1p(), s * (1 - s)"),
    _cpp("sleef", "in C++, a loop of its widest vectors: 1 / (1 + Sleef_exp*_u10(-x)), tanh, log1p(exp(x))"),
    _cpp("highway", "in C++, a loop with hwy/contrib/math: 1 / (1 + Exp(-x)), Tanh, Log1p(Exp(x))"),
    _cpp("xsimd", "in C++, a loop of its batches: 1 / (1 + xs::exp(-x)), xs::tanh, xs::log1p(xs::exp(x))"),
    _cpp("libmvec", "in C++, a loop of glibc's vector functions: 1 / (1 + _ZGV*_expf(-x)), tanh, log1p(exp(x))"),
)


def peer_named(name: str) -> Peer:
    """The row of this name."""
    return next(peer for peer in PEERS if peer.name == name)


def installed() -> list[Peer]:
    """The rows of the table that this installation can measure."""
    return [peer for peer in PEERS if peer.installed]


def absent() -> dict[str, str]:
    """Why the others cannot be measured, by row."""
    return {peer.name: peer.missing for peer in PEERS if not peer.installed}
