"""PTX, instruction by instruction, in C: so that a CPU can run the kernels of the CUDA backend and their bits can be compared.

Every register is an unsigned integer of its width, every instruction one function of integers that says what the PTX manual says of
it, every branch a goto. An instruction that is not in ``PRELUDE`` does not compile, so nothing is passed over. Threads of a grid run
one after another; those of a warp take turns at each shuffle. A NaN's payload is the CPU's, which the manual leaves open.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import subprocess
from pathlib import Path

import numpy as np

PRELUDE = (Path(__file__).parent / "ptx_in_c.h").read_text()
_WIDTH = {"p": "u8", "rs": "u16", "h": "u16", "hh": "u32", "r": "u32", "f": "u32", "rd": "u64", "fd": "u64"}
_SPECIAL = {"%tid.x": "tid_x", "%ctaid.x": "ctaid_x", "%ntid.x": "ntid_x", "%nctaid.x": "nctaid_x", "%laneid": "(tid_x & 31)"}
_IGNORED = (".pragma", "//", ".loc", ".file")


def _operand(text: str) -> str:
    text = text.strip()
    if text in _SPECIAL:
        return _SPECIAL[text]
    if re.fullmatch(r"0[fF][0-9A-Fa-f]{8}", text):
        return f"0x{text[2:]}u"
    if re.fullmatch(r"0[dD][0-9A-Fa-f]{16}", text):
        return f"0x{text[2:]}ull"
    if re.fullmatch(r"-?\d+", text):
        return f"{text}ll" if abs(int(text)) < 2**63 else f"{text}ull"
    return text.removeprefix("%").removesuffix("U") if re.fullmatch(r"%\w+|0x[0-9A-Fa-f]+U?", text) else _unknown(text)


def _unknown(text: str) -> str:
    raise ValueError(f"no C for the operand {text!r}")


def _operands(text: str) -> list[str]:
    """Split at the commas that are not within braces."""
    return [part.strip() for part in re.findall(r"\s*(\{[^}]*\}|\[[^\]]*\]|[^,]+)", text) if part.strip()]


def _braced(text: str) -> list[str]:
    return [part.strip() for part in text.strip("{} ").split(",")]


def _address(text: str) -> str:
    base, _, offset = text.strip("[] ").partition("+")
    return f"{_operand(base)} + {int(offset or 0)}"


def _memory(opcode: str, arguments: list[str]) -> str:
    """Loads and stores, of one element or of a vector, whose address must be a multiple of all its bytes."""
    kind, *rest = opcode.split(".")
    width = int(re.findall(r"\d+", rest[-1])[-1])
    held = f"{'s' if rest[-1].startswith('s') else 'u'}{width}"  # a signed load extends the sign to the register's width
    wide = next((int(part[1:]) for part in rest if re.fullmatch(r"v[248]", part)), 1)
    at, values = (arguments[1], arguments[0]) if kind == "ld" else (arguments[0], arguments[1])
    names = [_operand(v) for v in (_braced(values) if wide > 1 else [values])]
    check = f"ALIGNED({_address(at)}, {wide * width // 8});"
    move = [f"{'LOAD' if kind == 'ld' else 'STORE'}({held}, {name}, {_address(at)} + {i * width // 8});" for i, name in enumerate(names)]
    return " ".join([check, *move])


def _statement(opcode: str, arguments: list[str], parameters: dict[str, int]) -> str:
    if opcode.startswith("ld.param"):
        return f"{_operand(arguments[0])} = arg{parameters[arguments[1].strip('[]')]};"
    if opcode.startswith(("ld.", "st.")):
        return _memory(opcode, arguments)
    if opcode.startswith("bra"):
        return f"goto {arguments[0].lstrip('$')};"
    if opcode == "ret":
        return "return;"
    if opcode == "bar.warp.sync":
        return "take_turns();"
    if opcode.startswith(("atom.", "red.")):
        call = opcode.replace(".", "_").replace("atom_", "red_", 1)
        target = f"{_operand(arguments.pop(0))} = " if opcode.startswith("atom") else ""
        return f"{target}{call}({_address(arguments[0])}, {_operand(arguments[1])});"
    if opcode.startswith("shfl.sync"):
        target = arguments[0].split("|")[0]
        return f"{_operand(target)} = {opcode.replace('.', '_')}({', '.join(map(_operand, arguments[1:4]))});"
    if opcode.startswith("mov.b") and arguments[1].startswith("{"):
        low, high = map(_operand, _braced(arguments[1]))
        return f"{_operand(arguments[0])} = pack{opcode[5:]}({low}, {high});"
    if opcode.startswith("mov.b") and arguments[0].startswith("{"):
        low, high = map(_operand, _braced(arguments[0]))
        half = int(opcode[5:]) // 2
        parts = [f"{name} = (u{half})({_operand(arguments[1])} >> {shift});" for name, shift in ((low, 0), (high, half)) if name != "_"]
        return " ".join(parts)
    target, *sources = map(_operand, arguments)
    return f"{target} = {opcode.replace('.', '_')}({', '.join(sources)});"


def in_c(ptx: str) -> str:
    """The first kernel of this PTX as ``void NAME(parameters..., unsigned blocks, unsigned threads)``."""
    head = re.search(r"\.visible \.entry (\w+)\((.*?)\)\n.*?\{\n(.*)^\}", ptx, re.DOTALL | re.MULTILINE)
    assert head, "no kernel in this PTX"
    name, listed, body = head.groups()
    found = re.findall(r"\.param .*?(\w+),?$", listed, re.MULTILINE)
    parameters = {parameter: i for i, parameter in enumerate(found)}
    lines = []
    for raw in body.split("\n"):
        line = raw.strip()
        if not line or line.startswith(_IGNORED):
            continue
        if line.startswith(".reg"):
            kind, count = re.findall(r"%(\w+?)<(\d+)>", line)[0]
            lines.append(f"{_WIDTH[kind]} {', '.join(f'{kind}{i} = 0' for i in range(int(count)))};")
        elif line.startswith(".local"):
            align, local, size = re.findall(r"\.align (\d+) \.b8\s+(\w+)\[(\d+)\]", line)[0]
            lines.append(f"_Alignas({align}) char {local}[{size}];")
        elif line.startswith("$"):
            lines.append(f"{line.lstrip('$')};")
        else:
            lines.append(_line(line, parameters))
    arguments = ", ".join(f"u64 arg{i}" for i in range(len(found)))
    passed = ", ".join(f"arg{i}" for i in range(len(found)))
    return "\n".join([
        f"static void {name}_thread({arguments}, u32 tid_x, u32 ctaid_x, u32 ntid_x, u32 nctaid_x) {{", *lines, "}",
        _grid(name, arguments, f"{name}_thread({passed}, tid, block, threads, blocks);", "shfl.sync" in body or "bar.warp.sync" in body),
    ])  # fmt: skip


def _grid(name: str, arguments: str, call: str, in_warps: bool) -> str:
    """The loop over all threads; those of a warp that talks are one step of it."""
    step, run, lane = "tid++", call, ""
    if in_warps:
        kept = re.sub(r"\barg(\d+)\b", r"now.arg[\1]", call)
        for word in ("tid", "block", "threads", "blocks"):
            kept = re.sub(rf"\b{word}\b", f"now.{word}" + " + warp.now" * (word == "tid"), kept)
        lane = f"static void {name}_lane(void) {{ {kept} warp.done[warp.now] = 1; }}\n"
        count = arguments.count("arg")
        run = " ".join(f"now.arg[{i}] = arg{i};" for i in range(count))
        run += f" now.tid = tid; now.block = block; now.threads = threads; now.blocks = blocks; run_warp({name}_lane);"
        step = "tid += 32"
    loops = f"for (u32 block = 0; block < blocks; block++) for (u32 tid = 0; tid < threads; {step}) {{ {run} }}"
    return f"{lane}void {name}({arguments}, u32 blocks, u32 threads) {{ {loops} }}"


def _line(line: str, parameters: dict[str, int]) -> str:
    match = re.fullmatch(r"(?:@(!?)%(p\d+)\s+)?([a-z][\w.:]*)\s*(.*?);", line)
    if not match:
        raise ValueError(f"no C for the line {line!r}")
    negated, predicate, opcode, text = match.groups()
    statement = _statement(opcode, _operands(text), parameters)
    return f"if ({negated}{predicate}) {{ {statement} }}" if predicate else statement


def build(ptx: dict[str, str], folder: Path) -> ctypes.CDLL:
    """These kernels, by name, as one shared library: compiled anew only where their text is new to the folder."""
    source = "\n".join([PRELUDE, *map(in_c, ptx.values())])
    stem = folder / f"ptx_{hashlib.sha256(source.encode()).hexdigest()[:20]}"
    library = stem.with_suffix(".so")
    if not library.exists():
        stem.with_suffix(".c").write_text(source)
        options = ["-O1", "-ffp-contract=off", "-mfma", "-fPIC", "-shared", "-w", "-fmax-errors=8", "-fwrapv", "-Wl,-z,defs"]
        fresh = stem.with_suffix(".tmp")
        subprocess.run([os.environ.get("CC", "cc"), *options, stem.with_suffix(".c"), "-o", fresh, "-lm"], check=True)
        fresh.replace(library)
    return ctypes.CDLL(str(library))


def launch(library: ctypes.CDLL, name: str, blocks: int, threads: int, *arguments: int) -> None:
    """Run a kernel of it; addresses and whole numbers as integers."""
    function = getattr(library, name)
    function.restype = None
    words = [ctypes.c_uint64(int(np.int64(a)) & (2**64 - 1)) if a < 2**63 else ctypes.c_uint64(a) for a in arguments]
    function(*words, ctypes.c_uint32(blocks), ctypes.c_uint32(threads))
