"""What fastsig is measured against: one table, a row for each library or way to use it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

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


@dataclass(frozen=True)
class Peer:
    """A library, or a way to use it. ``make(op, x, out)`` gives its calls, or None where it has no such operation or dtype."""

    name: str
    module: str
    make: Callable[[str, Any, Any], Calls | None]
    threads: int = 1
    """0: as many as the library likes."""
    to_numpy: Callable[[Any], Any] = np.asarray

    @property
    def installed(self) -> bool:
        return importlib.util.find_spec(self.module) is not None

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


PEERS: tuple[Peer, ...] = (
    Peer("fastsig c", "fastsig", _fastsig("c")),
    Peer("fastsig numba", "numba", _fastsig("numba")),
    Peer("fastsig", "fastsig", _fastsig(None), threads=0),
    Peer("numpy", "numpy", numpy_calls),
    Peer("scipy", "scipy", scipy_calls),
    Peer("torch, 1 thread", "torch", torch_calls(1), to_numpy=from_torch),
    Peer("torch", "torch", torch_calls(0), threads=0, to_numpy=from_torch),
    Peer("numba vectorize", "numba", numba_calls),
    Peer("numexpr", "numexpr", numexpr_calls(1)),
    Peer("numexpr, all threads", "numexpr", numexpr_calls(0), threads=0),
    Peer("jax", "jax", jax_calls),
    Peer("onnxruntime", "onnxruntime", onnxruntime_calls(1)),
    Peer("onnxruntime, all threads", "onnxruntime", onnxruntime_calls(0), threads=0),
)


def peer_named(name: str) -> Peer:
    """The row of this name."""
    return next(peer for peer in PEERS if peer.name == name)


def installed() -> list[Peer]:
    """The rows of the table that this installation can measure."""
    return [peer for peer in PEERS if peer.installed and (peer.module != "onnxruntime" or importlib.util.find_spec("onnx"))]
