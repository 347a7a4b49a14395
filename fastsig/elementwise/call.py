"""One call of an operation of one input: where its array lies, who computes it, and what NumPy refuses in words about the arguments."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastsig.arrays import arraylikes
from fastsig.arrays.devices import LAZY, common_device, describe, interop_of, interop_of_host_tensor, library_of
from fastsig.dispatch import choice, gpu, sharing
from fastsig.dispatch.availability import FROM_ENVIRONMENT, host_backend, loaded_by_numba, named, ufunc_of
from fastsig.dispatch.choice import Served
from fastsig.dispatch.thresholds import ELEMENTS, LEAST_BYTES
from fastsig.elementwise import errors, pieces
from fastsig.kernels.c.status import library as c
from fastsig.ops import OPS
from fastsig.system.float_environment import in_default_environment
from fastsig.system.num_threads import thread_limit

LONG_BYTES = 1 << 26
"""From so many bytes on one thread too computes piece by piece, and answers Ctrl-C between two: NumPy's own loop hears it at its end."""

_DEFAULTS: dict[str, Any] = {"where": True, "dtype": None, "casting": "same_kind", "order": "K", "subok": True}
"""Left out of the call where nothing else is asked for: dask refuses to hear some even of these."""


def elementwise(
    name: str, x: Any, out: Any, where: Any, dtype: Any, casting: Any, order: Any, subok: Any, backend: str | None, threads: int | None
) -> Any:
    given = {"where": where, "dtype": dtype, "casting": casting, "order": order, "subok": subok}
    library = library_of(x)
    if library in LAZY or library_of(where) in LAZY:
        others = {key: value for key, value in given.items() if value is not _DEFAULTS[key]}
        return interop_of(library if library in LAZY else library_of(where)).elementwise(name, x, out, backend, threads, others)
    tensors = interop_of_host_tensor(x)
    if tensors is not None:
        others = {key: value for key, value in given.items() if value is not _DEFAULTS[key]}
        return tensors.elementwise_of_tensor(name, x, out, backend, threads, others)
    if (
        library == "torch"
        and getattr(x, "is_cuda", False)
        and where is True
        and dtype is None
        and order == "K"
        and casting == "same_kind"
        and backend is FROM_ENVIRONMENT is None
    ):
        result = gpu.quick(name, x, out)
        if result is not NotImplemented:
            return result
    if type(x) is not np.ndarray:
        result = _of_parts(name, x, out, given, backend, threads)
        if result is not NotImplemented:
            return result
    sharing.notice_bfloat16(x)
    chosen = named(backend)
    options = {key: value for key, value in given.items() if value is not _DEFAULTS[key]}
    large = type(x) is np.ndarray and x.nbytes >= LEAST_BYTES and x.dtype in sharing.SHARED
    if large and not options and chosen != "cuda" and (out is None or type(out) is np.ndarray):
        return _on_host(name, x, out, chosen, threads)
    masked = type(where) is type(x) is type(out) is np.ndarray and x.dtype in sharing.SHARED and options.keys() == {"where"}
    if masked and chosen != "cuda" and _where_true(name, x, out, where, chosen, threads):
        return out
    if threads is not None:
        thread_limit(threads)
    device = common_device(x=x, out=out[0] if isinstance(out, tuple) and out else out, where=where)
    if device != "cpu" or chosen == "cuda":
        return gpu.elementwise(name, x, device, chosen, out, where, dtype, casting, order)
    return _on_one_thread(name, ufunc_of(chosen or host_backend(), name), x, out, options)


