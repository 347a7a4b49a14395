"""Code in a fresh interpreter, for what is decided once a process."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEARS = """import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
"""
"""Ctrl-C and the end of the terminal reach a process also where the tests ignore them, as a job in the background and nohup do."""


def fastsig_command(*arguments: str, first: str = "pass") -> list[str]:
    """``fastsig ARGUMENTS`` in a process that hears signals."""
    return [sys.executable, "-c", "\n".join([HEARS, first, "from fastsig.cli.main import main", "raise SystemExit(main())"]), *arguments]


def run_python(
    code: str, config: pytest.Config | None = None, environment: dict[str, str] | None = None, timeout: float = 100
) -> subprocess.CompletedProcess[str]:
    """Run the code, with the backends hidden that --hide hides here; what it prints and its exit status come back."""
    hidden = config.getoption("--hide") if config else []
    modules = {"c": "fastsig._c", "numba": "numba"}
    lines = ["import sys", *(f"sys.modules[{modules[name]!r}] = None" for name in hidden), code]
    clean = {key: value for key, value in os.environ.items() if not key.startswith("FASTSIG_") and key != "OMP_NUM_THREADS"}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(lines)],
        env={**clean, **(environment or {})},
        capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip


def printed(code: str, config: pytest.Config | None = None, **environment: str) -> str:
    """What the code prints; an error is a failure of the test."""
    done = run_python(code, config, environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def error_of(code: str, config: pytest.Config | None = None, **environment: str) -> str:
    """The last line that the failing code prints: its exception."""
    done = run_python(code, config, environment)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stderr.strip().splitlines()[-1]
