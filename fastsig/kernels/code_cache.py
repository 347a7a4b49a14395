"""Kernels' machine code on disk, for the backends that compile. It is loaded and run, so it must be this user's alone, and whole.

An entry begins with a digest over its key, which names all that the code was made from, and its bytes. An entry that is stale, cut off,
damaged or another one's is not looked into: it is as if it were not there, and the next compilation takes its place.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from fastsig.system.atomic_files import replacing
from fastsig.system.checked_files import contents, open_to_others
from fastsig.system.directories import cache_directory

_DIGEST = hashlib.sha256().digest_size
_MOST = 1 << 28
"""Bytes of an entry; kernels take 10,000 to 100,000."""
SUFFIXES = (".nbc", ".cubin", ".lib")


def users_directory() -> str | None:
    """Where a user's kernels are kept; None for a user without a home directory."""
    base = cache_directory()
    return None if base is None else os.path.join(base, "kernels")


def problem(directory: str | None) -> str:
    """Why no code is kept in this directory and none is loaded from it; "" where it is, also where the directory is still to be made."""
    if directory is None:
        return "this user has no home directory"
    try:
        found = os.stat(directory)
    except FileNotFoundError:
        above = next(parent for parent in Path(directory).absolute().parents if parent.exists())
        return "" if above.is_dir() and os.access(above, os.W_OK | os.X_OK) else "it cannot be made"
    except OSError as error:
        return f"it cannot be used ({error.strerror})"
    if not stat.S_ISDIR(found.st_mode):
        return "it is not a directory"
    return open_to_others(found) or ("" if os.access(directory, os.W_OK | os.X_OK) else "it cannot be written")


def passed_over(directory: str) -> Iterator[tuple[str, str]]:
    """The entries of this directory that are not loaded because others can write them, and why."""
    try:
        names = sorted(name for name in os.listdir(directory) if name.endswith(SUFFIXES))
    except OSError:
        return
    for name in names:
        try:
            why = open_to_others(os.stat(os.path.join(directory, name)))
        except OSError as error:
            why = f"it cannot be read ({error.strerror})"
        if why:
            yield name, why


def load(directory: str | None, name: str, key: str) -> bytes | None:
    """The code that was kept under this name and key; None where there is none, or none to be trusted."""
    if directory is None or problem(directory):
        return None
    try:
        entry = contents(os.path.join(directory, name), _MOST, trusted=True)
    except OSError:
        return None
    code = entry[_DIGEST:]
    return code if entry[:_DIGEST] == _digest(key, code) else None


def keep(directory: str | None, name: str, key: str, code: bytes) -> None:
    """Keep it, whole or not at all, as another process may be reading; where that cannot be, the next process compiles again."""
    if directory is None or problem(directory):
        return
    try:
        os.makedirs(directory, 0o700, exist_ok=True)
        with replacing(Path(directory, name)) as file:
            file.write(_digest(key, code) + code)
            os.chmod(file.name, 0o600)
    except OSError:
        pass


def _digest(key: str, code: bytes) -> bytes:
    return hashlib.sha256(len(key).to_bytes(8, "little") + key.encode() + code).digest()
