"""The patched halves as LLVM instructions, for every backend that writes these."""

from __future__ import annotations

from typing import Any

from fastsig.formulas.halves import JUST_ABOVE_HALF, PATCHES


def patched(builder: Any, op: str, dtype: str, source: Any, value: Any) -> Any:
    """The rounded half, but for the few inputs of ``fastsig.formulas.halves``."""
    word = source.type
    for given, right in PATCHES.get(op, {}).get(dtype, {}).items():
        value = builder.select(builder.icmp_unsigned("==", source, word(given)), word(right), value)
    limit = JUST_ABOVE_HALF.get(op, {}).get(dtype, 0)
    if limit:
        magnitude = builder.and_(source, word(0x7FFF))
        up = builder.zext(builder.icmp_unsigned("<", source, word(0x8000)), word)
        halved = builder.or_(builder.and_(source, word(0x8000)), builder.lshr(builder.add(magnitude, up), word(1)))
        value = builder.select(builder.icmp_unsigned("<", magnitude, word(limit)), halved, value)
    return value
