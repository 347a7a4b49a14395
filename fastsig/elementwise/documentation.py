"""The documentation of the elementwise functions: one template, and what the table of operations says of each."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from typing import Any, TypeVar

from fastsig.ops import BY_NAME, OPS, Op

Function = TypeVar("Function", bound=Callable[..., Any])

_TEMPLATE = """{op.summary}: ``{op.formula}``.

Parameters
----------
{x} : array_like
    {what}, of any shape; float16, bfloat16, float32 or float64. bool and integers become floats as for ``np.exp``.
out, where, dtype, casting, order, subok
    As in every NumPy ufunc.
backend : {{None, "c", "numba", "cuda"}}
    None lets the dispatcher choose (``fs.explain``); the bits are the same from each.
threads : int, optional
    The most threads to use; default ``fs.get_num_threads()``.

Returns
-------
ndarray or scalar
    As ``{x}``, of its shape and float type; a scalar for a scalar. pyarrow, polars and array-API objects (JAX's) give one of
    theirs, null where ``{x}`` is; other array-likes what ``np.exp`` returns.

Raises
------
TypeError
    ``{x}`` is complex, longdouble, object or text, or ``out`` cannot hold the result.
ValueError
    ``out`` has the wrong shape, is read-only or would have to hold nulls, or ``backend`` or ``threads`` is unknown.
RuntimeError
    The backend is not available, or none computes on the device of ``{x}``.

See Also
--------
{related}

Notes
-----
Accuracy: at most {op.ulp_f32} ULP in float32, {op.ulp_f64} in float64{floor}; correctly rounded in float16 and bfloat16.

Edges: {notes} Never warns.

Source: fastsig/formulas/logistic.py, docs/numerics.md.

Examples
--------
>>> import fastsig as fs
>>> fs.{op.name}({op.example[0]})
{op.example[1]}
"""

_WHAT = {"real": "Real numbers", "unit": "Probabilities, in [0, 1]"}


def documentation(op: Op) -> str:
    """NumPy's sections for an operation of one input."""
    related = [other for other in OPS if other.nin == 1 and other is not op]
    return _TEMPLATE.format(
        op=op,
        x=op.inputs[0],
        what=_WHAT[op.domain],
        related="\n".join(f"{other.name} : {other.summary[0].lower()}{other.summary[1:]}." for other in related),
        floor=f", counted in ULP of ``max(abs(result), {op.scale_floor})``" if op.scale_floor else "",
        notes="\n".join(textwrap.wrap(op.notes, 110)),
    )


def documented(function: Function) -> Function:
    """Also where Python was told to drop what is written in the source (``python -OO``)."""
    function.__doc__ = documentation(BY_NAME[function.__name__])
    return function
