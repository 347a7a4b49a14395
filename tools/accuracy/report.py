"""``docs/accuracy.md`` and the README's table, from the recorded results and from nothing else."""

from __future__ import annotations

import json
import textwrap
from typing import Any

from rich.console import Console

from fastsig.measure.accuracy import losses, records
from fastsig.measure.accuracy.result import Result
from fastsig.measure.accuracy.sources import here
from fastsig.measure.formats import FORMATS
from fastsig.system.atomic_files import write_text

BEGIN, END = "<!-- accuracy:begin -->", "<!-- accuracy:end -->"
DTYPES = ("float16", "bfloat16", "float32", "float64")
OPENING = """\
How far results are from the exact ones: for every operation the largest error that there is,
counted in ULP, units of the last place. A correctly rounded result is within 0.5 ULP; of the
sigmoid at most 2.0 is promised:

```python
>>> import numpy as np
>>> import fastsig as fs
>>> x = np.linspace(-80, 10, 100_000, dtype=np.float32)
>>> exact = 1 / (1 + np.exp(-x.astype(np.float64)))
>>> unit = np.spacing(exact.astype(np.float32))  # the last place of each result
>>> bool((abs(fs.sigmoid(x) - exact) / unit).max() <= 2.0)
True

```

Errors count in the tails too, where results are subnormal numbers. `python -m fastsig check`
measures them on your machine."""
"""What the page begins with."""
MODES = {"exhaustive": "all 2^32 inputs", "all": "all 65,536 inputs"}


def _results(data: dict[str, Any]) -> list[Result]:
    from fastsig.ops import BY_NAME

    order = {name: i for i, name in enumerate([*BY_NAME, *losses.names()])}
    results = [Result(**r) for r in data["results"]]
    return sorted(results, key=lambda r: (order[r.op], r.targets, DTYPES.index(r.dtype)))


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join("---" if i == 0 else "---:" for i in range(len(head))) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def _short_inputs(r: Result) -> str:
    return MODES.get(r.mode, f"{r.count:,} {'in mpmath' if r.mode == 'mpmath' else 'sampled'}")


def _at(r: Result) -> str:
    return ", ".join(f"`{FORMATS[r.dtype].text(b).split(' ')[0]}`" for b in r.at)


def _size(error: float | None) -> str:
    if error is None:
        return "inf or NaN"
    return f"{error:.2f}" if error < 1000 else f"{error:.1e}"


def _own(r: Result | None) -> str:
    if r is None:
        return ""
    if FORMATS[r.dtype].width == 16 and not r.targets:
        return "correctly rounded" if not r.wrong else f"{r.wrong:,} not correctly rounded"
    return f"{r.worst:.3f}"


def readme(data: dict[str, Any]) -> str:
    """The short table, between the markers."""
    by = {r.key: r for r in _results(data) if not _of_losses(r)}
    ops = list(dict.fromkeys(r.op for r in by.values() if not r.targets))
    rows = [[f"`{op}`", *(_own(by.get((op, d, ""))) for d in DTYPES)] for op in ops]
    full = all(by[k].mode == "exhaustive" for k in by if k[1] == "float32" and not k[2])
    how = "float32 over all 2^32 inputs" if full else "float32 sampled"
    return (
        "Largest error in ULP of the exact result, tails and subnormal results included\n"
        f"({how}, float16 and bfloat16 over all 65,536, float64 sampled and searched):\n\n"
        f"{_table(['', *DTYPES], rows)}\n\n"
        "Measured by `python -m fastsig check`; where, how, and beside torch, SciPy and JAX:\n"
        "[docs/accuracy.md](docs/accuracy.md)."
    )


def _of_losses(r: Result) -> bool:
    return r.op in losses.names()


