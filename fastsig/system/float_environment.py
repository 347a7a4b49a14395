"""The default floating-point environment for what Python and NumPy compute around the kernels: casts, quotients, roundings.

A kernel enters it by itself (``cext/environment.h``, ``kernels/numba/environment.py``). Without it a subnormal result that NumPy casts to
a smaller type is 0 in a process where somebody has set flush-to-zero.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
_Environment = ctypes.c_char * 64
"""Room for more than any system's ``fenv_t``."""


def _standard_functions() -> tuple[Any, Any, Any] | None:
    """C's fegetenv and fesetenv, and FE_DFL_ENV; None on a system where they are not found."""
    for name in (None, "libm.so.6"):
        with contextlib.suppress(OSError, AttributeError, TypeError):
            library = ctypes.PyDLL(name)
            read, write = library.fegetenv, library.fesetenv
            read.argtypes = write.argtypes = [ctypes.c_void_p]
            if hasattr(library, "_FE_DFL_ENV"):
                return read, write, ctypes.addressof(ctypes.c_char.in_dll(library, "_FE_DFL_ENV"))
            return read, write, ctypes.c_void_p(-1)
    return None


_STANDARD = _standard_functions()


def in_default_environment(function: F) -> F:
    """The function, computing under the default environment; the caller's comes back after it, flags included."""
    if _STANDARD is None:
        return function
    read, write, default = _STANDARD

    @functools.wraps(function)
    def guarded(*args: Any, **options: Any) -> Any:
        callers = _Environment()
        read(callers)
        write(default)
        try:
            return function(*args, **options)
        finally:
            write(callers)

    return guarded  # type: ignore[return-value]
