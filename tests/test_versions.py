"""One version, from one place; the numbers of the C interface agree; the changelog's form; and how a name is deprecated."""

from __future__ import annotations

import re
import sys
import warnings
from importlib import metadata
from pathlib import Path

import pytest
from processes import printed

import fastsig as fs
from fastsig.system.deprecation import deprecated

ROOT = Path(__file__).parent.parent
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
KINDS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")


def test_what_is_installed_is_of_this_version() -> None:
    assert metadata.version("fastsig-kernels") == fs.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", fs.__version__)


def test_the_version_stands_in_one_place() -> None:
    sources = [
        ROOT / "pyproject.toml",
        *(ROOT / "fastsig").rglob("*.py"),
        *(ROOT / "cext").rglob("*.[ch]"),
        ROOT / "cext" / "CMakeLists.txt",
    ]
    literal = re.compile(rf"(?<![\d.]){re.escape(fs.__version__)}(?![\d.])")
    assert [str(path.relative_to(ROOT)) for path in sources if literal.search(path.read_text())] == ["fastsig/_version.py"]


def test_header_library_and_extension_agree(need_c: None) -> None:
    from fastsig.kernels.c.extension import ffi, lib

    header = Path(fs.get_include(), "fastsig.h").read_text()
    number = re.search(r"^#define FASTSIG_ABI_VERSION (\d+)$", header, re.MULTILINE)
    assert number
    assert lib.FASTSIG_ABI_VERSION == lib.fastsig_abi_version() == int(number[1])
    assert Path(fs.get_library()).name == f"libfastsig.so.{number[1]}" or sys.platform != "linux"
    assert ffi.string(lib.fastsig_version()).decode() == ffi.string(lib.fastsig_extension_version()).decode() == fs.__version__


def test_the_changelog_has_the_form_of_keep_a_changelog() -> None:
    assert CHANGELOG.startswith("# Changelog\n")
    headings = re.findall(r"^## (.*)$", CHANGELOG, re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    releases = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d", heading) for heading in headings[1:]]
    assert all(releases), headings
    kinds = re.findall(r"^### (.*)$", CHANGELOG, re.MULTILINE)
    assert kinds, "no kinds of change"
    assert set(kinds) <= set(KINDS)


def old(x: float, *, factor: float = 2.0) -> float:
    """Twice x."""
    return x * factor


def test_a_deprecated_function_warns_its_caller_and_works() -> None:
    function = deprecated("0.2", "fs.new")(old)
    with pytest.warns(DeprecationWarning, match=r"^test_versions\.old is deprecated since fastsig 0\.2; use fs\.new$") as caught:
        assert function(3.0, factor=3.0) == 9.0
    assert [warning.filename for warning in caught] == [__file__]
    assert function.__name__ == "old"
    assert function.__doc__ is not None
    assert function.__doc__.startswith("Twice x.")
    assert ".. deprecated:: 0.2\n    Use fs.new." in function.__doc__


def test_a_deprecated_operation_warns_at_small_calls_too(pytestconfig: pytest.Config) -> None:
    """Which the C library answers by itself, for functions that do nothing more."""
    printed(
        """
import warnings
from fastsig.elementwise import call, functions
from fastsig.ops import OPS
from fastsig.system.deprecation import deprecated

names = {op.name: getattr(functions, op.name) for op in OPS if op.nin == 1}
names["silu"] = deprecated("0.2", "fs.swish")(names["silu"])
call.install_fast_calls(names)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    assert names["silu"](0.0) == 0
    assert names["sigmoid"](0.0) == 0.5
assert [str(warning.message) for warning in caught] == ["fastsig.silu is deprecated since fastsig 0.2; use fs.swish"]
""",
        pytestconfig,
    )


def test_deprecating_a_function_warns_nobody_before_it_is_called() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        deprecated("0.2", "fs.new")(old)
