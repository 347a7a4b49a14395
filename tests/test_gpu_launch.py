"""The launch from C (``cext/python/gpu.c``), with a driver that prints what it is asked for."""

from __future__ import annotations

import shutil
import struct
import subprocess
import sys
from pathlib import Path

import processes
import pytest

import fastsig as fs
from fastsig.kernels.plan import Numbers
from fastsig.ops import FUSED

pytestmark = [
    pytest.mark.skipif(fs.backends()["c"] != "available", reason="needs the C library"),
    pytest.mark.skipif(sys.platform != "linux", reason="about the loader of Linux"),
]
DRIVER = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int cuCtxGetDevice(int *device) { *device = 1; return 0; }
int cuLaunchKernel(void *f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, void *stream,
                   void **arguments, void **extra) {
    printf("launch %p grid %u %u %u block %u %u %u shared %u stream %p extra %d", f, gx, gy, gz, bx, by, bz, shared, stream, !!extra);
    for (int i = 0; i < atoi(getenv("ARGUMENTS")); i++) {
        unsigned long long word;
        memcpy(&word, arguments[i], sizeof word);
        printf(" %llx", word);
    }
    puts("");
    fflush(stdout);
    return f == (void *)0xbad ? 700 : 0;
}
int cuMemsetD8Async(unsigned long long at, unsigned char value, size_t bytes, void *stream) {
    printf("clear %llx to %d: %zu on %p\n", at, value, bytes, stream);
    fflush(stdout);
    return 0;
}
int cuGetErrorName(int error, const char **name) { *name = error == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS" : 0; return 0; }
"""
IMPORT = "from fastsig.kernels.c.library import gpu_clear, gpu_launch\n"


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a libcuda.so.1."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler here")
    folder = tmp_path_factory.mktemp("driver")
    (folder / "driver.c").write_text(DRIVER)
    subprocess.run([compiler, "-shared", "-fPIC", "driver.c", "-o", "libcuda.so.1"], cwd=folder, check=True)
    return folder


def printed(driver: Path, code: str, arguments: int = 0) -> list[str]:
    return processes.printed(IMPORT + code, LD_LIBRARY_PATH=str(driver), ARGUMENTS=str(arguments)).splitlines()


def test_whole_numbers_and_floats_are_eight_bytes(driver: Path) -> None:
    code = "print(gpu_launch(0xf00, 1, 0x57, 3, 256, (1 << 46, -2, 0.1, True)))"
    tenth = struct.pack(">d", 0.1).hex()
    assert printed(driver, code, 4) == [
        f"launch 0xf00 grid 3 1 1 block 256 1 1 shared 0 stream 0x57 extra 0 400000000000 fffffffffffffffe {tenth} 1", "True",
    ]  # fmt: skip


def test_as_many_arguments_as_any_kernel_has(driver: Path) -> None:
    """A loss of five operands with two outputs, its numbers, and all gates, in eight axes."""
    axes = 8
    gates = max(row.nin + row.nout for row in FUSED)
    most = max(gates + 1 + axes * (1 + gates), 7 + len(Numbers._fields) + 5 + axes * 8)
    launched, answer = printed(driver, f"print(gpu_launch(1, 1, 0, 1, 1, tuple(range({most}))))", most)
    assert launched.split("extra 0 ")[1].split() == [f"{i:x}" for i in range(most)]
    assert answer == "True"


def test_on_another_device_nothing_is_done(driver: Path) -> None:
    assert printed(driver, "print(gpu_launch(1, 0, 0, 1, 1, ()), gpu_clear(4096, 8, 0, 0))") == ["False False"]


def test_clear(driver: Path) -> None:
    assert printed(driver, "print(gpu_clear((1 << 63) + 4096, 72, 1, 5))") == ["clear 8000000000001000 to 0: 72 on 0x5", "True"]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("gpu_launch(0xbad, 1, 0, 1, 1, ())", "RuntimeError: the CUDA driver said CUDA_ERROR_ILLEGAL_ADDRESS"),
        ("gpu_launch(1, 1, 0, 1, 1, (1 << 64,))", "OverflowError"),
        ("gpu_launch(1, 1, 0, 1, 1, ('one',))", "TypeError"),
        ("gpu_launch(1, 1, 0, 1, 1, tuple(range(161)))", "ValueError: gpu_launch: 161 arguments; a kernel has at most 160"),
        ("gpu_launch(1, 1)", "TypeError: gpu_launch takes five integers and a tuple"),
        ("gpu_clear(0)", "TypeError: gpu_clear takes four integers"),
    ],
)
def test_what_is_refused(call: str, words: str, driver: Path) -> None:
    code = f"try: {call}\nexcept Exception as error: print(type(error).__name__ + ': ' + str(error))"
    assert printed(driver, code)[-1].startswith(words)


def test_without_a_driver(tmp_path: Path) -> None:
    (tmp_path / "libcuda.so.1").write_text("no library")
    code = "try: gpu_launch(1, 1, 0, 1, 1, ())\nexcept RuntimeError as error: print(error)"
    assert printed(tmp_path, code) == ["NVIDIA's driver (libcuda.so.1) cannot be loaded, or lacks functions that are needed"]
