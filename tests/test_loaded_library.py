"""Which C library is loaded: the extension's own, whatever lies on the loader's path; one of another version never serves in silence."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from processes import printed, run_python

import fastsig as fs

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="about the loader of Linux")

NAME = "libfastsig.so.0"
"""The number is ``FASTSIG_ABI_VERSION``: what was compiled against one library looks for this name."""
STUBS = """
const char *fastsig_version(void) { return VERSION; }
int fastsig_abi_version(void) { return ABI; }
const char *fastsig_isa(void) { return "none"; }
int fastsig_isa_available(const char *name) { return !name; }
int fastsig_set_isa(const char *name) { return !!name; }
unsigned long fastsig_stream_bytes(void) { return 0; }
void fastsig_set_stream_bytes(unsigned long bytes) { (void)bytes; }
void *fastsig_active;
unsigned long fastsig_stream_threshold;
void fastsig_pool_run(void) {}
void fastsig_pool_ask(void) {}
int fastsig_reduce_all(void) { return 0; }
void fastsig_columnar(void) {}
int fastsig_fused_all(void) { return 0; }
void fastsig_set_affinity(int when) { (void)when; }
"""
"""A library that has what the extension asks for, and computes nothing."""
VERSIONS = "FASTSIG_0 { global: fastsig_*; }; FASTSIG_PRIVATE_0.0.9 { global: fastsig_active; fastsig_pool_run; };"
SIGMOID = "np.float32(-100)"
BITS = "1b000000"  # 27 * 2^-149


def compiler() -> str:
    found = shutil.which("gcc") or shutil.which("cc")
    if not found:
        pytest.skip("no C compiler here")
    return found


def decoy(folder: Path, version: str = "0.0.9", abi: int = 0, versioned: bool = True) -> Path:
    """A library of our name, its symbols versioned as ours are; or with neither, as such libraries were before they had both."""
    (folder / "decoy.c").write_text(STUBS)
    (folder / "decoy.map").write_text(VERSIONS)
    name = NAME if versioned else "libfastsig.so"
    flags = ["-shared", "-fPIC", f"-Wl,-soname,{name}", f'-DVERSION="{version}"', f"-DABI={abi}", "decoy.c", "-o", name]
    subprocess.run([compiler(), *flags, *(["-Wl,--version-script=decoy.map"] if versioned else [])], cwd=folder, check=True, timeout=100)
    return folder / name


REPORT = f"import numpy as np, fastsig as fs; print(fs.backends()['c'], fs.sigmoid({SIGMOID}).tobytes().hex(), sep='\\n')"


@pytest.mark.parametrize("versioned", [True, False])
def test_the_loaders_path_is_not_asked(versioned: bool, tmp_path: Path, need_c: None, pytestconfig: pytest.Config) -> None:
    decoy(tmp_path, versioned=versioned)
    said = printed(REPORT + "; print(fs.get_library())", pytestconfig, LD_LIBRARY_PATH=str(tmp_path))
    assert said.splitlines() == ["available", BITS, fs.get_library()]


def assert_refused(said: str, *words: str) -> None:
    """C is unavailable, for the reason that names all of these; Numba has computed."""
    reason, bits = said.splitlines()
    for word in ("versions are mixed up", "install fastsig-kernels again", *words):
        assert word in reason
    assert re.search(rf"fastsig is {re.escape(fs.__version__)} \(\S+{os.sep}fastsig\)", reason), reason
    assert re.search(r"its extension \S+ (for ABI \d+ )?\(.*_c\..*so\)", reason), reason
    assert bits == BITS


@pytest.mark.parametrize(
    ("way", "versioned"),
    [
        ("LD_PRELOAD", True),
        ("LD_PRELOAD", False),
        ("loaded before", True),
        ("loaded before, for all", True),
        ("loaded before, for all", False),
    ],
)
def test_a_library_of_another_version_does_not_serve(way: str, versioned: bool, tmp_path: Path, need_c: None, need_numba: None) -> None:
    library = decoy(tmp_path, versioned=versioned)
    if way == "LD_PRELOAD":
        said = printed(REPORT, LD_PRELOAD=str(library))
    else:
        mode = "mode=ctypes.RTLD_GLOBAL" if "all" in way else ""
        said = printed(f"import ctypes; ctypes.CDLL({str(library)!r}, {mode})\n{REPORT}")
    assert_refused(said, f"its extension {fs.__version__} (", f"the library that was loaded 0.0.9 ({library})")


def test_a_library_of_another_abi_does_not_serve(tmp_path: Path, need_c: None, need_numba: None) -> None:
    library = decoy(tmp_path, fs.__version__, abi=7, versioned=False)
    said = printed(REPORT, LD_PRELOAD=str(library))
    assert_refused(
        said, f"its extension {fs.__version__} for ABI 0 (", f"the library that was loaded {fs.__version__} of ABI 7 ({library})"
    )


def test_an_extension_of_another_version_does_not_serve(need_c: None, need_numba: None) -> None:
    """As when the checkout that is the current directory is newer than what is installed."""
    newer = "import sys, types; m = sys.modules['fastsig._version'] = types.ModuleType('fastsig._version'); m.__version__ = '9.9.9'"
    reason, bits = printed(f"{newer}\n{REPORT}").splitlines()
    assert "fastsig is 9.9.9 (" in reason
    assert f"its extension {fs.__version__} (" in reason
    assert f"the library that was loaded {fs.__version__} ({fs.get_library()})" in reason
    assert bits == BITS


def test_without_numba_the_reason_is_the_error(tmp_path: Path, need_c: None) -> None:
    library = decoy(tmp_path)
    done = run_python("import sys; sys.modules['numba'] = None; import fastsig", environment={"LD_PRELOAD": str(library)})
    error = done.stderr.strip().splitlines()[-1]
    assert error.startswith("ImportError: fastsig needs its C library or Numba, and has neither: versions are mixed up")
    assert f"0.0.9 ({library})" in error


def test_the_file_that_is_named_is_the_one_that_is_loaded(tmp_path: Path, need_c: None, pytestconfig: pytest.Config) -> None:
    """A copy of the same version, loaded before: it serves, and is what is reported."""
    copy = shutil.copy(fs.get_library(), tmp_path)
    code = """
