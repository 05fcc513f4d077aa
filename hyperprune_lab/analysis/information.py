"""How much the pruned output still tells about the dense one, and what that has to do with reconstruction error.

Knows nothing about text or models. Everything here is the Gaussian model: the input x of a linear is taken as normal
with zero mean and covariance H, its recorded second moment (so a channel's mean counts as variance). Then dense and
pruned output of a row, ``y = w x`` and ``z = v x``, are jointly normal with squared correlation ``rho^2``, and

    I(y; z) = 1/2 log 1 / (1 - rho^2)      nats per output row.

Relation to the error. The best prediction of y from z misses ``(1 - rho^2) E[y^2]``; the pruned row misses ``E[(y -
z)^2]``, which cannot be less. With ``e = E[(y - z)^2] / E[y^2]``, the row's relative error, therefore

    I(y; z) >= 1/2 log 1 / e,      equal exactly where rescaling z would not help (E[z (y - z)] = 0).

So a smaller error raises a bound on the information, and where the bound is tight the two orders agree: the content,
for one row, of HyperPrune's Theorem 1 (Sun and Sakuma, ICLR 2026). What the theorem needs beyond this is small errors;
2:4 removes half of every group, so the slack is worth looking at. And what the information does not see, the error
does: a rescaled output carries just as much.

For all rows at once the information is a log-determinant, infinite without noise as soon as there are as many outputs
as inputs; ``joint`` therefore asks for the noise.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from hyperprune_lab.analysis.groups import pattern_costs
from hyperprune_lab.analysis.linears import group_blocks_of, input_of, placed
from hyperprune_lab.analysis.sources import Sources
from hyperprune_lab.errors import UserError
from hyperprune_lab.record.reader import Run

ASSUMED_BOUNDS = (
    "Gaussian inputs with covariance H; nothing else: relative errors are recorded on the full H."
)
ASSUMED_ROWS = (
    "Gaussian inputs, and inputs of different groups uncorrelated: of H only its m x m blocks are recorded. "
    "Errors in this table are made of the same blocks, so they differ from the recorded ones."
)


def from_correlation(squared: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """``1/2 log 1 / (1 - rho^2)`` in nats; inf at 1."""
    with np.errstate(divide="ignore"):
        return -0.5 * np.log1p(-np.clip(squared, 0.0, 1.0))


def from_error(error_rel: Float[np.ndarray, "*n"]) -> Float[np.ndarray, "*n"]:
    """``1/2 log 1 / e``, the least information that a relative error leaves, in nats; 0 from e = 1 on, inf at 0."""
    with np.errstate(divide="ignore"):
        return np.maximum(0.0, -0.5 * np.log(np.asarray(error_rel, np.float64)))


def bounds(run: Run, stage: str | None = None, as_of: int | None = None) -> pd.DataFrame:
    """Least information per output row that each linear's error leaves.

    Columns ``module, block, local, panel``, then in nats ``ours, wanda, magnitude``: ``1/2 log 1 / e`` of the linear's
    relative error e is at most the mean over rows of ``I(y; z)``, each row weighted by its dense energy (by convexity
    of the logarithm). Assumes ``ASSUMED_BOUNDS``.
    """
    table = placed(run.modules(stage, as_of))
    names = {"ours": "error_rel", "wanda": "error_rel_wanda", "magnitude": "error_rel_magnitude"}
    found = table[["module", "block", "local", "panel"]].copy()
    for name, column in names.items():
        found[name] = from_error(table[column].to_numpy(float)) if column in table else np.nan
    return found


@dataclass(frozen=True)
class RowMoments:
    """Second moments of dense and pruned outputs by row: ``E[y^2]``, ``E[z^2]``, ``E[y z]``."""

    dense: Float[np.ndarray, " rows"]
    pruned: Float[np.ndarray, " rows"]
    cross: Float[np.ndarray, " rows"]

    @property
    def squared_correlation(self) -> Float[np.ndarray, " rows"]:
        """``rho^2``; 0 where a row has no output."""
        energy = self.dense * self.pruned
        found = np.divide(self.cross**2, energy, out=np.zeros_like(energy), where=energy > 0)
        return np.minimum(found, 1.0)

    @property
    def error_rel(self) -> Float[np.ndarray, " rows"]:
        """``E[(y - z)^2] / E[y^2]``; 0 where there was nothing to lose."""
        lost = np.maximum(self.dense - 2 * self.cross + self.pruned, 0.0)
        return np.divide(lost, self.dense, out=np.zeros_like(lost), where=self.dense > 0)


def row_moments(
    weight: Float[np.ndarray, "rows in"],
    pruned: Float[np.ndarray, "rows in"],
    blocks: Float[np.ndarray, "groups group group"],
) -> RowMoments:
    """Moments under an H that is made of ``blocks`` on its diagonal and zeros elsewhere; a single block is a full H."""
    groups, group, _ = blocks.shape
    y, z = (matrix.astype(np.float64).reshape(len(matrix), groups, group) for matrix in (weight, pruned))
    gram = blocks.astype(np.float64)
    by_y = np.einsum("rgi,gij->rgj", y, gram, optimize=True)
    by_z = np.einsum("rgi,gij->rgj", z, gram, optimize=True)
    return RowMoments((by_y * y).sum((1, 2)), (by_z * z).sum((1, 2)), (by_y * z).sum((1, 2)))


@dataclass(frozen=True)
class RowInformation:
    """Information and error of every output row of one linear; ``assumed`` says what they rest on.

    ``table``: ``row, error_rel`` (over the row's own energy), ``squared_correlation``, ``information`` (``I(y; z)``)
    and ``bound`` (``1/2 log 1 / e``), both in nats; their difference is what a rescaled output would gain.
    """

    table: pd.DataFrame
    assumed: str


def rows(run: Run, module: str, sources: Sources | None = None, as_of: int | None = None) -> RowInformation:
    """Row by row from the recorded moments on the full H; where they were not recorded, from weights and blocks of H.

    Raises:
        UserError: neither is here.
    """
    arrays = run.evidence("module", module, as_of=as_of)
    recorded = [arrays.get(name) for name in ("row_energies", "row_errors", "row_error_covariances")]
    if all(part is not None for part in recorded):
        energy, error, covariance = (np.asarray(part, np.float64) for part in recorded)
        return RowInformation(_row_table(*from_row_moments(energy, error, covariance)), ASSUMED_BOUNDS)
    if sources is None:
        raise UserError(
            f"{run.directory.root} was recorded without the moments of {module}'s rows: open the model's weights too."
        )
    weight = sources.weight(module)
    moments = row_moments(weight, weight * run.mask(module, as_of=as_of), _blocks(run, module, as_of))
    return RowInformation(_row_table(moments.error_rel, moments.squared_correlation), ASSUMED_ROWS)


def from_row_moments(
    energy: Float[np.ndarray, " rows"],
    error: Float[np.ndarray, " rows"],
    covariance: Float[np.ndarray, " rows"],
) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
    """Relative error and squared correlation of rows from ``E[y^2]``, ``E[(y - z)^2]`` and ``E[y (y - z)]``, in any
    unit.

    ``1 - rho^2 = (E[y^2] E[(y-z)^2] - E[y (y-z)]^2) / (E[y^2] E[z^2])``, which does not cancel where errors are small.
    """
    pruned = np.maximum(energy - 2 * covariance + error, 0.0)
    product, missed = energy * pruned, np.maximum(energy * error - covariance**2, 0.0)
    apart = np.divide(missed, product, out=np.ones_like(product), where=product > 0)
    return (
        np.divide(error, energy, out=np.zeros_like(error), where=energy > 0),
        1.0 - np.minimum(apart, 1.0),
    )


def _row_table(error_rel: np.ndarray, squared: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "row": np.arange(len(error_rel)),
            "error_rel": error_rel,
            "squared_correlation": squared,
            "information": from_correlation(squared),
            "bound": from_error(error_rel),
        }
    )


@dataclass(frozen=True)
class PatternRelation:
    """Over a sample of groups: do most information and least error choose the same pattern?

    ``same_choice`` is the share of groups in which they do; ``rank_correlation`` the mean over groups of Spearman's
    correlation between a pattern's error and its information, -1 where the orders are exactly opposite.
    """

    groups: int
    same_choice: float
    rank_correlation: float


def pattern_information(
    weights: Float[np.ndarray, " m"], gram: Float[np.ndarray, "m m"], table: Bool[np.ndarray, "patterns m"]
) -> Float[np.ndarray, " patterns"]:
    """``I`` between a group's dense and pruned part of an output, for each pattern, in nats.

    Exact for Gaussian inputs: a group's block of H is recorded whole.
    """
    kept = np.where(table, weights.astype(np.float64), 0.0)
    gram = gram.astype(np.float64)
    dense = float(weights @ gram @ weights)
    cross = kept @ gram @ weights
    pruned = np.einsum("pi,ij,pj->p", kept, gram, kept, optimize=True)
    energy = dense * pruned
    squared = np.divide(cross**2, energy, out=np.zeros_like(energy), where=energy > 0)
    return from_correlation(np.minimum(squared, 1.0))


def relation(
    run: Run, module: str, sources: Sources, groups: int = 500, seed: int = 0, as_of: int | None = None
) -> PatternRelation:
    """Compare the two criteria pattern by pattern on randomly drawn groups of one linear.

    Raises:
        UserError: the weights are not here, blocks of H were not recorded, or a group has more than 128 patterns.
    """
    mask = run.packed_mask(module, as_of=as_of)
    if not mask.pattern.enumerable:
        raise UserError(
            f"Groups of {mask.pattern} have too many patterns ({mask.pattern.count}) to compare them all."
        )
    blocks, table = _blocks(run, module, as_of), mask.pattern.table()
    weight = sources.weight(module).reshape(mask.shape[0], -1, mask.pattern.group)
    draw = np.random.default_rng(seed)
    same, correlations = 0, []
    picked = zip(draw.integers(0, len(weight), groups), draw.integers(0, len(blocks), groups), strict=True)
    for row, group in picked:
        costs = pattern_costs(weight[row, group], blocks[group], table)
        information = pattern_information(weight[row, group], blocks[group], table)
        same += int(information[costs.argmin()] >= information.max() * (1 - 1e-9))
        correlations.append(_spearman(costs, information))
    return PatternRelation(groups, same / groups, float(np.nanmean(correlations)))


def joint(
    weight: Float[np.ndarray, "out in"],
    pruned: Float[np.ndarray, "out in"],
    gram: Float[np.ndarray, "in in"],
    noise: float,
) -> float:
    """``I(y + n; z + n')`` of whole outputs in nats, with independent white noise of variance ``noise`` on either.

    ``1/2 (log det S_y + log det S_z - log det S)`` with the covariances of both noisy outputs, alone and together:
    the same as ``-1/2 sum log(1 - rho_k^2)`` over their canonical correlations. For small matrices; float64.

    Raises:
        ValueError: ``noise`` is not positive.
    """
    if noise <= 0:
        raise ValueError("without noise the information between whole outputs has no finite value in general")
    both = np.concatenate([weight, pruned]).astype(np.float64)
    together = both @ gram.astype(np.float64) @ both.T + noise * np.eye(len(both))
    split = len(weight)
    parts = together[:split, :split], together[split:, split:], together
    one, other, all_of_it = (float(np.linalg.slogdet(part)[1]) for part in parts)
    return 0.5 * (one + other - all_of_it)


def _blocks(run: Run, module: str, as_of: int | None) -> Float[np.ndarray, "groups group group"]:
    mask = run.packed_mask(module, as_of=as_of)
    measured = input_of(run, module, as_of)
    blocks = None
    if measured is not None:
        blocks = group_blocks_of(measured.arrays(run), mask.pattern.group, mask.in_features)
    if blocks is None:
        raise UserError(
            f"{run.directory.root} did not record the blocks of H that {module} needs: record with full evidence."
        )
    return blocks


def _spearman(one: np.ndarray, other: np.ndarray) -> float:
    ranks = [pd.Series(values).rank().to_numpy(np.float64) for values in (one, other)]
    if any(np.ptp(rank) == 0 for rank in ranks):
        return float("nan")
    return float(np.corrcoef(ranks[0], ranks[1])[0, 1])
