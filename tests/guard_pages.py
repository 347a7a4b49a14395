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
_NO_ACCESS = 0
_kept: list[Any] = []


def _between_guards() -> int:
    """The address of one page that can be used, with one before and one behind it that cannot."""
    memory = mmap.mmap(-1, 3 * PAGE)
    _kept.append(memory)
    at = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    for page in (at, at + 2 * PAGE):
        if protect(ctypes.c_void_p(page), ctypes.c_size_t(PAGE), _NO_ACCESS):
            raise OSError(ctypes.get_errno(), "mprotect")
    return at + PAGE


def arrays(base: int, dtype: Any, length: int) -> Iterator[Array]:
    """Arrays of this length that touch a guard: side by side, at every other element, and backwards."""
    dtype = np.dtype(dtype)
    for step in (1, 2):
        size = max(length * step - (step - 1), 0) * dtype.itemsize
        for at in (base, base + PAGE - size):
            whole = np.frombuffer((ctypes.c_char * size).from_address(at), dtype) if size else np.zeros(0, dtype)
            yield whole[::step]
            yield whole[::-step]


def functions(backend: str) -> int:
    """How many calls."""
    count, x_page, out_page = 0, _between_guards(), _between_guards()
    for length, dtype in itertools.product(LENGTHS, FLOATS):
        for x in arrays(x_page, dtype, length):
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
        for x, out in itertools.product(list(arrays(x_page, element, length)), list(arrays(out_page, element, length))):
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
