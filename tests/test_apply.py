"""``python -m fastsig apply``: the bytes of np.save, bounded memory, no half files, and errors of one line."""

from __future__ import annotations

import contextlib
import itertools
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import fastsig_command

import fastsig as fs
from fastsig.cli.main import main
from fastsig.files import apply as command
from fastsig.files import npy

N = 8 * command.PIECE + 77
"""Whole pieces and a rest."""


def sparse(path: Path, dtype: str, size: int) -> Path:
    """A file of zeros that takes no space on the disk."""
    with path.open("wb") as file:
        npy.write_header(file, np.dtype(dtype), (size,), False)
        file.truncate(file.tell() + size * np.dtype(dtype).itemsize)
    return path


def saved(path: Path, array: object) -> str:
    np.save(path, array)
    return str(path)


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, where warnings are errors."""
    words = [sys.executable, "-W", "error", "-m", "fastsig", "apply", *map(str, arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=100, check=False)


def same_bytes(tmp_path: Path, source: str, expected: object, *options: str) -> None:
    out = tmp_path / "out.npy"
    assert main(["apply", "sigmoid", source, str(out), *options]) == 0
    assert out.read_bytes() == Path(saved(tmp_path / "expected.npy", expected)).read_bytes()
    out.unlink()


@pytest.mark.parametrize("op", command.NAMES)
def test_every_operation_writes_what_np_save_would(op: str, tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((N // 7, 7), np.float32)
    source, out = saved(tmp_path / "in.npy", x), tmp_path / "out.npy"
    assert main(["apply", op, source, str(out), "--threads", "2"]) == 0
    assert out.read_bytes() == Path(saved(tmp_path / "expected.npy", getattr(fs, op)(x))).read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["expected.npy", "in.npy", "out.npy"]


@pytest.mark.parametrize("kind", ["?", "i1", "u2", "i4", "u8", "f2", "f4", "f8", ">f4", ">f8", ">i4"])
def test_every_type(kind: str, tmp_path: Path) -> None:
    x = np.arange(-50, 50).astype(kind)
    same_bytes(tmp_path, saved(tmp_path / "in.npy", x), fs.sigmoid(x))


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (2, 3, 0), (1,), (1, 5), (5, 1), (2, 3, 4)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_shape_and_order(shape: tuple[int, ...], order: str, tmp_path: Path) -> None:
    x = np.asarray(np.random.default_rng(0).normal(size=shape), order=order)
    same_bytes(tmp_path, saved(tmp_path / "in.npy", x), np.asarray(fs.sigmoid(x)))


def test_a_large_fortran_file_keeps_its_order(tmp_path: Path) -> None:
    x = np.asfortranarray(np.random.default_rng(0).normal(size=(3, N // 3)))
    same_bytes(tmp_path, saved(tmp_path / "in.npy", x), fs.sigmoid(x))


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "i4"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_dtype_is_rounded_to_once(kind: str, dtype: str, tmp_path: Path) -> None:
    x = (np.random.default_rng(0).normal(size=1000) * 9).astype(kind)
    wide = np.result_type(fs.sigmoid(x).dtype, dtype)
    same_bytes(tmp_path, saved(tmp_path / "in.npy", x), fs.sigmoid(x.astype(wide)).astype(dtype), "--dtype", dtype)


@pytest.mark.parametrize("dtype", [None, "bfloat16", "float32", "float16"])
def test_bfloat16_when_it_is_said_to_be_that(dtype: str | None, tmp_path: Path) -> None:
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    x = np.arange(-20, 20).astype(bfloat16)
    source = saved(tmp_path / "in.npy", x)
    expected = fs.sigmoid(x)  # of Numba float32, so that the type is asked for even where it is the input's
    if dtype is not None:
        expected = expected.astype(dtype) if dtype == "bfloat16" else fs.sigmoid(x.astype(np.float32)).astype(dtype)
    same_bytes(tmp_path, source, expected, "--bfloat16", *([] if dtype is None else ["--dtype", dtype]))
    done = run("sigmoid", source, tmp_path / "out.npy")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--bfloat16" in done.stderr


def test_to_bfloat16(tmp_path: Path) -> None:
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    for kind in ("f2", "f4", "f8"):
        x = (np.arange(-40, 40) / 4).astype(kind)
        wide = np.result_type(x.dtype, np.float32)
        same_bytes(tmp_path, saved(tmp_path / "in.npy", x), fs.sigmoid(x.astype(wide)).astype(bfloat16), "--dtype", "bfloat16")


def test_a_file_is_replaced_only_with_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.linspace(-9, 9, 50)
    source, out = saved(tmp_path / "in.npy", x), saved(tmp_path / "out.npy", x)
    before = Path(out).read_bytes()
    assert main(["apply", "silu", source, out]) == 2
    assert capsys.readouterr().err == f"fastsig apply: {out}: exists; give another name, or --force to replace it\n"
    assert Path(out).read_bytes() == before
    assert main(["apply", "silu", source, out, "--force"]) == 0
    assert np.load(out).tobytes() == fs.silu(x).tobytes()


def test_a_file_may_replace_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.random.default_rng(0).normal(size=N)
    source = saved(tmp_path / "in.npy", x)
    (tmp_path / "link.npy").symlink_to(source)
    assert main(["apply", "sigmoid", source, str(tmp_path / "link.npy")]) == 2
    assert "is the input itself" in capsys.readouterr().err
    assert main(["apply", "sigmoid", source, str(tmp_path / "link.npy"), "--force"]) == 0
    assert (tmp_path / "link.npy").is_symlink(), "the file that the link names is replaced, not the link"
    assert np.load(source).tobytes() == fs.sigmoid(x).tobytes()


def damaged(tmp_path: Path, what: str) -> str:
    path = tmp_path / "bad.npy"
    np.save(path, np.ones(1000))
    whole = path.read_bytes()
    if what == "missing":
        path.unlink()
        return str(path)
    if what == "a directory":
        path.unlink()
        path.mkdir()
        return str(path)
    if what in ("objects", "complex", "records", "strings"):
        values = {"objects": [None], "complex": [1j], "records": np.zeros(2, [("é", "f4")]), "strings": ["a"]}[what]
        np.save(path, np.asarray(values, dtype=object if what == "objects" else None), allow_pickle=True)
        return str(path)
    changed = {
        "cut off": whole[:-1], "cut in the header": whole[:40], "empty": b"", "text": b"1 2 3\n4 5 6\n",
        "version 9": whole[:6] + b"\x09" + whole[7:], "version 3": whole[:6] + b"\x03" + whole[7:],
        "a header that is none": whole.replace(b"'shape'", b"'shap('"),
        "a negative length": whole.replace(b"(1000,)", b"(-100,)"), "not a length": whole.replace(b"(1000,)", b"(True,)"),
        "more than there is": whole.replace(b"(1000,)", b"(9000,)"),
    }  # fmt: skip
    path.write_bytes(changed[what])
    return str(path)


BAD = [
    ("missing", "No such file"),
    ("a directory", "a directory, not a regular file"), ("cut off", "cut off"), ("more than there is", "cut off"),
    ("cut in the header", "not an .npy file"), ("empty", "not an .npy file"), ("text", "not an .npy file"),
    ("version 9", "not an .npy file"), ("not a length", "not an .npy file"),
    ("a header that is none", "not an .npy file"), ("a negative length", "not an .npy file"), ("objects", "dtype object"),
    ("complex", "dtype complex128"), ("records", "dtype [("), ("version 3", "not an .npy file"), ("strings", "dtype <U1"),
]  # fmt: skip


@pytest.mark.parametrize(("what", "words"), BAD)
def test_a_bad_file_is_one_line_and_status_2(what: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = damaged(tmp_path, what)
    before = set(tmp_path.iterdir())
    assert main(["apply", "sigmoid", source, str(tmp_path / "out.npy")]) == 2
    said = capsys.readouterr()
    assert said.err.startswith(f"fastsig apply: {source}: ")
    assert words in said.err
    assert (said.err.count("\n"), said.out) == (1, "")
    assert set(tmp_path.iterdir()) == before


def test_no_traceback_from_a_process(tmp_path: Path) -> None:
    done = run("sigmoid", damaged(tmp_path, "text"), tmp_path / "out.npy")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    done = run("sigmod", tmp_path / "bad.npy", tmp_path / "out.npy")
    assert done.returncode == 2
    assert all(name in done.stderr for name in ("sigmod", *command.NAMES))


@pytest.mark.parametrize(("name", "value"), [("FASTSIG_BACKEND", "gpu"), ("FASTSIG_BACKEND", "cuda"), ("FASTSIG_NUM_THREADS", "many")])
@pytest.mark.parametrize("command", [("apply", "sigmoid", "x.npy", "out.npy"), ("score", "x.npy", "x.npy")])
def test_a_wrong_setting_is_one_line_and_status_2(command: tuple[str, ...], name: str, value: str, tmp_path: Path) -> None:
    saved(tmp_path / "x.npy", np.zeros(1 << 18))
    words, environment = [sys.executable, "-m", "fastsig", *command], os.environ | {name: value}
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=False, cwd=tmp_path, env=environment)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert name in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


@pytest.mark.parametrize("out", ["nowhere/out.npy", "."])
def test_a_place_that_cannot_be_written_is_status_2(out: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["apply", "sigmoid", saved(tmp_path / "in.npy", np.ones(3)), str(tmp_path / out)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def at_call(monkeypatch: pytest.MonkeyPatch, number: int, action: Callable[[], object]) -> None:
    """Do this when the command computes for so many times."""
    calls = itertools.count(1)
    compute = command._compute

    def computing(*arguments: Any) -> None:
        if next(calls) == number:
            action()
        compute(*arguments)

    monkeypatch.setattr(command, "_compute", computing)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_an_error_half_way_leaves_nothing_behind(temporary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, seen = saved(tmp_path / "in.npy", np.ones(N, np.float32)), []

    def fail() -> None:
        seen.extend(names(tmp_path))
        raise ZeroDivisionError

    at_call(monkeypatch, 2, fail)
    with pytest.raises(ZeroDivisionError):
        main(["apply", "sigmoid", source, str(tmp_path / "out.npy")])
    assert len(seen) == (1 if temporary == "without a name" else 2), "the result so far"
    assert names(tmp_path) == ["in.npy"]


def test_no_memory_is_one_line_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise MemoryError

    at_call(monkeypatch, 2, fail)
    assert main(["apply", "sigmoid", saved(tmp_path / "in.npy", np.ones(N, np.float32)), str(tmp_path / "out.npy")]) == 1
    assert capsys.readouterr().err == "fastsig: there is not enough memory\n"
    assert names(tmp_path) == ["in.npy"]


def test_a_file_that_appears_meanwhile_stays(
    temporary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = saved(tmp_path / "in.npy", np.ones(N, np.float32)), tmp_path / "out.npy"
    at_call(monkeypatch, 2, lambda: out.write_text("another's"))
    assert main(["apply", "sigmoid", source, str(out)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"fastsig apply: {out}: appeared meanwhile")
    assert said.count("\n") == 1
    assert out.read_text() == "another's"
    assert names(tmp_path) == ["in.npy", "out.npy"]


def test_a_file_that_appears_meanwhile_is_replaced_with_force(temporary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = saved(tmp_path / "in.npy", np.ones(N, np.float32)), tmp_path / "out.npy"
    at_call(monkeypatch, 2, lambda: out.write_text("another's"))
    assert main(["apply", "sigmoid", source, str(out), "--force"]) == 0
    assert np.load(out).tobytes() == fs.sigmoid(np.ones(N, np.float32)).tobytes()
    assert names(tmp_path) == ["in.npy", "out.npy"]


def test_an_input_that_becomes_shorter_is_one_line(
    temporary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a file that is mapped into memory it would be a fatal signal."""
    source, out = saved(tmp_path / "in.npy", np.ones(N, np.float32)), tmp_path / "out.npy"
    at_call(monkeypatch, 1, lambda: os.truncate(source, 5_000_000))
    assert main(["apply", "sigmoid", source, str(out)]) == 2
    said = capsys.readouterr().err
    assert said == f"fastsig apply: {source}: became shorter while it was read: it ends after 5,000,000 bytes; start again\n"
    assert names(tmp_path) == ["in.npy"]


