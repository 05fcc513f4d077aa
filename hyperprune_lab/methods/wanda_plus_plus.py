"""Wanda++: Wanda's score with the gradient of the block's own output added, so that no whole-model pass is needed.

Knows nothing about correlations between inputs, and changes no weight. Yang et al. 2025 (arXiv 2503.04992) go on to
refit the block's kept weights by its output, five times, pruning again after each; here refitting is the ladder's
business (``--compensation block``), the same for every method, so this is their regional gradient score alone.
"""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from hyperprune_lab.calibration.statistics import InputStatistics
from hyperprune_lab.methods.base import Decision, Gradients, LinearByLinear, LinearProblem, gradient_of

GRADIENT_WEIGHT = 100.0
"""alpha of the publication."""


def wanda_plus_plus_scores(
    weight: Float[Tensor, "out in"], statistics: InputStatistics, gradient: Float[Tensor, "out in"]
) -> Float[Tensor, "out in"]:
    """``(alpha G_ij + rms_j) |W_ij|``; G is the root mean square over sequences of the regional gradient.

    Published with the norm of channel j over a sequence and the gradient of the block's output norm over it: both are
    divided here by the root of the sequence's length, which no comparison sees.
    """
    return (GRADIENT_WEIGHT * gradient + statistics.rms) * weight.abs()


class WandaPlusPlus(LinearByLinear):
    """Keeps the best of each group; costs one backward pass through the block per calibration sequence."""

    name: ClassVar[str] = "wanda++"
    summary: ClassVar[str] = "Wanda with the gradient of the block's output in its score"
    reference: ClassVar[str] = "Yang et al. 2025, arXiv 2503.04992"
    cost: ClassVar[str] = "seconds"
    gradients: ClassVar[Gradients] = "regional"

    def decide_linear(self, problem: LinearProblem) -> Decision:
        scores = wanda_plus_plus_scores(problem.weight, problem.statistics, gradient_of(problem))
        return Decision(problem.pattern.project(scores))
