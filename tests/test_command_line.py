"""The command line where the world is not as it should be: nobody reads, the disk is full, standard streams are closed, Ctrl-C."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from processes import fastsig_command

from fastsig.cli.main import COMMANDS, main
from fastsig.system.terminal import complain

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes and signals of POSIX")
SLOW = [
    pytest.param(words, id=" ".join(words), marks=pytest.mark.slow)
    for words in (("bench", "--sizes", "1", "--dtypes", "float32", "--quick"), ("check", "--ops", "sigmoid", "--dtypes", "float16"))
]
PRINTING = [("info",), ("tune", "--show"), ("score", "x.npy", "x.npy"), ("score", "x.npy", "x.npy", "--json")]
HELP = [("--version",), ("--help",), *((name, "--help") for name in COMMANDS)]
WITHOUT_RICH = "import sys; sys.modules.update({'rich': None, 'rich.console': None, 'rich.table': None, 'rich.progress': None})"

ABSENT = re.compile("^fastsig bench: without .*\n")
"""The line of ``bench`` about the libraries that are not here."""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a file to score."""
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.zeros((3, 2)))
    return tmp_path


def closed_pipe() -> int:
    """What nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def printing_to(descriptor: int, words: list[str], errors: int = subprocess.PIPE, unbuffered: str = "") -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    try:
        return subprocess.run(words, stdout=descriptor, stderr=errors, text=True, timeout=200, check=False, env=environment)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("words", [*PRINTING, *HELP, *SLOW], ids=" ".join)
def test_where_nobody_reads_it_ends_in_silence(words: tuple[str, ...], directory: Path) -> None:
    done = printing_to(closed_pipe(), fastsig_command(*words))
    assert (done.returncode, ABSENT.sub("", done.stderr)) == (1, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("words", PRINTING, ids=" ".join)
def test_where_nobody_reads_plain_text(words: tuple[str, ...], unbuffered: str, directory: Path) -> None:
    done = printing_to(closed_pipe(), fastsig_command(*words, first=WITHOUT_RICH), unbuffered=unbuffered)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.parametrize("words", [("apply", "sigmoid", "no.npy", "out.npy"), ("score", "no.npy", "no.npy"), ("nothing",), ("info",)])
def test_where_nobody_reads_the_errors_either(words: tuple[str, ...], directory: Path) -> None:
    """The interpreter has nothing to say when it ends: it would then take another status, 120."""
    done = printing_to(closed_pipe(), fastsig_command(*words), errors=subprocess.STDOUT)
    assert done.returncode == 1


@pytest.mark.parametrize("words", [("info",), ("score", "x.npy", "x.npy", "--json"), ("--help",)], ids=" ".join)
def test_a_full_disk_under_the_output_is_one_line(words: tuple[str, ...], directory: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full")
    done = printing_to(os.open("/dev/full", os.O_WRONLY), fastsig_command(*words))
    assert (done.returncode, done.stderr) == (1, "fastsig: No space left on device\n")


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("words", [("info",), ("score", "x.npy", "x.npy"), ("apply", "sigmoid", "x.npy", "out.npy")], ids=" ".join)
def test_standard_streams_that_are_closed(words: tuple[str, ...], closed: str, directory: Path) -> None:
    shell = ["sh", "-c", f'exec "$@" {closed}', "sh", *fastsig_command(*words)]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert bool(done.stdout) == (words[0] != "apply" and closed in ("2>&-", "<&-"))
    if words[0] == "apply":
        assert np.load("out.npy").tolist() == [[0.5, 0.5]] * 3


def test_an_error_goes_nowhere_else_where_its_stream_is_closed(directory: Path) -> None:
    shell = ["sh", "-c", 'exec "$@" 2>&-', "sh", *fastsig_command("apply", "sigmoid", "no.npy", "out.npy")]
    done = subprocess.run(shell, capture_output=True, text=True, timeout=200, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "")


@pytest.mark.parametrize("name", ["a\nb.npy", "\x1b[31mred.npy", "\udcff.npy"])
def test_a_name_of_any_characters_is_one_line(name: str, directory: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["apply", "sigmoid", name, "out.npy"]) == 2
    said = capfd.readouterr().err
    assert said.count("\n") == 1
    assert said[:-1].isprintable()
    assert said.endswith("No such file or directory\n")


def test_a_line_is_left_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    complain("größer: 1 ≤ 2")
    assert capsys.readouterr().err == "größer: 1 ≤ 2\n"


STOPS = """
import sys, time
import fastsig.measure.speed, fastsig.measure.tune
def stop(*_, **__):
    print(flush=True)
    time.sleep(100)
fastsig.measure.speed.cell = fastsig.measure.tune.measure = stop
"""


@pytest.mark.parametrize("words", [("bench", "--sizes", "1"), ("tune", "--dry-run")], ids=" ".join)
@pytest.mark.parametrize(("name", "status", "said"), [("SIGINT", 130, "interrupted\n"), ("SIGTERM", -15, ""), ("SIGHUP", -1, "")])
def test_a_signal_ends_a_measurement_with_a_line_at_most(words: tuple[str, ...], name: str, status: int, said: str) -> None:
    with subprocess.Popen(fastsig_command(*words, first=STOPS), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "\n"
        process.send_signal(getattr(signal, name))
        out, error = process.communicate(timeout=60)
    assert (process.returncode, out, ABSENT.sub("", error)) == (status, "", said)


STUBBORN = f"""{STOPS}
def stop(*_, **__):
    while True:
        try:
            print(flush=True)
            time.sleep(100)
        except BaseException:
            pass
fastsig.measure.speed.cell = stop
"""


def test_a_second_signal_ends_at_once() -> None:
    words = fastsig_command("bench", "--sizes", "1", first=STUBBORN)
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for _ in range(2):
            assert process.stdout.readline() == "\n"
            process.send_signal(signal.SIGTERM)
        try:
            process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == -signal.SIGTERM


def test_module_and_command_are_one(directory: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "fastsig", "apply", "sigmoid", "no.npy", "o"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "fastsig apply: no.npy: No such file or directory\n")
