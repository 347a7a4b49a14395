"""``python -m fastsig apply``: the bytes of np.save, bounded memory, no half files, and errors of one line."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fastsig as fs
from fastsig import console
from fastsig.__main__ import main
from fastsig.files import apply as command
from fastsig.files import npy

N = 2 * npy.CHUNK + 77
"""Two whole chunks and a rest."""


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


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (2, 3, 4)])
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
    ("missing", "No such file"), ("a directory", "Is a directory"), ("cut off", "cut off"), ("more than there is", "cut off"),
    ("cut in the header", "not an .npy file"), ("empty", "not an .npy file"), ("text", "not an .npy file"),
    ("version 9", "not an .npy file"), ("not a length", "not an .npy file"),
    ("a header that is none", "not an .npy file"), ("a negative length", "not an .npy file"), ("objects", "dtype object"),
    ("complex", "dtype complex128"), ("records", "dtype [("), ("version 3", "records"), ("strings", "dtype <U1"),
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


def test_headers_of_random_bytes_are_refused_or_read(tmp_path: Path) -> None:
    """No damage to a header is answered with another exception."""
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", np.ones(3))
    whole = bytearray((tmp_path / "x.npy").read_bytes())
    for _ in range(500):
        bad = whole.copy()
        for at in rng.integers(6, 70, size=2):
            bad[at] = rng.integers(32, 127)
        (tmp_path / "bad.npy").write_bytes(bad)
        try:
            npy.Mapped(str(tmp_path / "bad.npy"))
        except npy.FileProblem as error:
            assert "\n" not in str(error)


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


def test_an_error_half_way_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = saved(tmp_path / "in.npy", np.ones(N, np.float32))
    calls = []

    def failing(*arguments: object) -> object:
        calls.append([p.name for p in tmp_path.iterdir()])
        if len(calls) == 2:
            raise MemoryError
        return compute(*arguments)  # type: ignore[arg-type]

    compute = command._computed
    monkeypatch.setattr(command, "_computed", failing)
    with pytest.raises(MemoryError):
        main(["apply", "sigmoid", source, str(tmp_path / "out.npy")])
    assert len(calls[1]) == 2, "there was a temporary file to remove"
    assert [p.name for p in tmp_path.iterdir()] == ["in.npy"]


FULL_DISK = """
import resource, sys
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))  # as a disk that is full then
from fastsig.__main__ import main
sys.exit(main(["apply", "sigmoid", sys.argv[1], sys.argv[2]]))
"""


def test_a_full_disk_is_status_1_and_leaves_nothing_behind(tmp_path: Path) -> None:
    source = sparse(tmp_path / "in.npy", "f4", N)
    words = [sys.executable, "-c", FULL_DISK, str(source), str(tmp_path / "out.npy")]
    done = subprocess.run(words, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "nothing was written" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["in.npy"]


@pytest.mark.parametrize("existing", [False, True])
def test_ctrl_c_leaves_no_half_file_and_no_temporary_one(existing: bool, tmp_path: Path) -> None:
    source, out = sparse(tmp_path / "in.npy", "f8", 1 << 31), tmp_path / "out.npy"
    if existing:
        np.save(out, np.ones(3))
    before = {path.name for path in tmp_path.iterdir()}
    words = [sys.executable, "-m", "fastsig", "apply", "log_sigmoid", str(source), str(out), "--force"]
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not any(path.stat().st_size > 1 << 20 for path in tmp_path.glob(".fastsig-*")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "interrupted\n")
    assert {path.name for path in tmp_path.iterdir()} == before
    if existing:
        assert np.load(out).tolist() == [1, 1, 1]


PEAK = """
import resource, sys
import numpy as np
from fastsig.__main__ import main
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


def test_a_progress_bar_comes_after_two_seconds_and_not_before(monkeypatch: pytest.MonkeyPatch) -> None:
    rich = pytest.importorskip("rich.console")
    clock = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: clock[0])
    terminal = rich.Console(force_terminal=True, record=True, file=open(os.devnull, "w"))  # noqa: SIM115  # for as long as the console
    bar = console.Progress(100, "sigmoid x.npy", terminal)
    bar.advance(10)
    clock[0] += 1.9
    bar.advance(10)
    assert bar._bar is None
    clock[0] += 0.2
    bar.advance(20)
    bar._bar.refresh()
    bar.stop()
    terminal.file.close()
    shown = terminal.export_text()
    assert "sigmoid x.npy" in shown
    assert "40%" in shown
