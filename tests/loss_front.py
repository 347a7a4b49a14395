"""The C library's front for the losses, listened to or switched off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fastsig.losses import fast_path


@contextmanager
def taken(only_general: bool = False) -> Iterator[list[bool]]:
    """Whether the C front took each of the calls made here; with only_general it is asked for none."""
    answers: list[bool] = []
    front = fast_path.quick_loss

    def asked(*arguments: Any) -> Any:
        result = front(*arguments)
        answers.append(result is not NotImplemented)
        return result

    fast_path.quick_loss = None if only_general or front is None else asked
    try:
        yield answers
    finally:
        fast_path.quick_loss = front


def generally(function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
    """The call by the general way."""
    with taken(only_general=True):
        return function(*arguments, **options)
