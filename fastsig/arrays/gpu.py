"""Arrays on an NVIDIA GPU, as their libraries describe them: address, shape, strides, type, device, stream; and new ones like them.

No array library is imported here: a library whose array was passed is loaded, and stands in ``sys.modules``. Every library has its
own class below, as each has its own words for the same seven facts.
"""

from __future__ import annotations

import contextlib
import math
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from fastsig.arrays.devices import describe, library_of

TYPES = {
    "float16": "f16", "bfloat16": "bf16", "float32": "f32", "float64": "f64", "bool": "b1",
    "uint8": "u1", "int8": "i1", "uint16": "u2", "int16": "i2", "uint32": "u4", "int32": "i4", "uint64": "u8", "int64": "i8",
}  # fmt: skip
NAMES = {code: name for name, code in TYPES.items()}
SIZES = {code: 2 if code == "bf16" else np.dtype(name).itemsize for name, code in TYPES.items() for code in [code]}

UNKNOWN_DEVICE = -1
"""Of an array whose interface does not say it: the driver knows from the address."""
DEFAULT_STREAM, _LEGACY_DEFAULT = 0, 1
"""The driver's handle of the default stream, and its number in the two protocols, where 0 would say nothing."""


class DeviceArray(NamedTuple):
    """One array of a call."""

    given: Any
    library: Library
    device: int
    address: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    """In bytes."""
    dtype: str
    """A value of TYPES, or the library's own name of a type that is not among them."""
    writable: bool = True
    stream: int | None = None
    """The handle of the stream that the array itself names as the one whose work it is ready after."""
    held: Any = None
    """What must live until the work on the array is queued."""

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def extent(self) -> tuple[int, int]:
        """The first byte, and the one after the last."""
        reach = [stride * (length - 1) for stride, length in zip(self.strides, self.shape, strict=True)]
        low = self.address + sum(r for r in reach if r < 0)
        return low, self.address + sum(r for r in reach if r > 0) + (SIZES.get(self.dtype, 1) if self.size else 0)


def c_strides(shape: tuple[int, ...], size: int) -> tuple[int, ...]:
    strides = []
    for length in reversed(shape):
        strides.append(size)
        size *= max(length, 1)
    return tuple(reversed(strides))


def type_of(dtype: Any) -> str:
    """The kernels' name of a type, from a dtype of any library or its name."""
    if isinstance(dtype, (type, str)):
        with contextlib.suppress(TypeError):
            dtype = np.dtype(dtype)
    name = str(getattr(dtype, "name", dtype)).rpartition(".")[2]
    return TYPES.get(name, name)


class Library(ABC):
    """How a library's arrays are read and made; ``name`` is that of its top package."""

    name = ""
    has_current_stream = False
    """Whether all its arrays of a device belong to one stream at a time, which the caller has made the current one."""

    @abstractmethod
    def read(self, x: Any, stream: int) -> DeviceArray:
        """What the library says of its array, which is to be used on this stream; TypeError where it cannot be computed with."""

    def unwritable(self, x: Any) -> str:
        """Why no result can be written into this array, and what helps; "" where one can."""
        return ""

    def written(self, x: Any) -> None:  # noqa: B027
        """Tell the library that its array has been written into, where it keeps count of that."""

    def stream(self, array: DeviceArray) -> int | None:
        """The handle of the stream that the caller works on with this array; None where there is no such stream to wait for."""
        return array.stream

    def makes(self, like: DeviceArray) -> bool:
        """Whether it is known how to make an array like this one."""
        return True

    @abstractmethod
    def empty(self, like: DeviceArray, shape: tuple[int, ...], dtype: str, order: str, device: int) -> Any:
        """A new array; order "K" keeps the order of the axes in memory where the shape is that of ``like``."""


