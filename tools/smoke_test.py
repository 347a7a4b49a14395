"""Whether an installed fastsig works, away from the checkout: ``python tools/smoke_test.py``.

Operations and losses by the C library, on each instruction set that this processor has, and operations by Numba where it is installed:
the same bits from all. What it prints at last is one digest of all results, which is the same on every machine, interpreter
and C library, for the inputs are exact and no result is a NaN.
"""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np

import fastsig as fs
from fastsig.ops import OPS

COUNT = 10_001
CHECKOUT = Path(__file__).resolve().parent.parent
Array = np.ndarray[Any, Any]


def inputs_of(domain: str, dtype: type) -> Array:
    """Multiples of a power of two, which each type holds or rounds once."""
    return (np.arange(1, COUNT) / 16_384 if domain == "unit" else np.arange(-COUNT, COUNT) / 16).astype(dtype)


def elementwise(backend: str, dtype: type) -> bytes:
    return b"".join(getattr(fs, op.name)(inputs_of(op.domain, dtype), backend=backend).tobytes() for op in OPS if op.nin == 1)


def losses(dtype: type) -> bytes:
    x = inputs_of("real", dtype)
    t = (np.arange(x.size) % 8 / 8).astype(dtype)
    found = [*fs.bce_with_logits_value_and_grad(x, t, backend="c", threads=2), *fs.bce_with_logits_grad_hess(x, t, weight=t, backend="c")]
    return b"".join(np.asarray(part).tobytes() for part in found)


def in_compiled_code() -> bytes:
    """By the distribution's entry point, which nothing here calls."""
    import numba

    def kernel(x: Array) -> Any:
        return fs.sigmoid(x)

    result: Array = numba.njit(fastmath=True)(kernel)(inputs_of("real", np.float64))
    return result.tobytes()


def main() -> None:
    file = Path(fs.__file__).resolve()
    assert CHECKOUT not in file.parents, f"this is the checkout, not what is installed: {file}"
    assert fs.backends()["c"] == "available", fs.backends()
    assert float(fs.sigmoid(np.float32(-100))) == float.fromhex("0x1.b0p-145"), fs.sigmoid(np.float32(-100))
    from fastsig.kernels.c import library as c

    digests = {}
    for isa in c.isas():
        c.set_isa(isa)
        parts = [elementwise("c", dtype) + losses(dtype) for dtype in (np.float16, np.float32, np.float64)]
        digests[isa] = hashlib.sha256(b"".join(parts)).hexdigest()
    assert len(set(digests.values())) == 1, digests
    served = [*digests]
    if fs.backends()["numba"] == "available":  # which compiles for long, so one type and no losses
        assert elementwise("numba", np.float64) == elementwise("c", np.float64), "Numba's bits are others than C's"
        outside = fs.sigmoid(inputs_of("real", np.float64), backend="c").tobytes()
        assert in_compiled_code() == outside, "fs.sigmoid has other bits in a user's compiled code"
        served.append("numba")
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        assert not sys._is_gil_enabled(), "something has switched the GIL on again"
        served.append("without the GIL")
    print(f"smoke test passed: {' '.join(served)}; Python {sys.version.split()[0]}, NumPy {np.__version__}, {file.parent}")
    print(digests["baseline"])


if __name__ == "__main__":
    main()