def test_a_hard_link_to_the_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    x = np.random.default_rng(0).normal(size=N)
    source, other = saved(tmp_path / "in.npy", x), tmp_path / "other.npy"
    other.hardlink_to(source)
    assert main(["apply", "sigmoid", source, str(other)]) == 2
    assert "is the input itself" in capsys.readouterr().err
    assert main(["apply", "sigmoid", source, str(other), "--force"]) == 0
    assert np.load(other).tobytes() == fs.sigmoid(x).tobytes()
    assert np.load(source).tobytes() == x.tobytes()


def special(directory: Path, kind: str) -> str:
    """A path to one in the working directory."""
    path = directory / "special"
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a socket":
        with contextlib.closing(socket.socket(socket.AF_UNIX)) as bound:
            bound.bind(path.name)  # a long path is no address
    elif kind == "a directory":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    return str(path)


@pytest.mark.parametrize("kind", ["a pipe", "a socket", "a directory", "a device"])
@pytest.mark.parametrize("role", ["input", "output", "labels"])
def test_what_is_no_regular_file_is_one_line_and_never_waited_for(
    kind: str, role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path, x = special(tmp_path, kind), saved(tmp_path / "x.npy", np.ones(3))
    before = os.stat(path)
    words = {"input": ("apply", "sigmoid", path, "out.npy"), "output": ("apply", "sigmoid", x, path), "labels": ("score", x, path)}[role]
    for force in ([], ["--force"]) if role == "output" else ([],):
        if kind == "a device" and role == "output" and force:
            continue  # what it tests could take a device from everybody, where it failed; one kind is as good as another
        done = subprocess.run(fastsig_command(*words, *force), capture_output=True, text=True, timeout=100, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"fastsig {words[0]}: {path}: {kind}, not a regular file\n"
    assert os.path.samestat(before, os.stat(path))
    assert names(tmp_path) == ["special", "x.npy"]


FULL_DISK = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))  # as a disk that is full then
from fastsig.cli.main import main
sys.exit(main(["apply", "sigmoid", sys.argv[1], sys.argv[2]]))
"""


def test_a_full_disk_is_status_1_and_leaves_nothing_behind(tmp_path: Path) -> None:
    source = sparse(tmp_path / "in.npy", "f4", N)
    words = [sys.executable, "-c", FULL_DISK, str(source), str(tmp_path / "out.npy")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "nothing was written" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["in.npy"]


STOPS_HALF_WAY = """
import os, sys, time
from fastsig.files import apply
{hidden}
compute = apply._compute
def computing(*arguments):
    apply._compute = lambda *_: (print(flush=True), time.sleep(100))
    compute(*arguments)
