"""Blocks made by tasks, for workers in other processes: made anew wherever a worker that held them is lost."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def logits(block_info: Any, dtype: str = "float32", seconds: float = 0.0, seen: str | None = None) -> Array:
    """Numbers that depend on their place alone. A file in the directory ``seen`` says that a block was made."""
    (low, high), *_ = block_info[None]["array-location"]
    time.sleep(seconds)
    if seen is not None:
        (Path(seen) / str(low)).touch()
    scattered = np.arange(low, high, dtype=np.uint32) * np.uint32(2654435761)  # Knuth's multiplicative hash
    return scattered.astype(dtype) * np.array(2.0**-28, dtype) - np.array(8, dtype)


def targets(block_info: Any) -> Array:
    (low, high), *_ = block_info[None]["array-location"]
    return (np.arange(low, high) % 3 == 0).astype(np.int8)
