"""Run a causal language model over windows of token ids, batch by batch, with bounded memory.

Knows nothing about what is measured on the logits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import PreTrainedModel

CHUNK_ELEMENTS = 1 << 24  # fp32 copies of logits: 64 MiB each
BATCH_ELEMENTS = 1 << 28  # logits of one batch in the model's dtype: 512 MiB in bf16
LARGEST_BATCH = 16


@contextmanager
def measuring(model: PreTrainedModel) -> Iterator[None]:
    """Evaluation mode and no gradients inside the block; the model's mode comes back."""
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(training)


def device_of(model: PreTrainedModel) -> torch.device:
    """Where token ids have to be."""
    return next(model.get_input_embeddings().parameters()).device


def batch_size(model: PreTrainedModel, window: int, batch: int | None = None) -> int:
    """The asked batch, or one whose logits stay under `BATCH_ELEMENTS`: 1 to `LARGEST_BATCH`."""
    if batch is not None:
        return batch
    return max(1, min(LARGEST_BATCH, BATCH_ELEMENTS // (window * model.config.get_text_config().vocab_size)))


def logits_of(
    model: PreTrainedModel, ids: Int[Tensor, "b window"], mask: Int[Tensor, "b window"] | None = None
) -> Float[Tensor, "b window vocabulary"]:
    """Logits in the model's own dtype; ``mask`` is 0 on padding."""
    device = device_of(model)
    if mask is not None:
        mask = mask.to(device)
    return model(input_ids=ids.to(device), attention_mask=mask, use_cache=False).logits


def batches(
    model: PreTrainedModel, ids: Int[Tensor, "windows window"], batch: int | None = None
) -> Iterator[tuple[slice, Float[Tensor, "b window vocabulary"]]]:
    """The logits of all windows in order, with the slice of windows that each batch covers."""
    step = batch_size(model, ids.shape[1], batch)
    for start in range(0, len(ids), step):
        part = slice(start, min(start + step, len(ids)))
        yield part, logits_of(model, ids[part])


def chunks(rows: int, vocabulary: int) -> Iterator[slice]:
    """Slices of token rows whose fp32 logits stay under `CHUNK_ELEMENTS`."""
    step = max(1, CHUNK_ELEMENTS // vocabulary)
    for start in range(0, rows, step):
        yield slice(start, start + step)
