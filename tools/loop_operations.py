"""Counts the vector operations in the hot loop of every kernel, from the machine code: ``python tools/loop_operations.py [ISA]``.

Builds the C library in a temporary directory (CMake, Ninja or Make, and objdump are needed), disassembles the kernels of one
instruction set (v4, v3 or baseline) and prints, for each operation and dtype, what one cache line of output costs.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parents[1]
WIDEST = {"v4": "zmm", "v3": "ymm", "baseline": "xmm"}
LINE = re.compile(r"^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$")
MOVE = re.compile(r"^v?(mov[au]p[sd]|movdq[au]\d*|movnt\w+|broadcast\w+)$")


def build(directory: Path) -> None:
    for command in (
        ["cmake", "-S", str(ROOT / "cext"), "-B", str(directory), f"-DPython_EXECUTABLE={sys.executable}"],
        ["cmake", "--build", str(directory), "--target", "fastsig"],
    ):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def functions(code: str) -> dict[str, list[tuple[int, str, str]]]:
    """Address, mnemonic and operands of every instruction, by function."""
    found: dict[str, list[tuple[int, str, str]]] = {}
    name = ""
    for line in code.splitlines():
        if line.endswith(">:"):
            name = line.split("<")[1][:-2]
        elif (match := LINE.match(line)) and name:
            found.setdefault(name, []).append((int(match[1], 16), match[2], match[3]))
    return found


def hot_loop(body: list[tuple[int, str, str]]) -> list[tuple[int, str, str]]:
    """Of the loops (from the target of a backward jump to the jump), the smallest with a division or with the most operations."""
    index = {address: i for i, (address, _, _) in enumerate(body)}
    loops = []
    for i, (address, mnemonic, operands) in enumerate(body):
        target = int(operands.split()[0], 16) if mnemonic.startswith("j") and re.match(r"[0-9a-f]+ <", operands) else address + 1
        if target <= address and target in index:
            loops.append(body[index[target] : i + 1])
    return min(
        loops, key=lambda loop: (-sum("div" in m for _, m, _ in loop), -sum("fmadd" in m for _, m, _ in loop), len(loop)), default=[]
    )


def count(loop: list[tuple[int, str, str]], register: str) -> tuple[int, int, int]:
    """Vector operations (moves left out), divisions among them, and instructions in all."""
    vector = [m for _, m, operands in loop if (register in operands or "%k" in operands) and not MOVE.match(m)]
    return len(vector), sum("div" in m for m in vector), len(loop)


def main() -> None:
    isa = sys.argv[1] if len(sys.argv) > 1 else "v4"
    if isa not in WIDEST:
        sys.exit(f"ISA: {isa!r} is none of {', '.join(WIDEST)}")
    with tempfile.TemporaryDirectory() as name:
        build(Path(name))
        code = subprocess.run(
            ["objdump", "-d", "--no-show-raw-insn", str(next(Path(name).glob(f"**/kernels_{isa}.dir/kernels.c.o")))],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
    table = Table(title=f"hot loops, {isa}: a line of 64 bytes of output")
    for head in ("operation", "dtype", "vector operations", "divisions", "instructions", "registers"):
        table.add_column(head, justify="left" if head in ("operation", "dtype", "registers") else "right")
    for function, body in sorted(functions(code).items()):
        if match := re.match(r"(\w+)_run_(f32|f64|f16|bf16)$", function):
            loop = hot_loop(body)
            vector, divisions, whole = count(loop, WIDEST[isa])
            widest = next((r for r in ("zmm", "ymm", "xmm") if any(r in o for _, _, o in loop)), "none")
            table.add_row(match[1], match[2], str(vector), str(divisions), str(whole), widest)
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
