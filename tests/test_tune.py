"""``python -m fastsig tune`` and what the dispatcher makes of its file: thresholds move, answers do not."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from processes import printed, run_python
from reference import assert_same_bits

import fastsig as fs
from fastsig.dispatch import sharing, thresholds
from fastsig.measure.tune import Crossovers, crossovers, document, main, measure, write
from fastsig.measure.tune.crossovers import crossover
from fastsig.ops import OPS

UNARY = [op.name for op in OPS if op.nin == 1]
TUNED = Crossovers({"sigmoid": {"float32": 20_000, "float64": 1 << 40}}, {"silu": {"float32": 30_000}}, 123 << 20)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The user's file, in a place of its own; what it has changed in this process is undone."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    before = thresholds.stream_bytes()
    thresholds._in_force = None
    yield tmp_path / "fastsig" / "tune.json"
    monkeypatch.undo()
    thresholds._in_force = None
    thresholds.in_force()
    if fs.backends()["c"] == "available":
        from fastsig.kernels.c import library as c

        c.set_stream_bytes(before)


# ---- the file ----


def test_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/elsewhere")
    assert thresholds.path() == "/elsewhere/fastsig/tune.json"
    for ignored in ("", "relative/path"):  # the XDG specification: such a value is to be ignored
        monkeypatch.setenv("XDG_CONFIG_HOME", ignored)
        assert thresholds.path() == "/home/somebody/.config/fastsig/tune.json"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setattr("sys.platform", "darwin")
    assert thresholds.path() == "/home/somebody/Library/Application Support/fastsig/tune.json"
    monkeypatch.setattr("sys.platform", "win32")
    monkeypatch.setenv("APPDATA", "/roaming")
    assert thresholds.path() == "/roaming/fastsig/tune.json"


def test_what_is_written_is_in_force(config: Path) -> None:
    fs.set_num_threads(2)
    assert "1 thread:" in fs.explain(np.ones(20_000, "f"))
    assert fs.explain(np.ones(3)).endswith("thresholds built in")
    write(TUNED, config)
    assert [path.name for path in config.parent.iterdir()] == ["tune.json"]
    thresholds._in_force = None
    assert "2 threads:" in fs.explain(np.ones(20_000, "f"))
    assert "1 thread:" in fs.explain(np.ones(19_999, "f"))
    assert "1 thread:" in fs.explain(np.ones(1 << 20))
    assert "2 threads:" in fs.explain(np.ones(1 << 20), op="silu"), "what was not tuned keeps the built-in threshold"
    date = json.loads(config.read_text())["date"][:10]
    assert fs.explain(np.ones(3)).endswith(f"; thresholds tuned {date} ({config})")
    if fs.backends()["c"] == "available":
        assert thresholds.stream_bytes() == 123 << 20


def test_calls_follow_it(config: Path, need_c: None, monkeypatch: pytest.MonkeyPatch) -> None:
    fs.set_num_threads(2)
    counts: list[tuple[int, int]] = []
    share = sharing.share
    assert share is not None
    monkeypatch.setattr(
        sharing, "share", lambda ufunc, x, out, threads: (counts.append((x.size, threads)), share(ufunc, x, out, threads))[1]
    )
    x = np.linspace(-200, 200, 1 << 17, dtype="f")

    def shared() -> list[int]:
        counts.clear()
        for size in (1000, 16_384, 19_999, 20_000, 65_535, 65_536, 1 << 17):
            assert_same_bits(fs.sigmoid(x[:size]), fs.ufuncs.sigmoid(x[:size]))
        return [size for size, threads in counts if threads == 2]

    assert shared() == [65_536, 1 << 17]
    write(TUNED, config)
    thresholds._in_force = None
    thresholds.in_force()
    assert shared() == [20_000, 65_535, 65_536, 1 << 17]


def test_numba_serves_only_where_it_is_loaded(config: Path, need_c: None, need_numba: None, pytestconfig: pytest.Config) -> None:
    write(TUNED, config)
    show = "print('numba' in sys.modules, fs.explain(x, op='silu').split(',')[0].split(' (')[0], fs.silu(x).tobytes() == want)"
    code = (
        "import numpy as np, fastsig as fs; from fastsig.dispatch.availability import ufunc_of; x = np.linspace(-9, 9, 30_000, dtype='f'); "
        f"want = ufunc_of('c', 'silu')(x).tobytes(); {show}; fs.silu(x, backend='numba'); {show}"
    )
    assert printed(code, pytestconfig, XDG_CONFIG_HOME=str(config.parent.parent)).splitlines() == [
        "False silu: c True",
        "True silu: numba True",
    ]


# ---- a file that cannot be used: one warning, and the built-in thresholds ----


def spoiled(change: Callable[[dict[str, Any]], Any]) -> str:
    found = json.loads(json.dumps(document(TUNED)))
    change(found)
    return json.dumps(found)


BROKEN = {
    "another processor": (lambda: spoiled(lambda d: d["machine"].update(cpu="Z80")), "cpu was 'Z80' and is"),
    "more cores": (lambda: spoiled(lambda d: d["machine"].update(cores=0)), "cores was 0 and is"),
    "an older version": (lambda: spoiled(lambda d: d["machine"].update(fastsig="0.0.1")), "fastsig was '0.0.1' and is"),
    "no machine": (lambda: spoiled(lambda d: d.pop("machine")), "KeyError: 'machine'"),
    "a newer format": (lambda: spoiled(lambda d: d.update(format=2)), "its format is 2, and this version reads 1"),
    "a negative size": (lambda: spoiled(lambda d: d["parallel"]["sigmoid"].update(float32=-1)), "parallel: sigmoid: float32 is -1"),
    "a size in words": (lambda: spoiled(lambda d: d["numba"]["silu"].update(float32="many")), "float32 is 'many'"),
    "no table": (lambda: spoiled(lambda d: d.update(parallel=[1])), "it is not as tune writes it"),
    "bytes that are none": (lambda: spoiled(lambda d: d.update(stream_bytes=0.5)), "stream_bytes is 0.5"),
    "a list": (lambda: "[]", "it is not as tune writes it"),
    "a size beyond all arrays": (lambda: spoiled(lambda d: d["parallel"]["sigmoid"].update(float32=10**30)), "float32 is 1000000000"),
    "more bytes than any": (lambda: spoiled(lambda d: d.update(stream_bytes=1 << 64)), "stream_bytes is 18446744073709551616"),
    "an integer of 10,000 digits": (lambda: f'{{"format": 1{"0" * 10_000}}}', "Exceeds the limit"),
    "NaN": (lambda: spoiled(lambda d: d["parallel"]["sigmoid"].update(float32=float("nan"))), "float32 is nan"),
    "infinity": (lambda: spoiled(lambda d: d.update(stream_bytes=float("inf"))), "stream_bytes is inf"),
    "true": (lambda: spoiled(lambda d: d["parallel"]["sigmoid"].update(float32=True)), "float32 is True"),
    "a number for a table": (lambda: spoiled(lambda d: d.update(numba=5)), "it is not as tune writes it"),
    "a number for a row": (lambda: spoiled(lambda d: d["numba"].update(silu=5)), "it is not as tune writes it"),
    "a list for the machine": (lambda: spoiled(lambda d: d.update(machine=[])), "it is not as tune writes it"),
    "brackets without end": (lambda: "[" * 200_000, "nested too deeply"),
    "a deep value": (lambda: '{"format": ' + "[" * 900 + "]" * 900 + "}", "its format is [[["),
    "a long word": (lambda: spoiled(lambda d: d["machine"].update(cpu="Z" * 100_000)), "ZZZ... and is"),
    "a file without end": (lambda: " " * (1 << 21), "it has more than 1,048,576 bytes"),
    "half a file": (lambda: spoiled(lambda _: None)[:100], "it is not JSON"),
    "an empty file": (lambda: "", "it is not JSON"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_that_does_not_fit(case: str, config: Path) -> None:
    text, why = BROKEN[case]
    config.parent.mkdir()
    config.write_text(text())
    x = np.linspace(-9, 9, 1 << 16)
    with pytest.warns(UserWarning, match="^fastsig ignores") as seen:
        got = fs.sigmoid(x, threads=2)
    assert len(seen) == 1
    message = str(seen[0].message)
    assert len(message) < 1000
    assert str(config) in message
    assert why in message
    assert "python -m fastsig tune --reset" in message
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert_same_bits(fs.sigmoid(x, threads=2), got)
        assert fs.explain(x).endswith("thresholds built in")


def test_a_file_that_cannot_be_read(config: Path) -> None:
    config.mkdir(parents=True)
    with pytest.warns(UserWarning, match="it cannot be read"):
        assert fs.explain(np.ones(3)).endswith("thresholds built in")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_a_fifo_is_not_waited_for(config: Path) -> None:
    config.parent.mkdir()
    os.mkfifo(config)
    with pytest.warns(UserWarning, match="not a regular file") as seen:
        assert fs.explain(np.ones(3)).endswith("thresholds built in")
    assert len(seen) == 1


def test_a_device_is_not_read(config: Path) -> None:
    config.parent.mkdir()
    config.symlink_to("/dev/zero")
    with pytest.warns(UserWarning, match="not a regular file"):
        assert fs.explain(np.ones(3)).endswith("thresholds built in")


def test_a_date_that_is_none_can_be_printed(config: Path) -> None:
    config.parent.mkdir()
    config.write_text(spoiled(lambda d: d.update(date="\ud800\n\x1b[1m")))
    fs.explain(np.ones(3)).encode("ascii")


@pytest.mark.skipif(not hasattr(os, "setuid") or os.geteuid() != 0, reason="only root can become another user")
def test_a_file_or_a_directory_that_this_user_may_not_read(tmp_path: Path, pytestconfig: pytest.Config, need_c: None) -> None:
    """A file is told of; in a directory that is not this user's, such as HOME=/root, nobody knows whether there is one."""
    code = (
        "import os, numpy as np, warnings; warnings.simplefilter('always'); import fastsig as fs; "
        "os.setuid(54321); fs.sigmoid(np.ones(1 << 17))"
    )
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents:
        if parent.stat().st_uid == 0 and parent != Path("/") and not parent.stat().st_mode & 0o001:
            parent.chmod(0o711)
    file = tmp_path / "fastsig" / "tune.json"
    file.parent.mkdir()
    file.write_text("{}")
    file.chmod(0o600)
    assert "it cannot be read ([Errno 13] Permission denied" in run_python(code, pytestconfig, {"XDG_CONFIG_HOME": str(tmp_path)}).stderr
    tmp_path.chmod(0o700)
    done = run_python(code, pytestconfig, {"XDG_CONFIG_HOME": str(tmp_path)})
    assert (done.returncode, done.stderr) == (0, "")


