"""How each other library computes an operation on a prepared array; imported inside the functions, so nobody pays for the others.

All read the same input and, where they can, write the same output array, so none has luckier pages; nothing is converted,
allocated or compiled in a timed call that need not be.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastsig.system.cpu import available_cpus

NAIVE = {
    "sigmoid": "1 / (1 + exp(-x))",
    "sigmoid_grad": "exp(-x) / (1 + exp(-x)) ** 2",
    "log_sigmoid": "-log1p(exp(-x))",
    "softplus": "log1p(exp(x))",
    "logit": "log(x / (1 - x))",
    "silu": "x / (1 + exp(-x))",
    "silu_grad": "(1 + exp(-x) + x * exp(-x)) / (1 + exp(-x)) ** 2",
    "tanh": "tanh(x)",
    "tanh_grad": "1 - tanh(x) ** 2",
}
"""What people write; numexpr and the naive Numba ufunc evaluate these texts."""


class Calls(NamedTuple):
    """One operation on one prepared input: a call that allocates its result, and one that writes to an array made before."""

    alloc: Callable[[], Any]
    out: Callable[[], Any] | None = None
    before: Callable[[], Any] | None = None
    """Done untimed before a group of timed calls: the library's own thread setting."""


def numpy_calls(op: str, x: Any, out: Any) -> Calls:
    one, zero, spare = x.dtype.type(1), x.dtype.type(0), np.empty_like(x)

    def sigmoid(to: Any) -> Any:
        np.negative(x, to)
        np.exp(to, to)
        np.add(to, one, to)
        return np.divide(one, to, to)

    def sigmoid_grad(to: Any) -> Any:
        np.subtract(one, sigmoid(spare), to)
        return np.multiply(to, spare, to)

    def log_sigmoid(to: Any) -> Any:
        np.negative(x, to)
        return np.negative(np.logaddexp(zero, to, to), to)

    def logit(to: Any) -> Any:
        np.subtract(one, x, to)
        return np.log(np.divide(x, to, to), to)

    def silu_grad(to: Any) -> Any:
        np.subtract(one, sigmoid(spare), to)
        np.add(np.multiply(to, x, to), one, to)
        return np.multiply(to, spare, to)

    def tanh_grad(to: Any) -> Any:
        np.tanh(x, to)
        return np.subtract(one, np.multiply(to, to, to), to)

    steps: dict[str, Callable[[Any], Any]] = {
        "sigmoid": sigmoid,
        "sigmoid_grad": sigmoid_grad,
        "log_sigmoid": log_sigmoid,
        "softplus": lambda to: np.logaddexp(zero, x, to),
        "logit": logit,
        "silu": lambda to: np.multiply(sigmoid(to), x, to),
        "silu_grad": silu_grad,
        "tanh": lambda to: np.tanh(x, to),
        "tanh_grad": tanh_grad,
    }

    def silu_grad_alloc() -> Any:
        s = 1 / (1 + np.exp(-x))
        return s * (1 + x * (1 - s))

    def sigmoid_grad_alloc() -> Any:
        s = 1 / (1 + np.exp(-x))
        return s * (1 - s)

    whole: dict[str, Callable[[], Any]] = {
        "sigmoid": lambda: 1 / (1 + np.exp(-x)),
        "sigmoid_grad": sigmoid_grad_alloc,
        "log_sigmoid": lambda: -np.logaddexp(zero, -x),
        "softplus": lambda: np.logaddexp(zero, x),
        "logit": lambda: np.log(x / (1 - x)),
        "silu": lambda: x / (1 + np.exp(-x)),
        "silu_grad": silu_grad_alloc,
        "tanh": lambda: np.tanh(x),
        "tanh_grad": lambda: 1 - np.tanh(x) ** 2,
    }
    return Calls(whole[op], lambda: steps[op](out))


def scipy_calls(op: str, x: Any, out: Any) -> Calls | None:
    from scipy import special  # type: ignore[import-untyped, unused-ignore]

    name = {"sigmoid": "expit", "log_sigmoid": "log_expit", "logit": "logit"}.get(op)
    if name is None or x.dtype.name not in ("float32", "float64"):
        return None
    function = getattr(special, name)
    return Calls(lambda: function(x), lambda: function(x, out=out))


def _as_torch(array: Any) -> Any:
    import torch

    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return torch.from_numpy(array)


def from_torch(tensor: Any) -> Any:
    import torch

    if tensor.dtype != torch.bfloat16:
        return tensor.numpy()
    import ml_dtypes

    return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)


