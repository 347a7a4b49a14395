"""Calls of every kind of CUDA kernel, compared with the host's results: ``compute-sanitizer python tools/gpu_calls.py``.

Small enough for NVIDIA's checkers; ``--elements`` makes them larger, for the profiler.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import torch

import fastsig as fs
from fastsig.ops import OPS

WORDS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
Array = np.ndarray[Any, Any]


def on_gpu(array: Array) -> Any:
    """A tensor of the same bits."""
    if array.dtype == bool:
        return torch.from_numpy(array).cuda()
    return torch.from_numpy(np.ascontiguousarray(array).view(f"i{array.itemsize}")).cuda().view(getattr(torch, array.dtype.name))


def on_host(tensor: Any, dtype: np.dtype[Any]) -> Array:
    return np.asarray(tensor.contiguous().view(WORDS[dtype.itemsize]).cpu()).view(dtype)


def same(got: Any, want: Any) -> bool:
    if isinstance(want, tuple):
        return all(map(same, got, want))
    expected = np.asarray(want)
    found = on_host(got, expected.dtype)
    equal = found.view(f"u{found.itemsize}") == expected.view(f"u{found.itemsize}")
    return bool(np.all(equal | (np.isnan(found) & np.isnan(expected))))


def calls(x: Array, t: Array) -> dict[str, tuple[Callable[..., Any], tuple[Array, ...]]]:
    """What is called, and with which arrays, by a name."""
    mask, rows = t > 0.25, x[: x.size // 12 * 12].reshape(-1, 12)
    found: dict[str, tuple[Callable[..., Any], tuple[Array, ...]]] = {}
    for op in (op for op in OPS if op.nin == 1):
        function = getattr(fs, op.name)
        found |= {op.name: (function, (x,)), f"{op.name}, from the second on": (function, (x[1:],))}
        found[f"{op.name}, every third"] = (lambda a, function=function: function(a[::3]), (x,))
    found |= {
        "mean": (fs.bce_with_logits, (x, t)),
        "probabilities": (fs.bce, (t, t)),
        "mean and gradient": (fs.bce_with_logits_value_and_grad, (x, t)),
        "none": (lambda x, t: fs.bce_with_logits_value_and_grad(x, t, reduction="none"), (x, t)),
        "weights": (lambda x, t: fs.bce_with_logits_value_and_grad(x, t, weight=t), (x, t)),
        "mask": (lambda x, t, mask: fs.bce_with_logits_value_and_grad(x, t, mask=mask), (x, t, mask)),
        "second derivative": (fs.bce_with_logits_grad_hess, (x, t)),
        "every second": (lambda x, t: fs.bce_with_logits_value_and_grad(x[::2], t[::2]), (x, t)),
        "focal": (fs.sigmoid_focal_loss_value_and_grad, (x, t)),
        "glu": (fs.glu, (rows,)),
        "swiglu": (fs.swiglu, (x, t)),
        "lstm_cell": (lambda rows: fs.lstm_cell(rows, rows[:, :3]), (rows,)),
    }
    return found


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--elements", type=int, default=5001)
    parser.add_argument("--dtypes", default="float32,float64,float16,bfloat16")
    arguments = parser.parse_args(argv)
    random = np.random.default_rng(0)
    x, t = random.normal(0, 4, arguments.elements), random.random(arguments.elements)
    wrong = []
    for name in arguments.dtypes.split(","):
        dtype = np.dtype(ml_dtypes.bfloat16) if name == "bfloat16" else np.dtype(name)
        for what, (function, arrays) in calls(x.astype(dtype), t.astype(dtype)).items():
            if not same(function(*map(on_gpu, arrays)), function(*arrays)):
                wrong.append(f"{what}, {name}")
    torch.cuda.synchronize()
    print("\n".join(wrong) or "all results are the host's")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
