"""Token losses and perplexity in the field's protocol, with the fingerprint that makes two values comparable.

Knows nothing about what was done to the model.

Protocol: cross-entropy of the ``window - 1`` predicted tokens of every window, each window with an empty
context; ``perplexity = exp(mean of the windows' mean losses)``. GPTQ, SparseGPT and Wanda multiply each
window's mean by the window's length and divide by all tokens, which is the same number.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from hyperprune_lab.evaluate.logits import batches, chunks, measuring
from hyperprune_lab.evaluate.texts import EvaluationWindows

FORMULA = (
    "token perplexity: exp of the mean cross-entropy over window - 1 positions of windows that do not overlap"
)


@dataclass(frozen=True)
class Perplexity:
    """``nats`` per predicted token and their exponential; ``tokens`` counts all tokens of all windows."""

    perplexity: float
    nats: float
    tokens: int
    windows: int
    window: int
    protocol: dict[str, Any]


def token_losses(
    model: PreTrainedModel, ids: Int[Tensor, "windows window"], batch: int | None = None
) -> Float[Tensor, "windows predicted"]:
    """Loss in nats of every predicted token: ``[windows, window - 1]``, fp32, on the CPU.

    The model keeps its dtype and its device; logits become fp32 in chunks. ``batch`` None picks one that
    bounds the logits' memory. Column ``j`` belongs to token ``j + 1`` of the window.
    """
    losses = torch.empty(len(ids), ids.shape[1] - 1, dtype=torch.float32)
    with measuring(model):
        for part, logits in batches(model, ids, batch):
            losses[part] = losses_from(logits, ids[part]).cpu()
    return losses


def losses_from(
    logits: Float[Tensor, "b window vocabulary"], ids: Int[Tensor, "b window"]
) -> Float[Tensor, "b predicted"]:
    """Loss in nats of every predicted token from the logits of its window, fp32, chunk by chunk."""
    targets = ids.to(logits.device)
    losses = torch.empty(targets[:, 1:].shape, dtype=torch.float32, device=logits.device)
    for row in range(len(ids)):  # window by window: a flat view over the batch would copy the logits
        for piece in chunks(losses.shape[1], logits.shape[-1]):
            wanted = targets[row, 1:][piece]
            losses[row, piece] = cross_entropy(logits[row, :-1][piece].float(), wanted, reduction="none")
    return losses


def perplexity_from(
    losses: Float[Tensor, "windows predicted"], windows: Sequence[EvaluationWindows], model: PreTrainedModel
) -> Perplexity:
    """Perplexity over the windows of one or several domains together, from their losses in the same order."""
    nats = losses.double().mean().item()
    count, window = losses.shape[0], losses.shape[1] + 1
    return Perplexity(
        perplexity=math.exp(nats) if nats < math.log(torch.finfo(torch.float64).max) else math.inf,
        nats=nats,
        tokens=count * window,
        windows=count,
        window=window,
        protocol=protocol(windows, model),
    )


def protocol(windows: Sequence[EvaluationWindows], model: PreTrainedModel) -> dict[str, Any]:
    """The fingerprint: perplexities may stand in one column only where it is equal."""
    identities = [part.identity for part in windows]
    return {
        "formula": FORMULA,
        "text": "+".join(identity["text"] for identity in identities),
        "text_sha256": [identity["text_sha256"] for identity in identities],
        "window": identities[0]["window"],
        "windows": sum(identity["windows"] for identity in identities),
        "tokens": sum(identity["tokens"] for identity in identities),
        "dtype": str(model.dtype).removeprefix("torch."),
        "bos": identities[0]["bos"],
        "tokenizer": identities[0]["tokenizer"],
    }
