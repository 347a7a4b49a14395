"""The numbers in the formulas, each with where it comes from. The C library's are generated from these.

Imports nothing outside the standard library, because the build reads it too. Polynomial coefficients are printed by
``python tools/coefficients.py`` (Remez exchange with progressive rounding): low order first, with the error bound there.
"""

from __future__ import annotations

from math import inf, nan
from typing import NamedTuple

_hex = float.fromhex


class Constants(NamedTuple):
    """One real type's numbers; every float is exactly representable in that type."""

    mantissa: int
    """stored mantissa bits"""
    bias: int
    """exponent bias"""
    half_step: int
    """half of one exponent step in the bit pattern: rounds a difference of logarithms to the nearest integer"""
    root_step: int
    """(2 - sqrt 2) of a step: rounds a number to the power of two that is nearest in ratio, so that n ln 2 + log f cancels least"""
    magic: float
    """1.5 * 2^mantissa: adding it rounds to an integer, which then stands in the low bits"""
    magic_down: float
    """magic + bias - up_log2: the low bits are then the exponent field of 2^(n - up_log2)"""
    magic_up: float
    """magic + bias + up_log2, likewise for 2^(n + up_log2)"""
    down: float
    """2^-down_log2: the losses are weighed scaled up by its inverse, so that no weight meets a subnormal number"""
    down_up: float
    """down * 2^up_log2"""
    un_down_up: float
    """1 / down_up"""
    un_up: float
    """2^-up_log2: e^-|x| is kept scaled by 2^up_log2, so that it is a normal number for |x| <= a_max, and e^|x| by 2^-up_log2, so that
    it cannot overflow"""
    up: float
    """2^up_log2"""
    a_max: float
    """beyond this |x| every result has reached its limit: x e^-x rounds to 0"""
    a_far: float
    """up to this a, 2^up_log2 e^-a is a normal number; beyond it 2 a e^-a rounds to 0 with a weight of up to 2^30 too"""
    lift: float
    """2^lift_log2: makes every positive number, subnormals included, a normal one"""
    lift_log2: float
    odds_lift: float
    """carries every positive number, subnormals included, so far above odds_tiny that adding that changes nothing"""
    odds_tiny: float
    """its exponent field is one above that of odds_fall"""
    odds_fall: float
    """1.3125 times a power of two: 1.3125 sets where the nearest power of two changes, the power the exponent field of the result"""
    odds_unit: float
    """8/odds_lift"""
    ln2_step: float
    """ln 2, rounded, over 2^mantissa"""
    ln2_unit: float
    """ln2_step times the bit pattern of 2 odds_unit, exactly, for its exponent field is a power of two"""
    log2e: float
    """1 / ln 2, rounded"""
    ln2_hi: float
    """ln 2 rounded to so few bits that n * ln2_hi is exact for every n that occurs, and with it a - n * ln2_hi"""
    ln2_lo: float
    """ln 2 - ln2_hi, rounded"""
    expm1: tuple[float, ...]
    """e^r - 1 = r + r^2 p(r) on |r| <= ln(2)/2"""
    expm1_even: tuple[float, ...]
    expm1_odd: tuple[float, ...]
    """p(r) = even(r^2) + r odd(r^2): every second coefficient each"""
    log1p: tuple[float, ...]
    """log(1 + z) = z p(z) on [0, 1]"""
    log1p_rest: tuple[float, ...]
    """p(z) = 1 + z rest(z): all coefficients but the first"""
    by_quotient: int
    """1 where log(1 + e^-a) takes one division and the next four rows, 0 where it takes a polynomial: the division pays in float64, whose
    polynomial is long"""
    coth: tuple[float, ...]
    """r coth(r/2) = p(r^2) on |r| <= ln(2)/2, so that e^r = (p + r)/(p - r)"""
    near_atanh: tuple[float, ...]
    """log((1 + s)/(1 - s)) = 2 s + s^3 p(s^2) on |s| <= 0.1716"""
    half_log1p: float
    """log(1 + sqrt 2), rounded: there e^-a is sqrt 2 - 1, and log(1 + e^-a) half of log 2"""
    ln2: float
    """ln 2, rounded"""
    ln2_rest_up: float
    """2^up_log2 times what ln2 lacks, rounded"""
    atanh: tuple[float, ...]
    """log((1 + s)/(1 - s)) = 2 s + s^3 p(s^2) on |s| <= 0.2015"""
    two_atanh: tuple[float, ...]
    """log((1 + s)/(1 - s)) = s p(s^2) on |s| <= 0.2425"""
    half_tanh: tuple[float, ...]
    """tanh(b/2) = b/2 + b^3 p(b^2) on 0 <= b <= half_tanh_max"""
    half_tanh_max: float
    """just above ln 3, where tanh(b/2) is 1/2 and 1 - 2/(1 + e^b) gains a bit"""
    greatest: float
    """the greatest finite number"""
    magic_one: float
    """magic + bias: the low bits are then the exponent field of 2^n"""
    factor_near: float
    """the product of two numbers up to this, and of a few more factors of at most 1, never overflows"""
    gate_near: float
    """up to this |x| e^-|x| is a normal number"""
    half_gate_near: float
    """gate_near / 2, for the argument of a tanh, and for two numbers whose sum is that of a sigmoid"""
    quarter_gate_near: float
    """gate_near / 4, for two whose sum is the argument of a tanh"""
    gate_max: float
    """beyond this |x| e^-|x| times any two numbers rounds to 0"""
    near_log2: float
    """2^-near_log2 is far below what counts beside 1, and a normal number"""
    least_log2: float
    """a factor near 1 times 2 to the power of this rounds to 0, and half of the power is a normal number"""
    class_mask: int
    """the upper two bits of the exponent field"""
    class_step: float
    """2^-mantissa: makes an exponent of an exponent field"""
    class_top: float
    """divided by 2 to the power of a class it is what brings the numbers of that class near to 1"""
    class_top_log2: float
    zero: float = 0.0
    minus_zero: float = -0.0
    """adding it changes nothing, the sign of a zero included"""
    half: float = 0.5
    one: float = 1.0
    inf: float = inf
    nan: float = nan


