"""Reading of files that may be anything by the time they are read, and that others may have been at. Imports nothing in a call."""

from __future__ import annotations

import os
import stat

from fastsig.system.regular_files import what_else

MOST = 1 << 20
"""Bytes of the longest settings that are read."""

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def contents(path: str, most: int = MOST, *, trusted: bool = False) -> bytes:
    """A regular file's bytes.

    Raises
    ------
    OSError
        There is no such file, it cannot be read, it is no regular one (a FIFO would be waited for), it has more bytes than that, or
        it is to be trusted, and others can write it.
    """
    file = os.open(path, _FLAGS)
    try:
        found = os.fstat(file)
        if kind := what_else(found):
            raise OSError(f"it is {kind}, not a regular file")
        if trusted and (why := open_to_others(found)):
            raise OSError(why)
        parts, left = [], most + 1
        while left and (part := os.read(file, left)):
            parts.append(part)
            left -= len(part)
        if not left:
            raise OSError(f"it has more than {most:,} bytes")
        return b"".join(parts)
    finally:
        os.close(file)


def open_to_others(found: os.stat_result) -> str:
    """Why others than this user (and root, who can do all) may have written there; "" where they cannot have."""
    if not hasattr(os, "geteuid"):
        return ""
    if found.st_uid not in (os.geteuid(), 0):
        return f"it belongs to another user (uid {found.st_uid})"
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return f"others can write to it (mode {stat.S_IMODE(found.st_mode):o})"
    return ""
