"""The yardsticks are themselves measured: long double against the table's formulas, and ULP on cases known by hand."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from reference import FORMATS, WIDE, exact, round_once, round_wide, ulp, ulp_error, wide
from samples import inputs

from fastsig.ops import BY_NAME, OPS, Op

UNARY = [op for op in OPS if op.nin == 1]


def test_every_unary_op_has_a_wide_formula() -> None:
    assert set(WIDE) == {op.name for op in UNARY}, "tests/reference.py: WIDE"


@pytest.mark.parametrize("op", UNARY, ids=lambda op: op.name)
def test_wide_formulas_agree_with_the_table(op: Op) -> None:
    (x,) = inputs(op.name, "float32", 300)
    for at, got in zip(x, wide(op.name, x), strict=True):
        value = exact(op.name, (float(at),))
        if mpmath.isinf(value):
            assert float(got) == float(value)
            continue
        scale = max(abs(value), op.scale_floor)
        high = float(got)
        difference = abs(mpmath.mpf(high) + float(got - np.longdouble(high)) - value)
        least = mpmath.mpf(2) ** -1000  # below it the float cannot hold the long double, and no half or float32 is near
        assert difference <= scale * mpmath.mpf(2) ** -50 + least, f"{op.name}({at!r})"


def test_ulp_counts() -> None:
    sigmoid = BY_NAME["sigmoid"]
    assert ulp(1, "float32") == 2.0**-23
    assert ulp(0.999, "float32") == 2.0**-24
    assert ulp(1e-320, "float64") == 2.0**-1074
    assert ulp(0, "bfloat16") == 2.0**-133
    assert ulp_error(sigmoid, (0.0,), 0.5, "float32") == 0
    assert ulp_error(sigmoid, (0.0,), 0.5 + 3 * 2.0**-24, "float32") == 3
    assert ulp_error(sigmoid, (0.0,), np.nan, "float32") == np.inf
    assert ulp_error(sigmoid, (-800.0,), 0.0, "float64") < 0.5
    assert ulp_error(sigmoid, (-100.0,), 0.0, "float32") > 20
    assert ulp_error(BY_NAME["logit"], (0.0,), -np.inf, "float32") == 0
    assert ulp_error(BY_NAME["logit"], (0.0,), np.inf, "float32") == np.inf


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_rounding_is_numpys(dtype: str) -> None:
    """Of doubles that are ties, and their neighbours, in every binade; a float is one of the numbers or the middle of two."""
    x = np.arange(0, 0x7C00 if dtype == "float16" else 0x7F000000, 37 if dtype == "float16" else 999_983)
    x = x.astype("u2" if dtype == "float16" else "u4").view(dtype).astype(float)
    ties = x + [float(ulp(v, dtype)) / 2 for v in x]
    for values in (ties, np.nextafter(ties, np.inf), np.nextafter(ties, -np.inf)):
        with np.errstate(all="ignore"):
            want = values.astype(dtype).astype(float)
        inside = np.isfinite(want)
        assert np.array_equal(round_wide(values.astype(np.longdouble), dtype)[inside], want[inside])
        some = slice(None, None, 17)
        assert [round_once(mpmath.mpf(float(v)), dtype) for v in values[inside][some]] == list(want[inside][some])


def test_formats() -> None:
    for name in ("float16", "float32", "float64"):
        info, form = np.finfo(name), FORMATS[name]
        assert (info.nmant, info.minexp, info.maxexp - 1) == form


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float32"])
def test_silu_near_the_subnormals_is_rounded_as_its_exact_value(name: str) -> None:
    """Where x/2 is subnormal the rounder reasons in place of computing: half of the results are ties but for a square."""
    from fastsig.measure.accuracy.exact import Rounder, rounded
    from fastsig.measure.formats import FORMATS as MEASURED

    op, fmt = BY_NAME["silu"], MEASURED[name]
    first_normal = 1 << fmt.mantissa
    patterns = np.array([*range(20), *range(first_normal - 9, first_normal + 9), *range(2 * first_normal - 9, 2 * first_normal + 9)])
    x = fmt.values(np.concatenate([patterns, patterns | fmt.sign]))
    want = np.array([rounded(op, fmt, (float(each),)) for each in x])
    assert np.array_equal(Rounder(op, fmt)((x,)), want)
