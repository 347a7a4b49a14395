"""Gated units and recurrent cells, with torch's signatures and as fastsig's own functions of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

import fastsig as fs
from fastsig.arrays.devices import common_device
from fastsig.gates.shapes import of_parts
from fastsig.interop.torch.gate_operations import GATES
from fastsig.interop.torch.tensors import array_of, floating, gradient_is_asked_for, host_tensor, tensors_of, undisturbed
from fastsig.ops import BROADCASTING, FUSED_BY_NAME, Fused

# ---- with torch's signatures ----


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The gated linear unit ``a * sigmoid(b)`` of the halves of a tensor, as `torch.nn.functional.glu`.

    Parameters
    ----------
    input : Tensor
        As of `sigmoid`, of an even length along ``dim``.
    dim : int
        The dimension that is halved.

    Returns
    -------
    Tensor
        Half as long, in C order; the bits of ``fastsig.glu``, at most 2.5 ULP in float32 and float64. It has gradients of any order,
        the first of which is ``fastsig.glu_backward``.

    Raises
    ------
    RuntimeError
        No dimensions, or a length that does not halve; as `sigmoid` does.
    IndexError
        There is no such dimension.
    TypeError
        As `sigmoid` does.

    Examples
    --------
    >>> import torch
    >>> import fastsig.interop.torch as ft
    >>> ft.glu(torch.tensor([1.0, 2.0, 0.0, 100.0]))
    tensor([0.5000, 2.0000])
    """
    x = floating("glu", input)
    if x.ndim == 0:
        raise RuntimeError("glu: input has no dimensions; give a tensor of one or more")
    if not -x.ndim <= dim < x.ndim:
        raise IndexError(f"glu: dim={dim} is none of input, which has {x.ndim}; give one from {-x.ndim} to {x.ndim - 1}")
    if x.shape[dim] % 2:
        raise RuntimeError(f"glu: input has shape {tuple(x.shape)}, and dimension {dim} of {x.shape[dim]} elements does not halve")
    return GATES["glu"](x, dim if dim < 0 else dim - x.ndim)


def _checked(name: str, gates: int, input: Tensor, states: Mapping[str, Tensor], w_ih: Tensor, w_hh: Tensor) -> None:
    hidden = w_hh.shape[1]
    if input.ndim != 2 or input.shape[1] != w_ih.shape[1]:
        raise RuntimeError(f"{name}: input has shape {tuple(input.shape)}; w_ih of {tuple(w_ih.shape)} takes (batch, {w_ih.shape[1]})")
    for what, weight in (("w_ih", w_ih), ("w_hh", w_hh)):
        if weight.shape[0] != gates * hidden:
            raise RuntimeError(f"{name}: {what} has shape {tuple(weight.shape)}; a state of {hidden} asks for {gates * hidden} rows")
    for what, state in states.items():
        if state.shape != (input.shape[0], hidden):
            raise RuntimeError(f"{name}: {what} has shape {tuple(state.shape)}; input and w_hh ask for {(input.shape[0], hidden)}")


def _of_one_type(*found: Tensor) -> list[Tensor]:
    """As torch's own arithmetic makes them: products under autocast are halves, and the state beside them is not."""
    dtype = found[0].dtype
    for x in found[1:]:
        dtype = torch.promote_types(dtype, x.dtype)
    return [x.to(dtype) for x in found]


