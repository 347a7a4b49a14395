"""Which files matplotlib can draw, asked before anything is measured."""

from __future__ import annotations

import os
from pathlib import Path


def format_of(path: str | os.PathLike[str]) -> str:
    """What the name ends with; ValueError where matplotlib draws no such format, ImportError without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
    except ImportError as error:
        raise ImportError('a drawing needs matplotlib: pip install "fastsig-kernels[plot]"') from error
    ending = Path(path).suffix.removeprefix(".").lower()
    known = sorted(FigureCanvasAgg.get_supported_filetypes())
    if ending not in known:
        raise ValueError(f"{os.fspath(path)}: the name must end with a format that can be drawn: {', '.join(known)}")
    return ending