def _losses(results: list[Result]) -> list[str]:
    """A line for each loss, with the largest errors of its results and their bounds, float32 and float64."""
    if not results:
        return []
    by = {r.key: r for r in results}
    rows = []
    for loss in losses.LOSSES:
        for kind, targets in (("hard", "0, 1"), ("soft", "soft")):
            row = [loss.name, targets]
            for dtype in ("float32", "float64"):
                for output in losses.OUTPUTS:
                    r = by.get((loss.op(output), dtype, kind))
                    row.append(f"{r.worst:.2f}{'*' * (r.mode == 'exhaustive')} of {r.ceiling:g}" if r else "")
            if any(row[2:]):
                rows.append(row)
    sums = [r for r in results if r.op.rpartition(": ")[2] in losses.SUMS]
    told = ", ".join(f"{r.op} {r.dtype} {r.worst:.4f}" for r in sums)
    head = ["loss", "t", *(f"{output}, {dtype}" for dtype in ("float32", "float64") for output in losses.OUTPUTS)]
    return [
        "## Losses",
        (
            "Largest error in ULP and what is allowed, with \\* of all 2^32 logits and both targets, else found by a search that climbs "
            "from the worst of a sample. Weights are 2^-10 to 2^10, logits of samples at most 10^4, probabilities normal numbers. A "
            "gradient with soft or smoothed targets is counted in ULP of the greater of (pos + miss) sigmoid(x) and pos, the difference "
            "of which it is (pos = w p t', miss = w (1 - t') as in [losses.md](losses.md)); with soft targets that of the focal loss, and "
            "always its hessian, in ULP of the largest of their terms."
        ),
        _table(head, rows),
        f"Reductions, against the exact sum of the elements, at most {losses.SUM_CEILING} ULP: {told}." if sums else "",
    ]


def document(data: dict[str, Any]) -> str:
    """The whole of docs/accuracy.md."""
    results = _results(data)
    rows = [
        [f"`{r.op}`{r.label[len(r.op) :]}", r.dtype, f"{r.worst:.4f}", _at(r), str(r.ceiling), f"{r.wrong:,}", _short_inputs(r)]
        for r in results
        if not _of_losses(r)
    ]
    parts = [
        "# Accuracy",
        "<!-- Made by `python -m tools.accuracy --exhaustive --write` from accuracy.json; do not edit. -->",
        OPENING,
        *_peers(data, results),
        "## Every operation",
        "![Largest error of each operation of fastsig in ULP, and what is allowed](accuracy-operations.png)",
        (
            "The largest error of every operation, where it occurs, and how many results are not the correctly rounded ones. The numbers "
            "hold for every backend: C in each instruction set and Numba give the same bits, which the same command checks."
        ),
        _table(["operation", "dtype", "max ULP", "at", "allowed", "not correctly rounded", "of"], rows),
        *_losses([r for r in results if _of_losses(r)]),
        _notes(),
        *_properties(results),
        *_worst(data),
        *_builds(data, results),
    ]
    return "\n\n".join(map(_wrapped, parts)) + "\n"


def _wrapped(part: str) -> str:
    """In lines of at most 100 characters, except tables and code."""
    return part if "```" in part else "\n".join(_wrapped_line(line) for line in part.splitlines())


