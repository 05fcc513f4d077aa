"""Coordinate descent on masks: each group in turn takes its best pattern, given what the others removed.

Knows nothing about where the starting mask comes from, and changes no weight.

For one row the loss of a mask is ``r H r^T`` with ``r = w (1 - mask)`` the removed weights. With the coupling
``c = r H``, a group J that removes ``q`` instead of ``r_J`` costs ``q H_JJ q^T + 2 q (c_J - r_J H_JJ)`` up to
a constant: exact, cheap to enumerate, and never worse than before. Where a group has too many patterns to
list, single swaps within the group are tried instead until none helps (the exact change of a swap as in
SparseSwaps, arXiv 2512.10922).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hyperprune_lab.calibration.error import relative_error, row_errors
from hyperprune_lab.calibration.statistics import InputStatistics, full_precision
from hyperprune_lab.methods.base import Decision, LinearByLinear, LinearProblem
from hyperprune_lab.methods.scaled import ScaledGram
from hyperprune_lab.methods.wanda import wanda_scores
from hyperprune_lab.patterns import NMPattern

BLOCK_COLUMNS = 128
"""Columns decided before the coupling of all the others is brought up to date in one matrix product."""

INDIFFERENCE = 1e-6
"""A change has to gain this share of the group's own cost: less is rounding, on which a sweep could cycle."""

Step = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
"""``(weight, coupling, kept, gram) -> kept`` for one group; all ``[group, rows]``; gram is square."""


def coupling(
    weight: Float[Tensor, "out in"], gram: Float[Tensor, "in in"], mask: Bool[Tensor, "out in"]
) -> Float[Tensor, "out in"]:
    """``(W - W * mask) H``: the correlation of the lost output with each input channel."""
    with full_precision():
        return (weight * ~mask) @ gram


def group_costs(
    weight: Float[Tensor, "out in"], gram: Float[Tensor, "in in"], pattern: NMPattern
) -> Float[Tensor, "out groups patterns"]:
    """What each pattern of a group would lose if nothing else of the row were removed: ``q H_JJ q^T``.

    Patterns in the order of ``pattern.table()``; in units of the layer's squared output.
    """
    groups = weight.shape[1] // pattern.group
    blocks = _diagonal_blocks(gram, pattern.group)
    # grouped[groups, group, out]
    grouped = weight.T.reshape(groups, pattern.group, -1)
    return _local_costs(grouped, blocks, _removed(pattern, weight)).permute(2, 0, 1)


