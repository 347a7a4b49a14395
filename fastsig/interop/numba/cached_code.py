"""What a user keeps with ``cache=True`` holds our formulas in machine code, and is compiled again when they change.

Numba looks at the user's file alone. But it unpickles an environment for each function within the code that it has kept, and takes an
OSError for a miss. So compiled code names an environment of ours, with one constant that raises it in a fastsig of another source.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

from numba.core.environment import Environment
from numba.np.ufunc import wrappers

from fastsig.kernels.stamp import source_stamp


class OtherSource(OSError):
    """The code was compiled from another source of fastsig."""


@cache
def stamp() -> str:
    """Of all source that the compiled code depends on."""
    digest = hashlib.sha256(source_stamp().encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def of_this_source(made_from: str, kept: Any) -> Any:
    """What was kept. Its name stands in the caches of users: it may not change."""
    if made_from != stamp():
        raise OtherSource("compiled from another source of fastsig")
    return kept


class Stamped(tuple[Any, ...]):
    """A tuple that can be unpickled only by the source it was made by."""

    def __reduce__(self) -> Any:
        return of_this_source, (stamp(), tuple(self))


@cache
def _environment() -> Any:
    found = Environment(globals())
    found.env_name = f"_ZN08NumbaEnv_fastsig_{stamp()[:16]}"
    found.consts.append(Stamped())
    Environment._memo[found.env_name] = found
    return found


def mark(context: Any, module: Any) -> None:
    """Let this module, and whatever it is linked into, be kept under the stamp."""
    context.declare_env_global(module, _environment().env_name)


def _mark_wrappers() -> None:
    """The loops around ``@guvectorize`` are kept beside the function, without its environments."""
    kept = wrappers.GufWrapperCache._impl_class
    plain = kept.reduce

    def reduce(self: Any, library: Any) -> Any:
        names = [variable.name for variable in library._final_module.global_variables]
        state = plain(self, library)
        return Stamped(state) if _environment().env_name in names else state

    kept.reduce = reduce


_mark_wrappers()
