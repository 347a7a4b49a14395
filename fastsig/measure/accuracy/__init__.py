"""The proof command, ``python -m fastsig check``: how accurate the results are, measured.

Stands on the public functions and on the table of operations; the references share no code with the kernels.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; the exit status: 0 all well, 1 something is over its ceiling or broken, 2 a mistake in the call."""
    missing = [name for name in ("mpmath", "rich", "ml_dtypes") if importlib.util.find_spec(name) is None]
    if missing:
        print(f'fastsig check needs {" and ".join(missing)}: pip install "fastsig-kernels[test]"', file=sys.stderr)
        return 2
    from fastsig.measure.accuracy.cli import main as run

    return run(list(sys.argv[1:] if argv is None else argv))
