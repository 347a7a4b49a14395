"""Measures the error of the gates against hundreds of digits, as the table of docs/gates.md: ``python tools/gates_accuracy.py [POINTS]``.

Ordinary inputs, and factors and tails far beyond what the type holds alone. A backend is all backends: the bits are the same.
"""

from __future__ import annotations

import sys
from typing import Any

import mpmath
import numpy as np

import fastsig as fs
from fastsig.ops import FUSED, Fused


def inputs(row: Fused, dtype: str, count: int, random: np.random.Generator) -> list[Any]:
    far = 30 if dtype == "float32" else 250
    found = []
    for limit in row.near:
        x = random.normal(size=count)
        if limit == "factor_near":
            x = np.where(random.random(count) < 0.6, x, x * 10.0 ** random.integers(-far, far, size=count))
        else:
            x *= random.choice([1, 3, 10, 40, 3 * far], size=count, p=[0.4, 0.3, 0.2, 0.05, 0.05])
        found.append(x.astype(dtype))
    return found


def worst(row: Fused, dtype: str, count: int) -> float:
    info, mp = np.finfo(dtype), mpmath.mp
    parts = inputs(row, dtype, count, np.random.default_rng(1))
    left = [x[:, None] for x in parts]
    arguments = [np.concatenate([left.pop(0) for _ in range(parts_of)], axis=1) for _, parts_of in row.arguments]
    results = getattr(fs, row.name)(*arguments)
    got = np.concatenate(results if isinstance(results, tuple) else (results,), axis=1)
    most, least = 0.0, mp.mpf(float(info.smallest_normal))
    for j in range(count):
        point = [mp.mpf(float(x[j])) for x in parts]
        for k, (exact, scale) in enumerate(zip(row.exact(mp, *point), map(abs, row.scale(mp, least, *point)), strict=True)):
            if scale >= float(info.max) / 4:
                continue
            exponent = int(mp.floor(mp.log(scale, 2))) if scale else -10_000
            unit = mp.mpf(2) ** (max(exponent, int(info.minexp)) - int(info.nmant))
            most = max(most, float(abs(mp.mpf(float(got[j, k])) - exact) / unit))
    return most


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    print("| | float32 | float64 | bound |\n|---|--:|--:|--:|")
    with mpmath.workprec(400):
        for row in FUSED:
            found = " | ".join(f"{worst(row, dtype, count):.2f}" for dtype in ("float32", "float64"))
            print(f"| `{row.name}` | {found} | {row.ulp_f32} |", flush=True)


if __name__ == "__main__":
    main()
