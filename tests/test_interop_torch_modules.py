"""The modules: drop-in for torch's, and exchanged in a model and back."""

from __future__ import annotations

import inspect

import pytest

torch = pytest.importorskip("torch")

from torch_functions import ft  # noqa: E402

nn = torch.nn
NAMES = ("Sigmoid", "SiLU", "LogSigmoid", "Softplus", "Tanh", "GLU", "BCEWithLogitsLoss", "BCELoss")
MADE = {
    "Sigmoid": {}, "SiLU": {"inplace": True}, "LogSigmoid": {}, "Softplus": {"beta": 2.0, "threshold": 9.0}, "Tanh": {}, "GLU": {"dim": 1},
    "BCEWithLogitsLoss": {"weight": torch.tensor([1.0, -2.0]), "pos_weight": torch.tensor([3.0, 0.5]), "reduction": "sum"},
    "BCELoss": {"weight": torch.tensor([1.0, 2.0])},
}  # fmt: skip


def arguments(name):
    x = torch.linspace(0.1, 0.9, 6).reshape(3, 2)
    return (x, x.flip(0)) if name.startswith("BCE") else (x,)


@pytest.mark.parametrize("name", NAMES)
def test_drop_in(name):
    ours, torchs = getattr(ft, name), getattr(nn, name)
    a, b = ours(**MADE[name]), torchs(**MADE[name])
    assert repr(a) == repr(b)
    assert a.state_dict().keys() == b.state_dict().keys()
    b.load_state_dict(a.state_dict())
    assert isinstance(a, torchs)
    torch.testing.assert_close(a(*arguments(name)), b(*arguments(name)))
    if name != "BCEWithLogitsLoss":
        assert inspect.signature(ours) == inspect.signature(torchs)


def test_smoothing_and_mask_of_the_loss():
    x, t = arguments("BCELoss")
    mask = x > 0.3
    expected = ft.binary_cross_entropy_with_logits(x, t, label_smoothing=0.1, mask=mask)
    assert torch.equal(ft.BCEWithLogitsLoss(label_smoothing=0.1)(x, t, mask), expected)


class Own(nn.Sigmoid):
    """A class that a user derived, which may do something else."""


def test_replaced_and_restored():
    shared = nn.Tanh()
    model = nn.Sequential(nn.Linear(2, 3), nn.Sigmoid(), shared, nn.Sequential(nn.SiLU(), shared), Own(), nn.Softplus(2.0))
    seen = []
    model[1].register_forward_hook(lambda *_: seen.append(1))
    x = torch.ones(4, 2)
    expected, modules, text = model(x), list(model.modules()), repr(model)
    assert ft.replace(model) is model
    assert [type(m) for m in model[1:3]] == [ft.Sigmoid, ft.Tanh]
    assert (type(model[3][0]), type(model[4]), type(model[5])) == (ft.SiLU, Own, ft.Softplus)
    assert list(model.modules()) == modules
    assert repr(model) == text
    torch.testing.assert_close(model(x), expected)
    assert len(seen) == 2
    ft.restore(model)
    assert [type(m) for m in model[1:3]] == [nn.Sigmoid, nn.Tanh]
    assert torch.equal(model(x), expected)


def test_a_replaced_loss_has_no_smoothing():
    loss = ft.replace(nn.BCEWithLogitsLoss())
    assert type(loss) is ft.BCEWithLogitsLoss
    x, t = arguments("BCELoss")
    assert torch.equal(loss(x, t), ft.binary_cross_entropy_with_logits(x, t))


@pytest.mark.parametrize("function", [ft.replace, ft.restore])
def test_only_modules_are_taken(function):
    with pytest.raises(TypeError, match="model is list"):
        function([nn.Sigmoid()])
