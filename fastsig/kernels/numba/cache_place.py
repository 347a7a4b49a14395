"""Where Numba's kernels are kept, told without loading Numba."""

from __future__ import annotations

import os

from fastsig.kernels.code_cache import problem, users_directory


def places() -> list[tuple[str | None, str]]:
    """Directories in the order in which they are tried, and why each is not used, if so: NUMBA_CACHE_DIR where it is set, else
    beside this file, as Numba does it, and then the user's."""
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    beside = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__pycache__")
    tried = [os.path.join(chosen, "fastsig")] if chosen else [beside, users_directory()]
    return [(directory, problem(directory)) for directory in tried]


def place() -> str | None:
    """The first that can be used; None where there is none, and every process compiles anew."""
    return next((directory for directory, why_not in places() if not why_not), None)
