"""SparseGPT: one sweep over the columns, in which the later ones make up for what the earlier ones lost.

Knows nothing about blocks or models; one weight matrix and the Gram matrix of its input at a time.

Frantar and Alistarh 2023 (arXiv 2301.00774). With `H^-1 = U^T U` (U upper triangular), `U_jj^2` is the j-th
diagonal entry of the inverse Hessian of the columns from j on, which is what the surgeon needs once the
columns before j are fixed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hyperprune_lab.calibration.error import relative_error
from hyperprune_lab.calibration.statistics import full_precision
from hyperprune_lab.methods.base import Decision, LinearByLinear, LinearProblem
from hyperprune_lab.methods.scaled import ScaledGram, damped_cholesky
from hyperprune_lab.patterns import NMPattern

BLOCK_COLUMNS = 128
"""Columns swept before all the others are corrected in one matrix product; rounded down to whole groups."""

DampedBy = Literal["mean", "channel"]
"""Whether damping is a share of the mean of diag(H), as published, or of each channel's own entry."""


@dataclass(frozen=True, eq=False)
class InverseFactor:
    """``upper`` is U with ``H^-1 = U^T U`` (fp32); ``damping`` is what it took, relative to the diagonal."""

    upper: Float[Tensor, "in in"]
    dead: Bool[Tensor, " in"]
    damping: float


def inverse_factor(
    gram: Float[Tensor, "in in"], damping: float = 0.01, relative_to: DampedBy = "mean"
) -> InverseFactor:
    """Factor the inverse of the damped Gram matrix.

    ``mean`` adds ``damping * mean(diag H)`` to the diagonal, as published; ``channel`` adds ``damping *
    H_jj`` to each channel, so that large channels do not drown the others. A dead channel is decoupled and
    its weights count as zero, so its pivot is arbitrary: the damping alone serves.
    """
    dead = gram.diagonal() <= 0
    with full_precision():
        if relative_to == "channel":
            scaled = ScaledGram.of(gram)
            upper, damping = _inverse_upper(scaled.matrix, damping, 1.0)
            upper = upper / torch.where(dead, 1.0, scaled.scale)
        else:
            mean = gram.diagonal().mean(dtype=torch.float32).item()
            upper, damping = _inverse_upper(gram, damping, mean or 1.0)
    return InverseFactor(upper, dead, damping)


def _inverse_upper(
    matrix: Float[Tensor, "in in"], damping: float, unit: float
) -> tuple[Float[Tensor, "in in"], float]:
    """U of the damped matrix, without ever forming its inverse.

    With the order of rows and columns reversed (J), ``J H J = L L^T`` gives ``H = V V^T`` for the upper
    triangular ``V = J L J``, hence ``U = V^-1``.
    """
    lower, damping = damped_cholesky(matrix.flip(0, 1), damping, unit)
    identity = torch.eye(len(lower), dtype=lower.dtype, device=lower.device)
    inverse = torch.linalg.solve_triangular(lower, identity, upper=False)
    return inverse.flip(0, 1).float(), damping


def sparsegpt_mask_and_weights(
    weight: Float[Tensor, "out in"], factor: InverseFactor, pattern: NMPattern
) -> tuple[Bool[Tensor, "out in"], Float[Tensor, "out in"]]:
    """The mask and the updated weights (fp32, zero outside the mask).

    At the first column of a group the ``group - keep`` lowest ``w^2 / U_jj^2`` are marked, on weights that
    have absorbed the errors of all columns to their left; every column's error is then spread over the
    columns to its right.
    """
    upper = factor.upper
    swept = torch.where(factor.dead, 0.0, weight.float())
    mask = torch.zeros_like(swept, dtype=torch.bool)
    in_features = swept.shape[1]
    width = max(pattern.group, BLOCK_COLUMNS // pattern.group * pattern.group)
    with full_precision():
        for start in range(0, in_features, width):
            stop = min(start + width, in_features)
            # Columns are rows in here: each is read and written as one contiguous vector.
            near = swept[:, start:stop].T.contiguous()
            kept = torch.zeros_like(near, dtype=torch.bool)
            errors = torch.zeros_like(near)
            factor_near = upper[start:stop, start:stop]
            pivots = factor_near.diagonal()
            for column in range(stop - start):
                if column % pattern.group == 0:
                    group = slice(column, column + pattern.group)
                    kept[group] = pattern.project((near[group] / pivots[group, None]).square().T).T
                errors[column] = near[column] * ~kept[column] / pivots[column]
                near[column:].addr_(factor_near[column, column:], errors[column], alpha=-1)
            mask[:, start:stop] = kept.T
            swept[:, start:stop] = (near * kept).T
            swept[:, stop:].addmm_(errors.T, upper[start:stop, stop:], alpha=-1)
    return mask, swept


class SparseGPT(LinearByLinear):
    """The published sweep: damping 1 % of the mean of diag(H), blocks of 128 columns.

    ``relative_to="channel"`` damps each channel relative to itself instead, which makes the result
    independent of the scale of channels; it is not what was published.
    """

    name: ClassVar[str] = "sparsegpt"
    summary: ClassVar[str] = "one sweep over the columns, later columns absorb the errors of earlier ones"
    reference: ClassVar[str] = "Frantar and Alistarh 2023, arXiv 2301.00774"
    cost: ClassVar[str] = "seconds"
    updates_weights: ClassVar[bool] = True

    def __init__(self, damping: float = 0.01, relative_to: DampedBy = "mean") -> None:
        self.damping = damping
        self.relative_to: DampedBy = relative_to

    def decide_linear(self, problem: LinearProblem) -> Decision:
        gram = problem.statistics.gram
        factor = inverse_factor(gram, self.damping, self.relative_to)
        mask, weight = sparsegpt_mask_and_weights(problem.weight, factor, problem.pattern)
        scalars = {
            "damping": factor.damping,
            "dead_channels": float(factor.dead.sum()),
            "error_rel_updated": relative_error(problem.weight, weight, gram),
        }
        return Decision(mask, weight, scalars)
