"""Libraries of C and C++ as peers: small shared libraries that a compiler makes of the files in ``cpp/`` at their first use.

They are kept beside the kernels' machine code, under a key of their source, the compiler, its flags, this processor's instruction
sets and the library's version.
"""

from __future__ import annotations

import ctypes
import functools
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from fastsig.kernels import code_cache
from fastsig.measure.libraries import Calls

FLAGS = ("-O3", "-march=native", "-std=c++17", "-DNDEBUG", "-fPIC", "-w")
_FOLDER = Path(__file__).parent / "cpp"
_LONGEST = 300
"""Seconds that a compiler may take; it takes one to three."""


class Library(NamedTuple):
    """What is compiled, and where its version stands."""

    package: str
    """Debian's, with the headers."""
    version: tuple[str, ...]
    """Macros."""
    links: tuple[str, ...] = ()


LIBRARIES = {
    "eigen": Library("libeigen3-dev", ("EIGEN_WORLD_VERSION", "EIGEN_MAJOR_VERSION", "EIGEN_MINOR_VERSION")),
    "sleef": Library("libsleef-dev", ("SLEEF_VERSION_MAJOR", "SLEEF_VERSION_MINOR", "SLEEF_VERSION_PATCHLEVEL"), ("-lsleef",)),
    "highway": Library("libhwy-dev", ("HWY_MAJOR", "HWY_MINOR", "HWY_PATCH")),
    "xsimd": Library("libxsimd-dev", ("XSIMD_VERSION_MAJOR", "XSIMD_VERSION_MINOR", "XSIMD_VERSION_PATCH")),
    "libmvec": Library("libc6-dev", ("__GLIBC__", "__GLIBC_MINOR__"), ("-lmvec",)),
}


class Absent(Exception):
    """Why a library cannot be measured here."""


class Loaded(NamedTuple):
    functions: ctypes.CDLL
    version: str


def compiler() -> list[str] | None:
    """The command in CXX, else the first C++ compiler on the path."""
    named = shlex.split(os.environ.get("CXX", ""))
    found = [named] if named else [["c++"], ["g++"], ["clang++"]]
    return next((command for command in found if shutil.which(command[0])), None)


def why_absent(name: str) -> str:
    """Why this library cannot be measured; "" where it can. The first call compiles."""
    try:
        _load(name)
    except Absent as absent:
        return str(absent)
    return ""


def versions() -> dict[str, str]:
    """Of the libraries that have been used in this process."""
    return {name: found.version for name in LIBRARIES if isinstance(found := _found.get(name), Loaded)}


_found: dict[str, Loaded | Absent] = {}


def _load(name: str) -> Loaded:
    if name not in _found:
        try:
            _found[name] = _loaded(name, LIBRARIES[name])
        except Absent as absent:
            _found[name] = absent
    found = _found[name]
    if isinstance(found, Absent):
        raise found
    return found


def _loaded(name: str, library: Library) -> Loaded:
    command = compiler()
    if command is None:
        raise Absent("no C++ compiler")
    source = str(_FOLDER / f"{name}.cpp")
    macros = _run([*command, *FLAGS, "-dM", "-E", source], library)
    texts = "".join(path.read_text() for path in sorted(_FOLDER.iterdir()))
    key = repr((command, FLAGS, library, texts, macros))
    kept, entry = code_cache.users_directory(), f"bench-{name}.lib"
    code = code_cache.load(kept, entry, key)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, f"{name}.so")
        if code is None:
            _run([*command, *FLAGS, "-shared", source, "-o", str(place), *library.links], library)
            code_cache.keep(kept, entry, key, place.read_bytes())
        else:
            place.write_bytes(code)
        try:
            functions = ctypes.CDLL(str(place))
        except OSError as error:
            raise Absent(f"it does not load ({error})") from error
    numbers = dict(re.findall(r"^#define (\w+) (\d+)$", macros, re.MULTILINE))
    return Loaded(functions, ".".join(numbers.get(macro, "?") for macro in library.version))


def _run(command: list[str], library: Library) -> str:
    """What the compiler prints; Absent with its first complaint where it fails."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_LONGEST, env=os.environ | {"LC_ALL": "C"}, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Absent(f"{command[0]} does not run ({type(error).__name__})") from error
    if done.returncode == 0:
        return done.stdout
    missing = re.search(r"error: '?([\w./-]+)'?(?:: No such file| file not found)", done.stderr)
    if missing:
        raise Absent(f"no header {missing[1]} (Debian: {library.package})")
    complaint = next((line for line in done.stderr.splitlines() if "error" in line or "cannot find" in line), f"{command[0]} failed")
    raise Absent(complaint.strip())


def cpp_calls(name: str) -> Any:
    """The maker of this library's calls. What is timed is its loop, and 0.2 us of ctypes."""

    def make(op: str, x: Any, out: Any) -> Calls | None:
        if x.dtype.name not in ("float32", "float64"):
            return None
        function = getattr(_load(name).functions, f"{op}_{x.dtype.name}")
        function.restype, function.argtypes = None, (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)

        def of(to: Any) -> functools.partial[None]:
            addresses = (array.ctypes.data_as(ctypes.c_void_p) for array in (x, to))  # each keeps its array
            return functools.partial(function, *addresses, ctypes.c_size_t(x.size))

        def alloc() -> Any:
            result = np.empty_like(x)
            of(result)()
            return result

        return Calls(alloc, of(out))

    return make
