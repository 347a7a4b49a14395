"""tools/instruction_counts.py: that the counter counts, and what the comparison calls a rise."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from fastsig.ops import OPS

ROOT = Path(__file__).parent.parent
TOOL = ROOT / "tools" / "instruction_counts.py"
if not TOOL.is_file():
    pytest.skip("this is not a checkout", allow_module_level=True)
spec = importlib.util.spec_from_file_location("instruction_counts", TOOL)
assert spec
assert spec.loader
counts = importlib.util.module_from_spec(spec)
spec.loader.exec_module(counts)

RECORD: dict[str, Any] = {
    "environment": {"machine": "x86_64", "compiler": "GCC 12", "libc": "glibc 2.36", "python": "3.11", "numpy": "2.4"},
    "instructions an element": {"v3 sigmoid float32": 4.0, "baseline sigmoid float32": 95.0, "v4 logit float64": 5.75},
    "instructions a call": {"sigmoid(0.5)": 1600.0},
}
ALL = [("instructions an element", name) for name in RECORD["instructions an element"]] + [("instructions a call", "sigmoid(0.5)")]


def changed(table: str, name: str, value: Any) -> dict[str, Any]:
    now = deepcopy(RECORD)
    now[table][name] = value
    return now


def test_the_same_is_no_rise() -> None:
    assert counts.compare(RECORD, RECORD) == ([], [])


@pytest.mark.parametrize(("table", "name"), ALL)
def test_a_rise_is_named(table: str, name: str) -> None:
    before = RECORD[table][name]
    ((rose,), remarks) = counts.compare(changed(table, name, before * 1.06), RECORD)
    assert rose.startswith(f"{name}: ")
    assert "+6.0%" in rose
    assert remarks == []
    assert counts.compare(changed(table, name, before * 1.04), RECORD) == ([], [])
    rose, (remark,) = counts.compare(changed(table, name, before * 0.9), RECORD)
    assert rose == []
    assert remark.startswith(f"{name}: down to")


@pytest.mark.parametrize(
    ("key", "value", "still"),
    [
        ("compiler", "GCC 13", []),
        ("machine", "aarch64", []),
        ("libc", "glibc 2.40", ["v3 sigmoid float32", "v4 logit float64"]),
        ("python", "3.12", ["v3 sigmoid float32", "baseline sigmoid float32", "v4 logit float64"]),
        ("numpy", "2.5", ["v3 sigmoid float32", "baseline sigmoid float32", "v4 logit float64"]),
    ],
)
def test_only_what_can_be_compared_is(key: str, value: str, still: list[str]) -> None:
    now = deepcopy(RECORD)
    for table, name in ALL:
        now[table][name] *= 2
    now["environment"][key] = value
    rose, remarks = counts.compare(now, RECORD)
    assert sorted(line.split(":")[0] for line in rose) == sorted(still)
    assert remarks
    assert all("not compared" in line and f"{key} was" in line for line in remarks)


def test_what_is_missing_or_new_is_said() -> None:
    now = changed("instructions an element", "v3 silu float32", 5.0)
    del now["instructions an element"]["v4 logit float64"]
    rose, remarks = counts.compare(now, RECORD)
    assert rose == []
    assert [line.split(":")[0] for line in remarks] == ["v3 silu float32", "v4 logit float64"]


def test_a_machine_keeps_the_counts_of_instruction_sets_that_it_lacks() -> None:
    now = deepcopy(RECORD)
    now["instructions an element"] = {"v3 sigmoid float32": 3.0, "v3 logit float64": 10.0}
    record = changed("instructions an element", "v4 a_removed_operation float32", 1.0)
    kept = counts.with_what_is_not_here(now, record)["instructions an element"]
    assert kept == {**now["instructions an element"], "baseline sigmoid float32": 95.0, "v4 logit float64": 5.75}
    now["environment"]["compiler"] = "clang 17"
    assert counts.with_what_is_not_here(now, RECORD) == now


def test_the_record_has_every_kernel() -> None:
    names = set(json.loads(counts.RECORD.read_text())["instructions an element"])
    for op in OPS:
        for dtype in ("float16", "bfloat16", "float32", "float64"):
            assert f"v3 {op.name} {dtype}" in names, f"{op.name}: python tools/instruction_counts.py --write"


@pytest.mark.skipif(sys.platform != "linux" or shutil.which("cc") is None, reason="needs Linux and a C compiler")
def test_the_counter_counts(tmp_path: Path) -> None:
    """n instructions more for n more nops; the same each time; and the program's status comes back."""
    step = counts.compiled("single_step.c", tmp_path)
    source = tmp_path / "nops.c"
    source.write_text("""
        #include <signal.h>
        #include <unistd.h>
        #define NOPS(n) __asm__ volatile(".rept " #n "\\n nop\\n .endr")
        static void mark(void) { kill(getpid(), SIGUSR1); }
        int main(void) {
            mark(), mark();
            mark(); NOPS(100); mark();
            mark(); NOPS(1100); mark();
            return 7;
        }
    """)
    subprocess.run(["cc", "-O0", "-o", str(tmp_path / "nops"), str(source)], check=True)
    seen = []
    for _ in range(2):
        done = subprocess.run([str(step), str(tmp_path / "report"), str(tmp_path / "nops")], check=False, capture_output=True, text=True)
        if "Operation not permitted" in done.stderr:
            pytest.skip("ptrace is not permitted here")
        assert done.returncode == 7, done.stderr
        seen.append([int(line) for line in (tmp_path / "report").read_text().split()])
    assert seen[0][1:] == seen[1][1:]
    _, few, many = seen[0]
    assert many - few == 1000
    assert few < 200
