"""Numba kernels compiled once and kept on disk: a key that is the same in each process, and a symbol of its own for each function."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache

from fastsig import plans

from . import half_patches, lowering, memory


@cache
def source_stamp() -> str:
    """Numba's cache looks at the file of the compiled function only; this is over every file that kernels are made from."""
    here = Path(__file__).parent
    rooms = (Path(str(module.__file__)) for module in (half_patches, lowering, memory, plans))
    files = [*here.parent.glob("formulas/*.py"), *here.glob("numba_*.py"), *rooms]
    return hashlib.sha256(b"".join(file.read_bytes() for file in sorted(files))).hexdigest()


class KernelCache(FunctionCache):  # type: ignore[misc]  # Numba has no types
    """Keyed by what a kernel is made from: Numba's own key hashes the pickled closure, which is another one in each process."""

    def __init__(self, function: Callable[..., Any], *key: object) -> None:
        super().__init__(function)
        self._stamp = (source_stamp(), *map(str, key))

    def _index_key(self, sig: Any, codegen: Any) -> Any:
        return sig, codegen.magic_tuple(), self._stamp


def named(function: Any, *key: object) -> Any:
    """Numba tells functions of one name apart by counting them in each process, so kernels that several processes put into the
    cache could have one symbol; with the key of what they are specialised for in their names, these have one each."""
    function.__qualname__ = function.__name__ = "_".join(map(str, (function.__name__, *key)))
    return function


def part(*key: object) -> Callable[[Any], Any]:
    """njit for a function that kernels call, specialised for what the key says."""
    return lambda function: njit(error_model="numpy")(named(function, *key))
