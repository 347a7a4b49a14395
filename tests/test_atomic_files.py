"""Files that appear whole or not at all: whatever fails or interrupts, and whatever lies where they go."""

from __future__ import annotations

import os
import signal
import socket
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from file_systems import refuse
from processes import HEARS

from fastsig.system.atomic_files import creating, replacing, write_text
from fastsig.system.regular_files import check_regular
from fastsig.system.signals import ending_in_order

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes, owners and signals of POSIX")
ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture(autouse=True)
def kind(temporary: str) -> str:
    """All tests here are made with each."""
    return temporary


def only(directory: Path, *names: str) -> bool:
    return sorted(path.name for path in directory.iterdir()) == sorted(names)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("how", [creating, replacing])
def test_a_new_file_is_as_any_other(how: Any, tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"")
    with how(tmp_path / "new") as file:
        file.write(b"whole")
        assert not (tmp_path / "new").exists()
    assert (tmp_path / "new").read_bytes() == b"whole"
    assert mode_of(tmp_path / "new") == mode_of(tmp_path / "other")
    assert (tmp_path / "new").stat().st_nlink == 1
    assert only(tmp_path, "new", "other")


@pytest.mark.parametrize("how", [creating, replacing])
@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit])
def test_nothing_is_left_of_a_block_that_fails(how: Any, error: type[BaseException], kind: str, tmp_path: Path) -> None:
    with pytest.raises(error), how(tmp_path / "new") as file:
        file.write(b"half")
        file.flush()
        assert only(tmp_path) == (kind == "without a name")
        raise error
    assert only(tmp_path)


