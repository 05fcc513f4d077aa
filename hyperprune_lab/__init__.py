"""HyperPrune Lab: see, understand and fix what happens when a language model is pruned to n:m sparsity.

Knows only where its public names live; each is imported when it is first asked for, so that a server without
any picture package, and a laptop without torch, import the package just as well.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {
    "open_run": "hyperprune_lab.record.reader",
    "example": "hyperprune_lab.runs",
    "latest": "hyperprune_lab.runs",
    "Desk": "hyperprune_lab.widgets.desk",
    "Lab": "hyperprune_lab.widgets.lab",
    "ModelMap": "hyperprune_lab.widgets.model_map",
    "MaskExplorer": "hyperprune_lab.widgets.mask_explorer",
    "OutlierChannels": "hyperprune_lab.widgets.outliers",
    "Reconstruction": "hyperprune_lab.widgets.reconstruction",
    "Forgetting": "hyperprune_lab.widgets.forgetting",
    "Hypernetwork": "hyperprune_lab.widgets.hypernetwork",
    "RunControl": "hyperprune_lab.widgets.run_control",
    "Compare": "hyperprune_lab.widgets.compare",
    "Findings": "hyperprune_lab.widgets.findings",
    "Scrubber": "hyperprune_lab.widgets.scrubber",
}

__all__ = [*_PUBLIC, "__version__"]  # made on demand, below


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
