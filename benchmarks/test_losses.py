"""Losses, their gradients and hessians beside torch, JAX, scikit-learn and NumPy; what has a gradient includes the forward pass.

Results are written to arrays made before wherever a library can; fastsig also has a row in which it makes new ones, as torch and JAX
always do.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pytest
from contests import Array, Call, Contestants, Exact, comparison, contest, largest_error, wide

import fastsig as fs
from fastsig.measure.libraries import import_jax
from fastsig.measure.reference import unary

pytest.importorskip("pytest_benchmark")

SIZES, CHOSEN_SIZES = (1000, 10**6, 10**7), (1000, 10**6)
SMOOTHING, POS_WEIGHT, ALPHA = 0.125, 2.0, 0.25


class Data:
    """Logits and targets 0 and 1, weights, a mask, and arrays for results."""

    def __init__(self, size: int, dtype: str) -> None:
        random = np.random.default_rng(0)
        self.size, self.dtype = size, dtype
        self.x = (random.normal(size=size) * 3).astype(dtype)
        self.t = (random.random(size) < 0.4).astype(dtype)
        self.w = random.random(size).astype(dtype)
        self.mask = random.random(size) < 0.9
        self.p = fs.sigmoid(self.x)
        self.first, self.second = np.zeros_like(self.x), np.zeros_like(self.x)

    def torch(self, *names: str) -> Any:
        import torch

        torch.set_num_threads(1)
        return (torch, *(torch.from_numpy(getattr(self, name)) for name in names))

    def jax(self, *names: str) -> Any:
        jax = import_jax()
        return (jax, *(jax.device_put(getattr(self, name)) for name in names))


# ---- what is right ----


def exact_cross_entropy(
    d: Data, *, weight: Array = None, pos_weight: float = 1.0, smoothing: float = 0.0, mask: Array = None, reduction: str = "mean"
) -> tuple[Exact, Exact, Exact]:
    """The loss, its gradient, whose error counts in ULP of the larger of its two terms, and its hessian."""
    x, t = wide(d.dtype, d.x, d.t)
    t = t * (1 - smoothing) + smoothing / 2
    w = np.ones_like(x) if weight is None else wide(d.dtype, weight)[0]
    w = w if mask is None else np.where(mask, w, 0)
    one, zero = w * pos_weight * t, w * (1 - t)
    loss = one * unary("softplus", -x) + zero * unary("softplus", x)
    up, down = zero * unary("sigmoid", x), one * unary("sigmoid", -x)
    hess = (one + zero) * unary("sigmoid_grad", x)
    count = x.size if mask is None else np.count_nonzero(mask)
    divisor = {"none": 1, "mean": count, "weighted_mean": w.sum()}[reduction]
    value = loss if reduction == "none" else loss.sum() / divisor
    return Exact(value), Exact((up - down) / divisor, np.maximum(up, down) / divisor), Exact(hess / divisor)


def exact_bce(d: Data) -> tuple[Exact]:
    p, t = wide(d.dtype, d.p, d.t)
    return (Exact(np.where(t == 1, -np.log(p), -np.log1p(-p)).mean()),)


def exact_focal(d: Data, gamma: float) -> tuple[Exact, Exact]:
    x, t = wide(d.dtype, d.x, d.t)
    sign = 2 * t - 1
    share, wrong, right = np.where(t == 1, ALPHA, 1 - ALPHA), unary("sigmoid", -sign * x), unary("sigmoid", sign * x)
    loss = unary("softplus", -sign * x)
    grad = -sign * share * wrong**gamma * (wrong + gamma * right * loss)
    return Exact((share * wrong**gamma * loss).mean()), Exact(grad / d.size)


# ---- contestants ----


def torch_mean(d: Data) -> Call:
    torch, x, t = d.torch("x", "t")
    return lambda: torch.nn.functional.binary_cross_entropy_with_logits(x, t)


def torch_elements(d: Data) -> Call:
    torch, x, t = d.torch("x", "t")
    return lambda: torch.nn.functional.binary_cross_entropy_with_logits(x, t, reduction="none")


def torch_gradient(d: Data) -> Call:
    """What one writes without autograd."""
    torch, x, t, out = d.torch("x", "t", "first")
    return lambda: torch.sigmoid(x, out=out).sub_(t)


def by_autograd(d: Data, loss: Callable[..., Any], *names: str) -> Call:
    """Forward and backward."""
    torch, x, *others = d.torch("x", *names)
    x = x.clone().requires_grad_()
    ones = torch.ones_like(loss(torch, x, *others))

    def run() -> tuple[Any, ...]:
        x.grad = None
        value = loss(torch, x, *others)
        value.backward(ones)
        return value.detach(), x.grad

    return run


def torch_loss(torch: Any, x: Any, t: Any) -> Any:
    return torch.nn.functional.binary_cross_entropy_with_logits(x, t)


def torch_focal(torch: Any, x: Any, t: Any, gamma: float) -> Any:
    """As torch's users write it who have no other package."""
    loss = torch.nn.functional.binary_cross_entropy_with_logits(x, t, reduction="none")
    p = torch.sigmoid(x)
    right = p * t + (1 - p) * (1 - t)
    return ((ALPHA * t + (1 - ALPHA) * (1 - t)) * (1 - right) ** gamma * loss).mean()


