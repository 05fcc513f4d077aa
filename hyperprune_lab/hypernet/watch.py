"""What is watched while the network is trained: a few pinned groups, and how decided all the others are.

Knows nothing about losses. It draws no random numbers and leaves no gradient: a run decides the same with and without.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from hyperprune_lab.hypernet.chooser import Chooser
from hyperprune_lab.hypernet.features import LinearContext, group_features

GROUPS = 6
LOOKS = 64
_COUNTED = 1 << 16


class PinnedGroups:
    """A fixed sample of groups of each linear of a block, spread evenly over its rows and over its columns.

    :meth:`look` notes their probabilities at a step, at most ``LOOKS`` times over the block's steps.
    """

    def __init__(self, chooser: Chooser, linears: Sequence[LinearContext], steps: int) -> None:
        self.chooser = chooser
        self._steps = sorted({round(step) for step in torch.linspace(0, max(0, steps - 1), LOOKS).tolist()})
        self._linears = [_Pinned(chooser, linear) for linear in linears if chooser.decided_rows(linear)]
        self._seen: list[int] = []

    def look(self, step: int, temperature: float) -> None:
        """Note the probabilities at the temperature of this step, if it is one of those to be noted."""
        if step in self._steps:
            self._seen.append(step)
            for pinned in self._linears:
                pinned.look(self.chooser, temperature)

    def arrays(self, name: str) -> dict[str, Tensor]:
        """Of one linear: ``pinned_groups[groups, 2]`` (row, group), ``pinned_steps[looks]`` and
        ``pinned_probabilities[looks, groups, outputs]`` (fp16): of patterns, or, where a group has over 128 of them,
        of keeping each position. Empty before the first look.
        """
        for pinned in self._linears:
            if pinned.linear.name == name and pinned.seen:
                return {
                    "pinned_groups": torch.stack([pinned.rows, pinned.groups], 1).to(torch.int32),
                    "pinned_steps": torch.tensor(self._seen, dtype=torch.int32),
                    "pinned_probabilities": torch.stack(pinned.seen),
                }
        return {}


class _Pinned:
    """The pinned groups of one linear, with what the network is asked about them."""

    def __init__(self, chooser: Chooser, linear: LinearContext) -> None:
        self.linear = linear
        decided = chooser.decided_rows(linear)
        count = min(GROUPS, decided * linear.groups)
        place = torch.arange(count, dtype=torch.float64) + 0.5
        self.rows = (place * decided / count).long()
        # Every other one first, so that the groups do not lie on the diagonal of the matrix.
        mixed = torch.cat([torch.arange(0, count, 2), torch.arange(1, count, 2)])
        self.groups = (place[mixed] * linear.groups / count).long()
        self.seen: list[Float[Tensor, "groups outputs"]] = []
        rows, groups = self.rows.to(linear.weight.device), self.groups.to(linear.weight.device)
        picked = torch.arange(count, device=rows.device)
        with torch.no_grad():
            self._features = group_features(chooser.settings.features, linear, rows)[picked, groups]
            self._prior = chooser.prior(linear, rows)[picked, groups]

    @torch.no_grad()
    def look(self, chooser: Chooser, temperature: float) -> None:
        linear = self.linear
        component = chooser.components.index(linear.component)
        logits = self._prior + chooser.network(linear)(self._features, linear.block, component)
        choice = chooser.head(linear).choose(logits, temperature)
        shown = choice.keep if choice.probabilities is None else choice.probabilities
        self.seen.append(shown.to("cpu", torch.float16))


def entropy_band(shares: Sequence[Tensor]) -> dict[str, float]:
    """Tenth percentile, median and ninetieth of entropies ``shares``, over at most 65536 of them evenly drawn."""
    flat = [part.detach().flatten() for part in shares]
    stride = max(1, sum(len(part) for part in flat) // _COUNTED)
    together = torch.cat([part[::stride] for part in flat]).float()
    low, median, high = together.quantile(together.new_tensor([0.1, 0.5, 0.9])).tolist()
    return {"entropy_p10": low, "entropy_median": median, "entropy_p90": high}
