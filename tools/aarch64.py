"""The C library compiled for aarch64 and run by an emulator gives this processor's bits: ``python tools/aarch64.py``.

Every operation in every type, contiguous and backwards: all 65,536 halves, and in float32 and float64 bit patterns drawn from all of
them and numbers of the range in which the operation is neither 0, 1 nor x. Then the losses with their options: values, gradients,
hessians, sums, by threads too. The program there flushes subnormal numbers to zero and rounds upwards, which must not show.
A NaN is a NaN, whatever its bits. Status 1 where a bit differs.

Needs a cross compiler and an emulator of user programs (Debian: gcc-aarch64-linux-gnu and qemu-user), ``--cc`` and ``--run`` if
they have other names. Another target than aarch64 does as well. About three minutes.
"""

from __future__ import annotations

import argparse
import ctypes
import shlex
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import fastsig as fs
from fastsig.kernels import plan
from fastsig.losses import evaluate, fast_path
from fastsig.ops import OPS

try:
    from ml_dtypes import bfloat16
except ImportError:
    sys.exit("tools/aarch64.py needs ml_dtypes: pip install ml_dtypes")

ROOT = Path(__file__).resolve().parent.parent
CEXT = ROOT / "cext"
FLAGS = (
    *("-std=gnu11", "-O3", "-DFASTSIG_ISA=baseline", "-static"),
    *("-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fno-strict-aliasing"),
    *("-fno-thread-jumps", "-fno-tree-pre"),
)
"""Those of cext/CMakeLists.txt for GCC."""
SOURCES = (
    ROOT / "tools" / "other_processor.c",
    *(CEXT / name for name in ("library.c", "pool.c", "scratch.c", "kernels.c", "rounded.c", "reduce.c", "fused.c")),
)
DTYPES = {name: np.dtype(name) for name in ("float16", "float32", "float64")} | {"bfloat16": np.dtype(bfloat16)}
ORDER = ("float16", "bfloat16", "float32", "float64")
"""As cext/library.h numbers them."""
PATTERNS = 1 << 18
THREADS = 3
Array = np.ndarray[Any, Any]


