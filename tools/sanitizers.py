"""The C library under GCC's sanitizers: ``python tools/sanitizers.py [address] [thread]`` (both if none is named).

``address``: the library and the extension are built with AddressSanitizer and UndefinedBehaviorSanitizer into a folder of their own, and
the tests that reach C run on them, with the Numba backend hidden. First a read past the end of an array must be found, so that finding
nothing means something. Leaks are not looked for: Python keeps what it has until it ends.

``thread``: ``pool_races.c``, which drives the pool from several threads, with losses, settings that change, sleeps and forks, is built with
ThreadSanitizer together with the library; and once with a lock of the pool taken away, which must be found.

Status 1 if there is a finding or a failing test. Needs GCC with its sanitizers (libasan, libubsan, libtsan), setarch, pip with a
package index, and what the tests need. A quarter of an hour on two idle cores, of which the compiler takes a third.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CEXT = ROOT / "cext"
COMPILER = os.environ.get("CC", "gcc")

ADDRESS = "-fsanitize=address,undefined -fno-omit-frame-pointer -g -O1"
"""At -O3, as the library is built, the instrumented kernels take the compiler a quarter of an hour."""
REACHES_C = (
    *("api", "arraylikes", "bits", "bytes", "edges", "half", "losses", "losses_bits", "losses_front", "losses_input"),
    *("masks", "promises", "properties", "seccomp", "threads", "waking", "worst"),
)
"""Tests by the names of their files: those of Python alone, of other backends and of files add nothing here."""

WITHOUT_THE_CHECKOUT = """
import sys
sys.meta_path[:] = [finder for finder in sys.meta_path if "Redirecting" not in type(finder).__name__]
"""
"""Else an editable installation of this checkout would be found before the sanitized one."""

PAST_THE_END = """
import ctypes, fastsig as fs
malloc = ctypes.CDLL(None).malloc
malloc.restype, malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
few = ctypes.c_void_p(malloc(4 * 100))
library = ctypes.CDLL(fs.get_library())
library.fastsig_set_isa(b"baseline")  # masked loads of AVX-512 are not looked at
library.fastsig_sigmoid_f32(few, few, ctypes.c_size_t(101))
"""


def run(words: Sequence[str], **options: object) -> None:
    subprocess.run(words, check=True, **options)  # type: ignore[call-overload]


def library_of_compiler(name: str) -> str:
    found = subprocess.run([COMPILER, f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()
    if "/" not in found:
        raise SystemExit(f"{COMPILER} has no {name}: install GCC's sanitizers")
    return found


# ---- address and undefined behaviour ----


def install_sanitized(place: Path) -> None:
    compiler = place / "compiler"
    compiler.write_text(f'#!/bin/sh\nexec {COMPILER} "$@" {ADDRESS}\n')
    compiler.chmod(0o755)
    options = ["-C", "install.strip=false", "-C", f"build-dir={place}/build"]
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(place / "site"), *options, str(ROOT)]
    run(command, env={**os.environ, "CC": str(compiler)})
    (place / "site" / "sitecustomize.py").write_text(WITHOUT_THE_CHECKOUT)


def sanitized_environment(place: Path, logs: str) -> dict[str, str]:
    preloaded = " ".join(library_of_compiler(name) for name in ("libasan.so", "libubsan.so", "libstdc++.so.6"))
    (place / logs).mkdir()
    log = f"log_path={place / logs}/found"
    return {
        **os.environ,
        "LD_PRELOAD": preloaded,
        "PYTHONPATH": str(place / "site"),
        "PYTHONMALLOC": "malloc",  # so that every object is a block of its own
        # no use after return: the stack that GCC 12 makes for it is aligned to 32 bytes, and AVX-512 needs 64
        "ASAN_OPTIONS": f"detect_leaks=0:detect_stack_use_after_return=0:{log}",
        "UBSAN_OPTIONS": f"print_stacktrace=1:{log}",
    }


def findings(folder: Path) -> Iterator[str]:
    """Each kind once: the lines that say what was found, and where."""
    lines = {line.strip() for file in folder.iterdir() for line in file.read_text(errors="replace").splitlines()}
    yield from sorted(line for line in lines if "SUMMARY:" in line or "runtime error:" in line)


def address(pytest_options: Sequence[str]) -> int:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        install_sanitized(place)
        proof = sanitized_environment(place, "proof")
        subprocess.run([sys.executable, "-c", PAST_THE_END], env=proof, cwd=place, capture_output=True, check=False)
        if not any("heap-buffer-overflow" in line for line in findings(place / "proof")):
            raise SystemExit("address: a read past the end of an array was not found, so this run would prove nothing")
        tests = [str(ROOT / "tests" / f"test_{name}.py") for name in REACHES_C]
        options = ["-q", "-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), "--hide", "numba", *pytest_options]
        environment = sanitized_environment(place, "found")
        status = subprocess.run([sys.executable, "-m", "pytest", *options, *tests], env=environment, cwd=place, check=False).returncode
        found = list(findings(place / "found"))
    print("\n".join(found))
    print(f"address, undefined behaviour: {len(found)} findings; the tests ended with status {status}")
    return int(bool(found) or status != 0)


# ---- races ----

THREAD = (
    *("-std=gnu11", "-O2", "-g", "-fsanitize=thread", "-DFASTSIG_ISA=baseline"),
    *("-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-fno-strict-aliasing"),
)
LOCKED = """    pthread_mutex_lock(&lock);
    seats = 0;
