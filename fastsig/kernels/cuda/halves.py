"""The elementwise operations on halves: in float32, by quotients that are quicker than one of float32 may be.

A half keeps 11 bits of float32's 24, a bfloat16 8. So a quotient may be an ULP off: nearly every result still rounds to the right
half. A few exact values lie too near the middle between two halves; where the quotient is multiplied by a neighbour of 1, fewer do.
Those that are left are exchanged. The tests run all 65,536 inputs, with reciprocals of every error that the hardware may make.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir

from fastsig.formulas.halves import JUST_ABOVE_HALF
from fastsig.kernels.cuda import elements as el
from fastsig.kernels.cuda.tracing import Traced, near

_ONE = {
    ("sigmoid", "f16"): 1 + 2.0**-23,
    ("sigmoid_grad", "f16"): 1 - 2.0**-24,
    ("silu_grad", "f16"): 1 + 2.0**-23,
    ("silu_grad", "bf16"): 1 + 2.0**-23,
    ("tanh_grad", "f16"): 1 - 2.0**-24,
}
"""What quotients are multiplied by."""
_EXCHANGED: dict[tuple[str, str], dict[int, int]] = {
    ("sigmoid", "f16"): {0xB13F: 0x3758},
    ("sigmoid_grad", "f16"): {0x2F38: 0x33F9, 0xAF38: 0x33F9},
    ("log_sigmoid", "f16"): {0x0430: 0xB98B},
    ("softplus", "f16"): {0x8430: 0x398B},
    ("logit", "f16"): {0x1085: 0xC781},
    ("logit", "bf16"): {0x35E5: 0xC155},
    ("silu", "f16"): {0x0001: 0x0001, 0xC173: 0xB15D},
    ("silu_grad", "f16"): {0xB499: 0x35BB, 0xBA71: 0x3062, 0xBD5C: 0xA291, 0xBDD2: 0xA85B, 0xC563: 0xA516},
    ("tanh_grad", "f16"): {0x2B38: 0x3BF9, 0xAB38: 0x3BF9},
}
"""The right results, as bit patterns, by those of the inputs."""
_LEAST_F32 = 2.0**-149


def result(builder: Any, op: str, dtype: str, x: Any) -> Any:
    """A float32 that rounds to the right half, of a float32 that a half was."""
    given = Traced(builder, x)
    names = near(_ONE.get((op, dtype), 1.0))
    value = (_silu_grad(names, given) if op == "silu_grad" else names[op](given)).code
    exchanged = _EXCHANGED.get((op, dtype), {})
    for word, right in exchanged.items():
        opposite = exchanged.get(word ^ 0x8000)
        if opposite != right:
            value = builder.select(builder.fcmp_ordered("==", x, _real(word, dtype)), _real(right, dtype), value)
        elif word < 0x8000:  # an even function: one comparison for both
            magnitude = near(1.0)["absolute"](given).code
            value = builder.select(builder.fcmp_ordered("==", magnitude, _real(word, dtype)), _real(right, dtype), value)
    limit = JUST_ABOVE_HALF.get(op, {}).get(dtype, 0)
    return _just_above_half(builder, x, value, limit) if limit else value


def _silu_grad(names: dict[str, Any], x: Any) -> Any:
    """As ``logistic.silu_grad``, without the low part of w, which no half would show."""
    k = names["constants"](x)
    a = names["magnitude"](x)
    w = names["tail"](a, k.un_up)
    w = names["mul"](w, names["fma"](a, w, names["sub"](1, a)))
    return names["select"](x >= 0, names["sub"](1, w), w)


def _real(word: int, dtype: str) -> Any:
    """A half as a constant of float32."""
    bits = np.uint32(word << 16).view(np.float32) if dtype == "bf16" else np.float32(np.uint16(word).view(np.float16))
    return ir.Constant(el.F32, float(bits))


def _just_above_half(builder: Any, x: Any, value: Any, limit: int) -> Any:
    """x/2 and a little more for bfloat16 of bit patterns below the limit: where it lies in the middle, the upper one is right. Zeros keep
    their sign."""
    magnitude = builder.and_(builder.bitcast(x, el.I32), el.I32(0x7FFFFFFF))
    is_small = builder.icmp_unsigned("<", builder.sub(magnitude, el.I32(1)), el.I32((limit << 16) - 1))
    above = builder.fma(x, ir.Constant(el.F32, 0.5), ir.Constant(el.F32, _LEAST_F32))
    return builder.select(is_small, above, value)
