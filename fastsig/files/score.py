"""``python -m fastsig score LOGITS.npy LABELS.npy``: loss, gradient norm and accuracy of files of any size, in bounded memory."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..console import Progress, progress, show
from ..plans import BLOCK, broadcasts
from . import npy
from .apply import positive
from .npy import Array, FileProblem, Mapped, chunks
from .tally import Options, Tally

CLASS_CHUNKS = 4
"""A table by class reads so many chunks at a time: each class then has a column long enough to be worth a pass."""


class Operands(NamedTuple):
    """Arrays that broadcast to the logits' shape, and the files under them."""

    logits: Array
    labels: Array
    weight: Array | None
    pos_weight: Array | None
    mask: Array | None
    files: tuple[Mapped, ...]

    def arrays(self) -> tuple[Array | None, ...]:
        return self.logits, self.labels, self.weight, self.pos_weight, self.mask

    def release(self) -> None:
        for file in self.files:
            file.release()


def opened(
    logits: str, labels: str, *, weight: str | None = None, pos_weight: str | None = None, mask: str | None = None, bfloat16: bool = False
) -> Operands:
    """The files of a call, their shapes checked; FileProblem where they do not go together."""
    paths = {"logits": logits, "labels": labels, "weight": weight, "mask": mask}
    files = {name: Mapped(path, bfloat16=bfloat16) for name, path in paths.items() if path is not None}
    if pos_weight is not None and not _numbers(pos_weight):
        files["pos_weight"] = Mapped(pos_weight, bfloat16=bfloat16)
    arrays = {name: file.array for name, file in files.items()}
    if pos_weight is not None and "pos_weight" not in arrays:
        numbers = np.array([float(number) for number in pos_weight.split(",")])
        arrays["pos_weight"] = numbers[0] if numbers.size == 1 else numbers
    x, t = arrays["logits"], arrays["labels"]
    if x.shape != t.shape:
        raise FileProblem(f"{logits} has shape {x.shape} and {labels} has {t.shape}; give files of one shape")
    for name in ("weight", "pos_weight", "mask"):
        if name in arrays and not broadcasts(np.shape(arrays[name]), x.shape):
            raise FileProblem(f"--{name.replace('_', '-')} has shape {np.shape(arrays[name])}, which does not broadcast to {x.shape}")
    if "mask" in arrays and arrays["mask"].dtype != np.bool_:
        raise FileProblem(f"{mask}: elements of dtype {arrays['mask'].dtype}; a mask has booleans: save mask.astype(bool)")
    extras = [arrays.get(name) for name in ("weight", "pos_weight", "mask")]
    return Operands(x, t, extras[0], extras[1], extras[2], tuple(files.values()))


def _numbers(text: str) -> bool:
    try:
        return all(math.isfinite(float(part)) for part in text.split(","))
    except ValueError:
        return False


def _in_order(array: Array | None, shape: tuple[int, ...], piece: slice) -> Array | None:
    """These elements of the array broadcast to the shape, in C order; a view where there is one, else a copy of them."""
    if array is None:
        return None
    if np.shape(array) == shape and (array.flags.c_contiguous or array.ndim == 1):
        return array.reshape(-1)[piece]
    return np.broadcast_to(array, shape).flat[piece] if np.ndim(array) else np.broadcast_to(array, piece.stop - piece.start)


def over_all(operands: Operands, options: Options, bar: Progress) -> Tally:
    """One tally of all elements."""
    tally, shape = Tally(), operands.logits.shape
    for piece in chunks(operands.logits.size):
        x, t, weight, pos_weight, mask = (_in_order(array, shape, piece) for array in operands.arrays())
        assert x is not None and t is not None
        tally.add(options, x, t, weight, pos_weight, mask)
        operands.release()
        bar.advance(x.size)
    return tally


def over_classes(operands: Operands, options: Options, bar: Progress) -> list[Tally]:
    """A tally of each place along the last axis."""
    shape = operands.logits.shape
    if len(shape) < 2:
        raise FileProblem(f"--per-class needs logits with an axis of classes, such as (N, C); these have shape {shape}")
    tallies = [Tally() for _ in range(shape[-1])]
    for piece in _rows(shape):
        for at, tally in enumerate(tallies):
            columns = (None if array is None else np.broadcast_to(array, shape)[..., at] for array in operands.arrays())
            x, t, weight, pos_weight, mask = (_in_order(column, shape[:-1], piece) for column in columns)
            assert x is not None and t is not None
            tally.add(options, x, t, weight, pos_weight, mask)
            bar.advance(x.size)
        operands.release()
    return tallies