def torch_calls(threads: int) -> Callable[[str, Any, Any], Calls | None]:
    def make(op: str, x: Any, out: Any) -> Calls | None:
        import torch

        count = threads or available_cpus()
        a, o, ones = _as_torch(x), _as_torch(out), torch.ones_like(_as_torch(x))
        nn: Any = torch._C._nn  # where torch.nn.functional's silu and softplus keep their out=
        aten = torch.ops.aten
        spare = torch.empty_like(a)
        calls: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
            "sigmoid": (lambda: torch.sigmoid(a), lambda: torch.sigmoid(a, out=o)),
            # torch has no sigmoid_grad of x: its autograd keeps sigmoid(x) and calls this
            "sigmoid_grad": (
                lambda: aten.sigmoid_backward(ones, torch.sigmoid(a)),
                lambda: aten.sigmoid_backward.grad_input(ones, torch.sigmoid(a, out=spare), grad_input=o),
            ),
            "log_sigmoid": (lambda: nn.log_sigmoid(a), lambda: nn.log_sigmoid(a, out=o)),
            "softplus": (lambda: nn.softplus(a), lambda: nn.softplus(a, out=o)),
            "logit": (lambda: torch.logit(a), lambda: torch.logit(a, out=o)),
            "silu": (lambda: nn.silu(a), lambda: nn.silu(a, out=o)),
            "silu_grad": (lambda: aten.silu_backward(ones, a), lambda: aten.silu_backward.grad_input(ones, a, grad_input=o)),
            "tanh": (lambda: torch.tanh(a), lambda: torch.tanh(a, out=o)),
            # of x, as for sigmoid_grad
            "tanh_grad": (
                lambda: aten.tanh_backward(ones, torch.tanh(a)),
                lambda: aten.tanh_backward.grad_input(ones, torch.tanh(a, out=spare), grad_input=o),
            ),
        }
        return Calls(*calls[op], before=lambda: torch.set_num_threads(count))

    return make


@functools.cache
def _naive_ufunc(op: str, dtype: str) -> Any:
    import numba

    scalar = eval(f"lambda x: {NAIVE[op]}", {"exp": math.exp, "log": math.log, "log1p": math.log1p, "tanh": math.tanh})
    compile_ufunc: Any = numba.vectorize
    return compile_ufunc([f"{dtype}({dtype})"])(scalar)


def numba_calls(op: str, x: Any, out: Any) -> Calls | None:
    if x.dtype.name not in ("float32", "float64"):
        return None
    ufunc = _naive_ufunc(op, x.dtype.name)
    return Calls(lambda: ufunc(x), lambda: ufunc(x, out=out))


def numexpr_calls(threads: int) -> Callable[[str, Any, Any], Calls | None]:
    def make(op: str, x: Any, out: Any) -> Calls | None:
        import numexpr  # type: ignore[import-untyped, unused-ignore]

        if x.dtype.name not in ("float32", "float64"):
            return None
        names, text = {"x": x}, NAIVE[op]
        return Calls(
            lambda: numexpr.evaluate(text, local_dict=names),
            lambda: numexpr.evaluate(text, local_dict=names, out=out),
            before=lambda: numexpr.set_num_threads(threads or available_cpus()),
        )

    return make


def import_jax() -> Any:
    """JAX for the CPU with float64 and one computing thread.

    No setting of JAX does that: XLA_FLAGS have not bound its elementwise loops since it runs them as thunks. Its pool is as
    large as the set of processors that it may use when it starts, so it starts with one. Where that cannot be set, or
    somebody else has imported JAX before, it uses all.
    """
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    if allowed:
        os.sched_setaffinity(0, {min(allowed)})
    try:
        import jax

        settings: Any = jax.config
        settings.update("jax_platforms", "cpu")
        settings.update("jax_enable_x64", True)
        settings.update("jax_cpu_enable_async_dispatch", False)  # waking its worker took 0.2 ms a call on two busy cores
        jax.devices()
    finally:
        if allowed:
            os.sched_setaffinity(0, allowed)
    return jax


def jax_calls(op: str, x: Any, out: Any) -> Calls:
    jax = import_jax()
    nn, special = jax.nn, jax.scipy.special

    def derivative(function: Any) -> Any:
        return jax.vmap(jax.grad(function))

    own = {
        "sigmoid": nn.sigmoid,
        "sigmoid_grad": derivative(nn.sigmoid),
        "log_sigmoid": nn.log_sigmoid,
        "softplus": nn.softplus,
        "logit": special.logit,
        "silu": nn.silu,
        "silu_grad": derivative(nn.silu),
        "tanh": jax.numpy.tanh,
        "tanh_grad": derivative(jax.numpy.tanh),
    }
    compiled, a = jax.jit(own[op]), jax.device_put(x)
    return Calls(lambda: compiled(a).block_until_ready())


def onnxruntime_calls(threads: int) -> Callable[[str, Any, Any], Calls | None]:
    return lambda op, x, out: _onnxruntime_calls(op, x, out, threads or available_cpus())


def _onnxruntime_calls(op: str, x: Any, out: Any, threads: int) -> Calls | None:
    import onnxruntime  # type: ignore[import-untyped, unused-ignore]
    from onnx import TensorProto, helper

    node = {"sigmoid": "Sigmoid", "softplus": "Softplus", "tanh": "Tanh"}.get(op)
    kind = {"float16": TensorProto.FLOAT16, "float32": TensorProto.FLOAT, "float64": TensorProto.DOUBLE}.get(x.dtype.name)
    if node is None or kind is None:
        return None
    ends = [helper.make_tensor_value_info(name, kind, ["n"]) for name in "xy"]
    graph = helper.make_graph([helper.make_node(node, ["x"], ["y"])], op, ends[:1], ends[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no public base class
        if "NOT_IMPLEMENTED" in str(error):
            return None
        raise
    binding = session.io_binding()
    binding.bind_input("x", "cpu", 0, x.dtype, x.shape, x.ctypes.data)
    binding.bind_output("y", "cpu", 0, out.dtype, out.shape, out.ctypes.data)

    def bound(kept: Any = (x, out)) -> None:  # the binding has their addresses only
        session.run_with_iobinding(binding)

    return Calls(lambda: session.run(None, {"x": x})[0], bound)
