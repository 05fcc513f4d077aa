"""Wanda: weights times the size of the input they multiply, compared within each group.

Knows nothing about correlations between inputs, and changes no weight.
"""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Bool, Float
from torch import Tensor

from hyperprune_lab.calibration.statistics import InputStatistics
from hyperprune_lab.methods.base import Decision, LinearByLinear, LinearProblem


def wanda_scores(weight: Float[Tensor, "out in"], statistics: InputStatistics) -> Float[Tensor, "out in"]:
    """``|W_ij| rms_j``: the root of what the output loses if only this weight goes (Sun et al. 2023).

    The publication uses the norm of each channel over all tokens; the root mean square differs by a constant
    factor, which no comparison within a group sees.
    """
    return weight.abs() * statistics.rms


def wanda_mask(problem: LinearProblem) -> Bool[Tensor, "out in"]:
    """The best scores of each group."""
    return problem.pattern.project(wanda_scores(problem.weight, problem.statistics))


class Wanda(LinearByLinear):
    """Keeps the best Wanda scores of each group."""

    name: ClassVar[str] = "wanda"
    summary: ClassVar[str] = "weight size times input size, within each group; the field's quick standard"
    reference: ClassVar[str] = "Sun et al. 2023, arXiv 2306.11695"
    cost: ClassVar[str] = "instant"

    def decide_linear(self, problem: LinearProblem) -> Decision:
        return Decision(wanda_mask(problem))
