"""``python -m fastsig score LOGITS.npy LABELS.npy``: loss, gradient norm and accuracy of files of any size, in bounded memory."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import numpy as np

from fastsig.arrays.dtypes import Array, broadcasts
from fastsig.files import npy
from fastsig.files.apply import positive
from fastsig.files.metrics import Options, Tally
from fastsig.files.npy import FileProblem, Stored, chunks
from fastsig.files.pieces import Held, Pieces
from fastsig.system.terminal import Progress, complain, show

CLASS_CHUNKS = 4
"""A table by class reads so many chunks at a time: each class then has a column long enough to be worth a pass."""
LEAST_ROWS = 1024
"""Of such a piece, however many classes there are."""
MOST_CLASSES = 100_000
"""Lines of a table by class, each of which has a tally in memory."""
Source = Stored | Held


class ScoredFiles(NamedTuple):
    """Arrays that broadcast to the logits' shape."""

    logits: Source
    labels: Source
    weight: Source | None
    pos_weight: Source | None
    mask: Source | None

    def pieces(self, rows: tuple[int, ...], columns: tuple[int, ...] = ()) -> Callable[..., list[Array | None]]:
        """What reads the same piece of each."""
        parts = [None if source is None else Pieces(source, rows, columns) for source in self]
        return lambda *places: [None if part is None else part.read(*places) for part in parts]


@contextmanager
def opened(
    logits: str, labels: str, *, weight: str | None = None, pos_weight: str | None = None, mask: str | None = None, bfloat16: bool = False
) -> Iterator[ScoredFiles]:
    """The files of a call, their shapes checked; FileProblem where they do not go together."""
    paths = {"logits": logits, "labels": labels, "weight": weight, "mask": mask}
    with ExitStack() as files:
        found: dict[str, Source] = {}
        if pos_weight is not None and _numbers(pos_weight):
            numbers = np.array([float(number) for number in pos_weight.split(",")])
            found["pos_weight"] = Held(numbers.reshape(()) if numbers.size == 1 else numbers)
        else:
            paths["pos_weight"] = pos_weight
        for name, path in paths.items():
            if path is not None:
                found[name] = files.enter_context(Stored(path, bfloat16=bfloat16))
        x, t = found["logits"], found["labels"]
        if x.shape != t.shape:
            raise FileProblem(f"{logits} has shape {x.shape} and {labels} has {t.shape}; give files of one shape")
        for name in ("weight", "pos_weight", "mask"):
            if name in found and not broadcasts(found[name].shape, x.shape):
                raise FileProblem(f"--{name.replace('_', '-')} has shape {found[name].shape}, which does not broadcast to {x.shape}")
        if "mask" in found and found["mask"].dtype != np.bool_:
            raise FileProblem(f"{mask}: elements of dtype {found['mask'].dtype}; a mask has booleans: save mask.astype(bool)")
        yield ScoredFiles(x, t, found.get("weight"), found.get("pos_weight"), found.get("mask"))


def _numbers(text: str) -> bool:
    try:
        return all(math.isfinite(float(part)) for part in text.split(","))
    except ValueError:
        return False


def over_all(operands: ScoredFiles, options: Options, bar: Progress) -> Tally:
    """One tally of all elements."""
    tally = Tally()
    read = operands.pieces(operands.logits.shape)
    for piece in chunks(math.prod(operands.logits.shape)):
        x, t, weight, pos_weight, mask = read(piece)
        assert x is not None and t is not None
        tally.add(options, x, t, weight, pos_weight, mask)
        bar.advance(len(piece))
    return tally


def over_classes(operands: ScoredFiles, options: Options, bar: Progress) -> list[Tally]:
    """A tally of each place along the last axis."""
    shape = operands.logits.shape
    if len(shape) < 2:
        raise FileProblem(f"--per-class needs logits with an axis of classes, such as (N, C); these have shape {shape}")
    if shape[-1] > MOST_CLASSES:
        raise FileProblem(f"--per-class prints a line for each of at most {MOST_CLASSES:,} classes; logits of shape {shape} have too many")
    tallies = [Tally() for _ in range(shape[-1])]
    read = operands.pieces(shape[:-1], shape[-1:])
    for rows, columns in _tiles(math.prod(shape[:-1]), shape[-1]):
        arrays = read(rows, columns)
        for at, tally in enumerate(tallies[columns.start : columns.stop]):
            x, t, weight, pos_weight, mask = (None if array is None else array[:, at] for array in arrays)
            assert x is not None and t is not None
            tally.add(options, x, t, weight, pos_weight, mask)
            bar.advance(len(rows))
    return tallies


def _tiles(rows: int, columns: int) -> Iterator[tuple[range, range]]:
    """Ranges of both that cover all of them."""
    most = CLASS_CHUNKS * npy.CHUNK
    high = max(min(most // max(columns, 1), npy.CHUNK), LEAST_ROWS)
    wide = max(most // high, 1)
    for top in range(0, rows if columns else 0, high):
        for left in range(0, columns, wide):
            yield range(top, min(top + high, rows)), range(left, min(left + wide, columns))


def score(operands: ScoredFiles, options: Options, *, per_class: bool = False) -> dict[str, Any]:
    """The figures over all elements, and with per_class under "classes" those of each class.

    Parameters
    ----------
    operands : ScoredFiles
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
    with Progress(math.prod(operands.logits.shape) * (1 + per_class), "score") as bar:
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
        epilog="Exit status: 0 when the figures are printed, 2 for arguments or files that cannot be used.",
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
        with opened(
            given.logits, given.labels, weight=given.weight, pos_weight=given.pos_weight, mask=given.mask, bfloat16=given.bfloat16
        ) as operands:  # fmt: skip
            found = score(operands, Options(given.label_smoothing, given.threads), per_class=given.per_class)
    except FileProblem as error:
        complain(f"fastsig score: {error}")
        return 2
    except (ValueError, RuntimeError) as error:  # what follows the semicolon speaks of arguments of the functions
        complain(f"fastsig score: {str(error).removeprefix('score: ').partition(';')[0]}")
        return 2
    if given.json:
        print(json.dumps(_plain(found)))
    else:
        _print(found)
    return 0
