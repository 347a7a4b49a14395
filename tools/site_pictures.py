"""The pictures of docs/accuracy.md, docs/performance.md and docs/gpu.md, from the recorded results: ``python tools/site_pictures.py``.

Nothing is measured. ``tests/test_site.py`` compares the pictures that are kept with what this draws.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from fastsig.measure.styles import STYLES, library_of
from fastsig.ops import BY_NAME, OPS
from fastsig.system.atomic_files import replacing

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
CPU, GPU = "cpu-amd-epyc-zen3-2026-11-24.json", "gpu-nvidia-h100-80gb-hbm3-2026-11-27.json"
TYPES = ("float32", "float64")
IN_CACHE = {"float32": 31_623, "float64": 10_000}
"""Elements that stay in the caches of the machine that was measured."""
DPI = 110
WIDTH, HEIGHT = 6.4, 3.4
"""Inches, of a picture and of a panel: panels stand above each other, so that a telephone shows the words too."""
Values = Mapping[str, Mapping[str, float]]
"""A row of the picture for each operation: a number for each library."""


def recorded(name: str) -> Any:
    return json.loads((RESULTS / name).read_text())


# ---- what is drawn ----


def errors(dtype: str) -> dict[str, dict[str, float]]:
    """The largest error that was found, in ULP, tails included, of all libraries; infinite where a result was so, or NaN."""
    record = json.loads((ROOT / "docs" / "accuracy.json").read_text())
    found: dict[str, dict[str, float]] = {}
    for peer in record["peers"]:
        if peer["dtype"] == dtype:
            found.setdefault(peer["op"], {})[peer["peer"].lower()] = math.inf if peer["all"] is None else peer["all"]
    own = {r["op"]: r["worst"] for r in record["results"] if r["dtype"] == dtype and not r["targets"]}
    return {op: {"fastsig": own[op], **others} for op, others in sorted(found.items(), key=lambda row: list(BY_NAME).index(row[0]))}


def worst_errors(dtype: str) -> dict[str, tuple[float, float]]:
    """Of every operation of one input the largest error, and the largest that is allowed."""
    record = json.loads((ROOT / "docs" / "accuracy.json").read_text())
    own = {r["op"]: r["worst"] for r in record["results"] if r["dtype"] == dtype and not r["targets"]}
    allowed = {op.name: op.ulp_f32 if dtype == "float32" else op.ulp_f64 for op in OPS}
    return {op: (own[op], bound) for op, bound in allowed.items() if op in own}


def times(dtype: str) -> dict[str, dict[str, float]]:
    """Nanoseconds an element in the caches on one thread, into an array that is given where the library can."""
    found: dict[str, dict[str, float]] = {}
    for row in sorted(recorded(CPU)["rows"], key=lambda row: row["mode"] == "out"):  # which then replaces "alloc"
        if (row["dtype"], row["size"], row["threads"]) == (dtype, IN_CACHE[dtype], 1):
            name = {"fastsig c": "fastsig"}.get(row["peer"], row["peer"].partition(",")[0])
            if name != "numba vectorize":  # the same formula as NumPy's, and as slow
                found.setdefault(row["op"], {})[name] = row["ns"]
    return found


def bandwidths() -> dict[str, dict[str, float]]:
    """On the GPU in float32, as a share of that of a copy."""
    found: dict[str, dict[str, float]] = {}
    for row in recorded(GPU)["rows"]:
        if row["dtype"] == "float32" and row["library"] in ("fastsig", "torch", "torch.compile"):
            found.setdefault(row["op"], {})[row["library"]] = row["of_copy"]
    return found


# ---- how ----


NAMES = {"jax": "JAX", "numpy": "NumPy", "onnxruntime": "ONNX Runtime", "scipy": "SciPy"}
"""Of libraries, as they write themselves where that is not their module's."""
HOLLOW = ("torch.compile",)
"""Ways to use a library that is drawn already."""
SPREAD = 0.6
"""The share of a row's height over which its marks are spread, so that equal ones do not hide each other."""


def draw_dots(axis: Any, values: Values, edge: float = math.inf) -> None:
    """A row for each operation, from above, and a mark in it for each library; what is beyond the edge stands there."""
    rows = list(values)
    libraries = sorted({library for row in values.values() for library in row}, key=lambda library: (library != "fastsig", library))
    for number, library in enumerate(libraries):
        style = STYLES[library_of(library)]
        lower = SPREAD * (number / (len(libraries) - 1) - 0.5)
        at = [(min(row[library], edge), rows.index(op) + lower) for op, row in values.items() if library in row]
        axis.plot(
            *zip(*at, strict=True), linestyle="", label=NAMES.get(library, library), marker=style.marker, color=style.colour,
            markerfacecolor="white" if library in HOLLOW else style.colour,
            markersize=8 if style.ours else 6, zorder=4 if style.ours else 3,
        )  # fmt: skip
    axis.set_yticks(range(len(rows)), rows)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    for line in range(1, len(rows)):
        axis.axhline(line - 0.5, color="black", alpha=0.12, linewidth=0.8)
    axis.grid(True, axis="x", alpha=0.25)
    axis.tick_params(axis="y", length=0)
    axis.spines[["top", "right"]].set_visible(False)