_EXPM1_F32 = (
    _hex("0x1.fffffcp-2"),
    _hex("0x1.555492p-3"),
    _hex("0x1.5558b4p-5"),
    _hex("0x1.123998p-7"),
    _hex("0x1.6a48bcp-10"),
)  # max error 2^-28.25 of e^r; with the first fixed at 1/2 it is 2^-28.02, and sigmoid_grad 2.0034 ULP instead of 1.997

_LOG1P_F32 = (
    _hex("0x1p+0"),
    _hex("-0x1.ffffd2p-2"),
    _hex("0x1.554ddp-2"),
    _hex("-0x1.ff23e8p-3"),
    _hex("0x1.934b6ep-3"),
    _hex("-0x1.3a43e6p-3"),
    _hex("0x1.b4b0ep-4"),
    _hex("-0x1.d6b8c2p-5"),
    _hex("0x1.4923f4p-6"),
    _hex("-0x1.af66acp-9"),
)  # max relative error 2^-27.5

F32 = Constants(
    mantissa=23,
    bias=127,
    half_step=1 << 22,
    root_step=0x4AFB0D,
    magic=1.5 * 2.0**23,
    magic_down=1.5 * 2.0**23 + 127 - 64,
    magic_up=1.5 * 2.0**23 + 127 + 64,
    down=2.0**-30,
    down_up=2.0**34,
    un_down_up=2.0**-34,
    un_up=2.0**-64,
    up=2.0**64,
    a_max=109.0,
    a_far=131.0,
    lift=2.0**24,
    lift_log2=24.0,
    odds_lift=2.0**67,
    odds_tiny=2.0**-124,
    odds_fall=1.3125 * 2.0**-125,
    odds_unit=2.0**-64,
    ln2_step=_hex("0x1.62e43p-24"),  # as good as 28 bits: ln 2 happens to continue with zeros
    ln2_unit=_hex("0x1.62e43p+5"),
    log2e=_hex("0x1.715476p+0"),
    ln2_hi=_hex("0x1.62e4p-1"),  # 16 bits
    ln2_lo=_hex("0x1.7f7d1cp-20"),
    expm1=_EXPM1_F32,
    expm1_even=_EXPM1_F32[0::2],
    expm1_odd=_EXPM1_F32[1::2],
    log1p=_LOG1P_F32,
    log1p_rest=_LOG1P_F32[1:],
    by_quotient=0,
    coth=(
        _hex("0x1p+1"),
        _hex("0x1.555514p-3"),
        _hex("-0x1.6a8bccp-9"),
    ),  # max error 2^-30.81 of e^r
    near_atanh=(
        _hex("0x1.55557ap-1"),
        _hex("0x1.995ed6p-2"),
        _hex("0x1.31e098p-2"),
    ),  # max relative error 2^-30.21
    half_log1p=_hex("0x1.c34366p-1"),
    ln2=_hex("0x1.62e43p-1"),
    ln2_rest_up=_hex("-0x1.05c61p+35"),
    atanh=(
        _hex("0x1.5555b8p-1"),
        _hex("0x1.992778p-2"),
        _hex("0x1.373192p-2"),
    ),  # max relative error 2^-28.3
    two_atanh=(
        _hex("0x1p+1"),
        _hex("0x1.55568ap-1"),
        _hex("0x1.98a3c2p-2"),
        _hex("0x1.401984p-2"),
    ),  # max relative error 2^-26.14
    half_tanh=(
        _hex("-0x1.55554ap-5"),
        _hex("0x1.110cecp-8"),
        _hex("-0x1.b91df4p-12"),
        _hex("0x1.58df62p-15"),
        _hex("-0x1.98fbacp-19"),
    ),  # max relative error 2^-29.69
    half_tanh_max=1.109375,
    greatest=_hex("0x1.fffffep+127"),
    magic_one=1.5 * 2.0**23 + 127,
    factor_near=2.0**56,
    gate_near=80.0,
    half_gate_near=40.0,
    quarter_gate_near=20.0,
    gate_max=300.0,
    near_log2=120.0,
    least_log2=-250.0,
    class_mask=0x60000000,
    class_step=2.0**-23,
    class_top=2.0**96,
    class_top_log2=96.0,
)