@pytest.mark.parametrize("step", ["fsync", "link", "replace"])
def test_nothing_is_left_where_the_system_refuses(step: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if step == "link" and kind != "without a name":
        pytest.skip("does without")
    target = tmp_path / "target"
    target.write_bytes(b"old")
    monkeypatch.setattr(os, step, refuse)
    with pytest.raises(PermissionError), replacing(target) as file:
        file.write(b"new")
    assert target.read_bytes() == b"old"
    assert only(tmp_path, "target")


def test_nothing_is_left_of_a_name_that_was_claimed(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind != "hidden, no hard links":
        pytest.skip("claims none")
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(PermissionError), creating(tmp_path / "new") as file:
        file.write(b"new")
    assert only(tmp_path)


def test_what_is_there_is_not_created(tmp_path: Path) -> None:
    target = tmp_path / "target"
    with pytest.raises(FileExistsError) as caught, creating(target) as file:
        file.write(b"new")
        target.write_bytes(b"another's")
    assert str(target) in str(caught.value)
    assert target.read_bytes() == b"another's"
    assert only(tmp_path, "target")


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755, 0o444])
def test_a_replaced_file_keeps_its_mode(mode: int, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    target.chmod(mode)
    with replacing(target) as file:
        file.write(b"new")
        assert os.fstat(file.fileno()).st_mode & 0o077 == 0, "what may be private is so while it is written"
    assert (target.read_bytes(), mode_of(target)) == (b"new", mode)
    assert only(tmp_path, "target")


def test_a_file_that_appears_meanwhile_keeps_its_mode(tmp_path: Path) -> None:
    target = tmp_path / "target"
    with replacing(target) as file:
        file.write(b"new")
        target.write_bytes(b"another's")
        target.chmod(0o604)
    assert (target.read_bytes(), mode_of(target)) == (b"new", 0o604)


@pytest.mark.skipif(not ROOT, reason="only root gives files away")
def test_a_replaced_file_keeps_its_owner(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    os.chown(target, 1234, 4321)
    target.chmod(0o6750)
    with replacing(target) as file:
        file.write(b"new")
    status = target.stat()
    assert (status.st_uid, status.st_gid, mode_of(target)) == (1234, 4321, 0o6750)


@pytest.mark.skipif(not ROOT, reason="only root gives files away")
def test_where_the_owner_cannot_be_kept_it_runs_as_nobody_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    os.chown(target, 1234, 4321)
    target.chmod(0o6750)
    monkeypatch.setattr(os, "fchown", refuse)
    with replacing(target) as file:
        file.write(b"new")
    assert (target.read_bytes(), mode_of(target)) == (b"new", 0o750)


def access_list(user: int, permissions: int) -> bytes:
    """The extended attribute that lets one user more in."""
    entries = [(0x01, 6, -1), (0x02, permissions, user), (0x04, 0, -1), (0x10, 7, -1), (0x20, 0, -1)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)


def with_attribute(path: Path, name: str, value: bytes) -> None:
    try:
        os.setxattr(path, name, value)
    except (OSError, AttributeError):
        pytest.skip(f"no {name} here")


@pytest.mark.parametrize(("name", "value"), [("user.origin", b"a run"), ("system.posix_acl_access", access_list(1234, 4))])
def test_a_replaced_file_keeps_its_extended_attributes(name: str, value: bytes, tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_bytes(b"old")
    with_attribute(target, name, value)
    mode = mode_of(target)
    with replacing(target) as file:
        file.write(b"new")
    assert (target.read_bytes(), os.getxattr(target, name), mode_of(target)) == (b"new", value, mode)


def test_nobody_is_let_in_whom_the_replaced_file_did_not(tmp_path: Path) -> None:
    """A new file would have the access list that the directory gives."""
    target = tmp_path / "target"
    target.write_bytes(b"old")
    with_attribute(tmp_path, "system.posix_acl_default", access_list(1234, 7))
    target.chmod(0o640)
    with replacing(target) as file:
        file.write(b"new")
    assert (target.read_bytes(), mode_of(target)) == (b"new", 0o640)
    assert "system.posix_acl_access" not in os.listxattr(target)


def test_through_a_symbolic_link_the_file_is_replaced(tmp_path: Path) -> None:
    place = tmp_path / "elsewhere"
    place.mkdir()
    (tmp_path / "link").symlink_to(place / "middle")
    (place / "middle").symlink_to("file")
    for content in (b"old", b"new"):  # at first there is no file at the end
        with replacing(tmp_path / "link") as file:
            file.write(content)
        assert (place / "file").read_bytes() == content
    assert (tmp_path / "link").is_symlink()
    assert (place / "middle").is_symlink()
    assert only(tmp_path, "link", "elsewhere")
    assert only(place, "middle", "file")


def test_a_text_goes_whole_into_a_file_and_as_it_is_into_a_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, pipe = tmp_path / "target", tmp_path / "pipe"
    write_text(target, "old")
    target.chmod(0o640)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(PermissionError):
            write_text(target, "new")
    assert target.read_text() == "old"
    write_text(target, "größer")
    assert (target.read_text("utf-8"), mode_of(target)) == ("größer", 0o640)
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_text(pipe, "read by another")
    assert os.read(reader, 100) == b"read by another"
    os.close(reader)
    with pytest.raises(IsADirectoryError):
        write_text(tmp_path, "new")
    assert only(tmp_path, "target", "pipe")


def test_other_hard_links_keep_the_old_bytes(tmp_path: Path) -> None:
    target, other = tmp_path / "target", tmp_path / "other"
    target.write_bytes(b"old")
    subprocess.run(["ln", target, other], check=True)  # os.link is taken away in some of these tests
    with replacing(target) as file:
        file.write(b"new")
    assert (target.read_bytes(), other.read_bytes()) == (b"new", b"old")


@pytest.fixture(params=["a pipe", "a socket", "a directory", "a loop"])
def odd(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A path that no file can take."""
    path = tmp_path / "odd"
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as bound:
        if request.param == "a pipe":
            os.mkfifo(path)
        elif request.param == "a socket":
            bound.bind("odd")
        elif request.param == "a directory":
            path.mkdir()
        else:
            path.symlink_to("odd")
        yield path


@pytest.mark.parametrize("how", [creating, replacing])
@pytest.mark.parametrize("through_a_link", [False, True])
def test_what_is_no_file_is_refused_before_anything_is_written(how: Any, through_a_link: bool, odd: Path) -> None:
    path = odd.with_name("link") if through_a_link else odd
    if through_a_link:
        path.symlink_to(odd)
    before = [(entry.name, entry.lstat().st_ino) for entry in odd.parent.iterdir()]
    entered = False
    with pytest.raises(OSError), how(path):
        entered = True
    assert not entered
    assert [(entry.name, entry.lstat().st_ino) for entry in odd.parent.iterdir()] == before


def test_a_device_is_none_either() -> None:
    with pytest.raises(OSError, match="a device, not a regular file"):
        check_regular(os.devnull, os.stat(os.devnull))


@pytest.mark.parametrize("before", [None, b"old"])
@pytest.mark.parametrize("call", ["link", "replace"])
def test_ctrl_c_does_not_cut_the_last_step_in_two(
    call: str, before: bytes | None, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The signal comes right after the call; the file has its name, no other, and then the interruption is told."""
    target, sent = tmp_path / "target", []
    if before is not None:
        target.write_bytes(before)
    real = getattr(os, call)

    def interrupted(*arguments: Any, **options: Any) -> None:
        try:
            real(*arguments, **options)
        finally:
            sent.append(call)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(os, call, interrupted)
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt) if may_call(call, kind, before) else nullcontext(), replacing(target) as file:
            file.write(b"new")
    finally:
        signal.signal(signal.SIGINT, previous)
    assert bool(sent) == may_call(call, kind, before)
    assert target.read_bytes() == b"new"
    assert only(tmp_path, "target")


def may_call(call: str, kind: str, before: bytes | None) -> bool:
    if kind == "without a name":
        return call == "link" or before is not None
    return call == "replace"


def test_ctrl_c_does_not_leave_a_name_that_was_claimed(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if kind != "hidden, no hard links":
        pytest.skip("claims none")
    target, real = tmp_path / "target", os.open

    def interrupted(path: Any, flags: int, *rest: Any) -> int:
        descriptor = real(path, flags, *rest)
        if path == str(target):
            signal.raise_signal(signal.SIGINT)
        return descriptor

    monkeypatch.setattr(os, "open", interrupted)
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), creating(target) as file:
            file.write(b"new")
    finally:
        signal.signal(signal.SIGINT, previous)
    assert target.read_bytes() == b"new"
    assert only(tmp_path, "target")


IN_A_LIBRARY = """
import os, sys, time
if sys.argv[2] != "without a name":
    del os.O_TMPFILE
from fastsig.system.atomic_files import replacing
with replacing(sys.argv[1]) as file:
    file.write(b"half")
    print(flush=True)
    time.sleep(100)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_leaves_nothing_of_a_file_that_a_library_writes(name: str, kind: str, tmp_path: Path) -> None:
    """In a program that handles no signals: a cache of kernels is written in one."""
    words = [sys.executable, "-c", HEARS + IN_A_LIBRARY, str(tmp_path / "target"), kind]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"\n"
        process.send_signal(getattr(signal, name))
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (-getattr(signal, name), b"")
    assert only(tmp_path)


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda *_: None])
def test_a_signal_that_somebody_else_has_taken_is_left_to_them(handler: Any) -> None:
    previous = signal.signal(signal.SIGTERM, handler)
    try:
        with ending_in_order():
            assert signal.getsignal(signal.SIGTERM) is handler
            signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, previous)


def test_the_dispositions_are_given_back() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)]
    with ending_in_order():
        assert signal.getsignal(signal.SIGTERM) is not before[0]
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)] == before
