"""Which backends there are here, which one the user named, and their ufuncs."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from fastsig.kernels.c import status as c_status
from fastsig.kernels.c.status import library as c
from fastsig.kernels.cuda import status as cuda_status
from fastsig.kernels.numba import status as numba_status

FROM_ENVIRONMENT = os.environ.get("FASTSIG_BACKEND") or None
"""Read once, at import: it decides what the fast calls of ``fastsig.elementwise`` may do."""

_STATUS: dict[str, Callable[[], str]] = {"c": c_status.status, "numba": numba_status.status, "cuda": cuda_status.status}

if c is None and numba_status.installed() != "available":
    raise ImportError(f"fastsig needs its C library or Numba, and has neither: {c_status.status()}; {numba_status.installed()}")


def straight(name: str) -> Any:
    """The C library's function of this name, for calls that name no backend; None where it is not what serves those."""
    return None if c is None or FROM_ENVIRONMENT not in (None, "c") else getattr(c, name)


def backends() -> dict[str, str]:
    """Each backend, and "available" or the reason why it is not. Loads Numba, where it is installed, to know; starts no CUDA.

    Returns
    -------
    dict
        Keys "c", "numba" and "cuda".

    See Also
    --------
    explain : which of them would serve a call, and why.

    Examples
    --------
    >>> import fastsig as fs
    >>> list(fs.backends())
    ['c', 'numba', 'cuda']
    """
    return {name: status() for name, status in _STATUS.items()}


def named(backend: str | None) -> str | None:
    """The backend that the caller or FASTSIG_BACKEND named, checked; None where the dispatcher may choose."""
    argument = "backend"
    if backend is None:
        if FROM_ENVIRONMENT is None:
            return None
        backend, argument = FROM_ENVIRONMENT, "FASTSIG_BACKEND"
    if not isinstance(backend, str) or backend not in _STATUS:
        raise ValueError(f"{argument}={backend!r} is unknown; known backends are {', '.join(map(repr, _STATUS))}")
    status = _STATUS[backend]()
    if status != "available":
        raise RuntimeError(f"{argument}={backend!r} cannot serve: {status}")
    return backend


def host_backend() -> str:
    """The backend for host arrays where nobody named one."""
    return "c" if c is not None else "numba"


def ufunc_of(backend: str, name: str) -> np.ufunc:
    """The ufunc of an operation in a host backend; the Numba backend compiles it, or loads it from its cache, now."""
    ufunc: np.ufunc = c.UFUNCS[name] if backend == "c" else numba("elementwise").ufunc(name)
    return ufunc


def numba(room: str) -> Any:
    """The Numba backend's elementwise functions, losses or gates; RuntimeError where that cannot serve, after all."""
    why_not = numba_status.status()
    if why_not != "available":
        raise RuntimeError(f"the Numba backend cannot serve: {why_not}; the C backend: {c_status.status()}")
    return getattr(numba_status, room)


def rounded_ufunc_of(backend: str, name: str) -> np.ufunc:
    """The correctly rounded ufunc of an operation in a host backend, likewise."""
    ufunc: np.ufunc = c.ROUNDED_UFUNCS[name] if backend == "c" else numba("rounded").ufunc(name)
    return ufunc


def host_ufunc(name: str) -> np.ufunc:
    """The ufunc that serves host arrays where the call names no backend."""
    return ufunc_of(_serving_ufuncs(), name)


def host_rounded_ufunc(name: str) -> np.ufunc:
    return rounded_ufunc_of(_serving_ufuncs(), name)


def as_attribute(namespace: dict[str, Any], name: str, known: Sequence[str], ufunc: Callable[[str], np.ufunc]) -> np.ufunc:
    """The ufunc that was asked for as an attribute of a module, which keeps it."""
    module = namespace["__name__"]
    if name not in known:
        raise AttributeError(f"module {module!r} has no attribute {name!r}; the operations are {', '.join(known)}")
    found = ufunc(name)
    with suppress(AttributeError):  # older NumPy: ufuncs have no attributes, and pickle looks through every module
        found.__module__ = module
    namespace[name] = found
    return found


def _serving_ufuncs() -> str:
    backend = named(None) or host_backend()
    if backend == "cuda":
        raise RuntimeError("FASTSIG_BACKEND='cuda' computes on arrays of an NVIDIA GPU; this is a host array")
    return backend


def loaded_by_numba(name: str) -> np.ufunc | None:
    """Numba's ufunc of an operation where this process has it already: nothing is compiled or imported for the question."""
    compiled = numba_status.elementwise
    return None if compiled is None else compiled.loaded(name)
