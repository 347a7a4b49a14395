"""``python -m fastsig check``: what it says of mistakes in the call, and of failures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checking import backend, check, keep, small_and_apart
from reference import Array

from fastsig.measure import accuracy
from fastsig.measure.accuracy import engines, exhaustive, inputs, records, sampled
from fastsig.measure.formats import FORMATS
from fastsig.ops import OPS

Text = pytest.CaptureFixture[str]
__all__ = ["small_and_apart"]


def spoil(monkeypatch: pytest.MonkeyPatch, at: float, wrong: float, only: str = "") -> None:
    """From here on every operation (of one backend) gives another result at one input."""
    honest = engines.Engine.ufunc

    def ufunc(self: engines.Engine, op: str, fmt: Any) -> Any:
        inner = honest(self, op, fmt)

        def spoilt(*columns: Array) -> Array:
            y = inner(*columns)
            y[columns[0] == at] = wrong
            return y

        return spoilt if only in ("", self.backend) else inner

    monkeypatch.setattr(engines.Engine, "ufunc", ufunc)


# ---- mistakes in the call ----


@pytest.mark.parametrize(
    ("arguments", "said", "known"),
    [
        (["--ops", "sigmiod"], "operation 'sigmiod' is unknown", [op.name for op in OPS]),
        (["--ops", "sigmoid,erf"], "operation 'erf' is unknown", ["sigmoid_grad"]),
        (["--ops", ","], "no operation was given", ["sigmoid"]),
        (["--dtypes", "float80"], "dtype 'float80' is unknown", list(FORMATS)),
        (["--backends", "cudnn"], "backend 'cudnn' is unknown or not available here", [backend()]),
        (["--backends", ","], "no backend was given", [backend()]),
    ],
)
def test_what_is_unknown_is_named_with_what_is_known(arguments: list[str], said: str, known: list[str], capsys: Text) -> None:
    assert accuracy.main(arguments) == 2
    out, err = capsys.readouterr()
    assert err.startswith(f"fastsig check: {said}; known are ")
    assert set(known) <= set(err.strip().rpartition("known are ")[2].split(", "))
    assert not out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--search", "-1"], "'-1' is not a time; give seconds above 0"),
        (["--search", "nan"], "'nan' is not a time"),
        (["--mpmath", "0"], "'0' is not a number of inputs; give a whole number from 1 on"),
        (["--mpmath", "1e6"], "'1e6' is not a number of inputs"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments: list[str], said: str, capsys: Text) -> None:
    with pytest.raises(SystemExit) as stopped:
        accuracy.main(arguments)
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--write", "--keep", "--stale"])
def test_without_a_checkout_nothing_is_measured(option: str, monkeypatch: pytest.MonkeyPatch, capsys: Text) -> None:
    def no_root() -> Path:
        raise FileNotFoundError("no docs/ here")

    monkeypatch.setattr(records, "root", no_root)
    monkeypatch.setattr(sampled, "measure", lambda *_: pytest.fail("measured in vain"))
    assert keep("--ops", "sigmoid", option) == 2
    assert capsys.readouterr().err == "tools.accuracy: no docs/ here\n"


# ---- results, and failures in full ----


def test_all_is_well(capsys: Text) -> None:
    """Otherwise what follows would prove nothing."""
    assert check("--ops", "sigmoid,bce", "--json") == 0
    found = json.loads(capsys.readouterr().out)["results"]
    assert {(r["op"], r["dtype"], r["targets"]) for r in found} >= {("sigmoid", "float64", ""), ("bce", "float32", "soft")}
    assert all(0.4 < r["worst"] <= 3.0 and not r["failures"] for r in found)


EXACT = "0.6224593312018545646389"
"""sigmoid(0.5)"""


@pytest.mark.parametrize("mode", [[], ["--exhaustive"]])
def test_a_wrong_result_is_told_in_full(mode: list[str], monkeypatch: pytest.MonkeyPatch, capsys: Text) -> None:
    monkeypatch.setattr(exhaustive, "_work", with_the_chunk_of(0.5))
    monkeypatch.setitem(inputs.PLACES, "real", (0.5,))
    spoil(monkeypatch, 0.5, 0.625)
    assert check("--ops", "sigmoid", "--dtypes", "float32", *mode) == 1
    said = capsys.readouterr().err
    assert "FAILED sigmoid float32" in said
    assert "ULP, and 2.0 are allowed; at x = 0.5 (0x1.0000000000000p-1, bits 0x3f000000)" in said
    assert f"exact {EXACT}" in said
    assert "came out 0.625 (0x1.4000000000000p-1, bits 0x3f200000)" in said


def with_the_chunk_of(x: float) -> Any:
    """Chunk 1 of an exhaustive run becomes the one that x is in."""
    work, there = exhaustive._work, int(np.float32(x).view(np.uint32)) // exhaustive.CHUNK
    return lambda op, ufunc, index, *how: work(op, ufunc, there if index == 1 else index, *how)


def test_a_lowered_ceiling_is_passed(monkeypatch: pytest.MonkeyPatch, capsys: Text) -> None:
    monkeypatch.setattr(sampled.Result, "ceiling", 1.0)
    assert check("--ops", "silu", "--dtypes", "float64") == 1
    assert "ULP, and 1.0 are allowed; at x = " in capsys.readouterr().err


def test_a_half_that_is_not_correctly_rounded(monkeypatch: pytest.MonkeyPatch, capsys: Text) -> None:
    spoil(monkeypatch, 0.5, 0.6235)
    assert check("--ops", "sigmoid", "--dtypes", "float16") == 1
    said = capsys.readouterr().err
    assert "1 of 65536 results are not correctly rounded" in said
    assert f"at x = 0.5 (0x1.0000000000000p-1, bits 0x3800) exact {EXACT}" in said


@pytest.mark.parametrize(
    ("wrong", "said"),
    [(1.25, "range is broken at 1 (0x1.0000000000000p+0"), (-0.25, "range is broken at 1 ("), (0.4, "monotone is broken at 0.9999999")],
)
def test_a_broken_promise_is_told(wrong: float, said: str, monkeypatch: pytest.MonkeyPatch, capsys: Text) -> None:
    spoil(monkeypatch, 1.0, wrong)
    assert check("--ops", "sigmoid", "--dtypes", "float64") == 1
    assert said in capsys.readouterr().err


def test_other_bits_of_another_backend_are_told(need_c: None, need_numba: None, monkeypatch: pytest.MonkeyPatch, capsys: Text) -> None:
    spoil(monkeypatch, 1.0, 0.75, only="numba")
    assert accuracy.main(["--ops", "sigmoid", "--dtypes", "float64", "--backends", "c", "numba"]) == 1
    said = capsys.readouterr().err
    assert "numba differs from c:" in said
    assert "first at 1 (0x1.0000000000000p+0, bits 0x3ff0000000000000): 0.75 (" in said


def test_a_floating_point_flag_is_told(monkeypatch: pytest.MonkeyPatch, capsys: Text) -> None:
    """The kernels promise to leave none; NumPy's own division by 0 does."""
    honest = engines.Engine.ufunc

    def ufunc(self: engines.Engine, op: str, fmt: Any) -> Any:
        return lambda x: honest(self, op, fmt)(x) + 0 / np.where(x == 1.0, 0.0, 1.0).astype(x.dtype)

    monkeypatch.setattr(engines.Engine, "ufunc", ufunc)
    monkeypatch.setattr(sampled, "same_bits", lambda *_: [])
    assert check("--ops", "sigmoid", "--dtypes", "float64") == 1
    assert "NumPy saw a floating-point flag (invalid value encountered in divide) at x = 1 (0x1.0000000000000p+0" in capsys.readouterr().err
