"""Print the registers of every CUDA kernel for each architecture as the table of docs/cuda-kernels.md.

Run as ``python tools/cuda_report.py > docs/cuda-kernels.md`` after any change of a kernel; needs no GPU.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from ptx_audit import ARCHITECTURES, Assembled, assemble, forbidden, joined

from fastsig.kernels import plan
from fastsig.kernels.cuda import compiler, elementwise_kernels, fused_kernels, loss_kernels, totals
from fastsig.ops import FUSED, OPS

CONVERSIONS = (
    ("i1", "f16", "f16"), ("u1", "f16", "f64"), ("b1", "bf16", "f32"), ("i2", "f32", "f32"), ("u2", "f32", "f16"), ("i4", "f64", "f64"),
    ("u4", "f64", "f64"), ("i8", "f64", "f32"), ("u8", "f64", "bf16"), ("f32", "f64", "f32"), ("f64", "f32", "f64"), ("f64", "f16", "bf16"),
    ("f64", "bf16", "f16"), ("f16", "f64", "f64"), ("bf16", "f32", "bf16"),
)  # fmt: skip
"""Input, loop and output types of strided kernels: each source, each target and each narrowing occurs."""


OPENING = """\
For whoever changes a CUDA kernel: how many registers a thread of each needs, on each architecture.
Fewer registers mean more threads at once. The first row says that a thread of the float32 sigmoid
has 37 on an H100 (sm_90). The table is made by

```sh
python tools/cuda_report.py > docs/cuda-kernels.md
```

Where threads fill a multiprocessor (2,048 of them; sm_75: 1,024; sm_120: 1,536), each may have 32
registers (64; 42). `+n` is bytes spilled. No kernel has an instruction that the audit of
`tools/ptx_audit.py` forbids.
"""
"""What the page says above its table."""


def kernels() -> list[elementwise_kernels.Kernel]:
    """Every contiguous kernel, the strided ones of every operation and type, those of every other shape, mask and conversion, and the
    gates."""
    reals = ("f32", "f64", "f16", "bf16")
    found = [elementwise_kernels.flat(op.name, dtype) for op in OPS for dtype in reals]
    found += [elementwise_kernels.strided(op.name, (dtype,) * op.nin, dtype, dtype, 2, True, False) for op in OPS for dtype in reals]
    found += [
        elementwise_kernels.strided(name, sources, "f32", "f32", dimensions, narrow, masked)
        for name, sources in (("sigmoid", ("f32",)), ("bce", ("f32", "f32")))
        for dimensions in elementwise_kernels.DIMENSIONS
        for narrow in (True, False)
        for masked in (True, False)
        if (dimensions, narrow, masked) != (2, True, False)
    ]
    found += [elementwise_kernels.strided("sigmoid", (source,), loop, out, 1, True, False) for source, loop, out in CONVERSIONS]
    found += [fused_kernels.fused(row.name, dtype, 2, True) for row in FUSED for dtype in reals]
    found += [fused_kernels.fused("glu", "f32", *geometry) for geometry in ((1, True), (4, False), (8, True))]
    return found


def losses() -> list[tuple[str, elementwise_kernels.Kernel]]:
    """The losses' kernels, by a name that says what they do: contiguous and plain, and with every option."""
    found = []
    for dtype in ("f32", "f64", "f16", "bf16"):
        plain = loss_kernels.Variant(plan.LOGITS, (dtype,) * 2, (), False, (), dtype, True, "", True, True, 1, True)
        everything = plain._replace(
            sources=(*(dtype,) * 4, "b1"), extras=("weight", "pos_weight", "mask"), smooth=True, outputs=("grad",), scale="count",
            wide=False, dimensions=4,
        )  # fmt: skip
        variants = {
            "mean": plain,
            "mean_value_and_grad": plain._replace(outputs=("grad",), scale="number"),
            "grad_hess": plain._replace(outputs=("grad", "hess"), summed=False),
            "none_value_and_grad": plain._replace(outputs=("loss", "grad"), summed=False),
            "every_option": everything,
            "bce_mean": plain._replace(formula=plan.PROBABILITIES),
            "focal_mean_value_and_grad": plain._replace(formula=plan.FOCAL, outputs=("grad",), scale="number"),
            "focal_grad_hess": plain._replace(formula=plan.FOCAL, outputs=("grad", "hess"), summed=False),
        }
        found += [(f"loss_{name}_{dtype}", loss_kernels.loss(variant)) for name, variant in variants.items()]
        found.append((f"finish_{dtype}", totals.finish(dtype)))
    return found + [(f"count_{rank}", totals.count(rank)) for rank in elementwise_kernels.DIMENSIONS]


def named() -> dict[str, elementwise_kernels.Kernel]:
    """All of them, by the name in the table."""
    return {kernel.name.removeprefix("fastsig_"): kernel for kernel in kernels()} | dict(losses())


def measured(architecture: tuple[int, int]) -> list[Assembled]:
    """Each kernel assembled for one architecture; AssertionError names those with instructions that the audit forbids."""
    texts = {kernel.name: compiler.ptx_of(kernel, architecture) for kernel in named().values()}
    wrong = {name: found for name, text in texts.items() if (found := forbidden(text))}
    assert not wrong, wrong
    with tempfile.TemporaryDirectory() as folder:
        return assemble(joined(list(texts.values())), architecture, Path(folder) / "kernels.cubin")


def main() -> None:
    columns = {architecture: {found.name: found for found in measured(architecture)} for architecture in ARCHITECTURES}
    heads = ["sm_{}{}".format(*architecture) for architecture in ARCHITECTURES]
    print("# Registers of the CUDA kernels\n")
    print(OPENING)
    print("| kernel | " + " | ".join(heads) + " |\n|---|" + "---:|" * len(heads))
    for name, kernel in named().items():
        cells = [columns[architecture][kernel.name] for architecture in ARCHITECTURES]
        shown = " | ".join(str(cell.registers) + f" +{cell.spilled}" * bool(cell.spilled) for cell in cells)
        print(f"| `{name}` | {shown} |")


if __name__ == "__main__":
    main()
