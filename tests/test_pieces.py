"""A call that is long enough to be cut into pieces is NumPy's call: the same result, the same warnings, and the same words of a refusal."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fastsig as fs
from fastsig.elementwise import pieces

X = np.linspace(-9, 9, 60).astype(np.float32)
Call = Callable[[], Any]


class Outputs(tuple[Any, ...]):
    """Not the tuple that NumPy takes."""


def heard(call: Call) -> tuple[list[str], Any]:
    """The warnings, and the result or what was raised."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = call()
        except Exception as error:  # noqa: BLE001 - it is compared
            result = (type(error), str(error))
    return [f"{warning.category.__name__}: {warning.message}" for warning in caught], result


CALLS: dict[str, Call] = {
    "an output of objects": lambda: fs.sigmoid(X[::2], out=np.empty(30, object)),
    "an output of another shape": lambda: fs.sigmoid(X[::2], out=np.empty(7, np.float32)),
    "an output that is too narrow": lambda: fs.sigmoid(X[::2], out=np.empty(30, np.int8)),
    "an output that is read-only": lambda: fs.sigmoid(X[::2], out=np.broadcast_to(np.float32(0), 30)),
    "outputs that are no tuple": lambda: fs.sigmoid(X[::2], out=Outputs([np.empty(30, np.float32)])),
    "two outputs": lambda: fs.sigmoid(X[::2], out=(np.empty(30, np.float32),) * 2),
    "a wrong subok": lambda: fs.sigmoid(X[::2], subok="no"),
    "a wrong order": lambda: fs.sigmoid(X[::2], order="Z"),
    "a wrong casting": lambda: fs.sigmoid(X[::2], casting="never"),
    "a wrong dtype": lambda: fs.sigmoid(X[::2], dtype="i4"),
    "a mask of numbers": lambda: fs.sigmoid(X[::2], out=np.empty(30, np.float32), where=np.arange(30)),
    "a cast that overflows": lambda: fs.sigmoid(np.broadcast_to(1e300, 60), dtype="f4"),
    "a result that overflows": lambda: fs.softplus(np.broadcast_to(1e300, 60), out=np.empty(60, np.float32), casting="same_kind"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_warnings_and_refusals(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    want = heard(call)
    monkeypatch.setattr(pieces, "LONG", 2)
    monkeypatch.setattr(pieces, "PIECE", 7)
    got = heard(call)
    assert got[0] == want[0]
    if isinstance(want[1], tuple):
        assert got[1] == want[1]
    else:
        np.testing.assert_array_equal(got[1], want[1])


def test_a_mask_without_an_output_warns_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """And what it leaves out is whatever was there."""
    mask = np.arange(30) % 2 == 0
    want = heard(lambda: fs.sigmoid(X[::2], where=mask))[0]
    monkeypatch.setattr(pieces, "LONG", 2)
    assert heard(lambda: fs.sigmoid(X[::2], where=mask))[0] == want


def test_a_file_in_memory_is_cut_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored = np.memmap(tmp_path / "x", np.float32, "w+", shape=60)
    stored[:] = X
    want = fs.sigmoid(X)
    cut, computed = [], pieces.computed

    def listening(*call: Any) -> Any:
        cut.append(computed(*call))
        return cut[-1]

    monkeypatch.setattr(pieces, "LONG", 2)
    monkeypatch.setattr(pieces, "PIECE", 7)
    monkeypatch.setattr(pieces, "computed", listening)
    got = fs.sigmoid(stored)
    assert cut[0] is got
    assert type(got) is np.ndarray
    assert got.tobytes() == want.tobytes()
    assert fs.sigmoid(stored, out=stored) is stored
    assert np.asarray(stored).tobytes() == want.tobytes()
