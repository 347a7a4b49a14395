"""Regenerate the polynomial coefficients used by the kernels.

A kernel needs a polynomial p close to a target g: the maximum over an interval
of weight(x) |p(x) - g(x)| must be small.  The weight turns the error of p into
the error of the function that p is a part of:

EXPM1   expm1(r) = r + r^2 p(r),             |r| <= ln2/2 (1 + 2^-10),
        absolute error divided by exp(r)
LOG1P   log1p(z) = z p(z),                   0 <= z <= 1, relative error
ATANH   log((1+s)/(1-s)) = 2s + s^3 p(s^2),  |s| <= 0.2015, relative error
LOGIT   log((1+s)/(1-s)) = s p(s^2),         |s| <= 0.2425, relative error
TANH    tanh(b/2) = b/2 + b^3 p(b^2),        |b| <= 1.109375, relative error
COTH    r coth(r/2) = p(r^2),                |r| <= ln2/2 (1 + 2^-10),
        error of exp(r) = (p + r)/(p - r), divided by exp(r)
NEAR    log((1+s)/(1-s)) = 2s + s^3 p(s^2),  |s| <= 0.1716, relative error

The best p comes from the Remez exchange on a dense grid of Chebyshev points:
solve for the p whose weighted error has equal size and alternating sign on
n + 1 reference points (n free coefficients), move the references to the
extremes of that error, and repeat until the error is level.

Rounding all coefficients to float32 or float64 at the end would waste accuracy.
They are rounded one at a time, the lowest order (most important) first, and
those still free are refitted around the rounded ones.  With c[0..m-1] settled
this is again a polynomial fit, of (g - settled) / x^m with weight |x|^m weight,
so the same exchange does it.  The grid leaves out x = 0, a pole of that target.

Coefficients are printed low order first, with log2 of the maximum error before
rounding (minimax) and after (rounded), p being evaluated exactly.

Run as ``python tools/coefficients.py [NAME]``.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

from mpmath import lu_solve, matrix, mp, mpf

GRID_PER_COEFFICIENT = 32
CHECK_PER_COEFFICIENT = 250
MAX_EXCHANGES = 60
LEVEL = 2.0**-16  # how level the extremes must be, relative to their size
PRECISION = {"float32": 24, "float64": 53}
mp.prec = 320


@dataclass(frozen=True)
class Problem:
    """A family of fits; ``fixed`` lists the choices of known leading coefficients."""

    name: str
    interval: tuple[mpf, mpf]
    sample: Callable[[mpf], tuple[mpf, mpf]]  # x -> (target, weight)
    fixed: Sequence[tuple[float, ...]]
    degrees: dict[str, Sequence[int]]


def expm1_sample(r: mpf) -> tuple[mpf, mpf]:
    return (mp.expm1(r) - r) / r**2, r**2 / mp.exp(r)


def log1p_sample(z: mpf) -> tuple[mpf, mpf]:
    target = mp.log1p(z) / z
    return target, 1 / target


def atanh_sample(t: mpf) -> tuple[mpf, mpf]:
    s = mp.sqrt(t)
    whole = 2 * mp.atanh(s)
    return (whole - 2 * s) / s**3, s**3 / whole


def logit_sample(t: mpf) -> tuple[mpf, mpf]:
    s = mp.sqrt(t)
    target = 2 * mp.atanh(s) / s
    return target, 1 / target


def tanh_sample(t: mpf) -> tuple[mpf, mpf]:
    b = mp.sqrt(t)
    whole = mp.tanh(b / 2)
    return (whole - b / 2) / b**3, b**3 / whole


def coth_sample(t: mpf) -> tuple[mpf, mpf]:
    r = mp.sqrt(t)
    target = r * mp.coth(r / 2)
    return target, 2 * r / (target**2 - t)


HALF_LN2 = mp.ln2 / 2 * (1 + mpf(2) ** -10)
PROBLEMS = (
    Problem("EXPM1", (-HALF_LN2, HALF_LN2), expm1_sample,
            [(0.5,), ()], {"float32": (3, 4), "float64": (9, 10)}),
    Problem("LOG1P", (mpf(0), mpf(1)), log1p_sample,
            [(1.0,), (), (1.0, -0.5)], {"float32": range(7, 11), "float64": range(17, 22)}),
    Problem("ATANH", (mpf(0), mpf("0.2015") ** 2), atanh_sample,
            [()], {"float32": (1, 2, 3), "float64": (5, 6, 7)}),
    Problem("LOGIT", (mpf(0), mpf("0.2425") ** 2), logit_sample,
            [(2.0,)], {"float32": (2, 3), "float64": (7, 8)}),
    Problem("TANH", (mpf(0), mpf("1.109375") ** 2), tanh_sample,
            [()], {"float32": (3, 4), "float64": (8, 9, 10)}),
    Problem("COTH", (mpf(0), HALF_LN2**2), coth_sample,
            [(2.0,), ()], {"float32": (2,), "float64": (4, 5)}),
    Problem("NEAR", (mpf(0), mpf("0.1716") ** 2), atanh_sample,
            [()], {"float32": (2,), "float64": (5, 6)}),
)  # fmt: skip


@dataclass(frozen=True)
class Samples:
    """The target and the weight on a grid, in ascending order of x."""

    x: list[mpf]
    target: list[mpf]
    weight: list[mpf]

    @classmethod
    def of(cls, problem: Problem, points: int) -> "Samples":
        """Sample at an even number of Chebyshev points, without x = 0."""
        low, high = problem.interval
        last = points | 1
        nodes = [(1 - mp.cospi(mpf(k) / last)) / 2 for k in range(last + 1)]
        grid = [x for x in (low + (high - low) * u for u in nodes) if x != 0]
        values = [problem.sample(x) for x in grid]
        return cls(grid, [g for g, _ in values], [w for _, w in values])

    def deflate(self, settled: mpf) -> "Samples":
        """The fit left for the other coefficients once the first is settled."""
        target = [(g - settled) / x for x, g in zip(self.x, self.target, strict=True)]
        weight = [w * abs(x) for x, w in zip(self.x, self.weight, strict=True)]
        return Samples(self.x, target, weight)

    def errors(self, coefficients: Sequence[mpf]) -> list[mpf]:
        descending = list(reversed(coefficients))
        rows = zip(self.x, self.target, self.weight, strict=True)
        return [w * (mp.polyval(descending, x) - g) for x, g, w in rows]


def extremes(errors: Sequence[mpf], count: int) -> list[int]:
    """Indices of ``count`` extremes of alternating sign, the largest among them."""
    peaks: list[int] = []
    for i, e in enumerate(errors):
        if not peaks or (e > 0) != (errors[peaks[-1]] > 0):
            peaks.append(i)
        elif abs(e) > abs(errors[peaks[-1]]):
            peaks[-1] = i
    while len(peaks) > count:  # drop the smallest, and keep the signs alternating
        size = [abs(errors[i]) for i in peaks]
        last = len(peaks) - 1
        k = size.index(min(size))
        if len(peaks) == count + 1:
            del peaks[0 if size[0] < size[last] else last]
        elif 0 < k < last:
            start = k - 1 if size[k - 1] < size[k + 1] else k
            del peaks[start : start + 2]
        else:
            del peaks[k]
    return peaks


def remez(data: Samples, references: list[int]) -> tuple[list[mpf], list[int]]:
    """Minimax coefficients, one fewer than the references, and the final references."""
    n = len(references) - 1
    for _ in range(MAX_EXCHANGES):
        system = matrix(n + 1, n + 1)
        for row, i in enumerate(references):
            for k in range(n):
                system[row, k] = data.x[i] ** k
            system[row, n] = (-1) ** row / data.weight[i]
        solution = list(lu_solve(system, matrix([data.target[i] for i in references])))
        coefficients, level = solution[:n], abs(solution[n])
        errors = data.errors(coefficients)
        if max(abs(e) for e in errors) <= level * (1 + LEVEL):
            return coefficients, references
        references = extremes(errors, n + 1)
    raise ArithmeticError("the Remez exchange did not converge")


def fit(problem: Problem, fixed: Sequence[float], degree: int, bits: int) -> tuple[list[mpf], mpf, mpf]:
    """Rounded coefficients, and the maximum error before and after rounding."""
    data = Samples.of(problem, GRID_PER_COEFFICIENT * (degree + 1))
    coefficients = [mpf(c) for c in fixed]
    for c in coefficients:
        data = data.deflate(c)
    free = degree + 1 - len(fixed)
    references = [k * (len(data.x) - 1) // free for k in range(free + 1)]
    unrounded = mpf(0)
    while len(coefficients) <= degree:
        best, references = remez(data, references)
        if len(coefficients) == len(fixed):
            unrounded = max(abs(e) for e in data.errors(best))
        with mp.workprec(bits):
            rounded = +best[0]
        coefficients.append(rounded)
        data = data.deflate(rounded)
        references.remove(min(references, key=lambda i: abs(data.x[i])))
    check = Samples.of(problem, CHECK_PER_COEFFICIENT * (degree + 1))
    return coefficients, unrounded, max(abs(e) for e in check.errors(coefficients))


def hex_float(value: mpf) -> str:
    """C99 hex float without trailing zeros."""
    mantissa, exponent = float(value).hex().split("p")
    return f"{mantissa.rstrip('0').rstrip('.')}p{exponent}"


def main(names: Sequence[str]) -> None:
    chosen = [p for p in PROBLEMS if not names or p.name in names]
    for problem, (dtype, bits) in product(chosen, PRECISION.items()):
        span = ", ".join(mp.nstr(x, 8) for x in problem.interval)
        for fixed, degree in product(problem.fixed, problem.degrees[dtype]):
            coefficients, *errors = fit(problem, fixed, degree, bits)
            before, after = (float(mp.log(e, 2)) for e in errors)
            print(f"{problem.name} {dtype} degree {degree} on [{span}] fixed {fixed}")
            print(f"    minimax {before:.2f} rounded {after:.2f}")
            print("   ", ", ".join(hex_float(c) for c in coefficients), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
