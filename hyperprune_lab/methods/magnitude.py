"""Magnitude pruning: keep the largest weights of each group.

Knows nothing about activations.
"""

from __future__ import annotations

from typing import ClassVar

from hyperprune_lab.methods.base import Decision, LinearByLinear, LinearProblem


class Magnitude(LinearByLinear):
    """``score = |W|``, compared within each group."""

    name: ClassVar[str] = "magnitude"
    summary: ClassVar[str] = "keeps the largest weights of each group; blind to activations"
    reference: ClassVar[str] = "Han et al. 2015, arXiv 1506.02626"
    cost: ClassVar[str] = "instant"

    def decide_linear(self, problem: LinearProblem) -> Decision:
        return Decision(problem.pattern.project(problem.weight.abs()))