def test_warnings_as_errors_do_not_break_a_second_call(config: Path) -> None:
    config.parent.mkdir()
    config.write_text("")
    x = np.ones(1 << 17)
    with pytest.raises(UserWarning, match="fastsig ignores"):
        fs.sigmoid(x)
    assert_same_bits(fs.sigmoid(x), fs.ufuncs.sigmoid(x))


def test_import_and_small_calls_do_not_look_for_it(tmp_path: Path, need_c: None, pytestconfig: pytest.Config) -> None:
    code = """
import builtins, io, os
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == 'open' else None)
import numpy as np, fastsig as fs
fs.sigmoid(0.5), fs.sigmoid(np.ones(1000)), fs.silu(np.ones(100, 'f'), out=np.ones(100, 'f'))
print(sum('tune.json' in name for name in opened))
fs.sigmoid(np.ones(1 << 17)), fs.sigmoid(np.ones(1 << 17)), fs.silu(np.ones(1 << 17))
print(sum('tune.json' in name for name in opened))
"""
    assert printed(code, pytestconfig, XDG_CONFIG_HOME=str(tmp_path)).split() == ["0", "1"]


# ---- measuring ----


@pytest.mark.parametrize(
    ("ratios", "want"),
    [
        ([2, 1.5, 0.9, 0.6], 4),
        ([0.5, 0.5], 1),
        ([2, 2, 2, 2], None),
        ([0.9, 2, 0.9, 0.9], 4),
        ([2, 2, 2, 0.8], 8),
        ([0.97, 0.97, 0.96], None),
    ],
)
def test_crossover(ratios: list[float], want: int | None) -> None:
    sizes = [1 << i for i in range(len(ratios))]
    assert crossover(sizes, dict(zip(sizes, ratios, strict=True)).__getitem__) == want


