"""Whether the C backend can serve, and the backend itself where it can."""

from __future__ import annotations

from types import ModuleType
from typing import Any

library: Any = None
"""``fastsig.kernels.c.library``, or None where the C library was not built, or is another version's."""
_why_not = ""


def _load() -> ModuleType:
    from fastsig.kernels.c import library as found

    return found


try:
    library = _load()
except ModuleNotFoundError as error:
    _why_not = f"the C library was not built for this installation ({error})"
except ImportError as error:
    _why_not = str(error)


def status() -> str:
    """ "available", or why not."""
    return "available" if library is not None else _why_not
