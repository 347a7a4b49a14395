"""The demo: a logistic regression on real data with fastsig's loss, held against scikit-learn's, and the peers beside it.

Needs the ``demo`` extra (scikit-learn, SciPy, rich); this file imports none of it until ``main`` runs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from fastsig.system.terminal import complain

NEEDED = ("sklearn", "scipy", "rich")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo.

    0 if the fit agrees with scikit-learn's, 1 if not, 2 for a picture that cannot be drawn, or without the ``demo`` extra.
    """
    description = "Fit a logistic regression with fastsig on real data, then compare speed and accuracy with the installed peers."
    parser = argparse.ArgumentParser(prog="fastsig demo", description=description)
    parser.add_argument("--plot", metavar="PATH", help="draw the fit, the errors and the speed here (needs matplotlib)")
    plot: str | None = parser.parse_args(argv).plot
    try:
        for name in NEEDED:
            import_module(name)
    except ImportError as error:
        print(f'The demo needs scikit-learn, SciPy and rich ({error}):\n\n    pip install "fastsig-kernels[demo]"', file=sys.stderr)
        return 2
    try:
        _check_picture(plot)
    except (ImportError, ValueError) as error:
        complain(f"fastsig demo: {error}")
        return 2
    from fastsig.cli.demo.story import tell

    return tell(plot)


def _check_picture(path: str | None) -> None:
    """Before anything is computed: a format that can be drawn, and a folder that is there."""
    if path is None:
        return
    from fastsig.measure.picture_files import format_of

    format_of(path)
    folder = Path(path).parent
    if not folder.is_dir():
        raise ValueError(f"--plot {path}: there is no folder {folder}; make it, or name another place")
