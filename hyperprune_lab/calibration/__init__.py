"""Text to tokens to statistics: what every layer-wise method knows about the data.

Knows nothing about pruning methods: only what a linear reads, and how an error is measured against it.
"""

from hyperprune_lab.calibration.config import CalibrationConfig
from hyperprune_lab.calibration.error import channel_shares, relative_error, row_errors
from hyperprune_lab.calibration.statistics import InputStatistics, StatisticsAccumulator, full_precision
from hyperprune_lab.calibration.windows import Calibration, choose_window, load_calibration

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
