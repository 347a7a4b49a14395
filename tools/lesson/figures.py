"""The numbers of the lesson by name, each as it is printed: computed here, or quoted from docs/gradflow.md."""

from __future__ import annotations

import inspect
import json
import math
import re
import runpy
import statistics
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import fastsig as fs
from fastsig.gradflow import lesson, measure, words
from fastsig.gradflow.activations import SATURATED_BELOW, SIGMOID_TAIL
from tools.lesson import times, zigzag

ROOT = Path(__file__).parent.parent.parent
TIME_STEPS = 100
"""Of the recurrent networks in docs/gradflow.md."""


class Language(NamedTuple):
    """The words that stand among figures."""

    between: str
    """The least and the most of several."""
    verdicts: dict[str, str]
    inputs: tuple[str, str]
    """Of the two descents: sigmoids, and the same with their middle at 0."""
    costs: dict[str, str]
    """By the names of ``times``."""


def short(value: float, digits: int = 2) -> str:
    """So many digits, without the zeros of an exponent: 9.5e-7."""
    return re.sub(r"e([+-])0*", lambda found: f"e{found[1].strip('+')}", f"{value:.{digits}g}")


def figures(language: Language) -> dict[str, str]:
    """By the name that the text has for them."""
    defaults = {name: parameter.default for name, parameter in inspect.signature(measure).parameters.items()}
    record = json.loads(times.RECORD.read_text())
    return {
        "values": _rows(_value(x) for x in (-math.inf, -2.0, 0.0, 2.0, math.inf)),
        "sigmoid_0": short(_sigmoid(0.0)),
        "sigmoid_2": short(_sigmoid(2.0)),
        "sigmoid_5": short(_sigmoid(5.0), 4),
        "sigmoid_minus_5": short(_sigmoid(-5.0)),
        "odds_2": short(_sigmoid(2.0) / _sigmoid(-2.0), 3),
        "slope_0": short(_slope(0.0)),
        "slope_5": short(_slope(5.0)),
        "slope_0_over_5": short(_slope(0.0) / _slope(5.0)),
        "tail": short(SIGMOID_TAIL, 3),
        "tail_share": f"{SATURATED_BELOW:.0%}",
        "bound_10": short(_slope(0.0) ** 10, 3),
        "bound_50": short(_slope(0.0) ** lesson.DEPTH, 3),
        "vanishes": f"{words.VANISHES:g}",
        "explodes": f"{words.EXPLODES:g}",
        "time_steps": str(TIME_STEPS),
        "kept": _rows([f"{bias:g}", short(_sigmoid(bias)), short(_sigmoid(bias) ** TIME_STEPS)] for bias in (0.0, 1.0, 3.0)),
        "steps_between": str(lesson.DEPTH - 1),
        "power_of_two": short(2.0 ** (lesson.DEPTH - 1)),
        "train_steps": str(lesson.STEPS),
        "batch": str(defaults["batch"]),
        "chance": short(1 / defaults["classes"]),
        "zigzag": _rows(_zigzags(language)),
        "bce_slope_wrong": short(float(fs.ufuncs.bce_with_logits_grad(-5.0, 1.0))),
        "mse_slope_wrong": short((_sigmoid(-5.0) - 1) * _slope(-5.0)),
        "bce": _rows(_with_and_without_logits([2, 15, 18, -104])),
        "machine": record["machine"],
        "date": record["date"],
        "torch": record["torch"],
        "layer_width": str(times.WIDTH),
        "layer_batch": str(times.BATCH),
        "times": _rows(
            [language.costs[name], f"{microseconds:.1f}", f"{microseconds / record['microseconds']['relu']:.1f}"]
            for name, microseconds in record["microseconds"].items()
        ),
        **_quoted(language),
    }


def _rows(rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _sigmoid(x: float) -> float:
    return float(fs.sigmoid(x))


def _slope(x: float) -> float:
    return float(fs.sigmoid_grad(x))


def _value(x: float) -> list[str]:
    return [f"{x:g}", *(f"{function(x):.4f}".rstrip("0").rstrip(".") for function in (_sigmoid, _slope))]


def _zigzags(language: Language) -> Iterable[list[str]]:
    for name, centred in zip(language.inputs, (False, True), strict=True):
        found = zigzag.descents(centred=centred)
        steps = [descent.steps for descent in found]
        share = statistics.median(descent.same_direction for descent in found)
        yield [name, f"{statistics.median(steps)}", language.between.format(min(steps), max(steps)), f"{share:.0%}"]


def _with_and_without_logits(logits: list[int]) -> Iterable[list[str]]:
    """By the functions of the example, which prints more of it."""
    with redirect_stdout(StringIO()):
        example = runpy.run_path(str(ROOT / "examples" / "bce_with_and_without_logits.py"))
    x = np.array(logits, np.float32)
    columns = [values + 0 for way in ("by_numpy", "by_fastsig") for values in example[way](x)]  # + 0: a zero without a sign
    for logit, *values in zip(logits, *columns, strict=True):
        yield [str(logit), *(short(float(value), 3) for value in values)]


def _quoted(language: Language) -> dict[str, str]:
    """The rows of docs/gradflow.md, by table and label."""
    text = (ROOT / "docs" / "gradflow.md").read_text()
    found = {}
    for name, body in re.findall(r"<!-- (\w+):begin -->\n(.*?)<!-- \1:end -->", text, re.DOTALL):
        for line in body.splitlines()[2:]:
            label, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            found[f"{name}: {label}"] = " | ".join(cells if name == "trained" else _in_words(cells, language))
    return found


def _in_words(cells: list[Any], language: Language) -> list[str]:
    median, least, most, verdict = cells
    return [median, language.between.format(least, most), language.verdicts[verdict]]
