"""Text to tokens to statistics: what every layer-wise method knows about the data.

Knows nothing about pruning methods: only what a linear reads, and how an error is measured against it. Nothing is
loaded before it is asked for: a configuration can be written where torch is not at hand.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hyperprune_lab.calibration.config import CalibrationConfig
    from hyperprune_lab.calibration.error import channel_shares, relative_error, row_errors
    from hyperprune_lab.calibration.statistics import (
        InputStatistics,
        StatisticsAccumulator,
        full_precision,
    )
    from hyperprune_lab.calibration.windows import Calibration, choose_window, load_calibration

_PLACES = {
    "config": ("CalibrationConfig",),
    "error": ("channel_shares", "relative_error", "row_errors"),
    "statistics": ("InputStatistics", "StatisticsAccumulator", "full_precision"),
    "windows": ("Calibration", "choose_window", "load_calibration"),
}

__all__ = [
    "Calibration",
    "CalibrationConfig",
    "InputStatistics",
    "StatisticsAccumulator",
    "channel_shares",
    "choose_window",
    "full_precision",
    "load_calibration",
    "relative_error",
    "row_errors",
]


def __getattr__(name: str) -> Any:
    for place, names in _PLACES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{place}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
