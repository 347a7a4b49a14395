"""Whether CUDA is there, told without starting it; each reason why not names its remedy."""

from __future__ import annotations

import ctypes
import glob
import re
import subprocess
import warnings
from pathlib import Path
from typing import Any

import pytest
from cuda_here import need_compiler
from packaging.requirements import Requirement
from processes import printed

import fastsig as fs
from fastsig.kernels.cuda import packages
from fastsig.kernels.cuda import status as cuda_status

NEW = (9, 0)


class Driver:
    """As much of libcuda as the look needs: a count of devices only where this process has started CUDA."""

    def __init__(self, version: int = 13000, devices: int | None = None) -> None:
        self.version, self.devices = version, devices

    def cuDriverGetVersion(self, into: Any) -> int:
        into._obj.value = self.version
        return 0

    def cuDeviceGetCount(self, into: Any) -> int:
        into._obj.value = self.devices or 0
        return 3 if self.devices is None else 0

    def cuDeviceGetAttribute(self, into: Any, attribute: int, device: int) -> int:
        into._obj.value = {75: NEW[0], 76: NEW[1]}[attribute]
        return 0


class Management:
    """As much of NVML."""

    def __init__(self, devices: int = 1, error: int = 0) -> None:
        self.devices, self.error, self.open = devices, error, 0
        self.nvmlErrorString = lambda error: b"Driver/library version mismatch"

    def nvmlInit_v2(self) -> int:
        self.open += not self.error
        return self.error

    def nvmlShutdown(self) -> int:
        self.open -= 1
        return 0

    def nvmlDeviceGetCount_v2(self, into: Any) -> int:
        into._obj.value = self.devices
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index: int, into: Any) -> int:
        into._obj.value = 4096 + index
        return 0

    def nvmlDeviceGetCudaComputeCapability(self, device: Any, major: Any, minor: Any) -> int:
        major._obj.value, minor._obj.value = (8, device.value - 4096)
        return 0


@pytest.mark.parametrize(
    ("missing", "driver", "toolkit", "words"),
    [
        ("numba-cuda", None, 13, r"^numba-cuda is not installed \(pip install 'fastsig-kernels\[cuda13\]'"),
        (None, None, 13, "^no NVIDIA driver was found"),
        (
            None,
            Driver(12040),
            13,
            r"too old: it serves CUDA 12\.4, .* for CUDA 13; update the driver to 580 or newer, .*fastsig-kernels\[cuda12\]",
        ),
        (None, Driver(11080), 12, r"too old: it serves CUDA 11\.8, .* for CUDA 12; update the driver to 525 or newer, or use the host"),
        (None, Driver(devices=0), 13, "sees no GPU; .*CUDA_VISIBLE_DEVICES"),
        (None, Driver(devices=1), 13, r"^compiled for \(9, 0\), True$"),
        (None, Driver(13020, devices=1), 12, r"^compiled for \(9, 0\), True$"),
    ],
)
def test_status(missing: Any, driver: Any, toolkit: int, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_status, "_missing_package", lambda: missing)
    monkeypatch.setattr(cuda_status, "_library", lambda *names: driver)
    monkeypatch.setattr(cuda_status, "_toolkit_major", lambda: toolkit)
    monkeypatch.setattr(cuda_status, "_tried", lambda capability, started: f"compiled for {capability}, {started}")
    status = cuda_status.status.__wrapped__()
    assert re.search(words, status), status


