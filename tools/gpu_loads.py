"""Every CUDA kernel compiled for this machine's GPU, loaded by its driver, and audited: ``python tools/gpu_loads.py``."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from typing import Any

import cuda_report
from ptx_audit import forbidden


@cache
def _kernels() -> dict[str, Any]:
    return cuda_report.named()


def _compiled(name: str, capability: tuple[int, int]) -> tuple[bytes, list[str]]:
    """The machine code, and the instructions that the audit forbids."""
    from fastsig.kernels.cuda import compiler

    kernel = _kernels()[name]
    return compiler.cubin_of(kernel, capability), forbidden(compiler.ptx_of(kernel, capability))


def main(argv: Sequence[str] | None = None) -> int:
    from cuda.core import Device, ObjectCode

    from fastsig.kernels.cuda import launch

    Device(0).set_current()
    capability, names, since = launch.capability(0), list(_kernels()), time.perf_counter()
    failures, most = [], 0
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        for name, (code, wrong) in zip(names, pool.map(_compiled, names, [capability] * len(names)), strict=True):
            try:
                loaded = ObjectCode.from_cubin(code, name=name).get_kernel(_kernels()[name].name)
                registers = loaded.attributes.num_regs
                most = max(most, registers() if callable(registers) else registers)
            except Exception as error:  # noqa: BLE001  # of whatever kind: it is reported, and the next kernel is tried
                failures.append(f"{name}: {error}")
            failures += [f"{name}: {instruction} is forbidden" for instruction in wrong]
    print("\n".join(failures), end="\n" * bool(failures))
    seconds = time.perf_counter() - since
    print(
        f"{len(names)} kernels for sm_{capability[0]}{capability[1]}, {len(failures)} failures, at most {most} registers, {seconds:.0f} s"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
