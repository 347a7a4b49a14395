"""The installed packages that kernels are compiled with: their versions, in words and as the key of what they have made."""

from __future__ import annotations

import sys
from functools import cache

COMPILERS = (
    "nvidia-nvvm", "nvidia-cuda-nvcc-cu12", "nvidia-nvjitlink", "nvidia-nvjitlink-cu12", "nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12",
)  # fmt: skip
"""NVIDIA's, which may be of several releases of CUDA; those of CUDA 12 have names of their own, and libNVVM is part of nvcc there."""
MADE_BY = ("numba-cuda", "numba", "llvmlite", "numpy", "cuda-core", "cuda-bindings", "cuda-pathfinder", *COMPILERS)


def version(distribution: str) -> str:
    """ "" where it is not installed."""
    from importlib import metadata  # costs a tenth of ``import fastsig``

    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return ""


@cache
def stamp() -> str:
    """Over the source that kernels are made from, and over the versions of what makes them."""
    import hashlib

    from fastsig.kernels.stamp import source_stamp

    made_by = "".join(f"{name}={version(name)};" for name in MADE_BY)
    return hashlib.sha256((source_stamp() + made_by + sys.version).encode()).hexdigest()[:24]


def compilers() -> str:
    """NVIDIA's packages that are here, with their versions."""
    return ", ".join(f"{name} {version(name)}" for name in COMPILERS if version(name)) or "from no package"


def upgrade() -> str:
    """The command that brings them to one release of CUDA, the newest."""
    return " ".join(["pip install --upgrade", *(name for name in COMPILERS if version(name))])
