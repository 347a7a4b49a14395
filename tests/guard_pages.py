"""Arrays that end, or begin, where memory ends: a kernel that reads or writes an element too far stops the process."""

from __future__ import annotations

import ctypes
import itertools
import mmap
from collections.abc import Iterator
from typing import Any

import numpy as np

import fastsig as fs
from fastsig.dispatch.availability import ufunc_of
from fastsig.ops import OPS

Array = np.ndarray[Any, Any]
LENGTHS = range(201)
FLOATS = ("f2", "f4", "f8")
PAGE = mmap.PAGESIZE
ROOM = 2 * PAGE
NEAR, FAR = (1, 2), (1, 2, 3, 4)
"""Steps between elements: the C library has shuffles for each of them."""
_NO_ACCESS = 0
_kept: list[Any] = []


def _between_guards() -> int:
    """The address of room that can be used, with a page before and one behind it that cannot."""
    memory = mmap.mmap(-1, ROOM + 2 * PAGE)
    _kept.append(memory)
    at = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    for page in (at, at + PAGE + ROOM):
        if protect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), _NO_ACCESS):
            raise OSError(ctypes.get_errno(), "mprotect")
    return at + PAGE


def arrays(base: int, dtype: Any, length: int, steps: tuple[int, ...] = NEAR) -> Iterator[Array]:
    """Arrays of this length that touch a guard: side by side, with gaps between elements, and backwards."""
    dtype = np.dtype(dtype)
    for step in steps:
        size = max(length * step - (step - 1), 0) * dtype.itemsize
        for at in (base, base + ROOM - size):
            whole = np.frombuffer((ctypes.c_char * size).from_address(at), dtype) if size else np.zeros(0, dtype)
            yield whole[::step]
            yield whole[::-step]


def functions(backend: str) -> int:
    """How many calls."""
    count, x_page, out_page = 0, _between_guards(), _between_guards()
    for length, dtype in itertools.product(LENGTHS, FLOATS):
        for x in arrays(x_page, dtype, length, FAR):
            x[...] = np.linspace(0.01, 0.99, length)
            for out in arrays(out_page, dtype, length):
                for op in OPS:
                    ufunc_of(backend, op.name)(*[x] * op.nin, out=out)
                    count += 1
    return count


def bfloat16(backend: str) -> int:
    """By the C library, which alone serves arrays of ml_dtypes."""
    from ml_dtypes import bfloat16 as element

    count, x_page, out_page = 0, _between_guards(), _between_guards()
    fs.sigmoid(np.zeros(1, element))
    for length in LENGTHS:
        for x, out in itertools.product(list(arrays(x_page, element, length, FAR)), list(arrays(out_page, element, length))):
            x[...] = 0.5
            for op in OPS:
                ufunc_of(backend, op.name)(*[x] * op.nin, out=out)
                count += 1
    return count


def masked(backend: str) -> int:
    count, x_page, out_page, mask_page = 0, _between_guards(), _between_guards(), _between_guards()
    for length, dtype in itertools.product(LENGTHS, FLOATS):
        for x, out, mask in zip(
            arrays(x_page, dtype, length), arrays(out_page, dtype, length), arrays(mask_page, "?", length), strict=True
        ):
            x[...], mask[...] = 0.5, np.arange(length) % 3 == 0
            fs.sigmoid(x, where=mask, out=out, backend=backend)
            fs.sigmoid(mask, backend=backend)
            count += 2
    return count


def matrices(base: int, dtype: Any, rows: int, columns: int) -> Iterator[Array]:
    """Matrices that touch a guard: in C order, in Fortran order, and with rows backwards."""
    size = rows * columns * np.dtype(dtype).itemsize
    for at in (base, base + ROOM - size):
        whole = np.frombuffer((ctypes.c_char * size).from_address(at), dtype)
        yield whole.reshape(rows, columns)
        yield whole.reshape(columns, rows).T
        yield whole.reshape(rows, columns)[::-1]


def layouts(backend: str) -> int:
    """Matrices of one order into those of another, and elements that are not aligned or in the other byte order."""
    count, x_page, out_page = 0, _between_guards(), _between_guards()
    for rows, columns, dtype in itertools.product((1, 2, 3, 8, 15, 16, 17, 31, 32, 33, 40), (1, 2, 5, 8, 9, 16, 23, 24, 25), FLOATS):
        for x in matrices(x_page, dtype, rows, columns):
            x[...] = np.linspace(0.01, 0.99, columns)
            for out in matrices(out_page, dtype, rows, columns):
                fs.sigmoid(x, out=out, backend=backend)
                count += 1
        other = np.dtype(dtype).newbyteorder()
        for x in matrices(x_page, other, rows, columns):
            x[...] = np.linspace(0.01, 0.99, columns)
            for out in matrices(out_page, dtype, rows, columns):
                fs.sigmoid(x, out=out, backend=backend)
                count += 1
        size = rows * columns
        for at in (x_page + 1, x_page + ROOM - 1 - size * other.itemsize):
            x = np.frombuffer((ctypes.c_char * (size * other.itemsize)).from_address(at), dtype)
            x[...] = 0.5
            fs.sigmoid(x, backend=backend)
            fs.sigmoid(x, out=x, backend=backend)
            count += 2
    return count


def losses(backend: str) -> int:
    count, pages = 0, [_between_guards() for _ in range(4)]
    for length, dtype in itertools.product(LENGTHS[1:], FLOATS):
        for x, t, weight, grad in zip(*(arrays(page, dtype, length) for page in pages), strict=True):
            x[...], t[...], weight[...] = np.linspace(0.01, 0.99, length), 1, 2
            fs.bce_with_logits_value_and_grad(x, t, grad_out=grad, backend=backend)
            fs.bce_with_logits_value_and_grad(x, t, weight=weight, reduction="none", out=weight, grad_out=grad, backend=backend)
            fs.bce_with_logits_grad_hess(x, t, pos_weight=weight, grad_out=grad, hess_out=x, backend=backend)
            fs.bce(t, t, weight=weight, reduction="sum", backend=backend)
            fs.sigmoid_focal_loss_value_and_grad(x, t, gamma=1.5, grad_out=grad, backend=backend)
            x[...], t[...] = 0.5, 1
            fs.sigmoid_focal_loss_grad_hess(x, t, gamma=1.5, alpha=x, grad_out=grad, hess_out=x, backend=backend)
            count += 6
    return count
