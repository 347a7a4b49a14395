"""Files that hold bytes, told from what else can have a path."""

from __future__ import annotations

import errno
import os
import stat
from io import FileIO

_KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def what_else(status: os.stat_result) -> str:
    """What it is if it is no regular file, else ""."""
    if stat.S_ISREG(status.st_mode):
        return ""
    return next((words for is_kind, words in _KINDS if is_kind(status.st_mode)), "something else")


def check_regular(path: str, status: os.stat_result) -> None:
    """OSError where the path leads to what is no regular file."""
    if kind := what_else(status):
        raise OSError(errno.EINVAL, f"{kind}, not a regular file", path)


def status_of(path: str) -> os.stat_result | None:
    """Of the regular file at the path, through links; None where there is nothing. OSError where it is no regular file."""
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return None
    check_regular(path, status)
    return status


def open_regular(path: str) -> FileIO:
    """For reading, without a buffer. A pipe that nobody writes to or a device is refused, and never waited for."""
    check_regular(path, os.stat(path))  # first by its name: to open a device can be to use it
    file = FileIO(path, "rb", opener=_without_waiting)
    try:
        check_regular(path, os.fstat(file.fileno()))
    except OSError:
        file.close()
        raise
    return file


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
