"""Which backend serves a call, and with how many threads. The choice can never change an answer: all give the same bits.

``route`` decides and is pure: what the machine has, what the user asked for and what the call is are its arguments. The functions
below it gather these, for a call and for ``fs.explain`` alike.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum
from typing import Any, NamedTuple

import numpy as np

from fastsig.dispatch import sharing
from fastsig.dispatch import thresholds as limits
from fastsig.dispatch.availability import host_backend, loaded_by_numba
from fastsig.dispatch.thresholds import GATES, HAND_OVER, LOSSES, UNARY, Thresholds, threads_for
from fastsig.kernels.c.status import library as c
from fastsig.system.num_threads import Worker, in_worker, thread_limit
from fastsig.system.thread_pool import inside_worker


class Served(Enum):
    """Why it is this backend."""

    NAMED = "it was named"
    ON_GPU = "the array is on {device}"
    NO_COMPILING = "host array; the C library needs no compiling"
    MEASURED_FASTER = "host array; loaded here, and faster by what tune measured"
    NO_C_LIBRARY = "host array; the C library is not available"


class Alone(Enum):
    """Why a call has one thread although it is large; NO where it is not so."""

    NO = ""
    SMALL = "small"
    LAYOUT = "only contiguous NumPy arrays of floats, bool, int8 and uint8 are shared"
    UFUNC = "the ufuncs are not shared"
    LIMIT = "limit"
    WORKER_THREAD = Worker.THREAD.value
    WORKER_PROCESS = Worker.PROCESS.value


class Reason(NamedTuple):
    served: Served
    alone: Alone
    least: int
    """The elements from which on such a call is shared among threads; 0 on a GPU."""


class Route(NamedTuple):
    backend: str
    threads: int
    reason: Reason


def route(
    op: str, device: str, dtype: str, size: int, *, shareable: bool, backend: str | None, limit: int, in_worker: Worker,
    thresholds: Thresholds, available: Collection[str], pool: bool = True, asked: bool = False, loaded: bool = False,
) -> Route:  # fmt: skip
    """The backend and the number of threads for a call.

    Parameters
    ----------
    op : str
        The function: an operation of one input, a loss, a gate, or an operation that is a ufunc only.
    device, dtype, size
        Of the elements.
    shareable : bool
        Whether pieces of the call can be computed apart.
    backend : str or None
        The one that was named.
    limit : int
        The most threads that the call may use.
    in_worker : Worker
        Whether the call is a share of somebody's work.
    thresholds : Thresholds
    available : collection of str
        The backends that can serve.
    pool : bool
        Whether the C library's threads serve; else they are Python's, as they are for Numba's losses.
    asked : bool
        Whether the call says how many threads.
    loaded : bool
        Whether Numba's loop for this operation is there already and reads such an array in place.

    Raises
    ------
    RuntimeError
        No available backend computes on the device.
    """
    if device != "cpu":
        if "cuda" in available and device.startswith("cuda"):
            return Route("cuda", 1, Reason(Served.ON_GPU, Alone.NO, 0))
        raise RuntimeError(f"no available backend computes on {device}")
    serves, served = _host(op, dtype, size, backend, thresholds, available, loaded)
    pythons_threads = serves == "numba" if op in LOSSES or op in GATES else not pool
    least = thresholds.least(op, dtype, HAND_OVER if pythons_threads and not asked else 1)
    threads = threads_for(size, least, limit) if shareable else 1
    alone = Alone.NO if threads > 1 else _alone(op, size, least, shareable, in_worker, asked)
    return Route(serves, threads, Reason(served, alone, least))


def _host(
    op: str, dtype: str, size: int, backend: str | None, thresholds: Thresholds, available: Collection[str], loaded: bool
) -> tuple[str, Served]:
    if backend is not None:
        return backend, Served.NAMED
    if "c" in available:
        faster = loaded and thresholds.numba_wins(op, dtype, size)
        return ("numba", Served.MEASURED_FASTER) if faster else ("c", Served.NO_COMPILING)
    if "numba" in available:
        return "numba", Served.NO_C_LIBRARY
    raise RuntimeError("neither the C library nor Numba is available")


def _alone(op: str, size: int, least: int, shareable: bool, in_worker: Worker, asked: bool) -> Alone:
    if not shareable:
        return Alone.LAYOUT if op in LOSSES or op in UNARY else Alone.UFUNC
    if not asked and in_worker is not Worker.NO:
        return Alone.WORKER_THREAD if in_worker is Worker.THREAD else Alone.WORKER_PROCESS
    return Alone.SMALL if size < least else Alone.LIMIT


# ---- the facts of a call on this machine ----

_HERE = frozenset({host_backend()})
"""What the dispatcher chooses from for host arrays; a backend that is named was looked at before."""


def of_array(op: str, x: Any, out: Any, *, plain: bool, backend: str | None, threads: int | None) -> Route:
    """The route of an operation of one input over an array of the host."""
    name = sharing.SHARED.get(x.dtype) or x.dtype.name
    in_force = limits.in_force()
    loaded = backend is None and bool(in_force.numba) and x.flags.forc and c is not None and loaded_by_numba(op) is not None
    return route(
        op, "cpu", name, x.size, shareable=plain and sharing.shareable(x, out), backend=backend, limit=thread_limit(threads),
        in_worker=in_worker(), thresholds=in_force, available=_HERE, pool=sharing.share is not None,
        asked=threads is not None, loaded=loaded,
    )  # fmt: skip


def of_loss(op: str, dtype: np.dtype[Any], size: int, *, backend: str | None, threads: int | None) -> Route:
    """The route of a loss or a gate over operands of the host: of any layout, as a backend gathers their blocks or is given copies."""
    return route(
        op, "cpu", dtype.name, size, shareable=not inside_worker(), backend=backend, limit=thread_limit(threads), in_worker=in_worker(),
        thresholds=limits.in_force(), available=_HERE, pool=sharing.share is not None, asked=threads is not None,
    )  # fmt: skip
