"""Whether the CUDA backend can serve, told without loading Numba: by what is installed, and by what the driver says of itself."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from functools import cache

from fastsig.system import first_calls

REMEDY = "pip install 'fastsig-kernels[cuda13]' (or 'fastsig-kernels[cuda12]' for drivers below 580)"
_LEAST_DRIVER = {12: 525, 13: 580}
"""The driver that a major version of CUDA needs, in NVIDIA's release notes, "CUDA Driver"."""


@cache
def status() -> str:
    """ "available", or why not and what helps."""
    with first_calls.LOCK:
        return _look()


def _look() -> str:
    missing = _missing_package()
    if missing:
        return f"{missing} is not installed ({REMEDY})"
    driver = _driver()
    if driver is None:
        return "no NVIDIA driver was found on this machine (libcuda); install one, or use the host backends"
    version = ctypes.c_int()
    if driver.cuDriverGetVersion(ctypes.byref(version)):
        return "the NVIDIA driver does not tell its version; reinstall it"
    have, need = version.value // 1000, _toolkit_major()
    if have < need:
        return (
            f"the NVIDIA driver is too old: it serves CUDA {have}.{version.value % 1000 // 10}, and the installed packages are for "
            f"CUDA {need}; update the driver to {_LEAST_DRIVER.get(need, 'a newer version')} or newer, or {_other(have)}"
        )
    return _devices(driver)


def _other(major: int) -> str:
    return f"pip install 'fastsig-kernels[cuda{major}]'" if major in _LEAST_DRIVER else "use the host backends"


def _missing_package() -> str | None:
    for module, package in (("numba", "numba"), ("numba_cuda", "numba-cuda"), ("cuda", "cuda-core")):
        try:
            found = importlib.util.find_spec(module) is not None
        except ValueError:  # sys.modules[module] is None: somebody blocks it
            found = False
        if not found:
            return package
    return None


def _driver() -> ctypes.CDLL | None:
    names = ("nvcuda.dll",) if sys.platform == "win32" else ("libcuda.so.1", "libcuda.so")
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def _toolkit_major() -> int:
    """Of the CUDA that the installed bindings are for."""
    from importlib import metadata  # costs a tenth of ``import fastsig``

    return int(metadata.version("cuda-bindings").partition(".")[0])


def _devices(driver: ctypes.CDLL) -> str:
    error = driver.cuInit(0)
    if error:
        text = ctypes.c_char_p()
        driver.cuGetErrorString(error, ctypes.byref(text))
        reason = text.value.decode() if text.value else f"error {error}"
        return f"the NVIDIA driver did not start: {reason}"
    count = ctypes.c_int()
    if driver.cuDeviceGetCount(ctypes.byref(count)) or count.value == 0:
        return "the NVIDIA driver sees no GPU; is one built in, and does CUDA_VISIBLE_DEVICES let this process see it?"
    return "available"
