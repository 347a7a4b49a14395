"""From a kernel to machine code: PTX by numba.cuda, a cubin by NVIDIA's linker, both without a GPU. The only importer of numba.cuda.

Cubins are kept in the user's cache directory under a name that says everything they were made from.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import warnings
from functools import cache
from importlib import metadata
from pathlib import Path

from cuda.core import Linker, LinkerOptions, ObjectCode
from numba import cuda
from numba.core.errors import NumbaWarning

from fastsig.whole_files import replacing

from . import cuda_elements
from .cuda_elementwise import Kernel

BLOCK = 256
"""Threads of a block: 8 blocks fill a multiprocessor, and the registers of every kernel leave room for them."""

_MADE_BY = ("numba-cuda", "numba", "llvmlite", "cuda-core", "nvidia-nvvm", "nvidia-nvvm-cu12", "nvidia-nvjitlink", "nvidia-nvjitlink-cu12")


def ptx_of(kernel: Kernel, capability: tuple[int, int]) -> str:
    """The kernel in PTX, under its own name, for GPUs of this compute capability."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NumbaWarning)
        bounds = (BLOCK, 1) if kernel.roomy else BLOCK
        text, _ = cuda.compile_ptx(kernel.function, kernel.arguments, cc=capability, launch_bounds=bounds)
    mangled = re.search(r"\.visible \.entry (\w+)\(", text)
    assert mangled, "PTX without an entry"
    environment = re.compile(r"^\.common \.global .*NumbaEnv.*;\n", re.MULTILINE)
    return environment.sub("", text).replace(mangled[1], kernel.name)


def cubin_of(kernel: Kernel, capability: tuple[int, int]) -> bytes:
    """The kernel's machine code: from the cache, or compiled and put there; where no cache can be written, compiled."""
    place = _place(kernel.name, capability)
    try:
        return place.read_bytes()
    except OSError:
        pass
    arch = f"sm_{capability[0]}{capability[1]}"
    ptx = ObjectCode.from_ptx(ptx_of(kernel, capability).encode(), name=kernel.name)
    code = Linker(ptx, options=LinkerOptions(name=kernel.name, arch=arch)).link("cubin").code
    _keep(place, bytes(code))
    return bytes(code)


def is_cached(kernel: Kernel, capability: tuple[int, int]) -> bool:
    """Whether the first call need not wait for the compiler."""
    return _place(kernel.name, capability).is_file()


def cache_directory() -> Path:
    """FASTSIG_CACHE_DIR, else a directory of the user's, where the system has caches."""
    chosen = os.environ.get("FASTSIG_CACHE_DIR")
    if chosen:
        return Path(chosen)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "fastsig" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "fastsig"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastsig"


def _place(name: str, capability: tuple[int, int]) -> Path:
    return cache_directory() / f"{name}_sm{capability[0]}{capability[1]}_{_stamp()}.cubin"


@cache
def _stamp() -> str:
    """Over every file that kernels are made from, and over the versions of what makes them."""
    backends = Path(cuda_elements.__file__).parent
    package = backends.parent
    rooms = (backends / "half_patches.py", package / "plans.py", Path(__file__))
    files = [*package.glob("formulas/*.py"), *backends.glob("cuda_*.py"), *rooms]
    made_by = "".join(f"{name}={_version(name)};" for name in _MADE_BY)
    return hashlib.sha256(b"".join(f.read_bytes() for f in sorted(files)) + made_by.encode()).hexdigest()[:24]


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


def _keep(place: Path, code: bytes) -> None:
    """Whole or not at all, as another process may be reading; a directory that cannot be written is no error."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with replacing(place) as file:
            file.write(code)
    except OSError:
        pass
