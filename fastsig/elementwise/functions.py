"""The elementwise functions: ufuncs with a choice of backend and threads. What a call does is in ``call``, what each is in ``ops``."""

# One argument a line would triple this file.
# fmt: off
from __future__ import annotations

from typing import Any

from fastsig.elementwise.call import elementwise, install_fast_calls
from fastsig.elementwise.documentation import documented


@documented
def sigmoid(
    x: Any, /, out: Any = None, *, where: Any = True, dtype: Any = None, casting: str = "same_kind", order: str = "K",
    subok: bool = True, backend: str | None = None, threads: int | None = None,
) -> Any:
    return elementwise("sigmoid", x, out, where, dtype, casting, order, subok, backend, threads)


@documented
def sigmoid_grad(
    x: Any, /, out: Any = None, *, where: Any = True, dtype: Any = None, casting: str = "same_kind", order: str = "K",
    subok: bool = True, backend: str | None = None, threads: int | None = None,
) -> Any:
    return elementwise("sigmoid_grad", x, out, where, dtype, casting, order, subok, backend, threads)


@documented
def log_sigmoid(
    x: Any, /, out: Any = None, *, where: Any = True, dtype: Any = None, casting: str = "same_kind", order: str = "K",
    subok: bool = True, backend: str | None = None, threads: int | None = None,
) -> Any:
    return elementwise("log_sigmoid", x, out, where, dtype, casting, order, subok, backend, threads)


@documented
def softplus(
    x: Any, /, out: Any = None, *, where: Any = True, dtype: Any = None, casting: str = "same_kind", order: str = "K",
    subok: bool = True, backend: str | None = None, threads: int | None = None,
) -> Any:
    return elementwise("softplus", x, out, where, dtype, casting, order, subok, backend, threads)


@documented
def logit(
    p: Any, /, out: Any = None, *, where: Any = True, dtype: Any = None, casting: str = "same_kind", order: str = "K",
    subok: bool = True, backend: str | None = None, threads: int | None = None,
) -> Any:
    return elementwise("logit", p, out, where, dtype, casting, order, subok, backend, threads)


@documented
def silu(
    x: Any, /, out: Any = None, *, where: Any = True, dtype: Any = None, casting: str = "same_kind", order: str = "K",
    subok: bool = True, backend: str | None = None, threads: int | None = None,
) -> Any:
    return elementwise("silu", x, out, where, dtype, casting, order, subok, backend, threads)


@documented
def silu_grad(
    x: Any, /, out: Any = None, *, where: Any = True, dtype: Any = None, casting: str = "same_kind", order: str = "K",
    subok: bool = True, backend: str | None = None, threads: int | None = None,
) -> Any:
    return elementwise("silu_grad", x, out, where, dtype, casting, order, subok, backend, threads)


@documented
def tanh(
    x: Any, /, out: Any = None, *, where: Any = True, dtype: Any = None, casting: str = "same_kind", order: str = "K",
    subok: bool = True, backend: str | None = None, threads: int | None = None,
) -> Any:
    return elementwise("tanh", x, out, where, dtype, casting, order, subok, backend, threads)


@documented
def tanh_grad(
    x: Any, /, out: Any = None, *, where: Any = True, dtype: Any = None, casting: str = "same_kind", order: str = "K",
    subok: bool = True, backend: str | None = None, threads: int | None = None,
) -> Any:
    return elementwise("tanh_grad", x, out, where, dtype, casting, order, subok, backend, threads)


install_fast_calls(globals())
