"""What a kernel's PTX must not contain, and what NVIDIA's assembler says of it; needs no GPU."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import NamedTuple

ARCHITECTURES = ((7, 5), (8, 0), (9, 0), (10, 0), (12, 0))
_INSTRUCTION = re.compile(r"^\s+(?:@!?%p\d+\s+)?([a-z]\w*(?:\.[\w:]+)*)\s", re.MULTILINE)
_ROUNDS = ("add", "sub", "mul", "div", "fma", "mad", "rcp", "sqrt")
_REFINED = ("rcp.approx.ftz.f32",)
"""Whose own error is gone from the result: the tests run the kernels with reciprocals that are off."""
_APPROXIMATE = ("ex2", "lg2", "sin", "cos", "tanh", "rsqrt", "testp")


class Assembled(NamedTuple):
    """One kernel as the assembler reports it."""

    name: str
    registers: int
    spilled: int
    """Bytes of spill stores and loads."""
    stack: int


def forbidden(ptx: str) -> list[str]:
    """Instructions whose result another machine, or another version of the compiler, may round in another way: approximations, those
    that flush subnormals, real arithmetic that does not say how it rounds (so may be contracted), and calls."""
    return [instruction for instruction in _INSTRUCTION.findall(ptx) if _is_forbidden(instruction)]


def _is_forbidden(instruction: str) -> bool:
    if instruction in _REFINED:
        return False
    name, *modifiers = instruction.split(".")
    if {"approx", "ftz", "full", "sat", "relu"} & set(modifiers) or name in _APPROXIMATE or name == "call":
        return True
    real = any(re.fullmatch(r"b?f(16|32|64)(x2)?", modifier) for modifier in modifiers)
    return real and name in _ROUNDS and "rn" not in modifiers


def tool(name: str) -> Path:
    """A program of the installed NVIDIA wheels, such as ptxas; FileNotFoundError names the package where there is none."""
    import nvidia

    for place in nvidia.__path__:
        for found in sorted(Path(place).glob(f"*/bin/{name}")):
            return found
    package = {"ptxas": "nvidia-cuda-nvcc", "nvdisasm": "nvidia-cuda-nvdisasm"}.get(name, f"nvidia-cuda-{name}")
    raise FileNotFoundError(f"{name} is in none of the installed packages: pip install {package}")


def joined(texts: list[str]) -> str:
    """Kernels of one architecture as one PTX file: one call of the assembler is much faster than many."""
    head, _, _ = texts[0].partition(".visible .entry")
    return head + "\n".join(text[text.index(".visible .entry") :] for text in texts)


def assemble(ptx: str, architecture: tuple[int, int], cubin: Path) -> list[Assembled]:
    """Through ptxas into a file; AssertionError with its words where it refuses."""
    source = cubin.with_suffix(".ptx")
    source.write_text(ptx)
    arch = "sm_{}{}".format(*architecture)
    done = subprocess.run([tool("ptxas"), "-v", f"-arch={arch}", source, "-o", cubin], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = re.findall(
        r"Compiling entry function '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads"
        r".*?Used (\d+) registers",
        done.stderr,
        re.DOTALL,
    )
    return [Assembled(name, int(registers), int(stores) + int(loads), int(stack)) for name, stack, stores, loads, registers in found]


def machine_code(cubin: Path) -> str:
    """The SASS of a cubin."""
    return subprocess.run([tool("nvdisasm"), "-c", cubin], capture_output=True, text=True, check=True).stdout
