"""Where to look: every exponent, the crowded middle, and the places where formulas tend to break."""

from __future__ import annotations

import numpy as np

from fastsig.measure.formats import Array, Format
from fastsig.ops import Op

PLACES = {
    "real": (0.0, 1.2784645427610738, 0.6931471805599453, 1.0, 17.33, 36.74, 87.34, 88.72, 103.98, 708.4, 744.44, 745.13),
    "unit": (0.0, 0.25, 0.5, 0.75, 1.0),
}
"""zero and the identity, the zero of silu_grad, ln 2, where 1 - sigmoid vanishes, where e^-x turns subnormal and 0; and for p: 0, 1, the
change of branch, and 1/2, where logit crosses zero"""
OWN_PLACES = {
    "tanh": (0.5546875, 9.0109, 19.0615),
    "tanh_grad": (44.3614, 52.6792, 354.8913, 373.2598),
}
"""those of one operation: the change of branch, where tanh reaches 1, where its derivative turns subnormal and 0"""
SOFT = (0.5, 0.1, 0.9, 1e-3, 0.999, 2.0**-14, 1 / 3)


def places(op: Op) -> tuple[float, ...]:
    return PLACES[op.domain] + OWN_PLACES.get(op.name, ())


def _neighbourhoods(op: Op, fmt: Format, reach: int) -> Array:
    top = fmt.inf_bits
    steps = np.arange(-reach, reach + 1)
    centres = fmt.bits(np.array(places(op)).astype(fmt.dtype)).astype(np.int64)
    bits = (centres[:, None] + steps).ravel()
    return np.clip(bits, 0, top).astype(np.uint64)


def sample(op: Op, fmt: Format, count: int, seed: int = 20240229) -> Array:
    """About ``count`` inputs; all 65,536 for the 16-bit formats. Some are NaN, infinite, or outside the domain."""
    if fmt.width == 16:
        return fmt.values(np.arange(1 << 16))
    random = np.random.default_rng(seed)
    top = fmt.inf_bits
    quarter = count // 4
    one = int(fmt.bits(np.array([1.0], fmt.dtype))[0])
    near_one = 60 << fmt.mantissa
    if op.domain == "unit":
        bits = [random.integers(0, one + 1, quarter, np.uint64), random.integers(one - near_one, one + 1, quarter, np.uint64)]
        p = random.uniform(0.0, 1.0, quarter)
        p = np.concatenate([p, 1 - np.ldexp(random.uniform(0.5, 1.0, quarter), -random.integers(0, fmt.mantissa + 2, quarter))])
        bits += [fmt.bits(p.astype(fmt.dtype)), _neighbourhoods(op, fmt, 2000)]
        outside = fmt.bits(np.array([-0.0, -1e-300, -0.5, -1.0, 1.5, 2.0, np.inf, -np.inf, np.nan]).astype(fmt.dtype))
        return fmt.values(np.concatenate([*bits, outside]))
    edge = 110.0 if fmt.name == "float32" else 750.0
    places = [
        random.integers(0, top + 1, quarter // 2, np.uint64),
        random.integers(one - near_one, one + (10 << fmt.mantissa), quarter, np.uint64),
    ]
    middle = np.concatenate(
        [random.normal(0, 3, quarter), random.uniform(0, edge, quarter), random.uniform(0.8 * edge, edge, quarter // 2)]
    )
    places += [fmt.bits(np.abs(middle).astype(fmt.dtype)), _neighbourhoods(op, fmt, 2000)]
    bits_ = np.concatenate([np.asarray(p, np.uint64) for p in places]).astype(fmt.integer)
    both = np.concatenate([bits_[: len(bits_) // 2], bits_[len(bits_) // 2 :] | fmt.integer.type(fmt.sign), bits_[-len(places[-1]) :]])
    return np.concatenate([fmt.values(both), np.array([np.nan, np.inf, -np.inf]).astype(fmt.dtype)])


def spread(op: Op, fmt: Format, count: int, seed: int) -> Array:
    """count finite float64 inputs with a finite exact result: every exponent, and at every distance from the hard places."""
    random = np.random.default_rng([seed, op.domain == "unit"])
    place = random.choice(np.array([p for p in places(op) if p > 0]), count)
    near = place * (1 - np.ldexp(random.uniform(-1.0, 1.0, count), -random.integers(0, fmt.mantissa + 1, count)))
    if op.domain == "unit":
        small = np.ldexp(random.uniform(0.5, 1.0, count), -random.integers(0, 1074, count))
        towards_one = 1 - np.ldexp(random.uniform(0.5, 1.0, count), -random.integers(0, fmt.mantissa + 1, count))
        kinds = [small, towards_one, random.uniform(0.0, 1.0, count), near]
        x = np.choose(random.choice(len(kinds), count, p=[0.25, 0.25, 0.2, 0.3]), kinds)
        return np.clip(x, 2.0**-1074, 1 - 2.0**-53)
    everywhere = np.ldexp(random.uniform(0.5, 1.0, count), random.integers(-1073, 1025, count))
    lively = np.exp2(random.uniform(-60.0, 9.6, count))
    kinds = [everywhere, lively, np.abs(random.normal(0, 3, count)), random.uniform(708.0, 745.2, count), near]
    x = np.choose(random.choice(len(kinds), count, p=[0.2, 0.4, 0.1, 0.1, 0.2]), kinds)
    return np.copysign(x, random.uniform(-1.0, 1.0, count))


def spread_targets(op: Op, fmt: Format, kind: str, x: Array, seed: int) -> Array:
    """A target for each of these inputs; the soft ones of every exponent, close to 1, and close to where the gradient is 0."""
    if kind == "hard":
        return targets(fmt, kind, len(x), seed)
    random = np.random.default_rng([seed, 2])
    count = len(x)
    small = np.ldexp(random.uniform(0.5, 1.0, count), -random.integers(0, 1074, count))
    towards_one = 1 - np.ldexp(random.uniform(0.5, 1.0, count), -random.integers(0, fmt.mantissa + 1, count))
    root = x if op.domain == "unit" else 1 / (1 + np.exp(np.clip(-x, -700, 700)))
    close = root * (1 + np.ldexp(random.uniform(-1.0, 1.0, count), -random.integers(0, fmt.mantissa + 1, count)))
    t = np.choose(random.choice(4, count, p=[0.5, 0.2, 0.15, 0.15]), [targets(fmt, kind, count, seed), small, towards_one, close])
    return np.clip(t, 2.0**-1074, 1 - 2.0**-53)


def every(fmt: Format, stride: int) -> Array:
    """Every stride-th bit pattern of either sign, NaNs included; an odd stride meets every residue."""
    return fmt.values(np.arange(0, 1 << fmt.width, stride, dtype=np.uint64))


def targets(fmt: Format, kind: str, count: int, seed: int = 7) -> Array:
    """count targets: "hard" is 0 or 1, "soft" is some fixed values and uniform ones."""
    random = np.random.default_rng(seed)
    if kind == "hard":
        return random.integers(0, 2, count).astype(fmt.dtype)
    soft = random.uniform(0.0, 1.0, count)
    fixed = random.random(count) < 0.5
    soft[fixed] = random.choice(np.array(SOFT), int(fixed.sum()))
    return soft.astype(fmt.dtype)
