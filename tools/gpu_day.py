"""Everything that needs a GPU, in the order of what is learnt first: ``python tools/gpu_day.py DIR``.

Versions and driver; whether every kernel loads; the first values; negative views; streams; graphs; all tests of a GPU; the benchmark;
occupancy by Nsight Compute and NVIDIA's checkers where they are installed; all 2^32 float32 inputs of every operation. Each step has a
limit of its own, and none waits for another to pass: all are over within 20 minutes. DIR has then summary.md and .json, log.txt, and
what the benchmark wrote. Without a GPU the tests run that need none. Status 1 where a step failed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import fastsig as fs
from fastsig.system.terminal import show, table_text

ROOT = Path(__file__).resolve().parent.parent
PYTHON = sys.executable
MOST_OF_A_LOG = 40_000
"""Characters of a step's output that are kept, from its end."""


class Step(NamedTuple):
    name: str
    limit: int
    """Seconds."""
    command: tuple[str, ...]
    program: str = ""
    """What must be installed for it, where that is not sure."""


def tests(*selection: str) -> tuple[str, ...]:
    return (PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", *selection)


def of_gpu(words: str) -> tuple[str, ...]:
    return tests("-m", "gpu and not slow", "tests/test_gpu.py", "-k", words)


VERSIONS = (PYTHON, "-m", "pip", "list")
PROFILED = ("--clock-control", "none", "--kernel-name", "regex:fastsig", "--section", "Occupancy", "--section", "SpeedOfLight")
CALLS = (PYTHON, "tools/gpu_calls.py")


def steps_on_a_gpu(folder: Path) -> list[Step]:
    return [
        Step("driver", 20, ("nvidia-smi",), "nvidia-smi"),
        Step("versions", 30, VERSIONS),
        Step("kernels load", 180, (PYTHON, "tools/gpu_loads.py")),
        Step("first values", 60, (*CALLS, "--elements", "1000")),
        Step("negative views", 40, of_gpu("negat")),
        Step("streams", 60, of_gpu("stream")),
        Step("graphs", 60, of_gpu("graph")),
        Step("all tests", 120, tests("-m", "gpu and not slow", "tests/test_gpu.py")),
        Step("benchmark", 200, (PYTHON, "benchmarks/gpu.py", "--out", str(folder))),
        Step("occupancy", 90, ("ncu", *PROFILED, *CALLS, "--elements", "16777216", "--dtypes", "float32"), "ncu"),
        Step(
            "memcheck",
            90,
            ("compute-sanitizer", "--tool", "memcheck", "--report-api-errors", "no", "--error-exitcode", "9", *CALLS),
            "compute-sanitizer",
        ),
        Step("synccheck", 90, ("compute-sanitizer", "--tool", "synccheck", "--error-exitcode", "9", *CALLS), "compute-sanitizer"),
        Step("all float32", 120, tests("-m", "gpu and slow", "tests/test_gpu.py")),
    ]


def steps_without() -> list[Step]:
    return [
        Step("versions", 30, VERSIONS),
        Step("tests that need no GPU", 900, tests(*sorted(str(path) for path in (ROOT / "tests").glob("test_cuda_*.py")))),
    ]


def run(step: Step) -> tuple[str, float, str]:
    """How it ended, its seconds, and what it printed."""
    if step.program and shutil.which(step.program) is None:
        return f"{step.program} is not installed", 0.0, ""
    since = time.monotonic()
    search = os.pathsep.join(filter(None, (str(ROOT / "tools"), os.environ.get("PYTHONPATH", ""))))
    environment = os.environ | {"PYTHONPATH": search, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        step.command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )  # fmt: skip
    try:
        text, _ = process.communicate(timeout=step.limit)
        ended = "passed" if process.returncode == 0 else f"failed: status {process.returncode}"
        if process.returncode == 0 and "pytest" in step.command and " passed" not in last_line(text):
            ended = "failed: no test ran"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        text, _ = process.communicate()
        ended = f"failed: not over in {step.limit} s"
    return ended, time.monotonic() - since, text


def last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")


def write(folder: Path, status: str, rows: list[list[str]], logs: list[str]) -> None:
    """After every step, so that a machine that goes away leaves what there is."""
    header = ("step", "ended", "seconds", "last line")
    cells = [[name, ended, seconds, line[:100]] for name, ended, seconds, line in rows]
    (folder / "summary.md").write_text(
        f"# {time.strftime('%Y-%m-%d %H:%M')}: CUDA backend {status}\n\n```\n{table_text(cells, header)}\n```\n"
    )
    (folder / "summary.json").write_text(json.dumps([dict(zip(header, row, strict=True)) for row in rows], indent=1) + "\n")
    (folder / "log.txt").write_text("\n".join(logs))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder for the results; made where it is not there")
    parser.add_argument("--only", default="", help="names of steps, separated by commas")
    arguments = parser.parse_args(argv)
    folder = arguments.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    status = fs.backends()["cuda"]
    has_gpu = status == "available"
    if not has_gpu:
        print(f"no GPU to run on: {status}\nWhat needs none is run.")
    steps = steps_on_a_gpu(folder) if has_gpu else steps_without()
    wanted = [name.strip() for name in arguments.only.split(",") if name.strip()]
    unknown = set(wanted) - {step.name for step in steps}
    if unknown:
        parser.error(f"--only: unknown steps {', '.join(sorted(unknown))}; there are {', '.join(step.name for step in steps)}")
    rows: list[list[str]] = []
    logs: list[str] = []
    for step in steps:
        if wanted and step.name not in wanted:
            continue
        print(f"{step.name} ...", flush=True)
        ended, seconds, text = run(step)
        rows.append([step.name, ended, f"{seconds:.1f}", last_line(text)])
        logs.append(f"==== {step.name}: {' '.join(step.command)}\n{text[-MOST_OF_A_LOG:]}")
        write(folder, status, rows, logs)
    show(rows, ("step", "ended", "seconds", "last line"), folded=3)
    return 1 if any(row[1].startswith("failed") for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
