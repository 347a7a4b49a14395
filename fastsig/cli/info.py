"""``fastsig info``: what this installation is and has."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable, Sequence
from importlib import metadata

import numpy as np

import fastsig
from fastsig import get_include, get_library, get_num_threads
from fastsig.dispatch import thresholds
from fastsig.kernels import code_cache
from fastsig.kernels.c.status import library as c
from fastsig.kernels.numba import cache_place
from fastsig.system.terminal import show

DISTRIBUTION = "fastsig-kernels"
"""The name to install; the import is ``fastsig``."""


def main(argv: Sequence[str]) -> int:
    summary = "Show the version, the backends, the instruction set and the settings in force."
    argparse.ArgumentParser(prog="fastsig info", description=summary).parse_args(argv)
    show(facts())
    return 0


def facts() -> list[tuple[str, str]]:
    """What this installation is and has, as pairs of a name and its value."""
    rows = [
        ("fastsig", fastsig.__version__),
        ("Python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ("NumPy", np.__version__),
    ]
    others = _other_distributions()
    if others:
        rows.append(("mixed up with", f"{', '.join(others)}: uninstall that and {DISTRIBUTION}, then install {DISTRIBUTION} again"))
    rows += [(f"backend {name}", status) for name, status in fastsig.backends().items()]
    rows += _c_facts()
    rows += [
        ("threads", _or_error(lambda: f"at most {get_num_threads()}")),
        ("thresholds", thresholds.in_force().source),
        ("FASTSIG_BACKEND", os.environ.get("FASTSIG_BACKEND") or "not set"),
        ("FASTSIG_NUM_THREADS", os.environ.get("FASTSIG_NUM_THREADS") or "not set"),
        ("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS") or "not set"),
        ("FASTSIG_AFFINITY", os.environ.get("FASTSIG_AFFINITY") or "not set"),
        ("Numba's cache", _numba_cache()),
    ]
    return rows


def _other_distributions() -> list[str]:
    """Distributions other than ours whose files lie in this package's folder, such as the stranger's that has the bare name."""
    return sorted({name for name in metadata.packages_distributions().get("fastsig", ()) if name.replace("_", "-").lower() != DISTRIBUTION})


def _c_facts() -> list[tuple[str, str]]:
    if c is None:
        return []
    return [
        ("instruction set", f"{c.isa()} (available: {', '.join(c.isas())})"),
        ("streaming stores", f"for outputs of {c.stream_bytes():,} bytes and more"),
        ("C header", get_include()),
        ("C library", _or_error(get_library)),
    ]


def _or_error(value: Callable[[], str]) -> str:
    """The value, or the complaint that the user should see in its place."""
    try:
        return value()
    except (ValueError, RuntimeError, OSError, StopIteration) as error:
        return f"error: {error}"


def _numba_cache() -> str:
    """Where Numba's kernels are kept and loaded from, and what is passed over there; Numba is not imported for this."""
    refused = []
    for directory, why_not in cache_place.places():
        if why_not:
            refused.append(f"not {directory}: {why_not}" if directory else why_not)
            continue
        others = [f"without {name}: {why}" for name, why in code_cache.passed_over(directory or "")]
        return ", ".join([str(directory), *others[:3], *refused])
    return "; ".join(["none", *refused])
