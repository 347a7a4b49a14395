"""The tests at the lowest and at the newest versions of what fastsig needs: ``python tools/version_bounds.py -- $PWD/tests/test_api.py``.

The lowest are those that pyproject.toml names, for building (scikit-build-core, cffi, NumPy) and for running (NumPy, cffi, Numba), on the
oldest interpreter there is here; the newest are what pip finds, on the newest one. At each end a wheel is built and installed with the
tests' own requirements in a fresh environment, and pytest is given what follows ``--``: without anything, the whole suite that pytest
runs by itself. At last a table of the versions and of what pytest said. Status 1 where an end fails.

Ten minutes an end without the tests, most of them pip's: needs GCC, and pip with a package index.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from build_wheels import interpreters

from fastsig.system.terminal import show

ROOT = Path(__file__).resolve().parent.parent
ENDS = ("lowest", "newest")
SHOWN = ("numpy", "numba", "cffi", "scikit-build-core")


def requirements(key: str) -> list[str]:
    """The strings of that list in pyproject.toml, which an interpreter without tomllib reads too."""
    text = (ROOT / "pyproject.toml").read_text()
    found = re.search(rf"^{key} = \[(.*?)\](?: #.*)?$", text, re.MULTILINE | re.DOTALL)
    assert found, key
    return re.findall(r'"([^"]+)"', re.sub(r"\s#.*", "", found[1]))


def lowest(requirement: str) -> str:
    """The same requirement, of the lowest version alone that it allows."""
    return re.sub(r">=([\d.]+)", r"==\1", requirement, count=1)


def at(end: str, key: str) -> list[str]:
    return [lowest(one) if end == "lowest" else one for one in requirements(key)]


def run(words: Sequence[str | Path]) -> None:
    subprocess.run([*map(str, words)], check=True)


def environment(place: Path, python: Path) -> Path:
    """The programs of a new one."""
    run([python, "-m", "venv", place])
    return place / "bin"


def versions(programs: Path) -> dict[str, str]:
    listed = subprocess.run([programs / "pip", "list", "--format", "freeze"], capture_output=True, text=True, check=True).stdout
    return dict(line.replace("_", "-").lower().split("==") for line in listed.splitlines() if "==" in line)


def wheel(end: str, python: Path, place: Path) -> tuple[Path, dict[str, str]]:
    """Built with the requirements of that end, and their versions."""
    programs = environment(place / "build", python)
    run([programs / "pip", "install", "-q", "cmake", "ninja", *at(end, "requires")])
    run([programs / "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "--wheel-dir", place / "wheel", ROOT])
    return next((place / "wheel").glob("*.whl")), versions(programs)


def tested(end: str, python: Path, place: Path, options: Sequence[str]) -> tuple[list[str], bool]:
    """A row of the table (cffi's version is the one that runs), and whether the tests passed."""
    made, building = wheel(end, python, place)
    programs = environment(place / "run", python)
    run([programs / "pip", "install", "-q", f"{made}[test]", *at(end, "dependencies")])
    running = versions(programs)
    lines = []
    suite = [programs / "pytest", "-q", "--rootdir", ROOT, "-c", ROOT / "pyproject.toml", *(options or [str(ROOT / "tests")])]
    with subprocess.Popen(suite, cwd=place, stdout=subprocess.PIPE, text=True) as process:  # elsewhere, or processes import the checkout
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line.strip("= \n"))
    of = subprocess.run([python, "-V"], capture_output=True, text=True, check=True).stdout.split()[1]
    said = lines[-1] if lines else f"status {process.returncode}"
    return [end, of, *(running.get(name) or building.get(name, "none") for name in SHOWN), said], process.returncode == 0


def main() -> int:
    summary, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(description=summary)
    parser.add_argument("--ends", nargs="+", choices=ENDS, default=ENDS, metavar="END", help="lowest, newest; both if left out")
    parser.add_argument("options", nargs="*", metavar="-- OPTIONS", help="for pytest")
    options = parser.parse_args()
    with_gil = [found for found in interpreters().items() if not found[0].endswith("t")]
    pythons = sorted(with_gil, key=lambda found: int(found[0].partition(".")[2]))
    pythons_of = {"lowest": pythons[0][1], "newest": pythons[-1][1]}
    rows, passed = [], True
    for end in options.ends:
        with tempfile.TemporaryDirectory() as folder:
            row, fine = tested(end, pythons_of[end], Path(folder), options.options)
        rows.append(row)
        passed &= fine
    show(rows, ("end", "Python", *SHOWN, "pytest"), folded=2 + len(SHOWN))
    return int(not passed)


if __name__ == "__main__":
    sys.exit(main())
