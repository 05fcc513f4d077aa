"""From text to token ids, and digests that say which tokens and which tokenizer they were.

Knows nothing about where the text comes from or what the tokens are used for.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from jaxtyping import Int
from torch import Tensor
from transformers import PreTrainedTokenizerBase

PIECE_CHARACTERS = 1 << 16  # little is read beyond need, and no tokenizer meets many megabytes at once
_SAMPLE = "Anna's 3 red kites flew – “higher!” – over\n\n\tthe café, at 12:45.  Ω"


def pieces(text: str, characters: int = PIECE_CHARACTERS) -> Iterator[str]:
    """Cut a long text after a line end, else after a space, else anywhere; the pieces joined are the text."""
    start = 0
    while len(text) - start > characters:
        stop = start + characters
        cut = text.rfind("\n", start, stop)
        if cut < 0:
            cut = text.rfind(" ", start, stop)
        stop = cut + 1 if cut >= 0 else stop
        yield text[start:stop]
        start = stop
    yield text[start:]


def encode(tokenizer: PreTrainedTokenizerBase, text: str, special_tokens: bool = False) -> list[int]:
    """Token ids of ``text``; with ``special_tokens``, as the tokenizer adds them by default (Llama: BOS)."""
    return list(tokenizer(text, add_special_tokens=special_tokens, verbose=False)["input_ids"])


def text_digest(text: str) -> str:
    """sha256 of the text in UTF-8."""
    return hashlib.sha256(text.encode()).hexdigest()


def ids_digest(ids: Int[Tensor, "windows window"]) -> str:
    """sha256 of shape and token ids, the same on every machine and for every integer dtype."""
    values = ids.cpu().numpy().astype("<i8")
    return hashlib.sha256(f"{tuple(ids.shape)}".encode() + values.tobytes()).hexdigest()


def tokenizer_identity(tokenizer: PreTrainedTokenizerBase) -> dict[str, Any]:
    """Size and digest of a tokenizer: its vocabulary, its special tokens, and how it cuts a sample sentence.

    Behavior is hashed rather than the file, so that re-saving a tokenizer with another library version
    keeps its identity.
    """
    vocabulary = tokenizer.get_vocab()
    behavior = {
        "vocabulary": sorted(vocabulary.items()),
        "specials": [tokenizer.bos_token_id, tokenizer.eos_token_id],
        "sample": [encode(tokenizer, _SAMPLE), encode(tokenizer, _SAMPLE, special_tokens=True)],
    }
    digest = hashlib.sha256(json.dumps(behavior, ensure_ascii=True).encode()).hexdigest()
    return {"tokens": len(vocabulary), "sha256": digest}
