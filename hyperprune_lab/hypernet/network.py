"""The hypernetwork: one small MLP, shared by every group of every layer, conditioned on two trainable embeddings.

Knows nothing about where its inputs come from or how its logits are read.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hyperprune_lab.errors import UserError


@dataclass(frozen=True)
class NetworkShape:
    """Everything that fixes the network's parameters' shapes.

    ``depth`` counts linear maps (4 in HyperPrune); embeddings of width ``embedding`` are present or not.
    """

    features: int
    outputs: int
    blocks: int
    components: tuple[str, ...]
    hidden: int = 256
    depth: int = 4
    embedding: int = 64
    layer_embedding: bool = True
    component_embedding: bool = True

    def to_json(self) -> dict[str, Any]:
        """Plain values, as stored beside the parameters."""
        return asdict(self) | {"components": list(self.components)}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> NetworkShape:
        """The inverse of :meth:`to_json`; unknown and missing keys are refused with a ``UserError``."""
        expected = set(cls.__dataclass_fields__)
        for what, names in (("unknown", set(values) - expected), ("missing", expected - set(values))):
            if names:
                raise UserError(f"the stored hypernetwork has {what} settings: {', '.join(sorted(names))}")
        return cls(**(values | {"components": tuple(values["components"])}))


class HyperNetwork(nn.Module):
    """Logits for groups of weights, given their features, their layer and their component.

    The embeddings enter the first map as a bias, computed once per linear: concatenating them to every group's
    features would give the same function at many times the cost. The last map starts at zero, so that an untrained
    network adds nothing to the prior.
    """

    def __init__(self, shape: NetworkShape, generator: torch.Generator | None = None) -> None:
        super().__init__()
        self.shape = shape
        widths = [shape.features] + [shape.hidden] * (shape.depth - 1) + [shape.outputs]
        self.maps = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        self.layer_embedding = nn.Parameter(torch.zeros(shape.blocks, shape.embedding))
        self.component_embedding = nn.Parameter(torch.zeros(len(shape.components), shape.embedding))
        self.context = nn.Linear(2 * shape.embedding, shape.hidden, bias=False)
        self._initialize(generator)

    def _initialize(self, generator: torch.Generator | None) -> None:
        for linear in (*self._linears(), self.context):
            bound = (3.0 / linear.in_features) ** 0.5
            nn.init.uniform_(linear.weight, -bound, bound, generator=generator)
            if linear.bias is not None:
                nn.init.zeros_(linear.bias)
        nn.init.zeros_(self._linears()[-1].weight)
        if self.shape.layer_embedding:
            nn.init.normal_(self.layer_embedding, std=0.1, generator=generator)
        if self.shape.component_embedding:
            nn.init.normal_(self.component_embedding, std=0.1, generator=generator)
        self.layer_embedding.requires_grad_(self.shape.layer_embedding)
        self.component_embedding.requires_grad_(self.shape.component_embedding)

    def forward(
        self,
        features: Float[Tensor, "... features"],
        block: int | Int[Tensor, "..."],
        component: int | Int[Tensor, "..."],
    ) -> Float[Tensor, "... outputs"]:
        """Logits of each group of one linear (integers) or of a mixed batch (an index per group)."""
        embeddings = torch.cat([self.layer_embedding[block], self.component_embedding[component]], -1)
        context = self.context(embeddings)
        first, *others = self._linears()
        hidden = nn.functional.linear(features, first.weight, first.bias + context)
        for linear in others:
            hidden = linear(nn.functional.silu(hidden))
        return hidden

    @property
    def flops_per_group(self) -> int:
        """Floating-point operations of one forward pass for one group (a multiply-add counts two)."""
        return sum(2 * linear.in_features * linear.out_features for linear in self._linears())

    def _linears(self) -> list[nn.Linear]:
        return [module for module in self.maps if isinstance(module, nn.Linear)]