"""
"""Of the pool, where the mutex is what keeps two threads apart."""


def build_races(place: Path, pool: Path) -> Path:
    program = place / f"races_{pool.stem}"
    sources = [
        ROOT / "tools" / "pool_races.c",
        CEXT / "library.c",
        CEXT / "scratch.c",
        CEXT / "kernels.c",
        CEXT / "rounded.c",
        CEXT / "reduce.c",
        CEXT / "fused.c",
        pool,
    ]
    includes = [f"-I{CEXT}", f"-I{place / 'generated'}"]
    run([COMPILER, *THREAD, *includes, *map(str, sources), "-lm", "-lpthread", "-o", str(program)])
    return program


def without_a_lock(place: Path) -> Path:
    text = (CEXT / "pool.c").read_text()
    assert LOCKED in text, "the pool has changed: name another lock to take away"
    unlocked = text.replace(LOCKED, "    seats = 0;\n    pthread_mutex_lock(&lock);\n")
    (place / "unlocked.c").write_text(unlocked)
    return place / "unlocked.c"


def races(program: Path, rounds: int, forks: int) -> tuple[int, list[str], str]:
    """Status, what was found, and what the program says of itself. Addresses as they come are too far apart for ThreadSanitizer."""
    environment = {**os.environ, "TSAN_OPTIONS": "die_after_fork=0"}
    command = ["setarch", "-R", str(program), str(rounds), str(forks)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, sorted(set(re.findall(r"^SUMMARY: .*$", done.stderr, re.MULTILINE))), done.stdout.strip()


def thread(rounds: int, forks: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        run([sys.executable, str(CEXT / "python" / "build.py"), str(place / "generated")], stdout=subprocess.DEVNULL)
        _, found, _ = races(build_races(place, without_a_lock(place)), rounds=100, forks=0)
        if not any("data race" in line for line in found):
            raise SystemExit("thread: a lock that was taken away was not missed, so this run would prove nothing")
        status, found, said = races(build_races(place, CEXT / "pool.c"), rounds, forks)
    print("\n".join(found))
    print(f"races: {len(found)} findings; {said}")
    return int(bool(found) or status != 0)


def main() -> int:
    summary, _, _ = __doc__.partition("\n")
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument("parts", nargs="*", metavar="{address,thread}", help="which of the two; both if none is named")
    parser.add_argument("--rounds", type=int, default=2000, help="calls of each of the four threads (default: %(default)s)")
    parser.add_argument("--forks", type=int, default=200, help="(default: %(default)s)")
    parser.add_argument("--pytest", default="", help="options of pytest, in one argument")
    options = parser.parse_args()
    parts = options.parts or ["address", "thread"]
    if not set(parts) <= {"address", "thread"}:
        parser.error(f"{' '.join(parts)}: the parts are address and thread")
    status = 0
    if "thread" in parts:
        status |= thread(options.rounds, options.forks)
    if "address" in parts:
        status |= address(options.pytest.split())
    return status


if __name__ == "__main__":
    raise SystemExit(main())
