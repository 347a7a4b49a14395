"""Coverage-guided fuzzing of what takes foreign input: ``python tools/fuzz.py TARGET [SECONDS]``.

Targets: ``headers`` (.npy files), ``settings`` (tune.json), ``calls`` (the public functions, with arrays and options of any kind).
An input passes where it is taken, or refused by the exception that is documented; all else, a signal and a hang of ten seconds are
findings, and are left in the current directory as crash-*, timeout-* or oom-*. Prints how many inputs were tried. Needs atheris.
"""

from __future__ import annotations

import inspect
import json
import os
import sys
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

import atheris
import numpy as np

import fastsig as fs
from fastsig._version import __version__
from fastsig.dispatch.thresholds import FORMAT, fingerprint, parse
from fastsig.files.npy import FileProblem, Stored

FOLDER = tempfile.mkdtemp()
HEADER = b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }" + b" " * 57 + b"\n" + bytes(24)
SETTINGS = {
    "format": FORMAT, "machine": fingerprint(__version__), "date": "2026-11-25", "stream_bytes": None,
    "parallel": {"sigmoid": {"float32": 1 << 17}}, "numba": {"silu": {"float64": 5000}},
}  # fmt: skip
SEEDS = {"headers": HEADER, "settings": json.dumps(SETTINGS).encode()}
DTYPES = ("f2", "f4", "f8", ">f4", ">f8", "?", "i1", "u1", "i2", "i4", "u4", "i8", "u8", "c8", "O", "U3", "M8[s]", "f4,f8", "g")
FUNCTIONS = ("sigmoid", "sigmoid_grad", "log_sigmoid", "softplus", "logit", "silu", "silu_grad", "tanh", "tanh_grad")
LOSSES = (
    "bce_with_logits", "bce", "bce_with_logits_value_and_grad", "bce_with_logits_grad_hess", "sigmoid_focal_loss",
    "sigmoid_focal_loss_grad_hess",
)  # fmt: skip
NUMBERS = (0, 1, -1, 0.5, 2.0, 1e308, -0.0, float("nan"), float("inf"), True, None, "mean", "c", "numba", b"", (), [1.5], 1 << 70, 1j)


def headers(data: bytes) -> None:
    path = os.path.join(FOLDER, "x.npy")
    with open(path, "wb") as file:
        file.write(data)
    try:
        with Stored(path) as stored:
            assert len(stored.shape) <= 64 and min(stored.shape, default=0) >= 0
    except FileProblem as problem:
        assert "\n" not in str(problem)


def settings(data: bytes) -> None:
    try:
        parse(data.decode(errors="surrogateescape"), __version__)
    except ValueError as error:
        assert len(str(error)) < 2000


class Maker:
    """Arguments out of bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = atheris.FuzzedDataProvider(data)

    def one_of(self, choices: Any) -> Any:
        return choices[self._data.ConsumeIntInRange(0, len(choices) - 1)]

    def array(self) -> Any:
        kind = self.one_of(DTYPES)
        shape = [self._data.ConsumeIntInRange(0, 5) for _ in range(self._data.ConsumeIntInRange(0, 4))]
        raw = self._data.ConsumeBytes(256)
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            numbers = np.resize(np.frombuffer(raw + bytes(8), np.uint8).view(np.int8).astype("f8") / 9, shape)
            array = numbers.astype("f4").astype([("a", "f4"), ("b", "f8")]) if "," in kind else numbers.astype(kind)
        for axis in range(array.ndim):
            step = self.one_of((1, 1, -1, 2))
            array = array[(slice(None),) * axis + (slice(None, None, step),)]
        if self._data.ConsumeBool():
            array = array.T
        if self._data.ConsumeBool():
            array = np.broadcast_to(array, (self._data.ConsumeIntInRange(0, 3), *array.shape))
        if self._data.ConsumeBool():
            array.flags.writeable = False
        return array

    def value(self) -> Any:
        return self.array() if self._data.ConsumeIntInRange(0, 3) else self.one_of(NUMBERS)

    def options(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {name: self.value() for name in names if self._data.ConsumeIntInRange(0, 3) == 0}


ELEMENTWISE_OPTIONS = ("out", "where", "dtype", "casting", "order", "subok", "backend", "threads")
LOSS_OPTIONS = (
    "weight",
    "pos_weight",
    "label_smoothing",
    "mask",
    "reduction",
    "out",
    "grad_out",
    "hess_out",
    "check",
    "threads",
    "gamma",
    "alpha",
)
REFUSALS = (TypeError, ValueError, RuntimeError, OverflowError)


def calls(data: bytes) -> None:
    make = Maker(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if make.one_of((True, False)):
            operands = (make.value(),)
            call = getattr(fs, make.one_of(FUNCTIONS))
            options = make.options(ELEMENTWISE_OPTIONS)
        else:
            operands = (make.value(), make.value())
            call = getattr(fs, make.one_of(LOSSES))
            options = make.options(LOSS_OPTIONS)
        before = [(a, a.tobytes()) for a in operands if isinstance(a, np.ndarray) and a.dtype != object]
        try:
            call(*operands, **options)
        except REFUSALS as error:
            assert str(error), "a refusal without a word"
        for array, contents in before:
            assert array.tobytes() == contents, "an operand was changed"


TARGETS: dict[str, Callable[[bytes], None]] = {"headers": headers, "settings": settings, "calls": calls}


def watch_branches() -> None:
    """Of fastsig, and of NumPy's parser of headers: an editable install hides from the hook that would do it as they are imported."""
    for name, module in list(sys.modules.items()):
        if name.startswith("fastsig") or name == "numpy.lib._format_impl":
            watch(module, module.__name__)


def watch(holder: Any, module: str) -> None:
    for value in list(vars(holder).values()):
        if inspect.isfunction(value) and value.__module__ == module:
            atheris.instrument_func(value)
        elif inspect.isclass(value) and value.__module__ == module:
            watch(value, module)


def main() -> None:
    target, seconds = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "60"
    corpus = tempfile.mkdtemp()
    watch_branches()
    with open(os.path.join(corpus, "seed"), "wb") as file:
        file.write(SEEDS.get(target, b""))
    flags = [f"-max_total_time={seconds}", "-timeout=10", "-max_len=600", "-print_final_stats=1", "-verbosity=1"]
    atheris.Setup([sys.argv[0], *flags, corpus], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
