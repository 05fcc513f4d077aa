"""Text to tokens to statistics: what every layer-wise method knows about the data.

Knows nothing about pruning methods: only what a linear reads, and how an error is measured against it.
"""

from hyperprune_lab.calibration.error import channel_shares, relative_error, row_errors
from hyperprune_lab.calibration.statistics import InputStatistics, StatisticsAccumulator, full_precision

__all__ = [
    "InputStatistics",
    "StatisticsAccumulator",
    "channel_shares",
    "full_precision",
    "relative_error",
    "row_errors",
]
