"""How sure a mean over windows of text is: the paired bootstrap that loss differences are told with.

Knows nothing about models or records; numpy only, so that whoever measures and whoever reads use the same one.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

RESAMPLES = 1000


def paired_interval(
    per_window: Float[np.ndarray, " windows"], seed: int = 0
) -> tuple[float, float | None, float | None]:
    """Mean of differences by window, and the ends of its 95 % interval (None for a single window).

    A percentile bootstrap over windows, because the tokens of a window depend on each other: `RESAMPLES` resamples,
    the same for the same seed. It speaks of other windows of these texts, not of other texts.
    """
    count = len(per_window)
    if count < 2:
        return float(per_window.mean()), None, None
    drawn = np.random.default_rng(seed).integers(0, count, size=(RESAMPLES, count))
    low, high = np.percentile(per_window[drawn].mean(axis=1), [2.5, 97.5])
    return float(per_window.mean()), float(low), float(high)
