"""Operations and losses on a GPU beside torch, CuPy and JAX: ``python benchmarks/gpu.py``, on a machine that has one.

Times are medians by CUDA events, on outputs that exist; "of copy" is the bandwidth of what an operation must read and write as a
share of that of a device copy, measured beside it. Writes a table, and results/gpu-*.json and .png with device, driver and date.
"""

from __future__ import annotations

import argparse
import datetime
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import fastsig as fs
from fastsig.measure.styles import styles_of

RESULTS = Path(__file__).parent / "results"
Calls = dict[str, Callable[[], Any]]


def timed(call: Callable[[], Any], rounds: int) -> float:
    """The median time of a call on the device, in seconds; the cache is left as the last call left it."""
    import torch

    for _ in range(3):
        call()
    times = []
    for _ in range(rounds):
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        call()
        stop.record()
        stop.synchronize()
        times.append(start.elapsed_time(stop) / 1e3)
    return statistics.median(times)


def host_time(call: Callable[[], Any], rounds: int = 2000) -> float:
    """What a call costs the caller, in seconds; the device is waited for outside."""
    import torch

    for _ in range(100):
        call()
    torch.cuda.synchronize()
    since = time.perf_counter()
    for _ in range(rounds):
        call()
    taken = (time.perf_counter() - since) / rounds
    torch.cuda.synchronize()
    return taken


def copies(n: int, dtype: str) -> Calls:
    import torch

    x = torch.zeros(n, dtype=getattr(torch, dtype), device="cuda")
    out = torch.empty_like(x)
    return {"copy": lambda: out.copy_(x)}


def elementwise(op: str, n: int, dtype: str) -> Calls:
    import torch

    x = torch.randn(n, device="cuda").to(getattr(torch, dtype))
    out = torch.empty_like(x)
    mine = getattr(fs, op)
    calls: Calls = {"fastsig": lambda: mine(x, out=out)}
    if op == "sigmoid":
        calls["torch"] = lambda: torch.sigmoid(x, out=out)
        calls |= _cupy_sigmoid(x, out, dtype)
    if op == "silu":
        calls["torch"] = lambda: torch.nn.functional.silu(x)
    if op == "sigmoid_grad":
        y = torch.sigmoid(x)
        calls["torch (from the output)"] = lambda: torch.ops.aten.sigmoid_backward.grad_input(y, y, grad_input=out)
    return calls


def _cupy_sigmoid(x: Any, out: Any, dtype: str) -> Calls:
    calls: Calls = {}
    with suppress(ImportError):
        import cupy
        import cupyx.scipy.special

        if dtype != "bfloat16":
            cx, cout = cupy.from_dlpack(x), cupy.from_dlpack(out)
            kernel = cupy.ElementwiseKernel("T x", "T y", "y = T(1) / (T(1) + exp(-x))", "logistic")
            calls["cupy ElementwiseKernel"] = lambda: kernel(cx, cout)
            calls["cupyx expit"] = lambda: cupyx.scipy.special.expit(cx, cout)
    return calls


def losses(n: int, dtype: str) -> Calls:
    import torch

    loss = torch.nn.functional.binary_cross_entropy_with_logits
    x, t = torch.randn(n, device="cuda").to(getattr(torch, dtype)), torch.rand(n, device="cuda").to(getattr(torch, dtype))
    grad, value = torch.empty_like(x), torch.empty((), dtype=x.dtype, device="cuda")
    leaf = x.clone().requires_grad_()

    def eager(function: Callable[..., Any] = loss) -> None:
        leaf.grad = None
        function(leaf, t).backward()

    compiled = torch.compile(loss)
    return {
        "fastsig": lambda: fs.bce_with_logits_value_and_grad(x, t, out=value, grad_out=grad),
        "torch": eager,
        "torch.compile": lambda: eager(compiled),
    }


def measure(n: int, rounds: int) -> list[dict[str, Any]]:
    rows = []
    for dtype, size in (("float32", 4), ("float64", 8), ("float16", 2), ("bfloat16", 2)):
        copy = timed(copies(n, dtype)["copy"], rounds)
        bandwidth = 2 * n * size / copy
        contests = {op: (elementwise(op, n, dtype), 2) for op in ("sigmoid", "sigmoid_grad", "silu", "softplus", "logit")}
        contests["mean BCE and gradient"] = (losses(n, dtype), 3)
        for name, (calls, arrays) in contests.items():
            for library, call in calls.items():
                seconds = timed(call, rounds)
                row = {
                    "op": name,
                    "dtype": dtype,
                    "library": library,
                    "seconds": seconds,
                    "of_copy": arrays * n * size / seconds / bandwidth,
                }
                rows.append(row)
                print(f"{name:24}{dtype:10}{library:28}{seconds * 1e6:10.1f} us{row['of_copy']:8.1%} of copy", flush=True)
    return rows


def launches() -> dict[str, float]:
    import torch

    x = torch.ones(1000, device="cuda")
    out = torch.empty_like(x)
    return {"fastsig": host_time(lambda: fs.sigmoid(x, out=out)), "torch": host_time(lambda: torch.sigmoid(x, out=out))}


def plot(rows: list[dict[str, Any]], path: Path, device: str) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    mine = [row for row in rows if row["dtype"] == "float32"]
    styles = styles_of([row["library"] for row in mine])
    figure = Figure(figsize=(9, 0.35 * len(mine) + 1.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    labels = [f"{row['op']}, {row['library']}" for row in mine]
    axes.barh(labels, [row["of_copy"] for row in mine], color=[styles[row["library"]].colour for row in mine])
    for row, label in zip(mine, axes.get_yticklabels(), strict=True):
        label.set_fontweight("bold" if styles[row["library"]].ours else "normal")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set(xlabel="bandwidth, as a share of a device copy's", title=f"float32 on {device}, higher is better")
    figure.savefig(path, dpi=120)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--elements", type=int, default=1 << 27)
    parser.add_argument("--rounds", type=int, default=51)
    arguments = parser.parse_args(argv)
    status = fs.backends()["cuda"]
    if status != "available":
        print(f"no CUDA here: {status}", file=sys.stderr)
        return 1
    import torch

    device = torch.cuda.get_device_name()
    rows = measure(arguments.elements, arguments.rounds)
    host = launches()
    print("a call of 1,000 elements, host time:", ", ".join(f"{name} {seconds * 1e6:.2f} us" for name, seconds in host.items()))
    today = datetime.date.today().isoformat()
    facts = {
        "device": device,
        "driver": torch._C._cuda_getDriverVersion(),
        "torch": torch.__version__,
        "date": today,
        "elements": arguments.elements,
    }
    stem = RESULTS / f"gpu-{device.lower().replace(' ', '-')}-{today}"
    stem.with_suffix(".json").write_text(json.dumps({"machine": facts, "rows": rows, "launch": host}, indent=1) + "\n")
    plot(rows, stem.with_suffix(".png"), device)
    return 0


if __name__ == "__main__":
    sys.exit(main())
