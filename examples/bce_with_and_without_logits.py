"""Why the loss takes logits: a sigmoid followed by a BCE loses the value, then the gradient, then everything.

For the target 1 the loss is log(1 + e^-x) and its gradient sigmoid(x) - 1. From a probability both come as -log(p) and
-(1/p) * p * (1 - p): at large x, p is rounded to 1 and nothing of the tail is left; at very negative x, p is 0, the logarithm is
infinite and the gradient NaN. torch's own BCE clamps the logarithm at -100 there, which is a wrong number instead of an infinite one.
"""

import importlib.util

import numpy as np

import fastsig as fs

LOGITS = {"float32": [2, 8, 15, 18, 40, -40, -89, -95, -104, -110], "float16": [2, 5, 7, 8, 9, 12, -8, -12, -17, -18]}


def by_numpy(x):
    """1/(1 + e^-x), then -log(p), as a textbook has it; and the gradient by the chain rule."""
    with np.errstate(all="ignore"):
        p = (1 / (1 + np.exp(-x))).astype(x.dtype)
        return -np.log(p), -(1 / p) * (p * (1 - p))


def by_torch(x):
    import torch

    logits = torch.tensor(x, requires_grad=True)
    loss = torch.nn.functional.binary_cross_entropy(torch.sigmoid(logits), torch.ones_like(logits), reduction="none")
    loss.sum().backward()
    return loss.detach().numpy(), logits.grad.numpy()


def by_fastsig(x):
    """One function of the logit, in one pass."""
    return fs.bce_with_logits_value_and_grad(x, np.ones_like(x), reduction="none")


def off(got, exact):
    """The error in units of the last place of the exact value: 4 is next to nothing, and half of the digits are 4,096 in float32."""
    if not np.isfinite(got):
        return np.inf
    return float(abs(np.longdouble(got) - exact) / np.spacing(np.abs(exact).astype(got.dtype)))


ways = {"NumPy, sigmoid then BCE": by_numpy, "fastsig, BCE with logits": by_fastsig}
if importlib.util.find_spec("torch"):
    ways["torch, sigmoid then BCE"] = by_torch

errors = {}
for dtype, logits in LOGITS.items():
    x = np.array(logits, dtype)
    exact_loss, exact_grad = np.logaddexp(0, -x.astype(np.longdouble)), -1 / (1 + np.exp(x.astype(np.longdouble)))
    for name, way in ways.items():
        loss, grad = way(x)
        print(f"\n{dtype}, target 1: {name}\n  logit       loss   ULP off     gradient   ULP off")
        for i in range(x.size):
            wrong = errors[name, dtype, logits[i]] = off(loss[i], exact_loss[i]), off(grad[i], exact_grad[i])
            print(f"{logits[i]:7d} {loss[i]:10.3g} {wrong[0]:9.2g} {grad[i]:12.3g} {wrong[1]:9.2g}")

assert max(max(wrong) for (name, *_), wrong in errors.items() if name.startswith("fastsig")) <= 3, "every value and gradient is right"
