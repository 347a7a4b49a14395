"""A few calls of every kind of CUDA kernel, small enough for NVIDIA's checkers: ``compute-sanitizer python tools/gpu_calls.py``.

``--elements`` makes them larger, for the profiler. Results are compared with the host's.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np
import torch

import fastsig as fs
from fastsig.ops import OPS


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--elements", type=int, default=5001)
    parser.add_argument("--dtypes", default="float32,float64,float16,bfloat16")
    arguments = parser.parse_args(argv)
    random = np.random.default_rng(0)
    x, t = random.normal(0, 4, arguments.elements), random.random(arguments.elements)
    wrong = []
    for dtype in arguments.dtypes.split(","):
        kind = getattr(torch, dtype)
        logits, targets = (torch.from_numpy(a).to(kind) for a in (x, t))
        on_gpu, goals = logits.cuda(), targets.cuda()
        for op in OPS:
            if op.nin == 1:
                for part in (slice(None), slice(1, None), slice(None, None, 3)):
                    got, want = getattr(fs, op.name)(on_gpu[part]), getattr(fs, op.name)(logits[part].clone())
                    if not torch.equal(got.cpu().nan_to_num(7), want.nan_to_num(7)):
                        wrong.append(f"{op.name}, {dtype}, {part}")
        weights = goals + 0.5
        for options in ({}, {"weight": weights}, {"mask": goals > 0.25}):
            fs.bce_with_logits_value_and_grad(on_gpu, goals, **options)
            fs.sigmoid_focal_loss_value_and_grad(on_gpu, goals, **options)
        fs.bce_with_logits(on_gpu, goals)
        fs.bce_with_logits_value_and_grad(on_gpu[::2], goals[::2])
    torch.cuda.synchronize()
    print("\n".join(wrong) or "all elementwise results are the host's")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
