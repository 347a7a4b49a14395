"""The C library's threads among those that threadpoolctl limits, from the import of this module on.

Python's threads, which serve where there is no C library, are not among them: threadpoolctl knows shared libraries only.

Examples
--------
>>> import threadpoolctl
>>> import fastsig.interop.threadpoolctl
>>> with threadpoolctl.threadpool_limits(1):
...     fastsig.get_num_threads()
1
"""

from __future__ import annotations

import ctypes

try:
    import threadpoolctl
    from threadpoolctl import LibController
except ImportError as error:
    raise ImportError(
        "fastsig.interop.threadpoolctl needs threadpoolctl 3.2 or newer: pip install 'fastsig-kernels[threadpoolctl]'"
    ) from error

from fastsig import set_num_threads
from fastsig.system.num_threads import default_of_process, limit_of_process


class FastsigController(LibController):  # type: ignore[misc]
    """What threadpoolctl asks of ``libfastsig``.

    The limit is the process's, also where a thread asks: a thread other than the main one never shares its calls, whatever is set,
    and what it puts back must not become the main thread's limit.
    """

    user_api = "fastsig"
    internal_api = "fastsig"
    filename_prefixes = ("libfastsig",)
    check_symbols = ("fastsig_abi_version",)

    def get_num_threads(self) -> int:
        return limit_of_process()

    def set_num_threads(self, num_threads: int) -> None:
        """The default, which is what is put back where nothing was set, goes on to follow the CPUs of the process."""
        set_num_threads(None if num_threads == default_of_process() else num_threads)

    def get_version(self) -> str:
        version = self.dynlib.fastsig_version
        version.restype = ctypes.c_char_p
        return str(version().decode())


threadpoolctl.register(FastsigController)