_EXPM1_F64 = (
    _hex("0x1p-1"),
    _hex("0x1.5555555555501p-3"),
    _hex("0x1.55555555531cdp-5"),
    _hex("0x1.11111111289ap-7"),
    _hex("0x1.6c16c17cd81cep-10"),
    _hex("0x1.a01a011bdadp-13"),
    _hex("0x1.a019aae3e8bcbp-16"),
    _hex("0x1.71df55774c115p-19"),
    _hex("0x1.289fdaad15772p-22"),
    _hex("0x1.ad20999b06a09p-26"),
)  # max error 2^-57.4 of e^r

_LOG1P_F64 = (
    _hex("0x1p+0"),
    _hex("-0x1.fffffffffff9fp-2"),
    _hex("0x1.555555555105p-2"),
    _hex("-0x1.fffffffdd494cp-3"),
    _hex("0x1.99999951f9458p-3"),
    _hex("-0x1.55554fbe4871ep-3"),
    _hex("0x1.2491fed899136p-3"),
    _hex("-0x1.fffa8bbd33877p-4"),
    _hex("0x1.c6f6a7d01c98p-4"),
    _hex("-0x1.98d294e9442e2p-4"),
    _hex("0x1.712df00f6359ap-4"),
    _hex("-0x1.4b0210faab3bcp-4"),
    _hex("0x1.202dd29e4d463p-4"),
    _hex("-0x1.d710f2c86192ep-5"),
    _hex("0x1.5a88b4f6442c5p-5"),
    _hex("-0x1.b631a173586d5p-6"),
    _hex("0x1.c57dbf5b77dd1p-7"),
    _hex("-0x1.6b4d1dd8e5246p-8"),
    _hex("0x1.a25a2ada5c381p-10"),
    _hex("-0x1.31f745d6e2905p-12"),
    _hex("0x1.a9040b577525cp-16"),
)  # max relative error 2^-56.6

