"""Operations and losses on a GPU beside torch, torch.compile and CuPy: ``python benchmarks/gpu.py``, on a machine that has one.

Times are of the device alone: a call is queued behind a kernel that waits, so that what it costs the host has passed when it starts.
Medians by CUDA events, on outputs that exist where a library takes them. "Of copy" is the bandwidth of what must be read and written,
as a share of that of a device copy of random numbers in the same run. Host times are measured apart, by the clock, with nothing to wait
for. Prints tables, and writes results/gpu-*.json and .png with device, driver and date.
"""

from __future__ import annotations

import argparse
import ctypes
import datetime
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import fastsig as fs
from fastsig.measure.styles import styles_of
from fastsig.system.terminal import Progress, show

RESULTS = Path(__file__).parent / "results"
OPS = ("sigmoid", "sigmoid_grad", "log_sigmoid", "softplus", "logit", "silu", "silu_grad", "tanh", "tanh_grad")
TYPES = {"float32": 4, "float64": 8, "float16": 2, "bfloat16": 2}
COMPILED = ("float32", "float16")
"""The types that torch.compile is measured with: it compiles for seconds each."""
WAIT = 2_000_000
"""Clocks of the kernel that every measured call waits for: about a millisecond, longer than any call takes the host."""
Calls = dict[str, Callable[[], Any]]


def timed(call: Callable[[], Any], rounds: int) -> float:
    """The median time of a call on the device, in seconds; the cache is left as the last call left it."""
    import torch

    for _ in range(3):
        call()
    times = []
    for _ in range(rounds):
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda._sleep(WAIT)
        start.record()
        call()
        stop.record()
        stop.synchronize()
        times.append(start.elapsed_time(stop) / 1e3)
    return statistics.median(times)


def host_time(call: Callable[[], Any], calls: int = 100, rounds: int = 15) -> float:
    """What a call costs the caller, in seconds: the least of some rounds, each with an empty queue before it."""
    import torch

    for _ in range(100):
        call()
    least = float("inf")
    for _ in range(rounds):
        torch.cuda.synchronize()
        since = time.perf_counter()
        for _ in range(calls):
            call()
        least = min(least, (time.perf_counter() - since) / calls)
    torch.cuda.synchronize()
    return least


def inputs(op: str, n: int, dtype: str) -> Any:
    """Logits around 0, or for logit probabilities between 0 and 1."""
    import torch

    x = torch.rand(n, device="cuda") if op == "logit" else torch.randn(n, device="cuda") * 4
    return x.to(getattr(torch, dtype))


def elementwise(op: str, n: int, dtype: str) -> Calls:
    import torch

    functional = torch.nn.functional
    x = inputs(op, n, dtype)
    out = torch.empty_like(x)
    mine = getattr(fs, op)
    calls: Calls = {"fastsig": lambda: mine(x, out=out)}
    eager: dict[str, Callable[[], Any]] = {
        "sigmoid": lambda: torch.sigmoid(x, out=out),
        "log_sigmoid": lambda: functional.logsigmoid(x),
        "softplus": lambda: functional.softplus(x),
        "logit": lambda: torch.logit(x, out=out),
        "silu": lambda: functional.silu(x),
        "tanh": lambda: torch.tanh(x, out=out),
    }
    if op in eager:
        calls["torch"] = eager[op]
    if op in eager and dtype in COMPILED:
        functions = {"sigmoid": torch.sigmoid, "logit": torch.logit, "tanh": torch.tanh}
        compiled = torch.compile(functions.get(op) or getattr(functional, op.replace("log_", "log")))
        calls["torch.compile"] = lambda: compiled(x)
    if op == "sigmoid" and dtype != "bfloat16":
        calls |= _cupy_sigmoid(x, out)
    return calls


def _cupy_sigmoid(x: Any, out: Any) -> Calls:
    try:
        import cupy
        import cupyx.scipy.special
    except ImportError:
        return {}
    given, target = cupy.from_dlpack(x), cupy.from_dlpack(out)
    kernel = cupy.ElementwiseKernel("T x", "T y", "y = T(1) / (T(1) + exp(-x))", "logistic")
    return {
        "cupy ElementwiseKernel": lambda: kernel(given, target),
        "cupy, scipy.special.expit": lambda: cupyx.scipy.special.expit(given, target),
    }


def losses(n: int, dtype: str) -> Calls:
    """The mean loss and its gradient. Compiled by torch: through autograd, and the gradient's formula written by hand."""
    import torch

    loss = torch.nn.functional.binary_cross_entropy_with_logits
    x = inputs("sigmoid", n, dtype)
    t = torch.rand(n, device="cuda").to(x.dtype)
    grad, value = torch.empty_like(x), torch.empty((), dtype=x.dtype, device="cuda")
    leaf = x.clone().requires_grad_()

    def through_autograd(function: Callable[..., Any]) -> None:
        leaf.grad = None
        function(leaf, t).backward()

    calls: Calls = {
        "fastsig": lambda: fs.bce_with_logits_value_and_grad(x, t, out=value, grad_out=grad),
        "torch": lambda: through_autograd(loss),
    }
    if dtype in COMPILED:
        compiled = torch.compile(loss)
        by_hand = torch.compile(lambda x, t: (loss(x, t), (torch.sigmoid(x) - t) / n))
        calls["torch.compile"] = lambda: through_autograd(compiled)
        calls["torch.compile, gradient by hand"] = lambda: by_hand(x, t)
    return calls


