"""Which backend serves a call, and with how many threads. The choice can never change an answer: all give the same bits.

``choose`` is pure; what a machine has, what the user asked for and what the call is are its arguments.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

import fastsig

from . import arrays, gpu, refusals
from .backends import cuda_status
from .backends import threads as sharing
from .backends.limits import thread_limit
from .ops import OPS
from .thresholds import ELEMENTS, HAND_OVER, LEAST_BYTES, Thresholds, load, threads_for

try:
    from .backends import c as _c
except ImportError as error:
    _c = None  # type: ignore[assignment]
    _why_no_c = str(error)

_FROM_ENVIRONMENT = os.environ.get("FASTSIG_BACKEND") or None
"""Read once, at import: it decides what the built-in entries of api.py may do."""


class Choice(NamedTuple):
    backend: str
    threads: int
    why: str


def choose(
    device: str, size: int, dtype: np.dtype[Any], available: Iterable[str], max_threads: int = 1, least: int | None = None
) -> Choice:
    """The backend and the number of threads for an array of this device, size and dtype, from the available backends.

    ``least``: the elements from which on two threads are used; built in where not given. Raises RuntimeError where no backend
    can serve the device.
    """
    available = set(available)
    if device != "cpu":
        if "cuda" in available and device.startswith("cuda"):
            return Choice("cuda", 1, f"the array is on {device}")
        raise RuntimeError(f"no available backend computes on {device}")
    least = least or ELEMENTS.get(dtype.name, ELEMENTS["float32"])
    threads = threads_for(size, least, max_threads)
    shared = f"{threads} threads, which share {least:,} elements and more" if threads > 1 else "one thread"
    if "c" in available:
        return Choice("c", threads, f"host array; the C library needs no compiling; {shared}")
    if "numba" in available:
        return Choice("numba", threads, f"host array; the C library is not available; {shared}")
    raise RuntimeError("neither the C library nor Numba is available")


def _c_status() -> str:
    return "available" if _c is not None else f"the C library was not built for this installation ({_why_no_c})"


@functools.cache
def _numba_status() -> str:
    try:
        found = importlib.util.find_spec("numba") is not None
    except ValueError:  # sys.modules["numba"] is None: somebody blocks it
        found = False
    return "available" if found else "numba is not installed (pip install numba)"


_STATUS: dict[str, Callable[[], str]] = {"c": _c_status, "numba": _numba_status, "cuda": cuda_status.status}


def backends() -> dict[str, str]:
    """Each backend, and "available" or the reason why it is not.

    Returns
    -------
    dict
        Keys "c", "numba" and "cuda".
    """
    return {name: status() for name, status in _STATUS.items()}


def available() -> list[str]:
    return [name for name, status in backends().items() if status == "available"]


def named(backend: str | None) -> str | None:
    """The backend that the caller or FASTSIG_BACKEND named, checked; None where the dispatcher may choose."""
    argument = "backend"
    if backend is None:
        if _FROM_ENVIRONMENT is None:
            return None
        backend, argument = _FROM_ENVIRONMENT, "FASTSIG_BACKEND"
    if not isinstance(backend, str) or backend not in _STATUS:
        raise ValueError(f"{argument}={backend!r} is unknown; known backends are {', '.join(map(repr, _STATUS))}")
    status = _STATUS[backend]()
    if status != "available":
        raise RuntimeError(f"{argument}={backend!r} cannot serve: {status}")
    return backend


_thresholds: Thresholds | None = None


def thresholds() -> Thresholds:
    """Those in force; the user's file is looked for once, at the first call that is large enough to depend on it.

    A UserWarning says why a file was ignored.
    """
    global _thresholds
    if _thresholds is None:
        _thresholds, complaint = load(fastsig.__version__)
        if _c is not None:
            names = [op.name for op in OPS if op.nin == 1]
            _c.set_entry_sizes({dtype: _thresholds.entry_size(names, dtype) for dtype in ELEMENTS})
            if _thresholds.stream_bytes is not None:
                _c.set_stream_bytes(_thresholds.stream_bytes)
        if complaint:
            warnings.warn(complaint, UserWarning, stacklevel=2)
    return _thresholds


def least_shared(name: str, dtype: str, threads: int | None) -> int:
    """The elements from which on a call of an operation is shared among threads."""
    return thresholds().least(name, dtype, 1 if share is not None or threads is not None else HAND_OVER)


def faster(name: str, x: Any, ufunc: np.ufunc) -> np.ufunc:
    """Numba's ufunc, where tune found it faster from this size on and this process has it already; else this one."""
    compiled: Any = sys.modules.get("fastsig.backends.numba_cpu")
    if (
        compiled is None
        or _c is None
        or not x.flags.forc
        or not thresholds().numba
        or not thresholds().numba_wins(name, x.dtype.name, x.size)
    ):
        return ufunc
    return compiled.loaded(name) or ufunc


def host_backend() -> str:
    """The backend for host arrays where nobody named one."""
    return "c" if _c is not None else "numba"


def stream_bytes() -> int:
    """Outputs of at least this many bytes are written past the caches by the C backend."""
    thresholds()
    return _c.stream_bytes() if _c is not None else 1 << 62


def ufunc_of(backend: str, name: str) -> np.ufunc:
    """The ufunc of an operation in a host backend; the Numba backend compiles it, or loads it from its cache, now."""
    if backend == "c":
        return _c.UFUNCS[name]
    from .backends import numba_cpu

    return numba_cpu.ufunc(name)


