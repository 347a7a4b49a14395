"""fastsig of dask arrays: the functions of fastsig give dask arrays, which compute nothing until they are asked to; docs/dask.md.

Nothing here needs to be called: ``fs.sigmoid``, ``fs.bce_with_logits`` and the others come here with what is lazy.

Examples
--------
>>> import dask.array as da
>>> import fastsig as fs
>>> logits, targets = da.from_array([2.0, -1.0, 0.5], chunks=2), da.from_array([1, 0, 0], chunks=1)
>>> loss = fs.bce_with_logits(logits, targets)
>>> loss  # doctest: +ELLIPSIS
dask.array<..., shape=(), dtype=float64, chunksize=(), chunktype=numpy.ndarray>
>>> print(round(float(loss.compute()), 6))
0.471422
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial, reduce
from operator import itemgetter
from typing import Any

import numpy as np

try:
    import dask.array as da
except ImportError as error:
    raise ImportError("fastsig.interop.dask needs dask 2024.1 or newer with NumPy: pip install 'fastsig-kernels[dask]'") from error

import fastsig as fs
from fastsig.arrays import arraylikes
from fastsig.arrays.devices import LAZY, describe, library_of
from fastsig.arrays.dtypes import Array
from fastsig.kernels.plan import FOCAL, LOGITS, PROBABILITIES, WEIGHTS, WITH_HESS, elements_shape, reciprocal
from fastsig.losses import pairing
from fastsig.losses.arguments import arguments_of, function_of, read_values
from fastsig.losses.chunks import Inputs, Loss, of_chunk
from fastsig.losses.evaluate import Sums
from fastsig.losses.reductions import divisor, reduced

_OPTIONS: dict[int, tuple[str, ...]] = {LOGITS: ("label_smoothing",), PROBABILITIES: (), FOCAL: ("alpha", "gamma")}


# ---- functions of one input ----


def elementwise(name: str, x: Any, out: Any, backend: str | None, threads: int | None, others: dict[str, Any]) -> Any:
    """``fastsig.NAME(x)`` for every block of a dask array, or partition of a Series or DataFrame of dask, on one thread each.

    Raises
    ------
    TypeError
        out is given, or x is neither.
    """
    _refuse_outputs(name, {"out": out})
    options = dict(others)
    where = options.pop("where", True)
    function = partial(getattr(fs, name), backend=backend, threads=threads or 1, **options)
    if type(x).__module__.startswith("dask.dataframe"):
        if where is not True:
            raise TypeError(f"{name}: where is for arrays; of a dask {type(x).__name__} take x.where(condition)")
        return x.map_partitions(function)
    if library_of(x) in LAZY and not isinstance(x, da.Array):
        raise TypeError(f"{name}: x is {describe(x)}; {_ADVICE}")
    return da.core.elemwise(function, x if isinstance(x, da.Array) else da.asarray(x), where=where)


_ADVICE = "give a dask array, as da.from_delayed and to_dask_array(lengths=True) make them"


def _refuse_outputs(name: str, outs: Mapping[str, Any]) -> None:
    for argument, out in outs.items():
        if out is not None:
            raise TypeError(f"{name}: {argument} is for arrays in memory; results of dask arrays are new ones, computed when asked for")


def block_of(*operands: Any) -> Array:
    """An array like the largest block of the first of these that is a dask array, without its numbers, for `fastsig.explain`."""
    for x in operands:
        x = x.data if library_of(x) == "xarray" else x
        if isinstance(x, da.Array):
            lengths = (max(cut) for cut in x.chunks)
            return np.broadcast_to(np.zeros((), x.dtype), [1 if math.isnan(length) else length for length in lengths])
    raise TypeError(f"explain: {describe(operands[0])} is no array; {_ADVICE}")


# ---- losses ----


def loss(
    formula: int, wanted: int, given: tuple[Any, Any, Any, Any, Any], reduction: str, check: bool, outs: Mapping[str, Any],
    backend: str | None, threads: int | None, options: Mapping[str, Any],
) -> Any:  # fmt: skip
    """A loss, as the function of fastsig that was called describes it: dask arrays, of no dimensions where it is reduced.

    Raises
    ------
    ValueError, TypeError
        As that function does, for what types and shapes tell; what the numbers tell is raised where they are computed. TypeError also
        for outputs, for other objects of dask, and where blocks to be summed are not NumPy arrays; ValueError for missing values beside
        dask arrays, and for sizes of chunks that are unknown and have to be known.
    """
    name = function_of(formula, wanted)
    _refuse_outputs(name, outs)
    kept = {option: options[option] for option in _OPTIONS[formula]}
    how = dict(kept, check=check, backend=backend, **({} if wanted & WITH_HESS else {"reduction": reduction}))
    arrays = _arrays(name, {argument: x for argument, x in zip(arguments_of(formula), given, strict=True) if x is not None})
    if "alpha" in arrays:
        del how["alpha"]
    dtype = _result_type(getattr(fs, name), arrays, how)
    (first, x), *rest = arrays.items()
    others = {argument: _beside(name, first, x, argument, y) for argument, y in rest}
    if wanted & WITH_HESS or reduction == "none":
        unknown = {argument: y.shape for argument, y in others.items() if _unknown(y) or _unknown(x)}
        function = partial(_elements, name, tuple(others), unknown, dict(how, threads=threads or 1))
        results = da.map_blocks(function, x, *others.values(), token=name, dtype=dtype, meta=x._meta.astype(dtype))
        return tuple(_as_given(given[0], part) for part in _pair(results)) if wanted else _as_given(given[0], results)
    _refuse_unsummable(name, {first: x, **others})
    weighed = reduction == "weighted_mean" and "weight" in others
    task = Loss(name, formula, check, weighed, backend, threads or 1, **kept)
    if not wanted:
        return _reduced(task, reduction, dtype, _sums_of_chunks(task, x, others))
    known, divided_by = _divided_by(task, reduction, x, others)
    function = partial(_with_grad, task, reduction, known, dtype, tuple(others))
    both = da.map_blocks(function, x, *others.values(), divided_by, token=name, dtype=dtype, meta=_empty(x.ndim, dtype))
    parts, grad = _pair(both)
    return _reduced(task, reduction, dtype, parts), _as_given(given[0], grad)


# ---- operands ----


def _arrays(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The logits as a dask array; all others as that, or as arrays in memory. Their shapes are checked as far as they are known."""
    if "targets" not in given:
        raise TypeError(f"{name}: targets is None; give an array")
    pairing.refuse_other_labels(name, given)
    found = {argument: _array(name, argument, x) for argument, x in given.items()}
    first = next(iter(found))
    x = found[first]
    for argument, y in found.items():
        if y is not x and not _unknown(x) and not _unknown(y):
            elements_shape(name, {first: x.shape, argument: y.shape})
    if not isinstance(x, da.Array):
        alike = (y.chunks for y in found.values() if isinstance(y, da.Array) and y.shape == x.shape)
        found[first] = da.from_array(x, chunks=next(alike, "auto"))
    return found


