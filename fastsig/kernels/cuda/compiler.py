"""From a kernel to machine code: PTX by numba.cuda, a cubin by NVIDIA's linker, both without a GPU. The only importer of numba.cuda.

Cubins are kept in the user's cache directory under a key that says everything they were made from.
"""

from __future__ import annotations

import re
import warnings

from cuda.bindings import nvjitlink
from numba import cuda
from numba.core.errors import NumbaWarning

from fastsig.kernels import code_cache
from fastsig.kernels.cuda import packages
from fastsig.kernels.cuda.elements import CAPABILITY
from fastsig.kernels.cuda.elementwise_kernels import ADDRESS, Kernel

BLOCK = 256
"""Threads of a block."""

_FIRST_PTX = {(8, 8): (9, 0), (10, 0): (8, 6), (10, 3): (8, 8), (11, 0): (9, 0), (12, 0): (8, 7), (12, 1): (8, 8)}
"""The version of PTX that an architecture came with, in NVIDIA's manual of PTX, "Release Notes"."""
_LEAST_PTX = (8, 0)
"""Of CUDA 12.0, which every linker here is at least of; all architectures before sm_100 know it, but for sm_88."""


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
    return _for_older_linkers(environment.sub("", text).replace(mangled[1], kernel.name), capability)


def _for_older_linkers(ptx: str, capability: tuple[int, int]) -> str:
    """The same text as of the oldest version of PTX that the architecture allows.

    The compiler writes its own version, which linkers of an earlier CUDA refuse, also where nothing in the text is new to them: and
    those that torch brings are often of an earlier CUDA.
    """
    said = re.search(r"^\.version (\d+)\.(\d+)$", ptx, re.MULTILINE)
    assert said, "PTX without a version"
    first = _FIRST_PTX.get(capability, _LEAST_PTX if capability < (10, 0) else None)
    if first is None or first >= (int(said[1]), int(said[2])):
        return ptx
    return ptx.replace(said[0], ".version {}.{}".format(*first), 1)


def cubin_of(kernel: Kernel, capability: tuple[int, int], anew: bool = False) -> bytes:
    """The kernel's machine code: from the cache, or compiled and put there; where no cache can be written, compiled."""
    kept = None if anew else _kept(kernel.name, capability)
    if kept is not None:
        return kept
    code = _linked(ptx_of(kernel, capability), kernel.name, capability)
    code_cache.keep(code_cache.users_directory(), *_entry(kernel.name, capability), code)
    return code


def _linked(ptx: str, name: str, capability: tuple[int, int]) -> bytes:
    """Machine code from PTX; RuntimeError says which packages do not go together. The driver has no part in it."""
    architecture, text = "sm_{}{}".format(*capability), ptx.encode()
    linker = nvjitlink.create(1, [f"-arch={architecture}"])
    try:
        nvjitlink.add_data(linker, nvjitlink.InputType.PTX, text, len(text), name)
        nvjitlink.complete(linker)
        code = bytearray(nvjitlink.get_linked_cubin_size(linker))
        nvjitlink.get_linked_cubin(linker, code)
        return bytes(code)
    except nvjitlink.nvJitLinkError as error:
        log = bytearray(nvjitlink.get_error_log_size(linker))
        nvjitlink.get_error_log(linker, log)
        raise RuntimeError(
            f"NVIDIA's linker refuses a kernel for {architecture} ({_in_one_line(log)}); the compilers here are {packages.compilers()}: "
            f"bring them to one release of CUDA that knows this GPU, such as by {packages.upgrade()}"
        ) from error
    finally:
        nvjitlink.destroy(linker)


def _in_one_line(log: bytearray) -> str:
    return "; ".join(line.strip() for line in log.decode(errors="replace").rstrip("\0").splitlines() if line.strip())


def try_out(capability: tuple[int, int]) -> bytes:
    """The machine code of the least kernel there is; raises what is wrong with the packages."""

    def nothing(out):  # type: ignore[no-untyped-def]
        out[0] = 0

    return _linked(ptx_of(Kernel("fastsig_nothing", nothing, (ADDRESS,)), capability), "fastsig_nothing", capability)


def is_cached(kernel: Kernel, capability: tuple[int, int]) -> bool:
    """Whether the first call need not wait for the compiler."""
    return _kept(kernel.name, capability) is not None


def _kept(name: str, capability: tuple[int, int]) -> bytes | None:
    return code_cache.load(code_cache.users_directory(), *_entry(name, capability))


def _entry(name: str, capability: tuple[int, int]) -> tuple[str, str]:
    """The entry's name in the cache, and its key."""
    target = f"{name}_sm{capability[0]}{capability[1]}"
    return f"{target}.cubin", target + packages.stamp()