def mean_losses(n: int, dtype: str) -> Calls:
    import torch

    loss = torch.nn.functional.binary_cross_entropy_with_logits
    x = inputs("sigmoid", n, dtype)
    t = torch.rand(n, device="cuda").to(x.dtype)
    value = torch.empty((), dtype=x.dtype, device="cuda")
    calls: Calls = {"fastsig": lambda: fs.bce_with_logits(x, t, out=value), "torch": lambda: loss(x, t)}
    if dtype in COMPILED:
        compiled = torch.compile(loss)
        calls["torch.compile"] = lambda: compiled(x, t)
    return calls


def contests(n: int) -> Iterator[tuple[str, str, int, Callable[[], Calls]]]:
    """Name, dtype, how many arrays must be read or written, and what makes the calls."""
    for dtype in TYPES:
        for op in OPS:
            yield op, dtype, 2, lambda op=op, dtype=dtype: elementwise(op, n, dtype)  # type: ignore[misc]
        yield "mean BCE", dtype, 2, lambda dtype=dtype: mean_losses(n, dtype)  # type: ignore[misc]
        yield "mean BCE and gradient", dtype, 3, lambda dtype=dtype: losses(n, dtype)  # type: ignore[misc]


def copy_time(n: int, dtype: str, rounds: int) -> float:
    import torch

    x = inputs("sigmoid", n, dtype)
    out = torch.empty_like(x)
    return timed(lambda: out.copy_(x), rounds)


def measure(n: int, rounds: int) -> list[dict[str, Any]]:
    rows = []
    copies = {dtype: copy_time(n, dtype, rounds) for dtype in TYPES}
    found = list(contests(n))
    with Progress(len(found), "benchmark") as progress:
        for op, dtype, arrays, make in found:
            for library, call in make().items():
                seconds = timed(call, rounds)
                of_copy = arrays / 2 * copies[dtype] / seconds
                rows.append({"op": op, "dtype": dtype, "library": library, "seconds": seconds, "of_copy": of_copy})
            progress.advance(1)
    return rows


def host_times() -> dict[str, float]:
    """Of calls on 1,000 float32."""
    import torch

    n = 1000
    x, t = torch.randn(n, device="cuda"), torch.rand(n, device="cuda")
    out, value, strided = torch.empty_like(x), torch.empty((), device="cuda"), torch.randn(2 * n, device="cuda")[::2]
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    return {
        "fastsig: sigmoid, out given": host_time(lambda: fs.sigmoid(x, out=out)),
        "torch: sigmoid, out given": host_time(lambda: torch.sigmoid(x, out=out)),
        "fastsig: sigmoid": host_time(lambda: fs.sigmoid(x)),
        "torch: sigmoid": host_time(lambda: torch.sigmoid(x)),
        "fastsig: sigmoid, every second element": host_time(lambda: fs.sigmoid(strided)),
        "torch: sigmoid, every second element": host_time(lambda: torch.sigmoid(strided)),
        "fastsig: mean BCE": host_time(lambda: fs.bce_with_logits(x, t, out=value)),
        "torch: mean BCE": host_time(lambda: loss(x, t)),
        "fastsig: mean BCE and gradient": host_time(lambda: fs.bce_with_logits_value_and_grad(x, t, out=value, grad_out=out)),
    }


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


def driver_version() -> str:
    """Of NVIDIA's driver, by its management library, such as 580.159.04; "" where that is not there."""
    text = ctypes.create_string_buffer(80)
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return ""
    if library.nvmlInit_v2() or library.nvmlSystemGetDriverVersion(text, len(text)):
        return ""
    return text.value.decode()


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--elements", type=int, default=1 << 26)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    arguments = parser.parse_args(argv)
    status = fs.backends()["cuda"]
    if status != "available":
        print(f"no CUDA here: {status}", file=sys.stderr)
        return 1
    import torch

    device = torch.cuda.get_device_name()
    rows = measure(arguments.elements, arguments.rounds)
    cells = [
        [row["op"], row["dtype"], row["library"], f"{row['seconds'] * 1e6:,.1f}", f"{row['of_copy']:.1%}"] for row in rows
    ]  # fmt: skip
    show(cells, ("operation", "dtype", "library", "us", "of copy"))
    host = host_times()
    show([[name, f"{seconds * 1e6:.2f}"] for name, seconds in host.items()], ("host time of a call of 1,000 elements", "us"))
    today = datetime.date.today().isoformat()
    facts = {
        "device": device, "driver": driver_version(), "torch": torch.__version__, "fastsig": fs.__version__, "date": today,
        "elements": arguments.elements,
    }  # fmt: skip
    stem = arguments.out / f"gpu-{device.lower().replace(' ', '-')}-{today}"
    stem.with_suffix(".json").write_text(json.dumps({"machine": facts, "rows": rows, "host": host}, indent=1) + "\n")
    plot(rows, stem.with_suffix(".png"), device)
    return 0


if __name__ == "__main__":
    sys.exit(main())
