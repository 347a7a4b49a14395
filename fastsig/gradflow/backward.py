"""A backward pass whose gradient is brought back to norm 1 at every layer, so that no depth makes it 0 or infinite."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


class Segment:
    """One layer's or time step's inputs, cut off from what came before, and its outputs."""

    def __init__(self, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)


def cut(*tensors: Tensor) -> tuple[Tensor, ...]:
    """The same values, as the beginning of a graph of their own."""
    return tuple(tensor.detach().requires_grad_() for tensor in tensors)


def log10_gradients(segments: Sequence[Segment], gradients: Sequence[Tensor]) -> list[float]:
    """log10 of the norm of the gradient at the outputs of each segment, from that at the outputs of the last."""
    found: list[float] = []
    so_far = 0.0
    for segment in reversed(segments):
        norm = math.sqrt(math.fsum(float(gradient.double().norm()) ** 2 for gradient in gradients))
        if not 0 < norm < math.inf:
            rest = len(segments) - len(found)
            found += [-math.inf if norm == 0 else math.nan] * rest
            break
        so_far += math.log10(norm)
        found.append(so_far)
        if segment is not segments[0]:
            unit = [(gradient.double() / norm).to(gradient.dtype) for gradient in gradients]
            gradients = torch.autograd.grad(segment.outputs, segment.inputs, unit)
    return found[::-1]


_ONE_AT_A_TIME = threading.RLock()
"""torch's random numbers and its number of threads belong to the process, not to one of its threads."""


@contextmanager
def reproducibly(seed: int) -> Iterator[None]:
    """torch's random numbers from this seed, and one thread, which small layers are quickest with; afterwards all is as before.

    One thread also adds in one order, so that the same settings give the same figures. What the user has set around it (autocast,
    inference mode, no gradients) does not count inside.
    """
    with (
        _ONE_AT_A_TIME,
        torch.random.fork_rng(devices=[]),
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast("cpu", enabled=False),
    ):
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            torch.default_generator.manual_seed(seed)
            yield
        finally:
            torch.set_num_threads(threads)
