"""The peers of C and C++: compiled once, kept, compiled again when something changed, and absent with a reason."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fastsig.measure import cpp_libraries
from fastsig.measure.peers import UNARY, peer_named
from fastsig.measure.speed import main, missing

EACH = pytest.mark.parametrize("name", cpp_libraries.LIBRARIES)
NEGATION = """
#include <cstddef>
extern "C" void sigmoid_float32(const float *x, float *y, std::size_t n) { for (std::size_t i = 0; i < n; i++) y[i] = -x[i]; }
"""


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Nothing compiled yet, an empty cache, and a folder of sources of the test's own."""
    monkeypatch.setattr(cpp_libraries, "_found", {})
    monkeypatch.setattr(cpp_libraries, "_FOLDER", tmp_path / "sources")
    monkeypatch.setenv("FASTSIG_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "sources").mkdir()
    yield tmp_path / "sources"


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What was compiled since."""
    seen: list[list[str]] = []
    real = cpp_libraries._run

    def run(command: list[str], library: Any) -> str:
        seen.append(command)
        return real(command, library)

    monkeypatch.setattr(cpp_libraries, "_run", run)
    return seen


def need_compiler() -> None:
    if cpp_libraries.compiler() is None:
        pytest.skip("no C++ compiler")


def computed(name: str) -> Any:
    x = np.arange(5, dtype=np.float32)
    return cpp_libraries.cpp_calls(name)("sigmoid", x, np.empty_like(x)).alloc()


def test_compiled_once_and_again_when_the_source_changes(fresh: Path, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    need_compiler()

    def built() -> int:
        monkeypatch.setattr(cpp_libraries, "_found", {})
        before = len(commands)
        assert cpp_libraries.why_absent("eigen") == ""
        return sum("-shared" in command for command in commands[before:])

    (fresh / "eigen.cpp").write_text(NEGATION)
    assert built() == 1
    assert built() == 0
    assert list(computed("eigen")) == [0, -1, -2, -3, -4]
    (fresh / "eigen.cpp").write_text(NEGATION.replace("-x[i]", "2 * x[i]"))
    assert built() == 1
    assert list(computed("eigen")) == [0, 2, 4, 6, 8]
    assert built() == 0


def test_a_damaged_entry_is_compiled_again(fresh: Path, commands: list[list[str]], tmp_path: Path) -> None:
    need_compiler()
    (fresh / "eigen.cpp").write_text(NEGATION)
    assert cpp_libraries.why_absent("eigen") == ""
    (entry,) = (tmp_path / "cache" / "kernels").iterdir()
    entry.write_bytes(entry.read_bytes()[:-1] + b"x")
    cpp_libraries._found.clear()
    assert list(computed("eigen")) == [0, -1, -2, -3, -4]
    assert sum("-shared" in command for command in commands) == 2


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("#include <no/such_header.h>\n", "no header no/such_header.h (Debian: libeigen3-dev)"),
        ("int f() { return undeclared; }\n", "undeclared"),
    ],
)
def test_what_does_not_compile_is_absent_and_says_why(source: str, reason: str, fresh: Path) -> None:
    need_compiler()
    (fresh / "eigen.cpp").write_text(source)
    why = cpp_libraries.why_absent("eigen")
    assert reason in why
    assert "\n" not in why
    with pytest.raises(cpp_libraries.Absent):
        computed("eigen")


def test_without_a_compiler_the_benchmark_says_so_in_one_line(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CXX", "/no/such/compiler -m64")
    assert cpp_libraries.compiler() is None
    assert not peer_named("eigen").installed
    assert "eigen, sleef, highway, xsimd, libmvec: no C++ compiler" in missing()
    assert main(["--sizes", "10", "--dtypes", "float32", "--quick"]) == 0
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "without" in line]
    assert "no C++ compiler" in line
    assert main(["--peers"]) == 0
    shown = capsys.readouterr().out
    assert "no C++ compiler" in shown
    assert "x.logistic()" in shown


@EACH
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_element_is_written_and_no_other(name: str, dtype: str) -> None:
    """Arrays shorter and longer than some vectors: each element as it is alone, and nothing past the end."""
    if why := cpp_libraries.why_absent(name):
        pytest.skip(why)
    calls = cpp_libraries.cpp_calls(name)
    x = np.linspace(0.05, 0.95, 70).astype(dtype)
    for op in UNARY:
        alone = [calls(op, x[i : i + 1], np.empty_like(x[:1])).alloc()[0] for i in range(70)]
        for n in (1, 3, 16, 17, 70):
            place = np.full(80, 7, dtype)
            calls(op, x[:n], place[:n]).out()
            assert (place[n:] == 7).all(), op
            np.testing.assert_array_almost_equal_nulp(place[:n], np.array(alone[:n]), 8)


@EACH
def test_other_types_are_not_measured(name: str) -> None:
    x = np.zeros(3, np.float16)
    assert cpp_libraries.cpp_calls(name)("sigmoid", x, x) is None
