"""Where this user's settings and caches lie, by the custom of each system: the one place that knows.

Paths are strings: calls look here too, and ``pathlib`` takes 3 ms to be imported.
"""

from __future__ import annotations

import os
import sys


def _in_home(*names: str) -> str | None:
    """A path in the user's home directory; None for a user who has none, as in some containers."""
    home = os.path.expanduser("~")
    return os.path.join(home, *names) if os.path.isabs(home) else None


def config_dir() -> str | None:
    """Where this user's settings live, by the custom of the system; None where there is no such place."""
    if sys.platform == "win32":
        base = os.environ.get("APPDATA") or _in_home("AppData", "Roaming")
    elif sys.platform == "darwin" and not os.environ.get("XDG_CONFIG_HOME"):
        base = _in_home("Library", "Application Support")
    else:
        chosen = os.environ.get("XDG_CONFIG_HOME") or ""
        base = chosen if os.path.isabs(chosen) else _in_home(".config")
    return None if base is None else os.path.join(base, "fastsig")


def cache_directory() -> str | None:
    """FASTSIG_CACHE_DIR, else a directory of the user's, where the system has caches; None where there is no such place."""
    chosen = os.environ.get("FASTSIG_CACHE_DIR")
    if chosen:
        return chosen
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or _in_home("AppData", "Local")
        return None if base is None else os.path.join(base, "fastsig", "cache")
    base = _in_home("Library", "Caches") if sys.platform == "darwin" else os.environ.get("XDG_CACHE_HOME") or _in_home(".cache")
    return None if base is None else os.path.join(base, "fastsig")
