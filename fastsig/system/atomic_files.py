"""Files that appear whole or not at all, however the process ends."""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import BinaryIO

from fastsig.system.regular_files import status_of
from fastsig.system.signals import ending_in_order, held_back

_ACCESS_LIST = "system.posix_acl_access"
_KEPT_ATTRIBUTES = ("user.", _ACCESS_LIST)
"""What begins so is the user's; other extended attributes are the system's, such as a label that the new file has its own of."""


def replacing(path: str | os.PathLike[str]) -> AbstractContextManager[BinaryIO]:
    """A new file that takes the path when the block has ended well, and of which nothing is left otherwise.

    Through symbolic links it replaces the file that they lead to, whose mode, owner and extended attributes it gets where that is
    permitted; other hard links to that one keep its bytes. OSError where the path is that of a directory, a pipe or a device.
    """
    return _appearing(path, replace=True)


def creating(path: str | os.PathLike[str]) -> AbstractContextManager[BinaryIO]:
    """As ``replacing``, but FileExistsError when the block has ended and there is a file, which stays as it is."""
    return _appearing(path, replace=False)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """The text as a file, whole or not at all; into what is there but no regular file, such as /dev/stdout, as into any."""
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        return
    with replacing(path) as file:
        file.write(text.encode())


@contextmanager
def _appearing(path: str | os.PathLike[str], replace: bool) -> Iterator[BinaryIO]:
    target = os.path.realpath(path)
    former = status_of(target)
    mode = 0o666 if former is None else 0o600  # what was private is so while it is written, too
    file = _without_a_name(target, mode)
    if file is not None:
        with file:
            yield file
            _finish(file, target, former)
            _give_name(f"/proc/self/fd/{file.fileno()}", target, replace)
        return
    hidden = _hidden_beside(target)
    with ending_in_order():
        try:
            with open(hidden, "xb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
                yield file
                _finish(file, target, former)
            _rename(hidden, target, replace)
        finally:
            with held_back(), suppress(FileNotFoundError):
                os.unlink(hidden)


def _hidden_beside(target: str) -> str:
    return os.path.join(os.path.dirname(target), f".fastsig-{uuid.uuid4().hex}.part")


def _without_a_name(target: str, mode: int) -> BinaryIO | None:
    """A file in the target's directory that ends with the process unless it is given a name; None where the system has none such."""
    if not hasattr(os, "O_TMPFILE"):
        return None
    try:
        descriptor = os.open(os.path.dirname(target), os.O_TMPFILE | os.O_RDWR, mode)
    except OSError:  # the file system has none, or the directory cannot be written, which the next attempt finds out
        return None
    if not os.path.exists(f"/proc/self/fd/{descriptor}"):
        os.close(descriptor)
        return None
    return open(descriptor, "wb")


def _finish(file: BinaryIO, target: str, former: os.stat_result | None) -> None:
    """All bytes on the disk, and the attributes of what will be replaced."""
    file.flush()
    former = status_of(target) or former
    if former is not None and hasattr(os, "fchown"):
        _take_attributes(file.fileno(), target, former)
    os.fsync(file.fileno())


def _take_attributes(descriptor: int, target: str, former: os.stat_result) -> None:
    mode = stat.S_IMODE(former.st_mode)
    for owner, group in ((-1, former.st_gid), (former.st_uid, -1)):
        with suppress(OSError):  # not this user's to give
            os.fchown(descriptor, owner, group)
    now = os.fstat(descriptor)
    if (now.st_uid, now.st_gid) != (former.st_uid, former.st_gid):
        mode &= ~(stat.S_ISUID | stat.S_ISGID)  # they would run it as somebody else
    with suppress(OSError):  # a file system without modes
        os.fchmod(descriptor, mode)
    if hasattr(os, "listxattr"):
        _take_extended_attributes(descriptor, target)


def _take_extended_attributes(descriptor: int, target: str) -> None:
    with suppress(OSError):  # gone meanwhile, or a file system without them
        kept = [name for name in os.listxattr(target) if name.startswith(_KEPT_ATTRIBUTES)]
        if _ACCESS_LIST not in kept and _ACCESS_LIST in os.listxattr(descriptor):
            os.removexattr(descriptor, _ACCESS_LIST)  # the directory's default gave it, and would let in more than before
        for name in kept:
            os.setxattr(descriptor, name, os.getxattr(target, name))


def _give_name(source: str, target: str, replace: bool) -> None:
    """Link the open file to the target; what a link cannot do, replace another file, a hidden name between does."""
    with held_back():
        try:
            _link(source, target)
            return
        except FileExistsError:
            if not replace:
                raise
        hidden = _hidden_beside(target)
        try:
            _link(source, hidden)
            os.replace(hidden, target)
        except OSError:
            with suppress(FileNotFoundError):
                os.unlink(hidden)
            raise


def _link(source: str, target: str) -> None:
    directory = os.open(os.path.dirname(target), os.O_PATH | os.O_DIRECTORY)
    try:
        # with a directory given Python calls linkat, which goes through the link that the name in /proc is
        os.link(source, os.path.basename(target), dst_dir_fd=directory, follow_symlinks=True)
    except FileExistsError as error:
        raise FileExistsError(error.errno, error.strerror, target) from None
    finally:
        os.close(directory)


def _rename(hidden: str, target: str, replace: bool) -> None:
    """The finished file to its name; the hidden one may stay, as a second."""
    if replace:
        os.replace(hidden, target)
        return
    try:
        os.link(hidden, target)
    except FileExistsError as error:
        raise FileExistsError(error.errno, error.strerror, target) from None
    except OSError:  # a file system without hard links
        _rename_to_unused(hidden, target)


def _rename_to_unused(hidden: str, target: str) -> None:
    """By an empty file that claims the name: unlike a rename, to make one fails where there is a file."""
    with held_back():
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        try:
            os.replace(hidden, target)
        except OSError:
            os.unlink(target)
            raise
