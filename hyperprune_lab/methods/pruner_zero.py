"""Pruner-Zero: a score that was found by a search over formulas, from weights and the gradient of the loss.

Knows nothing about activations, and changes no weight. Dong et al. 2024 (arXiv 2406.02924) searched trees of weights,
gradients and inputs; the one they released reads no input. They take gradients on the text that they later evaluate on
(WikiText-2's training half); here they come from the run's own calibration text, like everything else.
"""

from __future__ import annotations

from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from hyperprune_lab.methods.base import Decision, Gradients, LinearByLinear, LinearProblem, gradient_of


def pruner_zero_scores(
    weight: Float[Tensor, "out in"], gradient: Float[Tensor, "out in"]
) -> Float[Tensor, "out in"]:
    """``W^2 minmax(G)``: G is the mean absolute gradient of the loss, scaled to 0 .. 1 over the whole matrix.

    A matrix whose gradient is the same everywhere is scored by its weights alone.
    """
    low, high = gradient.aminmax()
    span = high - low
    return weight.square() * ((gradient - low) / span if span > 0 else 1.0)


class PrunerZero(LinearByLinear):
    """Keeps the best of each group by the released formula; costs one backward pass per calibration sequence."""

    name: ClassVar[str] = "pruner-zero"
    summary: ClassVar[str] = "squared weight times gradient size, a formula found by search"
    reference: ClassVar[str] = "Dong et al. 2024, arXiv 2406.02924"
    cost: ClassVar[str] = "seconds"
    gradients: ClassVar[Gradients] = "loss"

    def decide_linear(self, problem: LinearProblem) -> Decision:
        scores = pruner_zero_scores(problem.weight, gradient_of(problem))
        return Decision(problem.pattern.project(scores))
