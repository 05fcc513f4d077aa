"""The prior: a one-shot mask as logits, so that a network that adds nothing reproduces it exactly.

Knows nothing about how the mask was chosen.
"""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor

from hyperprune_lab.hypernet.features import standard_energies
from hyperprune_lab.hypernet.relaxation import PatternHead

_MARGIN = 0.1


def pattern_energies(
    weight: Float[Tensor, "out in"],
    costs: Float[Tensor, "out groups patterns"],
    outside: Float[Tensor, "out groups group"],
    table: Float[Tensor, "patterns group"],
) -> Float[Tensor, "out groups patterns"]:
    """Row objective of each pattern of each group while the other groups stay, up to a constant per group.

    With d_p the weights that pattern p removes, ``costs`` d_p^T H_gg d_p and ``outside`` the coupling c from the
    other groups (see :func:`hyperprune_lab.hypernet.features.outside_coupling`), it is d_p^T H_gg d_p + 2 d_p^T c.
    """
    pull = weight.unflatten(-1, (-1, table.shape[1])) * outside
    return costs + 2.0 * pull @ (1.0 - table).T


def prior_logits(
    head: PatternHead,
    prior: Bool[Tensor, "rows in"],
    energies: Float[Tensor, "rows groups patterns"] | None,
    strength: float,
) -> Float[Tensor, "rows groups outputs"]:
    """Logits whose argmax is the prior's pattern in every group, ordered by energy among the others.

    Every other pattern lies at least ``0.1 * strength`` below. Without energies (patterns not enumerable) kept and
    pruned positions lie half the strength apart: each changed position has to cross that gap, and many change at once.
    """
    group = head.pattern.group
    if energies is None:
        return 0.5 * strength * (prior.float() - 0.5).unflatten(-1, (-1, group))
    ids = head.pattern.ids(prior).long().unsqueeze(-1)
    standard = standard_energies(energies)
    above = (standard - standard.gather(-1, ids)).clamp_min(_MARGIN)
    return -strength * above.scatter(-1, ids, 0.0)
