"""Print the table of fastsig/formulas/halves.py: for which half inputs is the rounded float32 result not the correctly rounded one?

Run as ``python tools/half_patches.py`` after any change of a float32 formula. The exact value is mpmath's.
"""

import ml_dtypes
import mpmath
import numpy as np

import fastsig as fs
from fastsig.formulas.halves import JUST_ABOVE_HALF
from fastsig.ops import OPS

TYPES = {"f16": np.float16, "bf16": ml_dtypes.bfloat16}
mpmath.mp.prec = 400


def correctly_rounded(exact: mpmath.mpf, real: type) -> float:
    """The nearest half, ties to even."""
    info = ml_dtypes.finfo(real)
    if exact == 0:
        return 0.0
    exponent = max(mpmath.frexp(exact)[1] - 1, int(info.minexp))
    step = mpmath.ldexp(1, exponent - int(info.nmant))
    return float(mpmath.nint(exact / step) * step)


def near_a_tie(value: np.ndarray, real: type) -> np.ndarray:
    """Whether another half is within reach of a float32 error of 8 ULP around these float32 results."""
    with np.errstate(over="ignore"):
        low = (value * np.float32(1 - 2.0**-21)).astype(real).view(np.uint16)
        high = (value * np.float32(1 + 2.0**-21)).astype(real).view(np.uint16)
    tiny = np.abs(value) < 2.0**-120
    return np.isfinite(value) & (value != 0) & ((low != high) | tiny)


def patches(op, name: str, real: type) -> dict[int, int]:
    every = np.arange(65536, dtype=np.uint16)
    x = every.view(real).astype(np.float32)
    rounded = getattr(fs.ufuncs, op.name)(x)
    found = {}
    ruled = (every & 0x7FFF) < JUST_ABOVE_HALF.get(op.name, {}).get(name, 0)
    for i in np.flatnonzero(near_a_tie(rounded, real) & ~ruled):
        exact = op.exact(mpmath.mp, mpmath.mpf(float(x[i])))
        right = np.array(correctly_rounded(exact, real)).astype(real)
        if right.view(np.uint16) & 0x7FFF != rounded[i].astype(real).view(np.uint16) & 0x7FFF:
            found[int(i)] = int(np.copysign(right, rounded[i]).view(np.uint16) if right == 0 else right.view(np.uint16))
    return found


for op in OPS:
    if op.nin == 1:
        for name, real in TYPES.items():
            found = patches(op, name, real)
            if found:
                pairs = ", ".join(f"0x{a:04X}: 0x{b:04X}" for a, b in found.items())
                print(f'"{op.name}", "{name}": {{{pairs}}}', flush=True)
