"""``python -m fastsig gradflow``: how much gradient the layers of networks get, side by side. Needs the ``torch`` extra."""

from __future__ import annotations

import argparse
import itertools
import json
import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from fastsig import __version__
from fastsig.system.atomic_files import write_text
from fastsig.system.terminal import Progress, columns, complain, show

if TYPE_CHECKING:
    from fastsig.gradflow.lesson import Measurement, Spread

DEEP = ("depth", "activation", "init", "gain", "norm", "optimizer")
RECURRENT = ("init", "forget_bias", "update_bias")
_BORDERS = 13
"""Columns that four columns of a table have between them and around."""
_FEWEST_BARS = 10


def main(argv: Sequence[str] | None = None) -> int:
    """The command; 0 when all is well, 2 for arguments that cannot be used or where torch is not installed."""
    parser = _parser()
    given = parser.parse_args(argv)
    try:
        import fastsig.gradflow  # noqa: F401
        from fastsig.gradflow.arguments import whole
        from fastsig.measure.picture_files import format_of

        if given.plot:
            format_of(given.plot)
        spreads = _measured(_asked_for(given), whole("seeds", given.seeds), given.seed)
    except (ImportError, TypeError, ValueError) as error:
        complain(f"fastsig gradflow: {error}")
        return 2
    _tell(spreads, given)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastsig gradflow",
        description="Measure how much gradient each layer of a network gets, for every combination of what is named. Without options: "
        "50 layers of sigmoid, each remedy alone, the combinations that explode, recurrent cells, and Adam beside SGD.",
        allow_abbrev=False,
    )
    parser.add_argument("--depth", type=int, nargs="+", metavar="N", help="layers; default 10")
    parser.add_argument("--activation", nargs="+", metavar="NAME", help="sigmoid (the default), tanh, relu, leaky_relu, gelu, silu")
    parser.add_argument("--init", nargs="+", metavar="NAME", help="plain, glorot (the default), he; recurrent: plain, glorot, orthogonal")
    parser.add_argument("--gain", type=float, nargs="+", metavar="X", help="the weights are multiplied by it; default 1")
    parser.add_argument("--norm", nargs="+", metavar="NAME", help="none (the default), batch, layer")
    parser.add_argument("--residual", action="store_true", help="each layer's input is added to its output")
    parser.add_argument("--optimizer", nargs="+", metavar="NAME", help="train with sgd or adam, and measure again")
    parser.add_argument("--steps", type=int, metavar="N", help="of training (default 200), or with --recurrent of time (default 100)")
    parser.add_argument("--recurrent", nargs="+", metavar="CELL", help="rnn, lstm, gru in place of a deep network")
    parser.add_argument("--forget-bias", type=float, nargs="+", metavar="X", help="of an LSTM's forget gate")
    parser.add_argument("--update-bias", type=float, nargs="+", metavar="X", help="of a GRU's update gate")
    parser.add_argument("--width", type=int, metavar="N", help="units of a layer or cell; default 64")
    parser.add_argument("--batch", type=int, metavar="N", help="samples; default 128")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of weights and data; default 0")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="measure with so many seeds; the median and the spread are shown")
    parser.add_argument(
        "--each-layer", action="store_true", help="a table with a row a layer for each network, also where there are several"
    )
    parser.add_argument("--json", metavar="FILE", help="write all figures here")
    parser.add_argument("--plot", metavar="FILE", help="draw log10 of the gradient against the layer here (needs matplotlib)")
    return parser


