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
from hyperprune_lab.calibration.statistics import InputStatistics, full_precision, group_blocks
from hyperprune_lab.methods.base import Decision, LinearByLinear, LinearProblem
from hyperprune_lab.methods.scaled import ScaledGram
from hyperprune_lab.methods.wanda import wanda_mask, wanda_scores
from hyperprune_lab.patterns import NMPattern

BLOCK_COLUMNS = 128
"""Columns decided before the coupling of all the others is brought up to date in one matrix product."""

INDIFFERENCE = 1e-6
"""A change has to gain this share of the group's own cost: less is rounding, on which a sweep could cycle."""

SWEEPS = 6
"""What later ones still gain is under a thousandth of the loss."""

Step = Callable[[int, Tensor], Tensor]
"""``(place, coupling[group, rows]) -> gone[group, rows]`` for one group of a block: 1.0 where it removes now."""

Steps = Callable[[Tensor, Tensor, Tensor], Step]
"""``(gram, weight, gone)`` of a block of columns to its step, for one sweep; columns are rows in there."""


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
    group = pattern.group
    first, second, pairs = _removed_pairs(pattern, weight)
    blocks = group_blocks(gram, group)
    grouped = weight.unflatten(-1, (-1, group))
    return (grouped[..., first] * grouped[..., second] * blocks[:, first, second]) @ pairs.T


def coordinate_descent(
    weight: Float[Tensor, "out in"],
    gram: Float[Tensor, "in in"],
    mask: Bool[Tensor, "out in"],
    pattern: NMPattern,
    sweeps: int = SWEEPS,
) -> Bool[Tensor, "out in"]:
    """Sweep over the groups from left to right until no row changes, or ``sweeps`` times.

    All rows are decided at once, and a row that a sweep leaves alone is finished. The loss of every row falls
    or stays. Exact, so there is nothing to damp: a singular H is fine.
    """
    scaled = ScaledGram.of(gram)
    h = scaled.matrix
    # Columns are rows in here, so that a group is a contiguous slice: all tensors are [in, rows].
    w = scaled.enter(weight.float()).T.contiguous()
    result = (~mask).T.to(w)
    gone = result.clone()
    rows = torch.arange(len(weight), device=weight.device)
    steps = _best_patterns(pattern, w) if pattern.enumerable else _best_swaps(pattern.group)
    width = max(pattern.group, BLOCK_COLUMNS // pattern.group * pattern.group)
    with full_precision():
        c = h @ (w * gone)
        for _ in range(sweeps):
            changed = torch.zeros(len(rows), dtype=torch.bool, device=w.device)
            for start in range(0, len(w), width):
                block = slice(start, start + width)
                before = gone[block].clone()
                step = steps(h[block, block], w[block], before)
                _sweep_block(h[block, block], w[block], c[block].clone(), gone[block], pattern.group, step)
                turned = gone[block] - before
                changed |= turned.any(0)
                c.addmm_(h[:, block], w[block] * turned)
            result[:, rows] = gone
            if not changed.any():
                break
            rows, w, gone, c = rows[changed], w[:, changed], gone[:, changed], c[:, changed]
    return (result == 0).T.contiguous()


def _sweep_block(h: Tensor, w: Tensor, c: Tensor, gone: Tensor, group: int, step: Step) -> None:
    """Decide the groups of one block of columns in turn; ``gone`` is changed in place, ``c`` is scratch."""
    for place, start in enumerate(range(0, len(w), group)):
        here = slice(start, start + group)
        new = step(place, c[here])
        # Only groups further right are still to read the coupling.
        right = slice(start + group, len(w))
        c[right].addmm_(h[right, here], w[here] * (new - gone[here]))
        gone[here] = new


def _best_patterns(pattern: NMPattern, like: Tensor) -> Steps:
    """Steps that try all patterns of a group."""
    removed = _removed(pattern, like)
    by_position = removed.T.contiguous()
    first, second, pairs = _removed_pairs(pattern, like)

    def steps(h: Tensor, w: Tensor, gone: Tensor) -> Step:
        blocks = group_blocks(h, pattern.group)
        by_group = w.unflatten(0, (-1, pattern.group))
        lost = by_group * gone.unflatten(0, (-1, pattern.group))
        own_pull = torch.bmm(blocks, lost)
        # What a pattern loses by itself is the same whatever the other groups do.
        own = torch.bmm(blocks[:, None, first, second] * pairs, by_group[:, first] * by_group[:, second])
        chosen = pattern.ids((gone == 0).T).T.long().contiguous()

        def step(place: int, c: Tensor) -> Tensor:
            costs = torch.addmm(own[place], removed, by_group[place] * (c - own_pull[place]), alpha=2)
            now = costs.gather(0, chosen[place : place + 1])[0]
            best, choice = costs.min(0)
            better = best < now.sub_(costs.amax(0).sub_(best), alpha=INDIFFERENCE)
            return by_position.index_select(1, torch.where(better, choice, chosen[place]))

        return step

    return steps


def _best_swaps(group: int) -> Steps:
    """Steps that exchange one kept against one removed weight while that helps."""

    def steps(h: Tensor, w: Tensor, gone: Tensor) -> Step:
        def step(place: int, c: Tensor) -> Tensor:
            here = slice(place * group, (place + 1) * group)
            return _swapped(w[here], c, gone[here], h[here, here])

        return step

    return steps


def _swapped(w: Tensor, c: Tensor, gone: Tensor, h: Tensor) -> Tensor:
    """What a group removes once no exchange helps any more."""
    group = len(w)
    c, kept = c.clone(), gone == 0
    own = w.square() * h.diagonal()[:, None]
    joint = -2 * h[:, :, None] * w[:, None] * w[None]
    rows = torch.arange(w.shape[1], device=w.device)
    for _ in range(group):
        restore = torch.where(kept, torch.inf, own - 2 * w * c)
        remove = torch.where(kept, own + 2 * w * c, torch.inf)
        change, pair = (joint + restore[:, None] + remove[None]).flatten(0, 1).min(0)
        restored, dropped = pair // group, pair % group
        better = change < -INDIFFERENCE * (own[restored, rows] + own[dropped, rows])
        if not better.any():
            break
        kept[restored, rows] |= better
        kept[dropped, rows] &= ~better
        c += better * (h[:, dropped] * w[dropped, rows] - h[:, restored] * w[restored, rows])
    return (~kept).to(gone)


def _removed(pattern: NMPattern, like: Tensor) -> Float[Tensor, "patterns group"]:
    """1.0 where a pattern removes a weight."""
    return torch.from_numpy(~pattern.table()).to(like)


def _removed_pairs(pattern: NMPattern, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """All pairs of positions ``first <= second`` of a group, and ``[patterns, pairs]``: how often the product
    of the two counts in a quadratic form over what a pattern removes (twice where they differ)."""
    removed = _removed(pattern, like)
    first, second = torch.triu_indices(pattern.group, pattern.group, device=like.device)
    return first, second, removed[:, first] * removed[:, second] * (2 - (first == second).to(like))


def descent_from_wanda(
    weight: Float[Tensor, "out in"], statistics: InputStatistics, pattern: NMPattern, sweeps: int = SWEEPS
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
        start = wanda_mask(problem)
        mask = descent_from_wanda(problem.weight, problem.statistics, pattern)
        moved = (pattern.ids(mask) != pattern.ids(start)).float().mean().item()
        before = relative_error(problem.weight, problem.weight * start, gram)
        return Decision(mask, scalars={"changed_from_wanda": moved, "error_rel_wanda": before})
