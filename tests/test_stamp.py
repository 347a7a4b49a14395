"""What is kept of compiled kernels is kept under a stamp of their source: after a change none of it is served."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

import fastsig
from fastsig.kernels.stamp import GROUND, source_stamp, stamp_of

PACKAGE = Path(fastsig.__file__).parent


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(PACKAGE, tmp_path / "fastsig", ignore=shutil.ignore_patterns("*.so", "__pycache__")))


def test_a_copy_has_the_same_stamp(copy: Path) -> None:
    assert stamp_of(copy) == source_stamp()


@pytest.mark.parametrize(
    "file", ["formulas/logistic.py", "formulas/constants.py", "kernels/numba/primitives.py", "kernels/cuda/sums.py", "ops.py"]
)
def test_a_change_of_what_kernels_are_made_from_changes_the_stamp(copy: Path, file: str) -> None:
    (copy / file).write_text((copy / file).read_text() + "\n")
    assert stamp_of(copy) != source_stamp()


def test_a_file_under_another_name_changes_the_stamp(copy: Path) -> None:
    (copy / "formulas" / "core.py").rename(copy / "formulas" / "middle.py")
    assert stamp_of(copy) != source_stamp()


def test_what_stands_above_the_kernels_does_not(copy: Path) -> None:
    (copy / "losses" / "focal.py").write_text("")
    assert stamp_of(copy) == source_stamp()


def test_kernels_import_only_what_is_stamped() -> None:
    from test_house import PACKAGE, here, own_imports, room_of  # the checkout's, also where another copy is installed

    for path in (PACKAGE / "kernels").rglob("*.py"):
        rooms = {room_of(module) for module in own_imports(path)}
        assert rooms <= {name.removesuffix(".py") for name in GROUND}, f"{path} imports {rooms}"
        assert here(path) == "kernels"


def test_both_caches_know_the_stamp(need_numba: None) -> None:
    from fastsig.kernels.numba.cache import KernelCache

    codegen = SimpleNamespace(magic_tuple=lambda: ("x86_64", "generic", ""))
    assert source_stamp() in KernelCache(test_both_caches_know_the_stamp)._entry("int64(int64)", codegen)[1]
