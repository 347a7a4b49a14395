"""Whether the Numba backend can serve, and the backend itself once somebody asked for it. Not loaded before: it takes most of a second."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from fastsig.system import first_calls

elementwise: Any = None
losses: Any = None
fused: Any = None
rounded: Any = None
"""The modules of this room that compute, from the moment that Numba is loaded and known to serve."""

_status: str | None = None


def installed() -> str:
    """ "available" where Numba is installed, or what helps; told without loading it, so it may yet fail."""
    try:
        found = importlib.util.find_spec("numba") is not None
    except ValueError:  # sys.modules["numba"] is None: somebody blocks it
        found = False
    return "available" if found else "numba is not installed (pip install numba)"


def status() -> str:
    """ "available", or why not and what helps. Loads Numba, for nothing else tells whether that can be done."""
    return _status if _status is not None else _look()


def _look() -> str:
    global _status
    with first_calls.LOCK:
        if _status is None:
            found = installed()
            _status = found if found != "available" else _load()
        return _status


def _load() -> str:
    global elementwise, losses, fused, rounded
    first_calls.before_a_backend_is_loaded()
    try:
        problem: str = importlib.import_module("fastsig.kernels.numba.settings").problem()
        if problem:
            return problem
        modules = [importlib.import_module(f"fastsig.kernels.numba.{name}") for name in ("elementwise", "losses", "fused", "rounded")]
    except Exception as error:  # noqa: BLE001  # of another library's modules: it may be any
        return f"Numba cannot be loaded ({type(error).__name__}: {error})"
    elementwise, losses, fused, rounded = modules
    return "available"
