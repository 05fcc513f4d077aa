"""Teaching with notebooks: exercises that know the usual misunderstandings, predictions, pictures, large type.

Knows nothing about any one lesson; what a lesson asks stands in `hyperprune_lab.teaching.lessons`. Names are imported
when they are first asked for, so that reading a lesson needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PLACES = {
    "predict": "hyperprune_lab.teaching.prediction",
    "Prediction": "hyperprune_lab.teaching.prediction",
    "show_progress": "hyperprune_lab.teaching.progress",
    "present": "hyperprune_lab.teaching.presentation",
    "picture": "hyperprune_lab.teaching.pictures",
    "show": "hyperprune_lab.teaching.pictures",
    "draw_weights": "hyperprune_lab.teaching.pictures",
    "recorded": "hyperprune_lab.teaching.recorded_run",
    "demo_block": "hyperprune_lab.teaching.block_of_demo",
    "Feedback": "hyperprune_lab.teaching.feedback",
}

__all__ = [*_PLACES]  # the names are made on demand, below


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