F64 = Constants(
    mantissa=52,
    bias=1023,
    half_step=1 << 51,
    root_step=0x95F619980C434,
    magic=1.5 * 2.0**52,
    magic_down=1.5 * 2.0**52 + 1023 - 128,
    magic_up=1.5 * 2.0**52 + 1023 + 128,
    down=2.0**-64,
    down_up=2.0**64,
    un_down_up=2.0**-64,
    un_up=2.0**-128,
    up=2.0**128,
    a_max=752.0,
    a_far=796.0,
    lift=2.0**53,
    lift_log2=53.0,
    odds_lift=2.0**515,
    odds_tiny=2.0**-1020,
    odds_fall=1.3125 * 2.0**-1021,
    odds_unit=2.0**-512,
    ln2_step=_hex("0x1.62e42fefa39efp-53"),
    ln2_unit=_hex("0x1.62e42fefa39efp+8"),
    log2e=_hex("0x1.71547652b82fep+0"),
    ln2_hi=_hex("0x1.62e42fefa38p-1"),  # 42 bits
    ln2_lo=_hex("0x1.ef35793c7673p-45"),
    expm1=_EXPM1_F64,
    expm1_even=_EXPM1_F64[0::2],
    expm1_odd=_EXPM1_F64[1::2],
    log1p=_LOG1P_F64,
    log1p_rest=_LOG1P_F64[1:],
    by_quotient=1,
    coth=(
        _hex("0x1p+1"),
        _hex("0x1.555555555552dp-3"),
        _hex("-0x1.6c16c16bd9c47p-9"),
        _hex("0x1.1566aabf9f24cp-14"),
        _hex("-0x1.bbd3a82380e19p-20"),
        _hex("0x1.6347bc9ffdb6bp-25"),
    ),  # max error 2^-62.28 of e^r
    near_atanh=(
        _hex("0x1.5555555555592p-1"),
        _hex("0x1.999999997ff1bp-2"),
        _hex("0x1.24924941e1b2dp-2"),
        _hex("0x1.c71c521375663p-3"),
        _hex("0x1.74663d3c2d221p-3"),
        _hex("0x1.39a1dd4177478p-3"),
        _hex("0x1.2f045354ca0b1p-3"),
    ),  # max relative error 2^-59.49
    half_log1p=_hex("0x1.c34366179d427p-1"),
    ln2=_hex("0x1.62e42fefa39efp-1"),
    ln2_rest_up=_hex("0x1.abc9e3b39803fp+72"),
    atanh=(
        _hex("0x1.55555555557bp-1"),
        _hex("0x1.99999998e1443p-2"),
        _hex("0x1.249249bcf9751p-2"),
        _hex("0x1.c71bfa7e5b03p-3"),
        _hex("0x1.7475fc4fe6d4bp-3"),
        _hex("0x1.383cea9d5e8d5p-3"),
        _hex("0x1.3b67f3e6d548dp-3"),
    ),  # max relative error 2^-55.7
    two_atanh=(
        _hex("0x1p+1"),
        _hex("0x1.55555555554c2p-1"),
        _hex("0x1.99999999c112fp-2"),
        _hex("0x1.24924907aed8cp-2"),
        _hex("0x1.c71c86317ceabp-3"),
        _hex("0x1.74591c46fe5d3p-3"),
        _hex("0x1.3b86ef326049fp-3"),
        _hex("0x1.0993776deda53p-3"),
        _hex("0x1.326919cc380d5p-3"),
    ),  # max relative error 2^-57.56
    half_tanh=(
        _hex("-0x1.555555555547ep-5"),
        _hex("0x1.1111111100608p-8"),
        _hex("-0x1.ba1ba1abbffaep-12"),
        _hex("0x1.664f457213cb9p-15"),
        _hex("-0x1.226dd4cf2a079p-18"),
        _hex("0x1.d6c50c1d12734p-22"),
        _hex("-0x1.7ce926a9be59p-25"),
        _hex("0x1.2f6386c411e28p-28"),
        _hex("-0x1.b76cad4fb528ep-32"),
        _hex("0x1.a786f94e5d857p-36"),
    ),  # max relative error 2^-55.22
    half_tanh_max=1.109375,
    greatest=_hex("0x1.fffffffffffffp+1023"),
    magic_one=1.5 * 2.0**52 + 1023,
    factor_near=2.0**500,
    gate_near=680.0,
    half_gate_near=340.0,
    quarter_gate_near=170.0,
    gate_max=2200.0,
    near_log2=1000.0,
    least_log2=-2040.0,
    class_mask=0x6000000000000000,
    class_step=2.0**-52,
    class_top=2.0**768,
    class_top_log2=768.0,
)


