"""Numba kernels compiled once and kept on disk: a key that is the same in each process, and a symbol of its own for each function."""

from __future__ import annotations

import hashlib
import pickle
import sys
from collections.abc import Callable
from typing import Any

import llvmlite
import numba
from numba import config, njit
from numba.core.caching import NullCache
from numba.core.ccallback import CFunc
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from fastsig.kernels import code_cache
from fastsig.kernels.numba import primitives  # noqa: F401  # every kernel is made of these: Numba knows them from here on
from fastsig.kernels.numba.cache_place import place
from fastsig.kernels.stamp import source_stamp

_MADE_BY = (numba.__version__, llvmlite.__version__, sys.version)
_SETTINGS = ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "EXTEND_VARIABLE_LIFETIMES", "ENABLE_PROFILING")
"""Of Numba, by which its code has other instructions, if not other results."""


class KernelCache(NullCache):  # type: ignore[misc]  # Numba has no types
    """Of one kernel. Numba's own cache hashes the pickled closure, which is another one in each process, looks at the file of the
    compiled function only, unpickles what it finds, and fails for good where that is damaged."""

    def __init__(self, kernel: Any) -> None:
        """The kernel's name says what it is specialised for: ``named`` gave it."""
        self._name = kernel.__name__

    def _entry(self, signature: Any, codegen: Any) -> tuple[str, str]:
        """The entry's name, one for each processor that is compiled for, and its key."""
        target = str((str(signature), codegen.magic_tuple(), sys.implementation.cache_tag))
        digest = hashlib.sha256(target.encode()).hexdigest()[:16]
        return f"{self._name}-{digest}.nbc", str((self._name, target, source_stamp(), _MADE_BY, _settings()))

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        target_context.refresh()
        code = code_cache.load(place(), *self._entry(signature, target_context.codegen()))
        try:
            return None if code is None else CompileResult._rebuild(target_context, *pickle.loads(code))
        except Exception:  # noqa: BLE001  # whole, and yet not for this Numba: it is compiled again
            return None

    def save_overload(self, signature: Any, result: Any) -> None:
        code_cache.keep(place(), *self._entry(signature, result.codegen), dumps(result._reduce()))


def _settings() -> tuple[Any, ...]:
    return tuple(getattr(config, name, None) for name in _SETTINGS)


def named(function: Any, *key: object) -> Any:
    """Numba tells functions of one name apart by counting them in each process, so kernels that several processes put into the
    cache could have one symbol; with the key of what they are specialised for in their names, these have one each."""
    function.__qualname__ = function.__name__ = "_".join(map(str, (function.__name__, *key)))
    return function


_OPTIONS = {"error_model": "numpy", "fastmath": False, "forceinline": False, "_nrt": True}
"""Said to Numba each time: where a kernel is wanted while a user's function is being compiled, Numba would take these from that one,
and a kernel with its ``fastmath`` would be kept for everybody."""


def part(*key: object) -> Callable[[Any], Any]:
    """njit for a function that kernels call, specialised for what the key says."""
    return lambda function: njit(**_OPTIONS)(named(function, *key))


def kernel(function: Any, signature: Any, *key: object) -> Any:
    """The function compiled for one signature, or taken from the cache; it runs without the interpreter's lock."""
    compiled = njit(nogil=True, **_OPTIONS)(named(function, *key))
    compiled._cache = KernelCache(function)
    compiled.compile(signature)
    return compiled


def c_callback(function: Any, signature: tuple[Any, Any], *key: object) -> Any:
    """The function compiled, or taken from the cache, as one that C calls: ``address`` is where."""
    compiled = CFunc(named(function, *key), signature, locals={}, options=_OPTIONS)
    compiled._cache = KernelCache(function)
    compiled.compile()
    return compiled
