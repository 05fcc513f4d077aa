"""ALPS-like pruning: mask and weights together by ADMM, then least squares on the kept weights.

Knows nothing about blocks or models; one weight matrix and the Gram matrix of its input at a time.

After Meng et al. 2024 (arXiv 2406.07831), with choices of our own: the inverse is recomputed for each of a
few values of the penalty instead of from one eigendecomposition, and the kept weights are refitted by more
than ten steps.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hyperprune_lab.calibration.error import relative_error
from hyperprune_lab.calibration.statistics import full_precision
from hyperprune_lab.methods.base import Decision, LinearByLinear, LinearProblem
from hyperprune_lab.methods.least_squares import least_squares
from hyperprune_lab.methods.scaled import ScaledGram, damped_cholesky
from hyperprune_lab.patterns import NMPattern

FIRST_PENALTY = 0.2
PENALTY_GROWTH = 1.2
ITERATIONS_PER_PENALTY = 3
SETTLED = 3e-4
"""Share of kept weights that still move between two penalties below which the mask counts as found."""


def alps(
    weight: Float[Tensor, "out in"],
    gram: Float[Tensor, "in in"],
    pattern: NMPattern,
    damping: float = 0.01,
    penalties: int = 20,
) -> tuple[Bool[Tensor, "out in"], Float[Tensor, "out in"]]:
    """The mask and the refitted weights (fp32, zero outside the mask).

    Minimizes ``tr((W - X) A (W - X)^T)`` over dense X that is tied to a copy D of the pattern by a growing
    penalty; A is H scaled to unit diagonal, plus ``damping``. The mask is D's; the weights are its least
    squares with the same damping. Dead channels are pruned first.
    """
    scaled = ScaledGram.of(gram)
    w = scaled.enter(weight.float())
    with full_precision():
        target = w @ scaled.damped(damping)
        mask = pattern.project(w.abs())
        tied = w * mask
        dual = torch.zeros_like(w)
        for stage in range(penalties):
            penalty = FIRST_PENALTY * PENALTY_GROWTH**stage
            before = mask
            factor, _ = damped_cholesky(scaled.matrix, damping + penalty)
            inverse = torch.cholesky_inverse(factor).float()
            for _ in range(ITERATIONS_PER_PENALTY):
                free = (target - dual + penalty * tied) @ inverse
                wanted = free + dual / penalty
                mask = pattern.project(wanted.abs())
                tied = wanted * mask
                dual = penalty * (wanted - tied)
            moved = (mask & ~before).sum().item() / mask.sum().item()
            if stage and moved < SETTLED:
                break
    return mask, least_squares(weight, gram, mask, damping)


class ALPS(LinearByLinear):
    """Finds the mask that is best *after* its kept weights are refitted."""

    name: ClassVar[str] = "alps"
    summary: ClassVar[str] = "mask and weights together, by ADMM; for masks whose weights are refitted"
    reference: ClassVar[str] = "after Meng et al. 2024, arXiv 2406.07831"
    cost: ClassVar[str] = "minutes"
    updates_weights: ClassVar[bool] = True

    def __init__(self, damping: float = 0.01) -> None:
        self.damping = damping

    def decide_linear(self, problem: LinearProblem) -> Decision:
        gram = problem.statistics.gram
        mask, weight = alps(problem.weight, gram, problem.pattern, self.damping)
        error = relative_error(problem.weight, weight, gram)
        return Decision(mask, weight, {"damping": self.damping, "error_rel_updated": error})
