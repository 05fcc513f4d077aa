"""The model under the knife: its blocks, its prunable linears, its dense weights, and ways to put masks on and off.

Knows nothing about methods or stages.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from hyperprune_lab.models.blocks import Blocks, find_blocks
from hyperprune_lab.models.coverage import Coverage, coverage
from hyperprune_lab.models.linears import PrunableLinear, prunable
from hyperprune_lab.models.open import OpenModel
from hyperprune_lab.patterns import NMPattern


def derived_seed(seed: int, *names: object) -> int:
    """A seed for one purpose, so that no draw depends on how many draws came before it."""
    text = "/".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")


@dataclass(frozen=True, eq=False)
class Subject:
    """An opened model as the pipeline sees it.

    ``linears[b]`` are the linears of block ``b`` that are to be pruned; ``dense`` holds a copy of every parameter of
    every block, by full name, as the checkpoint has it.
    """

    opened: OpenModel
    blocks: Blocks
    coverage: Coverage
    linears: tuple[tuple[PrunableLinear, ...], ...]
    dense: dict[str, Tensor]

    @classmethod
    def of(
        cls, opened: OpenModel, pattern: NMPattern, overrides: tuple[tuple[str, str], ...] = ()
    ) -> Subject:
        """Find the blocks and what is to be pruned; raises ``UserError`` where the pattern does not fit."""
        blocks = find_blocks(opened.model)
        covered = coverage(opened.model, pattern, overrides)
        chosen = covered.patterns
        linears = tuple(
            tuple(linear for linear in prunable(block, blocks.prefix(index)) if linear.name in chosen)
            for index, block in enumerate(blocks)
        )
        dense = {
            f"{blocks.prefix(index)}.{name}": parameter.detach().clone()
            for index, block in enumerate(blocks)
            for name, parameter in block.named_parameters()
        }
        return cls(opened, blocks, covered, linears, dense)

    @property
    def model(self) -> nn.Module:
        """The model itself."""
        return self.opened.model

    @property
    def device(self) -> torch.device:
        """Where the first block lives."""
        return next(self.blocks[0].parameters()).device

    @cached_property
    def patterns(self) -> dict[str, NMPattern]:
        """The pattern of every linear that is pruned."""
        return self.coverage.patterns

    @cached_property
    def by_name(self) -> dict[str, PrunableLinear]:
        """Every linear that is pruned, in depth order."""
        return {linear.name: linear for block in self.linears for linear in block}

    def dense_weight(self, linear: PrunableLinear) -> Float[Tensor, "out in"]:
        """The original weight in fp32, rows are outputs."""
        weight = self.dense[f"{linear.name}.weight"]
        return (weight.T if linear.transposed else weight).float()

    @torch.no_grad()
    def apply_masks(self, masks: Mapping[str, Tensor]) -> None:
        """Set linears to their original weights times ``masks[name]`` (boolean or soft)."""
        for name, mask in masks.items():
            linear = self.by_name[name]
            linear.set_weight(self.dense_weight(linear) * mask)

    @torch.no_grad()
    def apply_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Set parameters of blocks by full name, as stored (no transposition)."""
        parameters = dict(self.model.named_parameters())
        for name, value in weights.items():
            parameters[name].copy_(value)

    @torch.no_grad()
    def restore(self, block: int | None = None) -> None:
        """Put the dense weights back, in one block or in all."""
        chosen = range(len(self.blocks)) if block is None else (block,)
        for index in chosen:
            prefix = self.blocks.prefix(index)
            for name, parameter in self.blocks[index].named_parameters():
                parameter.copy_(self.dense[f"{prefix}.{name}"])

    @contextmanager
    def wearing(
        self,
        masks: Mapping[str, Bool[Tensor, "out in"]] | None = None,
        weights: Mapping[str, Tensor] | None = None,
    ) -> Iterator[None]:
        """Masks on original weights, or other weights, inside the ``with`` statement; dense afterwards."""
        try:
            if masks is not None:
                self.apply_masks(masks)
            if weights is not None:
                self.apply_weights(weights)
            yield
        finally:
            self.restore()
