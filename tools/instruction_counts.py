"""Instructions of each kernel an element and of each kind of call, and whether they rose: ``python tools/instruction_counts.py``.

Counted by single steps (``single_step.c``), so neither load nor clock nor missing permission for the processor's counters matters, and
nothing has to be installed but a C compiler. ``--write`` makes benchmarks/results/instructions.json; without it, what is there is
compared, and a rise of more than 5% ends with status 1 and the names of what rose.

Counts of machine code hold for the compiler that made it. Where the record was made with another compiler, Python, NumPy or C
library, what depends on it is named and left out of the comparison.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "benchmarks" / "results" / "instructions.json"
RISE = 1.05
ELEMENTS = {"baseline": (0, 32)}
OTHER_ELEMENTS = (32, 96)
"""The two sizes of a kernel's calls, whole lines of any type; the baseline is slow to step through, and has no constants to load."""
TYPES = {"f16": "float16", "bf16": "bfloat16", "f32": "float32", "f64": "float64"}
CALLS_FEW, CALLS_MANY = 5, 15

CALLS = """
import gc, os, signal, sys
import numpy as np, fastsig as fs
from fastsig.kernels.c import library as c
gc.disable()
c.set_isa(sys.argv[1])
FEW, MANY = int(sys.argv[2]), int(sys.argv[3])
mark = lambda: os.kill(os.getpid(), signal.SIGUSR1)
def count(name, call, few=FEW, many=MANY):
    for n in (200, few, many):
        if n != 200: mark()
        for _ in range(n): call()
        if n != 200: mark()
    print(name, many - few, flush=True)
f32, f64 = np.linspace(-3, 3, 4096, dtype='f'), np.linspace(-3, 3, 4096)
out = np.empty(100, 'f')
count('sigmoid(0.5)', lambda: fs.sigmoid(0.5))
count('sigmoid(np.float32)', lambda x=f32[5]: fs.sigmoid(x))
count('sigmoid, 1 float32', lambda x=f32[:1]: fs.sigmoid(x))
count('sigmoid, 100 float32', lambda x=f32[:100]: fs.sigmoid(x))
count('sigmoid, 100 float32, out=', lambda x=f32[:100]: fs.sigmoid(x, out=out))
count('sigmoid, 100 float32, threads=', lambda x=f32[:100]: fs.sigmoid(x, threads=1))
count('sigmoid, 100 float32, backend=', lambda x=f32[:100]: fs.sigmoid(x, backend='c'))
mask = np.arange(100) % 3 == 0
count('sigmoid, 100 float32, out=, where=', lambda x=f32[:100]: fs.sigmoid(x, out=out, where=mask))
count('sigmoid, 100 int8', lambda x=np.arange(100, dtype='b'): fs.sigmoid(x))
count('sigmoid, 100 float64', lambda x=f64[:100]: fs.sigmoid(x))
x, total = np.linspace(-3, 3, 100, dtype='f'), np.zeros((), 'f')
t, w = (x > 0).astype('f'), x + 4
options = {
    '': {}, ', threads=1': {'threads': 1}, ', backend=c': {'backend': 'c'}, ', out=': {'out': total},
    ', weight, weighted_mean': {'weight': w, 'reduction': 'weighted_mean'},
    ', mask': {'mask': t > 0}, ', label smoothing': {'label_smoothing': 0.1},
}
for words, given in options.items():
    count('bce_with_logits_value_and_grad, 100 float32' + words, lambda: fs.bce_with_logits_value_and_grad(x, t, **given))
half, lists = x.astype('e'), (x.tolist(), t.tolist())
count('bce_with_logits_value_and_grad, 100 float16', lambda: fs.bce_with_logits_value_and_grad(half, t))
count('bce_with_logits_value_and_grad, lists of 100', lambda: fs.bce_with_logits_value_and_grad(*lists))
"""


def command(words: Sequence[str], **options: Any) -> str:
    return subprocess.run(words, check=True, text=True, stdout=subprocess.PIPE, **options).stdout


def compiled(source: str, directory: Path, *libraries: str) -> Path:
    program = directory / Path(source).stem
    compiler = os.environ.get("CC", "cc")
    command([compiler, "-O1", "-std=gnu11", "-o", str(program), str(ROOT / "tools" / source), *libraries])
    return program