class RoundedConstants(NamedTuple):
    """The numbers of ``rounded.py``, all of float64; those of the same name are as above."""

    mantissa: int
    half_step: int
    magic: float
    """1.5 * 2^mantissa + 1023: adding it rounds to an integer, and the low bits are then the exponent field of 2^n"""
    bias: float
    step: float
    """2^-mantissa: makes an exponent of an exponent field"""
    x_max: float
    """beyond this |x| every result has reached its limit in float32"""
    x_near: float
    """from this |x| on sigmoid(x) is not so near to 1/2 + x/4 that float64 rounds it to that"""
    log2e: float
    ln2: float
    coth: tuple[float, ...]
    """r coth(r/2) = p(r^2) on |r| <= ln(2)/2"""
    coth_exact: tuple[float, ...]
    """the same to the last bit, where the result is small beside 1"""
    atanh: tuple[float, ...]
    log1p_half: float
    """log(1 + sqrt 2): for |x| below it log(1 + e^-|x|) is nearer to ln 2 than to 0"""
    unit: float
    """2^-mantissa: one more or less in the last place of a number"""
    least: float
    """a quarter of the last place that a half of the least normal float32 has in float64"""
    softplus_tie: float
    """where the result is so near to the middle of two float32 numbers that its float64 number is that middle"""
    softplus_at_tie: float
    """the float32 number that is the nearer one"""
    logit_tie: float
    logit_at_tie: float
    minus_zero: float = -0.0
    half: float = 0.5
    one: float = 1.0
    inf: float = inf
    nan: float = nan


ROUNDED = RoundedConstants(
    mantissa=52,
    half_step=1 << 51,
    magic=1.5 * 2.0**52 + 1023,
    bias=1023.0,
    step=2.0**-52,
    x_max=120.0,
    x_near=2.0**-9,
    log2e=F64.log2e,
    ln2=F64.ln2,
    coth=(
        _hex("0x1.0000000000019p+1"),
        _hex("0x1.5555555544fe4p-3"),
        _hex("-0x1.6c16c0ad76e56p-9"),
        _hex("0x1.1564e64d2732cp-14"),
        _hex("-0x1.b8274858506f7p-20"),
    ),  # max error 2^-52.31 of e^r
    coth_exact=F64.coth,  # max error 2^-62.28 of e^r
    atanh=F64.atanh,  # max relative error 2^-55.7
    log1p_half=F64.half_log1p,
    unit=2.0**-52,
    least=2.0**-178,
    softplus_tie=_hex("0x1.d483ap-12"),
    softplus_at_tie=_hex("0x1.63017ap-1"),
    logit_tie=_hex("0x1.13986cp-22"),
    logit_at_tie=_hex("-0x1.e59d8ap+3"),
)
