"""How each library is drawn, on every plot of the project: one table of colours, markers and dashes."""

from __future__ import annotations

from typing import NamedTuple


class Style(NamedTuple):
    """How a library's line, or bar, looks."""

    colour: str
    marker: str
    dashes: tuple[float, ...] = ()
    """Lengths of ink and gap, in widths of the line; none is a solid line."""
    ours: bool = False
    """Drawn thicker, and over the others."""


STYLES = {
    "fastsig": Style("#dc2061", "o", ours=True),
    "fastsig numba": Style("#841406", "s", ours=True),
    "numpy": Style("#2785ed", "^", (6, 1.5)),
    "scipy": Style("#30bbb3", "D", (1.5, 1.5)),
    "torch": Style("#b29415", "v", (9, 2, 2, 2)),
    "numba vectorize": Style("#4a0725", "X", (4, 1.5, 1, 1.5)),
    "numexpr": Style("#971375", "P", (3, 1.5)),
    "jax": Style("#3d0692", "*", (10, 3)),
    "onnxruntime": Style("#7828f6", ">", (6, 1.5, 1, 1.5, 1, 1.5)),
    "cupy": Style("#fba782", "p", (2, 3)),
    "eigen": Style("#3f6044", "h", (5, 3)),
    "sleef": Style("#a37132", "<", (8, 1.5, 3, 1.5)),
    "highway": Style("#c304b1", "d", (3, 1, 1, 1)),
    "xsimd": Style("#bba5f1", "8", (12, 2, 1, 2)),
    "libmvec": Style("#c9cc0a", "H", (1, 2)),
}
"""By library. The lightness of the first ten colours goes in equal steps from 14 to 76 of CIE 1976, so that they differ in grey, and with
it the hues were chosen so that each two are at least 28 apart (CIE 1976) for protanopic and deuteranopic eyes and 19 for tritanopic ones.
The five after them, of the libraries of C++, lie between: lightness 2.8 from the nearest, 19 apart, and 14 for tritanopic eyes."""

_SPARE = tuple(Style("#777777", marker, (2, 1)) for marker in "1234+")
"""For libraries that somebody else measures."""


def library_of(peer: str) -> str:
    """The library that a way to use it belongs to: "torch" of "torch, 1 thread"; the name itself where the table has none."""
    return max((name for name in STYLES if peer.startswith(name)), key=len, default=peer)


def styles_of(peers: list[str]) -> dict[str, Style]:
    """The style of each of these; two libraries that the table does not have differ too."""
    strangers = list(dict.fromkeys(peer for peer in peers if library_of(peer) not in STYLES))
    spare = {peer: _SPARE[i % len(_SPARE)] for i, peer in enumerate(strangers)}
    return {peer: STYLES.get(library_of(peer)) or spare[peer] for peer in peers}