def _of_parts(name: str, x: Any, out: Any, given: dict[str, Any], backend: str | None, threads: int | None) -> Any:
    """The result for an object that knows no ufuncs, by the arrays in it: an object like it, with its nulls; NotImplemented of others."""
    library = arraylikes.library_for(x)
    try:
        parts = None if library is None else library.parts(x)
    except (TypeError, RuntimeError) as error:
        raise TypeError(f"{name}: x ({describe(x)}) cannot be read as an array: {error}") from error
    if library is None or parts is None:
        return NotImplemented
    if out is not None:
        read = library.values(x)
        if read.missing is not None:
            raise ValueError(f"{name}: x has missing values (NA), which out cannot hold; fill them, or give no out")
        return elementwise(name, read.array, out, backend=backend, threads=threads, **given)
    if given["where"] is not True and library is not arraylikes.NAMESPACE:
        raise TypeError(f"{name}: where is for arrays; choose among the elements of the result instead")
    made = [np.asarray(elementwise(name, part, None, backend=backend, threads=threads, **given)) for part in parts]
    return library.assembled(x, iter(made))


def _on_host(name: str, x: Any, out: Any, chosen: str | None, threads: int | None) -> Any:
    """The result for a large array of floats or bytes and nothing but an out: by the route that the dispatcher chooses."""
    ufunc, count = _route(name, x, out, chosen, threads)
    if count > 1 or (x.nbytes >= LONG_BYTES and sharing.shareable(x, out)):
        return sharing.unary(ufunc, x, out, count)
    return _on_one_thread(name, ufunc, x, out, {})


def _where_true(name: str, x: Any, out: Any, where: Any, chosen: str | None, threads: int | None) -> bool:
    """Whether the C library could take an array of floats, an out and a mask; what it does not take is NumPy's to do or to refuse."""
    if c is None or not sharing.shareable(x, out):
        return False
    mask = sharing.mask_like(x, where)
    if mask is None:
        return False
    ufunc, count = _route(name, x, out, chosen, threads)
    return bool(c.share_masked(ufunc, x, out, mask, count))


def _route(name: str, x: Any, out: Any, chosen: str | None, threads: int | None) -> tuple[np.ufunc, int]:
    how = choice.of_array(name, x, out, plain=True, backend=chosen, threads=threads)
    loaded = loaded_by_numba(name) if how.reason.served is Served.MEASURED_FASTER else None
    return loaded or ufunc_of(how.backend, name), how.threads


def _awkward(ufunc: np.ufunc, x: Any, out: Any, options: dict[str, Any]) -> Any:
    """The result for arrays that NumPy's iterator would bring to the loop slowly; None for others, and where nothing but C could do it."""
    if c is None or type(x) is not np.ndarray or not (out is None or type(out) is np.ndarray) or options.keys() - {"order"}:
        return None
    order = options.get("order", "K")
    if order != "K":
        if out is not None or order not in ("C", "F") or x.dtype.kind != "f":
            return None
        out = np.empty(x.shape, x.dtype.newbyteorder("="), order)
    return c.compute_awkward(ufunc, x, out)


def _on_one_thread(name: str, ufunc: np.ufunc, x: Any, out: Any, options: dict[str, Any]) -> Any:
    """The ufunc's result; what it refuses is refused in words about the arguments."""
    result = _awkward(ufunc, x, out, options)
    if result is not None:
        return result
    try:
        if pieces.is_long(x, out, options):
            result = pieces.computed(ufunc, x, out, options)
            if result is not None:
                return result
        return ufunc(x, **options) if out is None else ufunc(x, out=out, **options)
    except (TypeError, ValueError) as error:
        clearer = errors.explain(name, x, out, error)
        if clearer is error:
            raise
        raise clearer from error


if c is None:  # whose fast calls do it in less time
    elementwise = in_default_environment(elementwise)


def install_fast_calls(namespace: dict[str, Any]) -> None:
    """Let a module's operations go straight to the ufunc where nothing is left to choose; to the user they are the package's own."""
    functions = {op.name: namespace[op.name] for op in OPS if op.nin == 1}
    for function in functions.values():
        function.__module__ = "fastsig"
    if c is not None:
        plain = {name: function for name, function in functions.items() if not hasattr(function, "__wrapped__")}  # others do more than that
        namespace.update(c.make_fast_calls(plain, straight=FROM_ENVIRONMENT is None))
        c.set_fast_call_sizes({dtype: LEAST_BYTES // (int(dtype[-2:]) // 8) for dtype in ELEMENTS})
