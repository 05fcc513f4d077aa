"""What the hypernetwork sees of each group of weights.

Three kinds: ``weights`` (the paper's input), ``diagonal`` (the released recipe's: weights and the diagonal of H) and
``context`` (ours: scale-free scores, the group's block of H, what the other groups removed, loss gradients).
Knows nothing about networks; the same linear and prior always give the same features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hyperprune_lab.calibration.statistics import group_blocks
from hyperprune_lab.errors import UserError
from hyperprune_lab.patterns import NMPattern

KINDS = ("weights", "diagonal", "context")
_TINY = 1e-12
_CLAMP = 6.0


@dataclass(frozen=True)
class LinearContext:
    """One linear as the hypernetwork meets it: weights, statistics, prior; tensors on one device, fp32.

    ``coupling`` is (W - W * prior) H, ``energies[r, g, p]`` the row objective of pattern p with every other group left
    at the prior (up to a constant; None where patterns are not enumerable), ``inverse_diagonal`` the diagonal of the
    damped inverse of the unit-diagonal H. ``effect`` is the gradient of a whole-model loss by each mask entry at the
    prior (weight times its gradient) and ``effect_square`` its mean square over batches, or None before such a stage.
    """

    name: str
    component: str
    block: int
    pattern: NMPattern
    weight: Float[Tensor, "out in"]
    gram: Float[Tensor, "in in"]
    prior: Bool[Tensor, "out in"]
    coupling: Float[Tensor, "out in"]
    inverse_diagonal: Float[Tensor, " in"]
    energies: Float[Tensor, "out groups patterns"] | None
    effect: Float[Tensor, "out in"] | None = None
    effect_square: Float[Tensor, "out in"] | None = None

    @property
    def second_moment(self) -> Float[Tensor, " in"]:
        """E[x_j^2] of each input channel: the diagonal of H."""
        return self.gram.diagonal()

    @property
    def groups(self) -> int:
        """Groups in a row."""
        return self.weight.shape[1] // self.pattern.group


def feature_count(kind: str, pattern: NMPattern) -> int:
    """Length of the feature vector of one group.

    Raises ``UserError`` for a kind that does not exist.
    """
    if kind not in KINDS:
        raise UserError(f"unknown features {kind!r}: choose one of {', '.join(KINDS)}")
    m = pattern.group
    if kind == "weights":
        return m
    if kind == "diagonal":
        return 2 * m
    pairs = m * (m - 1) // 2
    patterns = pattern.count if pattern.enumerable else 0
    return 7 * m + pairs + patterns + 2


def group_features(
    kind: str, linear: LinearContext, rows: Tensor | slice = slice(None)
) -> Float[Tensor, "rows groups features"]:
    """Features of every group of ``rows``, bounded to [-6, 6]."""
    m = linear.pattern.group
    weight = linear.weight[rows]
    if kind in ("weights", "diagonal"):
        row_rms = weight.square().mean(-1, keepdim=True).sqrt().clamp_min(_TINY)
        parts = [(weight / row_rms).unflatten(-1, (-1, m))]
        if kind == "diagonal":
            moment = linear.second_moment.clamp_min(_TINY)
            level = (moment / moment.mean()).log().reshape(1, -1, m)
            parts.append(level.expand(weight.shape[0], -1, -1))
        return torch.cat(parts, -1).clamp(-_CLAMP, _CLAMP)
    return torch.cat(_context_parts(linear, weight, rows), -1).clamp(-_CLAMP, _CLAMP)


def _context_parts(linear: LinearContext, weight: Tensor, rows: Tensor | slice) -> list[Tensor]:
    """The scale-free parts: multiplying a channel by s and dividing its column by s changes none of them."""
    m = linear.pattern.group
    rms = linear.second_moment.sqrt()
    safe_rms = rms.clamp_min(_TINY)
    signed = (weight * rms).unflatten(-1, (-1, m))
    level = signed.square().mean(-1, keepdim=True).sqrt().clamp_min(_TINY)
    row_level = level.square().mean(-2, keepdim=True).sqrt().clamp_min(_TINY)
    relative = signed / level

    obs = relative.abs() / linear.inverse_diagonal.clamp_min(_TINY).sqrt().reshape(-1, m)
    outside = outside_coupling(weight, linear.gram, linear.prior[rows], linear.coupling[rows], m)
    pull = relative * (outside / safe_rms.reshape(-1, m)) / level

    correlation = group_blocks(linear.gram, m) / (safe_rms.reshape(-1, m, 1) * safe_rms.reshape(-1, 1, m))
    upper = torch.triu_indices(m, m, offset=1, device=weight.device)
    pairs = correlation[:, upper[0], upper[1]].unsqueeze(0).expand(weight.shape[0], -1, -1)

    parts = [
        relative,
        (relative.abs() + 1e-3).log(),
        (obs + 1e-3).log(),
        torch.asinh(pull),
        linear.prior[rows].unflatten(-1, (-1, m)).float() - 0.5,
        pairs,
        (level / row_level).log(),
        (row_level / _matrix_level(linear)).log().expand_as(level),
    ]
    if linear.energies is not None:
        parts.append(standard_energies(linear.energies[rows]))
    parts.extend(_effect_parts(linear, weight, rows))
    return parts


def outside_coupling(
    weight: Float[Tensor, "rows in"],
    gram: Float[Tensor, "in in"],
    mask: Bool[Tensor, "rows in"],
    coupling: Float[Tensor, "rows in"],
    group: int,
) -> Float[Tensor, "rows groups group"]:
    """The part of ``coupling`` = (W - W * mask) H that the *other* groups of the row put on each channel."""
    removed = (weight * ~mask).unflatten(-1, (-1, group))
    own = torch.einsum("rgi,gij->rgj", removed, group_blocks(gram, group))
    return coupling.unflatten(-1, (-1, group)) - own


def _matrix_level(linear: LinearContext) -> Tensor:
    return (
        (linear.weight.square() @ linear.second_moment)
        .mean()
        .div(linear.weight.shape[1])
        .sqrt()
        .clamp_min(_TINY)
    )


def _effect_parts(linear: LinearContext, weight: Tensor, rows: Tensor | slice) -> list[Tensor]:
    """First- and second-order effect of keeping each weight on the loss, against the matrix's typical effect.

    Zeros where no gradient was taken: the network then decides by the layer alone.
    """
    m = linear.pattern.group
    if linear.effect is None or linear.effect_square is None:
        return [torch.zeros_like(weight).unflatten(-1, (-1, m))] * 2
    first, second = linear.effect, linear.effect_square
    first_scale = first.abs().mean().clamp_min(1e-30)
    second_scale = second.mean().clamp_min(1e-30)
    return [
        torch.asinh(first[rows] / first_scale).unflatten(-1, (-1, m)),
        torch.asinh(second[rows] / second_scale).unflatten(-1, (-1, m)),
    ]


def standard_energies(energies: Float[Tensor, "... patterns"]) -> Float[Tensor, "... patterns"]:
    """Energies above the group's least, in units of the group's mean: 0 is best, 1 is typical."""
    above = energies - energies.amin(-1, keepdim=True)
    return above / above.mean(-1, keepdim=True).clamp_min(1e-30)
