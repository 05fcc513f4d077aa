"""What the dense model says of masked weights: KL in nats per token, and its gradient.

Implements :class:`hyperprune_lab.hypernet.model_trainer.ModelFeedback` with a real model. The dense model's last
hidden states are kept, not its logits: the vocabulary is wide, the head is not pruned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from hyperprune_lab.evaluate.divergence import kl_to
from hyperprune_lab.pipeline.dense import DenseStream, DenseStreams
from hyperprune_lab.pipeline.gather import BATCH, Stream
from hyperprune_lab.pipeline.subject import Subject


def divergence_per_token(
    reference: Float[Tensor, "b window vocabulary"], logits: Float[Tensor, "b window vocabulary"]
) -> Float[Tensor, ""]:
    """KL(reference || logits), mean over tokens, in nats (fp32)."""
    return kl_to(reference.flatten(0, 1), logits.flatten(0, 1)).mean()


@dataclass(eq=False)
class Teacher:
    """Token windows with the dense model's hidden states before and after the blocks."""

    before: Stream
    after: Tensor

    @classmethod
    def of(cls, dense: DenseStream) -> Teacher:
        """What the dense model makes of these windows."""
        return cls(dense.before(0), dense.before(dense.blocks).hidden)

    def divergence(self, subject: Subject, pick: Tensor) -> Float[Tensor, ""]:
        """KL of the model as it now stands, on the windows ``pick`` (at most a batch); gradients flow."""
        hidden = self.before.hidden[pick]
        for block in range(len(subject.blocks)):
            hidden = self.before.forward(block, hidden)
        logits = self.before.calls.finish(hidden)
        with torch.no_grad():
            reference = self.before.calls.finish(self.after[pick])
        return divergence_per_token(reference, logits)

    @torch.no_grad()
    def mean_divergence(self, subject: Subject) -> float:
        """KL of the model as it now stands, over all windows."""
        total = 0.0
        for pick in torch.arange(len(self.after), device=self.after.device).split(BATCH):
            total += float(self.divergence(subject, pick)) * len(pick)
        return total / len(self.after)


class DenseFeedback:
    """Feedback on masks over the original weights, or over those that a compensation has made of them.

    ``compensated`` holds weights and norm gains by full parameter name, made for ``masks``; where those masks prune,
    the original weight stands in.
    """

    def __init__(
        self,
        subject: Subject,
        streams: DenseStreams,
        compensated: Mapping[str, Tensor] | None = None,
        masks: Mapping[str, Bool[Tensor, "out in"]] | None = None,
    ) -> None:
        self.subject = subject
        self._weights: dict[str, Tensor] = {}
        self._others: dict[str, Tensor] = {}
        if compensated:
            assert masks is not None
            self._weights = {
                name: _where_kept(subject, name, compensated[f"{name}.weight"], mask)
                for name, mask in masks.items()
            }
            stored = {f"{name}.weight" for name in masks}
            self._others = {name: value for name, value in compensated.items() if name not in stored}
        self.fit, self.held = Teacher.of(streams.fit), Teacher.of(streams.judging)
        self.sequences = len(self.fit.after)

    def gradients(
        self, keep: Mapping[str, Float[Tensor, "out in"]], sequences: Int[Tensor, " n"]
    ) -> tuple[float, dict[str, Float[Tensor, "out in"]]]:
        """KL on these sequences, and its gradient by mask entry (fp32)."""
        linears = self.subject.by_name
        self._wear(keep)
        weights: dict[str, nn.Parameter] = {
            name: linears[name].module.get_parameter("weight") for name in keep
        }
        total = 0.0
        try:
            for weight in weights.values():
                weight.requires_grad_(True)
            for part in sequences.to(self.subject.device).split(BATCH):
                share = len(part) / len(sequences)
                loss = self.fit.divergence(self.subject, part) * share
                loss.backward()
                total += float(loss.detach())
            gradients = {
                name: (weight.grad.T if linears[name].transposed else weight.grad).float()
                * self._weight(name)
                for name, weight in weights.items()
                if weight.grad is not None
            }
        finally:
            for weight in weights.values():
                weight.requires_grad_(False)
                weight.grad = None
            self.subject.restore()
        return total, gradients

    def heldout(self, masks: Mapping[str, Bool[Tensor, "out in"]]) -> float:
        """KL on the held-out sequences."""
        try:
            self._wear(masks)
            return self.held.mean_divergence(self.subject)
        finally:
            self.subject.restore()

    def _weight(self, name: str) -> Float[Tensor, "out in"]:
        """What a mask of this linear is laid upon."""
        return self._weights[name] if self._weights else self.subject.dense_weight(self.subject.by_name[name])

    @torch.no_grad()
    def _wear(self, keep: Mapping[str, Tensor]) -> None:
        self.subject.apply_weights(self._others)
        for name, mask in keep.items():
            self.subject.by_name[name].set_weight(self._weight(name) * mask)


def _where_kept(
    subject: Subject, name: str, stored: Tensor, mask: Bool[Tensor, "out in"]
) -> Float[Tensor, "out in"]:
    linear = subject.by_name[name]
    weight = stored.T if linear.transposed else stored
    return torch.where(mask, weight.float(), subject.dense_weight(linear))
