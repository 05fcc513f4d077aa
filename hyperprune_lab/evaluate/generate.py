"""Greedy continuations of prompts, and where two models' continuations part.

Knows nothing about sampling: the same model and prompt always give the same tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from hyperprune_lab.calibration.tokens import encode
from hyperprune_lab.errors import UserError
from hyperprune_lab.evaluate.logits import device_of, measuring


@dataclass(frozen=True)
class Generation:
    """A prompt, the ids that followed it (end of text included), and their text without special tokens."""

    prompt: str
    ids: tuple[int, ...]
    text: str


@dataclass(frozen=True)
class SideBySide:
    """Two continuations of one prompt; ``diverges_at`` is where they first differ, None if equal."""

    reference: Generation
    other: Generation
    diverges_at: int | None


def generations(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: Sequence[str], new_tokens: int = 64
) -> list[Generation]:
    """The likeliest continuation of each prompt, token by token, to ``new_tokens``, end of text or context.

    Settings of the model's own generation configuration (temperature, penalties) are not applied. Raises
    UserError where a prompt has no tokens or leaves no room in the context.
    """
    with measuring(model):
        return [_continue(model, tokenizer, prompt, new_tokens) for prompt in prompts]


def side_by_side(reference: Sequence[Generation], other: Sequence[Generation]) -> list[SideBySide]:
    """Pair the continuations of the same prompts, in order."""
    return [SideBySide(a, b, _first_difference(a.ids, b.ids)) for a, b in zip(reference, other, strict=True)]


def _continue(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompt: str, new_tokens: int
) -> Generation:
    start = encode(tokenizer, prompt, special_tokens=True)
    if not start and tokenizer.bos_token_id is not None:
        start = [tokenizer.bos_token_id]
    context = (
        getattr(model.config.get_text_config(), "max_position_embeddings", None) or len(start) + new_tokens
    )
    if not start or len(start) >= context:
        raise UserError(
            f"the prompt {prompt[:40]!r} has {len(start)} tokens; between 1 and {context - 1} are needed."
        )
    ends = _end_tokens(model, tokenizer)
    ids: list[int] = []
    feed = torch.tensor([start], device=device_of(model))
    cache = None
    for _ in range(min(new_tokens, context - len(start))):
        output = model(input_ids=feed, past_key_values=cache, use_cache=True)
        feed, cache = output.logits[:, -1:].argmax(dim=-1), output.past_key_values
        ids.append(int(feed))
        if ids[-1] in ends:
            break
    text = tokenizer.decode(ids, skip_special_tokens=True)
    return Generation(prompt, tuple(ids), str(text))


def _end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """The tokenizer's end of text, and the one or several of the model's generation settings."""
    settings = getattr(model, "generation_config", None)
    ends = getattr(settings, "eos_token_id", None)
    listed = ends if isinstance(ends, list) else [ends]
    return {token for token in [*listed, tokenizer.eos_token_id] if token is not None}


def _first_difference(a: Sequence[int], b: Sequence[int]) -> int | None:
    for index, (left, right) in enumerate(zip(a, b, strict=False)):
        if left != right:
            return index
    return None if len(a) == len(b) else min(len(a), len(b))
