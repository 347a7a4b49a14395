"""The measures of the losses: their references against mpmath, and that an error over the bound is a failure."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from checking import backend

from fastsig.measure.accuracy import exact, loss_runs, losses
from fastsig.measure.accuracy.engines import Engine
from fastsig.measure.formats import FORMATS

EACH_LOSS = pytest.mark.parametrize("loss", losses.LOSSES, ids=lambda loss: loss.name)


@EACH_LOSS
@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_wide_reference_is_that_of_mpmath(loss: losses.Loss, kind: str, dtype: str) -> None:
    fmt = FORMATS[dtype]
    if not fmt.has_reference:
        pytest.skip("no type is wide enough here")
    columns = tuple(c[:60] for c in loss_runs.columns_of(loss, fmt, kind, 4000))
    with np.errstate(all="ignore"):
        wide = loss.reference(tuple(fmt.widened(c) for c in columns))
    for output, (values, _) in zip(loss.outputs, wide, strict=True):
        for i, args in enumerate(zip(*(map(float, c) for c in columns), strict=True)):
            with mpmath.workprec(losses.BITS):
                want, scale = loss.exact(args, output)
                size = exact.fraction(max(abs(want), scale if scale is not None else 0))
                off = abs(
                    exact.fraction(mpmath.mpf(str(values[i])) if dtype == "float64" else mpmath.mpf(float(values[i])))
                    - exact.fraction(want)
                )
            assert off <= exact.ulp(fmt, size) * int(1 + (loss.gamma or 0)) / 64, (output, args)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_the_bounds_are_is_kept(dtype: str) -> None:
    fmt = FORMATS[dtype]
    for loss in losses.LOSSES[:2]:
        for kind in ("hard", "soft"):
            for output, result in zip(loss.outputs, loss_runs.sampled(loss, fmt, kind, [Engine(backend())], 0.1), strict=True):
                assert 0.5 < result.worst <= loss.ceiling(output, kind), (output, result.at)


def test_results_over_their_bound_are_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    class Bar:
        def begin(self, count: int, what: str) -> None: ...

    monkeypatch.setattr(loss_runs, "LOSSES", losses.LOSSES[:1])
    monkeypatch.setattr(losses.Loss, "ceiling", lambda loss, output, kind: 1.0)
    monkeypatch.setattr(loss_runs, "COUNT", 1 << 12)
    found = list(loss_runs.run([FORMATS["float32"]], [Engine(backend())], False, lambda: None, False, Bar()))
    failed = [result.op for result in found if result.failures]
    assert failed == [f"cross-entropy: {output}" for output in losses.OUTPUTS] * 2