def _wrapped_line(line: str) -> str:
    if line.startswith(("|", "!", "<!--")):
        return line
    indent = " " * (len(line) - len(line.lstrip("- ")))
    return textwrap.fill(line, 100, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _builds(data: dict[str, Any], results: list[Result]) -> list[str]:
    """Whose results these are, and of which other builds all 2^32 inputs were looked at."""
    lines = [f"Measured on {data['machine']}; of commit {', '.join(sorted({r.commit for r in results}))}."]
    if data.get("full"):
        lines.append(
            "Builds that were measured on all 2^32 float32 inputs, operation by operation; on such a build "
            "`python -m tools.accuracy --exhaustive --changed COMMIT` looks at 1/64 of the inputs of what has not changed since:"
        )
    for row in data.get("full", []):
        builds = "; ".join(f"{name}: {made}" for name, made in row["builds"].items())
        ops = ", ".join(f"`{op}` ({measured['commit']})" for op, measured in row["ops"].items())
        lines.append(f"- {builds}\n  - {ops}")
    return lines


def _notes() -> str:
    return (
        "How it is measured: float32 and the 16-bit formats against float64 through the C library's `exp`, `expm1`, `log`, "
        "`log1p` and NumPy's `tanh` in forms free of cancellation (relative error below 2^-50); what is within 2^-26 ULP of a tie "
        "is settled by mpmath. float64 against 80-bit long double, the worst inputs again in mpmath with 1,400 bits; its count of "
        "wrong roundings is of a sample that favours hard places, so it is no probability. Every run holds its references against "
        "mpmath first. `silu_grad` is counted in ULP of max(|result|, 0.1), since it crosses zero; `bce_with_logits_grad` with "
        "soft targets in ULP of max(sigmoid(x), t). The references share no code with the kernels: "
        "`fastsig/measure/reference.py`, `fastsig/measure/accuracy/exact.py`."
    )


def _properties(results: list[Result]) -> list[str]:
    lines = [f"- `{r.op}`: {'; '.join(r.notes)}" for r in results if r.mode == "exhaustive" and r.notes]
    return ["## Properties over all 2^32 float32 inputs", "\n".join(lines)] if lines else []


def _peers(data: dict[str, Any], results: list[Result]) -> list[str]:
    if not data["peers"]:
        return []
    own = {(r.op, r.dtype): r for r in results if not r.targets}
    peers = {(p["peer"], p["op"], p["dtype"]): p for p in data["peers"]}
    names = list(dict.fromkeys(f"{p['peer']} {p['version']}" for p in data["peers"]))
    rows = []
    for op, dtype in dict.fromkeys((p["op"], p["dtype"]) for p in data["peers"]):
        row = [f"`{op}`", dtype, f"{own[op, dtype].worst:.2f}" if (op, dtype) in own else ""]
        for name in names:
            p = peers.get((name.split()[0], op, dtype))
            row.append(f"{_size(p['middle'])} / {_size(p['all'])}" if p else "")
        rows.append(row)
    return [
        "## Beside other libraries",
        "![Largest error of each operation, beside torch, SciPy and JAX](accuracy-libraries.png)",
        (
            "Measured in the same way on about a million inputs: the worst in the middle (|x| <= 10; for logit p from 0.001 to 0.999), "
            "and over all finite inputs, tails included. fastsig's number is over all inputs. 2^23 = 8.4e+06 ULP (float32) or 2^52 = "
            "4.5e+15 (float64) say that nothing of the result is right, as where 0 came out for a normal number. Derivatives are the "
            "libraries' own automatic ones (SciPy: s * (1 - s))."
        ),
        _table(["operation", "dtype", "fastsig", *names], rows),
    ]


def _worst(data: dict[str, Any]) -> list[str]:
    if not data["regressions"]:
        return []
    lines = [
        f"- `{op}`: {', '.join(f'`{b}`' for b in kinds['float64'][:4])}"
        for op, kinds in sorted(data["regressions"].items())
        if "float64" in kinds
    ]
    return ["## Worst float64 inputs found by search", "As bits; the tests keep them (accuracy.json has more).", "\n".join(lines)]


def _with_table(text: str, table: str) -> str:
    before, _, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{BEGIN}\n{table}\n{END}{after}" if end else text


def write() -> None:
    """Both documents from docs/accuracy.json."""
    data, root = records.load(), records.root()
    write_text(root / "docs" / "accuracy.md", document(data))
    page = root / "README.md"
    if page.exists() and BEGIN in page.read_text():
        write_text(page, _with_table(page.read_text(), readme(data)))


def stale(console: Console) -> int:
    """0 when formulas, recorded results and documents belong together, 1 with the reasons when not."""
    root = records.root()
    reasons = []
    if not records.path().exists():
        reasons.append("docs/accuracy.json is missing")
    else:
        data = json.loads(records.path().read_text())
        now = here()
        old = [f"{r['op']} {r['dtype']}" for r in data["results"] if r["formulas"] != now.formula_hash(r["op"], r["dtype"])]
        if old:
            reasons.append(f"measured with other formulas than these: {len(old)} results, such as {old[0]}")
        if not data["results"]:
            reasons.append("docs/accuracy.json has no results")
        page = root / "docs" / "accuracy.md"
        if not page.exists() or page.read_text() != document(data):
            reasons.append("docs/accuracy.md is not what docs/accuracy.json says")
        text = (root / "README.md").read_text() if (root / "README.md").exists() else ""
        if BEGIN in text and text != _with_table(text, readme(data)):
            reasons.append("README.md's table is not what docs/accuracy.json says")
    for reason in reasons:
        console.print(f"stale: {reason}; run: python -m tools.accuracy --exhaustive --write", highlight=False, soft_wrap=True)
    return 1 if reasons else 0
