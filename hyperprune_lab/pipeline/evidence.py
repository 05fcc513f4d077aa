"""What a decision leaves behind for the views: errors, shares, keep-rates, baselines on the same statistics.

Knows nothing about events' order or where they are stored.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hyperprune_lab.calibration.error import channel_shares, relative_error, row_errors, row_moments
from hyperprune_lab.calibration.statistics import InputStatistics, group_blocks
from hyperprune_lab.events import InputMeasured, ModuleDecided
from hyperprune_lab.methods.base import Decision, LinearProblem
from hyperprune_lab.methods.wanda import wanda_mask
from hyperprune_lab.patterns import NMPattern, pack


def numpy(value: Tensor) -> np.ndarray:
    """The tensor on the host; bf16 becomes fp32, which numpy can hold."""
    value = value.detach()
    return (value.float() if value.dtype == torch.bfloat16 else value).cpu().numpy()


@dataclass(frozen=True)
class References:
    """The masks that every other is held against, on the same statistics."""

    wanda: Bool[Tensor, "out in"]
    magnitude: Bool[Tensor, "out in"]

    @classmethod
    def of(cls, problem: LinearProblem) -> References:
        """Wanda's and magnitude's masks of one linear."""
        return cls(
            wanda=wanda_mask(problem),
            magnitude=problem.pattern.project(problem.weight.abs()),
        )


def input_event(
    stage: str,
    block: int,
    key: str,
    readers: tuple[str, ...],
    statistics: InputStatistics,
    heldout: InputStatistics | None,
    pattern: NMPattern,
    full: bool,
) -> InputMeasured:
    """Channel statistics of one distinct input; the m x m blocks of H at the level ``full``."""
    arrays = {
        "channel_rms": numpy(statistics.rms),
        "channel_mean": numpy(statistics.mean),
        "gram_diagonal": numpy(statistics.gram.diagonal()),
    }
    if heldout is not None:
        arrays["channel_rms_heldout"] = numpy(heldout.rms)
    if full:
        arrays["gram_blocks"] = numpy(group_blocks(statistics.gram, pattern.group))
    scalars = {
        "tokens": float(statistics.tokens),
        "condition": statistics.condition(),
        "dead_channels": float(statistics.dead.sum()),
        "outlier_channels": float(statistics.outliers().sum()),
        "rank_deficient": float(statistics.rank_deficient),
    }
    return InputMeasured(stage, block, key, readers, scalars, arrays)


def module_event(
    stage: str, problem: LinearProblem, decision: Decision, references: References, full: bool
) -> ModuleDecided:
    """The mask of one linear with its errors (relative to the dense output's energy, original weights)."""
    mask, weight, gram = decision.mask, problem.weight, problem.statistics.gram
    pruned = weight * mask
    scalars = dict(decision.scalars)
    scalars |= {
        "error_rel": relative_error(weight, pruned, gram),
        "error_rel_wanda": relative_error(weight, weight * references.wanda, gram),
        "error_rel_magnitude": relative_error(weight, weight * references.magnitude, gram),
        "agreement_wanda": _agreement(problem.pattern, mask, references.wanda),
        "agreement_magnitude": _agreement(problem.pattern, mask, references.magnitude),
        "kept_score": _kept_share(weight, problem.statistics, mask),
        "kept_score_wanda": _kept_share(weight, problem.statistics, references.wanda),
    }
    if problem.heldout is not None:
        scalars["error_rel_heldout"] = relative_error(weight, pruned, problem.heldout.gram)
    arrays = {name: numpy(value) for name, value in decision.arrays.items()}
    energies, covariances = row_moments(weight, pruned, gram)
    arrays |= {
        "row_errors": numpy(row_errors(weight, pruned, gram)),
        "row_energies": numpy(energies.float()),
        "row_error_covariances": numpy(covariances.float()),
        "channel_shares": numpy(channel_shares(weight, pruned, gram)),
        "channel_kept_energy": numpy(_channel_kept_energy(weight, mask)),
        "channel_keep_rate_wanda": numpy(references.wanda.float().mean(0)),
        "channel_keep_rate_magnitude": numpy(references.magnitude.float().mean(0)),
    }
    if problem.pattern.enumerable:
        ids = problem.pattern.ids(mask).long().flatten()
        arrays["pattern_histogram"] = numpy(torch.bincount(ids, minlength=problem.pattern.count))
    if full:
        arrays["mask_wanda"] = pack(numpy(references.wanda))
        arrays["mask_magnitude"] = pack(numpy(references.magnitude))
    return ModuleDecided(
        stage, problem.block, problem.name, str(problem.pattern), numpy(mask), scalars, arrays
    )


def _agreement(pattern: NMPattern, one: Tensor, other: Tensor) -> float:
    return (pattern.ids(one) == pattern.ids(other)).float().mean().item()


def _kept_share(weight: Tensor, statistics: InputStatistics, mask: Tensor) -> float:
    """Kept share of the squared Wanda score: 1 would mean that nothing that matters by it was lost."""
    energy = weight.square() * statistics.gram.diagonal()
    return ((energy * mask).sum() / energy.sum().clamp_min(1e-30)).item()


def _channel_kept_energy(
    weight: Float[Tensor, "out in"], mask: Bool[Tensor, "out in"]
) -> Float[Tensor, " in"]:
    energy = weight.square()
    return (energy * mask).sum(0) / energy.sum(0).clamp_min(1e-30)


@dataclass(frozen=True)
class Propagation:
    """The error of one linear in the pruned model, each part over the dense output's energy.

    W x_dense - W' x_pruned = W (x_dense - x_pruned) + (W - W') x_pruned: ``inherited`` and ``local`` are the squared
    norms of the two terms, ``cross`` twice their inner product, ``total`` the squared norm of the sum.
    """

    local: float
    inherited: float
    cross: float
    total: float

    def scalars(self) -> dict[str, float]:
        """Named as the record has them."""
        return {
            "error_rel_local": self.local,
            "error_rel_inherited": self.inherited,
            "error_rel_cross": self.cross,
            "error_rel_total": self.total,
        }


def propagation(
    weight: Float[Tensor, "out in"],
    pruned: Float[Tensor, "out in"],
    x_dense: Float[Tensor, "tokens in"],
    x_pruned: Float[Tensor, "tokens in"],
) -> Propagation:
    """Split the error of one linear into what it inherits and what it adds."""
    x_dense, x_pruned = x_dense.float(), x_pruned.float()
    energy = float((x_dense @ weight.T).square().sum()) or 1.0
    inherited = (x_dense - x_pruned) @ weight.T
    local = x_pruned @ (weight - pruned).T
    cross = 2.0 * float((inherited * local).sum())
    parts = float(local.square().sum()), float(inherited.square().sum())
    return Propagation(parts[0] / energy, parts[1] / energy, cross / energy, (sum(parts) + cross) / energy)


def total_error(
    weight: Float[Tensor, "out in"],
    other: Float[Tensor, "out in"],
    x_dense: Float[Tensor, "tokens in"],
    x_other: Float[Tensor, "tokens in"],
) -> float:
    """||W x_dense - W' x_other||^2 over the dense output's energy, for any other weights and inputs."""
    expected = x_dense.float() @ weight.T
    missed = expected - x_other.float() @ other.float().T
    return float(missed.square().sum()) / (float(expected.square().sum()) or 1.0)