def _array(name: str, argument: str, x: Any) -> Any:
    if library_of(x) == "xarray" and isinstance(x.data, da.Array):
        x = x.data
    if isinstance(x, da.Array):
        return x
    if library_of(x) in LAZY:
        raise TypeError(f"{name}: {argument} is {describe(x)}; {_ADVICE}")
    array, missing = read_values(name, argument, x)
    if missing is not None:
        raise ValueError(f"{name}: {argument} has missing values (NA); beside dask arrays fill them first, with mask= too")
    return array


def _result_type(function: Callable[..., Any], arrays: Mapping[str, Any], how: Mapping[str, Any]) -> np.dtype[Any]:
    """The type of the function's results; what it refuses about types and options it refuses of one element too."""
    x, targets, *rest = (np.ones((1,) * y.ndim, y.dtype) for y in arrays.values())
    result = function(x, targets, **dict(zip(list(arrays)[2:], rest, strict=True)), **how)
    return np.asarray(result[1] if isinstance(result, tuple) else result).dtype


def _unknown(x: Any) -> bool:
    return any(math.isnan(length) for length in x.shape)


def _beside(name: str, first: str, x: Any, argument: str, y: Any) -> Any:
    """The operand cut as x is, axis by axis, but where it has one element for all of x; a single number as it is."""
    if not isinstance(y, da.Array) and y.size == 1:
        return y.reshape(())
    if not _unknown(x) and not _unknown(y):
        chunks = _cut_as(x, y)
        return y.rechunk(chunks) if isinstance(y, da.Array) else da.from_array(y, chunks=chunks)
    trailing = x.numblocks[x.ndim - y.ndim :]
    if isinstance(y, da.Array) and all(length == 1 or n == m for length, n, m in zip(y.shape, y.numblocks, trailing, strict=True)):
        return y
    which = first if _unknown(x) else argument
    raise ValueError(
        f"{name}: {which} has chunks of unknown sizes, and {argument} cannot be cut as {first} is; call {which}.compute_chunk_sizes() first"
    )


def _cut_as(x: Any, y: Any) -> tuple[tuple[int, ...], ...]:
    return tuple((1,) if length == 1 else cut for length, cut in zip(y.shape, x.chunks[x.ndim - y.ndim :], strict=True))


def _refuse_unsummable(name: str, arrays: Mapping[str, Any]) -> None:
    for argument, y in arrays.items():
        if _unknown(y):
            raise ValueError(
                f"{name}: {argument} has chunks of unknown sizes, and what is summed is paired by known ones; "
                f"call {argument}.compute_chunk_sizes() first, or take reduction='none'"
            )
        if isinstance(y, da.Array) and type(y._meta) is not np.ndarray:
            raise TypeError(
                f"{name}: {argument} has blocks of type {describe(y._meta)}; sums are of NumPy arrays: {argument}.map_blocks(np.asarray)"
                ", and what a masked array hides by mask="
            )


# ---- graphs ----


