"""The worst inputs that a search has found (``python -m tools.accuracy --search 20 --keep``), held fast: bits, errors and ceilings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from reference import bits_needed, ceiling, exact, ulp, ulp_error

from fastsig.dispatch import availability
from fastsig.ops import BY_NAME, OPS

ROWS: list[dict[str, Any]] = json.loads((Path(__file__).parent / "worst_inputs.json").read_text())
EACH_ROW = pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['op']}-{row['dtype']}-{'-'.join(row['at'])}")
STALE = "; where the formulas were changed on purpose: python -m tools.accuracy --search 20 --keep"


def inputs_of(row: dict[str, Any]) -> tuple[np.ndarray[Any, Any], ...]:
    dtype = np.dtype(row["dtype"])
    return tuple(np.array([int(bits, 16)], f"u{dtype.itemsize}").view(dtype) for bits in row["at"])


def point_of(row: dict[str, Any]) -> tuple[float, ...]:
    return tuple(float(column[0]) for column in inputs_of(row))


@EACH_ROW
def test_has_the_recorded_bits(row: dict[str, Any], backend: str) -> None:
    got = availability.ufunc_of(backend, row["op"])(*inputs_of(row))[0]
    assert float(got).hex() == row["got"], f"{row['op']}{point_of(row)}{STALE}"


@EACH_ROW
def test_keeps_its_ceiling(row: dict[str, Any], backend: str) -> None:
    """The error, measured here anew with the tests' own reference, is the recorded one and at most what the table allows."""
    op, at = BY_NAME[row["op"]], point_of(row)
    error = ulp_error(op, at, float(availability.ufunc_of(backend, op.name)(*inputs_of(row))[0]), row["dtype"])
    assert error <= ceiling(op, at, row["dtype"]), f"{op.name}{at}: {error:.5f} ULP"
    assert abs(error - row["ulp"]) <= 1e-5, f"{op.name}{at}: {error:.5f} ULP{STALE}"


@EACH_ROW
def test_the_recorded_nearest_number_is_the_nearest(row: dict[str, Any]) -> None:
    op, at = BY_NAME[row["op"]], point_of(row)
    value = exact(op.name, at)
    with mpmath.workprec(bits_needed(op, at)):
        distance = abs(mpmath.mpf(float.fromhex(row["nearest"])) - value) / ulp(value, row["dtype"])
    assert distance <= 0.5


def test_every_operation_has_rows() -> None:
    """All float64 ones; float32 with two arguments, which nobody can look at exhaustively."""
    rows = {(row["op"], row["dtype"], row["targets"]) for row in ROWS}
    for op in OPS:
        wanted = [("float64", "")] if op.nin == 1 else [("float64", "hard"), ("float64", "soft"), ("float32", "soft")]
        for dtype, targets in wanted:
            assert (op.name, dtype, targets) in rows


@pytest.mark.parametrize("targets", ["", "hard", "soft"])
def test_the_rows_are_bad_ones(targets: str) -> None:
    """Above the error that 0.5 ULP of a correct rounding leaves: a search that found nothing would be seen here."""
    assert all(row["ulp"] > 1.0 for row in ROWS if row["targets"] == targets and row["dtype"] == "float64")
