"""What Numba was told to compile for, its locks, and where its kernels are kept. Importing this imports Numba."""

from __future__ import annotations

import re
from typing import Any

import llvmlite.binding as llvm
from llvmlite.binding import ffi
from numba import config
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

from fastsig.system import first_calls

_THEIRS = [getattr(owner, "_lock", None) for owner in (global_compiler_lock, getattr(ffi.lib, "_lock", None))]
"""A thread of the program may be compiling functions of its own. Neither is public, so another version may have none."""
first_calls.hold_at_forks(first_calls.LOCK, *(lock for lock in _THEIRS if hasattr(lock, "_is_owned")))


def problem() -> str:
    """Why Numba as it was set up cannot serve, or "". An instruction that the processor does not know would end the process."""
    if config.DISABLE_JIT:
        return "NUMBA_DISABLE_JIT is set, so Numba compiles nothing; unset it"
    host = llvm.get_host_cpu_features()
    asked = [word[1:] for word in (config.CPU_FEATURES or "").split(",") if word.startswith("+")]
    missing = [name for name in asked if host.get(name) is False]
    if missing:
        return f"NUMBA_CPU_FEATURES asks for {', '.join(missing)}, which this processor has not; unset it"
    code = _assembly(_WIDE) if config.CPU_NAME and config.CPU_FEATURES is not None else ""  # else it has the features of the host
    missing = [name for name, sign in _SIGNS.items() if sign in code and host.get(name) is False]
    if missing:
        return f"NUMBA_CPU_NAME={config.CPU_NAME} has {', '.join(missing)}, which this processor has not; unset it"
    return ""


def _assembly(module: str) -> str:
    """LLVM's code for the processor that Numba compiles for."""
    triple, name, features = cpu_target.target_context.codegen().magic_tuple()
    machine: Any = llvm.Target.from_triple(triple).create_target_machine(cpu=name, features=features)
    return str(machine.emit_assembly(llvm.parse_assembly(module)))


# Without pointers: LLVM 14, which Numba 0.60 has, writes their type in another way than LLVM 20.
_WIDE = """
define <16 x float> @multiply_add(<16 x float> %v) "prefer-vector-width"="512" "min-legal-vector-width"="512" {
  %r = call <16 x float> @llvm.fma.v16f32(<16 x float> %v, <16 x float> %v, <16 x float> %v)
  ret <16 x float> %r
}
declare <16 x float> @llvm.fma.v16f32(<16 x float>, <16 x float>, <16 x float>)
"""
_SIGNS = {"avx512f": "zmm", "avx": "ymm", "fma": "vfmadd"}
"""What code has that uses a feature."""

_HALVES = """
define i16 @convert(i16 %from) {
  %half = bitcast i16 %from to half
  %wide = fpext half %half to float
  %sum = fadd float %wide, 1.0
  %narrow = fptrunc float %sum to half
  %to = bitcast half %narrow to i16
  ret i16 %to
}
"""


def converts_halves() -> bool:
    """Whether the processor that Numba compiles for has instructions for float16. Else LLVM would call functions that nobody has."""
    return re.search(r"__\w*(hf|f2h|h2f)", _assembly(_HALVES)) is None
