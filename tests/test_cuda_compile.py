"""Every CUDA kernel is compiled for every architecture and audited, on a machine without a GPU."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cuda_here import TOOLS, need_compiler

from fastsig.ops import OPS

pytestmark = need_compiler
CAPABILITIES = [(7, 5), (8, 0), (9, 0), (10, 0), (12, 0)]
"""Those of the report."""
ALIKE = {(8, 6): (8, 0), (8, 9): (8, 0), (10, 3): (10, 0), (12, 1): (12, 0)}
"""Architectures for which the compiler writes the same text as for another."""
ALL = [*CAPABILITIES, (11, 0), *ALIKE]
by_capability = lambda capabilities: pytest.mark.parametrize("capability", capabilities, ids="sm_{0[0]}{0[1]}".format)  # noqa: E731


def assembled(texts: dict[str, str], capability: tuple[int, int], folder: Path) -> None:
    """Every kernel, in PTX by its name, passes the assembler and the audit."""
    import ptx_audit

    found = ptx_audit.assemble(ptx_audit.joined(list(texts.values())), capability, folder / "kernels.cubin")
    assert {kernel.name for kernel in found} == texts.keys()
    assert not [kernel for kernel in found if kernel.spilled]
    assert all(kernel.registers <= (64 if "flat" in kernel.name else 168) for kernel in found), max(found, key=lambda k: k.registers)


@by_capability([*CAPABILITIES, (11, 0)])
def test_every_kernel_assembles_without_spills_or_forbidden_instructions(capability: tuple[int, int], tmp_path: Path) -> None:
    import cuda_report
    from ptx_audit import forbidden

    from fastsig.kernels.cuda import compiler

    texts = {kernel.name: compiler.ptx_of(kernel, capability) for kernel in cuda_report.named().values()}
    wrong = {name: found for name, text in texts.items() if (found := forbidden(text))}
    assert not wrong, wrong
    assembled(texts, capability, tmp_path)
    for other in (other for other, like in ALIKE.items() if like == capability):
        head = header(compiler.ptx_of(cuda_report.named()["sigmoid_f32_flat"], other))
        assembled({name: text.replace(header(text), head) for name, text in texts.items()}, other, tmp_path)


def header(text: str) -> str:
    """Version and target."""
    found = re.search(r"^\.version .*\n\.target .*\n", text, re.MULTILINE)
    assert found
    return found[0]


@pytest.mark.parametrize("name", ["sigmoid_bf16_flat", "silu_grad_f64_flat", "loss_every_option_f16", "lstm_cell_f32_2n", "finish_f32"])
def test_architectures_that_are_alike(name: str) -> None:
    import cuda_report

    from fastsig.kernels.cuda import compiler

    kernel = cuda_report.named()[name]
    for other, like in ALIKE.items():
        ours, theirs = (compiler.ptx_of(kernel, capability) for capability in (other, like))
        assert ours == theirs.replace(header(theirs), header(ours))


def test_the_report_has_every_operation_and_architecture() -> None:
    from ptx_audit import ARCHITECTURES

    assert list(ARCHITECTURES) == CAPABILITIES
    text = (TOOLS.parent / "docs" / "cuda-kernels.md").read_text()
    import cuda_report

    listed = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    assert listed == set(cuda_report.named()), "run tools/cuda_report.py"
    assert all(f"{op.name}_{dtype}_flat" in listed for op in OPS for dtype in ("f16", "bf16", "f32", "f64"))


# ---- the version of PTX ----

OLDEST = {(10, 0): "8.6", (10, 3): "8.8", (11, 0): "9.0", (12, 0): "8.7", (12, 1): "8.8"}
"""That an architecture allows; of those before sm_100, that of the oldest CUDA whose linker is used."""


@by_capability(ALL)
def test_the_oldest_version_of_ptx_gives_the_same_machine_code(capability: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    import cuda_report

    from fastsig.kernels.cuda import compiler

    for name in ("sigmoid_bf16_flat", "loss_every_option_f16"):
        kernel = cuda_report.named()[name]
        text = compiler.ptx_of(kernel, capability)
        with monkeypatch.context() as changed:
            changed.setattr(compiler, "_for_older_linkers", lambda ptx, capability: ptx)
            compilers_own = compiler.ptx_of(kernel, capability)
        oldest = f".version {OLDEST.get(capability, '8.0')}\n"
        assert text != compilers_own
        assert oldest in text
        assert compiler._linked(text, kernel.name, capability) == compiler._linked(compilers_own, kernel.name, capability)
        if capability in OLDEST:
            with pytest.raises(RuntimeError, match=r"PTX \.version 8\.5 does not support|requires PTX ISA|\.target sm_"):
                compiler._linked(text.replace(oldest, ".version 8.5\n"), kernel.name, capability)


@pytest.mark.parametrize(
    ("written", "capability", "said"),
    [("9.5", (9, 0), "8.0"), ("7.8", (9, 0), "7.8"), ("8.6", (10, 0), "8.6"), ("9.5", (10, 0), "8.6"), ("9.9", (13, 0), "9.9")],
)
def test_no_version_is_raised_nor_guessed(written: str, capability: tuple[int, int], said: str) -> None:
    from fastsig.kernels.cuda import compiler

    text = "// 1.2\n.version {}\n.target sm_90\n"
    assert compiler._for_older_linkers(text.format(written), capability) == text.format(said)


def _compiled(function: Any, *types: Any) -> str:
    from numba import cuda

    return str(cuda.compile_ptx(function, types, cc=(9, 0))[0])


def test_the_audit_catches_an_approximation_and_a_contraction() -> None:
    """Kernels as one would write them: a math.exp, and a product that is stored beside a sum that it is part of."""
    import math

    from numba import cuda, types
    from ptx_audit import forbidden

    real = types.CPointer(types.float32)

    def approximate(x, out):  # type: ignore[no-untyped-def]
        out[0] = np.float32(1) / (np.float32(1) + math.exp(-x[0]))

    def bare(x, out):  # type: ignore[no-untyped-def]
        out[0] = x[0] * x[1]
        out[1] = x[0] + x[2]

    assert cuda is not None
    assert any("ex2.approx" in found for found in forbidden(_compiled(approximate, real, real)))
    assert set(forbidden(_compiled(bare, real, real))) == {"mul.f32", "add.f32"}


@pytest.mark.parametrize(
    ("instruction", "is_wrong"),
    [
        ("add.rn.f32", False), ("add.f32", True), ("mul.f64", True), ("sub.f16", True), ("sub.rn.f32.f16", False), ("div.rn.f64", False),
        ("div.full.f32", True), ("div.approx.f32", True), ("fma.rn.ftz.f32", True), ("fma.rn.f32", False), ("mad.f32", True),
        ("ex2.approx.ftz.f32", True), ("rcp.rn.f32", False), ("rcp.approx.f32", True), ("sqrt.f32", True), ("add.s64", False),
        ("mul.lo.s32", False), ("cvt.rn.f16.f32", False), ("setp.gt.f32", False), ("cvt.ftz.f32.f16", True), ("fma.rn.bf16x2", False),
        ("mul.bf16x2", True), ("max.f32", False), ("call.uni", True), ("tanh.approx.f32", True), ("add.rn.sat.f32", True),
    ],
)  # fmt: skip
def test_what_the_audit_forbids(instruction: str, is_wrong: bool) -> None:
    from ptx_audit import forbidden

    for prefix in ("", "@%p1 ", "@!%p12 "):
        assert forbidden(f"{{\n\t{prefix}{instruction} \t%f1, %f2, %f3;\n}}") == [instruction] * is_wrong


def test_a_kernel_that_spills_is_noticed(tmp_path: Path) -> None:
    import ptx_audit

    from fastsig.kernels.cuda import compiler, elementwise_kernels

    text = compiler.ptx_of(elementwise_kernels.flat("silu_grad", "f64"), (9, 0))
    tight = re.sub(r"\.maxntid .*\n", ".maxntid 1024, 1, 1\n.minnctapersm 2\n", text)
    assert tight != text
    assert ptx_audit.assemble(tight, (9, 0), tmp_path / "k.cubin")[0].spilled > 0


@pytest.mark.parametrize("dtype", ["f16", "bf16", "f32", "f64"])
def test_contiguous_arrays_are_read_and_written_16_bytes_at_a_time(dtype: str, tmp_path: Path) -> None:
    import ptx_audit

    from fastsig.kernels.cuda import compiler, elementwise_kernels

    cubin = tmp_path / "k.cubin"
    ptx_audit.assemble(compiler.ptx_of(elementwise_kernels.flat("sigmoid", dtype), (9, 0)), (9, 0), cubin)
    code = ptx_audit.machine_code(cubin)
    both = elementwise_kernels.vectors_of_a_thread(1) + 1  # in the loop, and behind it
    assert len(re.findall(r"\bLDG\.E\.128\b", code)) == both
    assert len(re.findall(r"\bSTG\.E\.128\b", code)) == both


def test_kernels_take_addresses_and_whole_numbers_only() -> None:
    """So that a launch converts nothing: 8 bytes for each argument."""
    from fastsig.kernels.cuda import compiler, elementwise_kernels

    text = compiler.ptx_of(elementwise_kernels.flat("bce", "f32"), (9, 0))
    assert len(re.findall(r"\.param \.u64", text)) == 5
    text = compiler.ptx_of(elementwise_kernels.strided("bce", ("f32", "f64"), "f64", "f32", 4, True, True), (9, 0))
    assert len(re.findall(r"\.param \.u64", text)) == 3 + 1 + 1 + 4 + 4 * 4


# ---- the cache on disk ----


def _kernel() -> Any:
    from fastsig.kernels.cuda import elementwise_kernels

    return elementwise_kernels.flat("sigmoid", "f32")


def test_cubins_are_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastsig.kernels.cuda import compiler

    monkeypatch.setenv("FASTSIG_CACHE_DIR", str(tmp_path))
    assert not compiler.is_cached(_kernel(), (9, 0))
    first = compiler.cubin_of(_kernel(), (9, 0))
    assert first.startswith(b"\x7fELF")
    assert compiler.is_cached(_kernel(), (9, 0))
    assert not compiler.is_cached(_kernel(), (8, 0))
    assert [file.suffix for file in (tmp_path / "kernels").iterdir()] == [".cubin"]
    monkeypatch.setattr(compiler, "ptx_of", None)  # so that compiling again would fail
    assert compiler.cubin_of(_kernel(), (9, 0)) == first


def test_a_change_of_source_or_compiler_is_another_cubin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastsig.kernels.cuda import compiler, packages

    monkeypatch.setenv("FASTSIG_CACHE_DIR", str(tmp_path))
    compiler.cubin_of(_kernel(), (9, 0))
    monkeypatch.setattr(packages, "version", lambda name: "another")
    monkeypatch.setattr(packages, "stamp", packages.stamp.__wrapped__)
    assert not compiler.is_cached(_kernel(), (9, 0))


@pytest.mark.parametrize("place", ["/dev/null/x", "/proc/nowhere"])
def test_a_cache_that_cannot_be_written_is_no_error(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from fastsig.kernels.cuda import compiler

    monkeypatch.setenv("FASTSIG_CACHE_DIR", place)
    assert compiler.cubin_of(_kernel(), (9, 0)).startswith(b"\x7fELF")