class Torch(Library):
    name = "torch"
    has_current_stream = True

    def read(self, x: Any, stream: int) -> DeviceArray:
        if x.requires_grad and sys.modules["torch"].is_grad_enabled():
            raise TypeError(
                f"{describe(x)} requires a gradient, which this function does not record; pass x.detach(), or call it under torch.no_grad()"
            )
        if str(x.layout) != "torch.strided":
            raise TypeError(f"{describe(x)} has the layout {x.layout}; pass x.to_dense()")
        if x.is_neg():
            x = x.resolve_neg()
        if x.numel() and not x.data_ptr():
            raise ValueError(f"{describe(x)} has no memory (its storage was freed, or it only stands for a tensor); pass x.clone()")
        size = x.element_size()
        strides = tuple(step * size for step in x.stride())
        return DeviceArray(x, self, x.device.index or 0, x.data_ptr(), tuple(x.shape), strides, type_of(x.dtype))

    def unwritable(self, x: Any) -> str:
        if x.is_neg():
            return "is a view whose memory holds the negatives of its values (is_neg() is true); give a tensor of its own"
        return ""

    def written(self, x: Any) -> None:
        sys.modules["torch"].autograd.graph.increment_version(x)

    def stream(self, array: DeviceArray) -> int | None:
        return self.current_stream()(array.device)

    def current_stream(self) -> Callable[[int], int]:
        """What gives the handle of a device's current stream."""
        torch = sys.modules["torch"]
        raw = getattr(torch._C, "_cuda_getCurrentRawStream", None)  # a third of the time of the public way, where there is one
        return raw if raw is not None else lambda device: torch.cuda.current_stream(device).cuda_stream

    def empty(self, like: DeviceArray, shape: tuple[int, ...], dtype: str, order: str, device: int) -> Any:
        torch = sys.modules["torch"]
        kind = getattr(torch, NAMES[dtype])
        if order in "KA" and shape == like.shape:
            return torch.empty_like(like.given, dtype=kind, requires_grad=False)
        if order == "F":
            return torch.empty(shape[::-1], dtype=kind, device=like.given.device).permute(*range(len(shape))[::-1])
        return torch.empty(shape, dtype=kind, device=like.given.device)


class CuPy(Library):
    name = "cupy"
    has_current_stream = True

    def read(self, x: Any, stream: int) -> DeviceArray:
        return DeviceArray(x, self, x.device.id, x.data.ptr, tuple(x.shape), tuple(x.strides), type_of(x.dtype))

    def stream(self, array: DeviceArray) -> int | None:
        cuda = sys.modules["cupy"].cuda
        with cuda.Device(array.device):
            return int(cuda.get_current_stream().ptr)

    def empty(self, like: DeviceArray, shape: tuple[int, ...], dtype: str, order: str, device: int) -> Any:
        cupy = sys.modules["cupy"]
        kind = like.given.dtype if dtype == like.dtype else np.dtype(NAMES[dtype])
        with cupy.cuda.Device(device):
            if order in "KA" and shape == like.shape:
                return cupy.empty_like(like.given, dtype=kind, order=order)
            return cupy.empty(shape, dtype=kind, order="F" if order == "F" else "C")


class Interface(Library):
    """Anything with a ``__cuda_array_interface__``, such as Numba's device arrays."""

    name = "__cuda_array_interface__"

    def read(self, x: Any, stream: int) -> DeviceArray:
        said = x.__cuda_array_interface__
        if said.get("mask") is not None:
            raise TypeError(f"{describe(x)} has a mask in its __cuda_array_interface__; pass its data and its mask as two arguments")
        address, read_only = said["data"]
        dtype = getattr(x, "dtype", None)
        name = type_of(dtype if type_of(dtype) in SIZES else np.dtype(said["typestr"]))
        shape = tuple(said["shape"])
        strides = said.get("strides") or c_strides(shape, SIZES.get(name, np.dtype(said["typestr"]).itemsize))
        device = getattr(getattr(x, "device", None), "id", UNKNOWN_DEVICE)
        named = said.get("stream")
        own = None if named is None else DEFAULT_STREAM if named == _LEGACY_DEFAULT else int(named)
        return DeviceArray(x, self, device, address or 0, shape, tuple(strides), name, not read_only, own)

    def makes(self, like: DeviceArray) -> bool:
        return library_of(like.given) == "numba" or hasattr(like.given, "__array_namespace__")

    def empty(self, like: DeviceArray, shape: tuple[int, ...], dtype: str, order: str, device: int) -> Any:
        if library_of(like.given) == "numba":
            cuda = sys.modules["numba.cuda"]
            with cuda.gpus[device]:
                kind, layout = np.dtype(NAMES[dtype]), "F" if order == "F" else "C"
                return cuda.device_array(shape, kind, order=layout, stream=like.given.stream)
        return _from_namespace(like, shape, dtype)


class DLPack(Library):
    """Anything else that exports DLPack; ``view`` is set by the backend, which has what reads a capsule.

    The exporter lets the stream that it is told of wait for its own work, and says of no stream what it is.
    """

    name = "__dlpack__"
    view: Any = None

    def read(self, x: Any, stream: int) -> DeviceArray:
        if library_of(x) in ("jax", "jaxlib"):
            raise TypeError(
                f"{describe(x)} is JAX's, which neither shares its stream nor lets a result be written for it; "
                "pass torch.from_dlpack(x) or cupy.from_dlpack(x), and jax.dlpack.from_dlpack(result) takes it back"
            )
        address, shape, strides, dtype, writable, held = self.view(x, stream if stream != DEFAULT_STREAM else _LEGACY_DEFAULT)
        name = type_of(dtype)
        size = SIZES.get(name, 1)
        steps = c_strides(shape, size) if strides is None else tuple(step * size for step in strides)
        return DeviceArray(x, self, x.__dlpack_device__()[1], address, tuple(shape), steps, name, writable, stream, held)

    def makes(self, like: DeviceArray) -> bool:
        return hasattr(like.given, "__array_namespace__")

    def empty(self, like: DeviceArray, shape: tuple[int, ...], dtype: str, order: str, device: int) -> Any:
        return _from_namespace(like, shape, dtype)


