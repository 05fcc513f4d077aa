"""Builds what the hypernetwork may look at for one linear: from weight, statistics and a prior mask.

Knows nothing about blocks, networks or training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hyperprune_lab.calibration.statistics import InputStatistics
from hyperprune_lab.hypernet.features import LinearContext, outside_coupling
from hyperprune_lab.hypernet.prior import pattern_energies
from hyperprune_lab.methods.alps import alps
from hyperprune_lab.methods.base import LinearProblem
from hyperprune_lab.methods.coordinate_descent import coupling, descent_from_wanda, group_costs
from hyperprune_lab.methods.scaled import ScaledGram, damped_cholesky
from hyperprune_lab.methods.sparsegpt import inverse_factor, sparsegpt_mask_and_weights
from hyperprune_lab.methods.wanda import wanda_mask

_DAMPING = 0.01


def _descent_mask(problem: LinearProblem) -> Bool[Tensor, "out in"]:
    return descent_from_wanda(problem.weight, problem.statistics, problem.pattern)


def _sparsegpt_mask(problem: LinearProblem) -> Bool[Tensor, "out in"]:
    factor = inverse_factor(problem.statistics.gram)
    return sparsegpt_mask_and_weights(problem.weight, factor, problem.pattern)[0]


def _alps_mask(problem: LinearProblem) -> Bool[Tensor, "out in"]:
    return alps(problem.weight, problem.statistics.gram, problem.pattern)[0]


PRIOR_MASKS: dict[str, Callable[[LinearProblem], Tensor]] = {
    "none": wanda_mask,
    "sparsegpt": _sparsegpt_mask,
    "descent": _descent_mask,
    "alps": _alps_mask,
}
"""One-shot mask of each prior; with ``none`` the prior's strength is 0 and the mask serves as a reference only."""


def prior_masks(prior: str, problems: Sequence[LinearProblem]) -> dict[str, Bool[Tensor, "_ _"]]:
    """The prior's masks by name. Linears that share an input are decided in one go, as rows of one matrix."""
    together: dict[tuple[int, str], list[LinearProblem]] = {}
    for problem in problems:
        together.setdefault((id(problem.statistics), str(problem.pattern)), []).append(problem)
    masks: dict[str, Tensor] = {}
    for shared in together.values():
        stacked = replace(shared[0], weight=torch.cat([problem.weight for problem in shared]))
        parts = PRIOR_MASKS[prior](stacked).split([len(problem.weight) for problem in shared])
        masks |= {problem.name: mask.clone() for problem, mask in zip(shared, parts, strict=True)}
    return masks


def inverse_diagonal(statistics: InputStatistics) -> Float[Tensor, " in"]:
    """Diagonal of the inverse of the unit-diagonal, damped H: what makes a weight hard to replace."""
    factor, _ = damped_cholesky(ScaledGram.of(statistics.gram).matrix, _DAMPING)
    return torch.cholesky_inverse(factor).diagonal().to(statistics.gram)


def build_context(
    problem: LinearProblem, prior: Bool[Tensor, "out in"], inverse: Float[Tensor, " in"]
) -> LinearContext:
    """Everything the features are made of, at ``prior``."""
    return at_mask(
        LinearContext(
            name=problem.name,
            component=problem.component,
            block=problem.block,
            pattern=problem.pattern,
            weight=problem.weight,
            gram=problem.statistics.gram,
            prior=prior,
            coupling=problem.weight,
            inverse_diagonal=inverse,
            energies=None,
        ),
        prior,
    )


def at_mask(
    context: LinearContext,
    prior: Bool[Tensor, "out in"],
    effect: Float[Tensor, "out in"] | None = None,
    effect_square: Float[Tensor, "out in"] | None = None,
) -> LinearContext:
    """The same linear with another mask as prior: coupling and energies follow, effects are those given."""
    weight, gram, pattern = context.weight, context.gram, context.pattern
    pull = coupling(weight, gram, prior)
    energies = None
    if pattern.enumerable:
        table = torch.from_numpy(pattern.table().copy()).to(weight)
        outside = outside_coupling(weight, gram, prior, pull, pattern.group)
        energies = pattern_energies(weight, group_costs(weight, gram, pattern), outside, table)
    return replace(
        context,
        prior=prior,
        coupling=pull,
        energies=energies,
        effect=effect,
        effect_square=effect_square,
    )