def stepped(step: Path, words: Sequence[str], directory: Path) -> tuple[list[int], str]:
    """The counts between the program's marks, and what it printed."""
    report = directory / "report"
    said = command([str(step), str(report), *words], env={**os.environ, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"})
    return [int(line) for line in report.read_text().split()], said


def kernels(step: Path, directory: Path, library: str, isas: Sequence[str]) -> dict[str, float]:
    """Instructions an element, by "isa op dtype"."""
    from fastsig.ops import OPS

    program = compiled("kernel_calls.c", directory, "-ldl")
    cells = [(op.name, suffix) for op in OPS for suffix in TYPES]
    found = {}
    for isa in isas:
        small, large = ELEMENTS.get(isa, OTHER_ELEMENTS)
        functions = [f"fastsig_{op}_{suffix}" for op, suffix in cells]
        counts, _ = stepped(step, [str(program), library, isa, str(small), str(large), *functions], directory)
        for (op, suffix), few, many in zip(cells, counts[::2], counts[1::2], strict=True):
            found[f"{isa} {op} {TYPES[suffix]}"] = round((many - few) / (large - small), 3)
    return found


def calls(step: Path, directory: Path, isa: str) -> dict[str, float]:
    """Instructions a call."""
    counts, said = stepped(step, [sys.executable, "-c", CALLS, isa, str(CALLS_FEW), str(CALLS_MANY)], directory)
    lines = [line.rpartition(" ") for line in said.splitlines()]
    pairs = zip(lines, counts[::2], counts[1::2], strict=True)
    return {name: round((many - few) / int(n), 1) for (name, _, n), few, many in pairs}


def compiler_of(library: str) -> str:
    """What the compiler wrote of itself into the library: "GCC 12", "clang 17"."""
    text = Path(library).read_bytes()
    for name, pattern in (("clang", rb"clang version (\d+)"), ("GCC", rb"GCC: \([^)]*\) (\d+)")):
        match = re.search(pattern, text)
        if match:
            return f"{name} {match[1].decode()}"
    return "unknown"


def environment(library: str) -> dict[str, str]:
    import numpy as np

    return {
        "machine": platform.machine(),
        "compiler": compiler_of(library),
        "libc": " ".join(platform.libc_ver()),
        "python": ".".join(platform.python_version_tuple()[:2]),
        "numpy": ".".join(np.__version__.split(".")[:2]),
    }


def measured() -> dict[str, Any]:
    """The environment and the counts of this installation."""
    import fastsig as fs
    from fastsig.kernels.c import library as c

    library, isas = fs.get_library(), c.isas()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        step = compiled("single_step.c", directory)
        return {
            "environment": environment(library),
            "instructions an element": kernels(step, directory, library, isas),
            "instructions a call": calls(step, directory, "v3" if "v3" in isas else "baseline"),
        }


DEPENDS = {
    "baseline kernels": ("machine", "compiler", "libc"),  # their fma is libm's
    "kernels": ("machine", "compiler"),
    "calls": ("machine", "compiler", "libc", "python", "numpy"),
}


def compare(now: dict[str, Any], record: dict[str, Any]) -> tuple[list[str], list[str]]:
    """What rose by more than 5%, and remarks: what could not be compared and why, and what is lower or new."""
    rose, remarks = [], []
    differs = {key: f"{key} was {record['environment'].get(key)}, is {value}" for key, value in now["environment"].items()
               if record["environment"].get(key) != value}  # fmt: skip
    for table, whole in (("instructions an element", "kernels"), ("instructions a call", "calls")):
        before, after = record[table], now[table]
        barred: dict[str, str] = {}
        for name in sorted(before.keys() | after.keys()):
            kind = "baseline kernels" if name.startswith("baseline ") else whole
            reasons = [differs[key] for key in DEPENDS[kind] if key in differs]
            if reasons:
                barred[kind] = "; ".join(reasons)
            elif name not in after:
                remarks.append(f"{name}: not counted here")
            elif name not in before:
                remarks.append(f"{name}: {after[name]:g}, and nothing on record; add it with --write")
            elif after[name] > before[name] * RISE:
                rose.append(f"{name}: {after[name]:g} {table}, {after[name] / before[name] - 1:+.1%} from {before[name]:g}")
            elif after[name] * RISE < before[name]:
                remarks.append(f"{name}: down to {after[name]:g} from {before[name]:g}; keep that with --write")
        remarks += [f"{kind} not compared: {why}" for kind, why in barred.items()]
    return rose, remarks


def with_what_is_not_here(now: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
    """The counts of now, and the record's of instruction sets that this machine lacks, where one compiler made both."""
    if any(now["environment"][key] != record["environment"].get(key) for key in DEPENDS["kernels"]):
        return now
    isas, kernels = (set(words) for words in zip(*(name.split(" ", 1) for name in now["instructions an element"]), strict=True))
    before = {tuple(name.split(" ", 1)): n for name, n in record["instructions an element"].items()}
    kept = {f"{isa} {kernel}": n for (isa, kernel), n in before.items() if isa not in isas and kernel in kernels}
    return {**now, "instructions an element": {**now["instructions an element"], **kept}}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", action="store_true", help="make this the record")
    parser.add_argument("--record", type=Path, default=RECORD)
    arguments = parser.parse_args(argv)
    if sys.platform != "linux":
        print("instructions are counted on Linux only (ptrace)")
        return 0
    try:
        now = measured()
    except subprocess.CalledProcessError as error:
        print(
            f"could not count (status {error.returncode}): {' '.join(error.cmd[:4])}; it takes a C compiler, and leave to use ptrace",
            file=sys.stderr,
        )
        return 2
    if arguments.write:
        if arguments.record.exists():
            now = with_what_is_not_here(now, json.loads(arguments.record.read_text()))
        arguments.record.write_text(json.dumps(now, indent=1) + "\n")
        print(f"written to {arguments.record}")
        return 0
    rose, remarks = compare(now, json.loads(arguments.record.read_text()))
    print(*remarks, *rose, sep="\n")
    print(f"{len(rose)} of {sum(len(now[t]) for t in now if t != 'environment')} instruction counts rose by more than 5%")
    return 1 if rose else 0


if __name__ == "__main__":
    sys.exit(main())
