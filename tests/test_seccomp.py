"""Filters of system calls that end the process for sched_setaffinity (systemd's @resources has it): no call runs into one unasked."""

from __future__ import annotations

import platform
import signal
import sys
import zlib
from typing import NamedTuple

import numpy as np
import pytest
from processes import error_of, printed, run_python

import fastsig as fs
from fastsig.system.cpu import available_cpus


class Numbers(NamedTuple):
    """Of the processor's kind, and of system calls on it."""

    machine: int
    setaffinity: int
    prctl: int
    seccomp: int


NUMBERS = {"x86_64": Numbers(0xC000003E, 203, 157, 317), "aarch64": Numbers(0xC00000B7, 122, 167, 277)}
HERE = NUMBERS.get(platform.machine())
pytestmark = [
    pytest.mark.alone,
    pytest.mark.skipif(sys.platform != "linux" or HERE is None, reason="needs filters of Linux"),
    pytest.mark.skipif(available_cpus() < 2, reason="on one CPU no thread is ever moved"),
]

FILTER = f"""
import ctypes, os, struct, threading, time
import numpy as np, fastsig as fs
libc = ctypes.CDLL(None, use_errno=True)
MACHINE, SETAFFINITY, PRCTL, SECCOMP = {tuple(HERE or ())}
def deny(*calls, all_threads=False):
    \"\"\"From here on these system calls end the process.\"\"\"
    code = [(0x20, 0, 0, 4), (0x15, 0, len(calls) + 1, MACHINE), (0x20, 0, 0, 0)]
    code += [(0x15, len(calls) - i, 0, call) for i, call in enumerate(calls)]
    code += [(0x06, 0, 0, 0x7fff0000), (0x06, 0, 0, 0x80000000)]
    text = b"".join(struct.pack("HBBI", *step) for step in code)
    class Program(ctypes.Structure): _fields_ = [("len", ctypes.c_ushort), ("code", ctypes.c_char_p)]
    program = Program(len(code), text)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.syscall(SECCOMP, 1, int(all_threads), ctypes.byref(program)) == 0, ctypes.get_errno()
x, before = np.full(1 << 20, -100, 'f'), set(os.listdir('/proc/self/task'))
workers = lambda: len(set(os.listdir('/proc/self/task')) - before)
def call():
    \"\"\"So that threads are made, sleep, and are woken.\"\"\"
    for _ in range(20):
        y = fs.sigmoid(x, threads=3)
        loss = fs.bce_with_logits(x, 1.0, threads=3)
        time.sleep(0.005)
    return y[:1].tobytes().hex(), y[-1:].tobytes().hex(), float(loss)
"""
RIGHT = "('1b000000', '1b000000', 100.0) 2"  # 27 * 2^-149, and two threads beside the caller


def test_the_filter_ends_the_process(need_c: None) -> None:
    """So that the others can fail."""
    done = run_python(f"{FILTER}\ndeny(SETAFFINITY)\nos.sched_setaffinity(0, os.sched_getaffinity(0))")
    assert done.returncode == -signal.SIGSYS, done.stderr


def test_threads_under_a_filter(need_c: None, pytestconfig: pytest.Config) -> None:
    """Also one that forbids to ask whether there is one."""
    assert printed(f"{FILTER}\ndeny(SETAFFINITY, PRCTL)\nprint(call(), workers())", pytestconfig) == RIGHT


def test_a_filter_that_comes_when_threads_sleep(need_c: None, pytestconfig: pytest.Config) -> None:
    """For all threads at once, those of the pool among them."""
    code = f"{FILTER}\ncall(); time.sleep(0.1)\ndeny(SETAFFINITY, all_threads=True)\nprint(call(), workers())"
    assert printed(code, pytestconfig) == RIGHT


def test_a_filter_of_one_thread(need_c: None, pytestconfig: pytest.Config) -> None:
    """Which makes the pool's threads: they inherit it."""
    code = """
said = []
def alone():
    deny(SETAFFINITY, PRCTL)
    said.extend((call(), workers() - 1))
other = threading.Thread(target=alone)
other.start(), other.join()
print(*said)
"""
    assert printed(f"{FILTER}\n{code}", pytestconfig) == RIGHT


def test_without_affinity_nothing_is_asked(need_c: None, pytestconfig: pytest.Config) -> None:
    """FASTSIG_AFFINITY=0, where a filter comes later that also forbids to ask whether there is one."""
    code = f"{FILTER}\ncall(); time.sleep(0.1)\ndeny(SETAFFINITY, PRCTL, all_threads=True)\nprint(call(), workers())"
    assert printed(code, pytestconfig, FASTSIG_AFFINITY="0") == RIGHT


def test_affinity_that_was_asked_for_is_used(need_c: None) -> None:
    """Many a filter allows it, and threads that sleep elsewhere come sooner."""
    done = run_python(f"{FILTER}\ndeny(SETAFFINITY)\ncall()", environment={"FASTSIG_AFFINITY": "1"})
    assert done.returncode == -signal.SIGSYS, done.stderr


@pytest.mark.parametrize("value", ["yes", "2", "-1", "01"])
def test_other_values_are_refused_in_words(value: str, need_c: None) -> None:
    error = error_of("import fastsig", FASTSIG_AFFINITY=value)
    assert error.startswith(f"ValueError: FASTSIG_AFFINITY={value!r} must be 0 (")


def test_bits_do_not_depend_on_it(need_c: None, pytestconfig: pytest.Config) -> None:
    x = np.linspace(-110, 110, 1 << 18, dtype=np.float32)
    code = "import zlib, numpy as np, fastsig as fs; x = np.linspace(-110, 110, 1 << 18, dtype=np.float32)"
    code += "; print(zlib.crc32(fs.sigmoid(x, threads=3)))"
    want = str(zlib.crc32(fs.sigmoid(x, threads=1)))
    assert [printed(code, pytestconfig, FASTSIG_AFFINITY=value) for value in ("0", "1", "")] == [want] * 3