class OtherProcessor:
    """``other_processor.c``, running."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdin and self._process.stdout
        self._questions, self._answers = self._process.stdin, self._process.stdout
        self.passes = 0

    def _ask(self, question: bytes) -> None:
        try:
            self._questions.write(question)
            self._questions.flush()
        except BrokenPipeError:
            self._ended()

    def _answer(self, count: int) -> bytes:
        answer = self._answers.read(count)
        if len(answer) != count:
            self._ended()
        return answer

    def _ended(self) -> None:
        self._process.wait()
        sys.exit(f"the program on the other processor ended with status {self._process.returncode}")

    def elementwise(self, op: int, dtype: str, operands: list[Array]) -> Array:
        head = struct.pack("=3q", op, ORDER.index(dtype), operands[0].size)
        self._ask(b"E" + head + b"".join(x.tobytes() for x in operands))
        return np.frombuffer(self._answer(operands[0].nbytes), operands[0].dtype)

    def reduce(self, backend: str, words: Array, numbers: plan.Numbers, size: int, threads: int, alive: object) -> tuple[int, list[Array]]:
        """In place of ``evaluate._reduce``."""
        moved, memory = moved_plan(words)
        head = struct.pack("=3q", moved.size, len(memory), threads) + np.array(numbers, np.float64).tobytes()
        self._ask(b"L" + head + moved.tobytes() + memory)
        bad = int.from_bytes(self._answer(8), "little")
        total = np.frombuffer(self._answer(8 * plan.SUM_WORDS), np.int64)
        for address in words[plan.OUT_AT : plan.HEADER]:
            if address:
                results = self._answer(size * DTYPES[ORDER[int(words[plan.DTYPE_AT])]].itemsize)
                ctypes.memmove(int(address), results, len(results))
        self.passes += 1
        return bad, [total]


ITEM_SIZES = (2, 2, 4, 8, 1, 1, 2, 2, 4, 4, 8, 8)
"""Of the types as ``fastsig.arrays.dtypes`` numbers them."""


def moved_plan(words: Array) -> tuple[Array, bytes]:
    """The plan with places in a copy of the memory that it reads, in place of addresses."""
    moved, memory = words.copy(), b""
    for i in range(len(plan.INPUTS)):
        at = plan.HEADER + plan.SOURCE * i
        data, code, _, _, ndim, geometry = map(int, words[at : at + plan.SOURCE])
        if code < 0:
            continue
        shape, strides = words[geometry : geometry + ndim], words[geometry + ndim : geometry + 2 * ndim]
        spans = [int(n - 1) * int(step) for n, step in zip(shape, strides, strict=True)]
        before = -sum(min(span, 0) for span in spans)
        memory += bytes(-len(memory) % 64)
        moved[at] = len(memory) + before
        memory += ctypes.string_at(data - before, before + sum(max(span, 0) for span in spans) + ITEM_SIZES[code])
    return moved, memory


@contextmanager
def losses_on(reduce: Callable[..., Any]) -> Iterator[None]:
    """The losses by the general way, each pass by this function."""
    front, passes = fast_path.quick_loss, evaluate._reduce
    fast_path.quick_loss, evaluate._reduce = None, reduce
    try:
        yield
    finally:
        fast_path.quick_loss, evaluate._reduce = front, passes


# ---- what is asked ----


def same(a: Array, b: Array) -> Array:
    """Where two arrays have the same bits, or are both NaN."""
    integer = f"u{a.dtype.itemsize}"
    equal: Array = a.view(integer) == b.view(integer)
    return equal | (np.isnan(a) & np.isnan(b))


def inputs_of(unit: bool, dtype: np.dtype[Any], random: np.random.Generator) -> Array:
    integer = np.dtype(f"u{dtype.itemsize}")
    if dtype.itemsize == 2:
        return np.arange(1 << 16, dtype=integer).view(dtype)
    patterns = random.integers(0, np.iinfo(integer).max, PATTERNS, integer, endpoint=True).view(dtype)
    if unit:
        one = int(np.ones(1, dtype).view(integer)[0])
        between = random.integers(0, one, PATTERNS, integer, endpoint=True).view(dtype)
        return np.concatenate([patterns, between, random.random(PATTERNS).astype(dtype)])
    ends = 110 if dtype.itemsize == 4 else 750
    return np.concatenate([patterns, random.uniform(-ends, ends, PATTERNS).astype(dtype), random.normal(0, 3, PATTERNS).astype(dtype)])


def targets_for(x: Array, random: np.random.Generator) -> Array:
    soft = random.random(x.size)
    return np.where(random.random(x.size) < 0.5, soft.round(), soft).astype(x.dtype)


def compare_elementwise(other: OtherProcessor) -> tuple[int, int]:
    """How many results were compared, and how many differ."""
    fs.sigmoid(np.zeros(1, bfloat16))  # from here on the ufuncs know this type
    compared = different = 0
    for index, op in enumerate(OPS):
        for name, dtype in DTYPES.items():
            random = np.random.default_rng(index)
            operands = [inputs_of(op.domain == "unit", dtype, random)]
            operands += [targets_for(operands[0], random)] * (op.nin - 1)
            agree = same(other.elementwise(index, name, operands), getattr(fs.ufuncs, op.name)(*operands))
            compared += agree.size
            different += agree.size - int(agree.sum())
            if not agree.all():
                at = np.flatnonzero(~agree)[0]
                print(f"{op.name} {name}: {agree.size - agree.sum()} differ, first at {[repr(x[at]) for x in operands]}")
    return compared, different


def loss_data(dtype: np.dtype[Any]) -> tuple[Array, Array, dict[str, Any]]:
    random = np.random.default_rng(0)
    rows, columns = 20_011, 3
    x = (random.normal(size=(rows, columns)) * random.choice([0.1, 5, 40], (rows, columns))).astype(dtype)
    x.flat[:4] = [np.inf, -np.inf, 0.0, -0.0]
    t = targets_for(x.reshape(-1), random).reshape(x.shape)
    options = {
        "weight": random.random((rows, 1)).astype(dtype),
        "pos_weight": random.uniform(0.5, 4, columns),
        "mask": random.random(x.shape) < 0.9,
        "label_smoothing": 0.1,
    }
    return x, t, options


Loss = Callable[[Array, Array, dict[str, Any]], Any]
LOSSES: dict[str, Loss] = {
    "sum": lambda x, t, o: fs.bce_with_logits(x, t, reduction="sum", threads=THREADS),
    "value and gradient": lambda x, t, o: fs.bce_with_logits_value_and_grad(x, t, threads=THREADS),
    "all options": lambda x, t, o: fs.bce_with_logits_value_and_grad(x, t, reduction="weighted_mean", **o),
    "elements, backwards": lambda x, t, o: fs.bce_with_logits(x[::-1], t, reduction="none", **o),
    "gradient and hessian": lambda x, t, o: fs.bce_with_logits_grad_hess(x, t, **o),
    "integer targets": lambda x, t, o: fs.bce_with_logits_value_and_grad(x, np.rint(t.astype("f4")).astype("i8")),
    "probabilities": lambda x, t, o: fs.bce(fs.sigmoid(x), t, weight=o["weight"], mask=o["mask"]),
    "focal": lambda x, t, o: fs.sigmoid_focal_loss_value_and_grad(x, t, weight=o["weight"]),
    "focal, gamma 2.5": lambda x, t, o: fs.sigmoid_focal_loss_value_and_grad(x, t, gamma=2.5, mask=o["mask"], threads=THREADS),
    "focal gradient and hessian": lambda x, t, o: fs.sigmoid_focal_loss_grad_hess(x, t, weight=o["weight"]),
    "focal gradient and hessian, gamma 2.5": lambda x, t, o: fs.sigmoid_focal_loss_grad_hess(x, t, gamma=2.5, alpha=o["weight"] / 9),
}


def compare_losses(other: OtherProcessor) -> tuple[int, int]:
    """How many numbers of losses, gradients and hessians were compared, and how many differ."""
    compared = different = 0
    for name, dtype in DTYPES.items():
        x, t, options = loss_data(dtype)
        for words, call in LOSSES.items():
            here = call(x, t, options)
            with losses_on(other.reduce):
                there = call(x, t, options)
            pairs = zip(here, there, strict=True) if isinstance(here, tuple) else [(here, there)]
            for a, b in pairs:
                agree = same(np.atleast_1d(a), np.atleast_1d(b))
                compared += agree.size
                different += agree.size - int(agree.sum())
                if not agree.all():
                    print(f"{words} {name}: {agree.size - agree.sum()} of {agree.size} differ")
    return compared, different


def build(compiler: str, place: Path) -> Path:
    generated, program = place / "generated", place / "other_processor"
    subprocess.run([sys.executable, str(CEXT / "python" / "build.py"), str(generated)], check=True, stdout=subprocess.DEVNULL)
    command = [*shlex.split(compiler), *FLAGS, f"-I{CEXT}", f"-I{generated}", *map(str, SOURCES), "-lm", "-lpthread", "-o", str(program)]
    subprocess.run(command, check=True)
    return program


def main() -> int:
    summary, _, _ = __doc__.partition("\n")
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument("--cc", default="aarch64-linux-gnu-gcc", help="the cross compiler (default: %(default)s)")
    parser.add_argument("--run", default="qemu-aarch64", help='what runs its programs, or "" (default: %(default)s)')
    options = parser.parse_args()
    for program in filter(None, (options.cc, options.run)):
        if not shutil.which(shlex.split(program)[0]):
            print(f"{program} is not here; on Debian: apt-get install gcc-aarch64-linux-gnu qemu-user")
            return 2
    if fs.backends()["c"] != "available":
        print(f"nothing to compare with: {fs.backends()['c']}")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        other = OtherProcessor([*shlex.split(options.run), str(build(options.cc, Path(folder)))])
        results, wrong = compare_elementwise(other)
        print(f"{len(OPS)} operations, {len(DTYPES)} types: {results:,} results, {wrong:,} with other bits", flush=True)
        numbers, wrong_losses = compare_losses(other)
        losses = len(LOSSES) * len(DTYPES)
        print(f"{losses} losses in {other.passes} passes: {numbers:,} numbers, {wrong_losses:,} with other bits")
    return int(wrong + wrong_losses > 0 or numbers == 0)


if __name__ == "__main__":
    raise SystemExit(main())
