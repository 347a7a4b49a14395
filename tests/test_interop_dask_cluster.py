"""Losses on a cluster of two worker processes: one of them killed half-way, and data larger than a worker's memory."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import dask_sources
import numpy as np
import pytest
from processes import run_python
from reference import Array, assert_same_bits

import fastsig as fs

da = pytest.importorskip("dask.array")
distributed = pytest.importorskip("distributed")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1", memory_limit="400 MiB"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def made(n: int, chunks: int, **how: Any) -> tuple[Any, Any]:
    """Logits and targets that exist as tasks only."""
    cut = da.core.normalize_chunks(chunks, (n,))
    x = da.map_blocks(partial(dask_sources.logits, **how), chunks=cut, dtype=how.get("dtype", "float32"), meta=np.empty(0, "float32"))
    return x, da.map_blocks(dask_sources.targets, chunks=cut, dtype="int8", meta=np.empty(0, "int8"))


def whole(n: int) -> tuple[Array, Array]:
    info = {None: {"array-location": [(0, n)]}}
    return dask_sources.logits(info), dask_sources.targets(info)


@pytest.mark.parametrize("chunks", [20_480, 20_000])
def test_two_processes_give_the_bits_of_one_call(client: Any, chunks: int) -> None:
    n = 200_000
    x, t = made(n, chunks)
    want = fs.bce_with_logits_value_and_grad(*whole(n), pos_weight=2.0)
    loss, grad = client.gather(client.compute(fs.bce_with_logits_value_and_grad(x, t, pos_weight=2.0)))
    assert type(loss) is np.float32
    assert_same_bits(np.asarray(loss), np.asarray(want[0]))
    assert_same_bits(grad, want[1])
    assert_same_bits(client.compute(fs.sigmoid(x)).result(), fs.sigmoid(whole(n)[0]))


@pytest.mark.parametrize("chunks", [20_480, 20_000])
def test_a_killed_worker_changes_no_bit(client: Any, chunks: int, tmp_path: Path) -> None:
    n, blocks = 20 * chunks, 20
    x, t = made(n, chunks, seconds=0.1, seen=str(tmp_path))
    future = client.compute(fs.bce_with_logits(x, t))
    until = time.monotonic() + 60
    while len(os.listdir(tmp_path)) < blocks // 2:
        assert time.monotonic() < until, "no tasks are run"
        time.sleep(0.01)
    assert not future.done()
    os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
    assert_same_bits(np.asarray(future.result(timeout=60)), np.asarray(fs.bce_with_logits(*whole(n))))
    client.wait_for_workers(2, timeout=60)


def test_data_larger_than_the_memory_of_a_worker(client: Any) -> None:
    """0.6 GB of logits where each of two processes may have 0.4: chunks come and go, and what is kept is sums."""
    n, chunks = 150_000_000, 2_000_000
    x, t = made(n, chunks)
    got = client.compute(fs.bce_with_logits(x, t)).result(timeout=300)
    total = fs.BCEAccumulator()
    for low in range(0, n, 1 << 22):
        info = {None: {"array-location": [(low, min(low + (1 << 22), n))]}}
        total.update(dask_sources.logits(info), dask_sources.targets(info))
    assert_same_bits(np.asarray(got), np.asarray(total.result("mean")))
    assert all(worker["metrics"]["memory"] < 400 << 20 for worker in client.scheduler_info()["workers"].values())


def test_workers_need_nothing_imported_before(client: Any) -> None:
    """What tasks are made of is pickled by name, and a worker loads fastsig with the first of them."""
    done = run_python(
        "import pickle, fastsig as fs, dask.array as da; print(pickle.dumps(fs.bce_with_logits(da.ones(9, chunks=4), 1)).hex())"
    )
    assert done.returncode == 0, done.stderr
    code = f"import pickle; print(pickle.loads(bytes.fromhex({done.stdout.strip()!r})).compute().hex())"
    assert float.fromhex(run_python(code).stdout) == fs.bce_with_logits(np.ones(9), 1)