@pytest.mark.parametrize(
    ("visible", "management", "files", "found"),
    [
        (None, Management(), [], (8, 0)),
        ("0", Management(), [], (8, 0)),
        ("1,0", Management(2), [], (8, 1)),
        ("GPU-5a6b", Management(2), [], (8, 0)),
        ("1", Management(), [], "sees no GPU"),
        ("", Management(), [], "sees no GPU"),
        ("-1", Management(), [], "sees no GPU"),
        (None, Management(devices=0), [], "sees no GPU"),
        (None, Management(error=18), [], "did not start: Driver/library version mismatch"),
        (None, None, ["/dev/nvidia0"], (7, 5)),
        (None, None, [], "sees no GPU"),
        ("", None, ["/dev/nvidia0"], "sees no GPU"),
    ],
)
def test_the_gpu_before_cuda_is_started(visible: Any, management: Any, files: Any, found: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(cuda_status, "_library", lambda *names: management)
    monkeypatch.setattr(glob, "glob", lambda pattern: files if pattern.startswith("/dev/nvidia") else [])
    assert not cuda_status._started(Driver())
    gpu = cuda_status._capability_without_cuda()
    assert gpu == found or (isinstance(gpu, str) and found in gpu)
    assert management is None or management.open == 0


def test_a_driver_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", absent)
    assert cuda_status._library("nvcuda.dll", "libcuda.so.1") is None


@pytest.mark.parametrize("module", ["numba_cuda", "cuda"])
def test_a_package_that_is_not_there(module: str) -> None:
    status = printed(f"import sys; sys.modules[{module!r}] = None; import fastsig as fs; print(fs.backends()['cuda'])")
    assert status.endswith("is not installed (pip install 'fastsig-kernels[cuda13]' (or 'fastsig-kernels[cuda12]' for drivers below 580))")


def test_the_status_loads_nothing_where_there_is_no_gpu() -> None:
    loaded = "print(sorted({'numba', 'llvmlite', 'cuda', 'torch', 'cupy'} & set(sys.modules)))"
    assert (
        printed(f"import sys, fastsig; from fastsig.kernels.cuda import status; status.status(); {loaded}", CUDA_VISIBLE_DEVICES="") == "[]"
    )


def test_host_arrays_never_go_there() -> None:
    assert "cuda" not in fs.explain([1.0, 2.0])
    with pytest.raises(RuntimeError, match="backend='cuda' (cannot serve|computes on arrays of an NVIDIA GPU)"):
        fs.sigmoid([1.0, 2.0], backend="cuda")


# ---- nothing starts CUDA ----

LIBCUDA = """
int cuDriverGetVersion(int *version) { *version = 13000; return 0; }
int cuDeviceGetCount(int *count) { return 3; }
int cuInit(unsigned flags) {
    if (atoi(getenv("CUDA_IS_NOT_FOR")) == getpid()) _Exit(77);
    return 100;
}
int cuGetProcAddress_v2(const char *name, void **found, int version, unsigned long long flags, void *status) {
    *found = dlsym(RTLD_DEFAULT, name);
    return *found ? 0 : 500;
}
"""
LIBNVML = """
int nvmlInit_v2(void) { return 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) { return 0; }
int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor) { *major = 9; *minor = 0; return 0; }
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a driver whose cuInit ends a process that says so, and with an NVML that knows of one GPU."""
    folder: Path = tmp_path_factory.mktemp("driver")
    for name, text in (("libcuda.so.1", LIBCUDA), ("libnvidia-ml.so.1", LIBNVML)):
        source = folder / f"{name}.c"
        source.write_text("#define _GNU_SOURCE\n#include <dlfcn.h>\n#include <unistd.h>\n#include <stdlib.h>\n" + text)
        subprocess.run(["cc", "-w", "-shared", "-fPIC", source, "-o", folder / name, "-ldl"], check=True)
    return folder


@need_compiler
def test_cuda_is_available_and_nothing_has_started_it(machine: Path, tmp_path: Path) -> None:
    """Also with the packages tried, for the first time and from the cache."""
    not_here = "import os; os.environ['CUDA_IS_NOT_FOR'] = str(os.getpid())\n"
    code = not_here + "import fastsig as fs, numpy as np; print(fs.backends()['cuda']); fs.explain(np.zeros(3))"
    for _ in range(2):
        assert printed(code, LD_LIBRARY_PATH=str(machine), FASTSIG_CACHE_DIR=str(tmp_path)) == "available"
    assert [file.name for file in (tmp_path / "kernels").glob("*.cubin")] == ["compiles_sm90.cubin"]
    loaded = not_here + "import sys; from fastsig.kernels.cuda import status; print(status.status(), 'numba' in sys.modules)"
    assert printed(loaded, LD_LIBRARY_PATH=str(machine), FASTSIG_CACHE_DIR=str(tmp_path)) == "available False"


# ---- beside torch ----

TORCH_PINS = {
    "cuda13": [
        {"cuda-toolkit": "13.0.2", "cuda-bindings": "13.3.1", "nvidia-cuda-nvrtc": "13.0.88", "nvidia-nvjitlink": "13.0.88"},  # 2.11.0
        {"cuda-toolkit": "13.0.3", "cuda-bindings": "13.5.0", "nvidia-cuda-nvrtc": "13.0.88", "nvidia-nvjitlink": "13.5.37"},  # 2.13.0
    ],
    "cuda12": [
        {"nvidia-cuda-nvrtc-cu12": "12.1.105"},  # 2.4.0
        {"nvidia-cuda-nvrtc-cu12": "12.8.93", "nvidia-nvjitlink-cu12": "12.8.93"},  # 2.8.0
    ],
}
"""What torch's wheels bring of the packages that they and the extras name, by the plans of pip."""


def extras() -> dict[str, list[Requirement]]:
    tomllib = pytest.importorskip("tomllib", reason="Python 3.10 reads no TOML")
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
    return {name: [Requirement(line) for line in lines] for name, lines in project["optional-dependencies"].items()}


@pytest.mark.parametrize("extra", TORCH_PINS)
def test_torch_keeps_what_it_has_pinned(extra: str) -> None:
    wanted = {requirement.name: requirement for requirement in extras()[extra]}
    assert not [name for name, requirement in wanted.items() if requirement.extras], "these bring pins of one release"
    for pins in TORCH_PINS[extra]:
        assert len(wanted.keys() & pins) >= 1
        for name in wanted.keys() & pins:
            assert wanted[name].specifier.contains(pins[name]), (name, pins[name])
        assert "cuda-toolkit" not in wanted


@pytest.mark.parametrize("extra", TORCH_PINS)
def test_a_numpy_that_numba_cuda_does_not_load_with_is_not_taken(extra: str) -> None:
    (numpy,) = (requirement for requirement in extras()[extra] if requirement.name == "numpy")
    assert [version for version in ("2.0.0", "2.4.6", "2.5.0", "2.5.5") if numpy.specifier.contains(version)] == ["2.0.0", "2.4.6"]


def test_every_compiler_of_an_extra_counts_for_the_key() -> None:
    named = {requirement.name for extra in TORCH_PINS for requirement in extras()[extra]}
    assert named <= set(packages.MADE_BY)
    assert set(packages.COMPILERS) <= named


# ---- packages that do not go together ----


@need_compiler
def test_a_linker_that_is_older_than_the_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Played by a compiler of the future; the linker's own words are in the message, and nothing is remembered on disk."""
    from fastsig.kernels.cuda import compiler

    monkeypatch.setenv("FASTSIG_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(compiler, "ptx_of", lambda *_: ".version 99.1\n.target sm_90\n.address_size 64\n")
    words = cuda_status.try_compiling(NEW)
    assert re.search(r"refuses a kernel for sm_90 \(.*Unsupported \.version 99\.1.*\); the compilers here are nvidia-nvvm 13", words), words
    assert re.search("to one release of CUDA that knows this GPU, such as by pip install --upgrade nvidia-nvvm nvidia-nvjitlink", words)
    assert not (tmp_path / "kernels").exists()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("print('available')", "^available$"),
        ("raise SystemExit('no numba')", r"^the trial whether kernels compile ended with status 1 \(no numba\); pip install"),
        ("import os; os.abort()", r"^the trial whether kernels compile ended with status -6 \(.*\); pip install"),
        ("while True: pass", r"^whether kernels compile could not be tried \(.*timed out"),
    ],
)
def test_a_trial_in_another_process(code: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    run = subprocess.run
    monkeypatch.setattr(cuda_status, "_MOST_SECONDS", 1 if code == "while True: pass" else 60)
    monkeypatch.setattr(subprocess, "run", lambda command, **options: run([*command[:2], code], **options))
    assert re.search(words, cuda_status._tried_elsewhere(NEW)), cuda_status._tried_elsewhere(NEW)


@pytest.mark.parametrize(
    ("error", "numpy", "words"),
    [
        (
            AttributeError("module 'numpy' has no attribute 'row_stack'"),
            "2.5.2",
            r"^numba-cuda \S* ?does not load with NumPy 2\.5\.2 \(AttributeError: .*row_stack'\); pip install 'numpy<2\.5'$",
        ),
        (
            ImportError("libX.so"),
            "2.4.6",
            r"^numba-cuda \S* ?does not load \(ImportError: libX\.so\); pip install 'fastsig-kernels\[cuda13\]'",
        ),
        (OSError("no libnvrtc\nfor many lines"), "2.4.6", r"^numba-cuda compiles no kernel \(OSError: no libnvrtc\); .*\[cuda13\]'"),
        (ValueError(), "2.4.6", r"^numba-cuda compiles no kernel \(ValueError: \); "),
    ],
)
def test_packages_that_do_not_load(error: Exception, numpy: str, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def failing(room: str) -> Any:
        raise error

    monkeypatch.setenv("FASTSIG_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(cuda_status, "load", failing)
    monkeypatch.setattr(cuda_status.np, "__version__", numpy)
    assert re.search(words, cuda_status.try_compiling(NEW)), cuda_status.try_compiling(NEW)


def test_warnings_of_other_packages_are_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    def importing(name: str) -> str:
        warnings.warn(f"{name} does what will be an error", DeprecationWarning, stacklevel=1)
        return name

    monkeypatch.setattr(cuda_status.importlib, "import_module", importing)
    monkeypatch.setattr(cuda_status.first_calls, "before_a_backend_is_loaded", lambda: None)
    assert cuda_status.load("launch") == "fastsig.kernels.cuda.launch"


def test_the_key_of_what_was_compiled_names_every_package(monkeypatch: pytest.MonkeyPatch) -> None:
    stamp = packages.stamp.__wrapped__
    before = stamp()
    for name in packages.MADE_BY:
        with monkeypatch.context() as changed:
            changed.setattr(packages, "version", lambda asked, name=name: "99" if asked == name else "")
            one = stamp()
            changed.setattr(packages, "version", lambda asked: "")
            assert one != stamp()
    assert stamp() == before
