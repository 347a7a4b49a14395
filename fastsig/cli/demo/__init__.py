"""The demo: a logistic regression on real data with fastsig's loss, held against scikit-learn's, and the peers beside it.

Needs the ``demo`` extra (scikit-learn, SciPy, rich); this file imports none of it until ``main`` runs.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

NEEDED = ("sklearn", "scipy", "rich")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo; 0 if the fit agrees with scikit-learn's, 1 if not, 2 if the ``demo`` extra is not installed."""
    description = "Fit a logistic regression with fastsig on real data, then compare speed and accuracy with the installed peers."
    argparse.ArgumentParser(prog="fastsig demo", description=description).parse_args(argv)
    try:
        for name in NEEDED:
            import_module(name)
    except ImportError as error:
        print(f'The demo needs scikit-learn, SciPy and rich ({error}):\n\n    pip install "fastsig-kernels[demo]"', file=sys.stderr)
        return 2
    from fastsig.cli.demo.story import tell

    return tell()