def _from_namespace(like: DeviceArray, shape: tuple[int, ...], dtype: str) -> Any:
    """By the array API standard, which the array's library follows."""
    made = like.given.__array_namespace__()
    return made.empty(shape, dtype=getattr(made, NAMES[dtype]), device=like.given.device)


TORCH, CUPY, INTERFACE, DLPACK = Torch(), CuPy(), Interface(), DLPack()
_BY_PACKAGE = {"torch": TORCH, "cupy": CUPY, "jax": DLPACK, "jaxlib": DLPACK}


def library_for(x: Any) -> Library:
    for base in type(x).__mro__:
        known = _BY_PACKAGE.get(base.__module__.partition(".")[0])
        if known is not None:
            return known
    return INTERFACE if hasattr(x, "__cuda_array_interface__") else DLPACK


def read(x: Any, stream: int = DEFAULT_STREAM) -> DeviceArray:
    """What is to be known about an array of a GPU that is to be used on this stream.

    Raises
    ------
    TypeError
        It records gradients, is sparse or masked, or its library does not share its arrays; the message says what helps.
    """
    return library_for(x).read(x, stream)


def read_all(given: Sequence[Any]) -> tuple[list[DeviceArray], int]:
    """Several, and the stream for the work on them: that of the first."""
    first = read(given[0])
    stream = stream_of(first)
    return [first, *(read(x, stream) for x in given[1:])], stream


def stream_of(first: DeviceArray) -> int:
    """The stream for the work on an array and on others beside it."""
    stream = first.library.stream(first)
    return DEFAULT_STREAM if stream is None else stream


def other_streams(stream: int, arrays: Sequence[DeviceArray]) -> list[int]:
    """Those that arrays of a call belong to besides the stream of the first one, on which the call's work is."""
    first = arrays[0].library
    if first.has_current_stream:
        arrays = [array for array in arrays if array.library is not first]
        if not arrays:
            return []
    found = {array.library.stream(array) for array in arrays}
    return sorted(other for other in found if other is not None and other != stream)


def new(name: str, argument: str, like: DeviceArray, shape: tuple[int, ...], dtype: str, order: str, device: int) -> DeviceArray:
    """A new array for a result that the caller has given none for.

    Raises
    ------
    TypeError
        How to make one is not known; the message names the function and the argument that would give it.
    """
    if not like.library.makes(like):
        raise TypeError(f"{name}: how to make an array like {describe(like.given)} is not known; give {argument}=")
    made = like.library.empty(like, shape, dtype, order, device)
    if _noted.arrays is not None:
        _noted.arrays.append(made)
    return read(made, stream_of(like))


class _Noted(threading.local):
    arrays: list[Any] | None = None


_noted = _Noted()


@contextlib.contextmanager
def noting_new_arrays() -> Iterator[list[Any]]:
    """The arrays that this thread makes inside."""
    found: list[Any] = []
    _noted.arrays = found
    try:
        yield found
    finally:
        _noted.arrays = None


def read_output(name: str, argument: str, out: Any, stream: int) -> DeviceArray:
    """What is to be known about an array of the caller's that a result is to be written into, on this stream.

    Raises
    ------
    TypeError, ValueError
        As for ``read``; or no result can be written there. The message names the function and the argument.
    """
    library = library_for(out)
    problem = library.unwritable(out)
    if problem:
        raise ValueError(f"{name}: {argument} {problem}")
    target = library.read(out, stream)
    if not target.writable:
        raise ValueError(f"{name}: {argument} is read-only; give a writable array")
    if any(step == 0 and length > 1 for step, length in zip(target.strides, target.shape, strict=True)):
        raise ValueError(f"{name}: {argument} is a broadcast view, whose elements share memory; give a full array")
    return target


def shadow(array: DeviceArray) -> np.ndarray[Any, Any]:
    """A NumPy array of these addresses, for NumPy's reasoning about shapes, strides and overlap; its elements are never touched."""

    class Described:
        __array_interface__ = {
            "data": (array.address or 1, False), "shape": array.shape, "strides": array.strides,
            "typestr": f"|V{SIZES[array.dtype]}", "version": 3,
        }  # fmt: skip

    return np.asarray(Described())