def jax_loss(jnp: Any, x: Any, t: Any) -> Any:
    return jnp.maximum(x, 0) - x * t + jnp.log1p(jnp.exp(-jnp.abs(x)))


def jax_focal(jnp: Any, x: Any, t: Any, gamma: float) -> Any:
    p = 1 / (1 + jnp.exp(-x))
    right = p * t + (1 - p) * (1 - t)
    return jnp.mean((ALPHA * t + (1 - ALPHA) * (1 - t)) * (1 - right) ** gamma * jax_loss(jnp, x, t))


def jitted(d: Data, make: Callable[[Any], Any], *names: str) -> Call:
    jax, *arrays = d.jax(*(names or ("x", "t")))
    compiled = jax.jit(make(jax))
    return lambda: jax.block_until_ready(compiled(*arrays))


def _jax_mean(jax: Any) -> Any:
    return lambda x, t: jax.numpy.mean(jax_loss(jax.numpy, x, t))


def _jax_hessian(jax: Any) -> Any:
    def both(x: Any, t: Any) -> Any:
        s = jax.nn.sigmoid(x)
        return s - t, s * (1 - s)

    return both


def _jax_bce(jax: Any) -> Any:
    return lambda p, t: -jax.numpy.mean(t * jax.numpy.log(p) + (1 - t) * jax.numpy.log1p(-p))


def sklearn_loss() -> Any:
    from sklearn._loss import HalfBinomialLoss

    return HalfBinomialLoss()


def sklearn_mean(d: Data) -> Call:
    loss = sklearn_loss()
    return lambda: loss(d.t, d.x, n_threads=1)


def sklearn_elements(d: Data) -> Call:
    loss = sklearn_loss()
    return lambda: loss.loss(d.t, d.x, loss_out=d.first, n_threads=1)


def sklearn_mean_and_gradient(d: Data) -> Call:
    """Its linear models sum the losses and divide the gradient, too."""
    loss, size = sklearn_loss(), d.x.dtype.type(d.size)

    def run() -> tuple[Any, ...]:
        loss.loss_gradient(d.t, d.x, loss_out=d.first, gradient_out=d.second, n_threads=1)
        return d.first.mean(), np.divide(d.second, size, out=d.second)

    return run


def sklearn_gradient(d: Data) -> Call:
    loss = sklearn_loss()
    return lambda: loss.gradient(d.t, d.x, gradient_out=d.first, n_threads=1)


def sklearn_hessian(d: Data) -> Call:
    loss = sklearn_loss()
    return lambda: loss.gradient_hessian(d.t, d.x, gradient_out=d.first, hessian_out=d.second, n_threads=1)