def draw_legend(figure: Any, axis: Any) -> None:
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 4), frameon=False)


def accuracy_libraries(figure: Any) -> None:
    for axis, dtype in zip(figure.subplots(2, 1), TYPES, strict=True):
        found = errors(dtype)
        edge = 100 * max(error for row in found.values() for error in row.values() if error < math.inf)
        draw_dots(axis, found, edge)
        axis.set(xscale="log", title=dtype, xlabel="largest error in ULP")
        for number, row in enumerate(found.values()):
            if math.inf in row.values():
                axis.annotate("inf or NaN", (edge, number), (-8, 0), textcoords="offset points", ha="right", va="center", fontsize=8)
    draw_legend(figure, axis)
    figure.suptitle("Largest error that was found, tails included, lower is better", fontweight="bold")


def accuracy_operations(figure: Any) -> None:
    for axis, dtype in zip(figure.subplots(2, 1), TYPES, strict=True):
        found = worst_errors(dtype)
        rows = range(len(found))
        axis.barh(rows, [error for error, _ in found.values()], color=STYLES["fastsig"].colour, height=0.6)
        axis.plot([allowed for _, allowed in found.values()], rows, linestyle="", marker="|", markersize=15, color="black", label="allowed")
        axis.set_yticks(rows, list(found))
        axis.invert_yaxis()
        axis.set(title=dtype, xlabel="largest error in ULP", xlim=(0, 2.7))
        axis.axvline(0.5, color="grey", linewidth=0.8, linestyle="--", label="correctly rounded")
        axis.spines[["top", "right"]].set_visible(False)
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    figure.suptitle("Largest error of fastsig's operations, and what is allowed", fontweight="bold")


def performance_operations(figure: Any) -> None:
    for axis, dtype in zip(figure.subplots(2, 1), TYPES, strict=True):
        draw_dots(axis, times(dtype))
        axis.set(xscale="log", title=f"{dtype}, {IN_CACHE[dtype]:,} elements", xlabel="ns an element")
        axis.set_xticks(ticks := [0.5, 1, 2, 5, 10, 20] if dtype == "float32" else [2, 5, 10, 20], [f"{tick:g}" for tick in ticks])
        axis.minorticks_off()
    draw_legend(figure, figure.axes[0])
    figure.suptitle(f"One thread of an {recorded(CPU)['machine']['cpu']} with AVX2, lower is better", fontweight="bold")


def performance_gpu(figure: Any) -> None:
    axis = figure.subplots()
    draw_dots(axis, bandwidths())
    axis.axvline(1, color="black", linewidth=0.8)
    axis.set(xlim=(0, 1.05), xlabel="bandwidth, as a share of that of a copy", title="")
    draw_legend(figure, axis)
    figure.suptitle(f"float32 on {recorded(GPU)['machine']['device']}, higher is better", fontweight="bold")


def stamp(name: str) -> str:
    """Of the numbers that a picture shows, so that a picture of others is noticed."""
    numbers = {
        "accuracy-libraries.png": lambda: [errors(dtype) for dtype in TYPES],
        "accuracy-operations.png": lambda: [worst_errors(dtype) for dtype in TYPES],
        "performance-operations.png": lambda: [times(dtype) for dtype in TYPES],
        "performance-gpu.png": bandwidths,
    }[name]()
    return hashlib.sha256(json.dumps(numbers).encode()).hexdigest()


def draw(name: str, path: Path) -> None:
    """One picture, as a file whose ``Description`` is the stamp."""
    figure = Figure(figsize=(WIDTH, 1), layout="constrained", dpi=DPI)
    FigureCanvasAgg(figure)
    PICTURES[name](figure)
    figure.set_figheight(1 + HEIGHT * len(figure.axes))
    with replacing(path) as file:
        figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None, "Description": stamp(name)})


PICTURES: dict[str, Callable[[Any], None]] = {
    "accuracy-libraries.png": accuracy_libraries,
    "accuracy-operations.png": accuracy_operations,
    "performance-operations.png": performance_operations,
    "performance-gpu.png": performance_gpu,
}
"""By the name of the file in docs/."""


if __name__ == "__main__":
    for name in PICTURES:
        draw(name, ROOT / "docs" / name)
        print(f"docs/{name}")