apply._compute = computing
"""


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize(
    ("name", "status", "said"), [("SIGINT", 130, "interrupted\n"), ("SIGTERM", -15, ""), ("SIGHUP", -1, ""), ("SIGKILL", -9, "")]
)
@pytest.mark.parametrize("hidden", [False, True])
def test_what_ends_the_process_leaves_nothing_behind(
    hidden: bool, name: str, status: int, said: str, existing: bool, tmp_path: Path
) -> None:
    if name == "SIGKILL" and hidden:
        pytest.skip("nothing can be done where the file system has no files without a name")
    source, out = saved(tmp_path / "in.npy", np.ones(N)), tmp_path / "out.npy"
    if existing:
        np.save(out, np.ones(3))
    before = names(tmp_path)
    first = STOPS_HALF_WAY.format(hidden="del os.O_TMPFILE" if hidden else "")
    words = fastsig_command("apply", "log_sigmoid", source, str(out), "--force", first=first)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "\n", "it is half way"
        assert (names(tmp_path) != before) == hidden
        process.send_signal(getattr(signal, name))
        _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (status, said)
    assert names(tmp_path) == before
    if existing:
        assert np.load(out).tolist() == [1, 1, 1]


PEAK = """
import resource, sys
import numpy as np
from fastsig.cli.main import main
small, big, out, *command = sys.argv[1:]
place = lambda source, name: [word.replace("IN", source).replace("OUT", name) for word in command]
assert main(place(small, out + "1")) == 0
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert main(place(big, out + "2")) == 0
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, file=sys.stderr)
"""


def peak_kib(tmp_path: Path, small: Path, big: Path, *command: str) -> int:
    """How much higher the peak of memory in use is after the command on the big file than after it on the small one."""
    words = [sys.executable, "-c", PEAK, str(small), str(big), str(tmp_path / "out"), *command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stderr)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """512 MiB in and 512 MiB out, against 12 MiB."""
    assert resource  # the measurement in the other process needs it too
    small, big = sparse(tmp_path / "small.npy", "f4", 3 << 20), sparse(tmp_path / "big.npy", "f4", 1 << 27)
    assert peak_kib(tmp_path, small, big, "apply", "sigmoid", "IN", "OUT") < 32 * 1024
