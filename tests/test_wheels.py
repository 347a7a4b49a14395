"""tools/build_wheels.py, tools/portable_cc.py and tools/version_bounds.py: what they decide without building anything."""

from __future__ import annotations

import gzip
import importlib.util
import io
import sys
import tarfile
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
if not (ROOT / ".git").exists():
    pytest.skip("this is not a checkout", allow_module_level=True)


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


build_wheels, portable_cc = tool("build_wheels"), tool("portable_cc")
version_bounds = tool("version_bounds")  # which imports the first of them


@pytest.mark.parametrize(
    ("tags", "served"),
    [
        ("cp312-abi3", ["3.12", "3.13", "3.14", "3.20"]),
        ("cp314-cp314t", ["3.14t"]),
        ("cp311-cp311", ["3.11"]),
        ("cp310-cp310", ["3.10"]),
    ],
)
def test_which_interpreters_a_wheel_serves(tags: str, served: list[str]) -> None:
    wheel = Path(f"fastsig_kernels-0.1.0-{tags}-manylinux_2_28_x86_64.whl")
    versions = ["3.9", "3.10", "3.11", "3.12", "3.13", "3.13t", "3.14", "3.14t", "3.20", "3.20t"]
    assert [version for version in versions if build_wheels.serves(wheel, version)] == served


