"""HyperPrune: the shared hypernetwork decides block after block, and remembers what it decided.

Sun and Sakuma, "Learning Semi-Structured Sparsity for LLMs via Shared and Context-Aware Hypernetwork" (ICLR 2026).
Knows nothing about models or records; the whole-model stage is offered apart, as a trainer.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from hyperprune_lab.calibration.error import relative_error
from hyperprune_lab.calibration.statistics import InputStatistics
from hyperprune_lab.hypernet.chooser import Chooser
from hyperprune_lab.hypernet.context import build_context, inverse_diagonal, prior_masks
from hyperprune_lab.hypernet.features import LinearContext
from hyperprune_lab.hypernet.memory import GroupCache, Reservoir
from hyperprune_lab.hypernet.optimizer import load_adam, save_adam
from hyperprune_lab.hypernet.settings import HyperPruneSettings
from hyperprune_lab.hypernet.trainer import BlockTrainer
from hyperprune_lab.methods.base import BlockProblem, Decision, Kind, LinearProblem, Telemetry
from hyperprune_lab.methods.wanda import wanda_mask
from hyperprune_lab.patterns import NMPattern


@dataclass(frozen=True)
class Roster:
    """What the network must know of the model before it meets the first block."""

    blocks: int
    components: tuple[str, ...]
    patterns: tuple[NMPattern, ...]
    device: torch.device


class HyperPrune:
    """The method with its network, teacher cache and reservoir; one instance serves one run.

    ``contexts`` are those of all linears met so far: everything that the network sees of the model. With
    ``keep_contexts`` off they are let go block by block, which saves several times the size of the weights.
    """

    name: ClassVar[str] = "hyperprune"
    summary: ClassVar[str] = (
        "one shared network picks every group's pattern, layer after layer, then by the model's KL"
    )
    reference: ClassVar[str] = "after Sun and Sakuma 2026 (ICLR)"
    kind: ClassVar[Kind] = "layer-wise"
    cost: ClassVar[str] = "minutes"
    updates_weights: ClassVar[bool] = False

    def __init__(
        self, settings: HyperPruneSettings, roster: Roster, seed: int, keep_contexts: bool = True
    ) -> None:
        self.settings = settings
        self.keep_contexts = keep_contexts
        self.chooser = Chooser(
            settings.chooser,
            list(roster.patterns),
            roster.blocks,
            roster.components,
            seed=seed,
            device=roster.device,
        )
        self.trainer = BlockTrainer(self.chooser, settings.training)
        self.caches = {str(pattern): GroupCache(settings.cache_groups) for pattern in roster.patterns}
        self.reservoir = Reservoir(settings.reservoir_groups)
        self.contexts: dict[str, LinearContext] = {}
        self.priors: dict[str, Tensor] = {}

    def meet(self, problem: BlockProblem) -> list[LinearContext]:
        """Priors (computed unless already known) and contexts of a block's linears."""
        unknown = [linear for linear in problem.linears if linear.name not in self.priors]
        self.priors |= prior_masks(self.settings.prior, unknown)
        inverses: dict[int, Tensor] = {}
        met = []
        for linear in problem.linears:
            key = id(linear.statistics)
            if key not in inverses:
                inverses[key] = inverse_diagonal(linear.statistics)
            context = build_context(linear, self.priors[linear.name], inverses[key])
            if self.keep_contexts:
                self.contexts[linear.name] = context
            met.append(context)
        return met

    def decide(self, problem: BlockProblem, seed: int) -> Generator[Telemetry, None, dict[str, Decision]]:
        """Train on the block, decide it, and remember samples of it."""
        generator = torch.Generator().manual_seed(seed)
        contexts = self.meet(problem)
        wanda = [wanda_mask(linear) for linear in problem.linears]
        heldout = [_gram(linear.heldout) for linear in problem.linears]
        yield from self.trainer.train(contexts, heldout, self.caches, wanda, generator)
        decisions = {}
        for linear, context in zip(problem.linears, contexts, strict=True):
            decisions[linear.name] = self._decide_linear(linear, context)
            others = self.reservoir.add(self.chooser, context, generator)
            self.caches[str(linear.pattern)].add(self.chooser, context, others, generator)
        return decisions

    @torch.no_grad()
    def _decide_linear(self, linear: LinearProblem, context: LinearContext) -> Decision:
        """The network's mask, or the prior's where the network loses to it on held-out statistics."""
        mask = self.chooser.hard_mask(context)
        by_network = 1.0
        gram = _gram(linear.heldout)
        has_prior = self.settings.chooser.prior_strength > 0
        if has_prior and self.settings.training.choose_best and gram is not None:
            ours = relative_error(linear.weight, linear.weight * mask, gram)
            theirs = relative_error(linear.weight, linear.weight * context.prior, gram)
            if ours > theirs:
                mask, by_network = context.prior, 0.0
        by_network *= self.chooser.decided_rows(context) / len(mask)
        same = linear.pattern.ids(mask) == linear.pattern.ids(context.prior)
        head = self.chooser.head(context)
        logits = self.chooser.logits(context, slice(0, 64))
        scalars = {
            "decided_by_network": by_network,
            "changed_from_prior": 1.0 - same.float().mean().item(),
            "entropy": head.entropy_share(logits).mean().item(),
        }
        pinned = self.trainer.pinned
        return Decision(mask, scalars=scalars, arrays={} if pinned is None else pinned.arrays(linear.name))

    @torch.no_grad()
    def asked_again(self, decided: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The masks that the network gives now, of every linear met; what was left to the prior stays so."""
        return {
            name: context.prior
            if torch.equal(decided[name], context.prior)
            else self.chooser.hard_mask(context)
            for name, context in self.contexts.items()
        }

    def tensors(self) -> dict[str, Tensor]:
        """Network, residual logits, optimizer, caches and reservoir, for a checkpoint (contexts are gathered again).

        What training changes in place is copied, so that a checkpoint stays as it was taken.
        """
        out = {f"network/{name}": value.clone() for name, value in self.chooser.state_dict().items()}
        out |= {f"residual/{name}": value.detach().clone() for name, value in self.chooser.residuals.items()}
        out |= save_adam(self.trainer.optimizer, "optimizer")
        for pattern, cache in self.caches.items():
            out |= {f"cache/{pattern}/{name}": value for name, value in cache.tensors().items()}
        return out | self.reservoir.tensors("reservoir")

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Restore what :meth:`tensors` gave."""
        parts: dict[str, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            kind, _, rest = name.partition("/")
            parts.setdefault(kind, {})[rest] = value
        self.chooser.load_state_dict(parts["network"])
        self.chooser.residuals = {
            name: value.clone().requires_grad_() for name, value in parts.get("residual", {}).items()
        }
        load_adam(self.trainer.optimizer, tensors, "optimizer")
        for name, value in parts.get("cache", {}).items():
            pattern, _, field = name.partition("/")
            self.caches[pattern].load({field: value})
        self.reservoir.load(parts.get("reservoir", {}))


def _gram(statistics: InputStatistics | None) -> Tensor | None:
    return None if statistics is None else statistics.gram
