"""Where a network loses its gradient, and what helps: measured on torch's own layers, and watched in a model of yours.

Needs torch, which is imported with this module and not with ``fastsig``.

Examples
--------
>>> from fastsig import gradflow
>>> flow = gradflow.measure(depth=50, activation="sigmoid", init="glorot")
>>> flow.verdict
'vanishes'
>>> gradflow.measure(depth=50, activation="relu", init="he").verdict
'flows'
"""

from __future__ import annotations

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError("fastsig.gradflow needs torch 2.4 or newer: pip install 'fastsig-kernels[torch]'") from error

from fastsig.gradflow.experiment import measure
from fastsig.gradflow.flow import Flow, Layer, log10_product
from fastsig.gradflow.recurrent import measure_recurrent
from fastsig.gradflow.watched import Report
from fastsig.gradflow.watching import Watch, watch

__all__ = ["Flow", "Layer", "Report", "Watch", "log10_product", "measure", "measure_recurrent", "watch"]


def __dir__() -> list[str]:
    return __all__