def numpy_elements(d: Data) -> Call:
    spare, zero = np.empty_like(d.x), d.x.dtype.type(0)

    def run() -> Any:
        np.abs(d.x, out=d.first)
        np.negative(d.first, out=d.first)
        np.exp(d.first, out=d.first)
        np.log1p(d.first, out=d.first)
        np.add(d.first, np.maximum(d.x, zero, out=spare), out=d.first)
        return np.subtract(d.first, np.multiply(d.x, d.t, out=spare), out=d.first)

    return run


def numpy_mean(d: Data) -> Call:
    elements = numpy_elements(d)
    return lambda: elements().mean()


def _numpy_sigmoid(x: Array, to: Array) -> Array:
    one = x.dtype.type(1)
    np.exp(np.negative(x, out=to), out=to)
    return np.divide(one, np.add(to, one, out=to), out=to)


def numpy_gradient(d: Data, to: str = "first") -> Call:
    out = getattr(d, to)
    return lambda: np.subtract(_numpy_sigmoid(d.x, out), d.t, out=out)


def numpy_mean_and_gradient(d: Data) -> Call:
    mean, gradient, size = numpy_mean(d), numpy_gradient(d, "second"), d.x.dtype.type(d.size)
    return lambda: (mean(), np.divide(gradient(), size, out=d.second))


def numpy_hessian(d: Data) -> Call:
    one = d.x.dtype.type(1)

    def run() -> tuple[Array, Array]:
        s = _numpy_sigmoid(d.x, d.second)
        np.subtract(s, d.t, out=d.first)
        return d.first, np.multiply(s, one - s, out=d.second)

    return run


def numpy_bce(d: Data) -> Call:
    return lambda: -np.mean(d.t * np.log(d.p) + (1 - d.t) * np.log1p(-d.p))


def ours(function: Any, *names: str, **options: Any) -> Callable[[Data], Call]:
    """With results of these names."""

    def make(d: Data) -> Call:
        given = {option: getattr(d, value) if option.endswith("out") else value for option, value in options.items()}
        arrays = [getattr(d, name) for name in names or ("x", "t")]
        return lambda: function(*arrays, **given)

    return make


GRADIENT = fs.ufuncs.bce_with_logits_grad
FOCAL = fs.sigmoid_focal_loss_value_and_grad
Made = dict[str, Callable[[Data], Call]]
COMPARISONS: dict[str, tuple[Callable[[Data], tuple[Exact, ...]], Made]] = {
    "mean": (
        lambda d: exact_cross_entropy(d)[:1],
        {
            "fastsig": ours(fs.bce_with_logits),
            "torch": torch_mean,
            "jax": lambda d: jitted(d, _jax_mean),
            "scikit-learn": sklearn_mean,
            "numpy": numpy_mean,
        },
    ),
    "mean and gradient": (
        lambda d: exact_cross_entropy(d)[:2],
        {
            "fastsig": ours(fs.bce_with_logits_value_and_grad, grad_out="first"),
            "fastsig, new arrays": ours(fs.bce_with_logits_value_and_grad),
            "torch": lambda d: by_autograd(d, torch_loss, "t"),
            "jax": lambda d: jitted(d, lambda jax: jax.value_and_grad(_jax_mean(jax))),
            "scikit-learn": sklearn_mean_and_gradient,
            "numpy": numpy_mean_and_gradient,
        },
    ),
    "losses": (
        lambda d: exact_cross_entropy(d, reduction="none")[:1],
        {
            "fastsig": ours(fs.bce_with_logits, reduction="none", out="first"),
            "fastsig, new arrays": ours(fs.bce_with_logits, reduction="none"),
            "torch": torch_elements,
            "jax": lambda d: jitted(d, lambda jax: partial(jax_loss, jax.numpy)),
            "scikit-learn": sklearn_elements,
            "numpy": numpy_elements,
        },
    ),
    "gradient": (
        lambda d: exact_cross_entropy(d, reduction="none")[1:2],
        {
            "fastsig": ours(GRADIENT, out="first"),
            "fastsig, new arrays": ours(GRADIENT),
            "torch": torch_gradient,
            "jax": lambda d: jitted(d, lambda jax: lambda x, t: jax.nn.sigmoid(x) - t),
            "scikit-learn": sklearn_gradient,
            "numpy": numpy_gradient,
        },
    ),
    "gradient and hessian": (
        lambda d: exact_cross_entropy(d, reduction="none")[1:],
        {
            "fastsig": ours(fs.bce_with_logits_grad_hess, grad_out="first", hess_out="second"),
            "fastsig, new arrays": ours(fs.bce_with_logits_grad_hess),
            "jax": lambda d: jitted(d, _jax_hessian),
            "scikit-learn": sklearn_hessian,
            "numpy": numpy_hessian,
        },
    ),
    "mean of probabilities": (
        exact_bce,
        {
            "fastsig": ours(fs.bce, "p", "t"),
            "torch": lambda d: (lambda torch, p, t: lambda: torch.nn.functional.binary_cross_entropy(p, t))(*d.torch("p", "t")),
            "jax": lambda d: jitted(d, _jax_bce, "p", "t"),
            "numpy": numpy_bce,
        },
    ),
    "focal mean and gradient, gamma 2": (
        lambda d: exact_focal(d, 2.0),
        {
            "fastsig": ours(FOCAL, grad_out="first"),
            "fastsig, new arrays": ours(FOCAL),
            "torch": lambda d: by_autograd(d, partial(torch_focal, gamma=2), "t"),
            "jax": lambda d: jitted(d, lambda jax: jax.value_and_grad(partial(jax_focal, jax.numpy, gamma=2))),
        },
    ),
}


