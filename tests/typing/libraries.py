"""What comes back for the objects of other libraries, where these are installed: read by mypy and pyright, never run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import fastsig as fs

if TYPE_CHECKING:
    import pandas as pd
    import torch
    import xarray as xr
    from typing_extensions import assert_type


def labelled(series: pd.Series, frame: pd.DataFrame, cube: xr.DataArray) -> None:
    assert_type(fs.sigmoid(series), pd.Series)
    assert_type(fs.logit(frame), pd.DataFrame)
    assert_type(fs.tanh(cube), xr.DataArray)
    assert_type(fs.bce_with_logits(series, series, reduction="none"), pd.Series)


def tensors(x: torch.Tensor) -> None:
    assert_type(fs.sigmoid(x), torch.Tensor)
    assert_type(fs.glu(x), torch.Tensor)
    assert_type(fs.lstm_cell(x, x), tuple[torch.Tensor, torch.Tensor])
    assert_type(fs.bce_with_logits(x, x), torch.Tensor)
    assert_type(fs.bce_with_logits_value_and_grad(x, x), tuple[torch.Tensor, torch.Tensor])
