"""What an activation costs beside the matrix product before it, on this machine: the one part of the lesson that no test checks."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

import fastsig as fs
from fastsig.measure.timing import Timed, interleave, timer
from fastsig.system.atomic_files import write_text
from fastsig.system.cpu import cpu_name

RECORD = Path(__file__).parent / "times.json"
BATCH, WIDTH = 128, 512


def measure() -> dict[str, Any]:
    """Medians in microseconds, one thread, float32, results written to an array that is there."""
    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    x, out = (generator.normal(size=(BATCH, WIDTH)).astype(np.float32) for _ in range(2))
    logits, result, product = torch.from_numpy(x), torch.from_numpy(out), torch.empty(BATCH, WIDTH)
    weights = torch.randn(WIDTH, WIDTH)
    calls = {
        "matrix product": lambda: torch.mm(logits, weights, out=product),
        "relu": lambda: torch.clamp_min(logits, 0, out=result),
        "exp": lambda: np.exp(x, out=out),
        "torch sigmoid": lambda: torch.sigmoid(logits, out=result),
        "fastsig sigmoid": lambda: fs.sigmoid(x, out=out, threads=1),
    }
    found = interleave({name: Timed(timer(call, cpu_time=True)) for name, call in calls.items()}, rounds=101)
    return {
        "machine": cpu_name(),
        "date": datetime.date.today().isoformat(),
        "torch": torch.__version__.partition("+")[0],
        "microseconds": {name: round(spread.median * 1e6, 1) for name, spread in found.items()},
    }


def record() -> None:
    write_text(RECORD, json.dumps(measure(), indent=2) + "\n")