@pytest.mark.parametrize("says", ["3.14", "3.14t", ""])
def test_a_free_threaded_interpreter_is_known_by_what_it_says(says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its folder may hold a python3.14 that is free-threaded too; and one that says nothing makes no environments."""
    programs = tmp_path / ".pyenv" / "versions" / "3.14t" / "bin"
    programs.mkdir(parents=True)
    for name in ("python3.14", "python3.14t"):
        (programs / name).write_text(f"#!/bin/sh\necho {says}\n")
        (programs / name).chmod(0o755)
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(build_wheels.shutil, "which", lambda name: None)
    found = {version: file for version, file in build_wheels.interpreters().items() if tmp_path in file.parents}
    assert found == ({says: programs / f"python{says}"} if says else {})


@pytest.mark.parametrize(
    ("audited", "tag", "fits"),
    [
        ("manylinux2014_x86_64.manylinux_2_17_x86_64", "manylinux_2_28_x86_64", True),
        ("manylinux_2_28_aarch64", "manylinux_2_28_aarch64", True),
        ("manylinux_2_34_x86_64", "manylinux_2_28_x86_64", False),
        ("manylinux_2_17_x86_64", "manylinux_2_28_aarch64", False),
        ("musllinux_1_2_x86_64", "manylinux_2_28_x86_64", False),
        ("musllinux_1_2_x86_64", "musllinux_1_2_x86_64", True),
        ("linux_x86_64", "musllinux_1_2_x86_64", False),
    ],
)
def test_whether_what_auditwheel_found_fits_the_tag(audited: str, tag: str, fits: bool) -> None:
    assert build_wheels.fits(f"fastsig_kernels-0.1.0-cp312-abi3-{audited}.whl", tag) is fits


@pytest.mark.parametrize(
    ("target", "version", "suffix"),
    [
        ("aarch64-manylinux", "3.11", ".cpython-311-aarch64-linux-gnu.so"),
        ("x86_64-musllinux", "3.11", ".cpython-311-x86_64-linux-musl.so"),
        ("aarch64-musllinux", "3.10", ".cpython-310-aarch64-linux-gnu.so"),
        ("x86_64-musllinux", "3.14t", ".cpython-314t-x86_64-linux-musl.so"),
    ],
)
def test_extensions_are_called_as_that_python_looks_for_them(target: str, version: str, suffix: str) -> None:
    """Else it finds none: 3.10 calls every C library gnu, and 3.11 looks for musl's own."""
    (of_name,) = (one for one in build_wheels.TARGETS if one.name == target)
    assert of_name.suffix(version) == suffix


@pytest.mark.parametrize(
    ("machine", "gcc", "told"),
    [
        (build_wheels.MACHINE, "gcc", {}),
        ("other", "other-linux-gnu-gcc", {"CMAKE_SYSTEM_NAME": "Linux", "CMAKE_SYSTEM_PROCESSOR": "other"}),
    ],
)
def test_another_processor_has_another_compiler(machine: str, gcc: str, told: dict[str, str]) -> None:
    target = build_wheels.Target(machine, "musl", f"musllinux_1_2_{machine}", f"{machine}-linux-musl")
    assert (target.gcc, target.cmake) == (gcc, told)


@pytest.mark.skipif(not build_wheels.tracked(), reason="git does not know this checkout")
def test_an_sdist_with_a_path_of_this_machine_a_file_too_many_and_one_too_few(tmp_path: Path) -> None:
    sdist = tmp_path / "fastsig_kernels-0.1.0.tar.gz"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, text in (("PKG-INFO", ""), ("README.md", f"see {tmp_path}/secret"), ("notes.txt", "")):
            entry = tarfile.TarInfo(f"fastsig_kernels-0.1.0/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    sdist.write_bytes(gzip.compress(buffer.getvalue()))
    amiss = build_wheels.look_at_sdist(sdist, tmp_path)
    assert f"{sdist.name} holds notes.txt" in amiss
    assert f"{sdist.name} lacks pyproject.toml" in amiss
    assert f"{sdist.name} holds a path of this machine: {tmp_path}/" in amiss
    assert not any("README.md" in line or "PKG-INFO" in line for line in amiss)


@pytest.mark.parametrize("home", ["/", "/usr"])
def test_places_that_many_machines_have_are_no_leak(home: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "home", lambda: Path(home))
    monkeypatch.setattr(build_wheels.sys, "base_prefix", "/usr")
    assert build_wheels.leaked(b"#!/usr/bin/env python, https://example.org/", tmp_path) == []
    assert build_wheels.leaked(f"{tmp_path}/x".encode(), tmp_path) == [f"{tmp_path}/"]


def test_what_the_linker_is_told() -> None:
    words = [
        "-O3",
        "-DNDEBUG",
        "-std=gnu11",
        "-shared",
        "-Wl,-soname,a.so.0",
        "-o",
        "a.so",
        "a.o",
        "-L",
        "lib",
        "-lm",
        "-pthread",
        "-mavx2",
    ]
    assert portable_cc.linker_words(words) == ["-shared", "-Wl,-soname,a.so.0", "-o", "a.so", "a.o", "-L", "lib", "-lm", "-pthread"]


@pytest.mark.parametrize("words", ["-O3 -c a.c -o a.o", "-E a.c", "--version", "-v"])
def test_what_gcc_does_alone(words: str) -> None:
    assert not portable_cc.links(words.split())


@pytest.mark.parametrize("words", ["a.c", "-v -o a a.c -lm", "-shared a.o -o a.so"])
def test_what_is_linked(words: str) -> None:
    assert portable_cc.links(words.split())


@pytest.mark.parametrize(
    ("target", "options"),
    [("aarch64-linux-musl", ["-mno-outline-atomics"]), ("aarch64-linux-gnu.2.28", []), ("x86_64-linux-musl", [])],
)
def test_atomics_ask_nothing_of_musl_that_it_lacks(target: str, options: list[str]) -> None:
    assert portable_cc.atomics(target) == options


@pytest.mark.parametrize("key", ["requires", "dependencies"])
def test_every_requirement_names_its_lowest_version(key: str) -> None:
    """Which that tool then takes: one without would be tried at its newest at both ends."""
    newest, lowest = version_bounds.at("newest", key), version_bounds.at("lowest", key)
    assert len(newest) == 3
    assert any(one.startswith("numpy>=") for one in newest)
    assert [one.replace(">=", "==", 1) for one in newest] == lowest != newest
    assert all("==" in one for one in lowest)