def lstm_cell(
    input: Tensor, hx: tuple[Tensor, Tensor], w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """One step of an LSTM, as `torch.lstm_cell`: the products by torch, and all that follows them in one pass.

    Parameters
    ----------
    input : Tensor
        Of shape (batch, features).
    hx : tuple of Tensor
        The states h and c, of shape (batch, hidden).
    w_ih, w_hh : Tensor
        Of shapes (4 * hidden, features) and (4 * hidden, hidden): the gates i, f, g and o.
    b_ih, b_hh : Tensor, optional
        Of shape (4 * hidden,).

    Returns
    -------
    h, c : Tensor
        With gradients of any order. From the sums on, value and first gradient have the bits of ``fastsig.lstm_cell`` and
        ``fastsig.lstm_cell_backward``.

    Raises
    ------
    RuntimeError
        The shapes do not fit; the message names the argument.

    Examples
    --------
    >>> import torch
    >>> import fastsig.interop.torch as ft
    >>> h, c = ft.lstm_cell(torch.zeros(1, 2), (torch.zeros(1, 1), torch.full((1, 1), 2.0)), torch.ones(4, 2), torch.ones(4, 1))
    >>> c
    tensor([[1.]])
    """
    h, c = hx
    _checked("lstm_cell", 4, input, {"hx[0]": h, "hx[1]": c}, w_ih, w_hh)
    return GATES["lstm_cell"](*_of_one_type(functional.linear(input, w_ih, b_ih) + functional.linear(h, w_hh, b_hh), c))  # type: ignore[no-any-return]


def gru_cell(input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None) -> Tensor:
    """One step of a GRU, as `torch.gru_cell`: the products by torch, and all that follows them in one pass.

    Parameters
    ----------
    input : Tensor
        Of shape (batch, features).
    hx : Tensor
        The state, of shape (batch, hidden).
    w_ih, w_hh : Tensor
        Of shapes (3 * hidden, features) and (3 * hidden, hidden): r, z and n.
    b_ih, b_hh : Tensor, optional
        Of shape (3 * hidden,).

    Returns
    -------
    Tensor
        The new state, with gradients of any order. From the products on, value and first gradient have the bits of
        ``fastsig.gru_cell`` and ``fastsig.gru_cell_backward``.

    Raises
    ------
    RuntimeError
        The shapes do not fit; the message names the argument.

    Examples
    --------
    >>> import torch
    >>> import fastsig.interop.torch as ft
    >>> ft.gru_cell(torch.zeros(1, 2), torch.full((1, 1), 2.0), torch.ones(3, 2), torch.zeros(3, 1))
    tensor([[1.]])
    """
    _checked("gru_cell", 3, input, {"hx": hx}, w_ih, w_hh)
    products = functional.linear(input, w_ih, b_ih), functional.linear(hx, w_hh, b_hh)
    return GATES["gru_cell"](*_of_one_type(*products, hx))


# ---- fastsig's own functions, given tensors ----


def of_tensors(name: str, given: Mapping[str, Any], out: Any, axis: Any, backend: str | None, threads: int | None) -> Any:
    """``fastsig.NAME`` where the first argument is a tensor in host memory: tensors, which have gradients where one asks for them.

    Raises
    ------
    TypeError, ValueError
        As of arrays; an out that is no tensor.
    RuntimeError
        out, backend or threads together with a gradient.
    """
    common_device(**given)
    like = next(x for x in given.values() if isinstance(x, Tensor))
    tensors = {argument: x if x is None else host_tensor(name, argument, x, like) for argument, x in given.items()}
    row = FUSED_BY_NAME[name]
    outs = out if isinstance(out, tuple) else (out,)
    options = {f"out[{i}]" if len(outs) > 1 else "out": o for i, o in enumerate(outs)}
    recorded = gradient_is_asked_for(name, *tensors.values(), **options, backend=backend, threads=threads)
    if recorded or like.device.type == "meta" or not undisturbed():
        return _by_operation(row, tensors, axis)
    more = {"out": tuple(map(array_of, outs)) if isinstance(out, tuple) else array_of(out), "backend": backend, "threads": threads}
    if row.name.startswith("glu"):
        more["axis"] = axis
    return tensors_of(getattr(fs, name)(*map(array_of, tensors.values()), **more), like, *outs)


def _by_operation(row: Fused, tensors: Mapping[str, Tensor | None], axis: Any) -> Any:
    """By the operation, whose arguments have one type and, where they broadcast, one shape."""
    present = {argument: floating(row.name, x, argument) for argument, x in tensors.items() if x is not None}
    shape, axis = of_parts(row, {argument: tuple(x.shape) for argument, x in present.items()}, axis)
    first, *others = present
    if row.name in BROADCASTING:
        same = _of_one_type(*present.values())
        present = {argument: x.expand(shape) for argument, x in zip(present, same, strict=True)}
    for argument in others:
        if present[argument].dtype != present[first].dtype:
            types = f"{argument} has dtype {present[argument].dtype}, and {first} has {present[first].dtype}"
            raise TypeError(f"{row.name}: {types}; convert one of them")
    lacking = present[first].new_zeros(shape) if len(present) < len(tensors) else None
    found = [present.get(argument, lacking) for argument in tensors]
    gate = GATES[row.name.removesuffix("_backward")]
    operation = gate if gate.name == row.name else gate.gradient
    return operation(*found, *((axis,) if gate.has_axis else ()))
