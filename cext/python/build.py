"""Writes what the C library takes from Python: the list of operations, the constants, the version, the symbols that it exports, and the
cffi module's source.

Run by CMake: ``python build.py OUTDIR``. Reads ``fastsig/ops.py`` and ``fastsig/formulas/constants.py`` by path, for the
package is not built yet.
"""

from __future__ import annotations

import importlib.util
import math
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from cffi import FFI

LIBRARY = Path(__file__).resolve().parent.parent
PACKAGE = LIBRARY.parent / "fastsig"
ARITY = {1: "UNARY", 2: "BINARY"}

CDEF = """
    #define FASTSIG_ABI_VERSION ...
    int fastsig_abi_version(void);
    const char *fastsig_version(void);
    const char *fastsig_extension_version(void);
    const char *fastsig_library_file(void);
    const char *fastsig_isa(void);
    int fastsig_isa_available(const char *name);
    int fastsig_set_isa(const char *name);
    size_t fastsig_stream_bytes(void);
    void fastsig_set_stream_bytes(size_t bytes);
    int fastsig_install_ufuncs(void *namespace);
    int fastsig_register_bfloat16(int type_number);
    int fastsig_install_rounded(void *namespace);
    int fastsig_register_rounded_bfloat16(int type_number);
    int fastsig_install_functions(void *namespace);
    void fastsig_set_affinity(int when);
    int fastsig_make_fast_calls(void *functions_by_name, int straight);
    void fastsig_set_fast_call_sizes(const size_t *elements);
"""
SOURCE = """
    #include "fastsig.h"
    #include "pool.h"
    const char *fastsig_extension_version(void);
    const char *fastsig_library_file(void);
    int fastsig_install_ufuncs(void *namespace);
    int fastsig_register_bfloat16(int type_number);
    int fastsig_install_rounded(void *namespace);
    int fastsig_register_rounded_bfloat16(int type_number);
    int fastsig_install_functions(void *namespace);
    int fastsig_make_fast_calls(void *functions_by_name, int straight);
    void fastsig_set_fast_call_sizes(const size_t *elements);
"""


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("fastsig_build_" + path.stem, path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


def ops_header(ops: ModuleType) -> str:
    rows = [f'    {ARITY[op.nin]}({op.name}, "{", ".join(op.inputs)}")' for op in ops.OPS]
    gates = [
        f"    ROW({row.name}, {row.nin}, {row.nout}, {_call(row)}, {_looks(row)}, {_verdict(row)}, "
        f"{_is_near(row)}, {_stores(row, 'near{}')}, {_stores(row, 'select(here, near{0}, far{0})')})"
        for row in ops.FUSED
    ]
    rounded = [f"    ROW({op.name})" for op in ops.ROUNDED]
    macros = {"FASTSIG_OPS(UNARY, BINARY)": rows, "FASTSIG_FUSED(ROW)": gates, "FASTSIG_ROUNDED(ROW)": rounded}
    texts = (f"#define {head} \\\n" + " \\\n".join(body) + "\n" for head, body in macros.items())
    return "/* Generated from fastsig/ops.py. */\n" + "".join(texts)


def _call(row: Any) -> str:
    """The arguments of a gate's formula, over the elements j of its inputs x."""
    return "(" + ", ".join(f"x[{k}][j]" for k in range(row.nin)) + ")"


def _limits(row: Any) -> list[str]:
    return list(dict.fromkeys(row.near))


def _looks(row: Any) -> str:
    """The bits of the largest magnitude so far, in one variable for each limit."""
    groups = [(_limits(row).index(limit), k) for k, limit in enumerate(row.near)]
    return " ".join(f"most[{group}] = FN(larger)(most[{group}], x[{k}][j]);" for group, k in groups)


def _verdict(row: Any) -> str:
    return "(" + " & ".join(f"(most[{group}] <= bits(K({limit})))" for group, limit in enumerate(_limits(row))) + ")"


def _is_near(row: Any) -> str:
    """Whether these inputs are all within their limits."""
    return "(" + " & ".join(f"(absolute(x[{k}][j]) <= K({limit}))" for k, limit in enumerate(row.near)) + ")"


def _stores(row: Any, result: str) -> str:
    """The results into the elements j of its outputs y."""
    places = [f".out[{place}]" for place in row.stored] if row.nout > 1 else [""]
    return " ".join(f"y[{k}][j] = {result.format(place)};" for k, place in enumerate(places))


def abi_version() -> str:
    found = re.search(r"^#define FASTSIG_ABI_VERSION (\d+)$", (LIBRARY / "fastsig.h").read_text(), re.MULTILINE)
    assert found
    return found[1]


EXPORTED = ("version", "abi_version", "isa", "isa_available", "set_isa", "stream_bytes", "set_stream_bytes")
"""Beside the operations, what ``fastsig.h`` declares."""
FOR_THE_EXTENSION = ("active", "stream_threshold", "pool_run", "pool_ask", "reduce_all", "columnar", "fused_all", "set_affinity")
"""No part of the ABI: one version's extension goes with that version's library, and the loader refuses another."""


def exports(ops: ModuleType, version: str) -> str:
    """The linker's list of symbols that the library shows."""
    loops = [f"fastsig_{op.name}_{dtype}{form}" for op in ops.OPS for dtype in ("f16", "bf16", "f32", "f64") for form in ("", "_strided")]
    public = [*(f"fastsig_{name}" for name in EXPORTED), *loops]
    private = [f"fastsig_{name}" for name in FOR_THE_EXTENSION]
    lines = [f"FASTSIG_{abi_version()} {{", "  global:", *(f"    {name};" for name in public), "  local: *;", "};"]
    return "\n".join([*lines, f"FASTSIG_PRIVATE_{version} {{", "  global:", *(f"    {name};" for name in private), "};"]) + "\n"


def literal(value: float, mark: str) -> str:
    if math.isnan(value):
        return f'__builtin_nan{mark}("")'
    return f"__builtin_inf{mark}()" if math.isinf(value) else value.hex() + mark


UNKNOWN_TO_THE_COMPILER = {"a_max"}
"""Variables, which stand in library.c: GCC makes one instruction of a minimum of two variables, and two of one with a literal."""
ELSEWHERE = """#ifndef CONSTANT_ELSEWHERE
#define CONSTANT_ELSEWHERE(type, name, value) extern const type name __attribute__((visibility("hidden")));
#endif"""


def constants_header(constants: ModuleType) -> str:
    lines = ["/* Generated from fastsig/formulas/constants.py, which says what each is and where it comes from. */", ELSEWHERE]
    tables = (("f32", "float", "f", constants.F32), ("f64", "double", "", constants.F64), ("rounded", "double", "", constants.ROUNDED))
    for suffix, real, mark, table in tables:
        for name, value in table._asdict().items():
            if isinstance(value, tuple):
                items = ", ".join(literal(v, mark) for v in value)
                lines.append(f"static const {real} {name}_{suffix}[] = {{{items}}};")
            elif name in UNKNOWN_TO_THE_COMPILER:
                lines.append(f"CONSTANT_ELSEWHERE({real}, {name}_{suffix}, {literal(value, mark)})")
            else:
                text = f"{value}LL" if isinstance(value, int) else literal(value, mark)
                lines.append(f"#define {name}_{suffix} {text}")
    return "\n".join(lines) + "\n"


LOOKUP_SLOTS = 32
LOOKUP_FROM = 3
"""From so many patches on, one look-up of a whole line takes fewer instructions than comparing with each."""


def lookup(kernel: str, rows: dict[int, int]) -> list[str]:
    """A table in which the upper five bits of input * factor find the input that is patched there, and its result."""
    slots = {factor: [(a * factor & 0xFFFF) >> 11 for a in rows] for factor in range(1, 0x10000, 2)}
    factor = next(f for f in slots if len(set(slots[f])) == len(rows))
    patch_at = dict(zip(slots[factor], rows.items(), strict=True))
    elsewhere = {slot: next(a for s, (a, _) in patch_at.items() if s != slot) for slot in range(LOOKUP_SLOTS)}
    inputs = ", ".join(f"0x{patch_at[s][0] if s in patch_at else elsewhere[s]:04X}" for s in range(LOOKUP_SLOTS))
    results = ", ".join(f"0x{patch_at[s][1] if s in patch_at else 0:04X}" for s in range(LOOKUP_SLOTS))
    return [
        f"static const uint16_t patched_{kernel}[2][{LOOKUP_SLOTS}] = {{{{{inputs}}}, {{{results}}}}};",
        f"#define LOOKUP_{kernel} look_up(line, x + i, patched_{kernel}, 0x{factor:04X});",
    ]


def halves_header(ops: ModuleType, halves: ModuleType) -> str:
    lines = [
        "/* Generated from fastsig/formulas/halves.py: FIX(input, result) for each patched half, or a table of them. */",
        "#include <stdint.h>",
    ]
    for op in ops.OPS:
        for dtype in ("f16", "bf16"):
            rows = halves.PATCHES.get(op.name, {}).get(dtype, {})
            one_by_one = f"#define PATCHES_{op.name}_{dtype} " + " ".join(f"FIX(0x{a:04X}, 0x{b:04X})" for a, b in rows.items())
            no_table = f"#define LOOKUP_{op.name}_{dtype}"
            if len(rows) < LOOKUP_FROM:
                lines += [one_by_one, no_table]
            else:
                with_table = [*lookup(f"{op.name}_{dtype}", rows), f"#define PATCHES_{op.name}_{dtype}"]
                lines += ["#if defined(__AVX512BW__)", *with_table, "#else", one_by_one, no_table, "#endif"]
            limit = halves.JUST_ABOVE_HALF.get(op.name, {}).get(dtype, 0)
            lines.append(f"#define HALVED_{op.name}_{dtype} " + (f"HALVE(0x{limit:04X})" if limit else ""))
    return "\n".join(lines) + "\n"


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    ops = load(PACKAGE / "ops.py")
    version = load(PACKAGE / "_version.py").__version__
    (out / "fastsig_version.h").write_text(f'#define FASTSIG_VERSION "{version}"\n')
    (out / "exports.map").write_text(exports(ops, version))
    (out / "fastsig_ops.h").write_text(ops_header(ops))
    (out / "fastsig_constants.h").write_text(constants_header(load(PACKAGE / "formulas" / "constants.py")))
    (out / "fastsig_halves.h").write_text(halves_header(ops, load(PACKAGE / "formulas" / "halves.py")))
    ffi = FFI()
    ffi.cdef(CDEF)
    ffi.set_source("fastsig._c", SOURCE)
    ffi.emit_c_code(str(out / "_c.c"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
