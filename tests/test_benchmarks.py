"""``pytest benchmarks``: all cases are there, and one small group of each file computes what it times. No figure of a clock is tested."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "benchmarks"
if not FOLDER.exists():
    pytest.skip("this is not a checkout", allow_module_level=True)
pytest.importorskip("pytest_benchmark")


def run(*arguments: str) -> str:
    """What pytest prints, in a process of its own."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *arguments]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(command, cwd=ROOT, env=alone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def contests() -> Any:
    spec = importlib.util.spec_from_file_location("contests", FOLDER / "contests.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_all_are_collected() -> None:
    cases = run("benchmarks", "--benchmark-disable", "--collect-only").splitlines()
    by_file = {path.name: [case for case in cases if case.startswith(f"benchmarks/{path.name}::")] for path in FOLDER.glob("test_*.py")}
    assert {"test_elementwise.py", "test_gates.py", "test_losses.py", "test_torch.py", "test_boosting.py"} <= set(by_file)
    needed = {"test_torch.py": "torch", "test_boosting.py": "xgboost"}
    for name, found in by_file.items():
        assert found or importlib.util.find_spec(needed.get(name, "numpy")) is None, name
    losses = "\n".join(by_file["test_losses.py"])
    assert all(f"[{what}-float32-1000-fastsig]" in losses for what in ("mean", "mean and gradient", "gradient and hessian"))
    gates = "\n".join(by_file["test_gates.py"])
    assert all(f"[{name}-float64-with gradient-fastsig]" in gates for name in ("glu", "swiglu", "lstm_cell", "gru_cell"))
    everyday = "\n".join(by_file["test_elementwise.py"])
    assert all(f"[tanh-{dtype}-10000-out-fastsig c]" in everyday for dtype in ("float32", "float64"))


@pytest.mark.slow
def test_one_group_of_each_file_runs() -> None:
    """Peers that are not installed are skipped."""
    chosen = "(test_elementwise and tanh-float32-100-out) or (test_losses and hessian-float32-1000-) or (swiglu-float32-forward)"
    said = run("benchmarks", "--benchmark-disable", "-k", f"{chosen} or test_torch[tanh-16-forward or test_boosting[cross")
    passed = re.search(r"(\d+) passed", said)
    assert passed
    assert int(passed[1]) >= 5


@pytest.mark.slow
def test_a_group_is_measured_once_and_says_both_errors(tmp_path: Path) -> None:
    """In benchmark mode, where each case shows its own rounds of the group's."""
    found = tmp_path / "found.json"
    run("benchmarks/test_losses.py", "--benchmark-only", "-k", "gradient and hessian-float32-1000-", f"--benchmark-json={found}")
    cases = json.loads(found.read_text())["benchmarks"]
    assert {case["group"] for case in cases} == {"gradient and hessian, float32 1,000"}
    by_name = {case["params"]["contestant"]: case for case in cases}
    assert {"fastsig", "fastsig, new arrays", "numpy"} <= set(by_name)
    ours = by_name["fastsig"]["extra_info"]
    assert 0 < ours["ulp"] == ours["ulp of fastsig"] < 4
    assert by_name["numpy"]["extra_info"]["ulp"] > ours["ulp"] == by_name["numpy"]["extra_info"]["ulp of fastsig"]
    assert len({case["stats"]["rounds"] for case in cases}) == 1
    assert all(case["stats"]["min"] > 0 for case in cases)


def test_the_clock_tells_what_was_measured(contests: Any) -> None:
    contests.CLOCK.seconds = iter([0.5, 0.25])
    first, second = (-(contests.CLOCK() - contests.CLOCK()) for _ in range(2))
    assert (first, second) == (0.5, 0.25)


@pytest.mark.parametrize(
    ("got", "want"),
    [
        (np.float32([1, 2]), 0.0),
        (np.nextafter(np.float32([1, 2]), np.float32(9)), 1.0),
        (np.float32([1, 2 + 2**-20]), 4.0),
        (np.float32([1, np.nan]), np.nan),
    ],
)
def test_errors_of_results(got: Any, want: float, contests: Any) -> None:
    exact = [contests.Exact(np.array([1.0, 2.0]))]
    assert contests.largest_error(got, "float32", exact) == pytest.approx(want, nan_ok=True)
    assert contests.largest_error((got, "not judged"), "float32", exact) == pytest.approx(want, nan_ok=True)
    only_first = [contests.Exact(np.array([1.0]), None, np.array([0]))]
    assert contests.largest_error(got, "float32", only_first) == (1.0 if want == 1.0 else 0.0)


def test_who_is_not_installed_is_skipped(contests: Any) -> None:
    def absent() -> Any:
        raise ImportError("No module named 'nothing'")

    class Benchmark:
        extra_info: dict[str, Any] = {}
        disabled = True

    contestants = {"fastsig": lambda: lambda: np.float32(1), "other": absent, "no such": lambda: None}
    for name, reason in (("other", "No module named 'nothing'"), ("no such", "no such operation")):
        with pytest.raises(pytest.skip.Exception, match=reason):
            contests.contest(Benchmark(), "group", contestants, name, lambda *_: 0.0)
