"""How far a model's predictions are from the dense model's: Kullback-Leibler divergence and top-1 agreement.

Knows nothing about how either came to be; the reference may be another model or logits remembered from this
one.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax
from transformers import PreTrainedModel

from hyperprune_lab.evaluate.logits import batches, chunks, logits_of, measuring

REMEMBERED_BYTES = 512 << 20


class Divergence(NamedTuple):
    """``kl`` in nats per token, share of tokens whose most likely successor agrees, number of tokens."""

    kl: float
    agreement: float
    tokens: int


class DivergenceSum:
    """Adds up the divergence of batch after batch."""

    def __init__(self) -> None:
        self._kl, self._agreeing, self._tokens = 0.0, 0, 0

    def add(
        self, reference: Float[Tensor, "b window vocabulary"], logits: Float[Tensor, "b window vocabulary"]
    ) -> None:
        """Count every position of these windows; fp32 copies are made chunk by chunk."""
        theirs, ours = reference.flatten(0, 1), logits.flatten(0, 1)
        for piece in chunks(*ours.shape):
            expected = theirs[piece].to(ours.device)
            self._kl += kl_to(expected, ours[piece]).sum(dtype=torch.float64).item()
            self._agreeing += int((ours[piece].argmax(dim=-1) == expected.argmax(dim=-1)).sum())
        self._tokens += len(ours)

    def finish(self) -> Divergence:
        return Divergence(self._kl / self._tokens, self._agreeing / self._tokens, self._tokens)


class ReferenceLogits:
    """What a model predicted on some of the windows, in its dtype on the CPU; kept before its weights change.

    ``windows`` is the number of windows that will be run. As many of them as fit into ``limit_bytes`` (at
    least one) are kept, spread evenly over all: with a small vocabulary all of them, with a large one a
    sample.
    """

    def __init__(self, windows: int, limit_bytes: int = REMEMBERED_BYTES) -> None:
        self.windows = windows
        self.limit_bytes = limit_bytes
        self._kept: dict[int, Tensor] = {}
        self._chosen: frozenset[int] | None = None

    def keep(self, part: slice, logits: Float[Tensor, "b window vocabulary"]) -> None:
        """Take what is wanted of a batch that covers the windows ``part``."""
        if self._chosen is None:
            fitting = max(1, self.limit_bytes // (logits[0].numel() * logits.element_size()))
            self._chosen = frozenset(
                torch.linspace(0, self.windows - 1, min(fitting, self.windows)).long().tolist()
            )
        for row, index in enumerate(range(part.start, part.stop)):
            if index in self._chosen:
                self._kept[index] = logits[row].to("cpu", copy=True)

    def compare(
        self, part: slice, logits: Float[Tensor, "b window vocabulary"], total: DivergenceSum
    ) -> None:
        """Add to ``total`` the divergence of those windows of the batch that were kept."""
        for row, index in enumerate(range(part.start, part.stop)):
            if index in self._kept:
                total.add(self._kept[index][None], logits[row : row + 1])


def kl_to(
    reference: Float[Tensor, "tokens vocabulary"], logits: Float[Tensor, "tokens vocabulary"]
) -> Float[Tensor, " tokens"]:
    """``KL(reference || model)`` of every token's prediction in nats, computed in fp32."""
    expected = log_softmax(reference.float(), dim=-1)
    return kl_div(log_softmax(logits.float(), dim=-1), expected, reduction="none", log_target=True).sum(
        dim=-1
    )


def remember_logits(
    model: PreTrainedModel,
    ids: Int[Tensor, "windows window"],
    batch: int | None = None,
    limit_bytes: int = REMEMBERED_BYTES,
) -> ReferenceLogits:
    """The model's predictions as they are now, for a later `divergence` on the same windows."""
    reference = ReferenceLogits(len(ids), limit_bytes)
    with measuring(model):
        for part, logits in batches(model, ids, batch):
            reference.keep(part, logits)
    return reference


def divergence(
    model: PreTrainedModel,
    reference: PreTrainedModel | ReferenceLogits,
    ids: Int[Tensor, "windows window"],
    batch: int | None = None,
) -> Divergence:
    """Mean divergence of ``model`` from ``reference`` over all positions of the windows (kept ones only).

    ``ids`` has to be what the logits were remembered on. Memory: the logits of one batch from each side,
    and fp32 copies chunk by chunk.
    """
    if isinstance(reference, ReferenceLogits) and reference.windows != len(ids):
        raise ValueError(
            f"logits of {reference.windows} windows were remembered, but {len(ids)} are measured"
        )
    total = DivergenceSum()
    with measuring(model):
        for part, logits in batches(model, ids, batch):
            if isinstance(reference, ReferenceLogits):
                reference.compare(part, logits, total)
            else:
                with measuring(reference):
                    total.add(logits_of(reference, ids[part]), logits)
    return total.finish()