import fastsig as fs, fastsig.cli.info as info
mapped = {line.split(None, 5)[5].strip() for line in open('/proc/self/maps') if 'libfastsig' in line}
print(fs.backends()['c'], fs.get_library(), dict(info.facts())['C library'], *mapped)
"""
    assert printed(code, pytestconfig, LD_PRELOAD=str(copy)).split() == ["available", *[str(copy)] * 3]
    own = fs.get_library()
    assert printed(code, pytestconfig).split() == ["available", own, own, own]


def test_a_relative_path_stays_right_when_the_directory_changes(tmp_path: Path, need_c: None, pytestconfig: pytest.Config) -> None:
    shutil.copy(fs.get_library(), tmp_path / NAME)
    before = f"import os, ctypes; os.chdir({str(tmp_path)!r}); ctypes.CDLL('./{NAME}')"
    assert printed(f"{before}; import fastsig as fs; os.chdir('/'); print(fs.get_library())", pytestconfig) == str(tmp_path / NAME)


# ---- what the library shows ----


def said_by(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=100).stdout


def header_functions() -> set[str]:
    """All that fastsig.h declares, its macros expanded."""
    return set(re.findall(r"\b(fastsig_\w+)\s*\(", said_by(compiler(), "-E", "-P", f"{fs.get_include()}/fastsig.h")))


def dynamic_symbols(file: str) -> dict[str, str]:
    """The symbols that others can see, and the version of each."""
    if not shutil.which("readelf"):
        pytest.skip("no readelf here")
    rows = (line.split() for line in said_by("readelf", "--dyn-syms", "-W", file).splitlines() if re.match(r"\s+\d+:", line))
    defined = (row[7].partition("@@") for row in rows if len(row) > 7 and row[6] not in ("UND", "ABS"))
    return {name: version for name, _, version in defined}


def test_the_library_shows_its_header_and_nothing_else(need_c: None) -> None:
    shown = dynamic_symbols(fs.get_library())
    declared = header_functions()
    assert len(declared) > 80
    assert {name for name, version in shown.items() if version == "FASTSIG_0"} == declared
    rest = {name: version for name, version in shown.items() if name not in declared}
    assert set(rest.values()) == {f"FASTSIG_PRIVATE_{fs.__version__}"}, "the extension's own, of exactly this version"
    extension = ("active", "stream_threshold", "pool_run", "pool_ask", "reduce_all", "columnar", "fused_all", "set_affinity")
    assert set(rest) == {f"fastsig_{name}" for name in extension}


def test_the_extension_shows_what_python_looks_for(need_c: None) -> None:
    import fastsig._c as extension

    assert set(dynamic_symbols(extension.__file__)) == {"PyInit__c"}


def test_the_library_is_found_by_the_abis_name(need_c: None, tmp_path: Path) -> None:
    """Its file, its soname and the number in the header; -lfastsig finds it too."""
    library = Path(fs.get_library())
    number = re.search(r"^#define FASTSIG_ABI_VERSION (\d+)$", Path(fs.get_include(), "fastsig.h").read_text(), re.MULTILINE)
    assert number
    assert library.name == NAME == f"libfastsig.so.{number[1]}"
    assert not library.is_symlink()
    (tmp_path / "use.c").write_text(
        "#include <fastsig.h>\n#include <stdio.h>\n"
        'int main(void) { printf("%d %d", fastsig_abi_version(), FASTSIG_ABI_VERSION); return 0; }\n'
    )
    flags = [f"-I{fs.get_include()}", "use.c", "-o", "use", f"-L{library.parent}", "-lfastsig", f"-Wl,-rpath,{library.parent}"]
    subprocess.run([compiler(), *flags], cwd=tmp_path, check=True, timeout=100)
    assert said_by(str(tmp_path / "use")) == f"{number[1]} {number[1]}"
    assert NAME in said_by("ldd", str(tmp_path / "use"))
