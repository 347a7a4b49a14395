"""Where rounding the float32 result does not give the correctly rounded half, and what does: bit patterns, by op and type.

There the exact value lies so near the middle between two halves that float32 cannot tell on which side. Printed by
``python tools/half_patches.py``; a test proves the outcome for all 65,536 inputs.

Imports nothing, because the build of the C library reads it too.
"""

PATCHES: dict[str, dict[str, dict[int, int]]] = {
    "sigmoid": {
        "f16": {0x1A00: 0x3801, 0x1F00: 0x3803, 0x2180: 0x3805, 0x9F80: 0x37F9, 0xA140: 0x37F6, 0xA1C0: 0x37F5, 0xB13F: 0x3758},
    },
    "sigmoid_grad": {
        "f16": {0x2F38: 0x33F9, 0x3988: 0x331D, 0x3B72: 0x327D, 0xAF38: 0x33F9, 0xB988: 0x331D, 0xBB72: 0x327D},
    },
    "log_sigmoid": {"f16": {0x0430: 0xB98B}},
    "softplus": {"f16": {0x8430: 0x398B}},
    "logit": {"f16": {0x1085: 0xC781}, "bf16": {0x35E5: 0xC155}},
    "silu": {"f16": {0x0001: 0x0001}},
    "silu_grad": {"f16": {0x1600: 0x3801, 0x1B00: 0x3803, 0x1D80: 0x3805, 0x1F80: 0x3807, 0xBDD2: 0xA85B}},
    "tanh_grad": {
        "f16": {0x2B38: 0x3BF9, 0x3588: 0x3B1D, 0x3772: 0x3A7D, 0xAB38: 0x3BF9, 0xB588: 0x3B1D, 0xB772: 0x3A7D},
    },
}

JUST_ABOVE_HALF: dict[str, dict[str, int]] = {"silu": {"bf16": 0x0100}}
"""For bit patterns of a magnitude below this the result is x/2 and a little more (silu(x) = x/2 + x^2/4 + ...): where x/2 lies
in the middle between two halves, the upper one is right."""
