"""The one list of peers and the one counter of ULP, as bench, check and the demo use them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import fastsig as fs
from fastsig.cli.demo import comparison
from fastsig.measure.formats import FORMATS
from fastsig.measure.peers import PEERS, peer_named
from fastsig.measure.ulp import sample, worst
from fastsig.ops import BY_NAME, OPS

UNARY = [op for op in OPS if op.nin == 1]


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("op", UNARY, ids=lambda op: op.name)
def test_our_error_on_the_sample_is_within_the_bound(op: Any, dtype: str) -> None:
    pytest.importorskip("ml_dtypes")
    fmt = FORMATS[dtype]
    if not fmt.has_reference:
        pytest.skip("no type is wide enough")
    x = sample(op, fmt)
    assert len(x) == 1 << 14
    assert np.isfinite(x.astype(np.float64)).all()
    if op.domain == "unit":
        assert ((x > 0) & (x < 1)).all()
    found = worst(op, x, getattr(fs, op.name)(x), fmt)
    assert found is not None
    assert 0 <= found[0] <= {"float32": op.ulp_f32, "float64": op.ulp_f64}.get(dtype, 0.5)
    assert found[1] in x.astype(np.float64)


def test_an_error_is_where_it_was_made() -> None:
    op, fmt = BY_NAME["sigmoid"], FORMATS["float32"]
    x = sample(op, fmt)
    y = fs.sigmoid(x)
    right = worst(op, x, y, fmt)
    y[77] = np.nextafter(y[77], np.float32(2)) + np.spacing(y[77]) * 20
    found = worst(op, x, y, fmt)
    assert right is not None
    assert found is not None
    assert 20 < found[0] < 23
    assert found[1] == x[77]
    for broken in (math.nan, math.inf):
        y[78] = broken
        assert worst(op, x, y, fmt) == (math.inf, float(x[78]))


def test_no_judgement_without_a_wider_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "longdouble", np.float64)
    assert not FORMATS["float64"].has_reference
    assert FORMATS["float32"].has_reference
    x = np.ones(3)
    assert worst(BY_NAME["sigmoid"], x, x, FORMATS["float64"]) is None


def test_check_measures_what_the_users_of_a_library_write() -> None:
    pytest.importorskip("rich")
    pytest.importorskip("mpmath")
    from fastsig.measure.accuracy import peers

    assert {peer_named(name).module for name in peers.LIBRARIES.values()} == {"torch", "scipy", "jax"}
    pytest.importorskip("scipy")
    scipy, x = peer_named("scipy"), np.linspace(0.1, 0.9, 100)
    for op in UNARY:
        got = peers._results(scipy, op, x)
        if op.name == "silu_grad":
            assert got is None
        else:
            ours = getattr(fs, op.name)(x)
            assert (np.abs(got - ours) <= 16 * np.spacing(np.abs(ours))).all(), op.name


# ---- the demo ----


def test_the_demo_compares_the_peers_of_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("scipy")
    assert set(comparison.WRITTEN) <= {peer.name for peer in PEERS}
    monkeypatch.setattr(comparison, "ROUNDS", 2)
    monkeypatch.setattr(comparison, "SIZE", 1000)
    monkeypatch.setattr(comparison, "SAMPLES", 5000)
    threads = fs.get_num_threads()
    rows = {row.name: row for row in comparison.compare()}
    assert fs.get_num_threads() == threads
    assert list(rows)[0] == "fastsig"
    assert {"fastsig", "1/(1+np.exp(-x))", "scipy expit"} <= set(rows)
    assert all(set(row.nanoseconds) == {"float32", "float64"} for row in rows.values())
    assert all(error <= 2 for error in rows["fastsig"].ulp.values())
    assert rows["fastsig"].at_minus_100 == float.fromhex("0x1.b0p-145")
    assert rows["1/(1+np.exp(-x))"].at_minus_100 == 0
    assert rows["1/(1+np.exp(-x))"].ulp["float32", "tail"] > 1e5
    assert rows["scipy expit"].ulp["float32", "normal"] < 10


def test_one_thread_while_the_demo_compares(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fs.get_num_threads()
    with pytest.raises(ZeroDivisionError), comparison.one_thread_each() as peers:
        assert fs.get_num_threads() == 1
        assert peer_named("fastsig") in peers
        raise ZeroDivisionError
    assert fs.get_num_threads() == before


@pytest.mark.parametrize("problem", [ImportError, OSError, RuntimeError])
def test_a_library_that_does_not_load_is_left_out(problem: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    real = comparison.import_module

    def load(name: str) -> Any:
        if name == "torch":
            raise problem("does not load")
        return real(name)

    monkeypatch.setattr(comparison, "import_module", load)
    with comparison.one_thread_each() as peers:
        assert "torch" not in {peer.module for peer in peers}
        assert peer_named("numpy") in peers
