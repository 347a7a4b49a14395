"""How a public name says that it will go: docs/versions.md has how long it stays."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def deprecated(since: str, instead: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let each call warn its caller, by name and with what to use instead; the docstring says so too.

    Parameters
    ----------
    since : str
        The version that deprecates it, as "0.2".
    instead : str
        What to write in its place.
    """

    def mark(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def warning(*args: P.args, **options: P.kwargs) -> R:
            name = f"{warning.__module__}.{warning.__name__}"
            warnings.warn(f"{name} is deprecated since fastsig {since}; use {instead}", DeprecationWarning, stacklevel=2)
            return function(*args, **options)

        warning.__doc__ = f"{function.__doc__ or ''}\n\n.. deprecated:: {since}\n    Use {instead}.\n"
        return warning

    return mark