if _c is None and _numba_status() != "available":
    raise ImportError(f"fastsig needs its C library or Numba, and has neither: {_c_status()}; {_numba_status()}")


def host_ufunc(name: str) -> np.ufunc:
    """The ufunc that serves host arrays where the call names no backend."""
    backend = named(None) or host_backend()
    if backend == "cuda":
        raise RuntimeError("FASTSIG_BACKEND='cuda' computes on arrays of an NVIDIA GPU; this is a host array")
    return ufunc_of(backend, name)


_DEFAULTS = {"where": True, "dtype": None, "casting": "same_kind", "order": "K", "subok": True}
"""Left out of the call where nothing else is asked for: dask refuses to hear some even of these."""
_PLAIN = ("same_kind", "K", True)


quick_loss: Any = None
"""The C library's short way for the commonest losses (``cext/quick.c``), where calls that name no backend go to it."""
share: sharing.Share | None = None
"""The C library's threads, which serve the loops of both backends."""
if _c is None:
    sharing.load_pool()
else:
    share = _c.share
    if _FROM_ENVIRONMENT is None:
        quick_loss = _c.QUICK["quick"]


def elementwise(
    name: str, x: Any, out: Any, where: Any, dtype: Any, casting: Any, order: Any, subok: Any, backend: str | None, threads: int | None
) -> Any:
    """One call of a unary operation."""
    if (
        arrays.library_of(x) == "torch"
        and getattr(x, "is_cuda", False)
        and where is True
        and dtype is None
        and order == "K"
        and backend is _FROM_ENVIRONMENT is None
    ):
        result = gpu.quick(name, x, out)
        if result is not NotImplemented:
            return result
    _notice_bfloat16(x)
    if type(x) is np.ndarray and x.nbytes >= LEAST_BYTES and where is True and dtype is None and (casting, order, subok) == _PLAIN:
        result = _plain(name, x, out, backend, threads)
        if result is not None:
            return result
    given = {"where": where, "dtype": dtype, "casting": casting, "order": order, "subok": subok}
    options = {key: value for key, value in given.items() if value is not _DEFAULTS[key]}
    chosen = named(backend)
    if threads is not None:
        thread_limit(threads)
    device = arrays.common_device(x=x, out=out[0] if isinstance(out, tuple) and out else out, where=where)
    if device != "cpu" or chosen == "cuda":
        return gpu.elementwise(name, x, device, chosen, out, where, dtype, casting, order)
    return _on_one_thread(name, ufunc_of(chosen or host_backend(), name), x, out, options)


def _on_one_thread(name: str, ufunc: np.ufunc, x: Any, out: Any, options: dict[str, Any]) -> Any:
    """The ufunc's result; what it refuses is refused in words about the arguments."""
    try:
        return ufunc(x, **options) if out is None else ufunc(x, out=out, **options)
    except (TypeError, ValueError) as error:
        clearer = refusals.explain(name, x, out, error)
        if clearer is error:
            raise
        raise clearer from error


def _plain(name: str, x: Any, out: Any, backend: str | None, threads: int | None) -> Any:
    """The result for a large array of floats and nothing but an out, on threads where they pay; or None where it is not so plain."""
    dtype = sharing.SHARED.get(x.dtype)
    chosen = named(backend)
    if dtype is None or chosen == "cuda" or not (out is None or type(out) is np.ndarray):
        return None
    if threads is not None:
        thread_limit(threads)
    least, count = least_shared(name, dtype, threads), 1
    if x.size >= least and sharing.shareable(x, out):
        count = threads_for(x.size, least, thread_limit(threads))
    ufunc = ufunc_of(chosen, name) if chosen else faster(name, x, ufunc_of(host_backend(), name))
    if count > 1:
        return sharing.unary(ufunc, x, out, count, share)
    return _on_one_thread(name, ufunc, x, out, {})


_bfloat16_known = False


def _notice_bfloat16(x: Any) -> None:
    """Give the C ufuncs their bfloat16 loops when the first such array comes: ml_dtypes, which makes the type, is loaded by then."""
    global _bfloat16_known
    if not _bfloat16_known and _c is not None:
        dtype: Any = getattr(x, "dtype", None)
        if getattr(dtype, "kind", "") == "V" and dtype.name == "bfloat16":
            _c.register_bfloat16(dtype)
            sharing.SHARED[dtype] = "bfloat16"
            _bfloat16_known = True


def install_entries(namespace: dict[str, Any]) -> None:
    """Replace a module's operations by built-in entries that go straight to the ufunc where nothing is left to choose."""
    if _c is None or _FROM_ENVIRONMENT is not None:
        return
    module = sys.modules[namespace["__name__"]]
    functions = {}
    for op in OPS:
        if op.nin == 1:
            function = namespace[op.name]
            keywords = ", ".join(f"{name}={default!r}" for name, default in function.__kwdefaults__.items())
            doc = f"{op.name}({op.inputs[0]}, /, out=None, *, {keywords})\n--\n\n{function.__doc__}"
            functions[op.name] = (module, function, doc)
    namespace.update(_c.make_entries(functions))
    _c.set_entry_sizes({dtype: LEAST_BYTES // (int(dtype[-2:]) // 8) for dtype in ELEMENTS})
