"""Scalar primitives with one meaning on every machine; twin of ``cext/formulas/prims.h``.

The formulas use these names instead of operators, so that nothing is left that a compiler may contract or reorder. Here they
are plain Python on NumPy scalars, exact and slow; ``fastsig.kernels.numba.primitives`` says what each becomes in machine code.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, TypeVar

import numpy as np

from .constants import F32, F64, Constants, RoundedConstants
from .constants import ROUNDED as _ROUNDED

Real = Any
"""np.float32 or np.float64; a Python number beside one takes its type"""
Int = Any
"""np.int32 or np.int64, as wide as the real"""

_INT_OF = {np.float32: np.int32, np.float64: np.int64}
_REAL_OF = {np.int32: np.float32, np.int64: np.float64}
_Table = TypeVar("_Table", Constants, RoundedConstants)


def _typed(table: _Table, real: type, integer: type) -> _Table:
    def typed(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(real, value))
        return integer(value) if isinstance(value, int) else real(value)

    return type(table)(*map(typed, table))


CONSTANTS_F32 = _typed(F32, np.float32, np.int32)
CONSTANTS_F64 = _typed(F64, np.float64, np.int64)
ROUNDED = _typed(_ROUNDED, np.float64, np.int64)


def constants(x: Real) -> Constants:
    """The constants of x's type, in that type."""
    return CONSTANTS_F32 if isinstance(x, np.float32) else CONSTANTS_F64


def _real_type(*values: Any) -> type:
    return np.float32 if any(isinstance(v, np.float32) for v in values) else np.float64


def _rounded(exact: Fraction, real: type) -> Real:
    """The nearest number of this type, ties to even, subnormals included; not for 0."""
    info = np.finfo(real)
    magnitude = abs(exact)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    exponent -= magnitude < Fraction(2) ** exponent
    step = Fraction(2) ** (max(exponent, int(info.minexp)) - int(info.nmant))
    nearest = math.ldexp(round(magnitude / step), max(exponent, int(info.minexp)) - int(info.nmant))
    return real(-nearest if exact < 0 else nearest)


def fma(a: Real, b: Real, c: Real) -> Real:
    """a*b + c, rounded once."""
    real = _real_type(a, b, c)
    if not all(math.isfinite(v) for v in (a, b, c)):
        return real(float(a) * float(b) + float(c))
    exact = Fraction(float(a)) * Fraction(float(b)) + Fraction(float(c))
    return _rounded(exact, real) if exact else real(float(a) * float(b) + float(c))


def add(a: Real, b: Real) -> Real:
    real = _real_type(a, b)
    return real(a) + real(b)


def sub(a: Real, b: Real) -> Real:
    real = _real_type(a, b)
    return real(a) - real(b)


def mul(a: Real, b: Real) -> Real:
    real = _real_type(a, b)
    return real(a) * real(b)


def div(a: Real, b: Real) -> Real:
    real = _real_type(a, b)
    return real(a) / real(b)


def neg(a: Real) -> Real:
    return -a


def absolute(a: Real) -> Real:
    return np.abs(a)


def select(condition: bool, a: Real, b: Real) -> Real:
    """a where the condition holds, else b; both are computed."""
    return _real_type(a, b)(a if condition else b)


def at_most(a: Real, b: Real) -> Real:
    """a, but no more than b; NaN where a is."""
    return select(a > b, b, a)


def bits(x: Real) -> Int:
    return x.view(_INT_OF[type(x)])


def unbits(i: Int) -> Real:
    return i.view(_REAL_OF[type(i)])


def _wrapped(value: int, like: Int) -> Int:
    width = like.dtype.itemsize * 8
    return type(like)((value + (1 << (width - 1))) % (1 << width) - (1 << (width - 1)))


def shl(i: Int, n: int) -> Int:
    return _wrapped(int(i) << int(n), i)


def shr(i: Int, n: int) -> Int:
    """Arithmetic shift: rounds down."""
    return _wrapped(int(i) >> int(n), i)


def iadd(i: Int, j: Int) -> Int:
    return _wrapped(int(i) + int(j), i)


def isub(i: Int, j: Int) -> Int:
    return _wrapped(int(i) - int(j), i)


def iand(i: Int, j: Int) -> Int:
    return i & type(i)(j)


def to_real(i: Int) -> Real:
    """i as a real; an int64 must be a multiple of 2^32, which any processor can convert."""
    return _REAL_OF[type(i)](int(i))


def horner(c: tuple[Real, ...], x: Real) -> Real:
    """c[0] + c[1] x + ... + c[n-1] x^(n-1), one fma a step from the top."""
    p = type(x)(c[-1])
    for coefficient in reversed(c[:-1]):
        p = fma(p, x, coefficient)
    return p
