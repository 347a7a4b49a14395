"""A torch model that trains with fastsig: its modules are exchanged, and so is its loss."""

import torch

import fastsig.interop.torch as ft

torch.manual_seed(0)
x = torch.randn(400, 2)
y = (x[:, :1] * x[:, 1:] > 0).float()

model = ft.replace(torch.nn.Sequential(torch.nn.Linear(2, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1)))
loss = ft.BCEWithLogitsLoss(label_smoothing=0.02)
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
for _ in range(200):
    optimizer.zero_grad()
    value = loss(model(x), y)
    value.backward()
    optimizer.step()

accuracy = ((model(x) > 0) == (y > 0)).float().mean().item()
print(model)
print(f"loss {value.item():.3f}, accuracy {accuracy:.3f}")
