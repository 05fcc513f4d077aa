"""The chooser: prior plus hypernetwork (plus, where admitted, free residual logits) as one source of masks.

Knows nothing about losses or training; it answers "which pattern?" for any rows of any linear.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from hyperprune_lab.hypernet.features import LinearContext, feature_count, group_features
from hyperprune_lab.hypernet.network import HyperNetwork, NetworkShape
from hyperprune_lab.hypernet.prior import prior_logits
from hyperprune_lab.hypernet.relaxation import PatternHead
from hyperprune_lab.patterns import NMPattern


@dataclass(frozen=True)
class ChooserSettings:
    """What fixes the chooser's function besides its parameters.

    ``features`` is one of :data:`hyperprune_lab.hypernet.features.KINDS`; ``prior_strength`` 0 turns the prior off;
    ``decided_rows`` limits the network to the first rows of each linear (None: all rows).
    """

    features: str = "context"
    hidden: int = 64
    depth: int = 3
    embedding: int = 16
    layer_embedding: bool = True
    component_embedding: bool = True
    prior_strength: float = 3.0
    decided_rows: int | None = None


class Chooser(nn.Module):
    """logits = prior + network, for every linear of the model; one network per distinct pattern of the run."""

    def __init__(
        self,
        settings: ChooserSettings,
        patterns: list[NMPattern],
        blocks: int,
        components: tuple[str, ...],
        *,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__()
        self.settings = settings
        self.blocks, self.components = blocks, components
        self.heads = {str(pattern): PatternHead(pattern, device) for pattern in sorted(patterns)}
        generator = torch.Generator().manual_seed(seed)
        self.networks = nn.ModuleDict(
            {
                name.replace(":", "of"): HyperNetwork(self._shape(head), generator)
                for name, head in self.heads.items()
            }
        ).to(device)
        self.residuals: dict[str, Float[Tensor, "out groups outputs"]] = {}

    def _shape(self, head: PatternHead) -> NetworkShape:
        chosen = self.settings
        return NetworkShape(
            features=feature_count(chosen.features, head.pattern),
            outputs=head.outputs,
            blocks=self.blocks,
            components=self.components,
            hidden=chosen.hidden,
            depth=chosen.depth,
            embedding=chosen.embedding,
            layer_embedding=chosen.layer_embedding,
            component_embedding=chosen.component_embedding,
        )

    def head(self, linear: LinearContext) -> PatternHead:
        """The reader of this linear's logits."""
        return self.heads[str(linear.pattern)]

    def network(self, linear: LinearContext) -> HyperNetwork:
        """The network for this linear's pattern."""
        return self.network_of(str(linear.pattern))

    def network_of(self, pattern: str) -> HyperNetwork:
        """The network that decides groups of ``pattern``."""
        network = self.networks[pattern.replace(":", "of")]
        assert isinstance(network, HyperNetwork)
        return network

    def decided_rows(self, linear: LinearContext) -> int:
        """How many of this linear's rows, counted from the first, are the network's to decide."""
        decided, rows = self.settings.decided_rows, linear.weight.shape[0]
        return rows if decided is None else min(decided, rows)

    def prior(
        self, linear: LinearContext, rows: Tensor | slice = slice(None)
    ) -> Float[Tensor, "rows groups outputs"]:
        """The prior's logits, or zeros where the prior is off."""
        energies = None if linear.energies is None else linear.energies[rows]
        strength = self.settings.prior_strength
        return prior_logits(self.head(linear), linear.prior[rows], energies, strength)

    def logits(
        self,
        linear: LinearContext,
        rows: Tensor | slice = slice(None),
        features: Tensor | None = None,
        prior: Tensor | None = None,
    ) -> Float[Tensor, "rows groups outputs"]:
        """Logits of every group of ``rows``; ``features`` and ``prior`` logits may be handed in where they are kept."""
        if features is None:
            features = group_features(self.settings.features, linear, rows)
        if prior is None:
            prior = self.prior(linear, rows)
        total = prior + self.network(linear)(features, linear.block, self.components.index(linear.component))
        residual = self.residuals.get(linear.name)
        return total if residual is None else total + residual[rows]

    @torch.no_grad()
    def hard_mask(self, linear: LinearContext, rows_at_once: int = 256) -> Bool[Tensor, "out in"]:
        """The chosen mask; rows beyond ``decided_rows`` keep the prior."""
        limit = self.decided_rows(linear)
        head = self.head(linear)
        mask = linear.prior.clone()
        for start in range(0, limit, rows_at_once):
            rows = slice(start, min(start + rows_at_once, limit))
            mask[rows] = head.hard_mask(self.logits(linear, rows))
        return mask

    def describe(self) -> dict[str, Any]:
        """Settings and shapes, as stored beside the parameters."""
        return {
            "settings": dict(self.settings.__dict__),
            "shapes": {name: self._shape(head).to_json() for name, head in self.heads.items()},
        }
