"""torch's own samples of its functions (OpInfo), which its own tests are made of."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")  # which torch's samples import

from torch_functions import ft, near  # noqa: E402

OURS = {
    "sigmoid": ft.sigmoid, "tanh": ft.tanh, "logit": ft.logit, "nn.functional.silu": ft.silu, "nn.functional.logsigmoid": ft.logsigmoid,
    "nn.functional.softplus": ft.softplus, "nn.functional.glu": ft.glu, "nn.functional.binary_cross_entropy": ft.binary_cross_entropy,
    "nn.functional.binary_cross_entropy_with_logits": ft.binary_cross_entropy_with_logits,
}  # fmt: skip
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_values_and_gradients_of_all_samples(name, dtype):
    from torch.testing._internal.common_methods_invocations import op_db

    found = [info for info in op_db if info.name == name and not info.variant_test_name]
    samples = [sample for info in found for sample in info.sample_inputs("cpu", dtype, requires_grad=True)]
    assert samples
    for sample in samples:
        got = []
        for function in (OURS[name], found[0].op):
            given = sample.input.detach().clone().requires_grad_()
            result = function(given, *sample.args, **sample.kwargs)
            (grad,) = torch.autograd.grad(result.sum(), given)
            got.append((result, grad))
        for ours, theirs in zip(*got, strict=True):
            assert near(ours, theirs, ulps=64, scale=1), sample
