"""Operations of torch: kernels, shapes, batches and derivatives of one, under the keys where torch looks for them.

The derivative is a kernel of the Autograd key of our own, and not what ``torch.library.register_autograd`` makes: it is called once
for every level of ``torch.func``, as those of torch's own operations are, and knows forward mode too. So gradients, Jacobian-vector
products and Hessians of any order are right, also inside ``torch.compile``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch._functorch.utils import enable_single_level_autograd_function
from torch.autograd import forward_ad
from torch.autograd.function import _SingleLevelFunction

NAMESPACE = "fastsig"
_LIBRARY = torch.library.Library(NAMESPACE, "DEF")

SingleLevelFunction: Any = _SingleLevelFunction
"""``torch.autograd.Function`` as it is on one level."""


class Rule(Protocol):
    """What is kept of a call of an operation, and its derivatives in terms of what has derivatives itself."""

    def save(self, ctx: Any, *args: Any) -> tuple[torch.Tensor | None, ...]:
        """The tensors that are kept; what else is kept becomes attributes of ctx."""

    def backward(self, ctx: Any, kept: tuple[Any, ...], *grads: Any) -> tuple[torch.Tensor | None, ...]:
        """The gradient of each argument, from that of each result."""

    def jvp(self, ctx: Any, kept: tuple[Any, ...], *tangents: torch.Tensor | None) -> Any:
        """The tangent of the result, or of each."""


def register(schema: str, compute: Callable[..., Any], like: Callable[..., Any], batched: Callable[..., Any]) -> Any:
    """The operation, still without a derivative.

    Parameters
    ----------
    schema : str
        Its name and arguments in torch's language.
    compute
        The result, or a tuple of all, for tensors without gradient on the host or on a GPU.
    like
        Empty tensors of the results' shapes, types and strides.
    batched
        The rule of ``torch.library.register_vmap``; it is given the operation before its arguments.
    """
    name = schema.partition("(")[0]
    _LIBRARY.define(schema, tags=(torch.Tag.pt2_compliant_tag,))
    for device in ("CPU", "CUDA"):
        _LIBRARY.impl(name, compute, device)
    torch.library.register_fake(f"{NAMESPACE}::{name}", like, lib=_LIBRARY)
    operation = getattr(getattr(torch.ops, NAMESPACE), name).default
    torch.library.register_vmap(f"{NAMESPACE}::{name}", lambda info, dims, *args: batched(operation, info, dims, *args), lib=_LIBRARY)
    return operation


def differentiable(operation: Any, rule: Rule) -> None:
    """Give an operation its derivative."""

    def forward(ctx: Any, modes: tuple[bool, bool], *args: Any) -> Any:
        kept = rule.save(ctx, *args)
        ctx.save_for_backward(*kept)
        ctx.save_for_forward(*kept)
        ctx.modes = modes
        with _modes(*modes):
            return below_autograd(operation, *args)

    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return (None, *rule.backward(ctx, ctx.saved_tensors, *grads))

    def jvp(ctx: Any, _: Any, *tangents: torch.Tensor | None) -> Any:
        with _modes(*ctx.modes):
            primals = tuple(x if x is None else torch.ops.aten._fw_primal(x, 0) for x in ctx.saved_tensors)
            return rule.jvp(ctx, primals, *tangents)

    methods: dict[str, Any] = {"forward": forward, "backward": backward, "jvp": jvp}
    name = operation._schema.name.partition("::")[2]
    function: Any = type(name, (SingleLevelFunction,), {key: staticmethod(method) for key, method in methods.items()})

    def autograd(*args: Any) -> Any:
        with enable_single_level_autograd_function():
            return function.apply((torch.is_grad_enabled(), torch._C._is_fwd_grad_enabled()), *args)

    _LIBRARY.impl(name, autograd, "Autograd")


@contextlib.contextmanager
def _modes(grad: bool, forward_grad: bool) -> Iterator[None]:
    """As they were where the operation was called: a Function turns both off, and the levels below this would record nothing."""
    with torch.set_grad_enabled(grad), forward_ad._set_fwd_grad_enabled(forward_grad):
        yield


def below_autograd(operation: Any, *args: Any) -> Any:
    with torch._C._AutoDispatchBelowAutograd():
        return operation(*args)
