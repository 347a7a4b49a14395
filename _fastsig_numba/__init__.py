"""What Numba runs before it compiles the first function, by the entry point ``numba_extensions`` of the distribution.

It stands beside the package, not in it, because everybody with Numba pays for it: importing ``fastsig`` would take longer than all
that is done here. Numba learns to ask, and what it is answered is loaded when it asks about something of ``fastsig``.
"""

from __future__ import annotations

import importlib
import sys
from types import FunctionType
from typing import Any

_asked = False


def init() -> None:
    """Let Numba ask ``fastsig.interop.numba`` about the functions of ``fastsig``. Never raises: Numba would warn everybody."""
    global _asked
    if _asked:
        return
    try:
        import numpy as np
        from numba.core.typing.typeof import typeof_impl

        for kind in (FunctionType, np.ufunc):
            _ask(typeof_impl, kind)
        _asked = True
    except Exception:  # noqa: BLE001  # another Numba; what uses fastsig in compiled code is then told that it has no type
        pass


def _ask(typeof_impl: Any, kind: type) -> None:
    before = typeof_impl.dispatch(kind)

    def typeof(value: Any, context: Any) -> Any:
        found = _type_of(value, context.purpose) if context.purpose.name == "constant" and "fastsig" in sys.modules else None
        return before(value, context) if found is None else found

    typeof_impl.register(kind)(typeof)


def _type_of(value: Any, purpose: Any) -> Any:
    if not _may_be_ours(value):
        return None
    room = "device" if type(purpose).__module__.startswith("numba.cuda.") else "functions"  # numba-cuda asks Numba what it does not know
    try:
        answering = importlib.import_module(f"fastsig.interop.numba.{room}")
    except Exception as error:
        import numba

        raise numba.core.errors.TypingError(
            f"the functions of fastsig cannot be compiled by Numba {numba.__version__}: {type(error).__name__}: {error}"
        ) from error
    return answering.type_of(value)


def _may_be_ours(value: Any) -> bool:
    """Told by what is loaded already, so that nobody else's functions, nor the formulas of our own kernels, load anything."""
    name = value.__name__.partition(" ")[0]
    rooms = [vars(sys.modules[module]) for module in ("fastsig", "fastsig.ufuncs") if module in sys.modules]
    functions = sys.modules.get("fastsig.interop.numba.functions")
    rooms += [getattr(functions, "KEYS", {})]  # what calls of ours become when Numba fuses an expression
    return any(room.get(name) is value for room in rooms)
