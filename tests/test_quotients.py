"""The quotients of the CUDA kernels that have no guard: the bits of a division, for every argument that they are used with."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
def test_quotients_without_a_guard(tmp_path: Path) -> None:
    """From reciprocals that are right, and an ULP off to either side."""
    compiler = shutil.which("gcc")
    if compiler is None:
        pytest.skip("no gcc here")
    subprocess.run([sys.executable, ROOT / "cext" / "python" / "build.py", tmp_path], check=True)
    flags = ["-O3", "-march=native", "-ffp-contract=off", "-fopenmp", f"-I{ROOT / 'cext'}", f"-I{tmp_path}"]
    subprocess.run([compiler, *flags, ROOT / "tools" / "quotients.c", "-o", tmp_path / "quotients"], check=True)
    found = subprocess.run([tmp_path / "quotients"], capture_output=True, text=True, check=False)
    assert found.stdout == "silu 0\n"
