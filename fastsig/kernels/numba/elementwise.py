"""The Numba backend: each formula compiled into a NumPy inner loop, cached on disk, behind a real ``numpy.ufunc``.

The only importer of numba for the CPU (with ``primitives`` and ``memory`` beside it). Importing it takes most of a second, and a
kernel that is not in the disk cache about two more, so nothing here runs unless the dispatcher needs it.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numba import types

from fastsig.kernels.numba.cache import c_callback, part
from fastsig.kernels.numba.environment import enter_default, leave_default
from fastsig.kernels.numba.memory import BLOCK, LINE, address, buffer, load_store, offset, picked_line
from fastsig.kernels.numba.primitives import formula
from fastsig.ops import BY_NAME, Op
from fastsig.system import first_calls

_STORAGE = {"f16": types.uint16, "bf16": types.uint16, "f32": types.float32, "f64": types.float64}
_NUMPY = {"f16": np.dtype(np.float16), "f32": np.dtype(np.float32), "f64": np.dtype(np.float64)}
_ufuncs: dict[str, np.ufunc] = {}


def _runs(op: Op, dtype: str, value: Any, key: tuple[str, ...]) -> tuple[Any, Any, Any]:
    """run(x, y, out, n) over contiguous elements; gather(to, from, step, n) and scatter(to, step, from, n)."""
    load, store = load_store(op.name, dtype)
    size = _STORAGE[dtype].bitwidth // 8
    line = LINE // size
    pick_upwards, pick_downwards = picked_line(list(range(0, 2 * line, 2))), picked_line(list(range(2 * line - 1, 0, -2)))
    if op.nin == 1:

        def run(x, y, out, n):  # type: ignore[no-untyped-def]
            for i in range(n):
                store(out, i, value(load(x, i)), x)
    else:

        def run(x, y, out, n):  # type: ignore[no-untyped-def]
            for i in range(n):
                store(out, i, value(load(x, i), load(y, i)), x)

    def gather(to, source, step, n):  # type: ignore[no-untyped-def]
        if step == size:
            for i in range(n):
                to[i] = source[i]
        elif step == -size:
            for i in range(n):
                to[i] = source[-i]
        elif step == 2 * size:
            whole = (n - 1) // line * line  # behind these stands another element, so that nothing beyond the last one is read
            for i in range(0, whole, line):
                pick_upwards(offset(to, i * size), offset(source, 2 * i * size))
            for i in range(whole, n):
                to[i] = source[2 * i]
        elif step == -2 * size:
            whole = (n - 1) // line * line
            for i in range(0, whole, line):
                pick_downwards(offset(to, i * size), offset(source, (1 - 2 * (i + line)) * size))
            for i in range(whole, n):
                to[i] = source[-2 * i]
        else:
            for i in range(n):
                to[i] = offset(source, i * step)[0]

    def scatter(to, step, source, n):  # type: ignore[no-untyped-def]
        if step == size:
            for i in range(n):
                to[i] = source[i]
        elif step == -size:
            for i in range(n):
                to[-i] = source[i]
        else:
            for i in range(n):
                offset(to, i * step)[0] = source[i]

    compiled = part(*key)
    return compiled(run), compiled(gather), compiled(scatter)


def _loop(op: Op, dtype: str) -> Any:
    return loop_over(op, dtype, formula(op), op.name, dtype)


def loop_over(op: Op, dtype: str, value: Any, *key: str) -> Any:
    """The inner loop of a formula in NumPy's shape: void loop(char **args, intp *dims, intp *steps, void *data)."""
    run, gather, scatter = _runs(op, dtype, value, key)
    storage = _STORAGE[dtype]
    size = storage.bitwidth // 8
    nin = op.nin
    pointer, steps_type = types.CPointer(storage), types.CPointer(types.intp)

    def loop(args, dims, steps, data):  # type: ignore[no-untyped-def]
        n = dims[0]
        callers = enter_default()
        x, y, out = args[0], args[nin - 1], args[nin]
        x_step, y_step, out_step = steps[0], steps[nin - 1], steps[nin]
        whole, at_once = 0, BLOCK
        if nin == 2 and x_step == out_step and address(x) + x_step == address(out):
            at_once = 1  # reduce and accumulate read what the element before has written
        elif x_step == size and y_step == size and out_step == size:
            whole = n - n % BLOCK if n >= BLOCK else 0
            run(x, y, out, whole)
        if whole < n:
            x_block, y_block, out_block = buffer(x), buffer(x), buffer(x)
            for start in range(whole, n, at_once):
                take = min(at_once, n - start)
                padded = (take + 31) // 32 * 32
                for i in range(take, padded):
                    x_block[i] = 0
                gather(x_block, offset(x, start * x_step), x_step, take)
                if nin == 2:
                    for i in range(take, padded):
                        y_block[i] = 0
                    gather(y_block, offset(y, start * y_step), y_step, take)
                run(x_block, y_block, out_block, padded)
                scatter(offset(out, start * out_step), out_step, out_block, take)
        leave_default(callers)

    return c_callback(loop, ((types.CPointer(pointer), steps_type, steps_type, types.voidptr), types.void), *key)


_kept: list[Any] = []
"""What the ufuncs point to; NumPy copies none of it."""


def make_ufunc(op: Op, loops: dict[str, Any]) -> np.ufunc:
    """A ufunc of loops by dtype, made by NumPy's own PyUFunc_FromFuncAndData: Numba's maker of ufuncs marks the output as read too, so
    it fails under ``where`` and casts what an uninitialised ``out`` holds."""
    address_in = ctypes.pythonapi.PyCapsule_GetPointer
    address_in.restype, address_in.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    api = ctypes.cast(address_in(np._core._multiarray_umath._UFUNC_API, None), ctypes.POINTER(ctypes.c_void_p))
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    kinds = (pointer, pointer, text, number, number, number, number, text, text, number)
    make = ctypes.PYFUNCTYPE(ctypes.py_object, *kinds)(api[1])  # its place in NumPy's table, since 1.0
    functions, data = (pointer * len(loops))(*(loop.address for loop in loops.values())), (pointer * len(loops))()
    types_of = bytes(_NUMPY[dtype].num for dtype in loops for _ in range(op.nin + 1))
    name, doc, no_identity = op.name.encode(), f"{op.name}, compiled by Numba".encode(), -1
    _kept.append((loops, functions, data, types_of, name, doc))
    made: np.ufunc = make(ctypes.addressof(functions), ctypes.addressof(data), types_of, len(loops), op.nin, 1, no_identity, name, doc, 0)
    return made


def ufunc(name: str) -> np.ufunc:
    """The ufunc of this operation; compiles or loads its kernels at the first call."""
    found = _ufuncs.get(name)
    if found is None:
        with first_calls.LOCK:
            found = _ufuncs.get(name)
            if found is None:
                op = BY_NAME[name]
                found = _ufuncs[name] = make_ufunc(op, {dtype: _loop(op, dtype) for dtype in _NUMPY})
    return found


def loaded(name: str) -> np.ufunc | None:
    """The ufunc of this operation if this process has it already."""
    return _ufuncs.get(name)
