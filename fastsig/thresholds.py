"""From which size on a call is done in another way: the numbers built in, and those that ``python -m fastsig tune`` measured here.

They choose between ways that give the same bits, so a wrong number costs time and nothing else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

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
        return self.parallel.get(op, {}).get(dtype) or ELEMENTS.get(dtype, ELEMENTS["float32"]) * times

    def entry_size(self, ops: Sequence[str], dtype: str) -> int:
        """The elements below which no call depends on any of this."""
        numba = [row[dtype] for row in self.numba.values() if dtype in row]
        return min([self.least(op, dtype) for op in ops] + numba)

    def numba_wins(self, op: str, dtype: str, size: int) -> bool:
        least = self.numba.get(op, {}).get(dtype)
        return least is not None and size >= least


def threads_for(size: int, least: int, most: int) -> int:
    """So many threads that each has half of the least shared size to do, or more; 1 below that size."""
    return 1 if size < least else min(most, 2 * size // least)


def config_dir() -> Path:
    """Where this user's settings live, by the custom of the system."""
    from pathlib import Path

    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming") / "fastsig"
    if sys.platform == "darwin" and not os.environ.get("XDG_CONFIG_HOME"):
        return Path.home() / "Library" / "Application Support" / "fastsig"
    base = os.environ.get("XDG_CONFIG_HOME") or ""
    return (Path(base) if os.path.isabs(base) else Path.home() / ".config") / "fastsig"


def path() -> Path:
    return config_dir() / "tune.json"


def cpu_name() -> str:
    """The processor's name as the system gives it."""
    try:
        with open("/proc/cpuinfo") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    import platform

    return platform.processor() or platform.machine()


def fingerprint(version: str) -> dict[str, Any]:
    """What the measurements depend on: another one of these, and they no longer count."""
    return {"cpu": cpu_name(), "cores": os.cpu_count(), "fastsig": version}


def _table(name: str, found: Any) -> Table:
    rows = found.get(name, {})
    for op, row in rows.items():
        for dtype, elements in row.items():
            if type(elements) is not int or elements < 1:
                raise ValueError(f"{name}: {op}: {dtype} is {elements!r}, not a number of elements")
    return {op: dict(row) for op, row in rows.items()}


def parse(text: str, version: str, where: str = "") -> Thresholds:
    """The thresholds in a file's text; ValueError saying why they cannot be used."""
    import json

    try:
        found = json.loads(text)
        if found["format"] != FORMAT:
            raise ValueError(f"its format is {found['format']}, and this version reads {FORMAT}")
        here, there = fingerprint(version), found["machine"]
        differing = [f"{key} was {there.get(key)!r} and is {here[key]!r}" for key in here if there.get(key) != here[key]]
        if differing:
            raise ValueError("it was measured elsewhere: " + ", ".join(differing))
        stream = found["stream_bytes"]
        if stream is not None and (type(stream) is not int or stream < 1):
            raise ValueError(f"stream_bytes is {stream!r}, not a number of bytes")
        date = str(found["date"])[:10]
        return Thresholds(_table("parallel", found), _table("numba", found), stream, f"tuned {date}" + f" ({where})" * bool(where))
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON ({error})") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"it is not as tune writes it ({type(error).__name__}: {error})") from error


def load(version: str) -> tuple[Thresholds, str]:
    """Those of the user's file where there is one that fits this machine, else those built in; and why it does not fit."""
    file = path()
    try:
        return parse(file.read_text(encoding="utf-8"), version, str(file)), ""
    except (FileNotFoundError, NotADirectoryError):
        return Thresholds(), ""
    except UnicodeDecodeError as error:
        why = f"it is not JSON ({error})"
    except OSError as error:
        why = f"it cannot be read ({error})"
    except ValueError as error:
        why = str(error)
    remedy = "Measure again with `python -m fastsig tune`, or remove it with `python -m fastsig tune --reset`."
    return Thresholds(), f"fastsig ignores {file}: {why}. {remedy}"