def coordinate_descent(
    weight: Float[Tensor, "out in"],
    gram: Float[Tensor, "in in"],
    mask: Bool[Tensor, "out in"],
    pattern: NMPattern,
    sweeps: int = 20,
) -> Bool[Tensor, "out in"]:
    """Sweep over the groups from left to right until no row changes, or ``sweeps`` times.

    All rows are decided at once, and a row that a sweep leaves alone is finished. The loss of every row falls
    or stays. Exact, so there is nothing to damp: a singular H is fine.
    """
    scaled = ScaledGram.of(gram)
    h = scaled.matrix
    # Columns are rows in here, so that a group is a contiguous slice: all tensors are [in, rows].
    w = scaled.enter(weight.float()).T.contiguous()
    result = mask.T.clone()
    kept = result.clone()
    rows = torch.arange(len(weight), device=weight.device)
    step = _best_pattern(pattern, w) if pattern.enumerable else _best_swaps
    width = max(pattern.group, BLOCK_COLUMNS // pattern.group * pattern.group)
    with full_precision():
        c = h @ (w * ~kept)
        for _ in range(sweeps):
            changed = torch.zeros(len(rows), dtype=torch.bool, device=w.device)
            for start in range(0, len(w), width):
                block = slice(start, start + width)
                before = kept[block].clone()
                _sweep_block(h[block, block], w[block], c[block].clone(), kept[block], pattern.group, step)
                turned = kept[block] != before
                changed |= turned.any(0)
                # A weight that is no longer kept joins the removed ones, and the other way round.
                c.addmm_(h[:, block], w[block] * (before.to(w) - kept[block].to(w)))
            result[:, rows] = kept
            if not changed.any():
                break
            rows, w, kept, c = rows[changed], w[:, changed], kept[:, changed], c[:, changed]
    return result.T.contiguous()


def _sweep_block(h: Tensor, w: Tensor, c: Tensor, kept: Tensor, group: int, step: Step) -> None:
    """Decide the groups of one block of columns in turn; ``kept`` is changed in place, ``c`` is scratch."""
    for start in range(0, len(w), group):
        here = slice(start, start + group)
        new = step(w[here], c[here], kept[here], h[here, here])
        # Only groups further right are still to read the coupling.
        right = slice(start + group, len(w))
        c[right].addmm_(h[right, here], w[here] * (kept[here].to(w) - new.to(w)))
        kept[here] = new


def _best_pattern(pattern: NMPattern, like: Tensor) -> Step:
    """The step that tries all patterns of a group."""
    table = torch.from_numpy(pattern.table().copy()).to(like.device)
    removed = (~table).to(like)

    def step(w: Tensor, c: Tensor, kept: Tensor, h: Tensor) -> Tensor:
        r = w * ~kept
        alone = h @ r
        others = c - alone
        now = (r * (alone + 2 * others)).sum(0)
        costs = _local_costs(w[None], h[None], removed)[0].addmm_(removed, w * others, alpha=2)
        best, choice = costs.min(0)
        better = best < now - INDIFFERENCE * costs.abs().amax(0)
        return torch.where(better, table[choice].T, kept)

    return step


def _best_swaps(w: Tensor, c: Tensor, kept: Tensor, h: Tensor) -> Tensor:
    """The step that exchanges one kept against one removed weight while that helps."""
    group = len(w)
    c, kept = c.clone(), kept.clone()
    own = w.square() * h.diagonal()[:, None]
    joint = -2 * h[:, :, None] * w[:, None] * w[None]
    never = torch.tensor(float("inf"), dtype=w.dtype, device=w.device)
    rows = torch.arange(w.shape[1], device=w.device)
    for _ in range(group):
        restore = torch.where(kept, never, own - 2 * w * c)
        remove = torch.where(kept, own + 2 * w * c, never)
        change, pair = (joint + restore[:, None] + remove[None]).flatten(0, 1).min(0)
        restored, dropped = pair // group, pair % group
        better = change < -INDIFFERENCE * (own[restored, rows] + own[dropped, rows])
        if not better.any():
            break
        kept[restored, rows] |= better
        kept[dropped, rows] &= ~better
        c += better * (h[:, dropped] * w[dropped, rows] - h[:, restored] * w[restored, rows])
    return kept


def _local_costs(
    w: Float[Tensor, "groups group rows"],
    h: Float[Tensor, "groups group group"],
    removed: Float[Tensor, "patterns group"],
) -> Float[Tensor, "groups patterns rows"]:
    """``q H_JJ q^T`` of every pattern: pairs of weights that both go, times their entry of H."""
    first, second = torch.triu_indices(w.shape[1], w.shape[1], device=w.device)
    twice = torch.where(first == second, 1.0, 2.0).to(w)
    pairs = w[:, first] * w[:, second] * (h[:, first, second] * twice)[..., None]
    return (removed[:, first] * removed[:, second]) @ pairs


def _removed(pattern: NMPattern, like: Tensor) -> Float[Tensor, "patterns group"]:
    return torch.from_numpy(~pattern.table()).to(like)


def _diagonal_blocks(gram: Float[Tensor, "in in"], group: int) -> Float[Tensor, "groups group group"]:
    groups = len(gram) // group
    index = torch.arange(groups, device=gram.device)
    return gram.reshape(groups, group, groups, group)[index, :, index]


def descent_from_wanda(
    weight: Float[Tensor, "out in"], statistics: InputStatistics, pattern: NMPattern, sweeps: int = 20
) -> Bool[Tensor, "out in"]:
    """Coordinate descent from Wanda's mask that no row leaves worse than it would be with half the pattern.

    A 2:4 mask is a 4:8 mask, but descent from a 4:8 start may still end above it: such rows start again from
    there. So a coarser pattern of the same density never costs more, down to groups of four.
    """
    gram = statistics.gram
    start = pattern.project(wanda_scores(weight, statistics))
    mask = coordinate_descent(weight, gram, start, pattern, sweeps)
    if pattern.keep % 2 or pattern.group % 2 or pattern.group < 8:
        return mask
    finer = descent_from_wanda(weight, statistics, NMPattern(pattern.keep // 2, pattern.group // 2), sweeps)
    loss, finer_loss = (row_errors(weight, weight * each, gram) for each in (mask, finer))
    worse = loss > finer_loss
    if worse.any():
        mask[worse] = coordinate_descent(weight[worse], gram, finer[worse], pattern, sweeps)
    return mask


class CoordinateDescent(LinearByLinear):
    """Wanda's mask, improved group by group on the full quadratic loss of each row."""

    name: ClassVar[str] = "descent"
    summary: ClassVar[str] = "from Wanda, each group in turn reacts to what the rest of its row removed"
    reference: ClassVar[str] = "this project; swaps after SparseSwaps, arXiv 2512.10922"
    cost: ClassVar[str] = "seconds"

    def decide_linear(self, problem: LinearProblem) -> Decision:
        gram, pattern = problem.statistics.gram, problem.pattern
        start = pattern.project(wanda_scores(problem.weight, problem.statistics))
        mask = descent_from_wanda(problem.weight, problem.statistics, pattern)
        moved = (pattern.ids(mask) != pattern.ids(start)).float().mean().item()
        before = relative_error(problem.weight, problem.weight * start, gram)
        return Decision(mask, scalars={"changed_from_wanda": moved, "error_rel_wanda": before})