@lru_cache(1)
def data(what: str, size: int, dtype: str) -> tuple[Data, tuple[Exact, ...]]:
    """And what is right there."""
    d = Data(size, dtype)
    return d, COMPARISONS[what][0](d)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    everything = metafunc.config.getoption("--everything")
    if metafunc.function is test_losses:
        sizes = SIZES if everything else CHOSEN_SIZES
        cases = [
            (what, dtype, size, contestant)
            for what, (_, made) in COMPARISONS.items()
            for dtype in ("float32", "float64")
            for size in sizes
            for contestant in made
        ]
        metafunc.parametrize(("what", "dtype", "size", "contestant"), cases)


@comparison
def test_losses(benchmark: Any, what: str, dtype: str, size: int, contestant: str) -> None:
    d, exact = data(what, size, dtype)
    contestants: Contestants = {name: partial(make, d) for name, make in COMPARISONS[what][1].items()}
    contest(benchmark, f"{what}, {dtype} {size:,}", contestants, contestant, lambda _, got: largest_error(got, dtype, exact))


# ---- options, at 1,000 elements ----


def _smooth(t: Any) -> Any:
    return t * (1 - SMOOTHING) + SMOOTHING / 2


def _torch_everything(torch: Any, x: Any, t: Any, w: Any, mask: Any) -> Any:
    losses = torch.nn.functional.binary_cross_entropy_with_logits(
        x, _smooth(t), weight=w, pos_weight=torch.tensor(POS_WEIGHT), reduction="none"
    )
    return (losses * mask).sum() / mask.sum()


def _torch_option(**options: Any) -> Callable[..., Any]:
    return lambda torch, x, t, *w: torch.nn.functional.binary_cross_entropy_with_logits(x, t, **(options | ({"weight": w[0]} if w else {})))


def _torch_pos_weight(torch: Any, x: Any, t: Any) -> Any:
    return torch.nn.functional.binary_cross_entropy_with_logits(x, t, pos_weight=torch.tensor(POS_WEIGHT))


def _torch_mask(torch: Any, x: Any, t: Any, mask: Any) -> Any:
    return (torch.nn.functional.binary_cross_entropy_with_logits(x, t, reduction="none") * mask).sum() / mask.sum()


def _torch_weighted_mean(torch: Any, x: Any, t: Any, w: Any) -> Any:
    return torch.nn.functional.binary_cross_entropy_with_logits(x, t, weight=w, reduction="sum") / w.sum()