@pytest.fixture
def small_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crossovers, "STREAM_SIZES", (1 << 20, 1 << 21))
    monkeypatch.setattr(crossovers, "MOST_ELEMENTS", 1 << 16)


def test_measure(small_arrays: None) -> None:
    """Which sizes they are depends on the machine; that they are sizes which were measured does not."""
    fs.set_num_threads(2)
    measured = measure(["sigmoid"], ["float32"], rounds=3, numba=False, progress=False)
    assert measured.numba == {}
    found = measured.parallel.get("sigmoid", {})
    assert set(found) <= {"float32"}
    assert all((1 << 14) <= size <= 1 << 16 and size & (size - 1) == 0 for size in found.values())
    assert measured.stream_bytes in ((1 << 20, 1 << 21, 1 << 22) if fs.backends()["c"] == "available" else (None,))


def test_measuring_leaves_the_settings_alone(config: Path, small_arrays: None, need_c: None) -> None:
    before = thresholds.stream_bytes()
    measure(["logit"], ["float64"], rounds=3, numba=False, progress=False)
    assert thresholds.stream_bytes() == before
    assert not config.exists()


@pytest.fixture
def no_measuring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fastsig.measure.tune.measure", lambda *_, **__: TUNED)


def test_the_command(config: Path, no_measuring: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--dry-run"]) == 0
    assert "nothing written" in capsys.readouterr().out
    assert not config.exists()
    assert main(["--show"]) == 0
    assert "thresholds in force: built in" in capsys.readouterr().out
    assert main([]) == 0
    out = capsys.readouterr().out
    assert str(config) in out.replace("\n", "")
    for number in ("20,000", "30,000", f"{123 << 20:,}", "65,536"):
        assert number in out
    thresholds._in_force = None
    assert main(["--show"]) == 0
    out = capsys.readouterr().out
    assert "tuned 20" in out
    assert "20,000" in out
    assert main(["--reset"]) == 0
    assert not config.exists()
    assert main(["--reset"]) == 0
    assert "there is no" in capsys.readouterr().out


def test_a_place_that_cannot_be_written(tmp_path: Path, no_measuring: None, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "file"))
    assert main([]) == 1
    assert "fastsig tune: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--ops", "sigmoids"], "--ops 'sigmoids': choose among sigmoid"),
        (["--dtypes", ""], "--dtypes '': choose among float16"),
        (["--rounds", "2"], "--rounds 2: at least 3"),
        (["--show", "--reset"], "not allowed with"),
    ],
)
def test_wrong_arguments(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert complaint in capsys.readouterr().err


def test_from_the_command_line(tmp_path: Path, need_c: None, pytestconfig: pytest.Config) -> None:
    code = (
        "import runpy; from fastsig.measure.tune import crossovers; crossovers.STREAM_SIZES = (1 << 20,); "
        "sys.argv = ['fastsig', {}]; runpy.run_module('fastsig', run_name='__main__')"
    )
    where = {"XDG_CONFIG_HOME": str(tmp_path)}
    done = run_python(code.format("'tune', '--ops', 'silu', '--dtypes', 'float16', '--rounds', '3', '--no-numba'"), pytestconfig, where)
    assert done.returncode == 0, done.stderr
    assert set(json.loads((tmp_path / "fastsig" / "tune.json").read_text())["parallel"]) <= {"silu"}
    assert "tuned 20" in run_python(code.format("'info'"), pytestconfig, where).stdout
