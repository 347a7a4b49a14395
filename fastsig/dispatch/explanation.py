"""What the dispatcher decides for a call, in words, and where the C ABI is."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastsig.arrays.devices import common_device, interop_of, lazy_library_of
from fastsig.dispatch import choice, gpu, thresholds
from fastsig.dispatch.availability import backends, named
from fastsig.dispatch.choice import Alone, Reason, Route
from fastsig.dispatch.thresholds import GATES, LOSSES, UNARY
from fastsig.kernels.c.status import library as c
from fastsig.ops import BROADCASTING, FUSED_BY_NAME, OPS

_KNOWN = (*(op.name for op in OPS), *sorted(LOSSES - {op.name for op in OPS}), *sorted(GATES))


def explain(*operands: Any, op: str = "sigmoid", backend: str | None = None, threads: int | None = None) -> str:
    """Which backend would serve this call, with how many threads, and why.

    Parameters
    ----------
    *operands : array_like
        What the function would be called with: ``x``, or the logits (probabilities), the targets and what broadcasts to them.
    op : str
        The name of an operation, such as "sigmoid", of a loss, such as "bce_with_logits_value_and_grad", or
        "BCEAccumulator.update". A name that a loss and a ufunc share ("bce", "bce_with_logits") means the loss.
    backend, threads
        As in the call.

    Returns
    -------
    str
        One line, such as "sigmoid: c (v4), 1 thread: host array; the C library needs no compiling; one thread; thresholds built in".

    Raises
    ------
    ValueError
        The operation or the backend is unknown, or no array was given.
    RuntimeError
        The backend is not available, or none computes on the device of the arrays.

    See Also
    --------
    backends : which backends there are.

    Examples
    --------
    >>> import numpy as np
    >>> import fastsig as fs
    >>> words = fs.explain(np.zeros(3))
    >>> words.split("; ")[2]
    'one thread'
    """
    if op not in _KNOWN:
        raise ValueError(f"op={op!r} is unknown; known operations are {', '.join(_KNOWN)}")
    if not operands:
        raise ValueError("explain() needs the array, or the arrays, of the call")
    chosen = named(backend)
    lazy = lazy_library_of(*operands)
    if lazy is not None:
        block = interop_of(lazy).block_of(*operands)
        return f"{explain(block, op=op, backend=backend, threads=threads or 1)}; so each block of a lazy array is served"
    device = common_device(**{f"operand {i}": x for i, x in enumerate(operands)})
    if device != "cpu" or chosen == "cuda":
        return gpu.explained(op, operands, device, chosen)
    return f"{op}: {_in_words(_route(op, operands, chosen, threads))}; thresholds {thresholds.in_force().source}"


def _route(op: str, operands: tuple[Any, ...], chosen: str | None, threads: int | None) -> Route:
    """What the call itself would be decided by."""
    first = np.asanyarray(operands[0])
    if op in GATES:
        row = FUSED_BY_NAME[op]
        elements = int(np.broadcast(*operands).size) if op in BROADCASTING else first.size // row.arguments[0][1]
        return choice.of_loss(op, first.dtype, elements, backend=chosen, threads=threads)
    if op in LOSSES:
        return choice.of_loss(op, first.dtype, first.size, backend=chosen, threads=threads)
    plain = op in UNARY and type(operands[0]) is np.ndarray
    return choice.of_array(op, first, None, plain=plain, backend=chosen, threads=threads)


def _in_words(how: Route) -> str:
    serves = f"c ({c.isa()})" if how.backend == "c" and c is not None else how.backend
    count = f"{how.threads} thread{'s' * (how.threads > 1)}"
    return f"{serves}, {count}: {how.reason.served.value}; {_threads_in_words(how.threads, how.reason)}"


def _threads_in_words(threads: int, reason: Reason) -> str:
    if threads > 1:
        return f"{threads} threads, which share {reason.least:,} elements and more"
    return "one thread" if reason.alone in (Alone.SMALL, Alone.LIMIT) else f"one thread ({reason.alone.value})"


def get_include() -> str:
    """The directory of ``fastsig.h``, the C ABI.

    Returns
    -------
    str

    Raises
    ------
    RuntimeError
        The C library was not built for this installation, or is another version's.

    See Also
    --------
    get_library : the library to link with.

    Examples
    --------
    >>> import fastsig as fs
    >>> print(f"gcc program.c -I{fs.get_include()} {fs.get_library()}")  # doctest: +SKIP
    >>> fs.backends()["c"] != "available" or fs.get_include().endswith("include")
    True
    """
    if c is None:
        raise RuntimeError(backends()["c"])
    return str(c.include_dir())


def get_library() -> str:
    """The path of the shared library behind ``fastsig.h``: of the file that this process has loaded.

    Returns
    -------
    str

    Raises
    ------
    RuntimeError
        The C library was not built for this installation, or is another version's.

    See Also
    --------
    get_include : the header's directory, and how both are used.

    Examples
    --------
    >>> import fastsig as fs
    >>> fs.backends()["c"] != "available" or "libfastsig" in fs.get_library()
    True
    """
    if c is None:
        raise RuntimeError(backends()["c"])
    return str(c.library_path())
