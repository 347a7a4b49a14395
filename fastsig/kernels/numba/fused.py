"""The gates of the Numba backend: one pass over rows, compiled when first needed and cached on disk. Twin of ``cext/fused.c``."""

from __future__ import annotations

import inspect
from typing import Any

from numba import types
from numba.extending import register_jitable

from fastsig.arrays.dtypes import BF16, F16, F32, F64, Array
from fastsig.formulas import gates, prims
from fastsig.kernels import rows
from fastsig.kernels.numba import gather as gathering
from fastsig.kernels.numba.cache import kernel, part
from fastsig.kernels.numba.environment import enter_default, leave_default
from fastsig.ops import FUSED_BY_NAME
from fastsig.system import first_calls, thread_pool

for _function in vars(gates).values():
    if inspect.isfunction(_function) and _function.__module__ == gates.__name__:
        register_jitable(_function)

BLOCK = 512
"""Elements that are looked at before they are computed with: whether all are near."""
_NAMES = {F16: "f16", BF16: "bf16", F32: "f32", F64: "f64"}
_STORAGE = {F16: types.uint16, BF16: types.uint16, F32: types.float32, F64: types.float64}


def _row(name: str, code: int) -> Any:
    """row(x0, x1, ..., y0, ..., n) over elements that lie side by side."""
    op = FUSED_BY_NAME[name]
    load, store = gathering.load_store(_NAMES[code])
    inputs, outputs = [f"x{k}" for k in range(op.nin)], [f"y{k}" for k in range(op.nout)]
    places = [f"[{place}]" for place in op.stored] if op.nout > 1 else [""]
    loads = ", ".join(f"load({x}, j)" for x in inputs)
    is_near = " & ".join(f"(absolute(load({x}, j)) <= {limit})" for x, limit in zip(inputs, op.near, strict=True))
    lines = [
        f"def row({', '.join(inputs + outputs)}, n):",
        f"    for start in range(0, n, {BLOCK}):",
        f"        stop = min(start + {BLOCK}, n)",
        "        away = 0",
        "        for j in range(start, stop):",
        f"            away |= 0 if {is_near} else 1",
        "        if away:",
        "            for j in range(start, stop):",
        f"                here, near, far = {is_near}, near_formula({loads}), far_formula({loads})",
        *(f"                store({y}, j, select(here, near{at}, far{at}))" for y, at in zip(outputs, places, strict=True)),
        "        else:",
        "            for j in range(start, stop):",
        f"                near = near_formula({loads})",
        *(f"                store({y}, j, near{at})" for y, at in zip(outputs, places, strict=True)),
    ]
    constants = prims.CONSTANTS_F64 if code == F64 else prims.CONSTANTS_F32
    made: dict[str, Any] = {
        "__name__": __name__, "near_formula": getattr(gates, f"{name}_near"), "far_formula": getattr(gates, f"{name}_far"),
        "load": load, "store": store, "absolute": prims.absolute, "select": prims.select,
        **{limit: getattr(constants, limit) for limit in op.near},
    }  # fmt: skip
    exec("\n".join(lines), made)  # as many parameters as the table says; of a module, else the cache would hold all that it can see
    return part(name, code)(made["row"])


def _build(name: str, code: int) -> Any:
    """kernel(words, start, stop) over the elements of a pass."""
    op = FUSED_BY_NAME[name]
    size = _STORAGE[code].bitwidth // 8
    count = op.nin + op.nout
    at = ", ".join(
        f"pointer(words[{rows.OPERANDS + 2 * k}] + i * words[{rows.OPERANDS + 2 * k + 1}] + column * {size})" for k in range(count)
    )
    lines = [
        "def fused(words, start, stop):",
        "    callers = enter_default()",
        f"    inner = words[{rows.INNER}]",
        "    done = start",
        "    while done < stop:",
        "        i, column = done // inner, done % inner",
        "        take = min(inner - column, stop - done)",
        f"        row({at}, take)",
        "        done += take",
        "    leave_default(callers)",
    ]
    made: dict[str, Any] = {
        "__name__": __name__, "row": _row(name, code), "pointer": gathering.pointer_to(_STORAGE[code]), "enter_default": enter_default,
        "leave_default": leave_default, "min": min,
    }  # fmt: skip
    exec("\n".join(lines), made)
    return kernel(made["fused"], types.void(types.int64[::1], types.int64, types.int64), name, code)


_kernels: dict[tuple[str, int], Any] = {}


def _kernel(name: str, code: int) -> Any:
    """The compiled pass; compiled at its first use, or taken from the cache on disk."""
    found = _kernels.get((name, code))
    if found is None:
        with first_calls.LOCK:
            found = _kernels.get((name, code))
            if found is None:
                found = _kernels[name, code] = _build(name, code)
    return found


def run(name: str, words: Array, threads: int, alive: object) -> None:
    """All elements of a pass on so many of Python's threads; ``alive`` are the arrays whose addresses the words have."""
    over_elements = _kernel(name, int(words[rows.DTYPE]))

    def work(piece: slice, held: object = alive) -> None:
        over_elements(words, piece.start, piece.stop)

    thread_pool.over_pieces(work, int(words[rows.INNER] * words[rows.COUNT]), threads)
