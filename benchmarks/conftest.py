"""``pytest benchmarks --benchmark-only``: fastsig beside its peers, one group a comparison, one thread each.

By default a selection that takes a few minutes; ``--everything`` also takes the other sizes, dtypes, allocating calls and threads.
``--cpu-time`` is for a machine that others use too.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import contests
import numpy as np
import pytest

import fastsig as fs


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--everything", action="store_true", help="all sizes, dtypes, modes and numbers of threads: an hour")
    parser.addoption("--cpu-time", action="store_true", help="count processor time, not wall time, where one thread computes")


def pytest_configure(config: pytest.Config) -> None:
    contests.CPU_TIME = config.getoption("--cpu-time")


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The others are told by their calls, or have but one; torch as soon as it is there."""
    fs.set_num_threads(1)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)
    with np.errstate(all="ignore"):
        yield
    fs.set_num_threads(None)


@pytest.fixture
def everything(pytestconfig: pytest.Config) -> bool:
    chosen: bool = pytestconfig.getoption("--everything")
    return chosen
