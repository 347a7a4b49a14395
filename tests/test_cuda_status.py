"""Whether CUDA is there, told without loading Numba; each reason why not names its remedy."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest
from processes import printed

import fastsig as fs
from fastsig.kernels.cuda import status as cuda_status


class Driver:
    """As much of libcuda as the look needs."""

    def __init__(self, version: int = 13000, devices: int = 1, error: int = 0) -> None:
        self.version, self.devices, self.error = version, devices, error

    def cuDriverGetVersion(self, into: Any) -> int:
        into._obj.value = self.version
        return 0

    def cuInit(self, flags: int) -> int:
        return self.error

    def cuDeviceGetCount(self, into: Any) -> int:
        into._obj.value = self.devices
        return 0

    def cuGetErrorString(self, error: int, into: Any) -> int:
        into._obj.value = b"system not yet initialized"
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
        (None, Driver(error=3), 13, "did not start: system not yet initialized"),
        (None, Driver(), 13, "^available$"),
        (None, Driver(13020), 12, "^available$"),
    ],
)
def test_status(missing: Any, driver: Any, toolkit: int, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_status, "_missing_package", lambda: missing)
    monkeypatch.setattr(cuda_status, "_driver", lambda: driver)
    monkeypatch.setattr(cuda_status, "_toolkit_major", lambda: toolkit)
    status = cuda_status.status.__wrapped__()
    import re

    assert re.search(words, status), status


def test_a_driver_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", absent)
    assert cuda_status._driver() is None


@pytest.mark.parametrize("module", ["numba_cuda", "cuda"])
def test_a_package_that_is_not_there(module: str) -> None:
    status = printed(f"import sys; sys.modules[{module!r}] = None; import fastsig as fs; print(fs.backends()['cuda'])")
    assert status.endswith("is not installed (pip install 'fastsig-kernels[cuda13]' (or 'fastsig-kernels[cuda12]' for drivers below 580))")


def test_the_status_loads_nothing() -> None:
    loaded = "print(sorted({'numba', 'llvmlite', 'cuda', 'torch', 'cupy'} & set(sys.modules)))"
    assert printed(f"import sys, fastsig; from fastsig.kernels.cuda import status; status.status(); {loaded}") == "[]"


def test_host_arrays_never_go_there() -> None:
    assert "cuda" not in fs.explain([1.0, 2.0])
    with pytest.raises(RuntimeError, match="backend='cuda' (cannot serve|computes on arrays of an NVIDIA GPU)"):
        fs.sigmoid([1.0, 2.0], backend="cuda")
