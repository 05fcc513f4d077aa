"""Trains the chooser on what the whole model says: divergence from the dense model through soft masks of all layers.

Knows nothing about models: it asks a feedback object for a loss and its gradient with respect to every mask entry.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hyperprune_lab.hypernet.chooser import Chooser
from hyperprune_lab.hypernet.context import at_mask
from hyperprune_lab.hypernet.features import LinearContext, group_features
from hyperprune_lab.hypernet.settings import ModelStageSettings
from hyperprune_lab.hypernet.trainer import annealed
from hyperprune_lab.hypernet.watch import entropy_band

_GROUPS_AT_ONCE = 1 << 16
_SHARE_OF_ROWS = 0.25
_BAND_STRIDE = 64


@runtime_checkable
class ModelFeedback(Protocol):
    """The dense model's opinion of masked weights, in nats per token."""

    sequences: int

    def gradients(
        self, keep: Mapping[str, Float[Tensor, "out in"]], sequences: Int[Tensor, " n"]
    ) -> tuple[float, dict[str, Float[Tensor, "out in"]]]:
        """KL of the masked model on these calibration sequences, and its gradient by mask entry."""
        ...

    def heldout(self, masks: Mapping[str, Bool[Tensor, "out in"]]) -> float:
        """KL of the hard-masked model on the held-out sequences."""
        ...


@dataclass
class ModelStageState:
    """Where the stage stands: everything a resume needs besides the chooser's parameters and the optimizer.

    ``base`` are the masks around which the current round's features were made; ``best`` are the best masks so far,
    given by the network ``best_network`` with features made around ``best_base``, and ``best_entropy`` is how undecided
    it was on average in each linear, as a share of the most possible (all empty while nothing has beaten the start).
    """

    base: dict[str, Tensor]
    best: dict[str, Tensor]
    best_base: dict[str, Tensor] = field(default_factory=dict)
    best_network: dict[str, Tensor] = field(default_factory=dict)
    best_divergence: float = float("inf")
    best_entropy: dict[str, float] = field(default_factory=dict)
    round: int = 0
    step: int = 0


@dataclass(frozen=True, eq=False)
class _Kept:
    """What does not change during a round, of one linear: features (bf16), the prior's logits and its patterns."""

    features: Float[Tensor, "out groups features"]
    prior: Float[Tensor, "out groups outputs"]
    prior_ids: Int[Tensor, "out groups"]


