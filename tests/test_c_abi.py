"""The C ABI, from C: a program against fastsig.h and the shared library gives the bits that Python gives."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from reference import assert_same_bits
from samples import anything

import fastsig as fs
from fastsig.dispatch import availability
from fastsig.ops import OPS, Op

TYPES = {"f16": "uint16_t", "bf16": "uint16_t", "f32": "float", "f64": "double"}
NUMPY = {"f16": np.dtype(np.float16), "f32": np.dtype(np.float32), "f64": np.dtype(np.float64)}
COUNT = 1_000

PROGRAM = """
#include <errno.h>
#include <fenv.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fastsig.h"

static double store[3][COUNT];
static char out[8 * COUNT];

static void fetch(const char *name, void *to, size_t size) {
    FILE *file = fopen(name, "rb");
    if (!file || fread(to, size, COUNT, file) != COUNT) exit(2);
    fclose(file);
}

static void keep(const char *name, size_t size) {
    FILE *file = fopen(name, "wb");
    if (!file || fwrite(out, size, COUNT, file) != COUNT) exit(3);
    fclose(file);
}

int main(void) {
    errno = 0;
    printf("%s %s\\n", fastsig_version(), fastsig_isa());
    if (fastsig_set_isa("nonsense") != -1 || !fastsig_isa_available("baseline") || fastsig_set_isa(fastsig_isa()) != 0) return 4;
    if (fastsig_stream_bytes() == 0) return 5;
    if (fastsig_abi_version() != FASTSIG_ABI_VERSION) return 7;
CALLS
    return errno != 0;
}
"""


def calls_of(op: Op) -> str:
    lines = []
    for sfx, kind in TYPES.items():
        size = f"sizeof({kind})"
        lines += [f'fetch("{operand}_{op.domain}.{sfx}", store[{i}], {size});' for i, operand in enumerate("xy"[: op.nin])]
        plain = ", ".join(f"(const {kind} *)store[{i}]" for i in range(op.nin))
        back = ", ".join(f"(const {kind} *)store[{i}] + COUNT - 1, -(ptrdiff_t){size}" for i in range(op.nin))
        lines += [
            "feclearexcept(FE_ALL_EXCEPT);",
            f"fastsig_{op.name}_{sfx}({plain}, ({kind} *)out, COUNT);",
            f'keep("{op.name}.{sfx}", {size});',
            "memset(out, 0, sizeof out);",
            f"fastsig_{op.name}_{sfx}_strided({back}, ({kind} *)out + COUNT - 1, -(ptrdiff_t){size}, COUNT);",
            f'keep("{op.name}_strided.{sfx}", {size});',
            "if (fetestexcept(FE_ALL_EXCEPT)) return 6;",
        ]
    return "\n".join(f"    {line}" for line in lines)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """A folder with the inputs and, from the program, the outputs of every op in every type."""
    if "c" in pytestconfig.getoption("--hide"):
        pytest.skip("--hide c: this is about the C library")
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("cc")
    if not compiler:
        pytest.skip("no C compiler here")
    folder = tmp_path_factory.mktemp("abi")
    for domain in ("real", "unit"):
        op = next(op for op in OPS if op.domain == domain and op.nin == 2)
        for sfx, dtype in NUMPY.items():
            for name, array in zip("xy", anything(op, dtype, COUNT), strict=True):
                array.tofile(folder / f"{name}_{domain}.{sfx}")
        for name in "xy":  # bfloat16 is the upper half of float32
            words = np.fromfile(folder / f"{name}_{domain}.f32", np.uint32)
            (words >> 16).astype(np.uint16).tofile(folder / f"{name}_{domain}.bf16")
    (folder / "use.c").write_text(PROGRAM.replace("CALLS", "\n".join(map(calls_of, OPS))).replace("COUNT", str(COUNT)))
    library = Path(fs.get_library())
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", f"-I{fs.get_include()}", "use.c", "-o", "use", str(library)]
    subprocess.run([compiler, *flags, f"-Wl,-rpath,{library.parent}", "-lm"], cwd=folder, check=True, timeout=100)
    done = subprocess.run([str(folder / "use")], cwd=folder, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, f"exit status {done.returncode}: {done.stdout}{done.stderr}"
    (folder / "said").write_text(done.stdout)
    return folder


@pytest.mark.parametrize("sfx", TYPES)
@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_bits_from_c(op: Op, sfx: str, built: Path) -> None:
    if sfx == "bf16":
        dtype = np.dtype(pytest.importorskip("ml_dtypes").bfloat16)
        fs.sigmoid(np.zeros(1, dtype))
    else:
        dtype = NUMPY[sfx]
    operands = [np.fromfile(built / f"{name}_{op.domain}.{sfx}", np.uint8).view(dtype) for name in "xy"[: op.nin]]
    want = availability.ufunc_of("c", op.name)(*operands)
    for name in (op.name, f"{op.name}_strided"):
        got = np.fromfile(built / f"{name}.{sfx}", np.uint8).view(dtype)
        assert_same_bits(got, want, operands, f"fastsig_{name}_{sfx}")


def test_version_and_isa_from_c(built: Path) -> None:
    from fastsig.kernels.c import library as c

    version, isa = (built / "said").read_text().split()
    assert version == fs.__version__
    assert isa == c.isas()[-1]


def test_the_header_is_cpp_too(built: Path) -> None:
    compiler = shutil.which("g++") or shutil.which("c++")
    if not compiler:
        pytest.skip("no C++ compiler here")
    (built / "use.cpp").write_text('#include "fastsig.h"\nint main() { return fastsig_version() == nullptr; }\n')
    command = [compiler, "-Wall", "-Werror", "-pedantic", f"-I{fs.get_include()}", "-fsyntax-only", "use.cpp"]
    subprocess.run(command, cwd=built, check=True, timeout=100)
