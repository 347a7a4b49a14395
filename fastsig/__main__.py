"""``python -m fastsig COMMAND``."""

import sys

from fastsig.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
