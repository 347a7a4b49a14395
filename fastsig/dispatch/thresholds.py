"""From which size on a call is done in another way: the numbers built in, and those that ``python -m fastsig tune`` measured here.

They choose between ways that give the same bits, so a wrong number costs time and nothing else.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

from fastsig._version import __version__
from fastsig.kernels.c.status import library as c
from fastsig.ops import FUSED, OPS
from fastsig.system import first_calls
from fastsig.system.checked_files import contents
from fastsig.system.cpu import cpu_name
from fastsig.system.directories import config_dir

UNARY = frozenset(op.name for op in OPS if op.nin == 1)
LOSSES = frozenset(
    (
        "bce",
        "bce_with_logits",
        "bce_with_logits_value_and_grad",
        "bce_with_logits_grad_hess",
        "sigmoid_focal_loss",
        "sigmoid_focal_loss_value_and_grad",
        "sigmoid_focal_loss_grad_hess",
        "BCEAccumulator.update",
        "score",
    )
)
GATES = frozenset(row.name for row in FUSED)

FORMAT = 1
LEAST_BYTES = 1 << 16
"""Below this nothing is ever shared: even with threads that are awake it would take as long as one thread takes for the whole array."""

ELEMENTS = {"float16": 1 << 15, "bfloat16": 1 << 15, "float32": 1 << 16, "float64": 1 << 14}
"""Elements from which on two threads win that are awake, about 15 us of one thread's work at the cheapest operation. Whether those that
sleep are woken is for the pool to say, by the time that is left (``cext/pool.c``; benchmarks/NOTES.md, "Threads")."""

LOSS_ELEMENTS = 1 << 16
"""The same for the losses."""

HAND_OVER = 32
"""So many times as many elements where it would be Python's threads, 100 to 200 us a call, unless the call asks for threads."""

Table = Mapping[str, Mapping[str, int]]


class Thresholds(NamedTuple):
    """Elements by operation and dtype; where a table has no entry, the built-in number, and never Numba, is meant."""

    parallel: Table = {}
    numba: Table = {}
    """From here on Numba's loop is faster than the C library's; used where that loop is loaded already."""
    stream_bytes: int | None = None
    source: str = "built in"

    def least(self, op: str, dtype: str, times: int = 1) -> int:
        """The elements from which on an array is shared among threads; so many times the number built in, where none was measured."""
        built_in = LOSS_ELEMENTS if op in LOSSES else ELEMENTS.get(dtype, ELEMENTS["float32"])
        return self.parallel.get(op, {}).get(dtype) or built_in * times

    def fast_call_sizes(self) -> dict[str, int]:
        """By dtype, the elements below which every route of an operation of one input is the C library on one thread."""
        return {dtype: min(self._changes(dtype)) for dtype in ELEMENTS}

    def _changes(self, dtype: str) -> list[int]:
        """The sizes at which a route of such an operation becomes another one."""
        return [self.least(op, dtype) for op in UNARY] + [row[dtype] for row in self.numba.values() if dtype in row]

    def numba_wins(self, op: str, dtype: str, size: int) -> bool:
        least = self.numba.get(op, {}).get(dtype)
        return least is not None and size >= least


def threads_for(size: int, least: int, most: int) -> int:
    """So many threads that each has half of the least shared size to do, or more; 1 below that size."""
    return 1 if size < least else min(most, 2 * size // least)


def path() -> str | None:
    """The user's file; None for a user without a home directory."""
    directory = config_dir()
    return None if directory is None else os.path.join(directory, "tune.json")


def fingerprint(version: str) -> dict[str, Any]:
    """What the measurements depend on: another one of these, and they no longer count."""
    return {"cpu": cpu_name(), "cores": os.cpu_count(), "fastsig": version}


MOST_ELEMENTS = 1 << 62
"""More than any array has, and less than what a size in C holds."""


def _said(value: Any) -> str:
    """A value of the file as a complaint repeats it."""
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _count(name: str, value: Any, unit: str) -> int:
    if type(value) is not int or not 1 <= value <= MOST_ELEMENTS:
        raise ValueError(f"{name} is {_said(value)}, not a number of {unit}")
    return value


def _table(name: str, found: Any) -> Table:
    return {
        op: {dtype: _count(f"{name}: {op}: {dtype}", elements, "elements") for dtype, elements in row.items()}
        for op, row in found.get(name, {}).items()
    }


def parse(text: str, version: str, where: str = "") -> Thresholds:
    """The thresholds in a file's text; ValueError saying why they cannot be used."""
    import json

    try:
        found = json.loads(text)
        if found["format"] != FORMAT:
            raise ValueError(f"its format is {_said(found['format'])}, and this version reads {FORMAT}")
        here, there = fingerprint(version), found["machine"]
        differing = [f"{key} was {_said(there.get(key))} and is {here[key]!r}" for key in here if there.get(key) != here[key]]
        if differing:
            raise ValueError("it was measured elsewhere: " + ", ".join(differing))
        stream = None if found["stream_bytes"] is None else _count("stream_bytes", found["stream_bytes"], "bytes")
        date = _said(str(found["date"])[:10])[1:-1]
        return Thresholds(_table("parallel", found), _table("numba", found), stream, f"tuned {date}" + f" ({where})" * bool(where))
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON ({error})") from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is not as tune writes it ({type(error).__name__}: {error})") from error


def load(version: str) -> tuple[Thresholds, str]:
    """Those of the user's file where there is one that fits this machine, else those built in; and why it does not fit."""
    file = path()
    if file is None:
        return Thresholds(), ""
    try:
        return parse(contents(file).decode(), version, file), ""
    except (FileNotFoundError, NotADirectoryError):
        return Thresholds(), ""
    except UnicodeDecodeError as error:
        why = f"it is not JSON ({error})"
    except OSError as error:
        if isinstance(error, PermissionError) and not os.path.lexists(file):  # its directory is another user's
            return Thresholds(), ""
        why = f"it cannot be read ({error})"
    except ValueError as error:
        why = str(error)
    remedy = "Measure again with `python -m fastsig tune`, or remove it with `python -m fastsig tune --reset`."
    return Thresholds(), f"fastsig ignores {file}: {why}. {remedy}"


_in_force: Thresholds | None = None


def in_force() -> Thresholds:
    """Those that calls go by; the user's file is looked for once, at the first call that is large enough to depend on it.

    A UserWarning says why a file was ignored.
    """
    return _in_force if _in_force is not None else _put_in_force()


def _put_in_force() -> Thresholds:
    global _in_force
    with first_calls.LOCK:
        if _in_force is not None:  # another thread's first call
            return _in_force
        found, complaint = load(__version__)
        if c is not None:
            c.set_fast_call_sizes(found.fast_call_sizes())
            if found.stream_bytes is not None:
                c.set_stream_bytes(found.stream_bytes)
        _in_force = found
    if complaint:  # not under the lock: what shows warnings may be anybody's
        warnings.warn(complaint, UserWarning, stacklevel=3)
    return found


def stream_bytes() -> int:
    """Outputs of at least this many bytes are written past the caches by the C backend."""
    in_force()
    return c.stream_bytes() if c is not None else 1 << 62
