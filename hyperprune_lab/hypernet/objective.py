"""The three terms of HyperPrune's objective, each dimensionless, each on rows of one linear.

Knows nothing about networks or optimizers: probabilities and weights in, scalars out.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from hyperprune_lab.calibration.statistics import group_blocks
from hyperprune_lab.hypernet.relaxation import Choice


def sampled_reconstruction(
    weight: Float[Tensor, "rows in"], gram: Float[Tensor, "in in"], choice: Choice
) -> Float[Tensor, ""]:
    """Squared output error of the soft-masked rows, summed over rows: tr(D H D^T) with D = W - W * soft mask."""
    removed = weight * (1.0 - choice.keep.flatten(-2))
    return ((removed @ gram) * removed).sum()


def expected_reconstruction(
    weight: Float[Tensor, "rows in"],
    gram: Float[Tensor, "in in"],
    costs: Float[Tensor, "rows groups patterns"],
    choice: Choice,
) -> Float[Tensor, ""]:
    """Expected squared output error when every group draws its pattern independently, summed over rows.

    E tr(D H D^T) = tr(E[D] H E[D]^T) + sum over groups of (E[d^T H_gg d] - E[d]^T H_gg E[d]): the error of the mean
    mask plus the variance of the draws, both in closed form. ``costs[r, g, p]`` is d^T H_gg d for pattern p.
    """
    if choice.probabilities is None:
        return sampled_reconstruction(weight, gram, choice)
    group = choice.keep.shape[-1]
    removed = weight * (1.0 - choice.keep.flatten(-2))
    mean_error = ((removed @ gram) * removed).sum()
    grouped = removed.unflatten(-1, (-1, group))
    own = torch.einsum("rgi,gij,rgj->", grouped, group_blocks(gram, group), grouped)
    return mean_error + (choice.probabilities * costs).sum() - own


def outlier_share(
    weight: Float[Tensor, "rows in"], second_moment: Float[Tensor, " in"], choice: Choice
) -> Float[Tensor, ""]:
    """Kept share of sum W_ij^2 E[x_j^2], in [0, 1]: HyperPrune's outlier term over its largest possible value.

    The published term E_x E_M ||(W * M) Diag(x)||_F^2 is this sum over kept weights of the squared Wanda score; it is
    linear in the keep-probabilities, so no sampling is needed.
    """
    energy = weight.square() * second_moment
    return (energy * choice.keep.flatten(-2)).sum() / energy.sum().clamp_min(1e-30)


def divergence(
    teacher_log: Float[Tensor, "... outputs"], student_log: Float[Tensor, "... outputs"]
) -> Float[Tensor, ""]:
    """Mean over groups of KL(teacher || student) between option distributions: the continual term, in nats."""
    return (teacher_log.exp() * (teacher_log - student_log)).sum(-1).mean()