def _asked_for(given: argparse.Namespace) -> list[Measurement]:
    """A measurement for every combination; those of the lesson where nothing is named."""
    from fastsig.gradflow import measure, measure_recurrent
    from fastsig.gradflow.lesson import LESSON, STEPS

    several = {name: values for name in {*DEEP, *RECURRENT} if (values := getattr(given, name)) is not None}
    single = {name: value for name in ("steps", "width", "batch") if (value := getattr(given, name)) is not None}
    if given.residual:
        single["residual"] = True
    if given.recurrent is None:
        _refuse(several, DEEP, "belongs to --recurrent")
        if not several and not single:
            return list(LESSON)
        if "optimizer" in several:
            single.setdefault("steps", STEPS)
        return _combinations(measure, {name: several[name] for name in DEEP if name in several}, single)
    _refuse(several, RECURRENT, "does not go with --recurrent")
    _refuse(single, ("steps", "width", "batch"), "does not go with --recurrent")
    if "width" in single:
        single["hidden"] = single.pop("width")
    return _combinations(
        measure_recurrent, {"cell": given.recurrent, **{name: several[name] for name in RECURRENT if name in several}}, single
    )


def _refuse(given: dict[str, Any], allowed: Sequence[str], why: str) -> None:
    for name in given:
        if name not in allowed:
            raise ValueError(f"--{name.replace('_', '-')} {why}")


def _combinations(measurement: Measurement, several: dict[str, list[Any]], single: dict[str, Any]) -> list[Measurement]:
    return [partial(measurement, **single, **dict(zip(several, values, strict=True))) for values in itertools.product(*several.values())]


def _measured(measurements: Sequence[Measurement], seeds: int, first_seed: int) -> list[Spread]:
    from fastsig.gradflow.lesson import spread

    found = []
    with Progress(len(measurements), "measuring", counted=True) as steps:
        for measurement in measurements:
            found.append(spread(measurement, range(first_seed, first_seed + seeds)))
            steps.advance()
    return found


def _tell(spreads: Sequence[Spread], given: argparse.Namespace) -> None:
    flows = [spread.median for spread in spreads]
    if len(spreads) == 1 or given.each_layer:
        print("\n\n".join(map(str, flows)))
    if len(spreads) > 1 or given.seeds > 1:
        _show_summary(spreads)
    if len(spreads) > 1:
        for flow in flows:
            print(f"{flow.label}: {(flow.after or flow).conclusion}")
    if given.json:
        write_text(given.json, _json(spreads))
    if given.plot:
        from fastsig.gradflow.drawing import plot

        plot(flows, given.plot)


def _show_summary(spreads: Sequence[Spread]) -> None:
    """A row a network, with a bar a layer where there is room for all."""
    from fastsig.gradflow.words import evenly, sparkline

    header = ["network", "log10 ratio", "accuracy", "gradient"]
    rows, heights = [], []
    for spread in spreads:
        before, flow = spread.median, spread.median.after or spread.median
        trained = f"{before.accuracy:.2f} to {flow.accuracy:.2f}" if before.after else ""
        rows.append([before.label, _ratio(spread), trained])
        heights.append([layer.log10_gradient - flow.layers[-1].log10_gradient for layer in flow.layers])
    finite = [height for one in heights for height in one if math.isfinite(height)] or [0.0]
    widths = [max(map(len, column)) for column in zip(header[:-1], *rows, strict=True)]
    most = max(_FEWEST_BARS, columns() - sum(widths) - _BORDERS)
    for row, one in zip(rows, heights, strict=True):
        row.append(sparkline([one[place] for place in evenly(len(one), most)], min(finite), max(finite)))
    show(rows, header, folded=0)
    print(f"gradient: log10 of it, first layer to last, from {min(finite):.0f} to {max(finite):.0f} beside the last layer's")


def _ratio(spread: Spread) -> str:
    if spread.median.after:
        return f"{spread.median.log10_ratio:.1f} to {spread.median.after.log10_ratio:.1f}"
    low, middle, high = spread.ratios
    return f"{middle:.1f}" if len(spread.flows) == 1 else f"{middle:.1f} ({low:.1f} to {high:.1f})"


def _json(spreads: Sequence[Spread]) -> str:
    """Every flow; null stands where a figure is NaN or infinite, which JSON has no word for."""
    import torch

    flows = [flow.to_dict() for spread in spreads for flow in spread.flows]
    return json.dumps(_finite({"fastsig": __version__, "torch": torch.__version__, "flows": flows}), indent=1) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
