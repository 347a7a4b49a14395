"""Whose array is this, and on which device? Told from the object alone: no array library is imported here."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from fastsig.system import first_calls

_DLPACK_CUDA = (2, 13)
"""kDLCUDA and kDLCUDAManaged of DLPack's device types."""


def library_of(x: Any) -> str:
    """The name of the package that the object's type comes from, such as "numpy", "torch" or "cupy"."""
    return type(x).__module__.partition(".")[0]


INTEROP = {"dask": "fastsig.interop.dask", "torch": "fastsig.interop.torch"}
"""Who computes with the objects of a package: loaded when the first such object comes, and the one call that goes up the floors."""

LAZY = frozenset({"dask"})
"""Packages of ``INTEROP`` whose objects hold no numbers yet: whatever reads numbers would compute them in silence."""

_interop: dict[str, Any] = {}


def interop_of(library: str) -> Any:
    """The module that computes with a package's objects; of a package in ``INTEROP``."""
    found = _interop.get(library)
    if found is None:
        with first_calls.LOCK:
            found = _interop[library] = importlib.import_module(INTEROP[library])
    return found


def interop_of_host_tensor(x: Any) -> Any:
    """The module that computes with x where x is a tensor in host memory, or None."""
    library = library_of(x)
    return interop_of(library) if library in INTEROP and getattr(x, "is_cuda", None) is False else None


def lazy_library_of(*objects: Any) -> str | None:
    """The package of the first object that holds no numbers yet, also inside an object of xarray; None where all hold theirs."""
    for x in objects:
        library = library_of(x)
        if library == "xarray":
            library = library_of(getattr(x, "data", None))
        if library in LAZY:
            return library
    return None


def device_of(x: Any) -> str:
    """ "cpu" for everything that NumPy can read, else the device's name as its library writes it, such as "cuda:0"."""
    if isinstance(x, (np.ndarray, np.generic, int, float, list, tuple)):
        return "cpu"
    library = library_of(x)
    if library == "torch":
        return str(getattr(x, "device", "cpu"))
    if library == "cupy":
        return f"cuda:{x.device.id}"
    if library in ("jaxlib", "jax"):
        platforms = {getattr(d, "platform", "cpu") for d in _devices_of_jax(x)} or {"cpu"}
        return "cpu" if platforms == {"cpu"} else "cuda" if platforms & {"gpu", "cuda"} else platforms.pop()
    if hasattr(x, "__cuda_array_interface__"):
        device = getattr(getattr(x, "device", None), "id", None)
        return "cuda" if device is None else f"cuda:{device}"
    exported = getattr(x, "__dlpack_device__", None)
    if exported is not None and not hasattr(x, "__array__"):
        kind, index = exported()
        return f"cuda:{index}" if kind in _DLPACK_CUDA else "cpu"
    return "cpu"


def _devices_of_jax(x: Any) -> Any:
    devices = getattr(x, "devices", None)
    try:
        return devices() if callable(devices) else ()
    except TypeError:  # what is traced lies nowhere; whoever reads it says so
        return ()


def describe(x: Any) -> str:
    """What an error message calls this object."""
    kind = f"{type(x).__module__}.{type(x).__qualname__}".removeprefix("builtins.")
    dtype = getattr(x, "dtype", None)
    return kind if dtype is None else f"{kind} of {dtype}"


def common_device(**operands: Any) -> str:
    """The one device of all these arguments; None, booleans and other plain numbers are at home everywhere.

    Raises
    ------
    ValueError
        Some are on one device and some on another; the message says which is where.
    """
    where = {name: device_of(x) for name, x in operands.items() if x is not None and not isinstance(x, (bool, int, float, np.generic))}
    if len(set(where.values())) > 1 and not _may_be_one(set(where.values())):
        places = ", ".join(f"{name} is on {device}" for name, device in where.items())
        raise ValueError(f"all arrays of a call must be on one device, but {places}")
    return max(where.values(), key=len, default="cpu")


def _may_be_one(devices: set[str]) -> bool:
    """A bare "cuda" is some device of that kind: the array's interface does not say which."""
    return devices <= {"cuda", max(devices, key=len)} and all(device.startswith("cuda") for device in devices)