def _rows(shape: tuple[int, ...]) -> Iterator[slice]:
    """Slices of the places before the last axis, multiples of BLOCK long."""
    count = math.prod(shape[:-1])
    blocks = min(CLASS_CHUNKS * npy.CHUNK // max(shape[-1], 1), npy.CHUNK) // BLOCK
    step = max(blocks, 1) * BLOCK
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def score(operands: Operands, options: Options, *, per_class: bool = False) -> dict[str, Any]:
    """The figures over all elements, and with per_class under "classes" those of each class.

    Parameters
    ----------
    operands : Operands
        From `opened`.
    options : Options
    per_class : bool
        The last axis is that of the classes.

    Returns
    -------
    dict
        "elements", "mean" and "sum" of the loss (and "weighted mean" where there are weights), "gradient norm" (of the mean loss
        with respect to the logits), "accuracy" (of logits above 0 against labels above 0.5) and "positives" (their share).
        Losses have the bits of `bce_with_logits` over the whole arrays with an ``out`` of float64.

    Raises
    ------
    ValueError
        A label is outside [0, 1], or a weight is negative or not finite, or label_smoothing is outside [0, 1).
    """
    weighted = operands.weight is not None
    with progress(operands.logits.size * (1 + per_class), "score") as bar:
        classes = over_classes(operands, options, bar) if per_class else []
        found: dict[str, Any] = over_all(operands, options, bar).record(weighted)
    if per_class:
        found["classes"] = [tally.record(weighted) for tally in classes]
    return found


def _print(found: dict[str, Any]) -> None:
    classes = found.pop("classes", None)
    show([(name, f"{value:,}" if isinstance(value, int) else repr(value)) for name, value in found.items()])
    if classes:
        header = ["class", *classes[0]]
        show([[str(at), *map(_short, row.values())] for at, row in enumerate(classes)], header)


def _short(value: float | int) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def _plain(value: Any) -> Any:
    """As JSON has it: no infinities and no NaN, which become strings that ``float`` reads."""
    if isinstance(value, dict):
        return {name.replace(" ", "_"): _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value if math.isfinite(value) else str(value)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="fastsig score",
        description="Binary cross-entropy of logits, the norm of its gradient and the accuracy, a piece at a time: "
        "the files may be larger than memory. The figures do not depend on the number of threads.",
        allow_abbrev=False,
    )
    parser.add_argument("logits", metavar="LOGITS.npy", help="of any shape and float or integer type")
    parser.add_argument("labels", metavar="LABELS.npy", help="of the same shape: 0 or 1, booleans, or probabilities")
    parser.add_argument("--pos-weight", metavar="W", help="weighs the positive term: a number, one a class as 1,2.5,4, or an .npy file")
    parser.add_argument("--weight", metavar="FILE", help="an .npy file that broadcasts to the logits")
    parser.add_argument("--mask", metavar="FILE", help="an .npy file of booleans; elements where it is False add nothing")
    parser.add_argument("--label-smoothing", type=float, default=0.0, metavar="S", help="in [0, 1)")
    parser.add_argument("--per-class", action="store_true", help="a line for each place along the last axis, too")
    parser.add_argument("--json", action="store_true", help="print JSON; inf and nan as strings")
    parser.add_argument("--threads", type=positive, metavar="N", help="the most threads to use")
    parser.add_argument("--bfloat16", action="store_true", help="elements of 2 opaque bytes are bfloat16: np.save does not record that")
    return parser


def main(argv: Sequence[str]) -> int:
    """The command line; returns the exit status, 2 for bad input."""
    given = _parser().parse_args(argv)
    try:
        operands = opened(
            given.logits, given.labels, weight=given.weight, pos_weight=given.pos_weight, mask=given.mask, bfloat16=given.bfloat16
        )  # fmt: skip
        found = score(operands, Options(given.label_smoothing, given.threads), per_class=given.per_class)
    except FileProblem as error:
        print(f"fastsig score: {error}", file=sys.stderr)
        return 2
    except (ValueError, RuntimeError) as error:  # what follows the semicolon speaks of arguments of the functions
        print(f"fastsig score: {str(error).removeprefix('score: ').partition(';')[0]}", file=sys.stderr)
        return 2
    if given.json:
        print(json.dumps(_plain(found)))
    else:
        _print(found)
    return 0
