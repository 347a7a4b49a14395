"""Whether the CUDA backend can serve: by what is installed, by what the driver says, and by one small kernel that is compiled.

No question is asked that would start CUDA in this process, because a process that has started it cannot fork children which use it.

``import fastsig`` loads this module, and what only a machine with a GPU needs would be a tenth of its time: that is loaded where it is
used, under ``first_calls.LOCK``.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from fastsig.kernels.cuda import packages
from fastsig.system import first_calls

REMEDY = "pip install 'fastsig-kernels[cuda13]' (or 'fastsig-kernels[cuda12]' for drivers below 580)"
_LEAST_DRIVER = {12: 525, 13: 580}
"""The driver that a major version of CUDA needs, in NVIDIA's release notes, "CUDA Driver"."""
_NOT_INITIALIZED = 3
"""CUDA_ERROR_NOT_INITIALIZED: nobody has called cuInit in this process."""
_MAJOR, _MINOR = 75, 76
"""CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR."""
_OLDEST_GPU = (7, 5)
"""That both CUDA 12 and CUDA 13 compile for."""
_MOST_SECONDS = 120
"""Of the trial: it takes two."""
_NO_GPU = "the NVIDIA driver sees no GPU; is one built in, and does CUDA_VISIBLE_DEVICES let this process see it?"


@cache
def status() -> str:
    """ "available", or why not and what helps."""
    with first_calls.LOCK:
        return _look()


def load(room: str) -> Any:
    """A module of this backend, under ``first_calls.LOCK``; what the packages that it needs warn of while they load is theirs."""
    first_calls.before_a_backend_is_loaded()
    with _others_warnings_ignored():
        return importlib.import_module(f"fastsig.kernels.cuda.{room}")


@contextlib.contextmanager
def _others_warnings_ignored() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _look() -> str:
    missing = _missing_package()
    if missing:
        return f"{missing} is not installed ({REMEDY})"
    driver = _library("nvcuda.dll", "libcuda.so.1", "libcuda.so")
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
    started = _started(driver)
    gpu = _capability(driver) if started else _capability_without_cuda()
    return gpu if isinstance(gpu, str) else _tried(gpu, started)


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


def _library(on_windows: str, *elsewhere: str) -> ctypes.CDLL | None:
    for name in (on_windows,) if sys.platform == "win32" else elsewhere:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def _toolkit_major() -> int:
    """Of the CUDA that the installed bindings are for."""
    return int(packages.version("cuda-bindings").partition(".")[0])


def _started(driver: ctypes.CDLL) -> bool:
    """Whether CUDA runs in this process already, as it does where somebody has an array of a GPU."""
    return bool(driver.cuDeviceGetCount(ctypes.byref(ctypes.c_int())) != _NOT_INITIALIZED)


def _capability(driver: ctypes.CDLL) -> tuple[int, int] | str:
    """That of the first GPU, or why there is none, from a driver that has started CUDA."""
    count, major, minor = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    error = driver.cuDeviceGetCount(ctypes.byref(count))
    for into, attribute in ((major, _MAJOR), (minor, _MINOR)):
        error = error or (count.value and driver.cuDeviceGetAttribute(ctypes.byref(into), attribute, 0))
    if error:
        return f"the NVIDIA driver did not start: error {error}"
    return (major.value, minor.value) if count.value else _NO_GPU


def _capability_without_cuda() -> tuple[int, int] | str:
    """The same from NVIDIA's management library, which starts nothing; where a container has none of it, by the files of the devices."""
    import glob

    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0].strip()
    if visible in ("", "-1", "NoDevFiles"):
        return _NO_GPU
    management = _library("nvml.dll", "libnvidia-ml.so.1")
    if management is not None:
        return _managed(management, int(visible) if visible.isdigit() else 0)
    return _OLDEST_GPU if sys.platform == "win32" or any(map(glob.glob, _DEVICE_FILES)) else _NO_GPU


_DEVICE_FILES = ("/dev/nvidia[0-9]*", "/dev/dxg", "/dev/nvgpu", "/dev/nvhost-gpu")
"""Of Linux, of Linux within Windows, and of Tegra."""


def _managed(management: ctypes.CDLL, index: int) -> tuple[int, int] | str:
    """What NVML says of the GPU of this number."""
    error = management.nvmlInit_v2()
    if error:
        management.nvmlErrorString.restype = ctypes.c_char_p
        return f"the NVIDIA driver did not start: {management.nvmlErrorString(error).decode()}"
    try:
        count = ctypes.c_uint()
        if management.nvmlDeviceGetCount_v2(ctypes.byref(count)) or index >= count.value:
            return _NO_GPU
        device, major, minor = ctypes.c_void_p(), ctypes.c_int(), ctypes.c_int()
        if management.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(device)) or management.nvmlDeviceGetCudaComputeCapability(
            device, ctypes.byref(major), ctypes.byref(minor)
        ):
            return _OLDEST_GPU
        return major.value, minor.value
    finally:
        management.nvmlShutdown()


def _tried(capability: tuple[int, int], started: bool) -> str:
    """ "available" where the packages compile for this GPU: they are tried once, and what they made then is kept with the kernels.

    NVIDIA's linker starts CUDA itself, so where it has not been started, another process tries.
    """
    from fastsig.kernels import code_cache

    if code_cache.load(code_cache.users_directory(), *_entry(capability)) is not None:
        return "available"
    return try_compiling(capability) if started else _tried_elsewhere(capability)


def _entry(capability: tuple[int, int]) -> tuple[str, str]:
    """The name in the cache, and the key."""
    name = "compiles_sm{}{}.cubin".format(*capability)
    return name, name + packages.stamp()


def try_compiling(capability: tuple[int, int]) -> str:
    """ "available", or what is wrong with the packages."""
    from fastsig.kernels import code_cache

    try:
        compiler = load("compiler")
        with _others_warnings_ignored():
            code = compiler.try_out(capability)
    except Exception as error:  # noqa: BLE001  # of other packages: it may be any
        return _words(error)
    code_cache.keep(code_cache.users_directory(), *_entry(capability), code)
    return "available"


def _tried_elsewhere(capability: tuple[int, int]) -> str:
    import subprocess

    code = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import try_compiling; print(try_compiling({capability}))"
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=_MOST_SECONDS, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        return f"whether kernels compile could not be tried ({error})"
    if done.returncode:
        return f"the trial whether kernels compile ended with status {done.returncode} ({(done.stderr.splitlines() or [''])[-1]}); {REMEDY}"
    return done.stdout.strip()


def _words(error: Exception) -> str:
    """What is wrong with the packages, and what helps."""
    said = f"{type(error).__name__}: {error}".splitlines()[0]
    if isinstance(error, (AttributeError, ImportError)):
        numba_cuda = f"numba-cuda {packages.version('numba-cuda')} does not load"
        if np.lib.NumpyVersion(np.__version__) >= "2.5.0":
            return f"{numba_cuda} with NumPy {np.__version__} ({said}); pip install 'numpy<2.5'"
        return f"{numba_cuda} ({said}); {REMEDY}"
    if isinstance(error, RuntimeError) and not type(error).__module__.startswith("cuda"):
        return str(error)
    return f"numba-cuda compiles no kernel ({said}); NVIDIA's compilers here are {packages.compilers()}; {REMEDY}"