def _empty(ndim: int, dtype: Any) -> Array:
    return np.empty((0,) * ndim, dtype)


def _pair(both: Any) -> tuple[Any, Any]:
    """Both members of the pairs that the blocks are."""
    return tuple(both.map_blocks(itemgetter(i), dtype=both.dtype, meta=both._meta) for i in (0, 1))


def _as_given(logits: Any, result: Any) -> Any:
    """In a DataArray where the logits were one."""
    return arraylikes.like(logits, result) if library_of(logits) == "xarray" else result


def _sums_of_chunks(task: Loss, x: Any, others: Mapping[str, Any]) -> Any:
    function = partial(_sums_of_block, task, tuple(others))
    return da.map_blocks(function, x, *others.values(), token=f"{task.function}-sums", dtype=x.dtype, meta=_empty(x.ndim, x.dtype))


def _tree(name: str, parts: Any, finish: Callable[..., Any], dtype: Any) -> Any:
    """The sums of all chunks, a few at a time."""
    return da.reduction(
        parts, chunk=_unchanged, combine=_added, aggregate=finish, concatenate=False,
        split_every=dict.fromkeys(range(parts.ndim), 8), name=name, dtype=dtype, meta=_empty(0, dtype),
    )  # fmt: skip


def _reduced(task: Loss, reduction: str, dtype: np.dtype[Any], parts: Any) -> Any:
    return _tree(task.function, parts, partial(_quotient, reduction, task.weighed, dtype), dtype)


def _divided_by(task: Loss, reduction: str, x: Any, others: Mapping[str, Any]) -> tuple[Sums | None, Any]:
    """What a gradient is divided by, where it is known now; else what gives it, and reads weights and mask but no logits."""
    mask = others.get("mask")
    if task.weighed:
        nothing = da.broadcast_to(da.zeros((), dtype=x.dtype), x.shape, chunks=x.chunks)
        seen = {"targets": np.zeros(())} | {argument: y for argument, y in others.items() if argument in ("weight", "mask")}
        weights = task._replace(formula=WEIGHTS)
        return None, _tree(task.function, _sums_of_chunks(weights, nothing, seen), _added, np.float64)
    if reduction == "sum" or mask is None:
        return Sums(counted=x.size), None
    times = x.size // max(mask.size, 1)
    if not isinstance(mask, da.Array):
        return Sums(counted=times * int(mask)), None
    return None, mask.sum(dtype=np.int64).map_blocks(partial(_count, times), dtype=np.int64, meta=_empty(0, np.int64))


# ---- tasks ----


def _elements(name: str, names: tuple[str, ...], unknown: Mapping[str, Any], how: Mapping[str, Any], x: Any, *others: Any) -> Any:
    """The function's results for a block of the logits and what is beside it."""
    given = dict(zip(names, others, strict=True))
    for argument, shape in unknown.items():
        own, beside = np.shape(given[argument]), np.shape(x)[np.ndim(x) - len(shape) :]
        if any(whole != 1 and a != b for whole, a, b in zip(shape, own, beside, strict=True)):
            raise ValueError(f"{name}: a block of {argument} has shape {own} beside one of shape {np.shape(x)}; give equal chunks")
    return getattr(fs, name)(x, given.pop("targets"), **given, **how)


def _inputs(task: Loss, names: tuple[str, ...], x: Any, others: Sequence[Any]) -> Inputs:
    given = dict(zip(names, others, strict=False))
    _, *arguments = arguments_of(task.formula)
    return np.asarray(x), *(np.asarray(given[argument]) if argument in given else None for argument in arguments)


def _sums_of_block(task: Loss, names: tuple[str, ...], x: Any, *others: Any) -> Sums:
    return of_chunk(task, _inputs(task, names, x, others))


def _with_grad(
    task: Loss, reduction: str, known: Sums | None, dtype: np.dtype[Any], names: tuple[str, ...], x: Any, *others: Any
) -> tuple[Sums, Array]:
    *inputs, divided_by = others
    counted: Sums = divided_by if known is None else known
    scale = reciprocal(*divisor(reduction, counted.counted, counted.weight if task.weighed else None), dtype == np.float64)
    grad = np.empty(np.shape(x), dtype)
    return of_chunk(task, _inputs(task, names, x, inputs), grad, scale), grad[()]


def _count(times: int, counted: Any) -> Sums:
    return Sums(counted=times * int(counted))


def _unchanged(part: Sums, axis: Any, keepdims: bool) -> Sums:
    return part


def _leaves(parts: Any) -> Iterator[Sums]:
    if isinstance(parts, list):
        for part in parts:
            yield from _leaves(part)
    else:
        yield parts


def _added(parts: Any, axis: Any, keepdims: bool) -> Sums:
    return reduce(Sums.plus, _leaves(parts), Sums())


def _quotient(reduction: str, weighed: bool, rounded_to: np.dtype[Any], parts: Any, axis: Any, keepdims: bool) -> Any:
    total, weight, count = _added(parts, axis, keepdims)
    return reduced(total, reduction, count, weight if weighed else None, rounded_to, 2)
