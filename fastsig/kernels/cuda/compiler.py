"""From a kernel to machine code: PTX by numba.cuda, a cubin by NVIDIA's linker, both without a GPU. The only importer of numba.cuda.

Cubins are kept in the user's cache directory under a key that says everything they were made from.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from functools import cache
from importlib import metadata

from cuda.core import Linker, LinkerOptions, ObjectCode
from numba import cuda
from numba.core.errors import NumbaWarning

from fastsig.kernels import code_cache
from fastsig.kernels.cuda.elements import CAPABILITY
from fastsig.kernels.cuda.elementwise_kernels import Kernel
from fastsig.kernels.stamp import source_stamp

BLOCK = 256
"""Threads of a block: 8 blocks fill a multiprocessor, and the registers of every kernel leave room for them."""

_MADE_BY = ("numba-cuda", "numba", "llvmlite", "cuda-core", "nvidia-nvvm", "nvidia-nvvm-cu12", "nvidia-nvjitlink", "nvidia-nvjitlink-cu12")


def ptx_of(kernel: Kernel, capability: tuple[int, int]) -> str:
    """The kernel in PTX, under its own name, for GPUs of this compute capability."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NumbaWarning)
        bounds = (BLOCK, kernel.resident) if kernel.resident else BLOCK
        before = CAPABILITY.set(capability)
        try:
            text, _ = cuda.compile_ptx(kernel.function, kernel.arguments, cc=capability, launch_bounds=bounds)
        finally:
            CAPABILITY.reset(before)
    mangled = re.search(r"\.visible \.entry (\w+)\(", text)
    assert mangled, "PTX without an entry"
    environment = re.compile(r"^\.common \.global .*NumbaEnv.*;\n", re.MULTILINE)
    return environment.sub("", text).replace(mangled[1], kernel.name)


def cubin_of(kernel: Kernel, capability: tuple[int, int]) -> bytes:
    """The kernel's machine code: from the cache, or compiled and put there; where no cache can be written, compiled."""
    kept = _kept(kernel.name, capability)
    if kept is not None:
        return kept
    arch = f"sm_{capability[0]}{capability[1]}"
    ptx = ObjectCode.from_ptx(ptx_of(kernel, capability).encode(), name=kernel.name)
    code = Linker(ptx, options=LinkerOptions(name=kernel.name, arch=arch)).link("cubin").code
    code_cache.keep(code_cache.users_directory(), *_entry(kernel.name, capability), bytes(code))
    return bytes(code)


def is_cached(kernel: Kernel, capability: tuple[int, int]) -> bool:
    """Whether the first call need not wait for the compiler."""
    return _kept(kernel.name, capability) is not None


def _kept(name: str, capability: tuple[int, int]) -> bytes | None:
    return code_cache.load(code_cache.users_directory(), *_entry(name, capability))


def _entry(name: str, capability: tuple[int, int]) -> tuple[str, str]:
    """The entry's name in the cache, and its key."""
    target = f"{name}_sm{capability[0]}{capability[1]}"
    return f"{target}.cubin", target + _stamp()


@cache
def _stamp() -> str:
    """Over the source that kernels are made from, and over the versions of what makes them."""
    made_by = "".join(f"{name}={_version(name)};" for name in _MADE_BY)
    return hashlib.sha256((source_stamp() + made_by).encode()).hexdigest()[:24]


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""
