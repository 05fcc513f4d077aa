"""How far apart two models are on the same tokens: loss difference with its interval, and the gap closed.

Knows nothing about models: losses and perplexities are all it reads.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from hyperprune_lab.intervals import paired_interval

SMALLEST_GAP_NATS = 0.05


class LossDifference(NamedTuple):
    """Mean difference in nats per token and the ends of its 95 % interval (None for a single window)."""

    nats: float
    low: float | None
    high: float | None


def loss_difference(
    losses_a: Float[Tensor, "windows predicted"], losses_b: Float[Tensor, "windows predicted"], seed: int = 0
) -> LossDifference:
    """Loss of ``a`` minus loss of ``b``, so that a positive value says ``a`` is worse, on the same windows.

    The interval is a paired bootstrap over windows, see `paired_interval`.
    """
    if losses_a.shape != losses_b.shape:
        raise ValueError(f"losses of different windows: {tuple(losses_a.shape)} and {tuple(losses_b.shape)}")
    per_window = (losses_a.double() - losses_b.double()).mean(dim=1).numpy()
    return LossDifference(*paired_interval(per_window, seed))


def gap_closed(dense: float, wanda: float, pruned: float) -> float | None:
    """Share of what Wanda's mask costs that ``pruned`` does not: ``1 - ln(pruned/dense) / ln(wanda/dense)``.

    All three are perplexities by one protocol, Wanda's mask-only. 1 is as good as dense, 0 as bad as Wanda,
    negative is worse. None where Wanda costs less than 0.05 nats (or nothing finite): the ratio would be
    noise.
    """
    cost = math.log(wanda / dense)
    if not SMALLEST_GAP_NATS <= cost < math.inf:
        return None
    return 1 - math.log(pruned / dense) / cost
