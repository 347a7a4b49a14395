"""The compiled extension, where it, its library and this package are of one version. The only importer of ``fastsig._c``."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import sys
from types import ModuleType

from fastsig._version import __version__


def _imported() -> ModuleType:
    """fastsig._c; also where the current directory is a checkout, which has none and hides the installed package that has it."""
    try:
        return importlib.import_module("fastsig._c")
    except ModuleNotFoundError:
        package = sys.modules["fastsig"]
        package.__path__ = pkgutil.extend_path(package.__path__, "fastsig")
        return importlib.import_module("fastsig._c")


def _version_of_library(file: str) -> str:
    import ctypes

    try:
        version = ctypes.CDLL(file).fastsig_version
    except (OSError, AttributeError):
        return "of an unknown version"
    version.restype = ctypes.c_char_p
    return str(version().decode())


def _in_words(refusal: ImportError) -> str:
    """What the system's loader says of a library of another version, with that version."""
    refused = re.match(r"(.+): version `FASTSIG_\w+[^']*' not found", str(refusal))
    if not refused:
        return f"the C library cannot be loaded ({refusal})"
    file = refused[1]
    return _mismatch(f"its extension {__version__} ({refusal.path})", f"the library that was loaded {_version_of_library(file)} ({file})")


def _mismatch(*parts: str) -> str:
    package = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return f"versions are mixed up: fastsig is {__version__} ({package}), {', '.join(parts)}; install fastsig-kernels again"


def _loaded() -> ModuleType:
    try:
        return _imported()
    except ModuleNotFoundError:
        raise
    except ImportError as error:
        raise ImportError(_in_words(error)) from error


_c = _loaded()
ffi, lib = _c.ffi, _c.lib

FILE = os.path.abspath(str(_c.__file__))
LIBRARY_FILE = os.path.abspath(ffi.string(lib.fastsig_library_file()).decode())
"""The one that this process has loaded, wherever that was found."""


def _check_versions() -> None:
    extension, library = (ffi.string(version()).decode() for version in (lib.fastsig_extension_version, lib.fastsig_version))
    abi, library_abi = lib.FASTSIG_ABI_VERSION, lib.fastsig_abi_version()
    if not (extension == library == __version__ and abi == library_abi):
        abis = ("", "") if abi == library_abi else (f" for ABI {abi}", f" of ABI {library_abi}")
        raise ImportError(
            _mismatch(f"its extension {extension}{abis[0]} ({FILE})", f"the library that was loaded {library}{abis[1]} ({LIBRARY_FILE})")
        )


_check_versions()
