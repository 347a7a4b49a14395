"""All 2^32 float32 inputs of a CUDA kernel, its PTX run on the CPU, against the host's backend: ``python tools/cuda_bits.py sigmoid ...``

About two minutes an operation and core. NaN results count as equal to each other; prints the number of inputs with other bits.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import ptx_in_c

import fastsig as fs
from fastsig.kernels.cuda import compiler, elementwise_kernels
from fastsig.ops import OPS

STEP = 1 << 24


def differing(name: str, architecture: tuple[int, int], folder: Path) -> int:
    kernel = elementwise_kernels.flat(name, "f32")
    library = ptx_in_c.build({kernel.name: compiler.ptx_of(kernel, architecture)}, folder)
    out = np.empty(STEP + 4, np.float32)
    out = out[-out.ctypes.data % 16 // 4 :][:STEP]
    wrong = 0
    for start in range(0, 1 << 32, STEP):
        x = np.arange(start, start + STEP, dtype=np.uint64).astype(np.uint32).view(np.float32)
        head = 0 if x.ctypes.data % 16 == 0 else STEP
        ptx_in_c.launch(library, kernel.name, 1 << 10, 256, x.ctypes.data, out.ctypes.data, STEP, head)
        want = getattr(fs, name)(x)
        other = out.view(np.uint32) != want.view(np.uint32)
        wrong += int(np.count_nonzero(other & ~(np.isnan(out) & np.isnan(want))))
    return wrong


def main(argv: Sequence[str] | None = None) -> int:
    names = [op.name for op in OPS if op.nin == 1]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ops", nargs="+", choices=names)
    parser.add_argument("--architecture", type=int, default=90, help="of the PTX, such as 90 for sm_90")
    arguments = parser.parse_args(argv)
    total = 0
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.ops:
            wrong = differing(name, divmod(arguments.architecture, 10), Path(folder))
            print(f"{name}: {wrong} of 2^32 inputs with other bits than {fs.explain(np.ones(1, np.float32))}", flush=True)
            total += wrong
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