Option = tuple[Callable[[Data], tuple[Exact, ...]], Callable[[Data], dict[str, Any]], Callable[..., Any], tuple[str, ...]]
OPTIONS: dict[str, Option] = {
    "no options": (exact_cross_entropy, lambda d: {}, torch_loss, ("t",)),
    "grad_out": (exact_cross_entropy, lambda d: {"grad_out": d.first}, torch_loss, ("t",)),
    "weight": (lambda d: exact_cross_entropy(d, weight=d.w), lambda d: {"weight": d.w}, _torch_option(), ("t", "w")),
    "pos_weight": (
        lambda d: exact_cross_entropy(d, pos_weight=POS_WEIGHT), lambda d: {"pos_weight": POS_WEIGHT}, _torch_pos_weight, ("t",)
    ),
    "mask": (lambda d: exact_cross_entropy(d, mask=d.mask), lambda d: {"mask": d.mask}, _torch_mask, ("t", "mask")),
    "label_smoothing": (
        lambda d: exact_cross_entropy(d, smoothing=SMOOTHING), lambda d: {"label_smoothing": SMOOTHING},
        lambda torch, x, t: torch_loss(torch, x, _smooth(t)), ("t",),
    ),
    "all of these": (
        lambda d: exact_cross_entropy(d, weight=d.w, pos_weight=POS_WEIGHT, smoothing=SMOOTHING, mask=d.mask),
        lambda d: {"weight": d.w, "pos_weight": POS_WEIGHT, "label_smoothing": SMOOTHING, "mask": d.mask, "grad_out": d.first},
        _torch_everything, ("t", "w", "mask"),
    ),
    "reduction none": (
        lambda d: exact_cross_entropy(d, reduction="none"), lambda d: {"reduction": "none"}, _torch_option(reduction="none"), ("t",)
    ),
    "reduction weighted_mean": (
        lambda d: exact_cross_entropy(d, weight=d.w, reduction="weighted_mean"),
        lambda d: {"weight": d.w, "reduction": "weighted_mean"}, _torch_weighted_mean, ("t", "w"),
    ),
    "focal, gamma 2": (lambda d: exact_focal(d, 2.0), lambda d: {"gamma": 2.0}, partial(torch_focal, gamma=2.0), ("t",)),
    "focal, gamma 1.5": (lambda d: exact_focal(d, 1.5), lambda d: {"gamma": 1.5}, partial(torch_focal, gamma=1.5), ("t",)),
}  # fmt: skip
"""By name: what is right, what fastsig is given, how torch's users write the same, and of which arrays besides the logits."""


@comparison
@pytest.mark.parametrize("contestant", ["fastsig", "torch"])
@pytest.mark.parametrize("option", OPTIONS)
def test_options(benchmark: Any, option: str, contestant: str) -> None:
    """Value and gradient."""
    right, given, written, names = OPTIONS[option]
    d = Data(1000, "float32")
    exact, arguments = right(d), given(d)
    function = FOCAL if "gamma" in arguments else fs.bce_with_logits_value_and_grad
    contestants: Contestants = {
        "fastsig": lambda: lambda: function(d.x, d.t, **arguments),
        "torch": lambda: by_autograd(d, written, *names),
    }
    contest(benchmark, f"{option}, float32 1,000", contestants, contestant, lambda _, got: largest_error(got, "float32", exact[:2]))


# ---- what the sum and the check of the targets cost ----

COSTS = ("losses written", "mean", "mean, check=False")


@comparison
@pytest.mark.parametrize("contestant", COSTS)
def test_cost_of_the_sum_and_of_the_check(benchmark: Any, contestant: str) -> None:
    """In the cache: an exact sum, beside the same kernel that writes its losses and sums nothing."""
    d = Data(1 << 17, "float32")
    written = ours(fs.bce_with_logits, reduction="none", out="first", check=False)
    makers = (written, ours(fs.bce_with_logits), ours(fs.bce_with_logits, check=False))
    exact = {name: exact_cross_entropy(d, reduction="none" if name == COSTS[0] else "mean")[:1] for name in COSTS}
    contestants: Contestants = {name: partial(make, d) for name, make in zip(COSTS, makers, strict=True)}
    group = f"cost of the sum, float32 {d.size:,}"
    contest(benchmark, group, contestants, contestant, lambda name, got: largest_error(got, "float32", exact[name]))