class ModelTrainer:
    """Runs the rounds of the whole-model stage over the contexts of all linears."""

    def __init__(
        self,
        chooser: Chooser,
        settings: ModelStageSettings,
        contexts: Mapping[str, LinearContext],
        feedback: ModelFeedback,
        seed: int,
        start: Mapping[str, Bool[Tensor, "out in"]],
    ) -> None:
        self.chooser = chooser
        self.settings = settings
        self.contexts = dict(contexts)
        self.feedback = feedback
        self.seed = seed
        self.state = ModelStageState(base=dict(start), best=dict(start))
        self.kept: dict[str, _Kept] = {}
        self.optimizer = self._new_optimizer()

    def _new_optimizer(self) -> torch.optim.Adam:
        groups = []
        if self.settings.network:
            parameters = [p for p in self.chooser.parameters() if p.requires_grad]
            groups.append({"params": parameters, "lr": self.settings.rate, "full_rate": self.settings.rate})
        if self.settings.free_rate > 0:
            for name, context in self.contexts.items():
                if name not in self.chooser.residuals:
                    shape = (len(context.weight), context.groups, self.chooser.head(context).outputs)
                    zeros = torch.zeros(shape, device=context.weight.device)
                    self.chooser.residuals[name] = zeros.requires_grad_()
            free = list(self.chooser.residuals.values())
            groups.append(
                {"params": free, "lr": self.settings.free_rate, "full_rate": self.settings.free_rate}
            )
        return torch.optim.Adam(groups, betas=(0.9, 0.95))

    @property
    def total_steps(self) -> int:
        """Steps of all rounds."""
        return self.settings.steps * self.settings.rounds

    def prepare_round(self) -> None:
        """Take the loss gradient at the round's base masks and rebuild every feature around them."""
        effect, effect_square = self._effects_at(self.state.base)
        for name, context in self.contexts.items():
            self.contexts[name] = at_mask(context, self.state.base[name], effect[name], effect_square[name])
        self.kept = {name: self._keep(context) for name, context in self.contexts.items()}

    def _keep(self, context: LinearContext) -> _Kept:
        return _Kept(
            features=group_features(self.chooser.settings.features, context).to(torch.bfloat16),
            prior=self.chooser.prior(context),
            prior_ids=context.pattern.ids(context.prior),
        )

    def _effects_at(self, masks: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        keep = {name: mask.float() for name, mask in masks.items()}
        count = min(self.settings.gradient_sequences, self.feedback.sequences)
        batches = torch.arange(count).split(4)
        first = {name: torch.zeros_like(mask) for name, mask in keep.items()}
        second = {name: torch.zeros_like(mask) for name, mask in keep.items()}
        for batch in batches:
            _, gradients = self.feedback.gradients(keep, batch)
            for name, gradient in gradients.items():
                first[name] += gradient / len(batches)
                second[name] += gradient.square() / len(batches)
        return first, second

    def train(self) -> Generator[dict[str, float], None, dict[str, Tensor]]:
        """Yield every step's telemetry; return the best masks by held-out divergence, the start included."""
        state, chosen = self.state, self.settings
        if state.best_divergence == float("inf"):
            state.best_divergence = self.feedback.heldout(state.best)
        while state.round < chosen.rounds:
            self.prepare_round()
            while state.step < chosen.steps:
                values = self._step()
                state.step += 1
                if state.step % max(1, chosen.steps // chosen.looks) == 0 or state.step == chosen.steps:
                    values |= self._look()
                yield values
            state.round, state.step = state.round + 1, 0
            state.base = dict(state.best)
        return state.best

    def _look(self) -> dict[str, float]:
        masks = self.hard_masks()
        divergence = self.feedback.heldout(masks)
        if divergence < self.state.best_divergence:
            self.state.best, self.state.best_divergence = masks, divergence
            self.state.best_base = dict(self.state.base)
            self.state.best_network = network_now(self.chooser)
            self.state.best_entropy = {
                name: self._entropy(context) for name, context in self.contexts.items()
            }
        return {"heldout_divergence": divergence, "best_divergence": self.state.best_divergence}

    def _step(self) -> dict[str, float]:
        state, chosen = self.state, self.settings
        draw = torch.Generator().manual_seed(self.seed + 7919 * state.round + state.step)
        temperature = annealed(chosen.temperature_start, chosen.temperature_end, state.step, chosen.steps)
        keep, seen = self._soft_masks(temperature)
        batch = torch.randperm(self.feedback.sequences, generator=draw)[: chosen.batch]
        loss, gradients = self.feedback.gradients(keep, batch)
        self.optimizer.zero_grad(set_to_none=True)
        for name, context in self.contexts.items():
            self._backward(context, gradients[name], temperature, draw)
        for group in self.optimizer.param_groups:
            group["lr"] = group["full_rate"] * (1.0 - state.step / chosen.steps)
        self.optimizer.step()
        return {
            "divergence": loss,
            "loss": loss,
            "temperature": temperature,
            **seen,
            "round": float(state.round),
        }

    def _chunks(self, context: LinearContext) -> Iterator[slice]:
        rows = max(1, _GROUPS_AT_ONCE // context.groups)
        for start in range(0, len(context.weight), rows):
            yield slice(start, start + rows)

    def logits(self, context: LinearContext, rows: Tensor | slice) -> Float[Tensor, "rows groups outputs"]:
        """Logits from the features and the prior of this round."""
        own = self.kept[context.name]
        prior = own.prior[rows]
        if not self.settings.network:
            residual = self.chooser.residuals.get(context.name)
            return prior if residual is None else prior + residual[rows]
        return self.chooser.logits(context, rows, own.features[rows].float(), prior)

    @torch.no_grad()
    def _soft_masks(self, temperature: float) -> tuple[dict[str, Tensor], dict[str, float]]:
        """The soft masks of all linears, and how decided their groups are."""
        keep: dict[str, Tensor] = {}
        band: list[Tensor] = []
        entropy, agreement, groups = 0.0, 0.0, 0
        for name, context in self.contexts.items():
            head = self.chooser.head(context)
            soft = torch.empty_like(context.weight)
            for rows in self._chunks(context):
                logits = self.logits(context, rows)
                soft[rows] = head.choose(logits, temperature).keep.flatten(-2)
                shares = head.entropy_share(logits / temperature)
                entropy += float(shares.sum())
                # The same groups whatever the chunks.
                band.append(shares.flatten()[-rows.start * context.groups % _BAND_STRIDE :: _BAND_STRIDE])
                agreement += float((head.hard_ids(logits) == self.kept[name].prior_ids[rows]).sum())
            keep[name] = soft
            groups += len(context.weight) * context.groups
        means = {"entropy": entropy / groups, "agreement_prior": agreement / groups}
        return keep, means | entropy_band(band)

    def _backward(
        self,
        context: LinearContext,
        effect: Float[Tensor, "out in"],
        temperature: float,
        draw: torch.Generator,
    ) -> None:
        """Push dLoss/dmask into the parameters; without residuals a random quarter of the rows stands for all."""
        out_features = len(context.weight)
        count = out_features if self.settings.free_rate > 0 else max(1, round(_SHARE_OF_ROWS * out_features))
        picked = torch.randperm(out_features, generator=draw)[:count].to(effect.device)
        head = self.chooser.head(context)
        for rows in picked.split(max(1, _GROUPS_AT_ONCE // context.groups)):
            keep = head.choose(self.logits(context, rows), temperature).keep.flatten(-2)
            ((keep * effect[rows]).sum() * (out_features / count)).backward()

    @torch.no_grad()
    def _entropy(self, context: LinearContext) -> float:
        """Mean over the linear's groups of the entropy of their choice, as a share of the most possible."""
        head = self.chooser.head(context)
        parts = [head.entropy_share(self.logits(context, rows)).sum() for rows in self._chunks(context)]
        return float(torch.stack(parts).sum()) / (len(context.weight) * context.groups)

    @torch.no_grad()
    def hard_masks(self) -> dict[str, Bool[Tensor, "out in"]]:
        """The masks that the chooser would give now."""
        masks = {}
        for name, context in self.contexts.items():
            head = self.chooser.head(context)
            parts = [head.hard_mask(self.logits(context, rows)) for rows in self._chunks(context)]
            masks[name] = torch.cat(parts)
        return masks


def network_now(chooser: Chooser) -> dict[str, Tensor]:
    """A copy of the chooser's parameters, and of its residual logits under ``residuals/``."""
    residuals = {f"residuals/{name}": value for name, value in chooser.residuals.items()}
    return {name: value.detach().clone() for name, value in (dict(chooser.state_dict()) | residuals).items()}
