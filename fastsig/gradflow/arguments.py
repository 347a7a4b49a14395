"""What measurements are told, looked at before anything is built."""

from __future__ import annotations

import math
import operator
from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor

LARGEST_SEED = 2**64 - 1
"""That torch takes."""


def known(argument: str, given: Any, names: Collection[str]) -> None:
    """ValueError where it is none of the names."""
    if not isinstance(given, str) or given not in names:
        raise ValueError(f"{argument}={given!r} is unknown; known are {', '.join(map(repr, names))}")


def whole(argument: str, given: Any, least: int = 1, most: int | None = None) -> int:
    """As an int; ValueError below the least or above the most."""
    if isinstance(given, bool):
        raise TypeError(f"{argument} must be a whole number, not {given!r}")
    try:
        number = operator.index(given)
    except TypeError:
        raise TypeError(f"{argument} must be a whole number, not {given!r}") from None
    if number < least:
        raise ValueError(f"{argument}={number}: it must be at least {least}")
    if most is not None and number > most:
        raise ValueError(f"{argument}={number}: it must be at most {most}")
    return number


def finite(argument: str, given: Any, *, positive: bool = False) -> float:
    """As a float; ValueError where it is NaN, infinite, or not above 0 where it must be."""
    wanted = f"a finite number{' above 0' if positive else ''}"
    if isinstance(given, (str, bytes, bool)):
        raise TypeError(f"{argument}={given!r}: it must be {wanted}")
    try:
        number = float(given)
    except OverflowError:
        number = math.inf
    except (TypeError, ValueError):
        raise TypeError(f"{argument}={given!r}: it must be {wanted}") from None
    if not math.isfinite(number) or (positive and number <= 0):
        raise ValueError(f"{argument}={given!r}: it must be {wanted}")
    return number


def labelled_batch(data: Any, classes: int) -> tuple[Tensor, Tensor]:
    """The user's (x, y) as float32 samples by features, and classes as integers."""
    try:
        x, y = data
    except (TypeError, ValueError):
        raise ValueError(f"data must be a pair (x, y) of arrays, not {type(data).__name__}") from None
    x, y = _numbers("x", x).to(torch.float32), _numbers("y", y)
    if x.ndim != 2 or y.ndim != 1 or len(x) != len(y) or not x.numel():
        raise ValueError(f"data: x must have the shape (samples, features) and y (samples,); got {tuple(x.shape)} and {tuple(y.shape)}")
    if not bool(torch.isfinite(x).all()):
        raise ValueError("data: x contains NaN or infinite values; every feature must be a finite float32")
    if y.is_floating_point() and not bool((torch.isfinite(y) & (y == y.round())).all()):
        raise ValueError("data: y contains NaN or fractions; it must hold the class of each sample, a whole number")
    smallest, largest = y.min().item(), y.max().item()
    if smallest < 0 or largest >= classes:
        said = [f"{value:g}" if isinstance(value, float) else str(value) for value in (smallest, largest)]
        raise ValueError(f"data: y has classes from {said[0]} to {said[1]}; with classes={classes} they go from 0 to {classes - 1}")
    return x, y.to(torch.int64)


def _numbers(part: str, given: Any) -> Tensor:
    """Real numbers on the host, which nothing else owns."""
    try:
        values = given.detach().cpu() if isinstance(given, Tensor) else torch.as_tensor(given, device="cpu")
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ValueError(f"data must be a pair (x, y) of arrays: {part} is none: {error}") from None
    if values.is_complex():
        raise ValueError(f"data: {part} holds complex numbers; it must hold real ones")
    if values.dtype in (torch.uint16, torch.uint32, torch.uint64):  # of which torch finds no least one
        values = values.to(torch.float64)
    return values.clone()
