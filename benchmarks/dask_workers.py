"""A loss of dask arrays on one worker process of one thread, then on two: python benchmarks/dask_workers.py [elements] [chunk].

Making the data is not counted: the blocks are in the workers' memory before the clock starts. Times are medians. Where others use the
cores, the processors' time of the busiest worker says how the work was shared, and the clock says little.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster, wait

import fastsig as fs

ROUNDS = 9
LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "mean loss": fs.bce_with_logits,
    "mean loss and gradient": fs.bce_with_logits_value_and_grad,
    "focal loss": fs.sigmoid_focal_loss,
}


def made(block_info: Any) -> np.ndarray[Any, Any]:
    (low, high), *_ = block_info[None]["array-location"]
    scattered = np.arange(low, high, dtype=np.uint32) * np.uint32(2654435761)
    return scattered.astype(np.float32) * np.float32(2**-28) - np.float32(8)


def seconds(client: Client, call: Callable[[Any, Any], Any], x: Any, t: Any) -> tuple[float, float]:
    """By the clock, and of the busiest worker's processor."""
    before = client.run(time.process_time)
    began = time.perf_counter()
    futures = client.compute(call(x, t)) if call is not fs.bce_with_logits_value_and_grad else client.persist(list(call(x, t)))
    wait(futures)
    elapsed = time.perf_counter() - began
    return elapsed, max(after - before[worker] for worker, after in client.run(time.process_time).items())


def main() -> None:
    n, chunk = (int(float(text)) for text in (*sys.argv[1:], *("2e8", "1e7")[len(sys.argv) - 1 :]))
    chunk -= chunk % 1024
    found: dict[str, dict[int, list[tuple[float, float]]]] = {name: {1: [], 2: []} for name in LOSSES}
    for workers in (1, 2):
        with (
            LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None, memory_limit=0) as cluster,
            Client(cluster) as client,
        ):
            x = da.map_blocks(made, chunks=da.core.normalize_chunks(chunk, (n,)), dtype=np.float32, meta=np.empty(0, np.float32))
            x, t = client.persist([x, (x > 0).astype(np.int8)])
            wait([x, t])
            for name, call in LOSSES.items():
                seconds(client, call, x, t)
                found[name][workers] = [seconds(client, call, x, t) for _ in range(ROUNDS)]
    print(f"{n:,} float32 in blocks of {chunk:,}; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for name, times in found.items():
        for i, what in enumerate(("by the clock", "of the busiest worker's processor")):
            one, two = (statistics.median(pair[i] for pair in times[workers]) for workers in (1, 2))
            print(f"{name}: {what}, one process {one * 1e3:.0f} ms, two {two * 1e3:.0f} ms, {one / two:.2f} times as fast")


if __name__ == "__main__":
    main()
