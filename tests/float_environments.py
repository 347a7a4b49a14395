"""The floating-point environments that others leave behind, set and read without a compiler: by the bits of C's fenv_t."""

from __future__ import annotations

import contextlib
import ctypes
import platform
import sys
from collections.abc import Iterator

import pytest

_MACHINE = platform.machine().lower()
_ROOM = 64
X86, ARM = _MACHINE in ("x86_64", "amd64"), _MACHINE in ("aarch64", "arm64")
KNOWN = sys.platform == "linux" and (X86 or ARM)
CONTROL_AT = 28 if X86 else 0
"""Where the control word stands in glibc's and musl's fenv_t: MXCSR behind the x87 state, FPCR first."""

if X86:
    FLUSHED = {"flush to zero": 1 << 15, "denormals are zero": 1 << 6, "both": 1 << 15 | 1 << 6}
    ROUNDED = {"rounding down": 1 << 13, "rounding up": 2 << 13, "rounding towards zero": 3 << 13}
else:
    FLUSHED = {"both": 1 << 24}
    ROUNDED = {"rounding up": 1 << 22, "rounding down": 2 << 22, "rounding towards zero": 3 << 22}
FLAGS = {"all flags raised": 0x3F} if X86 else {}
ALL = {
    "default": 0, **FLUSHED, **ROUNDED, "both, rounding up": FLUSHED["both"] | ROUNDED["rounding up"], **FLAGS,
}  # fmt: skip

needed = pytest.mark.skipif(not KNOWN, reason="where this system keeps its floating-point environment is not known here")


def _library() -> ctypes.PyDLL:
    library = ctypes.PyDLL(None)
    library.fegetenv.argtypes = library.fesetenv.argtypes = [ctypes.c_void_p]
    return library


def _whole() -> bytes:
    memory = ctypes.create_string_buffer(_ROOM)
    _library().fegetenv(memory)
    return memory.raw


def current() -> int:
    """This thread's modes, and its flags, in the registers that arithmetic uses."""
    return int.from_bytes(_whole()[CONTROL_AT : CONTROL_AT + (4 if X86 else 8)], "little")


@contextlib.contextmanager
def under(name: str) -> Iterator[int]:
    """This environment, given as ``current()`` says it; the one before comes back."""
    before = _whole()
    changed = bytearray(before)
    control = int.from_bytes(before[CONTROL_AT : CONTROL_AT + 4], "little") | ALL[name]
    changed[CONTROL_AT : CONTROL_AT + 4] = control.to_bytes(4, "little")
    memory = ctypes.create_string_buffer(bytes(changed), _ROOM)
    _library().fesetenv(memory)
    try:
        yield current()
    finally:
        _library().fesetenv(ctypes.create_string_buffer(before, _ROOM))
