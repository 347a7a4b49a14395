"""Which backend serves a call, and with how many threads. The choice can never change an answer: all give the same bits.

``choose`` is pure; what a machine has, what the user asked for and what the call is are its arguments.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import sys
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from . import arrays, gpu, refusals
from .backends import cuda_status
from .backends import threads as sharing
from .ops import BY_NAME, OPS

try:
    from .backends import c as _c
except ImportError as error:
    _c = None  # type: ignore[assignment]
    _why_no_c = str(error)

_FROM_ENVIRONMENT = os.environ.get("FASTSIG_BACKEND") or None
"""Read once, at import: it decides what the built-in entries of api.py may do."""

PARALLEL_BYTES = 1 << 20
"""Outputs below this are computed by one thread: two first win between 2^18 and 2^19 float32 (benchmarks/NOTES.md, "Threads")."""


class Choice(NamedTuple):
    backend: str
    threads: int
    why: str


def choose(device: str, size: int, dtype: np.dtype[Any], available: Iterable[str], max_threads: int = 1) -> Choice:
    """The backend and the number of threads for an array of this device, size and dtype, from the available backends.

    Raises RuntimeError where none of them can serve the device.
    """
    available = set(available)
    if device != "cpu":
        if "cuda" in available and device.startswith("cuda"):
            return Choice("cuda", 1, f"the array is on {device}")
        raise RuntimeError(f"no available backend computes on {device}")
    threads = max_threads if size * dtype.itemsize >= PARALLEL_BYTES else 1
    shared = f"{threads} threads for {size * dtype.itemsize} bytes" if threads > 1 else "one thread"
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


def _thread_setting() -> int:
    text = os.environ.get("FASTSIG_NUM_THREADS") or ""
    if not text:
        return sharing.available_cpus()
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"FASTSIG_NUM_THREADS={text!r} must be a positive whole number")
    return int(text)


_num_threads: int | None = None


def get_num_threads() -> int:
    """The most threads that a call may use: set_num_threads, else FASTSIG_NUM_THREADS, else the CPUs of this process."""
    return _num_threads if _num_threads is not None else _thread_setting()


def set_num_threads(n: int | None) -> None:
    """Set the most threads that a call may use; None returns to the default.

    Raises
    ------
    ValueError
        n is not a positive whole number.
    """
    global _num_threads
    _num_threads = None if n is None else _checked_threads(n)


def _checked_threads(n: Any) -> int:
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or n < 1:
        raise ValueError(f"threads={n!r} must be a positive whole number, or None for the default of {get_num_threads()}")
    return int(n)


def thread_limit(threads: int | None) -> int:
    """The most threads that a call with this argument may use."""
    return get_num_threads() if threads is None else _checked_threads(threads)


def host_backend() -> str:
    """The backend for host arrays where nobody named one."""
    return "c" if _c is not None else "numba"


def stream_bytes() -> int:
    """Outputs of at least this many bytes are written past the caches by the C backend."""
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
    backend = named(None) or ("c" if _c is not None else "numba")
    if backend == "cuda":
        raise RuntimeError("FASTSIG_BACKEND='cuda' computes on arrays of an NVIDIA GPU; this is a host array")
    return ufunc_of(backend, name)


_DEFAULTS = {"where": True, "dtype": None, "casting": "same_kind", "order": "K", "subok": True}
"""Left out of the call where nothing else is asked for: dask refuses to hear some even of these."""


quick_loss: Any = None
"""The C library's short way for the commonest losses (``cext/quick.c``), where calls that name no backend go to it."""
if _c is not None and _FROM_ENVIRONMENT is None:
    quick_loss = _c.QUICK["quick"]


def elementwise(
    name: str, x: Any, out: Any, where: Any, dtype: Any, casting: Any, order: Any, subok: Any, backend: str | None, threads: int | None
) -> Any:
    """One call of a unary operation."""
    if getattr(x, "is_cuda", False) and where is True and dtype is None and order == "K" and backend is _FROM_ENVIRONMENT is None:
        result = gpu.quick(name, x, out)
        if result is not NotImplemented:
            return result
    _notice_bfloat16(x)
    given = {"where": where, "dtype": dtype, "casting": casting, "order": order, "subok": subok}
    options = {key: value for key, value in given.items() if value is not _DEFAULTS[key]}
    chosen = named(backend)
    limit = None if threads is None else _checked_threads(threads)
    device = arrays.common_device(x=x, out=out[0] if isinstance(out, tuple) and out else out, where=where)
    if device != "cpu" or chosen == "cuda":
        return gpu.elementwise(name, x, device, chosen, out, where, dtype, casting, order)
    ufunc = host_ufunc(name) if chosen is None else ufunc_of(chosen, name)
    try:
        if not options and sharing.shareable(x, out, PARALLEL_BYTES):
            count = limit or get_num_threads()
            if count > 1:
                return sharing.unary(ufunc, x, out, count)
        return ufunc(x, **options) if out is None else ufunc(x, out=out, **options)
    except (TypeError, ValueError) as error:
        clearer = refusals.explain(name, x, out, error)
        if clearer is error:
            raise
        raise clearer from error


_bfloat16_known = False


def _notice_bfloat16(x: Any) -> None:
    """Give the C ufuncs their bfloat16 loops when the first such array comes: ml_dtypes, which makes the type, is loaded by then."""
    global _bfloat16_known
    if not _bfloat16_known and _c is not None:
        dtype: Any = getattr(x, "dtype", None)
        if getattr(dtype, "kind", "") == "V" and dtype.name == "bfloat16":
            _c.register_bfloat16(dtype)
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
    namespace.update(_c.make_entries(functions, PARALLEL_BYTES))


def explain(*operands: Any, op: str = "sigmoid", backend: str | None = None, threads: int | None = None) -> str:
    """Which backend would serve this call, with how many threads, and why.

    Parameters
    ----------
    *operands : array_like
        What the operation would be called with.
    op : str
        The operation's name.
    backend, threads
        As in the call.

    Returns
    -------
    str
        One line, such as "sigmoid: c (v4), one thread: host array; the C library needs no compiling".

    Raises
    ------
    ValueError
        The operation or the backend is unknown, or no array was given.
    """
    if op not in BY_NAME:
        raise ValueError(f"op={op!r} is unknown; known operations are {', '.join(row.name for row in OPS)}")
    if not operands:
        raise ValueError("explain() needs the array, or the arrays, of the call")
    chosen = named(backend)
    device = arrays.common_device(**{f"operand {i}": x for i, x in enumerate(operands)})
    limit = 1 if BY_NAME[op].nin > 1 else get_num_threads() if threads is None else _checked_threads(threads)
    if device != "cpu" or chosen == "cuda":
        return gpu.explained(op, operands, device, chosen)
    first = np.asanyarray(operands[0])
    if chosen:
        how = Choice(chosen, choose(device, first.size, first.dtype, {chosen}, limit).threads, "it was named")
    else:
        how = choose(device, first.size, first.dtype, available(), limit)
    served = f"c ({_c.isa()})" if how.backend == "c" else how.backend
    return f"{op}: {served}, {how.threads} thread{'s' * (how.threads > 1)}: {how.why}"


def get_include() -> str:
    """The directory of ``fastsig.h``, the C ABI; RuntimeError where the C library was not built."""
    if _c is None:
        raise RuntimeError(_c_status())
    return str(_c.include_dir())


def get_library() -> str:
    """The path of the shared library behind ``fastsig.h``; RuntimeError where it was not built."""
    if _c is None:
        raise RuntimeError(_c_status())
    return str(_c.library_path())
